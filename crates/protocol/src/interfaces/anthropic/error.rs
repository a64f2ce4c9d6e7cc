//! Errors as Anthropic's interface writes them.

use banter_seam::Failure;
use serde::Serialize;

/// The body of an error.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorBody {
    /// Always `error`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What is wrong.
    pub error: ErrorReport,
}

impl From<ErrorReport> for ErrorBody {
    fn from(error: ErrorReport) -> ErrorBody {
        ErrorBody { kind: "error", error }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorReport {
    /// What kind of error it is.
    #[serde(rename = "type")]
    pub kind: ErrorKind,
    /// For people.
    pub message: String,
}

/// What kind of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// 400: the request is wrong.
    InvalidRequestError,
    /// 401: there is no key, or a wrong one.
    AuthenticationError,
    /// 403: the key does not allow it.
    PermissionError,
    /// 404: there is no such thing.
    NotFoundError,
    /// 413: the request is too long.
    RequestTooLarge,
    /// 429: too much is asked at the same time.
    RateLimitError,
    /// 503: the server cannot answer now.
    OverloadedError,
    /// 504: it took too long.
    TimeoutError,
    /// The server cannot answer.
    ApiError,
}

impl From<&Failure> for ErrorReport {
    fn from(failure: &Failure) -> ErrorReport {
        let kind = match failure {
            Failure::InvalidParameter { .. }
            | Failure::TooLong { .. }
            | Failure::TooLongWithSystem { .. } => ErrorKind::InvalidRequestError,
            Failure::Busy { .. } => ErrorKind::RateLimitError,
            Failure::Unavailable => ErrorKind::OverloadedError,
            Failure::Timeout { .. } => ErrorKind::TimeoutError,
            Failure::Filtered | Failure::Internal { .. } => ErrorKind::ApiError,
        };
        ErrorReport { kind, message: failure.to_string() }
    }
}
