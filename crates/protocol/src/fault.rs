//! What can be wrong with a request, as the client is told.

use serde::Serialize;

/// The reason why a request was refused or an answer ended early.
///
/// [`Fault::code`] is for programs, the `Display` form is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bytes are not the JSON object that was expected.
    #[error("not a JSON request: {reason}")]
    BadJson {
        /// What the parser found.
        reason: String,
    },
    /// A field has the wrong type or lies outside its range.
    #[error("{field}: expected {expected}, found {found}")]
    InvalidParameter {
        /// The field, with its position for list entries: `history[2].role`.
        field: String,
        /// The range or type that would have been accepted.
        expected: String,
        /// The value as JSON, shortened when long.
        found: String,
    },
    /// The newest message does not fit the context even alone.
    #[error("the message is too long: it has {tokens} tokens, and at most {limit} fit")]
    TooLong {
        /// The tokens of the message alone.
        tokens: usize,
        /// The tokens that fit.
        limit: usize,
    },
    /// The newest message would fit, but not together with the system message.
    #[error(
        "the system message and the message together are too long: they have {tokens} tokens, and at most {limit} fit"
    )]
    TooLongWithSystem {
        /// The tokens of both.
        tokens: usize,
        /// What fits.
        limit: usize,
    },
    /// Too much is waiting already.
    #[error("{reason}")]
    Busy {
        /// The reason, for people.
        reason: String,
        /// How many requests are ahead.
        position: usize,
        /// The estimated wait; `None` if it cannot be estimated.
        estimate_ms: Option<u64>,
    },
    /// The request has waited, or made no progress, for longer than the limit.
    #[error("timed out after {seconds} s {while_doing}")]
    Timeout {
        /// The limit in seconds.
        seconds: u64,
        /// One of the constants below, or words like them.
        while_doing: &'static str,
    },
    /// A content filter of the engine behind the server cut the answer off.
    #[error("the engine's content filter cut the answer off")]
    Filtered,
    /// The engine behind the server cut the answer off because it lacked resources.
    #[error("the engine cut the answer off because it lacked resources; ask again later")]
    Unavailable,
    /// An error of the server. The log has the details.
    #[error("internal error: {reason}")]
    Internal {
        /// What failed, without paths or message text.
        reason: String,
    },
}

impl Fault {
    /// [`Fault::Timeout`] of a request that still waited. Names the option that sets the limit.
    pub const IN_THE_QUEUE: &'static str = "in the queue (--queue-timeout)";
    /// [`Fault::Timeout`] of an answer that made no progress. No option sets this limit.
    pub const WITHOUT_A_STEP: &'static str = "without a step";

    /// The code, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Fault::BadJson { .. } => "bad_json",
            Fault::InvalidParameter { .. } => "invalid_parameter",
            Fault::TooLong { .. } | Fault::TooLongWithSystem { .. } => "too_long",
            Fault::Busy { .. } => "busy",
            Fault::Timeout { .. } => "timeout",
            Fault::Filtered => "filtered",
            Fault::Unavailable => "unavailable",
            Fault::Internal { .. } => "internal",
        }
    }

    /// The JSON object `{"error": {"code", "message", …}}` that is sent to the client.
    ///
    /// The details are also separate fields (`field`, `range`, `value`, `position`, `estimate_ms`),
    /// so that a page can say them in its own language.
    pub fn to_json(&self) -> String {
        let mut words = Words { code: self.code(), message: self.to_string(), ..Words::default() };
        match self {
            Fault::InvalidParameter { field, expected, found } => {
                words.field = Some(field);
                words.range = Some(expected);
                words.value = Some(found);
            }
            Fault::TooLong { tokens, limit } | Fault::TooLongWithSystem { tokens, limit } => {
                words.tokens = Some(*tokens);
                words.limit = Some(*limit);
            }
            Fault::Busy { position, estimate_ms, .. } => {
                words.position = Some(*position);
                words.estimate_ms = *estimate_ms;
            }
            Fault::BadJson { .. }
            | Fault::Timeout { .. }
            | Fault::Filtered
            | Fault::Unavailable
            | Fault::Internal { .. } => {}
        }
        serde_json::to_string(&Envelope { error: words })
            .expect("strings and numbers always serialise")
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Words<'a>,
}

#[derive(Default, Serialize)]
struct Words<'a> {
    code: &'a str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate_ms: Option<u64>,
}
