//! Limits for structures on which `llguidance` spends far more than their size tells. It has limits
//! of its own, but looks at them between two steps, and here a single step takes seconds:
//!
//! | structure | without a limit |
//! | --- | --- |
//! | ten thousand `.*` in a row | 40 s and 1.7 GiB: each may be left out, and all pairs are tried |
//! | a multiple of 1,000,003 | 9 s and 290 MiB: a state for each remainder |
//! | eight thousand properties | 8 s: after each of them all later ones may follow |
//!
//! Measured with the demo model's tokens, without optimisation of `llguidance`.

use serde_json::{Deserializer, Map, Number, Value};

use super::{StructureError, check, wrong};

/// The longest structure that is prepared.
pub const MAX_STRUCTURE_BYTES: usize = 64 << 10;
/// The deepest nesting of brackets.
pub const MAX_NESTING: usize = 128;
/// The most rules of a grammar.
pub const MAX_RULES: usize = 1_000;
/// The most parts that may be repeated or left out, in all regular expressions together.
pub const MAX_REPEATS: usize = 500;
/// The most properties of an object, entries of a list or alternatives that a schema has in one
/// place.
pub const MAX_BRANCHES: usize = 500;
/// The same for all places together.
pub const MAX_ALL_BRANCHES: usize = 2_000;
/// The largest whole number that `multipleOf` may stand for: 25 for 0.25. Where several schemas
/// describe one number, the product of all.
pub const MAX_DIVISOR: usize = 2_000;
/// The most digits behind the point in `multipleOf`. With more, numbers in `llguidance` overflow.
pub const MAX_DECIMALS: usize = 6;

/// Keywords whose value is a list or an object of which each entry is one more way to go on.
const BRANCHING: [&str; 9] = [
    "allOf",
    "anyOf",
    "items",
    "oneOf",
    "patternProperties",
    "prefixItems",
    "properties",
    "required",
    "dependentSchemas",
];
/// Keywords of which two in one schema both describe the same value.
const DESCRIBING: [&str; 4] = ["$ref", "anyOf", "multipleOf", "oneOf"];
/// What embeds a schema in a grammar.
const EMBEDDED: &str = "%json";

pub(super) fn check_size(text: &str) -> Result<(), StructureError> {
    check("bytes", MAX_STRUCTURE_BYTES, text.len())
}

pub(super) fn check_regex(pattern: &str) -> Result<(), StructureError> {
    check_nesting(pattern)?;
    check("repeats", MAX_REPEATS, repeats(pattern))
}

pub(super) fn check_schema(schema: &Value) -> Result<(), StructureError> {
    let mut costs = Costs::default();
    costs.add(schema)?;
    costs.check()
}

/// Checks a grammar, and the schemas that are embedded in it.
pub(super) fn check_grammar(text: &str) -> Result<(), StructureError> {
    check_nesting(text)?;
    check("rules", MAX_RULES, text.lines().filter(|line| line.contains(':')).count())?;
    let mut costs = Costs::default();
    let mut rest = text;
    while let Some((rules, from_schema)) = rest.split_once(EMBEDDED) {
        costs.repeats += repeats(rules);
        let mut schemas = Deserializer::from_str(from_schema).into_iter::<Value>();
        costs.add(&schemas.next().unwrap_or(Ok(Value::Null)).map_err(wrong)?)?;
        rest = &from_schema[schemas.byte_offset()..];
    }
    costs.repeats += repeats(rest);
    costs.check()
}

/// Checks the nesting of brackets. Brackets that are plain text count too; real structures seldom
/// have many of these.
fn check_nesting(text: &str) -> Result<(), StructureError> {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    check("nested brackets", MAX_NESTING, deepest)
}

/// How many parts are repeated or may be left out. Such characters count as plain text, too.
fn repeats(pattern: &str) -> usize {
    pattern.bytes().filter(|byte| matches!(byte, b'*' | b'+' | b'?' | b'{' | b'~')).count()
}

/// What is costly in a structure.
#[derive(Default)]
struct Costs {
    repeats: usize,
    branches: usize,
    largest_divisor: usize,
    /// Of all divisors.
    product: usize,
    /// Whether several schemas describe one value.
    joins: bool,
}

impl Costs {
    /// Adds a schema, or any value in it.
    fn add(&mut self, value: &Value) -> Result<(), StructureError> {
        match value {
            Value::Object(schema) => self.add_schema(schema),
            Value::Array(values) => values.iter().try_for_each(|value| self.add(value)),
            _ => Ok(()),
        }
    }

