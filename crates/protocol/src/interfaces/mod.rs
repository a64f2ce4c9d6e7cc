//! The HTTP interfaces that others have defined, as far as they are about text.
//!
//! - [`openai`], [`ollama`], [`anthropic`]: requests, answers and errors of each.
//! - [`embedding`]: requests for vectors.
//! - `fields`, `tools`: the parts that requests of several of them have in common.

pub mod anthropic;
pub mod embedding;
mod fields;
pub mod ollama;
pub mod openai;
#[cfg(test)]
mod tests;
mod tools;
