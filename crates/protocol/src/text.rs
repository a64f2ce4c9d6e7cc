//! Strings whose length is limited.

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A string of `LEAST` to `MOST` bytes of UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Text<const LEAST: usize, const MOST: usize>(String);

impl<const LEAST: usize, const MOST: usize> Text<LEAST, MOST> {
    /// The longest one, in bytes.
    pub const MAX_BYTES: usize = MOST;

    /// The text, if its length is in the range.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (LEAST..=MOST).contains(&text.len()).then_some(Text(text))
    }

    /// The string.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The string.
    pub fn into_string(self) -> String {
        self.0
    }

    pub(crate) fn check<E: Error>(text: &str) -> Result<Self, E> {
        let wrong = || E::invalid_value(Unexpected::Str(text), &TextVisitor::<LEAST, MOST>);
        Self::new(text).ok_or_else(wrong)
    }
}

impl<'de, const LEAST: usize, const MOST: usize> Deserialize<'de> for Text<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor<const LEAST: usize, const MOST: usize>;

impl<const LEAST: usize, const MOST: usize> Visitor<'_> for TextVisitor<LEAST, MOST> {
    type Value = Text<LEAST, MOST>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (LEAST, MOST) {
            (1, usize::MAX) => formatter.write_str("a string that is not empty"),
            (0, most) => write!(formatter, "a string of at most {most} bytes"),
            (least, most) => write!(formatter, "a string of {least} to {most} bytes"),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Text::check(text)
    }
}

#[cfg(test)]
mod description {
    use super::Text;
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
    use std::borrow::Cow;
    use ts_rs::{Config, TS};

    impl<const LEAST: usize, const MOST: usize> TS for Text<LEAST, MOST> {
        type WithoutGenerics = Self;
        type OptionInnerType = Self;

        fn name(config: &Config) -> String {
            String::name(config)
        }

        fn inline(config: &Config) -> String {
            String::inline(config)
        }
    }

    impl<const LEAST: usize, const MOST: usize> JsonSchema for Text<LEAST, MOST> {
        fn schema_name() -> Cow<'static, str> {
            "Text".into()
        }

        fn inline_schema() -> bool {
            true
        }

        /// The schema counts characters. A text of that many bytes has no more of them.
        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            let mut schema = json_schema!({ "type": "string" });
            if LEAST > 0 {
                schema.insert("minLength".into(), LEAST.into());
            }
            if MOST < usize::MAX {
                schema.insert("maxLength".into(), MOST.into());
            }
            schema
        }
    }
}
