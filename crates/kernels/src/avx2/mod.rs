//! AVX2 with FMA and F16C: sixteen lanes in two registers.
//!
//! Every function has a twin in `scalar/` and does the same operations in the same order. Each
//! names the CPU features that it needs; `isa.rs` detects them, and a value of `Isa` is the proof.

pub(crate) mod activations;
pub(crate) mod attention;
pub(crate) mod ceilings;
pub(crate) mod elementwise;
pub(crate) mod math;
pub(crate) mod tiles;
