//! The frames that wait to be sent to one client.

use crate::socket::{Outgoing, Payload};
use banter_protocol::plain::{END, Reports, split_lookalike, thinking_frame};
use std::collections::VecDeque;

/// Deltas that wait are joined up to this size, so a slow client gets fewer and longer frames.
const JOINED_BYTES: usize = 16 * 1024;

/// Frames in order. The deltas of the running answer are at the back, and can be taken back.
#[derive(Default)]
pub(super) struct Outbound {
    frames: VecDeque<Frame>,
    bytes: usize,
}

enum Frame {
    /// Text of an answer, and which reports the client tells from text.
    Delta { text: String, reports: Reports },
    /// What the model thought before that answer.
    Thinking(String),
    /// An error, a report of an end, or the empty frame.
    Fixed(String),
}

impl Frame {
    fn text(&self) -> &str {
        match self {
            Frame::Delta { text, .. } | Frame::Thinking(text) | Frame::Fixed(text) => text,
        }
    }

    /// The memory of the frame. An empty frame counts too, or a client could make the server queue
    /// any number of them.
    fn bytes(&self) -> usize {
        size_of::<Frame>() + self.text().len()
    }
}

impl Outbound {
    /// Queues a delta of the running answer. An empty delta is not sent.
    pub(super) fn delta(&mut self, delta: String, reports: Reports) {
        match self.frames.back_mut() {
            Some(Frame::Delta { text, .. }) if text.len() + delta.len() <= JOINED_BYTES => {
                text.push_str(&delta);
                self.bytes += delta.len();
            }
            _ => self.whole(delta, reports),
        }
    }

    /// Queues a whole answer as one frame, however long. An empty answer is not sent.
    pub(super) fn whole(&mut self, answer: String, reports: Reports) {
        if !answer.is_empty() {
            self.push(Frame::Delta { text: answer, reports });
        }
    }

    /// Queues a delta of what the model thinks. An empty delta is not sent.
    pub(super) fn thinking(&mut self, delta: String) {
        match self.frames.back_mut() {
            Some(Frame::Thinking(text)) if text.len() + delta.len() <= JOINED_BYTES => {
                text.push_str(&delta);
                self.bytes += delta.len();
            }
            _ => self.whole_thinking(delta),
        }
    }

    /// Queues everything that the model thought as one frame. An empty text is not sent.
    pub(super) fn whole_thinking(&mut self, thinking: String) {
        if !thinking.is_empty() {
            self.push(Frame::Thinking(thinking));
        }
    }

    /// Queues a frame about an answer: an error, or the report of its end.
    pub(super) fn report(&mut self, json: String) {
        self.push(Frame::Fixed(json));
    }

    /// Queues the end of an answer.
    pub(super) fn end(&mut self) {
        self.push(Frame::Fixed(END.to_owned()));
    }

    /// Removes the deltas of the running answer that have not been sent.
    pub(super) fn take_back_deltas(&mut self) {
        while let Some(frame @ (Frame::Delta { .. } | Frame::Thinking(_))) = self.frames.back() {
            self.bytes -= frame.bytes();
            self.frames.pop_back();
        }
    }

    fn push(&mut self, frame: Frame) {
        self.bytes += frame.bytes();
        self.frames.push_back(frame);
    }
}

impl Outgoing for Outbound {
    fn pop(&mut self) -> Option<Payload> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.bytes();
        Some(Payload::Text(match frame {
            Frame::Fixed(frame) => frame,
            Frame::Thinking(delta) => thinking_frame(&delta),
            // Checked only here, because deltas that are harmless alone can look like a report when
            // joined.
            Frame::Delta { text, reports } => match split_lookalike(&text, reports) {
                None => text,
                Some((first, rest)) => {
                    let rest = Frame::Delta { text: rest.to_owned(), reports };
                    self.bytes += rest.bytes();
                    self.frames.push_front(rest);
                    first.to_owned()
                }
            },
        }))
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(outbound: &mut Outbound) -> Vec<String> {
        let text = |message| match message {
            Payload::Text(text) => text,
            Payload::Binary(_) => panic!("the plain language has no binary messages"),
        };
        std::iter::from_fn(|| outbound.pop()).map(text).collect()
    }

    #[test]
    fn waiting_pieces_are_joined_but_never_across_an_end() {
        let mut outbound = Outbound::default();
        for delta in ["a", "", "b"] {
            outbound.delta(delta.into(), Reports::default());
        }
        outbound.end();
        outbound.delta("c".into(), Reports::default());
        assert_eq!(drain(&mut outbound), ["ab", "", "c"]);
        assert_eq!(outbound.bytes(), 0);
    }

    #[test]
    fn joined_pieces_stay_within_their_size() {
        let mut outbound = Outbound::default();
        for _ in 0..JOINED_BYTES {
            outbound.delta("xyz".into(), Reports::default());
        }
        let frames = drain(&mut outbound);
        assert!(frames.iter().all(|frame| (1..=JOINED_BYTES).contains(&frame.len())));
        assert_eq!(frames.concat().len(), 3 * JOINED_BYTES);
    }

    #[test]
    fn taking_back_leaves_what_ended() {
        let mut outbound = Outbound::default();
        outbound.delta("first".into(), Reports::default());
        outbound.end();
        outbound.thinking("hm".into());
        outbound.delta("second".into(), Reports::default());
        outbound.take_back_deltas();
        outbound.end();
        assert_eq!(drain(&mut outbound), ["first", "", ""]);
        assert_eq!(outbound.bytes(), 0);
    }

    #[test]
    fn pieces_that_join_to_an_error_object_go_in_two_frames() {
        let mut outbound = Outbound::default();
        for delta in [" {", "\"error\"", ":1}"] {
            outbound.delta(delta.into(), Reports::default());
        }
        outbound.end();
        assert_eq!(drain(&mut outbound), [" {", "\"error\":1}", ""]);
        assert_eq!(outbound.bytes(), 0);
    }

    #[test]
    fn thoughts_are_joined_apart_from_the_answer() {
        let mut outbound = Outbound::default();
        for delta in ["so", "", " \"then\""] {
            outbound.thinking(delta.into());
        }
        outbound.delta("yes".into(), Reports::default());
        assert_eq!(drain(&mut outbound), [r#"{"thinking":"so \"then\""}"#, "yes"]);
        assert_eq!(outbound.bytes(), 0);
    }

    #[test]
    fn empty_frames_count() {
        let mut outbound = Outbound::default();
        for _ in 0..1_000 {
            outbound.end();
        }
        assert!(outbound.bytes() > 10_000);
    }
}
