//! What is asked for, and why it is refused.

use super::continuation::{Continuation, ContinuationError};
use super::generation::Generation;
use crate::origin::{ConversationId, Origin, Tenant};
use crate::sampler::{MAX_TOP_LOGPROBS, ParameterError, SamplingParams};
use crate::structure::{Structure, StructureError};
use crate::text::{Message, TemplateExtras, TextError, TokenId};

/// What a caller asks for.
#[derive(Clone, Debug)]
pub struct GenerateRequest {
    /// The text, tokens or conversation that the answer follows.
    pub prompt: PromptSource,
    /// How tokens are chosen.
    pub sampling: SamplingParams,
    /// The most tokens the answer may have, or if it goes on, may have in addition. Without it, and
    /// at most, as many as the context has left.
    pub max_tokens: Option<usize>,
    /// The answer ends before the first of these that it would contain. At most
    /// [`MAX_STOP_STRINGS`], each of at most [`MAX_STOP_STRING_BYTES`].
    pub stop_strings: Vec<String>,
    /// The structure that the answer must have.
    pub structure: Option<Structure>,
    /// Whether each token comes with its log-probability, and with those of how many of the
    /// likeliest tokens: at most [`MAX_TOP_LOGPROBS`](crate::sampler::MAX_TOP_LOGPROBS).
    pub logprobs: Option<usize>,
    /// Whose conversation it is. What was computed for other tenants is not used for it.
    pub tenant: Tenant,
    /// Which of the tenant's conversations it is, so that it can be forgotten later.
    pub conversation: Option<ConversationId>,
    /// The answer so far, if the request goes on with one instead of beginning one. It belongs to
    /// the last message.
    ///
    /// With the messages, the parameters and the seed of the request that began it, its text and
    /// its tokens become what they would have been without the cut. There is one exception. An
    /// answer that reached `max_tokens` has shown the beginning of a stop string. If the answer
    /// goes on and completes that stop string, it ends, and what was shown stays.
    ///
    /// The same turns of the history are left out as before if `max_tokens` is what remains of the
    /// first request's. If the answer has used all the room that the history had left for it,
    /// further turns are left out.
    pub continues: Option<Continuation>,
}

/// The text, tokens or conversation that an answer follows.
#[derive(Clone, Debug)]
pub enum PromptSource {
    /// A conversation, as the chat template writes it.
    Messages {
        /// The oldest message first.
        messages: Vec<Message>,
        /// Tools and options for the chat template.
        extras: TemplateExtras,
        /// The request is refused if they do not fit. Otherwise the oldest are left out.
        is_whole: bool,
    },
    /// A text, with nothing around it. Literals of added tokens in it are those tokens.
    Text(String),
    /// Tokens, with nothing around them.
    Tokens(Vec<TokenId>),
}

impl PromptSource {
    /// The messages of a conversation; none of other prompts.
    pub fn messages(&self) -> &[Message] {
        match self {
            PromptSource::Messages { messages, .. } => messages,
            PromptSource::Text(_) | PromptSource::Tokens(_) => &[],
        }
    }

    /// Whether the model is told of functions that it may call.
    pub fn has_tools(&self) -> bool {
        matches!(self, PromptSource::Messages { extras, .. } if !extras.tools.is_empty())
    }
}

impl From<Vec<Message>> for PromptSource {
    fn from(messages: Vec<Message>) -> PromptSource {
        PromptSource::Messages { messages, extras: TemplateExtras::default(), is_whole: false }
    }
}

/// A message that is still being typed.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The conversation, oldest message first; the last is the one being typed.
    pub messages: Vec<Message>,
    /// As in the request that will follow: it decides how much of a long history fits.
    pub max_tokens: Option<usize>,
    /// Whose conversation it is.
    pub tenant: Tenant,
    /// Which of the tenant's conversations it is, as in the request that will follow.
    pub conversation: Option<ConversationId>,
    /// Tells drafts of one tenant apart: a newer one replaces the older one of the same key.
    pub key: u64,
}

