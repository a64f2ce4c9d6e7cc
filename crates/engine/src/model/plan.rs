//! What one step computes, and the outcome.

use super::BlockId;
use crate::StopFlag;
use crate::text::TokenId;

/// What one step computes. Spans of one sequence follow each other in order of position.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// No more spans and tokens than the runner has room for.
    pub spans: &'a [Span<'a>],
}

impl Plan<'_> {
    /// The tokens of all spans.
    pub fn rows(&self) -> usize {
        self.spans.iter().map(|span| span.tokens.len()).sum()
    }
}

/// Consecutive tokens of one sequence.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// The sequence's blocks, from position 0 on, with room for this span's tokens.
    pub blocks: &'a [BlockId],
    /// Position of the first token. Keys and values of all tokens before it are in the blocks.
    pub first_position: usize,
    /// At least one.
    pub tokens: &'a [TokenId],
    /// Logits are wanted after this many tokens, the last ones.
    pub sampled: usize,
    /// Read before every layer and before the logits.
    pub stop: &'a StopFlag,
}

/// The outcome of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// In the plan's order.
    pub spans: Vec<SpanOutcome>,
}

/// The outcome of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanOutcome {
    /// Its keys and values are in its blocks, and the logits that were wanted are there.
    Done,
    /// It was stopped. Its blocks hold nothing of value at its positions.
    Stopped {
        /// Layers that were computed for it in this step.
        layers_run: usize,
        /// How many of them were begun after the flag was raised: at most one.
        layers_after_stop: usize,
    },
}
