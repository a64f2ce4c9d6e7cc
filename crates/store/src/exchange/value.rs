//! Reading values of JSON that may be anything.

use serde_json::Value;

use super::ImportError;

/// Times after this are in milliseconds, before it in seconds: the year 5138, or March 1973.
const LARGEST_SECONDS: f64 = 1e11;
/// Times after this are in nanoseconds.
const LARGEST_MS: f64 = 1e14;

/// Characters of a file's word in a message to a person.
const WORD_CHARS: usize = 40;
/// Characters of the reason for which JSON can't be read.
const REASON_CHARS: usize = 200;

/// What a value is, in few words and without its text.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "a text".into(),
        Value::Array(entries) => format!("a list of {}", entries.len()),
        Value::Object(fields) => format!("an object with {} fields", fields.len()),
    }
}

/// A word or a number from a file, for a message to a person.
pub(crate) fn shortened(word: &str) -> String {
    word.chars().filter(|char| !char.is_control()).take(WORD_CHARS).collect()
}

/// Why JSON can't be read. Without the line and the column, which count from the conversation.
pub(crate) fn reason(error: &serde_json::Error) -> String {
    let whole = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let reason = whole.strip_suffix(&place).unwrap_or(&whole);
    // It may have a text of the file.
    reason.chars().take(REASON_CHARS).collect()
}

/// The path of a node. A key of a file may be as long as the file, and is in many paths.
pub(crate) fn path_of(path: &str, key: &str) -> String {
    format!("{path}.{}", shortened(key))
}

pub(crate) fn invalid(path: &str, expected: &'static str, found: &Value) -> ImportError {
    ImportError::Invalid { path: path.into(), expected, found: describe(found) }
}

/// A text; empty if it is missing or something else.
pub(crate) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a field is true.
pub(crate) fn is_true(object: &Value, name: &str) -> bool {
    object.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// A time, in whatever unit it is.
pub(crate) fn time_ms(value: Option<&Value>) -> Option<u64> {
    let number = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    let ms = match number {
        _ if !number.is_finite() || number <= 0.0 => return None,
        _ if number < LARGEST_SECONDS => 1000.0 * number,
        _ if number < LARGEST_MS => number,
        _ => number / 1e6,
    };
    // A float beyond the range becomes its end; times are stored as signed numbers.
    Some((ms as u64).min(i64::MAX as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_understood_in_any_unit() {
        let cases = [
            ("1700000000", Some(1_700_000_000_000)),
            ("1700000000.5", Some(1_700_000_000_500)),
            ("1700000000000", Some(1_700_000_000_000)),
            ("1700000000000000000", Some(1_700_000_000_000)),
            ("\"1700000000\"", Some(1_700_000_000_000)),
            ("-5", None),
            ("null", None),
            ("\"x\"", None),
            ("1e308", Some(i64::MAX as u64)),
        ];
        for (json, expected) in cases {
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(time_ms(Some(&value)), expected, "{json}");
        }
    }
}
