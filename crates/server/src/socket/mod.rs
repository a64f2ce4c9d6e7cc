//! A WebSocket with small buffers, which closes on every breach of a limit.
//!
//! `tungstenite` parses the frames. Its defaults would allocate 128 KiB per connection and buffer
//! writes without limit; [`meter`] and [`messages`] add the limits that it lacks, and [`silence`]
//! finds out who is gone.
//! [`Socket::exchange`] is the only loop for both directions: it writes what waits, reads what
//! comes, and checks the time limits.

mod close;
mod messages;
mod meter;
mod silence;
mod utf8;

pub(crate) use close::Close;
pub(crate) use messages::MeterLimits;

use crate::config::ServerConfig;
use crate::shares::SharedBudget;
use banter_seam::ShareId;
use futures_util::{FutureExt, Sink, Stream};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use meter::Meter;
use silence::{Meaning, Silence};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, Utf8Bytes};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Bytes, Message};

/// The read buffer of an idle socket. It grows with the longest message; see [`Socket::slim`].
const READ_BUFFER_BYTES: usize = 1024;
/// Writes are collected up to this size before they go to the network.
const WRITE_BUFFER_BYTES: usize = 8 * 1024;
/// A longer message is sent in several frames, so that the write buffer stays small.
const FRAME_BYTES: usize = 32 * 1024;
/// The collected writes, one frame and a pong.
const MAX_WRITE_BUFFER_BYTES: usize = WRITE_BUFFER_BYTES + FRAME_BYTES + 1024;
/// How many bytes the other side may still send after our close frame.
const CLOSE_DRAIN_BYTES: usize = 4 * 1024 * 1024;

type Transport = Meter<TokioIo<Upgraded>>;

/// The messages that a language has for its client.
pub(crate) trait Outgoing {
    /// Takes the next message, if there is one.
    fn pop(&mut self) -> Option<Payload>;

    /// The memory of all messages that wait.
    fn bytes(&self) -> usize;
}

/// A message for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    Text(String),
    #[cfg_attr(
        not(any(test, feature = "scripted")),
        expect(dead_code, reason = "no language has binary messages yet")
    )]
    Binary(Vec<u8>),
}

/// One WebSocket connection.
pub(crate) struct Socket {
    /// Missing only while it is replaced by one with a smaller buffer.
    stream: Option<WebSocketStream<Transport>>,
    config: WebSocketConfig,
    /// Messages and control frames that the stream has given so far.
    taken: u64,
    /// A long message has been read, and the buffer still has its size.
    is_swollen: bool,
    unflushed: bool,
    /// The message that is being sent.
    unsent: Option<Unsent>,
    /// While this many bytes wait to be sent, nothing more is queued; while twice as many wait,
    /// nothing is read.
    max_outbound_bytes: usize,
    /// When the time limits are checked next.
    clock: Pin<Box<Sleep>>,
    silence: Silence,
    /// When reading was last paused because too much waits to be sent. Silence before this does not
    /// count.
    paused: Instant,
    message_timeout: Duration,
    close_timeout: Duration,
}

/// The rest of a message that is sent in several frames.
struct Unsent {
    bytes: Bytes,
    kind: Data,
    is_first: bool,
}

/// What happened on a socket.
pub(crate) enum Incoming {
    Text(Utf8Bytes),
    Binary(
        #[cfg_attr(
            not(any(test, feature = "scripted")),
            expect(dead_code, reason = "for the echo")
        )]
        Bytes,
    ),
    /// A message came for which there was no memory. It was dropped.
    Refused,
    /// The other side has taken frames, so that more may be queued now.
    Drained,
    /// The socket must be closed; nothing more will come.
    Closed(Close),
}

impl Socket {
    pub(crate) fn new(
        upgraded: Upgraded,
        config: &ServerConfig,
        receive_budget: SharedBudget,
        share: ShareId,
    ) -> Socket {
        let limits = MeterLimits {
            message_bytes: config.max_message_bytes,
            free_fragments: config.free_fragments,
            control_frames_per_second: config.max_control_frames_per_second,
            receive_budget,
            share,
        };
        let meter = Meter::new(TokioIo::new(upgraded), limits);
        let websocket = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
            .max_message_size(Some(config.max_message_bytes))
            .max_frame_size(Some(config.max_message_bytes));
        Socket {
            stream: Some(open(meter, websocket)),
            config: websocket,
            taken: 0,
            is_swollen: false,
            unflushed: false,
            unsent: None,
            max_outbound_bytes: config.max_outbound_bytes,
            clock: Box::pin(tokio::time::sleep(config.ping_interval)),
            silence: Silence::new(config.ping_interval),
            paused: Instant::now(),
            message_timeout: config.message_timeout,
            close_timeout: config.close_timeout,
        }
    }

    /// Writes what waits in `outbound`, until something comes in or more may be queued.
    ///
    /// The future may be dropped at any time; no frame is lost.
    pub(crate) async fn exchange(&mut self, outbound: &mut impl Outgoing) -> Incoming {
        self.slim();
        poll_fn(|context| self.poll_next(context, outbound)).await
    }

