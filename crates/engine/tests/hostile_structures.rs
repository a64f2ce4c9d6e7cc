//! Structures that are made to cost much: what is refused, what is made ready, and how much memory
//! that takes. A program of its own, because the peak that the system reports is that of the whole
//! process.

#[path = "support/memory.rs"]
mod memory;

use std::sync::Arc;
use std::time::{Duration, Instant};

use banter_engine::model_file::{ModelFile, ModelSource};
use banter_engine::structure::{MAX_STRUCTURE_BYTES, Structure, StructureError, Structures};
use banter_engine::text::TokenId;
use memory::grown_kib;

/// By how much memory may grow while one structure is prepared.
const LIMIT_KIB: u64 = 32 * 1024;

/// What becomes of a structure.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// An answer can begin.
    Ready,
    /// The error begins like this, after `structure: `.
    Refused(&'static str),
}

struct Case {
    form: Structure,
    outcome: Outcome,
}

use Outcome::{Ready, Refused};

fn regex(pattern: impl Into<String>, outcome: Outcome) -> Case {
    Case { form: Structure::Regex(pattern.into()), outcome }
}

fn grammar(text: impl Into<String>, outcome: Outcome) -> Case {
    Case { form: Structure::Grammar(text.into()), outcome }
}

fn schema(text: impl Into<String>, outcome: Outcome) -> Case {
    Case { form: Structure::JsonSchema(text.into()), outcome }
}

fn nested(open: &str, close: &str, depth: usize) -> String {
    open.repeat(depth) + "a" + &close.repeat(depth)
}

/// Rules of which each refers to the next.
fn chain(rules: usize) -> String {
    let rule = |index: usize| format!("r{index}: r{}\n", index + 1);
    format!("start: r0\n{}r{rules}: \"a\"\n", (0..rules).map(rule).collect::<String>())
}

/// Schemas of which each refers to the next.
fn referring(count: usize) -> String {
    let schema = |index: usize| format!("\"d{index}\":{{\"$ref\":\"#/$defs/d{}\"}},", index + 1);
    let schemas: String = (0..count).map(schema).collect();
    format!("{{\"$ref\":\"#/$defs/d0\",\"$defs\":{{{schemas}\"d{count}\":{{}}}}}}")
}

fn lists(depth: usize) -> String {
    r#"{"type":"array","items":"#.repeat(depth) + "{}" + &"}".repeat(depth)
}

/// A schema with many of something.
fn many(begin: &str, entry: impl Fn(usize) -> String, end: &str) -> String {
    let mut text = begin.to_owned();
    for index in 0.. {
        let entry = entry(index);
        if text.len() + entry.len() + end.len() + 1 > MAX_STRUCTURE_BYTES {
            break;
        }
        text.push_str(if index > 0 { "," } else { "" });
        text.push_str(&entry);
    }
    text + end
}

/// `count` entries, joined by commas.
fn entries(count: usize, entry: impl Fn(usize) -> String) -> String {
    (0..count).map(entry).collect::<Vec<_>>().join(",")
}

const TOO_LONG: Outcome = Refused("expected at most 65536 bytes");
const TOO_DEEP: Outcome = Refused("expected at most 128 nested brackets");
const TOO_MANY_RULES: Outcome = Refused("expected at most 1000 rules");
const TOO_MANY_REPEATS: Outcome = Refused("expected at most 500 repeats");
const TOO_MANY_BRANCHES: Outcome = Refused("expected at most 500 entries in one part of a schema");
const TOO_MANY_BRANCHES_IN_ALL: Outcome = Refused("expected at most 2000 entries in all parts");
const TOO_LARGE_DIVISOR: Outcome = Refused("expected at most 2000 as divisor");
const TOO_COSTLY: Outcome = Refused("lexer precomputation failed");
const NO_TEXT: Outcome = Refused("no text can have it");

fn expressions() -> Vec<Case> {
    vec![
        regex(nested("(", ")", 60_000), TOO_LONG),
        regex(nested("(", ")", 30_000), TOO_DEEP),
        regex(nested("(", ")", 100), Ready),
        regex("a{1,1000000000}", Ready),
        regex("(a{1,1000}){1,1000}", Ready),
        regex("((a{1,100}){1,100}){1,100}", Ready),
        regex("(", Refused("at 1(8): invalid regex")),
        regex("(a|aa)*b".repeat(50), Ready),
        regex(".*".repeat(100), Ready),
        regex(".*".repeat(500), TOO_COSTLY),
        regex(".*".repeat(501), TOO_MANY_REPEATS),
        regex(".*".repeat(10_000), TOO_MANY_REPEATS),
        regex("(a.?)".repeat(500), Ready),
        regex("a{0,9}".repeat(500), Ready),
        regex("(.+)".repeat(500), Ready),
        regex("([ab]{0,100}.){0,100}".repeat(100), TOO_COSTLY),
        regex("[ab]".repeat(4_000), Ready),
        regex("ab|".repeat(4_000), Ready),
        regex(format!("(.*a){}", "[^b]".repeat(5_000)), Ready),
        regex("\\p{L}{1000}".repeat(50), Ready),
    ]
}

