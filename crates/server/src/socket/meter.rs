//! Limits on what a client sends that the WebSocket library does not know.
//!
//! The meter sits below it, follows the frame headers in the bytes that pass, and fails the read
//! when a limit is passed: fragments of one message, control frames per second, and memory for
//! unfinished messages over all sockets.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// So many fragments a message may always have. Beyond them it needs [`FRAGMENT_BYTES`] per
/// fragment: browsers choose fragments of several KiB themselves, a flood sends one byte in each.
const FREE_FRAGMENTS: usize = 64;
const FRAGMENT_BYTES: usize = 1024;
/// Messages up to this size take nothing from the shared room.
pub(super) const FREE_MESSAGE_BYTES: u64 = 16 * 1024;

#[derive(Clone, Copy)]
pub(crate) struct MeterLimits {
    /// The longest message; longer ones are refused by the library.
    pub(crate) message_bytes: usize,
    pub(crate) control_frames_per_second: u32,
}

/// A limit was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    #[error("too many fragments in one message")]
    Fragments,
    #[error("too many control frames")]
    ControlFrames,
    #[error("no room for another long message")]
    NoRoom,
}

/// See the module.
pub(super) struct Meter<IO> {
    io: IO,
    headers: Headers,
    last_sign: Instant,
    /// The network took nothing at the last attempt to write.
    is_blocked: bool,
}

impl<IO> Meter<IO> {
    pub(super) fn new(io: IO, limits: MeterLimits, room: Arc<Semaphore>) -> Self {
        let now = Instant::now();
        Meter { io, headers: Headers::new(limits, room, now), last_sign: now, is_blocked: false }
    }

    /// When the client last sent anything, or took what the network had no more room for. What goes
    /// into the network's buffers proves nothing, but that they have room again does: a slow reader
    /// comes to a ping only after all that was sent before it.
    pub(super) fn last_sign(&self) -> Instant {
        self.last_sign
    }

    /// When the message that is being received began.
    pub(super) fn message_started(&self) -> Option<Instant> {
        self.headers.message.as_ref().map(|message| message.started)
    }

    /// Whether everything that was read belongs to messages that are complete, and how many
    /// messages and control frames those are.
    pub(super) fn complete_messages(&self) -> Option<u64> {
        let headers = &self.headers;
        let is_complete =
            headers.header.is_empty() && headers.payload_left == 0 && headers.message.is_none();
        is_complete.then_some(headers.messages)
    }

