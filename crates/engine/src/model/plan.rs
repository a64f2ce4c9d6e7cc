//! What one step computes, and what became of it.

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
    /// Position of the first token; keys and values of all before it are in the blocks.
    pub first_position: usize,
    /// At least one.
    pub tokens: &'a [TokenId],
    /// After how many of the tokens, the last ones, logits are wanted.
    pub sampled: usize,
    /// Looked at before every layer and before the logits.
    pub stop: &'a StopFlag,
}

/// What became of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// In the plan's order.
    pub spans: Vec<SpanOutcome>,
}

/// What became of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanOutcome {
    /// Its keys and values are in its blocks, and the logits that were wanted are there.
    Done,
    /// It was left; what its blocks hold at its positions is worthless.
    Stopped {
        /// Layers that were computed for it in this step.
        layers_run: usize,
        /// How many of them were begun after the flag was raised: at most one.
        layers_after_stop: usize,
    },
}