    fn add_schema(&mut self, schema: &Map<String, Value>) -> Result<(), StructureError> {
        let described = DESCRIBING.iter().filter(|keyword| schema.contains_key(**keyword));
        self.joins |= described.count() > 1 || schema.contains_key("allOf");
        for (keyword, value) in schema {
            if BRANCHING.contains(&keyword.as_str()) {
                let count = match value {
                    Value::Array(values) => values.len(),
                    Value::Object(entries) => entries.len(),
                    _ => 0,
                };
                check("entries in one part of a schema", MAX_BRANCHES, count)?;
                self.branches += count;
            }
            match (keyword.as_str(), value) {
                ("pattern", Value::String(pattern)) => self.repeats += repeats(pattern),
                ("patternProperties", Value::Object(patterns)) => {
                    // Each is compared with every other.
                    let of_keys = patterns.keys().map(|pattern| 1 + repeats(pattern));
                    self.repeats += of_keys.sum::<usize>();
                }
                ("multipleOf", Value::Number(number)) => self.add_divisor(number)?,
                _ => {}
            }
            self.add(value)?;
        }
        Ok(())
    }

    fn add_divisor(&mut self, number: &Number) -> Result<(), StructureError> {
        let Some((divisor, decimals)) = whole_part(number) else {
            return check("as divisor", MAX_DIVISOR, usize::MAX);
        };
        check("decimals of a divisor", MAX_DECIMALS, decimals)?;
        self.largest_divisor = self.largest_divisor.max(divisor);
        self.product = self.product.max(1).saturating_mul(divisor.max(1));
        Ok(())
    }

    fn check(&self) -> Result<(), StructureError> {
        check("repeats", MAX_REPEATS, self.repeats)?;
        check("entries in all parts of a schema", MAX_ALL_BRANCHES, self.branches)?;
        let divisor = if self.joins { self.product } else { self.largest_divisor };
        check("as divisor", MAX_DIVISOR, divisor)
    }
}

/// The digits of a number as a whole number, and how many of them stand behind the point. `None` if
/// they are too many.
fn whole_part(number: &Number) -> Option<(usize, usize)> {
    let text = number.to_string();
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let joined: usize = format!("{whole}{fraction}").trim_start_matches('-').parse().ok()?;
    let decimals = i32::try_from(fraction.len()).ok()? - exponent;
    match u32::try_from(decimals) {
        Ok(decimals) => Some((joined, decimals as usize)),
        Err(_) => Some((joined.checked_mul(10_usize.checked_pow(decimals.unsigned_abs())?)?, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn divisors_are_read_as_whole_numbers() {
        let cases = [
            (json!(7), Some((7, 0))),
            (json!(-60), Some((60, 0))),
            (json!(0.25), Some((25, 2))),
            (json!(2.0), Some((2, 0))),
            (json!(1e-7), Some((1, 7))),
            (json!(2.5e-300), Some((25, 301))),
            (json!(1e17), Some((100_000_000_000_000_000, 0))),
            (json!(1e300), None),
        ];
        for (number, expected) in cases {
            let Value::Number(number) = number else { panic!("{number}") };
            assert_eq!(whole_part(&number), expected, "{number}");
        }
    }

    #[test]
    fn divisors_of_one_value_are_multiplied_and_others_are_not() {
        let hundred = json!({"multipleOf": 100});
        let fields = json!({"properties": {"a": hundred, "b": hundred, "c": hundred}});
        assert_eq!(check_schema(&fields), Ok(()));
        let all = [
            json!({"allOf": [hundred, hundred]}),
            json!({"multipleOf": 100, "anyOf": [hundred]}),
            json!({"$ref": "#/$defs/a", "multipleOf": 100, "$defs": {"a": hundred}}),
            json!({"$ref": "#/$defs/a", "oneOf": [hundred], "$defs": {"a": hundred}}),
        ];
        for schema in all {
            let error = check_schema(&schema).expect_err("10,000 remainders").to_string();
            assert_eq!(error, "structure: expected at most 2000 as divisor, found 10000");
        }
    }

    #[test]
    fn embedded_schemas_are_found_behind_one_another() {
        let schema = json!({"description": "%json {", "pattern": "a*".repeat(200)});
        let grammar = |count: usize| {
            let rule = |index: usize| format!("r{index}: %json {schema} \"x\"*\n");
            (0..count).map(rule).collect::<String>()
        };
        assert_eq!(check_grammar(&grammar(2)), Ok(()));
        let error = check_grammar(&grammar(3)).expect_err("too many").to_string();
        assert_eq!(error, "structure: expected at most 500 repeats, found 603");
        assert!(check_grammar("start: %json {").is_err() && check_grammar("start: %json").is_ok());
    }
}
