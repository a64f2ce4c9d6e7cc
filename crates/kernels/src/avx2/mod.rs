//! AVX2 with FMA and F16C: sixteen lanes in two registers.
//!
//! The functions are those of `scalar/`, with the same operations in the same order. Every function
//! names the features that `isa.rs` detects; calling one takes the proof.

pub(crate) mod activations;
pub(crate) mod attention;
pub(crate) mod ceilings;
pub(crate) mod elementwise;
pub(crate) mod math;
pub(crate) mod tiles;
