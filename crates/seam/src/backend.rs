//! The interface to whatever makes answers.

use crate::{
    Conversation, ConversationNumber, DraftRequest, EmbedRequest, Embeddings, Event, Failure,
    GenerateRequest, Message, Tenant,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::fmt;
use std::future::ready;
use std::time::SystemTime;
use tokio_util::sync::CancellationToken;

/// Something that makes answers.
pub trait Backend: Send + Sync + 'static {
    /// Describes the loaded model.
    fn info(&self) -> &BackendInfo;

    /// Whether it makes progress, or could.
    fn health(&self) -> Health;

    /// Cancelled when whatever makes the answers has ended and has saved what it keeps. It begins
    /// to end when nobody holds this backend any more. `None` if there is nothing to wait for.
    fn ended(&self) -> Option<CancellationToken> {
        None
    }

    /// Its own figures, for `/metrics`. None if somebody else runs the engine.
    fn metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    /// Whether it can go on with an answer that was cut off. Engines that somebody else runs
    /// cannot, because their interface takes text and not tokens.
    fn can_continue(&self) -> bool {
        false
    }

    /// Starts an answer, or goes on with one.
    ///
    /// Dropping the future, or the generation that it yields, stops the computation.
    fn generate(
        &self,
        request: Box<GenerateRequest>,
    ) -> BoxFuture<'static, Result<Box<dyn Generation>, Failure>>;

    /// Computes ahead what the answer to a message will need that is still being typed, at low
    /// priority. Never waits, and promises nothing: a draft is dropped when there is too much to
    /// do. A backend that cannot do this does nothing. To be called inside an async runtime.
    fn draft(&self, _draft: DraftRequest) {}

    /// Forgets a conversation of a tenant, or all that the tenant has: everything that was computed
    /// and remembered for its requests and drafts, in memory and on disk.
    ///
    /// Never waits. It is done before any later request begins. An answer of the conversation that
    /// is being written goes on, and leaves nothing. A backend that keeps nothing does nothing.
    fn forget(&self, _tenant: Tenant, _conversation: Option<ConversationNumber>) {}

    /// Whether [`Backend::fit`] can count tokens, as far as is known now.
    fn counts_tokens(&self) -> bool {
        true
    }

    /// The token ids of a text; `None` if this backend cannot tell.
    fn tokenize(&self, text: String) -> BoxFuture<'static, Result<Option<Vec<u32>>, Failure>>;

    /// The text that tokens spell, control tokens as their literals; `None` if this backend cannot
    /// tell.
    ///
    /// Errors: [`Failure::InvalidParameter`] if an id has no token.
    fn detokenize(&self, _tokens: Vec<u32>) -> BoxFuture<'static, Result<Option<String>, Failure>> {
        ready(Ok(None)).boxed()
    }

    /// The tokens of a whole conversation up to where the answer begins, however many they are;
    /// `None` if this backend cannot tell.
    fn prompt_tokens(
        &self,
        _conversation: Conversation,
    ) -> BoxFuture<'static, Result<Option<Vec<u32>>, Failure>> {
        ready(Ok(None)).boxed()
    }

    /// Turns texts into vectors; `None` if this backend cannot. Dropping the future stops that.
    ///
    /// Errors: [`Failure::InvalidParameter`], [`Failure::TooLong`], [`Failure::Busy`] and what can
    /// happen to an answer.
    fn embed(
        &self,
        _request: EmbedRequest,
    ) -> BoxFuture<'static, Result<Option<Embeddings>, Failure>> {
        ready(Ok(None)).boxed()
    }

    /// How many tokens of the context a conversation takes beside an answer of `max_tokens`; `None`
    /// if this backend cannot tell.
    ///
    /// Errors: [`Failure::TooLong`] or [`Failure::TooLongWithSystem`] if the newest message leaves
    /// no room for an answer. Their `tokens` are those of the prompt without the messages before
    /// it, except a system message.
    fn fit(
        &self,
        messages: Vec<Message>,
        max_tokens: usize,
    ) -> BoxFuture<'static, Result<Option<Fit>, Failure>>;
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

    /// The seed of the answer, drawn if the request has none. With it, and with all else the same,
    /// the answer can be repeated, or can go on after a cut. `None` if the backend does not know
    /// it.
    fn seed(&self) -> Option<u64> {
        None
    }

    /// Tokens that the model reads before its first new one: the prompt, and the answer so far if
    /// the request goes on with one. `None` if that is not known at the beginning.
    fn prompt_tokens(&self) -> Option<usize> {
        None
    }
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
    /// The family of the model as GGUF files name it, if it is known.
    pub family: Option<&'static str>,
    /// The types of its weights, if they are known.
    pub weight_types: Option<String>,
    /// When it was loaded, or found.
    pub loaded_at: SystemTime,
}

/// The values of parameters that a request leaves out. A missing value is the model's own, and not
/// known here.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Tokens of an answer.
    pub max_tokens: u32,
    /// Sampling temperature.
    pub temperature: Option<f32>,
    /// Nucleus size.
    pub top_p: Option<f32>,
    /// Repetition penalty; 1.0 is none.
    pub repetition_penalty: Option<f32>,
}

/// How a conversation fits the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Tokens of the prompt that would be computed.
    pub tokens: usize,
    /// Prompt and answer together can have this many.
    pub context_tokens: usize,
    /// How many of the oldest messages would be left out.
    pub dropped_messages: usize,
}

/// A figure of a backend that programs watch, with one value or several.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name, without the `_total` that a counter gets.
    pub name: &'static str,
    /// A sentence about all of its values.
    pub help: &'static str,
    /// How its values change.
    pub kind: MetricKind,
    /// Its values, each with what distinguishes it from the others; one without a label is the only
    /// one.
    pub values: Vec<(Option<Label>, f64)>,
}

/// What distinguishes a value of a metric, such as `part="planning"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What is distinguished.
    pub name: &'static str,
    /// Which one this is.
    pub value: String,
}

/// How the values of a metric change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// They only grow.
    Counter,
    /// They grow and shrink.
    Gauge,
}

impl fmt::Debug for dyn Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Generation")
    }
}
