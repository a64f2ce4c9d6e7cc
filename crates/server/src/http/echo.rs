//! A socket that says what it hears, in test builds alone: programs that test the frames of
//! WebSockets need one.

use crate::socket::{Close, Incoming, Outgoing, Payload, Socket};
use std::collections::VecDeque;

/// Echoes until the client or the server closes the socket.
pub(super) async fn serve(socket: &mut Socket) -> Close {
    let mut echoes = Echoes::default();
    loop {
        match socket.exchange(&mut echoes).await {
            Incoming::Text(text) => echoes.push(Payload::Text(text.to_string())),
            Incoming::Binary(bytes) => echoes.push(Payload::Binary(bytes.to_vec())),
            Incoming::Refused => return Close::TryAgainLater,
            Incoming::Drained => {}
            Incoming::Closed(close) => return close,
        }
    }
}

/// What was heard and is not sent yet.
#[derive(Default)]
struct Echoes {
    waiting: VecDeque<Payload>,
    bytes: usize,
}

impl Echoes {
    fn push(&mut self, payload: Payload) {
        self.bytes += length(&payload);
        self.waiting.push_back(payload);
    }
}

impl Outgoing for Echoes {
    fn pop(&mut self) -> Option<Payload> {
        let payload = self.waiting.pop_front()?;
        self.bytes -= length(&payload);
        Some(payload)
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

fn length(payload: &Payload) -> usize {
    match payload {
        Payload::Text(text) => text.len(),
        Payload::Binary(bytes) => bytes.len(),
    }
}
