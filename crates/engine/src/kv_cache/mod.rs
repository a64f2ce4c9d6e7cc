//! Which sequence owns which block of cached keys and values.
//!
//! A block is room for the keys and values of [`BLOCK_TOKENS`] tokens in every layer. Here is only
//! the bookkeeping; the runner knows where the bytes are. What a step writes into a block may be
//! relied on once the step is settled. From then on a sequence that begins with the same tokens
//! finds it.
//!
//! - [`BlockCache`]: the blocks in memory.
//! - [`block_name`]: names of blocks outside of memory.
//! - [`disk`]: blocks on disk.

pub mod block_name;
pub mod disk;

mod cache;

/// Tokens of one block. The kernels decide, because they read keys and values by blocks.
pub use banter_kernels::BLOCK_TOKENS;

pub use crate::origin::Tenant;
pub use cache::{BlockCache, BlockId, Lease, LeasedPath, OutOfBlocks};
pub use disk::DiskConfig;

/// Blocks that hold `tokens` tokens.
pub fn blocks_for(tokens: usize) -> usize {
    tokens.div_ceil(BLOCK_TOKENS)
}
