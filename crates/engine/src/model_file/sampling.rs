//! Recommended sampling parameters and their limits.

use super::SamplingDefaults;
use super::config::{Stated, between};
use super::error::Fault;

/// Sampling parameters as a file states them; all may be missing.
#[derive(Default)]
pub(super) struct RawSampling {
    pub temperature: Option<Stated<f64>>,
    pub top_p: Option<Stated<f64>>,
    pub top_k: Option<Stated<u64>>,
    pub min_p: Option<Stated<f64>>,
    pub repetition_penalty: Option<Stated<f64>>,
}

impl RawSampling {
    /// Checks that a sampler can use each of them.
    pub fn check(self) -> Result<SamplingDefaults, Fault> {
        let top_k = self.top_k.map(|stated| {
            u32::try_from(stated.value).map_err(|_| {
                let expected = format!("0 to {}", u32::MAX);
                Fault::key(&stated.key, expected, stated.value.to_string())
            })
        });
        let within = |stated: Option<Stated<f64>>, low, high| {
            stated.map(|stated| between(&stated, low, high)).transpose()
        };
        Ok(SamplingDefaults {
            temperature: within(self.temperature, 0.0, 100.0)?,
            top_p: within(self.top_p, 1e-6, 1.0)?,
            top_k: top_k.transpose()?,
            min_p: within(self.min_p, 0.0, 1.0)?,
            repetition_penalty: within(self.repetition_penalty, 0.01, 100.0)?,
        })
    }
}
