//! JSON objects whose values errors can name.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

use super::super::config::Stated;
use super::super::error::Fault;
use crate::printable::printable;

/// The most values that a file may hold. A value takes 32 bytes here and two in the file.
const MAX_VALUES: usize = 1 << 16;
/// The longest file in UTF-16. Decoding it takes three times its size.
const MAX_UTF16_BYTES: usize = 4 << 20;
/// Lists of tokens and of labels, which nobody reads here and which may be long.
const SKIPPED_KEYS: [&str; 3] = ["added_tokens_decoder", "id2label", "label2id"];

/// A JSON object without repeated keys.
#[derive(Debug)]
pub(super) struct Object {
    /// What stands before a key in errors: `rope_parameters.` for an object in another.
    prefix: String,
    values: Map<String, Value>,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Object;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Object, A::Error> {
                let mut values = Map::new();
                let budget = Cell::new(MAX_VALUES);
                while let Some(key) = entries.next_key::<String>()? {
                    if values.contains_key(&key) {
                        let key = printable(&key);
                        return Err(A::Error::custom(format!(
                            "key {key}: expected once, found twice"
                        )));
                    }
                    let value = if SKIPPED_KEYS.contains(&key.as_str()) {
                        entries.next_value::<IgnoredAny>()?;
                        Value::Null
                    } else {
                        entries.next_value_seed(Bounded { budget: &budget })?
                    };
                    values.insert(key, value);
                }
                Ok(Object { prefix: String::new(), values })
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// A value of a file that may hold no more than `budget` of them.
#[derive(Clone, Copy)]
struct Bounded<'a> {
    budget: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.budget.get().checked_sub(1) {
            Some(left) => self.budget.set(left),
            None => {
                let problem = format!("expected at most {MAX_VALUES} values, found more");
                return Err(D::Error::custom(problem));
            }
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            values.insert(key, entries.next_value_seed(self)?);
        }
        Ok(Value::Object(values))
    }
}

impl Object {
    /// Parses a whole file. A byte order mark before it is left out, and numbers that JSON does not
    /// have but Python writes (`NaN`, `Infinity`) are strings of that name.
    pub fn parse(bytes: &[u8]) -> Result<Object, Fault> {
        let text = without_byte_order(bytes);
        let parsed = serde_json::from_slice(&text);
        parsed
            .or_else(|error| match with_quoted_numbers(&text) {
                Some(quoted) => serde_json::from_slice(&quoted),
                None => Err(error),
            })
            .map_err(|error| malformed(&error))
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// A value; `null` is as missing.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    /// The key as errors call it.
    pub fn path(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// An object in this one.
    pub fn object(&self, key: &str) -> Result<Option<Object>, Fault> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value {
            Value::Object(values) => {
                let prefix = format!("{}.", self.path(key));
                Ok(Some(Object { prefix, values: values.clone() }))
            }
            other => Err(self.wrong(key, "an object", other)),
        }
    }

    /// An integer that is not negative.
    pub fn unsigned(&self, key: &str) -> Result<Option<Stated<u64>>, Fault> {
        self.stated(key, "an integer from 0 on", unsigned)
    }

    /// An integer of any sign.
    pub fn signed(&self, key: &str) -> Result<Option<Stated<i64>>, Fault> {
        self.stated(key, "an integer", |value| {
            value.as_i64().or_else(|| {
                let whole = unsigned_float(value.as_f64()?.abs())?;
                let whole = i64::try_from(whole).ok()?;
                Some(if value.as_f64()? < 0.0 { -whole } else { whole })
            })
        })
    }

    pub fn float(&self, key: &str) -> Result<Option<Stated<f64>>, Fault> {
        self.stated(key, "a number", Value::as_f64)
    }

    pub fn bool(&self, key: &str) -> Result<Option<bool>, Fault> {
        Ok(self.stated(key, "true or false", Value::as_bool)?.map(|stated| stated.value))
    }

    pub fn string(&self, key: &str) -> Result<Option<&str>, Fault> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(key, "a string", value))
    }

    /// A value that has to be there.
    pub fn require<T>(&self, key: &str, value: Option<T>) -> Result<T, Fault> {
        value.ok_or_else(|| Fault::key(&self.path(key), "a value", "no such key"))
    }

    /// A value of another kind than expected.
    pub fn wrong(&self, key: &str, expected: &str, found: &Value) -> Fault {
        Fault::key(&self.path(key), expected, printable(&found.to_string()))
    }

    fn stated<T>(
        &self,
        key: &str,
        expected: &str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<Stated<T>>, Fault> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let converted = convert(value).ok_or_else(|| self.wrong(key, expected, value))?;
        Ok(Some(Stated::new(&self.path(key), converted)))
    }
}

