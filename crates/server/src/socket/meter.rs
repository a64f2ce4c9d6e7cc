//! Limits of what a client may send, for which the WebSocket library has none.
//!
//! The meter is below the library, and lets [`messages`](super::messages) follow the frames in the
//! bytes. When a limit is passed, the library gets what came before, and then its read fails.
//! Messages for which there is no memory do not reach the library; the client gets `busy` for them.

use super::messages::{Messages, MeterLimits, Violation};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// The connection below the WebSocket library, with limits; see the module.
pub(super) struct Meter<IO> {
    io: IO,
    messages: Messages,
    /// Bytes that were read and counted, and that the library has not taken yet.
    passed: Vec<u8>,
    /// A limit that was passed behind these bytes.
    violation: Option<Violation>,
    last_sign: Instant,
    /// The network took nothing at the last write.
    is_blocked: bool,
}

impl<IO> Meter<IO> {
    pub(super) fn new(io: IO, limits: MeterLimits) -> Self {
        let now = Instant::now();
        let messages = Messages::new(limits, now);
        Meter {
            io,
            messages,
            passed: Vec::new(),
            violation: None,
            last_sign: now,
            is_blocked: false,
        }
    }

    /// When the client last sent anything, or took bytes after the network was full. Bytes that
    /// only go into the network's buffers prove nothing, but buffers that have room again do. A
    /// slow reader comes to a ping only after everything that was sent before.
    pub(super) fn last_sign(&self) -> Instant {
        self.last_sign
    }

    /// When the message that is being received has begun.
    pub(super) fn message_started(&self) -> Option<Instant> {
        self.messages.started()
    }

    /// How many messages and control frames were read, if all of them are complete.
    pub(super) fn complete_messages(&self) -> Option<u64> {
        self.messages.complete().filter(|_| self.passed.is_empty())
    }

    /// Whether the next message was refused, after the library gave `taken` messages and control
    /// frames. It tells each refusal once.
    pub(super) fn tell_refused(&mut self, taken: u64) -> bool {
        self.messages.tell_refused(taken)
    }

    pub(super) fn into_inner(self) -> IO {
        self.io
    }

    /// Gives the library as many of the waiting bytes as it takes.
    fn hand_over(&mut self, buffer: &mut ReadBuf<'_>) {
        let here = buffer.remaining().min(self.passed.len());
        buffer.put_slice(&self.passed[..here]);
        if here == self.passed.len() {
            // An idle socket keeps no memory here.
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
        // All bytes of a read may belong to refused messages. A read of no bytes would mean the end
        // of the connection, so this reads on.
        while self.passed.is_empty() {
            if let Some(violation) = self.violation {
                return Poll::Ready(Err(io::Error::other(violation)));
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
            if buffer.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            let now = Instant::now();
            self.last_sign = now;
            let Meter { messages, passed, .. } = &mut *self;
            let violation = messages.pass(&buffer.filled()[before..], passed, now).err();
            self.violation = violation;
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
