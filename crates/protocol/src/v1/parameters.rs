//! How an answer is sampled, as conversations and events carry it.

use crate::ranges;
use serde::{Deserialize, Serialize};

/// Sampling parameters. One that is missing has the value of the conversation, and if that lacks it
/// too, the model's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[cfg_attr(test, ts(optional_fields))]
#[serde(default, expecting = "an object of parameters")]
pub struct Parameters {
    /// How many tokens the answer may have; 2,048 if nothing else is said. The room in the context
    /// may allow fewer.
    #[serde(deserialize_with = "ranges::max_tokens", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(range(min = *ranges::MAX_TOKENS.start(), max = *ranges::MAX_TOKENS.end())))]
    pub max_tokens: Option<u32>,
    /// 0 always takes the likeliest token.
    #[serde(deserialize_with = "ranges::temperature", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(range(min = ranges::TEMPERATURE.least(), max = ranges::TEMPERATURE.most)))]
    pub temperature: Option<f32>,
    /// Keeps the likeliest tokens that together have this probability. It is above 0.
    #[serde(deserialize_with = "ranges::top_p", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(range(min = ranges::TOP_P.least(), max = ranges::TOP_P.most)))]
    pub top_p: Option<f32>,
    /// Keeps this many tokens; 0 keeps all.
    #[serde(deserialize_with = "ranges::top_k", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(range(min = *ranges::TOP_K.start(), max = *ranges::TOP_K.end())))]
    pub top_k: Option<u32>,
    /// Drops tokens that have less than this part of the likeliest token's probability; 0 drops
    /// none.
    #[serde(deserialize_with = "ranges::min_p", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(range(min = ranges::MIN_P.least(), max = ranges::MIN_P.most)))]
    pub min_p: Option<f32>,
    /// Makes tokens of the conversation less likely; 1.0 changes nothing.
    #[serde(
        deserialize_with = "ranges::repetition_penalty",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(test, schemars(range(min = ranges::REPETITION_PENALTY.least(), max = ranges::REPETITION_PENALTY.most)))]
    pub repetition_penalty: Option<f32>,
    /// Makes tokens that the answer has less likely.
    #[serde(
        deserialize_with = "ranges::presence_penalty",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(test, schemars(range(min = ranges::PRESENCE_PENALTY.least(), max = ranges::PRESENCE_PENALTY.most)))]
    pub presence_penalty: Option<f32>,
    /// Makes tokens less likely the more often the answer has them.
    #[serde(
        deserialize_with = "ranges::frequency_penalty",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(test, schemars(range(min = ranges::FREQUENCY_PENALTY.least(), max = ranges::FREQUENCY_PENALTY.most)))]
    pub frequency_penalty: Option<f32>,
    /// Makes the answer repeatable.
    #[serde(deserialize_with = "ranges::seed", skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The answer ends before the first of these. One string may stand without a list.
    #[serde(deserialize_with = "ranges::stop", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(with = "Option<OneOrMany>"), ts(as = "Option<OneOrMany>"))]
    pub stop: Vec<String>,
}

impl Parameters {
    /// These parameters, and those of `below` where these have none.
    pub fn over(self, below: &Parameters) -> Parameters {
        Parameters {
            max_tokens: self.max_tokens.or(below.max_tokens),
            temperature: self.temperature.or(below.temperature),
            top_p: self.top_p.or(below.top_p),
            top_k: self.top_k.or(below.top_k),
            min_p: self.min_p.or(below.min_p),
            repetition_penalty: self.repetition_penalty.or(below.repetition_penalty),
            presence_penalty: self.presence_penalty.or(below.presence_penalty),
            frequency_penalty: self.frequency_penalty.or(below.frequency_penalty),
            seed: self.seed.or(below.seed),
            stop: if self.stop.is_empty() { below.stop.clone() } else { self.stop },
        }
    }

    /// These parameters for a backend.
    pub fn into_seam(self) -> banter_seam::Parameters {
        banter_seam::Parameters {
            max_tokens: self.max_tokens.unwrap_or(ranges::DEFAULT_MAX_TOKENS),
            temperature: self.temperature,
            top_p: self.top_p,
            repetition_penalty: self.repetition_penalty,
            top_k: self.top_k,
            min_p: self.min_p,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            logit_bias: Vec::new(),
            seed: self.seed,
            stop_strings: self.stop,
        }
    }

    /// Whether no parameter is given.
    pub fn is_empty(&self) -> bool {
        *self == Parameters::default()
    }
}

/// The forms of `stop`.
#[cfg(test)]
#[derive(Serialize, Deserialize, schemars::JsonSchema, ts_rs::TS)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(ranges::StopString),
    Many(#[schemars(length(max = ranges::MAX_STOP_STRINGS))] Vec<ranges::StopString>),
}