    /// Whether more may be queued. If not, [`Incoming::Drained`] says when it may.
    pub(crate) fn has_room(&self, outbound: &impl Outgoing) -> bool {
        outbound.bytes() < self.max_outbound_bytes
    }

    /// Whether reading is paused, because the client sends without taking what is sent to it. The
    /// limit is twice that of queueing: the deltas of an answer alone must not keep a stop from
    /// being read.
    fn is_paused(&self, outbound: &impl Outgoing) -> bool {
        outbound.bytes() >= 2 * self.max_outbound_bytes
    }

    fn stream(&mut self) -> Pin<&mut WebSocketStream<Transport>> {
        Pin::new(self.stream.as_mut().expect("present between two calls of slim"))
    }

    /// Whether the next message was refused.
    fn is_refused_next(&mut self) -> bool {
        let taken = self.taken;
        let stream = self.stream.as_mut().expect("present between two calls of slim");
        stream.get_mut().tell_refused(taken)
    }

    fn meter(&self) -> &Transport {
        self.stream.as_ref().expect("present between two calls of slim").get_ref()
    }

    /// Gives back the memory of a long message while nothing is being sent or received.
    ///
    /// The library's read buffer never shrinks: a socket that has once carried a megabyte would
    /// keep it while idle. The meter knows when the buffer is empty.
    fn slim(&mut self) {
        if !self.is_swollen || self.unflushed || self.unsent.is_some() {
            return;
        }
        if self.meter().complete_messages() == Some(self.taken)
            && let Some(stream) = self.stream.take()
        {
            self.stream = Some(open(stream.into_inner(), self.config));
            self.is_swollen = false;
        }
    }

    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        outbound: &mut impl Outgoing,
    ) -> Poll<Incoming> {
        if self.is_paused(outbound) {
            self.paused = Instant::now();
        }
        if let Poll::Ready(close) = self.poll_clock(context) {
            return Poll::Ready(Incoming::Closed(close));
        }
        // Writing changes how much waits, so both limits are checked here again. Otherwise the
        // caller would wait for this future and never learn that there is room.
        let had_room = self.has_room(outbound);
        // After an error of a write the reading side still has the client's last frames, and then
        // the error.
        let writing = self.poll_write(context, outbound);
        if writing.is_ok() {
            if !had_room && self.has_room(outbound) {
                return Poll::Ready(Incoming::Drained);
            }
            if self.is_paused(outbound) {
                return Poll::Pending;
            }
        }
        loop {
            if self.is_refused_next() {
                return Poll::Ready(Incoming::Refused);
            }
            let message = match self.stream().poll_next(context) {
                Poll::Ready(message) => message,
                Poll::Pending if self.is_refused_next() => {
                    return Poll::Ready(Incoming::Refused);
                }
                Poll::Pending if writing.is_err() => {
                    return Poll::Ready(Incoming::Closed(Close::Gone));
                }
                Poll::Pending => return Poll::Pending,
            };
            self.taken += u64::from(matches!(message, Some(Ok(_))));
            match message {
                Some(Ok(Message::Text(text))) => {
                    self.is_swollen |= text.len() as u64 > messages::FREE_MESSAGE_BYTES;
                    return Poll::Ready(Incoming::Text(text));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => self.unflushed = true,
                Some(Ok(Message::Binary(bytes))) => {
                    return Poll::Ready(Incoming::Binary(bytes));
                }
                Some(Ok(Message::Close(_))) | None => {
                    return Poll::Ready(Incoming::Closed(Close::ByPeer));
                }
                Some(Ok(Message::Frame(_))) => unreachable!("reading yields whole messages"),
                Some(Err(error)) => return Poll::Ready(Incoming::Closed(Close::after(&error))),
            }
        }
    }

    /// Moves frames from `outbound` to the network until it takes no more. The task is woken when
    /// the network has room again.
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        outbound: &mut impl Outgoing,
    ) -> Result<(), tungstenite::Error> {
        loop {
            match self.stream().poll_ready(context) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return Ok(()),
            }
            if self.unsent.is_none() {
                let Some(message) = outbound.pop() else { break };
                self.unsent = Some(Unsent::new(message));
            }
            let frame = self.next_frame().expect("a message was just put there");
            self.stream().start_send(frame)?;
            self.unflushed = true;
        }
        if self.unflushed
            && let Poll::Ready(flushed) = self.stream().poll_flush(context)
        {
            flushed?;
            self.unflushed = false;
        }
        Ok(())
    }

    fn next_frame(&mut self) -> Option<Message> {
        let unsent = self.unsent.as_mut()?;
        let opcode = if unsent.is_first { unsent.kind } else { Data::Continue };
        let is_last = unsent.bytes.len() <= FRAME_BYTES;
        let payload = unsent.bytes.split_to(unsent.end_of_frame());
        unsent.is_first = false;
        if is_last {
            self.unsent = None;
        }
        Some(Message::Frame(Frame::message(payload, OpCode::Data(opcode), is_last)))
    }

    /// Checks the time limits of silence and of messages.
    fn poll_clock(&mut self, context: &mut Context<'_>) -> Poll<Close> {
        while self.clock.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            // While reading is paused the rest of a message cannot come.
            let started = self.meter().message_started().map(|started| started.max(self.paused));
            if started.is_some_and(|started| now - started >= self.message_timeout) {
                return Poll::Ready(Close::Policy("the message took too long"));
            }
            match self.silence.since(self.last_sign(), now) {
                Meaning::Nothing => {}
                Meaning::Ask if self.ping(context) => self.silence.pinged(now),
                Meaning::Ask => {}
                Meaning::Gone => return Poll::Ready(Close::Gone),
            }
            let look = self.next_look(now);
            self.clock.as_mut().reset(look);
        }
        Poll::Pending
    }

    /// The last sign of life. While reading is paused there can be none; then the write timeout of
    /// the connection decides.
    fn last_sign(&self) -> Instant {
        self.meter().last_sign().max(self.paused)
    }

    /// When to check again: when the silence would be too long, and a few times within the limit of
    /// a message.
    fn next_look(&self, now: Instant) -> Instant {
        let message_check = now + self.message_timeout / 4;
        self.silence.next_look(self.last_sign(), now).min(message_check)
    }

    /// Sends a ping, unless the network takes nothing at the moment. Then the write timeout of the
    /// connection decides, and a slow reader is not mistaken for a dead one.
    fn ping(&mut self, context: &mut Context<'_>) -> bool {
        let ready = self.stream().poll_ready(context);
        let sent = matches!(ready, Poll::Ready(Ok(())))
            && self.stream().start_send(Message::Ping(Bytes::new())).is_ok();
        self.unflushed |= sent;
        sent
    }

    /// Sends the close frame, waits a moment for the answer, and ends the connection. Nothing can
    /// be exchanged afterwards.
    pub(crate) async fn close(&mut self, close: Close) {
        let timeout = self.close_timeout;
        let frame = close.frame();
        let says_something = frame.is_some();
        let goodbye = async {
            if let Some(frame) = frame {
                let message = Message::Close(Some(frame));
                poll_fn(|context| self.stream().poll_ready(context)).await.ok()?;
                self.stream().start_send(message).ok()?;
            }
            // If the other side has closed, this sends the answer to its close frame.
            poll_fn(|context| self.stream().poll_flush(context)).await.ok()
        };
        let flushed = tokio::time::timeout(timeout, goodbye).await;
        if says_something && matches!(flushed, Ok(Some(()))) {
            // A connection that is closed with unread bytes is reset, and the reset can arrive
            // before the close frame. So everything that still comes is read and dropped.
            if let Some(stream) = self.stream.take() {
                let mut io = stream.into_inner().into_inner();
                let _ = tokio::time::timeout(timeout, drain(&mut io)).await;
            }
        }
    }
}

