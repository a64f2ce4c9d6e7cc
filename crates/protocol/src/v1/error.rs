//! What can be wrong with an event, and why an answer has failed.

use crate::json::{Found, Mistake};
use banter_seam::Failure;
use serde::{Deserialize, Serialize};

/// An error as the client is told: the event `error`, or the `error` of an answer that has failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[error("{message}")]
pub struct V1Error {
    /// The code, for programs.
    pub code: ErrorCode,
    /// The same for people.
    pub message: String,
    /// More for programs.
    #[serde(flatten)]
    pub details: Box<ErrorDetails>,
}

/// What is known about an error, beside what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[cfg_attr(test, ts(optional_fields))]
pub struct ErrorDetails {
    /// The field that is wrong, with its path: `parameters.stop[3]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The type or range that the field may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was found in its place, shortened if it is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// `too_long`: how many tokens the message has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// `too_long`: how many tokens fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// `busy`: how many requests are ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// When it is worth trying again, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// What is wrong, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The frame is not a JSON object, or a key occurs twice in it.
    BadJson,
    /// There is no event of this type.
    UnknownEvent,
    /// A field is missing, has the wrong type or lies outside its range.
    InvalidParameter,
    /// The user has no such conversation.
    UnknownConversation,
    /// The conversation has no such message.
    UnknownMessage,
    /// The message is not an answer, and only an answer will do.
    NotAnAnswer,
    /// The message is not one of a person, and only such a one will do.
    NotAUserMessage,
    /// The answer has ended by itself, so it cannot be continued.
    AnswerComplete,
    /// The answer is being written.
    AnswerRunning,
    /// The message does not fit in the model's context.
    TooLong,
    /// Too much is waiting already.
    Busy,
    /// The request has waited, or made no progress, for longer than the limit.
    Timeout,
    /// The key is wrong, or one is needed.
    Unauthorized,
    /// Another event came before `hello`.
    HelloFirst,
    /// A second `hello` came.
    HelloAgain,
    /// The user's conversations take all the room that they may, or the disk is full.
    StoreFull,
    /// The conversation could not be read or written.
    StoreFailed,
    /// A content filter of the engine behind the server cut the answer off.
    Filtered,
    /// The engine behind the server cut the answer off because it lacked resources, or no model is
    /// loaded yet.
    Unavailable,
    /// The server failed.
    Internal,
    /// A code that this version does not know.
    #[serde(other)]
    #[cfg_attr(test, schemars(skip), ts(skip))]
    Unknown,
}

impl ErrorCode {
    /// The code as the wire has it.
    pub fn name(self) -> &'static str {
        match self {
            ErrorCode::BadJson => "bad_json",
            ErrorCode::UnknownEvent => "unknown_event",
            ErrorCode::InvalidParameter => "invalid_parameter",
            ErrorCode::UnknownConversation => "unknown_conversation",
            ErrorCode::UnknownMessage => "unknown_message",
            ErrorCode::NotAnAnswer => "not_an_answer",
            ErrorCode::NotAUserMessage => "not_a_user_message",
            ErrorCode::AnswerComplete => "answer_complete",
            ErrorCode::AnswerRunning => "answer_running",
            ErrorCode::TooLong => "too_long",
            ErrorCode::Busy => "busy",
            ErrorCode::Timeout => "timeout",
            ErrorCode::Unauthorized => "unauthorized",
            ErrorCode::HelloFirst => "hello_first",
            ErrorCode::HelloAgain => "hello_again",
            ErrorCode::StoreFull => "store_full",
            ErrorCode::StoreFailed => "store_failed",
            ErrorCode::Filtered => "filtered",
            ErrorCode::Unavailable => "unavailable",
            ErrorCode::Internal => "internal",
            ErrorCode::Unknown => "unknown",
        }
    }

    /// A sentence for people about an error of which nothing more is known.
    pub fn sentence(self) -> &'static str {
        match self {
            ErrorCode::BadJson => "expected a JSON object",
            ErrorCode::UnknownEvent => "there is no event of this type",
            ErrorCode::InvalidParameter => "a field has a value that it may not have",
            ErrorCode::UnknownConversation => "you have no such conversation",
            ErrorCode::UnknownMessage => "the conversation has no such message",
            ErrorCode::NotAnAnswer => "the message is not an answer",
            ErrorCode::NotAUserMessage => "the message is not one of a person",
            ErrorCode::AnswerComplete => "the answer has ended by itself; ask for another one",
            ErrorCode::AnswerRunning => "the answer is being written; stop it first",
            ErrorCode::TooLong => "the message does not fit in the model's context",
            ErrorCode::Busy => "too much is waiting already; try again later",
            ErrorCode::Timeout => "timed out",
            ErrorCode::Unauthorized => "a key is needed, and this is none; send a valid one",
            ErrorCode::HelloFirst => "the first event has to be hello",
            ErrorCode::HelloAgain => "hello was sent already; open another socket for another key",
            ErrorCode::StoreFull => "there is no room for more; delete old conversations",
            ErrorCode::StoreFailed => "the conversation could not be stored; the log says why",
            ErrorCode::Filtered => "the engine's content filter cut the answer off",
            ErrorCode::Unavailable => "no answer can be made now; try again later",
            ErrorCode::Internal => "the server failed; the log says why",
            ErrorCode::Unknown => "an error of a later version",
        }
    }
}

