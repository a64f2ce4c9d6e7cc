//! Every limit on connections, time and memory, and what happens at it.

mod support;

use banter_seam::{
    Backend, BackendInfo, Failure, Fit, GenerateRequest, Generation, Health, Message,
};
use banter_server::backend::ScriptedBackend;
use banter_server::{KeyHash, PublicUrl, ServerConfig};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::raw::{CONTINUATION, FINAL, Raw, TEXT, frame, get, header, post, text};
use support::{Log, PATIENCE, TestServer, patiently};
use tokio::io::AsyncReadExt;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

#[tokio::test]
async fn over_the_connection_limit_a_socket_is_told_to_come_back_and_a_request_503() {
    let config = ServerConfig { max_connections: 2, ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let mut first = server.client().await;
    let second = server.client().await;
    assert_eq!(server.client().await.close_code().await, Some(CloseCode::Again));
    let refused = get(server.address, "/", "").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")));
    for path in ["/health", "/ready"] {
        assert_eq!(get(server.address, path, "").await.status, 200, "{path}: it lives");
    }
    first.expect_works().await;
    drop(second);
    // The place is free when the server has noticed; until then newcomers are told 1013.
    let welcomed = async {
        loop {
            let mut newcomer = server.client().await;
            let message = serde_json::json!({ "message": "echo in" }).to_string();
            use futures_util::{SinkExt, StreamExt};
            use tokio_tungstenite::tungstenite::Message;
            let sent = newcomer.stream.send(Message::text(message)).await;
            if sent.is_ok() && matches!(newcomer.stream.next().await, Some(Ok(Message::Text(_)))) {
                return;
            }
        }
    };
    patiently(welcomed).await;
    server.end().await;
}

#[tokio::test]
async fn beyond_those_who_are_told_connections_are_dropped() {
    let config = ServerConfig { max_connections: 1, max_refusals: 1, ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let mut inside = server.client().await;
    let _told = Raw::connect(server.address).await;
    let mut dropped = Raw::connect(server.address).await;
    assert_eq!(dropped.rest().await, "");
    inside.expect_works().await;
    server.end().await;
}

#[tokio::test]
async fn silence_and_slow_heads_are_cut_off_while_others_are_served() {
    let header_timeout = Duration::from_millis(100);
    let server =
        TestServer::start(ServerConfig { header_timeout, ..ServerConfig::default() }).await;
    let mut silent = Vec::new();
    for index in 0..200 {
        let mut raw = Raw::connect(server.address).await;
        if index % 2 == 0 {
            raw.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
        }
        silent.push(raw);
    }
    server.client().await.expect_works().await;
    for mut raw in silent {
        raw.rest().await;
    }
    server.end().await;
}

#[tokio::test]
async fn large_heads_are_refused() {
    let server = TestServer::start(ServerConfig::default()).await;
    let many: String = (0..2_000).map(|n| format!("X-{n}: a\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "a".repeat(1024 * 1024));
    for lines in [many, long] {
        let mut raw = Raw::connect(server.address).await;
        let request = format!("GET /health HTTP/1.1\r\nHost: {}\r\n{lines}\r\n", server.host());
        // The server may have answered and closed before all of it is sent.
        use tokio::io::AsyncWriteExt;
        let _ = patiently(raw.stream.write_all(request.as_bytes())).await;
        let head = raw.head().await;
        assert!(head.is_empty() || head.starts_with("HTTP/1.1 431 "), "{head}");
    }
    server.client().await.expect_works().await;
    server.end().await;
}

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
async fn refusals_do_not_fill_the_log() {
    let log = Log::collect();
    let server = TestServer::start(ServerConfig::default()).await;
    for _ in 0..200 {
        get(server.address, "/", "Host: evil.example\r\n").await;
        get(server.address, "/", "Host: a\u{1b}[31m\u{7f}b\r\n").await;
        get(server.address, "/ws", "Origin: null\r\n").await;
    }
    server.end().await;
    let text = log.text();
    assert!(text.lines().count() <= 20, "{text}");
    assert!(text.contains("--allow-file-pages") && text.contains("--public-url"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{7f}'), "{text}");
}

/// A kept connection on which one request was answered.
async fn kept_connection(server: &TestServer) -> Raw {
    let mut raw = Raw::connect(server.address).await;
    ask_health(&mut raw, server).await;
    raw
}

async fn ask_health(raw: &mut Raw, server: &TestServer) {
    let request = format!("GET /health HTTP/1.1\r\nHost: {}\r\n\r\n", server.host());
    raw.send(request.as_bytes()).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 200 "));
    let mut body = [0; r#"{"status":"alive"}"#.len()];
    patiently(raw.stream.read_exact(&mut body)).await.expect("the body");
}

#[tokio::test]
async fn an_idle_kept_connection_is_closed_in_its_own_time() {
    let idle_timeout = Duration::from_millis(100);
    let header_timeout = 10 * PATIENCE;
    let config = ServerConfig { idle_timeout, header_timeout, ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let mut kept = kept_connection(&server).await;
    let mut rest = Vec::new();
    patiently(kept.stream.read_to_end(&mut rest)).await.expect("an orderly end");
    assert!(rest.is_empty());
    server.end().await;
}

#[tokio::test]
async fn a_kept_connection_outlives_the_time_of_a_head_and_a_slow_head_on_it_does_not() {
    let header_timeout = Duration::from_millis(100);
    let config = ServerConfig { header_timeout, ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let mut kept = kept_connection(&server).await;
    // A silent newcomer lives exactly that long.
    let mut silent = Raw::connect(server.address).await;
    assert_eq!(silent.rest().await, "");
    ask_health(&mut kept, &server).await;
    kept.send(b"GET /health HT").await;
    assert_eq!(kept.rest().await, "", "cut off in the middle of its head");
    server.end().await;
}

#[tokio::test]
async fn idle_connections_make_room_for_newcomers_and_sockets_do_not() {
    let config = ServerConfig { max_connections: 3, ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let mut sockets = vec![server.client().await];
    let mut kept = kept_connection(&server).await;
    let mut silent = Raw::connect(server.address).await;
    sockets.push(server.client().await);
    assert_eq!(kept.rest().await, "", "it has waited longest");
    sockets.push(server.client().await);
    assert_eq!(silent.rest().await, "");
    assert_eq!(server.client().await.close_code().await, Some(CloseCode::Again));
    for socket in &mut sockets {
        socket.expect_works().await;
    }
    server.end().await;
}

#[tokio::test]
async fn one_client_of_a_proxy_has_its_share_of_sockets_and_leaves_the_others_theirs() {
    let config = ServerConfig {
        max_connections_per_address: 2,
        keys: vec![KeyHash::of("the-key")],
        public_urls: vec![PublicUrl::parse("https://chat.example").expect("url")],
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    let of = async |client: &str| {
        let headers =
            [("host", "chat.example"), ("x-api-key", "the-key"), ("x-forwarded-for", client)];
        server.client_with(&headers).await.expect("a handshake")
    };
    let mut held = vec![of("203.0.113.5").await, of("203.0.113.5").await];
    assert_eq!(of("203.0.113.5").await.close_code().await, Some(CloseCode::Again));
    held.push(of("203.0.113.6").await);
    held.push(server.client().await);
    for socket in &mut held {
        socket.expect_works().await;
    }
    server.end().await;
}

/// A program here that makes up the clients that it connects for takes most connections, not all.
#[tokio::test]
async fn this_machine_leaves_connections_to_others() {
    let log = Log::collect();
    let config = ServerConfig {
        max_connections: 16,
        max_connections_per_address: 2,
        ..ServerConfig::default()
    };
    let server = TestServer::start(ServerConfig { insecure: true, ..config }).await;
    let mut held = Vec::new();
    for index in 0..14 {
        let client = format!("203.0.113.{index}");
        held.push(server.client_with(&[("x-forwarded-for", &client)]).await.expect("a handshake"));
    }
    assert_eq!(server.client().await.close_code().await, Some(CloseCode::Again));
    assert!(log.text().contains("this machine, with a proxy that may run on it"), "{}", log.text());
    for socket in &mut held {
        socket.expect_works().await;
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

/// Ends the server with the test, passed or not.
struct Process(std::process::Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_process_without_free_descriptors_waits_and_recovers() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let mut example = std::env::current_exe().expect("a path");
    example.pop();
    example.pop();
    example.push("examples/scripted");
    let mut server = Command::new("sh")
        .args(["-c", "ulimit -n 40 && exec \"$0\" --port 0"])
        .arg(&example)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map(Process)
        .expect("a shell");
    let mut ready = String::new();
    let stdout = server.0.stdout.take().expect("piped");
    BufReader::new(stdout).read_line(&mut ready).expect("the ready line");
    let port = ready.split("localhost:").nth(1).and_then(|rest| rest.split(' ').next());
    let port: u16 = port.and_then(|port| port.parse().ok()).expect("a port");
    let address = ([127, 0, 0, 1], port).into();
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(Raw::connect(address).await);
    }
    // The server says that it cannot accept before the descriptors come back.
    let stderr = server.0.stderr.take().expect("piped");
    let (said, heard) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let found = lines.find(|line| line.contains("cannot accept"));
        let _ = said.send(found.is_some());
        // Read on, so that the server's writes do not fail.
        lines.for_each(drop);
    });
    assert_eq!(patiently(heard).await, Ok(true));
    drop(held);
    assert_eq!(get(address, "/health", "").await.status, 200);
}
