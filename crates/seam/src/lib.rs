//! What a language asks of a backend, and what the backend says while it answers.
//!
//! A language is a way in which clients talk to the server; a backend makes answers. Neither knows
//! the other: both speak the types of this crate, which have no wire format and do no I/O.
//!
//! Reading order:
//! - [`request`]: what is asked.
//! - [`event`]: what happens to an answer, and how it ended.
//! - [`embedding`]: texts that become vectors.
//! - [`trace`]: the client's span that a request belongs to, and what is told of an answer to whoever
//!   records spans.
//! - [`failure`]: why a request was refused or an answer failed.
//! - [`backend`]: the interface to whatever makes answers.

#![forbid(unsafe_code)]

pub mod backend;
pub mod embedding;
pub mod event;
pub mod failure;
pub mod request;
pub mod trace;

pub use backend::{
    Backend, BackendInfo, Defaults, Fit, Generation, Health, Label, Metric, MetricKind,
};
pub use embedding::{EmbedRequest, Embeddings, Pooling, TextInput};
pub use event::{EndReason, Event, FinishReason, Finished, Logprobs, Timings, TokenLogprob, Usage};
pub use failure::Failure;
pub use request::{
    Asker, Continuation, Conversation, ConversationNumber, DraftRequest, Function, GenerateRequest,
    Message, Parameters, Prompt, Role, ShareId, Structure, Tenant, ToolCall, ToolChoice, Tools,
};
pub use trace::{AnswerTrace, TraceParent, Tracer};
