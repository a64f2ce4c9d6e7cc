//! The frames that a client has to ask for: how an answer ended, and what the model thought before
//! it.

use crate::Fault;
use banter_seam::{EndReason, Failure};
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

/// The error for a client that did not ask for the report of the end. Without it, an answer that
/// was cut off would look finished. `None` if nothing was cut off.
pub fn fault_of_end(reason: EndReason) -> Option<Fault> {
    match reason {
        EndReason::Filtered => Some(Failure::Filtered.into()),
        EndReason::Unavailable => Some(Failure::Unavailable.into()),
        EndReason::End | EndReason::StopString | EndReason::Length | EndReason::Stopped => None,
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
