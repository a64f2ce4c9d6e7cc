//! Names of what is stored.
//!
//! Conversations and messages are known to clients by 128 random bits, written as 26 lower-case
//! letters and digits. Inside the store, rows have numbers that are counted up and never used
//! again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const ID_CHARS: usize = 26;

/// A text is not an id: it isn't 26 characters of `a-z2-7` that stand for 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 26 characters of a-z and 2-7")]
pub struct BadId;

fn random() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    u128::from_be_bytes(bytes)
}

fn encode(bits: u128) -> String {
    // Five bits a character, the highest first; the last character has three bits and two zeros.
    let group = |index: usize| match 128 - 5 * (index + 1) as i32 {
        shift if shift >= 0 => bits >> shift,
        _ => bits << 2,
    };
    (0..ID_CHARS).map(|index| char::from(ALPHABET[(group(index) & 31) as usize])).collect()
}

fn decode(text: &str) -> Result<u128, BadId> {
    if text.len() != ID_CHARS {
        return Err(BadId);
    }
    let mut bits = 0u128;
    for (index, byte) in text.bytes().enumerate() {
        let value = ALPHABET.iter().position(|letter| *letter == byte).ok_or(BadId)? as u128;
        bits = match index {
            25 if value & 3 != 0 => return Err(BadId),
            25 => (bits << 3) | (value >> 2),
            _ => (bits << 5) | value,
        };
    }
    Ok(bits)
}

macro_rules! public_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u128);

        impl $name {
            /// Makes a new one from 128 random bits.
            pub fn random() -> Self {
                Self(random())
            }

            /// The id of these bits.
            pub fn from_bits(bits: u128) -> Self {
                Self(bits)
            }

            /// The bits.
            pub fn bits(self) -> u128 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                decode(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl rusqlite::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                Ok(self.to_string().into())
            }
        }

        impl rusqlite::types::FromSql for $name {
            fn column_result(
                value: rusqlite::types::ValueRef<'_>,
            ) -> rusqlite::types::FromSqlResult<Self> {
                let text = value.as_str()?;
                text.parse().map_err(|bad| rusqlite::types::FromSqlError::Other(Box::new(bad)))
            }
        }
    };
}

public_id!(
    /// The public id of a conversation.
    ConversationId
);
public_id!(
    /// The public id of a message. An answer is a message, so this is also an answer's id.
    MessageId
);

macro_rules! row_number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub(crate) i64);

        impl $name {
            /// The number.
            pub fn get(self) -> u64 {
                self.0.unsigned_abs()
            }

            /// The one with this number, for tests without a store.
            pub fn of_number(number: u32) -> Self {
                Self(number.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl rusqlite::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                Ok(self.0.into())
            }
        }

        impl rusqlite::types::FromSql for $name {
            fn column_result(
                value: rusqlite::types::ValueRef<'_>,
            ) -> rusqlite::types::FromSqlResult<Self> {
                value.as_i64().map(Self)
            }
        }
    };
}

row_number!(
    /// The number of a user. It begins at 1 and is never used again.
    UserId
);

impl UserId {
    /// No user: one who has nothing and may not make anything.
    pub const NOBODY: UserId = UserId(0);
}

row_number!(
    /// The number by which the engine knows a conversation. It begins at 1 and is never used again.
    ConversationNumber
);
row_number!(
    /// The place of a message in the order in which all messages were stored. It begins at 1, only
    /// grows, and is never used again; clocks have no influence on it.
    MessageSeq
);

/// The hash of a secret: of a key, of a session's token, or of what tells a user from others.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretHash(pub [u8; 32]);

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

impl rusqlite::ToSql for SecretHash {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(rusqlite::types::ToSqlOutput::from(&self.0[..]))
    }
}

impl rusqlite::types::FromSql for SecretHash {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        <[u8; 32]>::column_result(value).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_26_characters_and_is_read_back() {
        for bits in [0, 1, u128::MAX, u128::MAX - 1, 1 << 127, 0x0123_4567_89ab_cdef] {
            let text = encode(bits);
            assert_eq!(text.len(), ID_CHARS);
            assert_eq!(decode(&text), Ok(bits), "{text}");
        }
        assert_eq!(encode(0), "a".repeat(26));
    }

    #[test]
    fn a_text_that_no_id_has_is_refused() {
        let good = ConversationId::random().to_string();
        let cases = [
            "",
            "a",
            &good.to_uppercase(),
            &good[1..],
            &format!("{good}a"),
            &format!("{}1", &good[..25]),
            &format!("{}b", &good[..25]),
            "ääääääääääääa",
        ];
        for case in cases {
            assert_eq!(case.parse::<ConversationId>(), Err(BadId), "{case}");
        }
    }
}
