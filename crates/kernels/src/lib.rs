//! Numbers: quantised blocks, SIMD kernels and the worker threads they run on.
//!
//! Reading order:
//! - [`blocks`]: how weights are stored in files.
//! - [`isa`]: which instruction set is used, proved once.
//! - [`pool`]: the threads every operation runs on.
//! - `memory`, `disjoint`, `numbers`: where numbers lie, how several threads write one slice, and
//!   the float formats.
//! - [`matrix`], with `packing`: weights in memory, sixteen rows side by side.
//! - [`input`], with `input_block` and `input_order`, and [`mod@matmul`]: activations, and their product with weights.
//! - [`elementwise`] and [`mod@rope`]: everything that works on one row of activations.
//! - [`kv`] and [`attention`]: pages of keys and values, and attention over them.
//! - [`ceilings`]: what the machine can do at most, to measure by.
//! - `strips`, `unrolled`, `address`, `prefetch`: what makes compilers and processors do as inner loops
//!   want: tiles cut where registers are few, constants for loop counters, operands without an index
//!   register, memory asked for early.
//! - `scalar`, then `avx2`, `avx_vnni`, `avx512` and `neon`: the inner loops, the same file names in each.
//!
//! Two rules hold everywhere. Every output element is summed in one fixed order, so no result
//! depends on batch size, chunking or thread count. And every instruction set does the same
//! operations in that order, fused multiply-adds included, or others that round to the same, so their
//! results are equal bit for bit; but for weights in BF16 pairs, where the instruction of
//! `avx512-bf16` has a rounding of its own.
//!
//! Absent on purpose: models, tokens, files.

pub mod attention;
pub mod blocks;
pub mod ceilings;
pub mod elementwise;
pub mod input;
pub mod isa;
pub mod kv;
pub mod matmul;
pub mod matrix;
pub mod pool;
pub mod rope;

#[cfg(target_arch = "x86_64")]
mod address;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
mod disjoint;
mod input_block;
mod input_order;
mod memory;
#[cfg(target_arch = "aarch64")]
mod neon;
mod numbers;
mod packing;
mod prefetch;
mod scalar;
mod strips;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod unrolled;

pub use attention::{Attend, Workspace, attend};
pub use blocks::{BlockType, dequantise, quantise};
pub use elementwise::{add, add_bias, rms_norm, swiglu, weigh};
pub use input::Input;
pub use input_order::InputOrder;
pub use isa::{Isa, IsaError};
pub use kv::{BLOCK_TOKENS, KvLayer, KvPages, KvShape, KvType};
pub use matmul::matmul;
pub use matrix::{LoadError, Matrix};
pub use memory::AllocError;
pub use pool::{Leave, Pool};
pub use rope::{Rope, rope};

/// How many rows, positions or values lie side by side: the 32-bit lanes of 512 bits. The layouts
/// keep this number on narrower processors too, so that sums have one order everywhere.
pub(crate) const LANES: usize = 16;

/// Sixteen numbers side by side.
pub(crate) type Lanes = [f32; LANES];
