//! What a message and a conversation are.

use serde::{Deserialize, Serialize};

use crate::ids::{ConversationId, ConversationNumber, MessageId, MessageSeq};

/// A JSON object: the parameters that somebody has chosen, as the server names them.
pub type Parameters = serde_json::Map<String, serde_json::Value>;

macro_rules! words {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }
    ) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The word for it, which is stored.
            pub fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)*
                }
            }

            /// The one with this word.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }

        impl rusqlite::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                Ok(self.name().into())
            }
        }

        impl rusqlite::types::FromSql for $name {
            fn column_result(
                value: rusqlite::types::ValueRef<'_>,
            ) -> rusqlite::types::FromSqlResult<Self> {
                Self::from_name(value.as_str()?).ok_or(rusqlite::types::FromSqlError::InvalidType)
            }
        }
    };
}
pub(crate) use words;

words! {
    /// Who wrote a message.
    Role {
        /// The person.
        User = "user",
        /// The model: the message is an answer.
        Assistant = "assistant",
    }
}

words! {
    /// The state of a message. A user's message is always complete.
    State {
        /// The answer waits in a queue, or for its prompt.
        Waiting = "waiting",
        /// The answer is being written.
        Writing = "writing",
        /// The model has ended the answer, or a stop string has.
        Complete = "complete",
        /// The answer is as long as it may be.
        Length = "length",
        /// A person has stopped the answer.
        Stopped = "stopped",
        /// The answer ended because the server did, or because nobody was there any more.
        Interrupted = "interrupted",
        /// The answer failed.
        Failed = "failed",
    }
}

impl State {
    /// Whether an answer in this state can grow.
    pub fn is_running(self) -> bool {
        matches!(self, State::Waiting | State::Writing)
    }
}

words! {
    /// Why an answer ended.
    Reason {
        /// The model has ended it.
        End = "end",
        /// It would have contained a stop string.
        StopString = "stop_string",
        /// It is as long as it may be.
        Length = "length",
        /// A person has stopped it.
        Stopped = "stopped",
        /// A content filter of the engine has cut it off.
        Filtered = "filtered",
        /// The engine lacked resources.
        Unavailable = "unavailable",
        /// Nobody was there any more.
        Disconnected = "disconnected",
        /// The server was shut down.
        Shutdown = "shutdown",
        /// The server's process ended without a shutdown.
        Crashed = "crashed",
        /// It failed; [`Message::error`] says how.
        Failed = "failed",
    }
}

words! {
    /// Where a conversation's title comes from. A title replaces only titles from sources before
    /// its own in this list, or from the same one.
    TitleSource {
        /// There is none.
        None = "none",
        /// The first words of the first message.
        FirstWords = "first_words",
        /// The model has found it.
        Model = "model",
        /// A person has written it.
        Person = "person",
    }
}

impl TitleSource {
    /// Whether a title from this source replaces one from `old`.
    pub(crate) fn replaces(self, old: TitleSource) -> bool {
        let rank = |source| Self::ALL.iter().position(|one| *one == source);
        rank(self) >= rank(old)
    }
}

/// The error with which an answer failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerError {
    /// The code, for programs.
    pub code: String,
    /// The words, for people.
    pub message: String,
}

/// Tokens of an answer; a number is absent if it is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Tokens of the prompt that were found in the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
    /// Tokens of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_tokens: Option<u64>,
}

/// Times of an answer; a number is absent if it is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Time from the request to the first token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<f64>,
    /// Speed after the first token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<f64>,
    /// Time from the stop to the halt of the computation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halt_ms: Option<f64>,
}

/// A message of a conversation. One with the role [`Role::Assistant`] is an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its place in the order of all messages.
    pub seq: MessageSeq,
    /// Its public id.
    pub id: MessageId,
    /// The message after which it comes; `None` for a first message.
    pub parent: Option<MessageId>,
    /// Who wrote it.
    pub role: Role,
    /// Its state.
    pub state: State,
    /// Its text; what is durable of it while it is being written.
    pub text: String,
    /// What the model thought before the answer.
    pub thinking: String,
    /// The tokens that made the text; empty if they are unknown.
    pub tokens: Vec<u32>,
    /// The model that writes the answer.
    pub model: Option<String>,
    /// The parameters of the request for the answer.
    pub parameters: Option<Parameters>,
    /// The seed with which the answer is sampled.
    pub seed: Option<u64>,
    /// Why the answer ended.
    pub reason: Option<Reason>,
    /// How the answer failed.
    pub error: Option<AnswerError>,
    /// The tokens of the answer.
    pub usage: Option<Usage>,
    /// The times of the answer.
    pub timings: Option<Timings>,
    /// When it was stored, in milliseconds since 1970. Nothing is ordered by it.
    pub created_ms: u64,
}

/// A conversation, without its messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// The number by which the engine knows it.
    pub number: ConversationNumber,
    /// Its public id.
    pub id: ConversationId,
    /// Its title; empty if it has none.
    pub title: String,
    /// Where the title comes from.
    pub title_source: TitleSource,
    /// Its system prompt.
    pub system: Option<String>,
    /// Its parameters.
    pub parameters: Option<Parameters>,
    /// The last message of the current branch; `None` while there is no message.
    pub leaf: Option<MessageId>,
    /// The model of its newest answer.
    pub model: Option<String>,
    /// How many messages it has, on all branches.
    pub messages: u64,
    /// Whether it is pinned.
    pub pinned: bool,
    /// Whether it is archived.
    pub archived: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last changed, in milliseconds since 1970.
    pub updated_ms: u64,
}

/// A conversation with all its messages, in the order in which they were stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The conversation.
    pub conversation: Conversation,
    /// Its messages. A message comes after its parent.
    pub messages: Vec<Message>,
}
