//! Keys and values of a GGUF file.

use std::collections::HashMap;

use super::super::error::Fault;
use super::reader::Reader;
use crate::printable::printable;

/// Keys of a file; models have 20 to 60.
const MAX_KEYS: u64 = 4096;
/// Strings in all arrays together; Qwen2.5 has 152,000 tokens and 151,000 merges.
const MAX_STRINGS: u64 = 1 << 19;
/// The shortest key: its length, one letter, the type, a value of one byte.
const MIN_KEY_BYTES: u64 = 8 + 1 + 4 + 1;

/// The types of GGUF values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

impl ValueType {
    fn from_id(id: u32, key: &str) -> Result<ValueType, Fault> {
        const BY_ID: [ValueType; 13] = [
            ValueType::U8,
            ValueType::I8,
            ValueType::U16,
            ValueType::I16,
            ValueType::U32,
            ValueType::I32,
            ValueType::F32,
            ValueType::Bool,
            ValueType::String,
            ValueType::Array,
            ValueType::U64,
            ValueType::I64,
            ValueType::F64,
        ];
        let known = usize::try_from(id).ok().and_then(|index| BY_ID.get(index));
        known
            .copied()
            .ok_or_else(|| Fault::key(key, "a value type from 0 to 12", format!("value type {id}")))
    }

    /// The fewest bytes a value takes.
    fn minimum_bytes(self) -> u64 {
        match self {
            ValueType::U8 | ValueType::I8 | ValueType::Bool => 1,
            ValueType::U16 | ValueType::I16 => 2,
            ValueType::U32 | ValueType::I32 | ValueType::F32 => 4,
            ValueType::U64 | ValueType::I64 | ValueType::F64 | ValueType::String => 8,
            ValueType::Array => 12,
        }
    }

    fn name(self) -> &'static str {
        match self {
            ValueType::U8 => "u8",
            ValueType::I8 => "i8",
            ValueType::U16 => "u16",
            ValueType::I16 => "i16",
            ValueType::U32 => "u32",
            ValueType::I32 => "i32",
            ValueType::F32 => "f32",
            ValueType::Bool => "bool",
            ValueType::String => "string",
            ValueType::Array => "array",
            ValueType::U64 => "u64",
            ValueType::I64 => "i64",
            ValueType::F64 => "f64",
        }
    }
}

/// A value of a key, in a form that suits every key that is read here.
#[derive(Debug)]
enum Value {
    /// Any integer type.
    Integer(i128),
    /// Either float type.
    Float(f64),
    Bool(bool),
    String(String),
    Strings(Vec<String>),
    /// An array of anything else, as stored.
    Array {
        element: ValueType,
        bytes: Vec<u8>,
    },
}

impl Value {
    fn describe(&self) -> String {
        match self {
            Value::Integer(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::String(value) => format!("\"{}\"", printable(value)),
            Value::Strings(_) => "an array of string".to_string(),
            Value::Array { element, .. } => format!("an array of {}", element.name()),
        }
    }
}

/// The keys and values of one file.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    values: HashMap<String, Value>,
}

impl Metadata {
    /// Reads `count` keys.
    pub fn read(reader: &mut Reader<'_>, count: usize) -> Result<Metadata, Fault> {
        let mut metadata = Metadata::default();
        let mut strings_left = MAX_STRINGS;
        for index in 0..count {
            let key = reader.string(&format!("name of key {index}"))?;
            if key.is_empty() {
                let item = format!("name of key {index}");
                return Err(Fault::malformed(item, "a name", "an empty one"));
            }
            let value = read_value(reader, &key, &mut strings_left)?;
            if metadata.values.contains_key(&key) {
                return Err(Fault::key(&key, "a key once", "the key again"));
            }
            metadata.values.insert(key, value);
        }
        Ok(metadata)
    }

    /// The count of keys, as the header states it.
    pub fn read_count(reader: &mut Reader<'_>) -> Result<usize, Fault> {
        reader.count("number of keys", MIN_KEY_BYTES, MAX_KEYS)
    }

