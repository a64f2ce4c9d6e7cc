//! Fields that several requests have.

use crate::Fault;
use crate::json::{Mistake, Value as Tree, null_as_default, tree};
use crate::ranges::{self, PARAMETERS};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use tree::Object;

/// Without a limit of its own, an answer may fill the context.
pub(super) const AS_MANY_AS_THERE_IS_ROOM_FOR: u32 = 1_000_000;
/// How many answers a request may want.
const MAX_COUNT: RangeInclusive<u64> = 1..=16;
const MAX_TOP_LOGPROBS: RangeInclusive<u64> = 0..=20;

/// How a stream is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct StreamOptions {
    /// Whether its last event tells the numbers of tokens.
    #[serde(deserialize_with = "null_as_default")]
    pub include_usage: bool,
}

/// The body of a request: the parameters that every language has, and the other fields.
pub(super) fn split(body: &str) -> Result<(Tree, Tree), Fault> {
    let value = tree::read(body).map_err(|error| Fault::BadJson { reason: error.to_string() })?;
    let Tree::Object(object) = value else {
        let reason = format!("expected an object, found {}", tree::show(&value));
        return Err(Fault::BadJson { reason });
    };
    let (parameters, others): (Object, Object) =
        object.into_iter().partition(|(name, _)| PARAMETERS.contains(&name.as_str()));
    Ok((Tree::Object(parameters), Tree::Object(others)))
}

/// A field that does not fit the other fields.
pub(super) struct Unfit {
    pub(super) field: &'static str,
    pub(super) expected: &'static str,
}

impl Unfit {
    /// The mistake in a request with these fields.
    pub(super) fn in_request(self, fields: &Tree) -> Mistake {
        Mistake::new(self.field, self.expected, fields.field(self.field).unwrap_or(&Tree::Null))
    }
}

pub(super) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    ranges::whole_u32(from, MAX_COUNT)
}

pub(super) fn top_logprobs<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    ranges::whole_u32(from, MAX_TOP_LOGPROBS)
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
