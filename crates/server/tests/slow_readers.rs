//! Readers that are slower than every time limit: as long as they take something, they stay; if
//! they are given up, nobody else notices, and they get the rest when they come back.

mod support;

use banter_server::ServerConfig;
use serde_json::{Value, json};
use std::time::Duration;
use support::checker::Checker;
use support::raw::{FINAL, NARROW_BYTES, PING, Raw, get, text};
use support::stubborn::{Asked, Stubborn};
use support::{TestServer, patiently};
use tokio::io::AsyncReadExt;

/// Both time limits of a socket.
const LIMIT: Duration = Duration::from_secs(2);
/// Far longer than what the kernel and the server hold for one reader.
const PIECES: usize = 20_000;
const PIECE_BYTES: usize = 100;
const V1: &str = "Sec-WebSocket-Protocol: banter.v1\r\n";

fn impatient() -> ServerConfig {
    ServerConfig { ping_interval: LIMIT, write_timeout: LIMIT, ..ServerConfig::default() }
}

/// A client that takes its bytes as slowly as it likes.
struct SlowReader {
    raw: Raw,
    /// Bytes that were read and are not understood yet.
    unread: Vec<u8>,
}

impl SlowReader {
    async fn connect(server: &TestServer, lines: &str) -> SlowReader {
        let raw = Raw::narrow_websocket_with(server.address, lines).await;
        SlowReader { raw, unread: Vec::new() }
    }

    async fn send(&mut self, event: &Value) {
        self.raw.send(&text(&event.to_string())).await;
    }

    /// Takes so many bytes at the most. Says whether the connection is open.
    async fn take(&mut self, bytes: usize) -> bool {
        let mut taken = vec![0; bytes];
        let count = patiently(self.raw.stream.read(&mut taken)).await.unwrap_or(0);
        self.unread.extend_from_slice(&taken[..count]);
        count > 0
    }

    /// Takes bytes again and again for longer than both limits together.
    async fn is_slow(&mut self) {
        // The kernel tells the server of room only when a good part of its buffer is free again.
        const PAUSE: Duration = Duration::from_millis(150);
        const BYTES: usize = NARROW_BYTES as usize / 2;
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < LIMIT * 5 / 2 {
            assert!(self.take(BYTES).await, "it was given up after {:?}", begun.elapsed());
            // It is this slow; nothing is waited for.
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The next frame: its first byte and payload.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some((header, payload)) = lengths(&self.unread)
                && self.unread.len() >= header + payload
            {
                let frame: Vec<u8> = self.unread.drain(..header + payload).collect();
                return (frame[0], frame[header..].to_vec());
            }
            assert!(self.take(64 * 1024).await, "an open socket");
        }
    }

    /// The next message, whatever frames it comes in.
    async fn message(&mut self) -> Vec<u8> {
        let mut whole = Vec::new();
        loop {
            let (first, payload) = self.frame().await;
            if first & 0x0f == PING {
                continue;
            }
            whole.extend(payload);
            if first & FINAL != 0 {
                return whole;
            }
        }
    }

    async fn event(&mut self) -> Value {
        serde_json::from_slice(&self.message().await).expect("JSON")
    }

    async fn says_hello(&mut self) {
        self.send(&json!({ "type": "hello" })).await;
        assert_eq!(self.event().await["type"], "welcome");
    }

    /// Reads an answer from its begin to its end.
    async fn reads_all_of(&mut self, answer: &Value) -> String {
        let mut checker = Checker::new("a slow reader");
        checker.begin_socket();
        checker.resumes(answer, 0);
        while checker.finished(answer).is_none() {
            checker.take(&self.event().await);
        }
        checker.assert_nothing_is_wrong();
        checker.text(answer).to_owned()
    }
}