    /// Every key that starts with `prefix`, in no particular order.
    pub fn keys_under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.keys().map(String::as_str).filter(move |key| key.starts_with(prefix))
    }

    /// An integer that is not negative.
    pub fn unsigned(&self, key: &str) -> Result<Option<u64>, Fault> {
        self.get(key, "an integer from 0 on", |value| match value {
            Value::Integer(value) => u64::try_from(*value).ok(),
            _ => None,
        })
    }

    pub fn float(&self, key: &str) -> Result<Option<f64>, Fault> {
        self.get(key, "a float", |value| match value {
            Value::Float(value) => Some(*value),
            _ => None,
        })
    }

    /// A number of any type.
    pub fn number(&self, key: &str) -> Result<Option<f64>, Fault> {
        self.get(key, "a number", |value| match value {
            Value::Integer(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            _ => None,
        })
    }

    pub fn bool(&self, key: &str) -> Result<Option<bool>, Fault> {
        self.get(key, "a bool", |value| match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        })
    }

    pub fn string(&self, key: &str) -> Result<Option<&str>, Fault> {
        self.get(key, "a string", |value| match value {
            Value::String(value) => Some(value.as_str()),
            _ => None,
        })
    }

    /// Takes an array of strings out.
    pub fn take_strings(&mut self, key: &str) -> Result<Vec<String>, Fault> {
        match self.values.remove(key) {
            Some(Value::Strings(strings)) => Ok(strings),
            Some(other) => Err(Fault::key(key, "an array of string", other.describe())),
            None => Err(missing(key, "an array of string")),
        }
    }

    pub fn i32s(&self, key: &str) -> Result<Option<Vec<i32>>, Fault> {
        let decode = |bytes: [u8; 4]| i32::from_le_bytes(bytes);
        self.numbers(key, ValueType::I32, decode)
    }

    pub fn f32s(&self, key: &str) -> Result<Option<Vec<f32>>, Fault> {
        let decode = |bytes: [u8; 4]| f32::from_le_bytes(bytes);
        self.numbers(key, ValueType::F32, decode)
    }

    fn numbers<T>(
        &self,
        key: &str,
        wanted: ValueType,
        decode: impl Fn([u8; 4]) -> T,
    ) -> Result<Option<Vec<T>>, Fault> {
        self.get(key, &format!("an array of {}", wanted.name()), |value| match value {
            Value::Array { element, bytes } if *element == wanted => {
                let values = bytes.chunks_exact(4);
                Some(values.map(|bytes| decode(bytes.try_into().expect("4 bytes"))).collect())
            }
            _ => None,
        })
    }

    fn get<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        convert: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        match convert(value) {
            Some(converted) => Ok(Some(converted)),
            None => Err(Fault::key(key, expected, value.describe())),
        }
    }
}

/// A key that a model cannot do without.
pub(super) fn missing(key: &str, expected: &str) -> Fault {
    Fault::key(key, expected, "no such key")
}

fn read_value(reader: &mut Reader<'_>, key: &str, strings_left: &mut u64) -> Result<Value, Fault> {
    let item = format!("value of key {}", printable(key));
    let kind = ValueType::from_id(reader.u32(&item)?, key)?;
    match kind {
        ValueType::String => reader.string(&item).map(Value::String),
        ValueType::Array => read_array(reader, key, strings_left),
        _ => {
            let bytes = reader.take(kind.minimum_bytes(), &item)?;
            scalar(kind, bytes).map_err(|found| Fault::key(key, "a bool of 0 or 1", found))
        }
    }
}

/// Decodes a number or bool. The error is the byte of a bool that is neither 0 nor 1.
fn scalar(kind: ValueType, bytes: &[u8]) -> Result<Value, String> {
    let mut padded = [0; 8];
    padded[..bytes.len()].copy_from_slice(bytes);
    let bits = u64::from_le_bytes(padded);
    Ok(match kind {
        ValueType::U8 | ValueType::U16 | ValueType::U32 | ValueType::U64 => {
            Value::Integer(i128::from(bits))
        }
        ValueType::I8 => Value::Integer(i128::from(bits as u8 as i8)),
        ValueType::I16 => Value::Integer(i128::from(bits as u16 as i16)),
        ValueType::I32 => Value::Integer(i128::from(bits as u32 as i32)),
        ValueType::I64 => Value::Integer(i128::from(bits as i64)),
        ValueType::F32 => Value::Float(f64::from(f32::from_bits(bits as u32))),
        ValueType::F64 => Value::Float(f64::from_bits(bits)),
        ValueType::Bool if bits <= 1 => Value::Bool(bits == 1),
        ValueType::Bool => return Err(bits.to_string()),
        ValueType::String | ValueType::Array => unreachable!("read by their own functions"),
    })
}

fn read_array(reader: &mut Reader<'_>, key: &str, strings_left: &mut u64) -> Result<Value, Fault> {
    let item = format!("value of key {}", printable(key));
    let element = ValueType::from_id(reader.u32(&item)?, key)?;
    if element == ValueType::Array {
        // Nothing uses arrays of arrays, and their depth would have to be bounded.
        return Err(Fault::key(key, "an array of numbers or strings", "an array of array"));
    }
    let length = format!("length of the array at key {}", printable(key));
    let limit = if element == ValueType::String { *strings_left } else { u64::MAX };
    let count = reader.count(&length, element.minimum_bytes(), limit)?;
    if element == ValueType::String {
        *strings_left -= count as u64;
        let mut strings = Vec::with_capacity(count);
        for _ in 0..count {
            strings.push(reader.string(&item)?);
        }
        return Ok(Value::Strings(strings));
    }
    let bytes = reader.take(count as u64 * element.minimum_bytes(), &item)?.to_vec();
    Ok(Value::Array { element, bytes })
}
