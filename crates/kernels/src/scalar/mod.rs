//! Plain Rust: the definition of correct for every instruction set.
//!
//! Short and obvious, never tuned. The other folders hold the same files with the same functions;
//! each does the same operations in the same order, so results are equal bit for bit. That is why
//! multiply-adds are fused here too, and why a maximum is written as a comparison: `f32::max`
//! leaves open which zero wins.

pub(crate) mod activations;
pub(crate) mod attention;
pub(crate) mod ceilings;
pub(crate) mod elementwise;
pub(crate) mod math;
pub(crate) mod tiles;
