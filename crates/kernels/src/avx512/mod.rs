//! AVX-512 with VNNI: sixteen lanes in one register.
//!
//! The functions are those of `scalar/`, with the same operations in the same order. Every function
//! names the features that `isa.rs` detects; calling one takes the proof. `bf16` is a
//! set of its own: this one with another instruction for weights in pairs.

pub(crate) mod activations;
pub(crate) mod attention;
pub(crate) mod bf16;
pub(crate) mod ceilings;
pub(crate) mod elementwise;
pub(crate) mod math;
pub(crate) mod tiles;
