//! The frames that wait to be sent to one client.

use crate::socket::{Outgoing, Payload};
use std::collections::VecDeque;

/// Frames in order.
#[derive(Default)]
pub(crate) struct Outbound {
    frames: VecDeque<Box<str>>,
    bytes: usize,
}

impl Outbound {
    pub(super) fn push(&mut self, frame: String) {
        // A copy: what was written piece by piece may have twice the room that it needs, and giving
        // the rest back would leave holes that nothing fits into.
        let frame: Box<str> = frame.as_str().into();
        self.bytes += cost(&frame);
        self.frames.push_back(frame);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

/// The memory of a frame: its text, what the allocator keeps beside it, and its place in the queue,
/// which may have twice as many places as frames.
fn cost(frame: &str) -> usize {
    const OF_THE_ALLOCATOR: usize = 16;
    frame.len() + OF_THE_ALLOCATOR + 2 * size_of::<Box<str>>()
}

impl Outgoing for Outbound {
    fn pop(&mut self) -> Option<Payload> {
        let frame = self.frames.pop_front()?;
        self.bytes -= cost(&frame);
        if self.frames.is_empty() {
            // An idle socket holds no memory for frames.
            self.frames = VecDeque::new();
        }
        Some(Payload::Text(frame.into()))
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}
