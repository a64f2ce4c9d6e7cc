//! Numbers: quantised blocks, SIMD kernels and the worker threads they run on.
//!
//! Reading order:
//! - [`blocks`]: how weights are stored in files.
//! - [`isa`]: which instruction set is used; a value proves that the processor has it.
//! - [`pool`]: the threads that every operation runs on.
//! - `lanes`, `memory`, `disjoint`, `numbers`: sixteen numbers side by side, where numbers lie, how
//!   several threads write one slice, and the float formats.
//! - [`matrix`], with `packing`: weights in memory, in panels of sixteen rows.
//! - [`input`], with `input_block` and `input_order`, and [`mod@matmul`]: activations, and their
//!   product with weights.
//! - [`elementwise`] and [`mod@rope`]: everything that works on one row of activations.
//! - [`kv`] and [`attention`]: blocks of keys and values, and attention over them.
//! - [`ceilings`]: the most that the machine can do, to compare measurements with.
//! - `strips`, `unrolled`, `address`, `prefetch`: what inner loops need from compilers and
//!   processors: tiles cut where registers are few, constants for loop counters, operands without
//!   an index register, memory asked for early.
//! - `scalar`, then `avx2`, `avx_vnni`, `avx512` and `neon`: the inner loops of each instruction
//!   set, with the same file names in each.
//!
//! Two rules hold everywhere. First, every output element is summed in one fixed order, so no
//! result depends on batch size, chunking or thread count. Second, every instruction set does the
//! same operations in that order, fused multiply-adds included, or operations that round to the
//! same, so results are equal bit for bit. One exception: for weights in pairs of BF16 the
//! instruction of `avx512-bf16` rounds in its own way.
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
mod lanes;
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
pub use elementwise::{add, add_bias, exp_weights, rms_norm, swiglu};
pub use input::Input;
pub use input_order::InputOrder;
pub use isa::{Isa, IsaError};
pub use kv::{BLOCK_TOKENS, KvLayer, KvPages, KvShape, KvType};
pub use matmul::matmul;
pub use matrix::{LoadError, Matrix};
pub use memory::{AllocError, give_back_free_memory};
pub use pool::{Cancel, Pool};
pub use rope::{Rope, rope};
