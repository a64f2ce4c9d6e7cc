//! The interface to whatever makes answers.
//!
//! There are three implementations: [`EngineBackend`] computes in this process, [`RemoteBackend`]
//! asks an engine that somebody else runs, and `ScriptedBackend` plays a script for tests and for
//! work on the page. [`BackendSlot`] holds the one that answers now.

mod engine;
mod metrics;
mod places;
mod remote;
#[cfg(any(test, feature = "scripted"))]
mod scripted;
mod slot;

pub use engine::EngineBackend;
pub use metrics::{Metric, MetricKind};
pub use remote::{HealthChecks, RemoteBackend};
#[cfg(any(test, feature = "scripted"))]
pub use scripted::{ScriptedBackend, ScriptedCounters};
pub use slot::{BackendSlot, Readiness};

use crate::access::Principal;
use banter_protocol::Fault;
use banter_protocol::http::{Defaults, TokenizedConversation};
use banter_protocol::plain::{Ask, EndReason, Message};
use futures_util::future::BoxFuture;
use std::fmt;
use tokio_util::sync::CancellationToken;

/// Something that makes answers.
pub trait Backend: Send + Sync + 'static {
    /// What is loaded.
    fn info(&self) -> &BackendInfo;

    /// Whether it makes progress, or could.
    fn health(&self) -> Health;

    /// Cancelled when whatever makes the answers has ended and has saved what it keeps. It begins
    /// to end when nobody holds this backend any more. `None` if there is nothing to wait for.
    fn ended(&self) -> Option<CancellationToken> {
        None
    }

    /// Its counters, for `/metrics`. None if somebody else runs the engine.
    fn metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    /// Starts an answer.
    ///
    /// Text that was computed for another principal is not used, as far as the engine can separate
    /// them. Dropping the future, or the generation that it yields, stops the computation.
    fn generate(
        &self,
        ask: Box<Ask>,
        principal: Principal,
    ) -> BoxFuture<'static, Result<Box<dyn Generation>, Fault>>;

    /// Whether [`Backend::fit`] can count tokens, as far as is known now.
    fn counts_tokens(&self) -> bool {
        true
    }

    /// The token ids of a text; `None` if this backend cannot tell.
    fn tokenize(&self, text: String) -> BoxFuture<'static, Result<Option<Vec<u32>>, Fault>>;

    /// How many tokens of the context a conversation takes beside an answer of `max_tokens`; `None`
    /// if this backend cannot tell.
    fn fit(
        &self,
        messages: Vec<Message>,
        max_tokens: usize,
    ) -> BoxFuture<'static, Result<Option<TokenizedConversation>, Fault>>;
}

/// One answer while it is written. Dropping it stops it.
pub trait Generation: Send {
    /// The next event; [`Event::Finished`] is the last. `None` if the backend has ended before it.
    ///
    /// The future may be dropped at any time; no event is lost.
    fn next_event(&mut self) -> BoxFuture<'_, Option<Event>>;

    /// Asks the computation to halt. [`Event::Finished`] follows when it has.
    fn stop(&self);

    /// How many of the oldest messages were left out because the history does not fit the context.
    fn dropped_messages(&self) -> usize;
}

/// What happens to an answer while it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It waits its message.
    Queued,
    /// A step was computed, without new text.
    Progress,
    /// A delta of what the model thinks before it answers: whole characters, never empty. It is not
    /// a part of the answer.
    Thinking(String),
    /// A delta of the answer: whole characters, never empty.
    Delta(String),
    /// The end.
    Finished(Finished),
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// Why.
    pub reason: FinishReason,
    /// Figures for the log.
    pub figures: Figures,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub enum FinishReason {
    /// It ended for one of the reasons that clients know.
    Ended(EndReason),
    /// It failed; the client gets the fault.
    Failed(Fault),
}

impl FinishReason {
    /// One word for the log.
    pub fn name(&self) -> &'static str {
        match self {
            FinishReason::Ended(reason) => reason.name(),
            FinishReason::Failed(fault) => fault.code(),
        }
    }
}

/// What an answer took, for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Tokens of the prompt. This number and the two below are absent if another engine does not
    /// say them.
    pub prompt_tokens: Option<usize>,
    /// Tokens of the prompt that were found in the cache.
    pub cached_tokens: Option<usize>,
    /// Tokens of the answer.
    pub completion_tokens: Option<usize>,
    /// Time from the request to the first token, if there was one.
    pub first_token_ms: Option<f32>,
    /// Speed after the first token, if there were two.
    pub tokens_per_second: Option<f32>,
    /// Time from the stop to the halt of the computation.
    pub halt_ms: Option<f32>,
}

/// Whether a backend makes progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It computes steps, or would at once.
    Ready,
    /// It has not moved for a while.
    Stalled,
    /// The engine of somebody else cannot be reached, or says that it is not well; with the reason.
    Unreachable(String),
}

/// What a backend has loaded.
#[derive(Clone, Debug)]
pub struct BackendInfo {
    /// Name of the model.
    pub name: String,
    /// Whether it is the small demo model that comes with the binary. The page says so.
    pub is_demo: bool,
    /// Its licence, if the file names one.
    pub licence: Option<String>,
    /// How many parameters it has, if that is known.
    pub parameters: Option<u64>,
    /// Memory taken by the weights, if that is known.
    pub weights_bytes: Option<u64>,
    /// Prompt and answer together can have this many tokens, if that is known.
    pub context_tokens: Option<usize>,
    /// The values of parameters that a request leaves out, as far as they are known.
    pub defaults: Defaults,
    /// The kind of the engine that somebody else runs; `None` for ours.
    pub engine: Option<&'static str>,
    /// The parameters that a request may have.
    pub known_parameters: Vec<&'static str>,
}

impl fmt::Debug for dyn Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Generation")
    }
}
