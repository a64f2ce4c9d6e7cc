//! Limits on messages, bodies and answers, and what happens at them. Those on connections are in
//! `connections`.

mod support;

use banter_seam::{
    Backend, BackendInfo, Failure, Fit, GenerateRequest, Generation, Health, Message,
};
use banter_server::backend::ScriptedBackend;
use banter_server::{KeyHash, ServerConfig};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::raw::{CONTINUATION, FINAL, Raw, TEXT, frame, header, post, text};
use support::{PATIENCE, TestServer, patiently};

/// An answer far longer than the buffers of the kernel and the server together.
const ENDLESS: &str = r#"{"message": "tokens 1000000 0", "max_tokens": 1000000}"#;

#[tokio::test]
async fn the_answer_of_a_client_that_does_not_read_goes_on_and_a_stop_leaves_out_what_waits() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut raw = Raw::websocket(server.address).await;
    raw.send(&text(ENDLESS)).await;
    server.stands_still().await;
    server.is_idle().await;
    raw.send(&text(r#"{"stop": true}"#)).await;
    let mut answer = String::new();
    loop {
        let (_, payload) = raw.frame().await.expect("an open socket");
        if payload.is_empty() {
            break;
        }
        answer.push_str(std::str::from_utf8(&payload).expect("whole characters"));
    }
    assert!(!answer.contains("word999999"), "everything was sent in spite of the stop");
    server.client().await.expect_works().await;
    server.end().await;
}

#[tokio::test]
async fn a_slow_reader_gets_fewer_and_longer_frames() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut raw = Raw::websocket(server.address).await;
    raw.send(&text(ENDLESS)).await;
    server.stands_still().await;
    let mut answer = String::new();
    loop {
        let (_, payload) = raw.frame().await.expect("an open socket");
        answer.push_str(std::str::from_utf8(&payload).expect("whole characters"));
        if payload.len() > 1_000 {
            break;
        }
    }
    for (index, word) in answer.split_whitespace().enumerate() {
        assert_eq!(word, format!("word{index}"));
    }
    drop(raw);
    server.is_idle().await;
    server.end().await;
}

