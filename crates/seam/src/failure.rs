//! Why a request was refused, or why an answer failed.

/// The reason why a request was refused or an answer ended early.
///
/// [`Failure::code`] is for programs, the `Display` form is for people. Each language writes it in
/// its own form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
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

impl Failure {
    /// [`Failure::Timeout`] of a request that still waited. Names the option that sets the limit.
    pub const IN_THE_QUEUE: &'static str = "in the queue (--queue-timeout)";
    /// [`Failure::Timeout`] of a request that waited for its model. Names the option that sets the
    /// limit.
    pub const WHILE_LOADING: &'static str = "while its model was loaded (--queue-timeout)";
    /// [`Failure::Timeout`] of an answer that made no progress. No option sets this limit.
    pub const WITHOUT_A_STEP: &'static str = "without a step";

    /// The code, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Failure::InvalidParameter { .. } => "invalid_parameter",
            Failure::TooLong { .. } | Failure::TooLongWithSystem { .. } => "too_long",
            Failure::Busy { .. } => "busy",
            Failure::Timeout { .. } => "timeout",
            Failure::Filtered => "filtered",
            Failure::Unavailable => "unavailable",
            Failure::Internal { .. } => "internal",
        }
    }
}
