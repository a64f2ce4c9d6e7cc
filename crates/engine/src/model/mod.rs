//! The forward pass of the Qwen2 family, and the runner, the seam between scheduling and computing.
//!
//! Reading order:
//! - [`Model`] in `weights.rs`: everything that is read from a model file, named as checkpoints do.
//! - `layer.rs`: one layer as the paper has it: norm, attention, norm, feed-forward.
//! - `scratch.rs`: the activations of a step, allocated once.
//! - `plan.rs`: what a step computes, and what became of it.
//! - `rotation.rs`: the rotary angles.
//! - `step.rs`: which rows of the activations belong to whom, and how stopped ones leave.
//! - `profile.rs`: what the time of a step goes to.
//! - [`Runner`]: a plan goes in, logits come out.
//!
//! A row is one token of one sequence at one position. What a row computes depends on the tokens
//! before it in its sequence and on nothing else: not on the rows beside it, not on how a prompt is
//! cut into steps, not on the number of threads.
//!
//! Absent on purpose: what the next token is (the sampler's), whose turn it is (the scheduler's),
//! who owns a block (the cache's), and arithmetic (the kernels').

mod layer;
mod plan;
mod profile;
mod rotation;
mod runner;
mod scratch;
mod step;
mod weights;

pub use crate::kv_cache::BlockId;
pub use banter_kernels::KvType;
pub use plan::{Forward, Plan, Span, SpanOutcome};
pub use profile::{Profile, Work};
pub use runner::{Runner, RunnerConfig};
pub use weights::{Model, ModelError};

#[cfg(test)]
pub(crate) mod tests;
