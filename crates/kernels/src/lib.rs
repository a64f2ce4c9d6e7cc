//! Numbers: quantised blocks, SIMD kernels and the worker threads they run on.
//!
//! Reading order: [`blocks`] (how weights are stored in files).

pub mod blocks;
