//! How an answer ended, and what a model thought before it: frames that a client asks for.

use crate::Fault;
use serde_json::json;

/// What the last frame of an answer says about its end, if the client asked for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerEnd {
    /// Why it ended.
    pub reason: EndReason,
    /// Tokens of the answer; `None` where they are not known, as after a stop.
    pub tokens: Option<usize>,
}

/// Why an answer ended. One that failed has no such reason: the client is told the [`Fault`] instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The model ended it.
    End,
    /// It would have contained one of the request's stop strings.
    StopString,
    /// It has as many tokens as it may have, or the context is full.
    Length,
    /// The client asked for the end.
    Stopped,
    /// A content filter of the engine behind the server cut it off.
    Filtered,
    /// The engine behind the server cut it off because it lacked resources.
    Unavailable,
}

impl EndReason {
    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            EndReason::End => "end",
            EndReason::StopString => "stop_string",
            EndReason::Length => "length",
            EndReason::Stopped => "stopped",
            EndReason::Filtered => "filtered",
            EndReason::Unavailable => "unavailable",
        }
    }

    /// What a client that asked for no report is told, because it would take the answer for a
    /// finished one.
    pub fn fault(self) -> Option<Fault> {
        match self {
            EndReason::Filtered => Some(Fault::Filtered),
            EndReason::Unavailable => Some(Fault::Unavailable),
            EndReason::End | EndReason::StopString | EndReason::Length | EndReason::Stopped => None,
        }
    }
}

impl AnswerEnd {
    /// The frame `{"end": {"reason": …, "tokens": …}}`.
    pub fn to_json(self) -> String {
        let reason = self.reason.name();
        match self.tokens {
            Some(tokens) => json!({ "end": { "reason": reason, "tokens": tokens } }),
            None => json!({ "end": { "reason": reason } }),
        }
        .to_string()
    }
}

/// The frame `{"thinking": "…"}` with a piece of what the model thought.
pub fn thinking_frame(piece: &str) -> String {
    json!({ "thinking": piece }).to_string()
}
