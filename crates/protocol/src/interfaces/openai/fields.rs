//! Fields that several requests have.

use crate::json::null_as_default;
use crate::ranges;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// How many answers a request may want.
const MAX_COUNT: RangeInclusive<u64> = 1..=16;

/// How a stream is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct StreamOptions {
    /// Whether its last event tells the numbers of tokens.
    #[serde(deserialize_with = "null_as_default")]
    pub include_usage: bool,
}

pub(super) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    ranges::whole_u32(from, MAX_COUNT)
}

/// Token ids as strings, each with its bias.
pub(super) fn logit_bias<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(u32, f32)>, D::Error> {
    let sent: Option<BTreeMap<String, ranges::Bias>> = Option::deserialize(from)?;
    let read = |(id, bias): (String, ranges::Bias)| match id.parse() {
        Ok(id) => Ok((id, bias.0)),
        Err(_) => Err(D::Error::custom("token ids as keys, in decimal digits")),
    };
    sent.unwrap_or_default().into_iter().map(read).collect()
}
