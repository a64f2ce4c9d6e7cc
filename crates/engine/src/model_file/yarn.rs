//! Contexts that were extended by YaRN: what a file says of it.

use super::config::{MAX_CONTEXT, MIN_CONTEXT_TOKENS, Stated, between};
use super::error::Fault;

/// How a model's context was extended beyond that of its training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Yarn {
    /// By how much.
    pub factor: f32,
    /// Positions the model was trained for.
    pub original_context: usize,
    /// Pairs that turn at least this often within the original context stay as they are.
    pub fast_turns: f32,
    /// Pairs that turn at most this often are slowed down by the whole factor.
    pub slow_turns: f32,
    /// What rotated values are multiplied by.
    pub magnitude: f32,
}

impl Yarn {
    /// The usual values for a factor, without an original context.
    pub fn by(factor: f32) -> Yarn {
        Yarn {
            factor,
            original_context: 0,
            fast_turns: 32.0,
            slow_turns: 1.0,
            magnitude: usual_magnitude(f64::from(factor)) as f32,
        }
    }

    /// How long contexts may be.
    pub fn context(&self) -> usize {
        // At most MAX_CONTEXT times a small factor.
        (self.original_context as f64 * f64::from(self.factor)) as usize
    }
}

fn usual_magnitude(factor: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * factor.ln() + 1.0 }
}

/// YaRN as a file states it. What is missing has its usual value.
pub(super) struct RawYarn {
    pub factor: Stated<f64>,
    pub original_context: Stated<u64>,
    pub fast_turns: Option<Stated<f64>>,
    pub slow_turns: Option<Stated<f64>>,
    pub magnitude: Option<Stated<f64>>,
}

impl RawYarn {
    /// Checks every limit.
    pub fn check(self) -> Result<Yarn, Fault> {
        let factor = between(&self.factor, 1.0, 1024.0)?;
        let within = |stated: Option<Stated<f64>>, low, high, usual| {
            stated.map_or(Ok(usual), |stated| between(&stated, low, high))
        };
        let usual = Yarn::by(factor);
        let original_context = self.original_context;
        let limits = MIN_CONTEXT_TOKENS as u64..=MAX_CONTEXT;
        if !limits.contains(&original_context.value) {
            let expected = format!("{} to {}", limits.start(), limits.end());
            let found = original_context.value.to_string();
            return Err(Fault::key(&original_context.key, expected, found));
        }
        let slow_turns = within(self.slow_turns, 0.001, 1e6, usual.slow_turns)?;
        Ok(Yarn {
            factor,
            original_context: original_context.value as usize, // At most MAX_CONTEXT.
            fast_turns: within(self.fast_turns, f64::from(slow_turns), 1e6, usual.fast_turns)?,
            slow_turns,
            magnitude: within(self.magnitude, 0.01, 100.0, usual.magnitude)?,
        })
    }
}
