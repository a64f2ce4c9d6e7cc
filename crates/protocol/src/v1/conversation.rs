//! Conversations and messages, as events and HTTP bodies carry them.

use super::{ConversationId, MessageId, Parameters, V1Error};
use crate::json::null_as_default;
use banter_seam::EndReason;
use serde::{Deserialize, Serialize};

/// A conversation without its messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// Its title; `null` until it has one.
    pub title: Option<String>,
    /// When it was made.
    pub created_ms: u64,
    /// When its newest message was added, or its newest answer ended.
    pub updated_ms: u64,
    /// Whether it comes before others in the list.
    pub pinned: bool,
    /// Whether the list leaves it out.
    pub archived: bool,
    /// Its system prompt.
    pub system: Option<String>,
    /// Parameters of its answers.
    #[serde(default, deserialize_with = "null_as_default")]
    pub parameters: Parameters,
    /// The newest message of the current branch; `null` while it has no message.
    pub leaf: Option<MessageId>,
    /// The model of its newest answer.
    pub model: Option<String>,
    /// How many messages it has, on all branches.
    pub messages: u64,
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The message before it; `null` for a first message. Messages with one parent are branches.
    pub parent: Option<MessageId>,
    /// Who wrote it.
    pub role: Role,
    /// Its text; of an answer that is being written, the text so far.
    pub text: String,
    /// What the model thought before an answer, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub thinking: Option<String>,
    /// How an answer stands; missing for a person's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub state: Option<AnswerState>,
    /// When it was added.
    pub created_ms: u64,
    /// The model that wrote an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub model: Option<String>,
    /// How an answer ended; missing while it is being written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub finish: Option<Finish>,
}

/// The author of a message. The system prompt is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS), ts(rename = "MessageRole"))]
#[cfg_attr(test, schemars(rename = "MessageRole"))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl From<Role> for banter_seam::Role {
    fn from(role: Role) -> banter_seam::Role {
        match role {
            Role::User => banter_seam::Role::User,
            Role::Assistant => banter_seam::Role::Assistant,
        }
    }
}

/// How an answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum AnswerState {
    /// It has no text yet: it is in the queue, or its prompt is being computed.
    Waiting,
    /// It is being written.
    Writing,
    /// The model ended it, or it reached a stop string.
    Complete,
    /// It was cut because it has as many tokens as it may have.
    Length,
    /// A person stopped it.
    Stopped,
    /// The server stopped it, or nobody was there any more.
    Interrupted,
    /// It failed.
    Failed,
    /// A state that this version does not know. It is over.
    #[serde(other)]
    #[cfg_attr(test, schemars(skip), ts(skip))]
    Unknown,
}

impl AnswerState {
    /// Whether text may still come without a request.
    pub fn is_live(self) -> bool {
        matches!(self, AnswerState::Waiting | AnswerState::Writing)
    }

    /// Whether `continue` goes on with an answer in this state. A failed one needs some text, too.
    pub fn can_continue(self) -> bool {
        matches!(
            self,
            AnswerState::Length
                | AnswerState::Stopped
                | AnswerState::Interrupted
                | AnswerState::Failed
        )
    }
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Finish {
    /// Why it ended.
    pub reason: FinishReason,
    /// What failed, if the state is `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub error: Option<V1Error>,
    /// Its tokens.
    #[serde(default)]
    pub usage: Usage,
    /// Its times.
    #[serde(default)]
    pub timings: Timings,
    /// The seed that repeats it, if the engine tells it. A seed that the server has drawn is below
    /// 2⁵³.
    pub seed: Option<u64>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended it.
    End,
    /// It would have contained one of the strings of `stop`.
    StopString,
    /// It has as many tokens as it may have, or the context is full.
    Length,
    /// A person stopped it.
    Stopped,
    /// A content filter of the engine behind the server cut it off.
    Filtered,
    /// The engine behind the server cut it off because it lacked resources.
    Unavailable,
    /// Nobody followed it any more when the grace time was over.
    Disconnected,
    /// The server was shut down.
    Shutdown,
    /// The server was killed while it was being written.
    Crashed,
    /// Something else failed; the error says what.
    Failed,
    /// A reason that this version does not know.
    #[serde(other)]
    #[cfg_attr(test, schemars(skip), ts(skip))]
    Unknown,
}

impl FinishReason {
    /// The state of an answer that has ended for this reason.
    pub fn state(self) -> AnswerState {
        match self {
            FinishReason::End | FinishReason::StopString => AnswerState::Complete,
            FinishReason::Length => AnswerState::Length,
            FinishReason::Stopped => AnswerState::Stopped,
            FinishReason::Disconnected | FinishReason::Shutdown | FinishReason::Crashed => {
                AnswerState::Interrupted
            }
            FinishReason::Filtered | FinishReason::Unavailable | FinishReason::Failed => {
                AnswerState::Failed
            }
            FinishReason::Unknown => AnswerState::Unknown,
        }
    }
}

impl From<EndReason> for FinishReason {
    fn from(reason: EndReason) -> FinishReason {
        match reason {
            EndReason::End => FinishReason::End,
            EndReason::StopString => FinishReason::StopString,
            EndReason::Length => FinishReason::Length,
            EndReason::Stopped => FinishReason::Stopped,
            EndReason::Filtered => FinishReason::Filtered,
            EndReason::Unavailable => FinishReason::Unavailable,
        }
    }
}

/// Tokens of an answer; `null` where they are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the prompt that had been computed before.
    pub cached_tokens: Option<u64>,
    /// Tokens of the answer.
    pub completion_tokens: Option<u64>,
}

impl From<banter_seam::Usage> for Usage {
    fn from(usage: banter_seam::Usage) -> Usage {
        let count = |tokens: Option<usize>| tokens.map(|tokens| tokens as u64);
        Usage {
            prompt_tokens: count(usage.prompt_tokens),
            cached_tokens: count(usage.cached_tokens),
            completion_tokens: count(usage.completion_tokens),
        }
    }
}

/// Times of an answer; `null` where they are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Timings {
    /// Time from the request to the first token.
    pub first_token_ms: Option<f32>,
    /// Speed after the first token.
    pub tokens_per_second: Option<f32>,
    /// Time from the stop to the halt of the computation.
    pub halt_ms: Option<f32>,
}

impl From<banter_seam::Timings> for Timings {
    fn from(timings: banter_seam::Timings) -> Timings {
        Timings {
            first_token_ms: timings.first_token_ms,
            tokens_per_second: timings.tokens_per_second,
            halt_ms: timings.halt_ms,
        }
    }
}
