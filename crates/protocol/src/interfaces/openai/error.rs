//! Errors as OpenAI's interface writes them.

use crate::Fault;
use banter_seam::Failure;
use serde::Serialize;
use std::borrow::Cow;

/// The body of an error.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: ErrorReport,
}

/// An error that is told on a WebSocket.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorEvent {
    /// Always `error`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status that an HTTP response would have.
    pub status: u16,
    /// What is wrong.
    pub error: ErrorReport,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorReport {
    /// For people.
    pub message: String,
    /// What kind of error it is.
    #[serde(rename = "type")]
    pub kind: ErrorKind,
    /// The field that is wrong.
    pub param: Option<String>,
    /// For programs.
    pub code: Option<Cow<'static, str>>,
}

/// What kind of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request is wrong.
    InvalidRequestError,
    /// There is no key, or a wrong one.
    AuthenticationError,
    /// The key does not allow it.
    PermissionError,
    /// Too much is asked at the same time.
    RateLimitError,
    /// The server cannot answer.
    ServerError,
}

impl ErrorReport {
    /// An error of this kind.
    pub fn new(
        kind: ErrorKind,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> ErrorReport {
        ErrorReport { message: message.into(), kind, param: None, code: Some(code.into()) }
    }
}

impl ErrorReport {
    /// Whether the prompt is too long.
    pub fn is_about_length(&self) -> bool {
        self.code.as_deref() == Some(TOO_LONG)
    }
}

/// The code of a prompt that the model's context has no room for.
const TOO_LONG: &str = "context_length_exceeded";

impl From<&Fault> for ErrorReport {
    fn from(fault: &Fault) -> ErrorReport {
        match fault {
            Fault::BadJson { .. } => {
                ErrorReport::new(ErrorKind::InvalidRequestError, "bad_json", fault.to_string())
            }
            Fault::Failure(failure) => ErrorReport::from(failure),
        }
    }
}

impl From<&Failure> for ErrorReport {
    fn from(failure: &Failure) -> ErrorReport {
        let message = failure.to_string();
        match failure {
            Failure::InvalidParameter { field, .. } => ErrorReport {
                param: Some(field.clone()),
                ..ErrorReport::new(ErrorKind::InvalidRequestError, "invalid_value", message)
            },
            Failure::TooLong { tokens, limit } | Failure::TooLongWithSystem { tokens, limit } => {
                // Some clients look for the maximum in the message.
                let maximum = limit + 1;
                let message = format!(
                    "the prompt has {tokens} tokens, and this model's maximum context length is \
                     {maximum} tokens, of which the answer needs at least one"
                );
                ErrorReport {
                    param: Some("messages".to_owned()),
                    ..ErrorReport::new(ErrorKind::InvalidRequestError, TOO_LONG, message)
                }
            }
            Failure::Busy { .. } => ErrorReport::new(ErrorKind::RateLimitError, "busy", message),
            Failure::Timeout { .. }
            | Failure::Filtered
            | Failure::Unavailable
            | Failure::Internal { .. } => {
                ErrorReport::new(ErrorKind::ServerError, failure.code(), message)
            }
        }
    }
}