fn open(transport: Transport, config: WebSocketConfig) -> WebSocketStream<Transport> {
    WebSocketStream::from_raw_socket(transport, Role::Server, Some(config))
        .now_or_never()
        .expect("without a handshake there is nothing to wait for")
}

async fn drain(io: &mut TokioIo<Upgraded>) {
    // On the heap: otherwise every idle socket would hold it, in the state of its task.
    let mut discarded = vec![0; 1024];
    let mut total = 0;
    while let Ok(bytes @ 1..) = io.read(&mut discarded).await {
        total += bytes;
        if total > CLOSE_DRAIN_BYTES {
            return;
        }
    }
}

impl Unsent {
    fn new(message: Payload) -> Unsent {
        let (bytes, kind) = match message {
            Payload::Text(text) => (Bytes::from(text), Data::Text),
            Payload::Binary(bytes) => (Bytes::from(bytes), Data::Binary),
        };
        Unsent { bytes, kind, is_first: true }
    }

    /// Where the next frame ends. No frame of a text ends inside a character.
    fn end_of_frame(&self) -> usize {
        if self.bytes.len() <= FRAME_BYTES {
            return self.bytes.len();
        }
        let is_continuation = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
        let mut end = FRAME_BYTES;
        while self.kind == Data::Text && is_continuation(self.bytes[end]) {
            end -= 1;
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frames of a message.
    fn frames(message: Payload) -> Vec<Bytes> {
        let mut unsent = Unsent::new(message);
        let mut frames = Vec::new();
        while !unsent.bytes.is_empty() {
            let end = unsent.end_of_frame();
            frames.push(unsent.bytes.split_to(end));
        }
        frames
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_bytes_anywhere() {
        let text = "字".repeat(FRAME_BYTES);
        let of_text = frames(Payload::Text(text.clone()));
        assert!(of_text.iter().all(|frame| std::str::from_utf8(frame).is_ok()));
        assert_eq!(of_text.concat(), text.as_bytes());
        let of_bytes = frames(Payload::Binary(text.clone().into_bytes()));
        assert!(of_bytes[..of_bytes.len() - 1].iter().all(|frame| frame.len() == FRAME_BYTES));
        assert_eq!(of_bytes.concat(), text.as_bytes());
    }
}
