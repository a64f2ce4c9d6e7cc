//! Who owns which block of cached keys and values.
//!
//! A block is room for the keys and values of [`BLOCK_TOKENS`] tokens in every layer. Here is only
//! the bookkeeping: where the bytes lie, the runner knows. A block is free or owned by exactly one
//! sequence; what a step writes into it may be relied on once the step is settled.
//!
//! Absent: blocks found again by their content and shared between sequences. They belong in a file
//! of their own beside `pool.rs`, filled when a step settles and asked at admission.

mod pool;

pub use pool::{BlockId, BlockList, BlockPool, OutOfBlocks};

/// Tokens of one block.
pub const BLOCK_TOKENS: usize = 16;

/// Blocks that hold `tokens` tokens.
pub fn blocks_for(tokens: usize) -> usize {
    tokens.div_ceil(BLOCK_TOKENS)
}
