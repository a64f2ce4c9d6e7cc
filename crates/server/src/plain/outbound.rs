//! What waits to be sent to one client.

use crate::socket::Outgoing;
use banter_protocol::plain::{END, split_lookalike};
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
    /// A part of an answer that has not ended yet, or not yet when it was queued.
    Piece(String),
    /// An error frame or the empty frame.
    Fixed(String),
}

impl Outbound {
    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Queues a piece of the running answer. An empty one is not sent.
    pub(super) fn piece(&mut self, piece: String) {
        self.bytes += piece.len();
        match self.frames.back_mut() {
            Some(Frame::Piece(waiting)) if waiting.len() + piece.len() <= JOINED_BYTES => {
                waiting.push_str(&piece);
            }
            _ if piece.is_empty() => {}
            _ => self.frames.push_back(Frame::Piece(piece)),
        }
    }

    /// Queues a whole answer as one frame, however long. An empty one is not sent.
    pub(super) fn whole(&mut self, answer: String) {
        self.bytes += answer.len();
        if !answer.is_empty() {
            self.frames.push_back(Frame::Piece(answer));
        }
    }

    /// Queues an error.
    pub(super) fn error(&mut self, json: String) {
        self.bytes += json.len();
        self.frames.push_back(Frame::Fixed(json));
    }

    /// Queues the end of an answer.
    pub(super) fn end(&mut self) {
        self.frames.push_back(Frame::Fixed(END.to_owned()));
    }

    /// Takes back the pieces of the running answer that have not been sent.
    pub(super) fn take_back_pieces(&mut self) {
        while let Some(Frame::Piece(piece)) = self.frames.back() {
            self.bytes -= piece.len();
            self.frames.pop_back();
        }
    }
}

impl Outgoing for Outbound {
    fn pop(&mut self) -> Option<String> {
        let frame = match self.frames.pop_front()? {
            Frame::Fixed(frame) => frame,
            // Looked at only here, because joining can make a lookalike out of harmless pieces.
            Frame::Piece(piece) => match split_lookalike(&piece) {
                None => piece,
                Some((first, rest)) => {
                    let (first, rest) = (first.to_owned(), rest.to_owned());
                    self.frames.push_front(Frame::Piece(rest));
                    first
                }
            },
        };
        self.bytes -= frame.len();
        Some(frame)
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
            outbound.piece(piece.into());
        }
        outbound.end();
        outbound.piece("c".into());
        assert_eq!(drain(&mut outbound), ["ab", "", "c"]);
        assert_eq!(outbound.bytes(), 0);
    }

    #[test]
    fn joined_pieces_stay_within_their_size() {
        let mut outbound = Outbound::default();
        for _ in 0..JOINED_BYTES {
            outbound.piece("xyz".into());
        }
        let frames = drain(&mut outbound);
        assert!(frames.iter().all(|frame| (1..=JOINED_BYTES).contains(&frame.len())));
        assert_eq!(frames.concat().len(), 3 * JOINED_BYTES);
    }

    #[test]
    fn taking_back_leaves_what_ended() {
        let mut outbound = Outbound::default();
        outbound.piece("first".into());
        outbound.end();
        outbound.piece("second".into());
        outbound.take_back_pieces();
        outbound.end();
        assert_eq!(drain(&mut outbound), ["first", "", ""]);
        assert_eq!(outbound.bytes(), 0);
    }

    #[test]
    fn pieces_that_join_to_an_error_object_go_in_two_frames() {
        let mut outbound = Outbound::default();
        for piece in [" {", "\"error\"", ":1}"] {
            outbound.piece(piece.into());
        }
        outbound.end();
        assert_eq!(drain(&mut outbound), [" {", "\"error\":1}", ""]);
        assert_eq!(outbound.bytes(), 0);
    }
}
