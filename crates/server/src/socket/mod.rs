//! A WebSocket with small buffers and a short temper.
//!
//! Frames are parsed by `tungstenite`, whose defaults would allocate 128 KiB per connection and
//! buffer writes without limit; [`meter`] and [`messages`] add the limits it lacks. [`Socket::exchange`] is the only
//! loop over both directions: it writes what waits, reads what comes, and watches for silence.

mod close;
mod messages;
mod meter;

pub(crate) use close::Close;
pub(crate) use meter::MeterLimits;

use crate::config::ServerConfig;
use crate::shares::{ShareId, SharedBudget};
use futures_util::{FutureExt, Sink, Stream};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use meter::Meter;
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

/// Read buffer of an idle socket. It grows to the longest message; see [`Socket::slim`].
const READ_BUFFER_BYTES: usize = 1024;
/// Writes are gathered up to this size before they go to the network.
const WRITE_BUFFER_BYTES: usize = 8 * 1024;
/// A longer text is sent as one message in several frames, so that the write buffer stays bounded.
const FRAME_BYTES: usize = 32 * 1024;
/// The gathered writes, one frame and a pong.
const MAX_WRITE_BUFFER_BYTES: usize = WRITE_BUFFER_BYTES + FRAME_BYTES + 1024;
/// How much the other side may still send after our close.
const CLOSE_DRAIN_BYTES: usize = 4 * 1024 * 1024;

type Transport = Meter<TokioIo<Upgraded>>;

/// What a language has for its client to read.
pub(crate) trait Outgoing {
    /// Takes the next message, if there is one.
    fn pop(&mut self) -> Option<String>;

    /// Memory of all that waits.
    fn bytes(&self) -> usize;
}

/// One WebSocket connection.
pub(crate) struct Socket {
    /// Present except while it is exchanged for a slimmer one.
    stream: Option<WebSocketStream<Transport>>,
    config: WebSocketConfig,
    /// Messages and control frames that were taken from the stream.
    taken: u64,
    /// A long message has passed, and its memory is still held.
    is_swollen: bool,
    unflushed: bool,
    /// The rest of a text that is being sent in several frames.
    unsent: Option<Unsent>,
    /// At so many waiting bytes nothing more is to be queued; at twice as many nothing is read.
    max_outbound_bytes: usize,
    /// The next look at the clock.
    clock: Pin<Box<Sleep>>,
    pinged: bool,
    /// When nothing was read last because too much waits. Silence from then on does not count.
    paused: Instant,
    ping_interval: Duration,
    message_timeout: Duration,
    close_timeout: Duration,
}

struct Unsent {
    text: Bytes,
    is_first: bool,
}

