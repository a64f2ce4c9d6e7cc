//! The frames that a client has to ask for: how an answer ended, and what the model thought before
//! it.

use crate::Fault;
use serde::Serialize;
use serde_json::json;

/// The report about the end of an answer, for clients that asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerEnd {
    /// Why it ended.
    pub reason: EndReason,
    /// Tokens of the answer; `None` if they are not known, as after a stop.
    pub tokens: Option<usize>,
    /// How many of the oldest messages were left out because the history does not fit the context.
    pub dropped_messages: usize,
}

/// Why an answer ended. For an answer that failed the client gets the [`Fault`] instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The model has ended it.
    End,
    /// It would have contained one of the request's stop strings.
    StopString,
    /// It has as many tokens as it may have, or the context is full.
    Length,
    /// The client has stopped it.
    Stopped,
    /// A content filter of the engine has cut it off.
    Filtered,
    /// The engine has cut it off because it lacked resources.
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

    /// The fault for a client that did not ask for the report and would think that the answer is
    /// finished.
    pub fn fault(self) -> Option<Fault> {
        match self {
            EndReason::Filtered => Some(Fault::Filtered),
            EndReason::Unavailable => Some(Fault::Unavailable),
            EndReason::End | EndReason::StopString | EndReason::Length | EndReason::Stopped => None,
        }
    }
}

impl AnswerEnd {
    /// The frame `{"end": {"reason": …, "tokens": …, "dropped_messages": …}}`.
    pub fn to_json(self) -> String {
        let end = EndFrame {
            reason: self.reason.name(),
            tokens: self.tokens,
            dropped_messages: Some(self.dropped_messages).filter(|dropped| *dropped > 0),
        };
        json!({ "end": end }).to_string()
    }
}

#[derive(Serialize)]
struct EndFrame {
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_messages: Option<usize>,
}

/// The frame `{"thinking": "…"}` with a delta of what the model thought.
pub fn thinking_frame(piece: &str) -> String {
    json!({ "thinking": piece }).to_string()
}
