//! The frames that wait to be sent to one client.

use crate::socket::{Outgoing, Payload};
use std::collections::VecDeque;

/// Frames in order.
#[derive(Default)]
pub(super) struct Outbound {
    frames: VecDeque<String>,
    bytes: usize,
}

impl Outbound {
    pub(super) fn push(&mut self, frame: String) {
        self.bytes += cost(&frame);
        self.frames.push_back(frame);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

/// The memory of a frame.
fn cost(frame: &str) -> usize {
    size_of::<String>() + frame.len()
}

impl Outgoing for Outbound {
    fn pop(&mut self) -> Option<Payload> {
        let frame = self.frames.pop_front()?;
        self.bytes -= cost(&frame);
        if self.frames.is_empty() {
            // An idle socket holds no memory for frames.
            self.frames = VecDeque::new();
        }
        Some(Payload::Text(frame))
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}
