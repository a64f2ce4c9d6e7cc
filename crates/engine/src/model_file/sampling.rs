//! Recommended sampling parameters and their limits.

use std::ops::RangeInclusive;

use super::SamplingDefaults;
use super::config::{Stated, between};
use super::error::Fault;

/// A sampling parameter as a file states it: missing, a number, or something else.
pub(super) type RawParameter = Result<Option<Stated<f64>>, Fault>;

/// Sampling parameters as a file states them.
pub(super) struct RawSampling {
    pub temperature: RawParameter,
    pub top_p: RawParameter,
    pub top_k: RawParameter,
    pub min_p: RawParameter,
    pub repetition_penalty: RawParameter,
}

impl RawSampling {
    /// The parameters that a sampler can use. What it cannot use is as if it were missing, and the
    /// log says so: a model should not fail to load because of a recommendation.
    pub fn usable(self, file: &str) -> SamplingDefaults {
        let within = |raw, limits| usable(raw, limits, file);
        let whole = self.top_k.and_then(|top_k| top_k.map(whole).transpose());
        SamplingDefaults {
            temperature: within(self.temperature, 0.0..=100.0),
            top_p: within(self.top_p, 1e-6..=1.0),
            // Every whole number up to the limit is an `f32`.
            top_k: within(whole, 0.0..=MAX_TOP_K).map(|top_k| top_k as u32),
            min_p: within(self.min_p, 0.0..=1.0),
            repetition_penalty: within(self.repetition_penalty, 0.01..=100.0),
        }
    }
}

/// More than any vocabulary has.
const MAX_TOP_K: f64 = (1 << 24) as f64;

fn usable(raw: RawParameter, limits: RangeInclusive<f64>, file: &str) -> Option<f32> {
    let (low, high) = (*limits.start(), *limits.end());
    let checked =
        raw.and_then(|stated| stated.map(|stated| between(&stated, low, high)).transpose());
    checked.unwrap_or_else(|fault| {
        tracing::warn!(file, %fault, "passing over a recommended sampling parameter");
        None
    })
}

fn whole(stated: Stated<f64>) -> Result<Stated<f64>, Fault> {
    if stated.value.fract() == 0.0 {
        return Ok(stated);
    }
    Err(Fault::key(&stated.key, "a whole number", stated.value.to_string()))
}