/// What came from the other side.
pub(crate) enum Incoming {
    Text(Utf8Bytes),
    /// A message that there was no memory for; it was not kept.
    Refused,
    /// It has taken so much that more may be queued, which was not so before.
    Drained,
    /// Nothing more will come.
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
            pinged: false,
            paused: Instant::now(),
            ping_interval: config.ping_interval,
            message_timeout: config.message_timeout,
            close_timeout: config.close_timeout,
        }
    }

    /// Writes what waits in `outbound` until something comes in, or until more may be queued.
    ///
    /// The future may be dropped at any time without losing a frame.
    pub(crate) async fn exchange(&mut self, outbound: &mut impl Outgoing) -> Incoming {
        self.slim();
        poll_fn(|context| self.poll_next(context, outbound)).await
    }

    /// Whether more may be queued. Where not, [`Incoming::Drained`] says when it may.
    pub(crate) fn has_room(&self, outbound: &impl Outgoing) -> bool {
        outbound.bytes() < self.max_outbound_bytes
    }

    /// Whether a client sends without reading what it is told, so that it is not read any further.
    /// Twice the limit, because the pieces of an answer alone must not keep a stop from being read.
    fn is_paused(&self, outbound: &impl Outgoing) -> bool {
        outbound.bytes() >= 2 * self.max_outbound_bytes
    }

    fn stream(&mut self) -> Pin<&mut WebSocketStream<Transport>> {
        Pin::new(self.stream.as_mut().expect("present between two calls of slim"))
    }

    /// Whether the next message is one that was refused.
    fn is_refused_next(&mut self) -> bool {
        let taken = self.taken;
        let stream = self.stream.as_mut().expect("present between two calls of slim");
        stream.get_mut().tell_refused(taken)
    }

    fn meter(&self) -> &Transport {
        self.stream.as_ref().expect("present between two calls of slim").get_ref()
    }

    /// Gives back the memory of a long message when nothing is under way in either direction.
    ///
    /// The library's read buffer never shrinks, so a socket that once carried a megabyte would hold
    /// it for as long as it idles. The meter knows when the buffer is empty.
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
        // What waits changes with every frame that is written, so both limits are looked at again
        // here: whoever waits for this future to end would never learn that there is room.
        let had_room = self.has_room(outbound);
        // An error while writing shows on the reading side too, with what the client said last.
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
                Some(Ok(Message::Binary(_))) => {
                    return Poll::Ready(Incoming::Closed(Close::Unsupported));
                }
                Some(Ok(Message::Close(_))) | None => {
                    return Poll::Ready(Incoming::Closed(Close::ByPeer));
                }
                Some(Ok(Message::Frame(_))) => unreachable!("reading yields whole messages"),
                Some(Err(error)) => return Poll::Ready(Incoming::Closed(Close::after(&error))),
            }
        }
    }

    /// Moves frames from `outbound` to the network until it takes no more. A pending write wakes
    /// the task when the network has room again.
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
                let Some(frame) = outbound.pop() else { break };
                self.unsent = Some(Unsent { text: Bytes::from(frame), is_first: true });
            }
            let frame = self.next_frame().expect("a text was just put there");
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
        let opcode = if unsent.is_first { Data::Text } else { Data::Continue };
        let is_last = unsent.text.len() <= FRAME_BYTES;
        let end = if is_last { unsent.text.len() } else { character_end(&unsent.text) };
        let payload = unsent.text.split_to(end);
        unsent.is_first = false;
        if is_last {
            self.unsent = None;
        }
        Some(Message::Frame(Frame::message(payload, OpCode::Data(opcode), is_last)))
    }

    /// Watches for silence and for messages that never end.
    fn poll_clock(&mut self, context: &mut Context<'_>) -> Poll<Close> {
        while self.clock.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            // The rest of a message that is not read has not come late.
            let started = self.meter().message_started().map(|started| started.max(self.paused));
            if started.is_some_and(|started| now - started >= self.message_timeout) {
                return Poll::Ready(Close::Policy("the message took too long"));
            }
            let silence = now - self.last_sign();
            if silence < self.ping_interval {
                self.pinged = false;
            } else if self.pinged && silence >= 2 * self.ping_interval {
                return Poll::Ready(Close::Gone);
            } else if !self.pinged {
                self.pinged = self.ping(context);
            }
            let look = self.next_look(now);
            self.clock.as_mut().reset(look);
        }
        Poll::Pending
    }

    /// The last sign of life. While nothing is read there can be none; then the write timeout of the
    /// connection decides.
    fn last_sign(&self) -> Instant {
        self.meter().last_sign().max(self.paused)
    }

    /// When to look at the clock again: when the silence would have lasted too long, and a few times
    /// while a message may take, but not all the time.
    fn next_look(&self, now: Instant) -> Instant {
        let patience = if self.pinged { 2 * self.ping_interval } else { self.ping_interval };
        let silent_too_long = self.last_sign() + patience;
        let message_check = now + self.message_timeout / 4;
        silent_too_long.min(message_check).max(now + self.ping_interval / 4)
    }

    /// Pings, unless the network takes nothing at the moment: then the write timeout of the
    /// connection decides, and a slow reader is not mistaken for a dead one.
    fn ping(&mut self, context: &mut Context<'_>) -> bool {
        let ready = self.stream().poll_ready(context);
        let sent = matches!(ready, Poll::Ready(Ok(())))
            && self.stream().start_send(Message::Ping(Bytes::new())).is_ok();
        self.unflushed |= sent;
        sent
    }

    /// Says goodbye, waits a moment for the answer, and cuts the connection.
    pub(crate) async fn close(mut self, close: Close) {
        let timeout = self.close_timeout;
        let frame = close.frame();
        let says_something = frame.is_some();
        let goodbye = async {
            if let Some(frame) = frame {
                let message = Message::Close(Some(frame));
                poll_fn(|context| self.stream().poll_ready(context)).await.ok()?;
                self.stream().start_send(message).ok()?;
            }
            // For a close of the other side this sends the answer to it.
            poll_fn(|context| self.stream().poll_flush(context)).await.ok()
        };
        let flushed = tokio::time::timeout(timeout, goodbye).await;
        if says_something && matches!(flushed, Ok(Some(()))) {
            // Unread bytes would make the kernel answer with a reset, which can overtake the
            // close frame; so what still comes is read and forgotten.
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
    let mut discarded = [0; 1024];
    let mut total = 0;
    while let Ok(bytes @ 1..) = io.read(&mut discarded).await {
        total += bytes;
        if total > CLOSE_DRAIN_BYTES {
            return;
        }
    }
}

/// Where to cut a text so that no frame ends inside a character.
fn character_end(text: &[u8]) -> usize {
    let is_continuation = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    let mut end = FRAME_BYTES;
    while is_continuation(text[end]) {
        end -= 1;
    }
    end
}
