//! What is known about an answer: its text, and what else has happened to it.

use banter_seam::{FinishReason, Finished, Timings, Usage};

/// The longest piece of text that a follower reads at once, in bytes.
const MAX_PIECE_BYTES: usize = 16 * 1024;

/// What is known about an answer. It only grows: nothing that was written is changed.
#[derive(Default)]
pub(super) struct AnswerLog {
    /// The answer so far.
    text: String,
    /// What the model thought before the answer, so far.
    thinking: String,
    /// How many of the oldest messages the backend has left out, once it has taken the request.
    begun: Option<usize>,
    /// How it ended for those who read it.
    ended: Option<Finished>,
    /// The computation has halted. This can be later than the end.
    has_halted: bool,
    /// How many times the halt was waited for in vain.
    overdue: u32,
}

/// How far a follower has read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    /// Bytes of the answer.
    text: usize,
    /// Bytes of the thoughts.
    thinking: usize,
    has_begun: bool,
    has_ended: bool,
    has_halted: bool,
    overdue: u32,
}

/// What a follower reads next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Update {
    /// The backend has taken the request and has left out this many of the oldest messages.
    Begun {
        /// How many.
        dropped_messages: usize,
    },
    /// More of what the model thinks before it answers.
    Thinking(String),
    /// More of the answer.
    Delta(String),
    /// The answer has ended. The computation may not have halted yet.
    Ended(Finished),
    /// The computation was asked to halt and has not done so in time. It is still waited for.
    Overdue,
    /// The computation has halted. Nothing follows.
    Halted,
}

impl AnswerLog {
    pub(super) fn begin(&mut self, dropped_messages: usize) {
        self.begun = Some(dropped_messages);
    }

    /// Bytes of the answer, and of the thoughts before it.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + self.thinking.len()
    }

    pub(super) fn think(&mut self, thought: &str) {
        self.thinking.push_str(thought);
    }

    pub(super) fn write(&mut self, delta: &str) {
        self.text.push_str(delta);
    }

    /// Ends the answer, unless it has ended already.
    pub(super) fn end(&mut self, finished: Finished) {
        self.ended.get_or_insert(finished);
    }

    /// Ends the answer for a reason of this server. What was computed is not known then.
    pub(super) fn end_here(&mut self, reason: FinishReason) {
        self.end(Finished { reason, usage: Usage::default(), timings: Timings::default() });
    }

    pub(super) fn halt(&mut self) {
        self.has_halted = true;
    }

    pub(super) fn count_overdue(&mut self) {
        self.overdue += 1;
    }

    /// What comes after a position, which moves behind it; `None` if there is nothing yet.
    pub(super) fn after(&self, position: &mut Position) -> Option<Update> {
        if let (Some(dropped_messages), false) = (self.begun, position.has_begun) {
            position.has_begun = true;
            return Some(Update::Begun { dropped_messages });
        }
        if let Some(thought) = piece_after(&self.thinking, &mut position.thinking) {
            return Some(Update::Thinking(thought));
        }
        if let Some(delta) = piece_after(&self.text, &mut position.text) {
            return Some(Update::Delta(delta));
        }
        if let (Some(finished), false) = (&self.ended, position.has_ended) {
            position.has_ended = true;
            return Some(Update::Ended(finished.clone()));
        }
        if self.has_halted && !position.has_halted {
            position.has_halted = true;
            return Some(Update::Halted);
        }
        if self.overdue > position.overdue && !position.has_halted {
            position.overdue = self.overdue;
            return Some(Update::Overdue);
        }
        None
    }
}

/// The piece of a text that begins at a position, which moves to its end.
fn piece_after(text: &str, position: &mut usize) -> Option<String> {
    let rest = text.get(*position..).filter(|rest| !rest.is_empty())?;
    let piece = &rest[..rest.floor_char_boundary(MAX_PIECE_BYTES)];
    *position += piece.len();
    Some(piece.to_owned())
}
