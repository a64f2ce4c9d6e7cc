//! The forward pass of the Qwen2 family, and the seam between scheduling and computing.
//!
//! Reading order:
//! - [`Model`] in `weights.rs`: everything that is read from a model file, named as checkpoints do.
//! - `layer.rs`: one layer as the paper has it: norm, attention, norm, feed-forward.
//! - `scratch.rs`: the activations of a step, allocated once.
//! - `plan.rs`: what a step computes, and the outcome.
//! - `rotation.rs`: the rotary angles.
//! - `step.rs`: which rows of the activations belong to which sequence, and how stopped ones leave.
//! - `profile.rs`: what the time of a step is spent on.
//! - [`Runner`]: a plan goes in, logits come out.
//! - [`Compute`]: the seam. The scheduler's side of it knows plans and logits, and no weights.
//!
//! A row is one token of one sequence at one position. Its result depends on the tokens before it
//! in its sequence and on nothing else: not on the other rows of the step, not on how a prompt is
//! cut into steps, not on the number of threads.
//!
//! Absent on purpose: choosing tokens (the sampler), choosing rows (the scheduler), owning blocks
//! (the cache), and arithmetic (the kernels).

mod compute;
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
pub use compute::Compute;
pub use plan::{Forward, Plan, Span, SpanOutcome, Wanted};
pub use profile::{Operation, Profile};
pub use runner::{Runner, RunnerConfig};
pub use weights::{Model, ModelError};

#[cfg(test)]
pub(crate) mod tests;