impl V1Error {
    /// An error with words of its own.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> V1Error {
        V1Error { code, message: message.into(), details: Box::default() }
    }

    /// An error of which more is known.
    pub fn with_details(self, details: ErrorDetails) -> V1Error {
        V1Error { details: Box::new(details), ..self }
    }

    /// Names the field that is wrong.
    pub fn of_field(mut self, field: &str) -> V1Error {
        self.details.field = Some(field.into());
        self
    }

    pub(super) fn bad_json(reason: String) -> V1Error {
        V1Error::new(ErrorCode::BadJson, reason)
    }

    pub(super) fn unknown_event(mistake: Mistake) -> V1Error {
        V1Error { code: ErrorCode::UnknownEvent, ..V1Error::from(mistake) }
    }

    fn invalid(field: String, expected: String, found: String) -> V1Error {
        let message = format!("{field}: expected {expected}, found {found}");
        V1Error::new(ErrorCode::InvalidParameter, message).with_details(ErrorDetails {
            field: Some(field),
            expected: Some(expected),
            found: Some(found),
            ..ErrorDetails::default()
        })
    }
}

impl From<ErrorCode> for V1Error {
    fn from(code: ErrorCode) -> V1Error {
        V1Error::new(code, code.sentence())
    }
}

impl From<Mistake> for V1Error {
    fn from(mistake: Mistake) -> V1Error {
        let found = match mistake.found {
            Found::Unseen | Found::Nothing => "nothing".into(),
            Found::Value(value) => value,
        };
        V1Error::invalid(mistake.field, mistake.expected, found)
    }
}

impl From<Failure> for V1Error {
    fn from(failure: Failure) -> V1Error {
        let message = failure.to_string();
        let of = |code| V1Error::new(code, message);
        match failure {
            Failure::InvalidParameter { field, expected, found } => {
                V1Error::invalid(field, expected, found)
            }
            Failure::TooLong { tokens, limit } | Failure::TooLongWithSystem { tokens, limit } => {
                let (tokens, limit) = (Some(tokens as u64), Some(limit as u64));
                let details = ErrorDetails { tokens, limit, ..ErrorDetails::default() };
                of(ErrorCode::TooLong).with_details(details)
            }
            Failure::Busy { position, estimate_ms, .. } => {
                of(ErrorCode::Busy).with_details(ErrorDetails {
                    position: Some(position as u64),
                    retry_after_ms: estimate_ms,
                    ..ErrorDetails::default()
                })
            }
            Failure::Timeout { .. } => of(ErrorCode::Timeout),
            Failure::Filtered => of(ErrorCode::Filtered),
            Failure::Unavailable => of(ErrorCode::Unavailable),
            Failure::Internal { .. } => of(ErrorCode::Internal),
        }
    }
}
