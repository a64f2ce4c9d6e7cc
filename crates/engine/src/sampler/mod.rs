//! From logits to one token.

mod params;

pub use params::{CheckedSampling, ParameterError, SamplingParams};