    pub(super) fn into_inner(self) -> IO {
        self.io
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Meter<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        let now = Instant::now();
        let read = &buffer.filled()[before..];
        if !read.is_empty() {
            self.last_sign = now;
        }
        Poll::Ready(self.headers.pass(read, now).map_err(io::Error::other))
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

/// Follows frame headers through a stream of bytes. Whether they are legal is the library's
/// business; here an illegal one only has to lead to no panic.
struct Headers {
    limits: MeterLimits,
    room: Arc<Semaphore>,
    header: Vec<u8>,
    /// Bytes of the current frame's payload that are still to come.
    payload_left: u64,
    /// The frame that is passing ends its message.
    ends_message: bool,
    message: Option<MessageInProgress>,
    /// Messages and control frames that have begun to end.
    messages: u64,
    second: Instant,
    control_frames: u32,
}

struct MessageInProgress {
    started: Instant,
    fragments: usize,
    bytes: u64,
    room: Option<OwnedSemaphorePermit>,
}

const LONGEST_HEADER: usize = 14;

impl Headers {
    fn new(limits: MeterLimits, room: Arc<Semaphore>, now: Instant) -> Headers {
        Headers {
            limits,
            room,
            header: Vec::with_capacity(LONGEST_HEADER),
            payload_left: 0,
            ends_message: false,
            message: None,
            messages: 0,
            second: now,
            control_frames: 0,
        }
    }

    fn pass(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Violation> {
        loop {
            // As much of the payload as is there.
            let here = usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(bytes.len());
            bytes = &bytes[here..];
            self.payload_left -= here as u64;
            if self.payload_left == 0 && self.ends_message {
                self.ends_message = false;
                self.message = None;
            }
            let Some((&byte, rest)) = bytes.split_first() else { return Ok(()) };
            self.header.push(byte);
            bytes = rest;
            if let Some(frame) = FrameHead::parse(&self.header) {
                self.header.clear();
                self.enter(frame, now)?;
            }
        }
    }

    fn enter(&mut self, frame: FrameHead, now: Instant) -> Result<(), Violation> {
        self.payload_left = frame.payload_bytes;
        self.messages += u64::from(frame.is_control || frame.is_final);
        if frame.is_control {
            return self.count_control_frame(now);
        }
        self.ends_message = frame.is_final;
        let limits = self.limits;
        let message = self.message.get_or_insert(MessageInProgress {
            started: now,
            fragments: 0,
            bytes: 0,
            room: None,
        });
        message.fragments += 1;
        message.bytes = message.bytes.saturating_add(frame.payload_bytes);
        let paid = usize::try_from(message.bytes).unwrap_or(usize::MAX) / FRAGMENT_BYTES;
        if message.fragments > FREE_FRAGMENTS.saturating_add(paid) {
            return Err(Violation::Fragments);
        }
        let too_long = message.bytes > limits.message_bytes as u64;
        if message.bytes > FREE_MESSAGE_BYTES && !too_long && message.room.is_none() {
            // The whole of it at once: two halves of two messages must not wait for each other.
            let permits = u32::try_from(limits.message_bytes).unwrap_or(u32::MAX);
            let room = self.room.clone().try_acquire_many_owned(permits);
            message.room = Some(room.map_err(|_| Violation::NoRoom)?);
        }
        Ok(())
    }

    fn count_control_frame(&mut self, now: Instant) -> Result<(), Violation> {
        if now - self.second >= Duration::from_secs(1) {
            self.second = now;
            self.control_frames = 0;
        }
        self.control_frames += 1;
        if self.control_frames > self.limits.control_frames_per_second {
            return Err(Violation::ControlFrames);
        }
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq)]
struct FrameHead {
    is_final: bool,
    is_control: bool,
    payload_bytes: u64,
}

impl FrameHead {
    /// Reads a header; `None` while it is incomplete.
    fn parse(bytes: &[u8]) -> Option<FrameHead> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let short = second & 0x7f;
        let length_bytes = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask_bytes = if second & 0x80 == 0 { 0 } else { 4 };
        if bytes.len() < 2 + length_bytes + mask_bytes {
            return None;
        }
        let payload_bytes = match length_bytes {
            0 => u64::from(short),
            _ => bytes[2..2 + length_bytes].iter().fold(0, |n, byte| n << 8 | u64::from(*byte)),
        };
        let is_control = first & 0x08 != 0;
        Some(FrameHead { is_final: first & 0x80 != 0, is_control, payload_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: MeterLimits =
        MeterLimits { message_bytes: 1024 * 1024, control_frames_per_second: 50 };
    const TEXT: u8 = 0x1;
    const CONTINUATION: u8 = 0x0;
    const PING: u8 = 0x9;

    fn frame(opcode: u8, is_final: bool, payload: usize) -> Vec<u8> {
        let mut bytes = vec![opcode | if is_final { 0x80 } else { 0 }];
        match payload {
            0..126 => bytes.push(0x80 | payload as u8),
            126..65_536 => {
                bytes.push(0x80 | 126);
                bytes.extend((payload as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend((payload as u64).to_be_bytes());
            }
        }
        bytes.resize(bytes.len() + 4 + payload, 0xff);
        bytes
    }

    fn headers(room: usize) -> Headers {
        Headers::new(LIMITS, Arc::new(Semaphore::new(room)), Instant::now())
    }

    #[test]
    fn one_byte_fragments_are_few() {
        let mut headers = headers(0);
        let now = Instant::now();
        let mut fragments = 0;
        let mut next = frame(TEXT, false, 1);
        while headers.pass(&next, now).is_ok() {
            fragments += 1;
            next = frame(CONTINUATION, false, 1);
        }
        assert_eq!(fragments, FREE_FRAGMENTS);
    }

    #[test]
    fn a_longest_message_in_fragments_of_4_kib_passes() {
        let mut headers = headers(LIMITS.message_bytes);
        let now = Instant::now();
        for index in 0..256 {
            let opcode = if index == 0 { TEXT } else { CONTINUATION };
            headers.pass(&frame(opcode, index == 255, 4096), now).expect("honest fragments");
        }
        assert!(headers.message.is_none());
        assert_eq!(headers.room.available_permits(), LIMITS.message_bytes);
    }

    #[test]
    fn long_messages_share_their_room() {
        let now = Instant::now();
        let room = Arc::new(Semaphore::new(LIMITS.message_bytes));
        let mut first = Headers::new(LIMITS, room.clone(), now);
        let mut second = Headers::new(LIMITS, room, now);
        let long = frame(TEXT, true, 100_000);
        let (most, last) = long.split_at(long.len() - 1);
        first.pass(most, now).expect("room for one");
        assert_eq!(second.pass(most, now), Err(Violation::NoRoom));
        first.pass(last, now).expect("its end");
        let mut third = Headers::new(LIMITS, first.room.clone(), now);
        third.pass(&long, now).expect("the room is free again");
    }

    #[test]
    fn control_frames_are_counted_per_second() {
        let mut headers = headers(0);
        let now = Instant::now();
        let flood: Vec<u8> = (0..50).flat_map(|_| frame(PING, true, 125)).collect();
        headers.pass(&flood, now).expect("as many as allowed");
        let later = now + Duration::from_secs(1);
        headers.pass(&flood, later).expect("a new second");
        assert_eq!(headers.pass(&frame(PING, true, 0), later), Err(Violation::ControlFrames));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_meter_panic(bytes: Vec<u8>, cut in 0usize..64) {
            let mut headers = headers(0);
            let cut = cut.min(bytes.len());
            let _ = headers.pass(&bytes[..cut], Instant::now());
            let _ = headers.pass(&bytes[cut..], Instant::now());
        }

        #[test]
        fn cuts_do_not_change_what_is_seen(sizes in prop::collection::vec(0usize..300, 1..8)) {
            let whole: Vec<u8> = sizes.iter().flat_map(|size| frame(TEXT, true, *size)).collect();
            let now = Instant::now();
            let mut headers = headers(0);
            for byte in &whole {
                headers.pass(std::slice::from_ref(byte), now).expect("short messages");
            }
            prop_assert!(headers.message.is_none() && headers.payload_left == 0);
        }
    }
}
