//! Sessions without a WebSocket, for people behind proxies that let none through: frames go out as
//! server-sent events, and come in as requests.

use super::carrier::Carrier;
use super::outbound::Outbound;
use crate::access::{Principal, random_token};
use crate::shares::Reservation;
use crate::socket::{Close, Incoming, Outgoing, Payload};
use axum::body::{Body, Bytes};
use futures_util::stream;
use serde_json::json;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Frames are collected up to this size before they go to the network.
const PIECE_BYTES: usize = 8 * 1024;
/// Frames of a client that wait to be read. It sends the next one when this one was taken.
const MAX_WAITING: usize = 4;
/// A line that says nothing, so that neither side takes the other for dead.
const SIGN_OF_LIFE: &[u8] = b":\n\n";

/// The streams that are open. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Streams {
    open: Arc<Mutex<HashMap<String, Entry>>>,
}

/// A stream, as requests find it.
struct Entry {
    principal: Principal,
    frames: mpsc::Sender<Frame>,
}

/// A frame of a client.
pub(crate) struct Frame {
    pub(crate) text: String,
    /// To be held as long as the text is.
    pub(crate) memory: Reservation,
}

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The client has no stream of this id.
    Unknown,
    /// The session took nothing for too long.
    Busy,
}

/// A session's side of a stream. The stream ends with it.
pub(crate) struct Stream {
    streams: Streams,
    id: String,
    pieces: mpsc::Sender<Bytes>,
    frames: mpsc::Receiver<Frame>,
    max_outbound_bytes: usize,
    sign_of_life: Duration,
    /// When the next sign of life is due.
    silent_until: Instant,
}

impl Streams {
    /// Opens a stream. The body is what the client reads, and begins with the stream's id.
    ///
    /// `max_outbound_bytes`: while this many bytes wait to be sent, nothing more is queued.
    pub(crate) fn open(
        &self,
        principal: Principal,
        max_outbound_bytes: usize,
        sign_of_life: Duration,
    ) -> (Stream, Body) {
        let id = random_token();
        // One piece waits here and one at the connection. Everything else waits in the session,
        // where it is counted.
        let (pieces, read) = mpsc::channel(1);
        let (send, frames) = mpsc::channel(MAX_WAITING);
        let opened = event("open", &json!({ "stream": id }));
        pieces.try_send(opened).expect("the first piece has room");
        self.lock().insert(id.clone(), Entry { principal, frames: send });
        let streams = self.clone();
        let silent_until = Instant::now() + sign_of_life;
        let stream =
            Stream { streams, id, pieces, frames, max_outbound_bytes, sign_of_life, silent_until };
        (stream, Body::from_stream(stream::unfold(read, next_piece)))
    }

    /// Hands a frame to the session of a stream, which belongs to this principal.
    pub(crate) async fn send(
        &self,
        id: &str,
        principal: Principal,
        frame: Frame,
        timeout: Duration,
    ) -> Result<(), NotTaken> {
        let frames = {
            let open = self.lock();
            let entry = open.get(id).filter(|entry| entry.principal == principal);
            entry.ok_or(NotTaken::Unknown)?.frames.clone()
        };
        let sending = tokio::time::timeout(timeout, frames.send(frame));
        sending.await.map_err(|_| NotTaken::Busy)?.map_err(|_| NotTaken::Unknown)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.open.lock().expect("nothing panics while it holds the lock")
    }
}

async fn next_piece(
    mut pieces: mpsc::Receiver<Bytes>,
) -> Option<(Result<Bytes, Infallible>, mpsc::Receiver<Bytes>)> {
    let piece = pieces.recv().await?;
    Some((Ok(piece), pieces))
}

impl Stream {
    /// Says why the session has ended, and ends the stream.
    pub(crate) async fn close(self, close: Close, timeout: Duration) {
        let Some((code, reason)) = close.words() else { return };
        let closed = event("close", &json!({ "code": code, "reason": reason }));
        // A client that reads nothing any more need not be told.
        let _ = tokio::time::timeout(timeout, self.pieces.send(closed)).await;
    }

    /// Whether reading is paused, because the client sends without taking what is sent to it.
    fn is_paused(&self, outbound: &Outbound) -> bool {
        outbound.bytes() >= 2 * self.max_outbound_bytes
    }
}

impl Carrier for Stream {
    async fn exchange(&mut self, outbound: &mut Outbound) -> Incoming {
        loop {
            let had_room = self.has_room(outbound);
            let (is_paused, is_silent) = (self.is_paused(outbound), outbound.is_empty());
            tokio::select! {
                biased;
                () = self.pieces.closed() => return Incoming::Closed(Close::Gone),
                piece = self.pieces.reserve(), if !is_silent => {
                    let Ok(piece) = piece else { return Incoming::Closed(Close::Gone) };
                    piece.send(collect(outbound));
                    self.silent_until = Instant::now() + self.sign_of_life;
                    if outbound.is_empty() || !had_room && self.has_room(outbound) {
                        return Incoming::Drained;
                    }
                }
                frame = self.frames.recv(), if !is_paused => {
                    let Some(Frame { text, memory: _memory }) = frame else {
                        return Incoming::Closed(Close::Gone);
                    };
                    return Incoming::Text(text.into());
                }
                () = tokio::time::sleep_until(self.silent_until) => {
                    // If there is no room, the client has not taken the last piece yet. Then the
                    // write timeout of the connection decides.
                    let _ = self.pieces.try_send(Bytes::from_static(SIGN_OF_LIFE));
                    self.silent_until = Instant::now() + self.sign_of_life;
                }
            }
        }
    }

    fn has_room(&self, outbound: &Outbound) -> bool {
        outbound.bytes() < self.max_outbound_bytes
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.streams.lock().remove(&self.id);
    }
}

/// Frames that wait, as events.
fn collect(outbound: &mut Outbound) -> Bytes {
    let mut piece = String::new();
    while piece.len() < PIECE_BYTES
        && let Some(Payload::Text(frame)) = outbound.pop()
    {
        // A frame is JSON without line ends.
        piece.push_str("data: ");
        piece.push_str(&frame);
        piece.push_str("\n\n");
    }
    piece.into()
}

/// An event about the stream itself.
fn event(name: &str, data: &serde_json::Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}
