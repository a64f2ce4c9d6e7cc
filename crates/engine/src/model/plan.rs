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
    /// What is wanted of it.
    pub wanted: Wanted,
    /// Read before every layer and before the logits.
    pub stop: &'a StopFlag,
}

/// What is wanted of a span, beside the keys and values of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing.
    Nothing,
    /// Logits after this many tokens, the last ones.
    Logits {
        /// At least one.
        rows: usize,
    },
    /// What the model has made of each token: the input of its head.
    Hidden,
}

impl Wanted {
    /// Logits after the last `rows` tokens, which may be none.
    pub fn logits(rows: usize) -> Wanted {
        match rows {
            0 => Wanted::Nothing,
            rows => Wanted::Logits { rows },
        }
    }

    /// How many rows yield logits.
    pub fn sampled(self) -> usize {
        match self {
            Wanted::Logits { rows } => rows,
            Wanted::Nothing | Wanted::Hidden => 0,
        }
    }
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
    /// Its keys and values are in its blocks, and what was wanted is there.
    Done,
    /// It was stopped. Its blocks hold nothing of value at its positions.
    Stopped {
        /// Layers that were computed for it in this step.
        layers_run: usize,
        /// How many of them were begun after the flag was raised: at most one.
        layers_after_stop: usize,
    },
}
