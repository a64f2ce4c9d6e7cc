//! How likely the model found the tokens of an answer.
//!
//! Log-probabilities are those of the model itself: before bias, structure, penalties, temperature
//! and filters. They therefore tell what the model would have said, however its words are chosen.

use super::{ExpWeights, SampleError, SampleScratch, TokenRows, sum};
use crate::text::TokenId;

/// The most tokens of which log-probabilities are told at each position.
pub const MAX_TOP_LOGPROBS: usize = 20;

/// The log-probabilities of one position of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Logprobs {
    /// The logarithm of the probability of the chosen token, at most 0.
    pub chosen: f32,
    /// The likeliest tokens, the likeliest first; as many as were asked for.
    pub top: Vec<TokenLogprob>,
}

/// A token with the logarithm of its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenLogprob {
    /// The token.
    pub token: TokenId,
    /// The logarithm of its probability, at most 0.
    pub logprob: f32,
}

/// The model's own logits of a position, read before the choice of a token changes them.
#[derive(Debug)]
pub struct Seen {
    best: f32,
    /// The logarithm of the sum of all probabilities, if the best token's is set to 1.
    log_sum: f64,
    top: Vec<TokenLogprob>,
}

impl Seen {
    /// Reads logits, and keeps a copy of them in `scratch`: [`Sampler::sample`](super::Sampler)
    /// comes next.
    ///
    /// Shapes: `logits` [vocabulary rows].
    /// Errors: logits that allow no choice.
    pub fn of(
        logits: &mut [f32],
        rows: &TokenRows,
        top: usize,
        scratch: &mut SampleScratch,
    ) -> Result<Seen, SampleError> {
        let logits = rows.mask(logits);
        let SampleScratch { isa, ranking, weights, seen, .. } = scratch;
        let best = ranking.survey(logits)?.logit;
        ExpWeights { isa: *isa, best, temperature: 1.0 }.all(logits, weights);
        let mut this = Seen { best, log_sum: sum(weights).ln(), top: Vec::new() };
        let likeliest = ranking.first(logits, top).iter();
        this.top = likeliest
            .map(|found| TokenLogprob { token: found.token, logprob: this.logprob(found.logit) })
            .collect();
        seen.clear();
        seen.extend_from_slice(logits);
        Ok(this)
    }

    /// The same with the token that was chosen then. `scratch` is that of [`Seen::of`].
    pub fn chosen(self, token: TokenId, scratch: &SampleScratch) -> Logprobs {
        Logprobs { chosen: self.logprob(scratch.seen[token.0 as usize]), top: self.top }
    }

    fn logprob(&self, logit: f32) -> f32 {
        // Of the best token, if others add nothing, rounding must not make it more than 0.
        (f64::from(logit) - f64::from(self.best) - self.log_sum).min(0.0) as f32
    }
}
