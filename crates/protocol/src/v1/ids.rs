//! Names of conversations and messages that nobody can guess.

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// How many characters an id has: 25 of 5 bits, and one with the last 3 of 128 bits.
const CHARACTERS: usize = 26;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// The last character has 2 bits more than are left. They are 0, so that every id is written in
/// one way only.
const SPARE_BITS: u32 = 2;

/// 128 random bits, written as 26 characters of `a-z` and `2-7`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Id(u128);

/// A text that is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 26 characters of a-z and 2-7")]
pub struct BadId;

impl Id {
    fn read(text: &str) -> Option<Id> {
        let (last, first) = text.as_bytes().split_last()?;
        if first.len() != CHARACTERS - 1 {
            return None;
        }
        let mut bits = 0;
        for character in first {
            bits = bits << 5 | value_of(*character)?;
        }
        let last = value_of(*last)?;
        let spare_is_zero = last.trailing_zeros() >= SPARE_BITS;
        spare_is_zero.then_some(Id(bits << (5 - SPARE_BITS) | last >> SPARE_BITS))
    }

    fn write(self) -> [u8; CHARACTERS] {
        let mut text = [0; CHARACTERS];
        let last = (self.0 << SPARE_BITS) & 31;
        let mut rest = self.0 >> (5 - SPARE_BITS);
        text[CHARACTERS - 1] = ALPHABET[last as usize];
        for character in text[..CHARACTERS - 1].iter_mut().rev() {
            *character = ALPHABET[(rest & 31) as usize];
            rest >>= 5;
        }
        text
    }
}

/// The five bits that a character stands for.
fn value_of(character: u8) -> Option<u128> {
    match character {
        b'a'..=b'z' => Some(u128::from(character - b'a')),
        b'2'..=b'7' => Some(u128::from(character - b'2' + 26)),
        _ => None,
    }
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.write();
        formatter.pad(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
    }
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = Id;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an id of 26 characters of a-z and 2-7")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Id, E> {
        Id::read(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

macro_rules! id {
    ($name:ident, $about:literal) => {
        #[doc = $about]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Id);

        impl $name {
            /// An id of these bits. They have to be random: whoever knows an id is not trusted
            /// for it, but nobody should find one by trying.
            pub const fn from_bits(bits: u128) -> $name {
                $name(Id(bits))
            }

            /// The bits.
            pub fn bits(self) -> u128 {
                self.0.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<$name, BadId> {
                Id::read(text).map($name).ok_or(BadId)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                deserializer.deserialize_str(IdVisitor).map($name)
            }
        }

        #[cfg(test)]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                // Of the last character's five bits only three count, and the others are 0.
                schemars::json_schema!({
                    "type": "string",
                    "pattern": "^[a-z2-7]{25}[aeimquy4]$"
                })
            }
        }

        #[cfg(test)]
        impl ts_rs::TS for $name {
            type WithoutGenerics = Self;
            type OptionInnerType = Self;

            fn docs() -> Option<String> {
                Some(concat!("/** ", $about, " */\n").into())
            }

            fn decl(_: &ts_rs::Config) -> String {
                concat!("type ", stringify!($name), " = string;").into()
            }

            fn name(_: &ts_rs::Config) -> String {
                stringify!($name).into()
            }

            fn inline(_: &ts_rs::Config) -> String {
                "string".into()
            }
        }
    };
}

id!(ConversationId, "Names a conversation.");
id!(MessageId, "Names a message, and so also an answer.");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_has_one_form() {
        assert_eq!(MessageId::from_bits(0).to_string(), "a".repeat(26));
        assert_eq!(MessageId::from_bits(u128::MAX).to_string(), format!("{}4", "7".repeat(25)));
        assert_eq!(MessageId::from_bits(1).to_string(), format!("{}e", "a".repeat(25)));
        let wrong = [
            String::new(),
            "a".repeat(25),
            "a".repeat(27),
            "A".repeat(26),
            format!("{}b", "a".repeat(25)),
            format!("{}1", "a".repeat(25)),
            format!("{}ä", "a".repeat(24)),
            format!(" {}", "a".repeat(25)),
        ];
        for text in wrong {
            assert_eq!(text.parse::<MessageId>(), Err(BadId), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_id_comes_back_unchanged(bits: u128) {
            let id = ConversationId::from_bits(bits);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(id.bits(), bits);
        }
    }
}
