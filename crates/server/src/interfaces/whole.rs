//! An answer that is read to its end.

use super::asking::{CannotAnswer, end_of};
use crate::answers::{CallBegun, Follower, Update};
use banter_seam::{EndReason, Finished, Logprobs, ToolCall};

/// An answer that has ended.
pub(super) struct WholeAnswer {
    pub(super) text: String,
    pub(super) thinking: String,
    pub(super) calls: Vec<ToolCall>,
    pub(super) logprobs: Vec<Logprobs>,
    pub(super) reason: EndReason,
    pub(super) finished: Finished,
}

/// Waits for the end of an answer.
pub(super) async fn read_to_end(mut follower: Follower) -> Result<WholeAnswer, CannotAnswer> {
    let (mut text, mut thinking) = (String::new(), String::new());
    let (mut calls, mut logprobs) = (Vec::<ToolCall>::new(), Vec::new());
    loop {
        match follower.next().await {
            Update::Waiting(_) | Update::Begun(_) | Update::Overdue => {}
            Update::Thinking(piece) => thinking.push_str(&piece.text),
            Update::Delta(piece) => text.push_str(&piece.text),
            Update::Logprobs(more) => logprobs.extend(more),
            Update::Call(CallBegun { id, name }) => {
                calls.push(ToolCall { id, name, arguments: String::new() });
            }
            Update::Arguments(piece) => {
                if let Some(call) = calls.last_mut() {
                    call.arguments.push_str(&piece);
                }
            }
            Update::Ended(ended) => {
                let reason = end_of(&ended)?;
                let finished = ended.finished;
                return Ok(WholeAnswer { text, thinking, calls, logprobs, reason, finished });
            }
            Update::Halted => return Err(CannotAnswer::Ending),
        }
    }
}
