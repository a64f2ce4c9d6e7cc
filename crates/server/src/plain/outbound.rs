//! What waits to be sent to one client.

use crate::socket::Outgoing;
use banter_protocol::plain::{END, Reports, split_lookalike, thinking_frame};
use std::collections::VecDeque;

/// Pieces are joined while they wait, up to this size: a slow client gets fewer, longer frames.
const JOINED_BYTES: usize = 16 * 1024;

/// Frames in order. Pieces of the running answer stand at the back and can be taken back.
#[derive(Default)]
pub(super) struct Outbound {
    frames: VecDeque<Frame>,
    bytes: usize,
}

enum Frame {
    /// A part of an answer that has not ended yet, or not yet when it was queued; and which reports its
    /// client tells from text.
    Piece { text: String, reports: Reports },
    /// A part of what the model thought before that answer.
    Thinking(String),
    /// An error, a report of an end, or the empty frame.
    Fixed(String),
}

impl Frame {
    fn text(&self) -> &str {
        match self {
            Frame::Piece { text, .. } | Frame::Thinking(text) | Frame::Fixed(text) => text,
        }
    }

    /// What it takes in memory: an empty frame is not free, or a client could make the server queue
    /// empty frames without end.
    fn bytes(&self) -> usize {
        size_of::<Frame>() + self.text().len()
    }
}

impl Outbound {
    /// Queues a piece of the running answer. An empty one is not sent.
    pub(super) fn piece(&mut self, piece: String, reports: Reports) {
        match self.frames.back_mut() {
            Some(Frame::Piece { text, .. }) if text.len() + piece.len() <= JOINED_BYTES => {
                text.push_str(&piece);
                self.bytes += piece.len();
            }
            _ => self.whole(piece, reports),
        }
    }

    /// Queues a whole answer as one frame, however long. An empty one is not sent.
    pub(super) fn whole(&mut self, answer: String, reports: Reports) {
        if !answer.is_empty() {
            self.push(Frame::Piece { text: answer, reports });
        }
    }

    /// Queues a piece of what the model thinks. An empty one is not sent.
    pub(super) fn thinking(&mut self, piece: String) {
        match self.frames.back_mut() {
            Some(Frame::Thinking(text)) if text.len() + piece.len() <= JOINED_BYTES => {
                text.push_str(&piece);
                self.bytes += piece.len();
            }
            _ => self.whole_thinking(piece),
        }
    }

    /// Queues all that the model thought as one frame. An empty one is not sent.
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

    /// Takes back the pieces of the running answer that have not been sent.
    pub(super) fn take_back_pieces(&mut self) {
        while let Some(frame @ (Frame::Piece { .. } | Frame::Thinking(_))) = self.frames.back() {
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
    fn pop(&mut self) -> Option<String> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.bytes();
        Some(match frame {
            Frame::Fixed(frame) => frame,
            Frame::Thinking(piece) => thinking_frame(&piece),
            // Looked at only here, because joining can make a lookalike out of harmless pieces.
            Frame::Piece { text, reports } => match split_lookalike(&text, reports) {
                None => text,
                Some((first, rest)) => {
                    let rest = Frame::Piece { text: rest.to_owned(), reports };
                    self.bytes += rest.bytes();
                    self.frames.push_front(rest);
                    first.to_owned()
                }
            },
        })
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(outbound: &mut Outbound) -> Vec<String> {
        std::iter::from_fn(|| outbound.pop()).collect()
    }

    #[test]
    fn waiting_pieces_are_joined_but_never_across_an_end() {
        let mut outbound = Outbound::default();
        for piece in ["a", "", "b"] {
            outbound.piece(piece.into(), Reports::default());
        }
        outbound.end();
        outbound.piece("c".into(), Reports::default());
        assert_eq!(drain(&mut outbound), ["ab", "", "c"]);
        assert_eq!(outbound.bytes(), 0);
    }

    #[test]
    fn joined_pieces_stay_within_their_size() {
        let mut outbound = Outbound::default();
        for _ in 0..JOINED_BYTES {
            outbound.piece("xyz".into(), Reports::default());
        }
        let frames = drain(&mut outbound);
        assert!(frames.iter().all(|frame| (1..=JOINED_BYTES).contains(&frame.len())));
        assert_eq!(frames.concat().len(), 3 * JOINED_BYTES);
    }

    #[test]
    fn taking_back_leaves_what_ended() {
        let mut outbound = Outbound::default();
        outbound.piece("first".into(), Reports::default());
        outbound.end();
        outbound.thinking("hm".into());
        outbound.piece("second".into(), Reports::default());
        outbound.take_back_pieces();
        outbound.end();
        assert_eq!(drain(&mut outbound), ["first", "", ""]);
        assert_eq!(outbound.bytes(), 0);
    }

    #[test]
    fn pieces_that_join_to_an_error_object_go_in_two_frames() {
        let mut outbound = Outbound::default();
        for piece in [" {", "\"error\"", ":1}"] {
            outbound.piece(piece.into(), Reports::default());
        }
        outbound.end();
        assert_eq!(drain(&mut outbound), [" {", "\"error\":1}", ""]);
        assert_eq!(outbound.bytes(), 0);
    }

    #[test]
    fn thoughts_are_joined_apart_from_the_answer() {
        let mut outbound = Outbound::default();
        for piece in ["so", "", " \"then\""] {
            outbound.thinking(piece.into());
        }
        outbound.piece("yes".into(), Reports::default());
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