impl GenerateRequest {
    /// A request of the default tenant, outside any conversation: with the model's own
    /// distribution, and an answer as long as the context allows.
    pub fn new(prompt: impl Into<PromptSource>) -> GenerateRequest {
        GenerateRequest {
            prompt: prompt.into(),
            sampling: SamplingParams::default(),
            max_tokens: None,
            stop_strings: Vec::new(),
            structure: None,
            logprobs: None,
            tenant: Tenant::default(),
            conversation: None,
            continues: None,
        }
    }

    /// Checks what does not depend on the model.
    ///
    /// Errors: a length outside its limits.
    pub(super) fn check_lengths(&self) -> Result<(), ParameterError> {
        let wrong = |field, range: String, found: usize| {
            Err(ParameterError { field, range, value: found.to_string() })
        };
        if self.max_tokens == Some(0) {
            return wrong("max_tokens", "at least 1".to_owned(), 0);
        }
        if self.stop_strings.len() > MAX_STOP_STRINGS {
            let range = format!("at most {MAX_STOP_STRINGS} strings");
            return wrong("stop", range, self.stop_strings.len());
        }
        if let Some(found) = self.logprobs.filter(|top| *top > MAX_TOP_LOGPROBS) {
            return wrong("top_logprobs", format!("0 to {MAX_TOP_LOGPROBS}"), found);
        }
        let too_long = |string: &&String| string.len() > MAX_STOP_STRING_BYTES;
        if let Some(string) = self.stop_strings.iter().find(too_long) {
            let range = format!("strings of at most {MAX_STOP_STRING_BYTES} bytes");
            return wrong("stop", range, string.len());
        }
        Ok(())
    }

    pub(super) fn origin(&self) -> Origin {
        Origin { tenant: self.tenant, conversation: self.conversation }
    }
}

impl Draft {
    pub(super) fn origin(&self) -> Origin {
        Origin { tenant: self.tenant, conversation: self.conversation }
    }
}

/// How many stop strings a request may have; one with more is refused.
pub const MAX_STOP_STRINGS: usize = 16;

/// How long a stop string may be; a request with a longer one is refused.
pub const MAX_STOP_STRING_BYTES: usize = 256;

/// The reply to a request.
#[derive(Debug)]
pub enum Submit {
    /// It runs, or waits in the queue.
    Accepted(Generation),
    /// The queue is full; try again later.
    QueueFull {
        /// The place it would have had, counted from 1.
        position: usize,
        /// How long it would have waited; none before an answer has ended.
        estimate_ms: Option<u64>,
    },
    /// It cannot run.
    Refused(Refusal),
}

/// Why a request cannot run, now or later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The newest message alone does not fit the context, or the cache where that is smaller.
    #[error("prompt: expected at most {limit} tokens, found {tokens}")]
    TooLong {
        /// Tokens of the shortest prompt that could be made.
        tokens: usize,
        /// Tokens a prompt may have.
        limit: usize,
    },
    /// A parameter is outside its range.
    #[error(transparent)]
    InvalidParameter(#[from] ParameterError),
    /// The structure of the answer cannot be used.
    #[error(transparent)]
    Structure(#[from] StructureError),
    /// The answer cannot go on.
    #[error("continuation: expected an answer that can go on, found {0}")]
    Continuation(#[from] ContinuationError),
    /// The chat template could not be written out for these messages.
    #[error("chat template: {0}")]
    Template(String),
    /// The chat template refuses the conversation; in its own words.
    #[error("messages: expected a conversation that the chat template takes, found: {0}")]
    Conversation(String),
    /// The engine is shutting down or its thread has ended.
    #[error("the engine takes no more requests")]
    Closed,
}

impl From<TextError> for Refusal {
    fn from(error: TextError) -> Refusal {
        match error {
            TextError::TooLong { tokens, limit } => Refusal::TooLong { tokens, limit },
            TextError::Refused(words) => Refusal::Conversation(words),
            error => Refusal::Template(error.to_string()),
        }
    }
}
