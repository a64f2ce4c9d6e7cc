//! The one seam between scheduling and computing: a plan goes in, logits and hidden rows come out.

use super::{BlockId, Forward, Plan, Runner};
use crate::Pulse;

/// Computes steps: the runner, or a script in tests.
pub trait Compute: Send {
    /// Computes one step.
    fn forward(&mut self, plan: &Plan<'_>) -> Forward;

    /// The logits of a span's sampled rows, if it has any: `[sampled, vocabulary_rows]`.
    fn logits(&mut self, span: usize) -> Option<&mut [f32]>;

    /// The inputs of the model's head at all rows of a span, if they were wanted: `[rows, hidden]`.
    fn hidden(&mut self, span: usize) -> Option<&[f32]>;

    /// Keys and values of a block, as bytes.
    fn read_block(&self, block: BlockId) -> Vec<u8>;

    /// Writes what [`Compute::read_block`] read; false if the bytes are not those of a block.
    fn write_block(&mut self, block: BlockId, bytes: &[u8]) -> bool;

    /// Shows signs of life in this pulse while it computes, from now on.
    fn show_life(&mut self, pulse: &Pulse);
}

impl Compute for Runner {
    fn forward(&mut self, plan: &Plan<'_>) -> Forward {
        Runner::forward(self, plan)
    }

    fn logits(&mut self, span: usize) -> Option<&mut [f32]> {
        Runner::logits(self, span)
    }

    fn hidden(&mut self, span: usize) -> Option<&[f32]> {
        Runner::hidden(self, span)
    }

    fn read_block(&self, block: BlockId) -> Vec<u8> {
        Runner::read_block(self, block)
    }

    fn write_block(&mut self, block: BlockId, bytes: &[u8]) -> bool {
        Runner::write_block(self, block, bytes)
    }

    fn show_life(&mut self, pulse: &Pulse) {
        Runner::show_life(self, pulse);
    }
}