/// Bytes of the header and of the payload of the frame that begins here, if its header is here.
fn lengths(bytes: &[u8]) -> Option<(usize, usize)> {
    match bytes {
        [_, 126, high, low, ..] => Some((4, usize::from(u16::from_be_bytes([*high, *low])))),
        [_, 126, ..] | [] | [_] => None,
        [_, 127, rest @ ..] => {
            let length = u64::from_be_bytes(*rest.first_chunk()?);
            Some((10, usize::try_from(length).expect("it fits")))
        }
        [_, short, ..] => Some((2, usize::from(*short))),
    }
}

/// What makes an answer of this many pieces.
fn request() -> String {
    format!("pieces {PIECES} {PIECE_BYTES}")
}

#[tokio::test]
async fn r4_a_plain_reader_that_takes_something_within_the_limits_stays() {
    let server = TestServer::start_narrow(impatient()).await;
    let mut slow = SlowReader::connect(&server, "").await;
    slow.send(&json!({ "message": request(), "max_tokens": PIECES })).await;
    slow.is_slow().await;
    let mut bytes = 0;
    loop {
        let message = slow.message().await;
        if message.is_empty() {
            break;
        }
        bytes += message.len();
    }
    assert_eq!(bytes, PIECES * PIECE_BYTES);
    server.end().await;
}

/// A healthy and a slow reader of one long answer, of which neither has read anything.
async fn two_readers(server: &TestServer) -> (Stubborn, SlowReader, Asked) {
    let mut healthy = Stubborn::new(server.address, 1);
    let mut slow = SlowReader::connect(server, V1).await;
    slow.says_hello().await;
    let asked = healthy.accepted(send("one")).await;
    slow.send(&json!({ "type": "resume", "answer": asked.answer, "at": 0 })).await;
    (healthy, slow, asked)
}

#[tokio::test]
async fn r4_a_v1_reader_that_takes_something_within_the_limits_stays() {
    let server = TestServer::start_narrow(impatient()).await;
    let (mut healthy, mut slow, asked) = two_readers(&server).await;
    tokio::join!(healthy.read(&asked.conversation, &asked.answer), slow.is_slow());
    let text = slow.reads_all_of(&asked.answer).await;
    assert_eq!(text.len(), PIECES * PIECE_BYTES);
    assert_eq!(text, healthy.checker.text(&asked.answer));
    healthy.lose();
    server.end().await;
}

fn send(client_id: &str) -> Value {
    json!({
        "type": "send", "text": request(), "client_id": client_id,
        "parameters": { "max_tokens": PIECES },
    })
}

/// At ten bytes a second, the kernel's buffers have no more room within any limit.
#[tokio::test]
async fn r4_a_reader_of_single_bytes_is_given_up_and_has_everything_when_it_comes_back() {
    let server = TestServer::start_narrow(impatient()).await;
    let (mut healthy, mut slow, asked) = two_readers(&server).await;
    healthy.read(&asked.conversation, &asked.answer).await;
    assert_eq!(healthy.checker.text(&asked.answer).len(), PIECES * PIECE_BYTES);
    // One byte for each answer that the healthy reader gets, on one socket.
    patiently(async {
        while v1_sockets(&server).await == 2 {
            healthy.ask(Some(&asked.conversation), "echo control").await;
            assert!(slow.take(1).await, "the kernel holds more than that");
        }
    })
    .await;
    assert_eq!((v1_sockets(&server).await, healthy.checker.counts.sockets), (1, 1));
    healthy.checker.assert_nothing_is_wrong();
    let mut back = SlowReader::connect(&server, V1).await;
    back.says_hello().await;
    back.send(&json!({ "type": "resume", "answer": asked.answer, "at": 0 })).await;
    assert_eq!(back.reads_all_of(&asked.answer).await, healthy.checker.text(&asked.answer));
    healthy.lose();
    server.end().await;
}

/// Open sockets of `banter.v1`, as the server counts them.
async fn v1_sockets(server: &TestServer) -> usize {
    let metrics = get(server.address, "/metrics", "").await.body;
    let count = metrics.lines().find_map(|line| {
        line.strip_prefix(r#"banter_sockets{language="banter.v1"} "#)?.parse().ok()
    });
    count.unwrap_or_else(|| panic!("no count of sockets in {metrics}"))
}
