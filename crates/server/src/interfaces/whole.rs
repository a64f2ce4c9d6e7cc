//! An answer that is read to its end.

use super::asking::{CannotAnswer, end_of};
use crate::answers::{CallBegun, Follower, Update};
use banter_seam::{EndReason, Logprobs, ToolCall, Usage};

/// An answer that has ended.
pub(super) struct WholeAnswer {
    pub(super) text: String,
    pub(super) thinking: String,
    pub(super) calls: Vec<ToolCall>,
    pub(super) logprobs: Vec<Logprobs>,
    pub(super) usage: Usage,
    pub(super) reason: EndReason,
}

/// Waits for the end of an answer.
pub(super) async fn read_to_end(mut follower: Follower) -> Result<WholeAnswer, CannotAnswer> {
    let mut answer = WholeAnswer {
        text: String::new(),
        thinking: String::new(),
        calls: Vec::new(),
        logprobs: Vec::new(),
        usage: Usage::default(),
        reason: EndReason::End,
    };
    loop {
        match follower.next().await {
            Update::Waiting(_) | Update::Begun(_) | Update::Overdue => {}
            Update::Thinking(piece) => answer.thinking.push_str(&piece.text),
            Update::Delta(piece) => answer.text.push_str(&piece.text),
            Update::Logprobs(logprobs) => answer.logprobs.extend(logprobs),
            Update::Call(CallBegun { id, name }) => {
                answer.calls.push(ToolCall { id, name, arguments: String::new() });
            }
            Update::Arguments(piece) => {
                if let Some(call) = answer.calls.last_mut() {
                    call.arguments.push_str(&piece);
                }
            }
            Update::Ended(ended) => {
                answer.reason = end_of(&ended)?;
                answer.usage = ended.finished.usage;
                return Ok(answer);
            }
            Update::Halted => return Err(CannotAnswer::Ending),
        }
    }
}
