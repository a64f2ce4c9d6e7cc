//! NEON with the dot product of bytes: sixteen lanes in four registers.
//!
//! The functions are those of `scalar/`, with the same operations in the same order. Every function
//! names the features that `isa.rs` detects; calling one takes the proof. Two instructions have no
//! stable intrinsics yet and are written as assembly in `math.rs`.

pub(crate) mod activations;
pub(crate) mod attention;
pub(crate) mod ceilings;
pub(crate) mod elementwise;
mod math;
pub(crate) mod tiles;
