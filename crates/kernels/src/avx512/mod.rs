//! AVX-512 with VNNI: sixteen lanes in one register.
//!
//! Every function has a twin in `scalar/` and does the same operations in the same order. Each
//! names the CPU features that it needs; `isa.rs` detects them, and a value of `Isa` is the proof.
//! `bf16` is a set of its own: this one with another instruction for weights in pairs.

pub(crate) mod activations;
pub(crate) mod attention;
pub(crate) mod bf16;
pub(crate) mod ceilings;
pub(crate) mod elementwise;
pub(crate) mod math;
pub(crate) mod tiles;