#[tokio::test]
async fn a_client_that_sends_without_reading_is_not_read_any_further() {
    let config = ServerConfig { max_outbound_bytes: 10_000, ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let mut raw = Raw::websocket(server.address).await;
    // Far more than the kernel's buffers hold; a server that reads on takes all of it.
    const FLOOD_BYTES: usize = 256 * 1024 * 1024;
    let flood = text("{").repeat(10_000);
    let mut taken = 0;
    use tokio::io::AsyncWriteExt;
    while tokio::time::timeout(Duration::from_secs(1), raw.stream.write_all(&flood)).await.is_ok() {
        taken += flood.len();
        assert!(taken < FLOOD_BYTES, "the server reads on without end");
    }
    server.client().await.expect_works().await;
    server.end().await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_given_up() {
    let config = ServerConfig {
        write_timeout: Duration::from_millis(200),
        ping_interval: PATIENCE,
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    let mut raw = Raw::websocket(server.address).await;
    raw.send(&text(ENDLESS)).await;
    server.is_idle().await;
    server.end().await;
}

/// A text of so many bytes that is no message.
fn no_message(bytes: usize) -> Vec<u8> {
    frame(FINAL | TEXT, &vec![b' '; bytes])
}

/// A text in fragments that is no message.
fn no_message_in_fragments(bytes: usize) -> Vec<u8> {
    let half = vec![b' '; bytes / 2];
    [frame(TEXT, &half), frame(FINAL | CONTINUATION, &half)].concat()
}

#[tokio::test]
async fn a_long_message_that_there_is_no_memory_for_is_told_busy_and_the_socket_goes_on() {
    let config = ServerConfig {
        max_message_bytes: 100_000,
        max_total_message_bytes: 100_000,
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    let mut holder = Raw::websocket(server.address).await;
    holder.send(&header(FINAL | TEXT, 100_000)).await;
    let mut raw = Raw::websocket(server.address).await;
    for long in [no_message(50_000), no_message_in_fragments(50_000)] {
        // The holder is known to be counted when it shows: until then it is no JSON.
        patiently(async {
            loop {
                raw.send(&text(r#"{"message": "tokens 2 0"}"#)).await;
                raw.send(&long).await;
                raw.send(&text(r#"{"message": "echo after"}"#)).await;
                assert_eq!(raw.answer().await, "word0 word1 ");
                let refusal = raw.answer().await;
                assert_eq!(raw.answer().await, "after");
                if refusal.starts_with(r#"{"error":{"code":"busy""#) {
                    return;
                }
                assert!(refusal.starts_with(r#"{"error":{"code":"bad_json""#), "{refusal}");
            }
        })
        .await;
    }
    drop(holder);
    patiently(async {
        raw.send(&no_message(50_000)).await;
        while !raw.answer().await.contains("bad_json") {
            raw.send(&no_message(50_000)).await;
        }
    })
    .await;
    server.end().await;
}

#[tokio::test]
async fn one_key_with_many_half_sent_messages_leaves_memory_to_another() {
    let config = ServerConfig {
        max_message_bytes: 100_000,
        max_total_message_bytes: 800_000,
        keys: vec![KeyHash::of("alice's key"), KeyHash::of("bob's key")],
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    let socket = async |key: &str| Raw::websocket_with(server.address, key).await;
    let mut held = Vec::new();
    for _ in 0..16 {
        let mut raw = socket("X-API-Key: alice's key\r\n").await;
        raw.send(&header(TEXT, 90_000)).await;
        held.push(raw);
    }
    // All of it is counted when she is told so.
    let mut alice = socket("X-API-Key: alice's key\r\n").await;
    patiently(async {
        alice.send(&no_message(90_000)).await;
        while !alice.answer().await.contains("busy") {
            alice.send(&no_message(90_000)).await;
        }
    })
    .await;
    let mut bob = socket("X-API-Key: bob's key\r\n").await;
    let message = serde_json::json!({ "message": format!("echo {}", "b".repeat(80_000)) });
    for _ in 0..3 {
        bob.send(&text(&message.to_string())).await;
        assert_eq!(bob.answer().await.len(), 80_000);
    }
    server.end().await;
}

#[tokio::test]
async fn the_body_of_an_order_is_refused_as_soon_as_it_is_too_long() {
    let server = TestServer::start(ServerConfig::default()).await;
    for path in ["/api/session", "/api/models/pull", "/api/models/switch", "/api/models/stop"] {
        let mut raw = Raw::connect(server.address).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n100000\r\n",
            server.host()
        );
        raw.send(head.as_bytes()).await;
        raw.send(&[b' '; 4_097]).await;
        let answer = raw.head().await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
    }
    server.end().await;
}

#[tokio::test]
async fn bodies_share_their_memory() {
    let config = ServerConfig { max_total_body_bytes: 50, ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let long = format!(r#"{{"text": "{}"}}"#, "a".repeat(50));
    let refused = post(server.address, "/tokenize", "", &long).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")));
    for _ in 0..10 {
        let short = post(server.address, "/tokenize", "", r#"{"text": "hi"}"#).await;
        assert_eq!(short.status, 200, "what was held is given back");
    }
    server.end().await;
}

#[tokio::test]
async fn one_key_with_many_bodies_leaves_memory_to_another() {
    let config = ServerConfig {
        max_total_body_bytes: 1_000,
        keys: vec![KeyHash::of("alice's key"), KeyHash::of("bob's key")],
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    let mut held = Vec::new();
    for _ in 0..12 {
        let mut raw = half_sent_tokenize(&server, "alice's key", 200).await;
        raw.send(&[b' '; 100]).await;
        held.push(raw);
    }
    // All of it is counted when she is refused.
    let text = format!(r#"{{"text": "{}"}}"#, "a".repeat(100));
    patiently(async {
        while post(server.address, "/tokenize", "X-API-Key: alice's key\r\n", &text).await.status
            != 503
        {}
    })
    .await;
    let of_bob = post(server.address, "/tokenize", "X-API-Key: bob's key\r\n", &text).await;
    assert_eq!(of_bob.status, 200);
    server.end().await;
}

/// A request to count tokens whose body the server has begun to read.
async fn half_sent_tokenize(server: &TestServer, key: &str, body_bytes: usize) -> Raw {
    let mut raw = Raw::connect(server.address).await;
    let head = format!(
        "POST /tokenize HTTP/1.1\r\nHost: {}\r\nX-API-Key: {key}\r\nContent-Length: {body_bytes}\r\n\
         Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n",
        server.host()
    );
    raw.send(head.as_bytes()).await;
    let head = raw.head().await;
    assert!(head.starts_with("HTTP/1.1 100 "), "{head}");
    raw
}

/// Counts so many texts at a time, and knows Alice.
fn counting_for_alice(max_tokenizing: usize) -> ServerConfig {
    ServerConfig {
        max_tokenizing,
        body_timeout: 10 * PATIENCE,
        keys: vec![KeyHash::of("alice's key")],
        ..ServerConfig::default()
    }
}

#[tokio::test]
async fn half_sent_texts_keep_nobody_from_counting_tokens() {
    let config = counting_for_alice(2);
    let server = TestServer::start(config).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut raw = half_sent_tokenize(&server, "alice's key", 20).await;
        raw.send(b"{").await;
        held.push(raw);
    }
    let counted = post(server.address, "/tokenize", "", r#"{"text": "hi"}"#).await;
    assert_eq!(counted.status, 200);
    server.end().await;
}

/// A scripted backend that counts the text "hold" for ever.
struct SlowCounter {
    scripted: ScriptedBackend,
    held: Arc<AtomicUsize>,
}

impl Backend for SlowCounter {
    fn info(&self) -> &BackendInfo {
        self.scripted.info()
    }

    fn health(&self) -> Health {
        self.scripted.health()
    }

    fn generate(
        &self,
        request: Box<GenerateRequest>,
    ) -> BoxFuture<'static, Result<Box<dyn Generation>, Failure>> {
        self.scripted.generate(request)
    }

    fn tokenize(&self, text: String) -> BoxFuture<'static, Result<Option<Vec<u32>>, Failure>> {
        if text == "hold" {
            self.held.fetch_add(1, Ordering::SeqCst);
            return Box::pin(std::future::pending());
        }
        self.scripted.tokenize(text)
    }

    fn fit(
        &self,
        messages: Vec<Message>,
        max_tokens: usize,
    ) -> BoxFuture<'static, Result<Option<Fit>, Failure>> {
        self.scripted.fit(messages, max_tokens)
    }
}

#[tokio::test]
async fn one_key_with_many_texts_leaves_permits_to_another() {
    let config = counting_for_alice(4);
    let held = Arc::new(AtomicUsize::new(0));
    let backend = SlowCounter { scripted: ScriptedBackend::default(), held: held.clone() };
    let server = TestServer::start_with(config, backend).await;
    let mut texts = Vec::new();
    for _ in 0..8 {
        let body = r#"{"text": "hold"}"#;
        let mut raw = half_sent_tokenize(&server, "alice's key", body.len()).await;
        raw.send(body.as_bytes()).await;
        texts.push(raw);
    }
    patiently(async {
        while held.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for _ in 0..4 {
        let counted = post(server.address, "/tokenize", "", r#"{"text": "hi"}"#).await;
        assert_eq!(counted.status, 200);
    }
    assert_eq!(held.load(Ordering::SeqCst), 1);
    server.end().await;
}
