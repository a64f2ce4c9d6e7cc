//! Reads JSON into a tree, without checking its meaning.
//!
//! It is stricter than `serde_json::Value`. A key that occurs twice is an error, because two
//! readers of the same bytes must not understand different requests. The number of values is
//! limited, because a list of single digits takes sixteen times its own bytes in memory. The parser
//! limits the depth.

use indexmap::IndexMap;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

/// How many values one text may have. A text with more is refused. An entry of a history has three.
const MAX_VALUES: usize = 65_536;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// A whole number, 0 or more.
    Whole(u64),
    /// A whole number below 0.
    Negative(i64),
    /// Any other number.
    Number(f64),
    Text(String),
    List(Vec<Value>),
    /// In a box, because it would make each value of a list twice as large.
    Object(Box<Object>),
}

/// Its keys keep their order: in a schema it is the order of an answer's fields.
pub(crate) type Object = IndexMap<String, Value>;

/// Reads one JSON value. Nothing may follow it.
pub(crate) fn read(text: &str) -> Result<Value, serde_json::Error> {
    let remaining = Cell::new(MAX_VALUES);
    let mut parser = serde_json::Deserializer::from_str(text);
    let value = Reader { remaining: &remaining }.deserialize(&mut parser)?;
    parser.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    remaining: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.remaining.get().checked_sub(1);
        let left = left.ok_or_else(|| {
            D::Error::custom(format_args!(
                "expected at most {MAX_VALUES} values in one request, found more"
            ))
        })?;
        self.remaining.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Whole(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::Negative(value), Value::Whole))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Object::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!(
                    "expected each key once, found {} twice",
                    shorten(&key)
                )));
            }
            let value = map.next_value_seed(self)?;
            object.insert(key, value);
        }
        Ok(Value::Object(Box::new(object)))
    }
}

impl Value {
    /// A field of an object.
    pub(crate) fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Object(object) => object.get(name),
            _ => None,
        }
    }
}

/// A value in the form for an error message: JSON, shortened to a few dozen characters.
pub(crate) fn show(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Whole(value) => value.to_string(),
        Value::Negative(value) => value.to_string(),
        // Without an exponent 1e308 takes 309 digits, and 1e-300 takes 301.
        Value::Number(value) if *value != 0.0 && !(1e-5..1e15).contains(&value.abs()) => {
            format!("{value:e}")
        }
        Value::Number(value) => value.to_string(),
        Value::Text(text) => shorten(text),
        Value::List(values) => format!("a list of {}", values.len()),
        Value::Object(_) => "an object".into(),
    }
}

/// A string in quotes, with control characters escaped, shortened to 40 characters.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
