//! The plain language of `/ws`: JSON in, bare text out, an empty frame after every answer.
//!
//! A new request field: its place in `raw.rs`, its range in `request.rs`, one row in the tests.

mod raw;
mod request;
#[cfg(test)]
mod tests;

pub use request::{
    Ask, ClientMessage, DEFAULT_MAX_TOKENS, Delivery, PARAMETERS, Parameters, Role, Turn, parse,
};

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// The frame that ends every answer.
pub const END: &str = "";

/// Splits a piece of an answer that a client would mistake for an error frame.
///
/// Clients recognise an error as a frame that parses as an object with the only key `error`. A model
/// may write exactly that; sent in two frames, neither half parses as such an object.
pub fn split_lookalike(piece: &str) -> Option<(&str, &str)> {
    if !looks_like_error(piece) {
        return None;
    }
    // After the brace and not before it: what stands before may be white space, and the rest
    // would still parse.
    let brace = piece.find('{').expect("what parses as an object has a brace");
    Some(piece.split_at(brace + 1))
}

fn looks_like_error(piece: &str) -> bool {
    let trimmed = piece.trim_matches([' ', '\t', '\n', '\r']);
    if !trimmed.starts_with('{') || !trimmed.ends_with('}') {
        return false;
    }
    let mut parser = serde_json::Deserializer::from_str(trimmed);
    let only_error = (&mut parser).deserialize_map(OnlyErrorKey);
    only_error.unwrap_or(false) && parser.end().is_ok()
}

/// Whether every key of an object is `error`; values are skipped without recursion.
struct OnlyErrorKey;

impl<'de> Visitor<'de> for OnlyErrorKey {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut keys = 0;
        let mut only_error = true;
        while let Some(key) = map.next_key::<String>()? {
            only_error &= key == "error";
            keys += 1;
            map.next_value::<IgnoredAny>()?;
        }
        Ok(only_error && keys > 0)
    }
}