fn grammars() -> Vec<Case> {
    let schema = format!("{{\"pattern\":\"{}\"}}", "a*".repeat(501));
    let listed = format!("{{\"anyOf\":[{}]}}", entries(501, |_| "{}".to_owned()));
    vec![
        grammar(chain(5_000), TOO_MANY_RULES),
        grammar(chain(900), Ready),
        grammar("start: start", NO_TEXT),
        grammar("start: nothing_of_the_kind", Refused("at 1(8): unknown name")),
        grammar(format!("start: {}", nested("(", ")", 20_000)), TOO_DEEP),
        grammar("", Refused("no start rule found")),
        grammar("start: start start | \"a\" |", Ready),
        grammar("start: \"a\"~1..1000000000", Ready),
        grammar(format!("start: {}\"a\"", "\"a\"|".repeat(1_000)), Ready),
        grammar(format!("start: /{}/", ".*".repeat(501)), TOO_MANY_REPEATS),
        grammar(format!("start: one\none: %json {schema}"), TOO_MANY_REPEATS),
        grammar(format!("start: one\none: %json {listed}\n"), TOO_MANY_BRANCHES),
        grammar("start: one\none: %json {\"multipleOf\": 2001}", TOO_LARGE_DIVISOR),
    ]
}

fn nested_schemas() -> Vec<Case> {
    let doubling = |keyword: &str, more: &str| {
        let two = |index: usize| {
            format!("{{\"$ref\":\"#/$defs/d{0}\"}},{{\"$ref\":\"#/$defs/d{0}\"}}", index + 1)
        };
        let schema =
            |index: usize| format!("\"d{index}\":{{\"{keyword}\":[{}]{more}}},", two(index));
        let schemas: String = (0..30).map(schema).collect();
        format!(
            "{{\"$ref\":\"#/$defs/d0\",\"$defs\":{{{schemas}\"d30\":{{\"type\":\"string\"}}}}}}"
        )
    };
    let product = |count: usize| {
        let either = |index: usize| {
            format!("{{\"anyOf\":[{{\"minLength\":{index}}},{{\"maxLength\":{}}}]}}", index + 100)
        };
        format!("{{\"allOf\":[{}]}}", entries(count, either))
    };
    vec![
        schema(referring(1_500), Ready),
        schema(lists(100), Ready),
        schema(lists(1_000), Refused("recursion limit exceeded")),
        schema(nested("[", "]", 30_000), Refused("recursion limit exceeded")),
        schema(r##"{"$ref": "#"}"##, NO_TEXT),
        schema(
            r##"{"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"}]}},"$ref":"#/$defs/a"}"##,
            NO_TEXT,
        ),
        schema(
            r##"{"$defs":{"a":{"allOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"}]}},"$ref":"#/$defs/a"}"##,
            Refused("circular references"),
        ),
        schema(doubling("allOf", ""), Ready),
        schema(doubling("anyOf", ""), Ready),
        schema(doubling("prefixItems", ",\"minItems\":2"), Ready),
        schema(product(8), Ready),
        schema(product(30), Refused("schema too large")),
        schema("no JSON", Refused("expected ident at line 1")),
        schema("x".repeat(MAX_STRUCTURE_BYTES + 1), TOO_LONG),
    ]
}

fn wide_schemas() -> Vec<Case> {
    let name = |index: usize| format!("\"{index}\"");
    let property = |index: usize| format!("\"{index}\":{{}}");
    let properties = |count: usize| format!("{{\"properties\":{{{}}}}}", entries(count, property));
    let required = |count: usize| format!("{{\"required\":[{}]}}", entries(count, name));
    let patterned = |count: usize| {
        let property = |index: usize| format!("\"^a{index}$\":{{}}");
        format!("{{\"patternProperties\":{{{}}}}}", entries(count, property))
    };
    let list = |keyword: &str, count: usize, entry: &dyn Fn(usize) -> String| {
        format!("{{\"{keyword}\":[{}]}}", entries(count, entry))
    };
    let with_pattern = |index: usize| format!("{{\"type\":\"string\",\"pattern\":\"a{index}.*\"}}");
    let with_property = |index: usize| format!("{{\"properties\":{{\"{index}\":{{}}}}}}");
    let open = properties(500).replace("}}}", "}},\"additionalProperties\":true}");
    vec![
        schema(properties(500), Ready),
        schema(open, Ready),
        schema(properties(501), TOO_MANY_BRANCHES),
        schema(list("items", 4, &|_| properties(499)), Ready),
        schema(list("items", 5, &|_| properties(499)), TOO_MANY_BRANCHES_IN_ALL),
        schema(required(500), Ready),
        schema(required(501), TOO_MANY_BRANCHES),
        schema(patterned(100), Ready),
        schema(patterned(501), TOO_MANY_BRANCHES),
        schema(list("anyOf", 500, &with_pattern), Ready),
        schema(list("anyOf", 500, &with_property), Ready),
        schema(list("anyOf", 501, &with_property), TOO_MANY_BRANCHES),
        schema(list("allOf", 500, &with_property), Refused("schema too large")),
        schema(list("allOf", 501, &with_property), TOO_MANY_BRANCHES),
        schema(list("oneOf", 500, &with_property), Refused("oneOf constraints")),
        schema(list("prefixItems", 500, &|_| "{}".to_owned()), Ready),
        schema(list("prefixItems", 501, &|_| "{}".to_owned()), TOO_MANY_BRANCHES),
        schema(many(r#"{"enum": ["#, name, "]}"), Ready),
        schema(
            list("anyOf", 10, &|index| {
                format!("{{\"type\":\"string\",\"pattern\":\"{index}{}\"}}", ".*".repeat(50))
            }),
            Ready,
        ),
        schema(
            list("anyOf", 11, &|index| {
                format!("{{\"type\":\"string\",\"pattern\":\"{index}{}\"}}", ".*".repeat(50))
            }),
            TOO_MANY_REPEATS,
        ),
    ]
}

fn schemas_with_numbers() -> Vec<Case> {
    let of_any_length = |keyword: &str, kind: &str| {
        schema(format!("{{\"{keyword}\": 1000000000, \"type\": \"{kind}\"}}"), Ready)
    };
    let multiple =
        |of: &str, outcome| schema(format!("{{\"type\":\"number\",\"multipleOf\":{of}}}"), outcome);
    vec![
        of_any_length("minLength", "string"),
        of_any_length("maxLength", "string"),
        of_any_length("minItems", "array"),
        of_any_length("maxItems", "array"),
        of_any_length("minProperties", "object"),
        schema(r#"{"type": "string", "pattern": "(a{1,1000}){1,1000}"}"#, Ready),
        multiple("2000", Ready),
        multiple("1999", Ready),
        multiple("0.125", Ready),
        multiple("0.01", Ready),
        multiple("0", Refused("invalid multiple")),
        multiple("-1", Ready),
        multiple("2001", TOO_LARGE_DIVISOR),
        multiple("1000003", TOO_LARGE_DIVISOR),
        multiple("1e300", TOO_LARGE_DIVISOR),
        multiple("1e-300", Refused("expected at most 6 decimals of a divisor")),
        schema(r#"{"allOf":[{"type":"integer","multipleOf":43},{"multipleOf":46}]}"#, Ready),
        schema(r#"{"allOf":[{"type":"number","multipleOf":0.5},{"multipleOf":46}]}"#, Ready),
        schema(
            r#"{"allOf":[{"type":"integer","multipleOf":47},{"multipleOf":43}]}"#,
            TOO_LARGE_DIVISOR,
        ),
        schema(
            r#"{"type":"number","minimum":-1e308,"maximum":1e308}"#,
            Refused("Failed to generate regex"),
        ),
        schema(r#"{"type":"number","minimum":-1e-300,"maximum":1e-300}"#, Ready),
    ]
}

#[test]
fn r11_hostile_forms_are_refused_or_made_ready_and_take_little() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../banter/assets/banter-demo.gguf");
    let file = ModelFile::open(&ModelSource::Path(path.into())).expect("the demo model");
    let text = Arc::new(file.text().expect("its text"));
    let structures = Structures::new(text).expect("its tokens can be used");
    let mut wrong = Vec::new();
    let lists =
        [expressions(), grammars(), nested_schemas(), wide_schemas(), schemas_with_numbers()];
    for Case { form, outcome } in lists.into_iter().flatten() {
        let shown: String = format!("{form:?}").chars().take(60).collect();
        let begun = Instant::now();
        let mut found = None;
        let grown = grown_kib(|| {
            let guide = structures.guide(&form);
            // What passes goes on where stacks are of the usual size.
            found = Some(guide.map(|mut guide| drop(guide.masks(&[TokenId(70)]))));
        });
        let found = found.expect("it was prepared");
        let took = begun.elapsed();
        println!("{took:?}, {grown} KiB: {shown} {found:?}");
        if !is_as_expected(outcome, &found) {
            wrong.push(format!("{shown}: expected {outcome:?}, found {found:?}"));
        }
        if grown > LIMIT_KIB {
            wrong.push(format!("{shown}: {grown} KiB"));
        }
        // Not a figure: whatever takes this long has no limit.
        if took > Duration::from_secs(20) {
            wrong.push(format!("{shown}: {took:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn is_as_expected(outcome: Outcome, found: &Result<(), StructureError>) -> bool {
    match (outcome, found) {
        (Ready, Ok(())) => true,
        (Refused(words), Err(error)) => {
            let error = error.to_string();
            error.strip_prefix("structure: ").is_some_and(|error| error.starts_with(words))
        }
        _ => false,
    }
}
