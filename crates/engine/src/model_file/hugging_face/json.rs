//! JSON objects whose values errors can name.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::super::config::Stated;
use super::super::error::Fault;
use crate::printable::printable;

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
                while let Some((key, value)) = entries.next_entry::<String, Value>()? {
                    if values.contains_key(&key) {
                        let key = printable(&key);
                        return Err(A::Error::custom(format!(
                            "key {key}: expected once, found twice"
                        )));
                    }
                    values.insert(key, value);
                }
                Ok(Object { prefix: String::new(), values })
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

impl Object {
    /// Parses a whole file.
    pub fn parse(bytes: &[u8]) -> Result<Object, Fault> {
        serde_json::from_slice(bytes).map_err(|error| malformed(&error))
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
        self.stated(key, "an integer from 0 on", Value::as_u64)
    }

    /// An integer of any sign.
    pub fn signed(&self, key: &str) -> Result<Option<Stated<i64>>, Fault> {
        self.stated(key, "an integer", Value::as_i64)
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

/// What `serde_json` says, which names line and column.
pub(super) fn malformed(error: &serde_json::Error) -> Fault {
    Fault::malformed("JSON", "a well-formed object", printable(&error.to_string()))
}
