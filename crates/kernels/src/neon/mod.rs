//! NEON with the dot product of bytes: sixteen lanes in four registers.
//!
//! Every function has a twin in `scalar/` and does the same operations in the same order. Each
//! names the CPU features that it needs; `isa.rs` detects them, and a value of `Isa` is the proof.
//! Two instructions have no stable intrinsics yet and are written as assembly in `math.rs`.

pub(crate) mod activations;
pub(crate) mod attention;
pub(crate) mod ceilings;
pub(crate) mod elementwise;
mod math;
pub(crate) mod tiles;
