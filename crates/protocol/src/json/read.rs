//! Makes a type that derives `Deserialize` out of a [`Value`], and says what is wrong where.
//!
//! It differs from the reader of `serde_json` in what it reports: a [`Mistake`] has the path of the
//! value, what was expected and what was found in separate fields. An object is read as a struct
//! only, never as a list. Every field that a struct has and the object lacks is offered to the
//! struct as a missing value: it is none for an `Option`, and for other types a mistake that says
//! what was expected.

#[cfg(test)]
use super::seen;
use super::tree::{Object, Value, show};
use indexmap::map;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Error, Expected, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use std::fmt;
use std::iter::Enumerate;
use std::slice;

/// Reads a tree as a type.
pub(crate) fn read<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, Mistake> {
    let root = Node::Present(value);
    T::deserialize(root).map_err(|mistake| mistake.at(root))
}

/// Reads `null` as the default value.
pub(crate) fn null_as_default<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The path of the value: `parameters.stop[3]`. Empty for the whole.
    pub(crate) field: String,
    /// The type or range that would have been accepted.
    pub(crate) expected: String,
    /// What stands there.
    pub(crate) found: Found,
}

/// What stands in the place of a value that was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Not known yet: the reader of the value adds it.
    Unseen,
    /// Nothing: the field is missing.
    Nothing,
    /// This value, as JSON, shortened if it is long.
    Value(String),
}

impl Mistake {
    /// A mistake about a field whose value is read already.
    pub(crate) fn new(field: &str, expected: impl fmt::Display, found: &Value) -> Mistake {
        let expected = expected.to_string();
        Mistake { field: field.into(), expected, found: Found::Value(show(found)) }
    }

    /// A mistake about a field that is missing in the value at `place`, or should be.
    pub(crate) fn missing(place: &str, field: &str, expected: String) -> Mistake {
        Mistake { field: format!("{place}.{field}"), expected, found: Found::Nothing }
    }

    fn expected(expected: impl fmt::Display) -> Mistake {
        Mistake { field: String::new(), expected: expected.to_string(), found: Found::Unseen }
    }

    /// Adds what was found, unless a value inside this one has done so.
    fn at(mut self, node: Node<'_>) -> Mistake {
        if self.found == Found::Unseen {
            self.found = match node {
                Node::Missing => Found::Nothing,
                Node::Present(value) => Found::Value(show(value)),
            };
        }
        self
    }

    /// Puts the name of the surrounding field, or the index in the surrounding list, before the
    /// path.
    fn inside(mut self, outer: &str) -> Mistake {
        self.field = joined(outer, &self.field);
        self
    }
}

/// The path of a value inside a field, or inside an entry of a list.
pub(super) fn joined(outer: &str, inner: &str) -> String {
    let joint = if inner.is_empty() || inner.starts_with('[') { "" } else { "." };
    format!("{outer}{joint}{inner}")
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = match &self.found {
            Found::Unseen | Found::Nothing => "nothing",
            Found::Value(value) => value,
        };
        write!(formatter, "{}: expected {}, found {found}", self.field, self.expected)
    }
}

impl std::error::Error for Mistake {}

impl Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Mistake {
        Mistake::expected(message)
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Mistake {
        Mistake::expected(expected)
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Mistake {
        Mistake::expected(expected)
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Mistake {
        Mistake::expected(expected)
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Mistake {
        let found = Found::Value("a value".into());
        let expected = "nothing: this server does not know the field".into();
        Mistake { field: field.into(), expected, found }
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Mistake {
        Mistake::expected(one_of(expected))
    }
}

/// Lists words for people: `system, user or assistant`.
pub(crate) fn one_of(words: &[&str]) -> String {
    match words {
        [before, last] => format!("{before} or {last}"),
        [first @ .., before, last] => format!("{}, {before} or {last}", first.join(", ")),
        words => words.concat(),
    }
}

/// A place in the tree.
#[derive(Clone, Copy)]
enum Node<'de> {
    Missing,
    Present(&'de Value),
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self {
            Node::Missing | Node::Present(Value::Null) => visitor.visit_unit(),
            Node::Present(Value::Bool(value)) => visitor.visit_bool(*value),
            Node::Present(Value::Whole(value)) => visitor.visit_u64(*value),
            Node::Present(Value::Negative(value)) => visitor.visit_i64(*value),
            Node::Present(Value::Number(value)) => visitor.visit_f64(*value),
            Node::Present(Value::Text(text)) => visitor.visit_borrowed_str(text),
            Node::Present(Value::List(values)) => visitor.visit_seq(Entries::of(values)),
            Node::Present(Value::Object(object)) => visitor.visit_map(Fields::of(object, &[])),
        }
    }

    /// A missing field is a unit and `null` is none. An `Option` takes both as none, and
    /// [`crate::Settable`] tells them apart.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self {
            Node::Missing => visitor.visit_unit(),
            Node::Present(Value::Null) => visitor.visit_none(),
            Node::Present(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self {
            Node::Present(Value::Bool(value)) => visitor.visit_bool(*value),
            _ => Err(Mistake::expected("true or false")),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self {
            Node::Present(Value::List(values)) => visitor.visit_seq(Entries::of(values)),
            _ => Err(Mistake::expected("a list")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        #[cfg(test)]
        seen::note(fields);
        match self {
            Node::Present(Value::Object(object)) => visitor.visit_map(Fields::of(object, fields)),
            _ => Err(Mistake::expected(&visitor as &dyn Expected)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match self {
            Node::Present(Value::Text(text)) => {
                visitor.visit_enum(BorrowedStrDeserializer::new(text))
            }
            _ => Err(Mistake::expected(one_of(variants))),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct
        tuple tuple_struct map identifier
    }
}

/// The fields of an object, and then those that a struct has beside them.
struct Fields<'de> {
    object: &'de Object,
    present: map::Iter<'de, String, Value>,
    wanted: slice::Iter<'static, &'static str>,
    next: Option<(&'de str, Node<'de>)>,
}

impl<'de> Fields<'de> {
    fn of(object: &'de Object, wanted: &'static [&'static str]) -> Fields<'de> {
        Fields { object, present: object.iter(), wanted: wanted.iter(), next: None }
    }

    fn advance(&mut self) -> Option<(&'de str, Node<'de>)> {
        if let Some((key, value)) = self.present.next() {
            return Some((key, Node::Present(value)));
        }
        let absent = self.wanted.find(|field| !self.object.contains_key(**field))?;
        Some((absent, Node::Missing))
    }
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Mistake> {
        self.next = self.advance();
        match self.next {
            Some((key, _)) => seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mistake> {
        let (key, node) = self.next.take().expect("a value is read after its key");
        #[cfg(test)]
        let _inside = seen::inside(key);
        seed.deserialize(node).map_err(|mistake| mistake.at(node).inside(key))
    }
}

/// The values of a list.
struct Entries<'de>(Enumerate<slice::Iter<'de, Value>>);

impl<'de> Entries<'de> {
    fn of(values: &'de [Value]) -> Entries<'de> {
        Entries(values.iter().enumerate())
    }
}

impl<'de> SeqAccess<'de> for Entries<'de> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Mistake> {
        let Some((index, value)) = self.0.next() else { return Ok(None) };
        let node = Node::Present(value);
        #[cfg(test)]
        let _inside = seen::inside(format!("[{index}]"));
        let read = seed.deserialize(node).map(Some);
        read.map_err(|mistake| mistake.at(node).inside(&format!("[{index}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}