/// A whole number from 0 on, also where it is written with a fraction of zero: `20.0`.
pub(super) fn unsigned(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| unsigned_float(value.as_f64()?))
}

fn unsigned_float(value: f64) -> Option<u64> {
    // Above, floats do not have every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (value.fract() == 0.0 && (0.0..=EXACT).contains(&value)).then_some(value as u64)
}

/// The text in UTF-8 and without a byte order mark.
fn without_byte_order(bytes: &[u8]) -> Cow<'_, [u8]> {
    let decode = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.as_chunks().0.iter().map(|bytes| unit(*bytes)).collect();
        Cow::Owned(String::from_utf16_lossy(&units).into_bytes())
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => Cow::Borrowed(rest),
        _ if bytes.len() > MAX_UTF16_BYTES => Cow::Borrowed(bytes),
        [0xff, 0xfe, rest @ ..] => decode(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => decode(rest, u16::from_be_bytes),
        _ => Cow::Borrowed(bytes),
    }
}

/// The text with quotes around every `NaN`, `Infinity` and `-Infinity` that is not in a string;
/// nothing if there is none.
fn with_quoted_numbers(text: &[u8]) -> Option<Vec<u8>> {
    const NAMES: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    let mut quoted = Vec::with_capacity(text.len() + 64);
    let (mut at, mut is_string, mut is_changed) = (0, false, false);
    while at < text.len() {
        let name = NAMES.into_iter().find(|name| !is_string && text[at..].starts_with(name));
        if let Some(name) = name {
            quoted.push(b'"');
            quoted.extend(name);
            quoted.push(b'"');
            at += name.len();
            is_changed = true;
            continue;
        }
        let len = match text[at] {
            b'\\' if is_string => 2,
            b'"' => {
                is_string = !is_string;
                1
            }
            _ => 1,
        };
        let end = text.len().min(at + len);
        quoted.extend(&text[at..end]);
        at = end;
    }
    is_changed.then_some(quoted)
}

/// What is wrong with JSON, with line and column.
pub(super) fn malformed(error: &serde_json::Error) -> Fault {
    let found = printable(&error.to_string());
    let found = match error.classify() {
        serde_json::error::Category::Eof => {
            format!("that it ends early ({found}): download the file again")
        }
        _ => found,
    };
    Fault::malformed("JSON", "a well-formed object", found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_python_writes_are_read() {
        let text = br#"{"a": NaN, "b": [-Infinity, Infinity], "c": "NaN \" Infinity", "d": 20.0}"#;
        let object = Object::parse(text).expect("an object");
        assert_eq!(object.get("a"), Some(&Value::from("NaN")));
        assert_eq!(object.get("b"), Some(&Value::from(vec!["-Infinity", "Infinity"])));
        assert_eq!(object.get("c"), Some(&Value::from("NaN \" Infinity")));
        assert_eq!(object.unsigned("d").expect("whole").expect("there").value, 20);
        assert_eq!(object.signed("d").expect("whole").expect("there").value, 20);
        let error = object.float("a").expect_err("no number").to_string();
        assert_eq!(error, "key a: expected a number, found \"NaN\"");
    }

    #[test]
    fn byte_order_marks_are_left_out() {
        let utf16 = |unit: fn(u16) -> [u8; 2]| {
            "\u{feff}{\"a\": 1}".encode_utf16().flat_map(unit).collect::<Vec<u8>>()
        };
        for bytes in [
            "\u{feff}{\"a\": 1}".as_bytes().to_vec(),
            utf16(u16::to_le_bytes),
            utf16(u16::to_be_bytes),
        ] {
            let object = Object::parse(&bytes).expect("an object");
            assert_eq!(object.get("a"), Some(&Value::from(1)), "{bytes:?}");
        }
    }
}
