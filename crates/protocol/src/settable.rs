//! A field for which "missing" and `null` mean different things.

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// A field for which "missing" and `null` mean different things.
///
/// It needs `#[serde(default, skip_serializing_if = "Settable::is_missing")]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Settable<T> {
    /// The field is missing.
    #[default]
    Missing,
    /// The field is `null`.
    Null,
    /// The field has a value.
    Value(T),
}

impl<T> Settable<T> {
    /// Whether the field is missing.
    pub fn is_missing(&self) -> bool {
        matches!(self, Settable::Missing)
    }

    /// `None` if the field is missing, and `Some(None)` if it is `null`.
    pub fn change(self) -> Option<Option<T>> {
        match self {
            Settable::Missing => None,
            Settable::Null => Some(None),
            Settable::Value(value) => Some(Some(value)),
        }
    }
}

impl<T: Serialize> Serialize for Settable<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Settable::Missing | Settable::Null => serializer.serialize_none(),
            Settable::Value(value) => serializer.serialize_some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Settable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Settable<T>, D::Error> {
        deserializer.deserialize_option(SettableVisitor(PhantomData))
    }
}

struct SettableVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SettableVisitor<T> {
    type Value = Settable<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value or null")
    }

    fn visit_unit<E: Error>(self) -> Result<Settable<T>, E> {
        Ok(Settable::Missing)
    }

    fn visit_none<E: Error>(self) -> Result<Settable<T>, E> {
        Ok(Settable::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Settable<T>, D::Error> {
        T::deserialize(deserializer).map(Settable::Value)
    }
}
