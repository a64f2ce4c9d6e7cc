//! The plain language of `/ws`: JSON in, bare text out, an empty frame after every answer.
//!
//! To add a field of requests: its range in `request.rs`, and one row in the tests.

mod end;
mod request;
#[cfg(test)]
mod tests;

pub use crate::ranges::{DEFAULT_MAX_TOKENS, PARAMETERS};
pub use end::{AnswerEnd, fault_of_end, thinking_frame};
pub use request::{Ask, ClientMessage, Delivery, Reports, parse};

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// The frame that ends every answer.
pub const END: &str = "";

/// Splits text of an answer that a client would mistake for a frame about the answer.
///
/// Clients recognise an error as a frame that is an object with the only key `error`, and the
/// reports that they have asked for by the only key `end` or `thinking`. A model may write exactly
/// that. Sent in two frames, neither half is such an object.
pub fn split_lookalike(piece: &str, reports: Reports) -> Option<(&str, &str)> {
    if !looks_like_a_report(piece, reports) {
        return None;
    }
    // After the brace and not before it: before it there may be only white space, and the rest
    // would still be such an object.
    let brace = piece.find('{').expect("what parses as an object has a brace");
    Some(piece.split_at(brace + 1))
}

fn looks_like_a_report(piece: &str, reports: Reports) -> bool {
    let trimmed = piece.trim_matches([' ', '\t', '\n', '\r']);
    if !trimmed.starts_with('{') || !trimmed.ends_with('}') {
        return false;
    }
    let mut parser = serde_json::Deserializer::from_str(trimmed);
    let only_such_keys = (&mut parser).deserialize_map(OnlyReportKeys(reports));
    only_such_keys.unwrap_or(false) && parser.end().is_ok()
}

/// Whether all keys of an object are keys of reports. Values are skipped without recursion.
struct OnlyReportKeys(Reports);

impl OnlyReportKeys {
    fn contains(&self, key: &str) -> bool {
        match key {
            "error" => true,
            "end" => self.0.end,
            "thinking" => self.0.thinking,
            _ => false,
        }
    }
}

impl<'de> Visitor<'de> for OnlyReportKeys {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut keys = 0;
        let mut only_such_keys = true;
        while let Some(key) = map.next_key::<String>()? {
            only_such_keys &= self.contains(&key);
            keys += 1;
            map.next_value::<IgnoredAny>()?;
        }
        Ok(only_such_keys && keys > 0)
    }
}
