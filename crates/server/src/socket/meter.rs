//! Limits on what a client sends that the WebSocket library does not know.
//!
//! The meter sits below it and lets [`messages`](super::messages) follow the frames in the bytes that
//! pass. It fails the read when a limit is passed, and keeps from the library the messages that there
//! is no memory for: those are told `busy` instead.

use super::messages::Messages;
use crate::shares::{ShareId, SharedBudget};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

#[derive(Clone)]
pub(crate) struct MeterLimits {
    /// The longest message; longer ones are refused by the library.
    pub(crate) message_bytes: usize,
    pub(crate) control_frames_per_second: u32,
    /// Memory for long messages of all sockets while they are received.
    pub(crate) receive_budget: SharedBudget,
    /// Whose part of it this socket takes.
    pub(crate) share: ShareId,
}

/// See the module.
pub(super) struct Meter<IO> {
    io: IO,
    messages: Messages,
    /// Read and counted, and not yet taken by the library.
    passed: Vec<u8>,
    last_sign: Instant,
    /// The network took nothing at the last attempt to write.
    is_blocked: bool,
}

impl<IO> Meter<IO> {
    pub(super) fn new(io: IO, limits: MeterLimits) -> Self {
        let now = Instant::now();
        let messages = Messages::new(limits, now);
        Meter { io, messages, passed: Vec::new(), last_sign: now, is_blocked: false }
    }

    /// When the client last sent anything, or took what the network had no more room for. What goes
    /// into the network's buffers proves nothing, but that they have room again does: a slow reader
    /// comes to a ping only after all that was sent before it.
    pub(super) fn last_sign(&self) -> Instant {
        self.last_sign
    }

    /// When the message that is being received began.
    pub(super) fn message_started(&self) -> Option<Instant> {
        self.messages.started()
    }

    /// Whether everything that was read belongs to messages that are complete, and how many
    /// messages and control frames those are.
    pub(super) fn complete_messages(&self) -> Option<u64> {
        self.messages.complete().filter(|_| self.passed.is_empty())
    }

    /// Whether the message after so many messages and control frames was kept from the library; tells
    /// it once.
    pub(super) fn tell_refused(&mut self, taken: u64) -> bool {
        self.messages.tell_refused(taken)
    }

    pub(super) fn into_inner(self) -> IO {
        self.io
    }

    /// Gives the library as much of what has passed as it takes.
    fn hand_over(&mut self, buffer: &mut ReadBuf<'_>) {
        let here = buffer.remaining().min(self.passed.len());
        buffer.put_slice(&self.passed[..here]);
        if here == self.passed.len() {
            // An idle socket holds no memory for it.
            self.passed = Vec::new();
        } else {
            self.passed.drain(..here);
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Meter<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Nothing may have passed of what was read, and a read of nothing means the end.
        while self.passed.is_empty() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
            if buffer.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            let now = Instant::now();
            self.last_sign = now;
            let Meter { messages, passed, .. } = &mut *self;
            messages.pass(&buffer.filled()[before..], passed, now).map_err(io::Error::other)?;
            buffer.set_filled(before);
        }
        self.hand_over(buffer);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Meter<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        if self.is_blocked && matches!(written, Poll::Ready(Ok(1..))) {
            self.last_sign = Instant::now();
        }
        self.is_blocked = written.is_pending();
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
