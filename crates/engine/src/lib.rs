//! Tokens in, tokens out: model files, text, the forward pass, the KV cache, the scheduler and
//! the sampler of the Qwen2 family, behind one thread.
//!
//! Reading order:
//! - [`model_file`]: GGUF files and Hugging Face folders, checked before anything is believed.
//! - [`text`]: tokenizer, chat template, streaming decoder, stop strings.
//! - [`model`]: the forward pass, and [`model::Compute`], the seam between scheduling and
//!   computing.
//! - `origin`: whose tokens they are: [`Tenant`] and [`ConversationId`].
//! - [`kv_cache`]: which sequence owns which block of cached keys and values.
//! - [`sampler`]: from logits to one token.
//! - [`scheduler`]: which tokens the next step computes.
//! - [`speculation`]: guesses of the next tokens, several of which are tried in one step.
//! - [`structure`]: structured answers, such as JSON of a schema.
//! - [`tool_calls`]: calls of functions in the text of an answer.
//! - [`engine`]: the thread that owns all of it, and the handle by which the outside talks to it.
//! - [`make_model`]: writes models of random weights, for measurements and tests.
//! - [`measure`]: how fast a model is on this machine.
//!
//! Absent on purpose: HTTP, conversations, async runtimes, instruction sets.

#![forbid(unsafe_code)]

pub mod engine;
pub mod kv_cache;
pub mod make_model;
pub mod measure;
pub mod model;
pub mod model_file;
pub mod sampler;
pub mod scheduler;
pub mod speculation;
pub mod structure;
pub mod text;
pub mod tool_calls;

mod faults;
mod origin;
mod printable;
mod pulse;
mod stop_flag;
mod sync;

pub use banter_kernels::{Isa, IsaError, KvType, give_back_free_memory};
pub use origin::{ConversationId, Origin, Tenant};
pub use pulse::Pulse;
pub use stop_flag::StopFlag;
