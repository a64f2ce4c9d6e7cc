//! Floods: what they cost the server, and what they leave in its log.
//!
//! Allocations are counted on the thread of a test, where its clients and its server run. So what
//! only the clients need is made before.

mod support;

use allocation_counter::{AllocationInfo, measure};
use banter_server::{KeyHash, ServerConfig};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use std::time::Duration;
use support::random::number_from;
use support::raw::{
    BINARY, CLOSE, CONTINUATION, FINAL, PING, PONG, Raw, TEXT, frame, handshake, header, text,
};
use support::{Log, PATIENCE, TestServer, patiently};
use tokio::io::AsyncWriteExt;
use tokio::runtime::{Builder, Runtime};

/// A server on the thread of its test.
struct Stage {
    runtime: Runtime,
    server: TestServer,
}

impl Stage {
    fn new(config: ServerConfig) -> Stage {
        Stage::with(TestServer::start(config))
    }

    /// Little waits in the kernel for clients that do not read.
    fn narrow(config: ServerConfig) -> Stage {
        Stage::with(TestServer::start_narrow(config))
    }

    fn with(server: impl Future<Output = TestServer>) -> Stage {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let server = runtime.block_on(server);
        let stage = Stage { runtime, server };
        // Whatever is allocated once is allocated now.
        stage.expect_works();
        stage
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// What comes of it, and what it allocates.
    fn measure<T>(&self, future: impl Future<Output = T>) -> (T, AllocationInfo) {
        let mut outcome = None;
        let cost = measure(|| outcome = Some(self.run(future)));
        (outcome.expect("it was run"), cost)
    }

    fn sockets(&self, count: usize) -> Vec<Raw> {
        (0..count).map(|_| self.run(Raw::websocket(self.server.address))).collect()
    }

    fn expect_works(&self) {
        self.run(async { self.server.client().await.expect_works().await });
    }

    fn end(self) {
        self.expect_works();
        self.runtime.block_on(self.server.end());
    }
}

/// Sends everything, unless the server closes before, and returns its close code.
async fn code_after(raw: &mut Raw, flood: &[u8]) -> Option<u16> {
    let _ = patiently(raw.stream.write_all(flood)).await;
    raw.close_code().await
}

#[test]
fn w2_a_frame_that_claims_everything_is_refused_before_it_comes_and_costs_little() {
    const MOST_BYTES: u64 = 64 * 1024;
    struct Case {
        name: &'static str,
        bytes: Vec<u8>,
        code: u16,
    }
    let (most, all) = (i64::MAX as u64, u64::MAX);
    let config = ServerConfig::default();
    let one_too_many = config.max_message_bytes as u64 + 1;
    let begun = frame(TEXT, &[b' '; 100]);
    let further = |claim| [begun.clone(), header(CONTINUATION, claim)].concat();
    let case = |name, bytes, code| Case { name, bytes, code };
    let cases = [
        case("2^63-1 bytes", header(FINAL | TEXT, most), 1009),
        case("2^64-1 bytes", header(FINAL | TEXT, all), 1009),
        case("one byte more than the limit", header(FINAL | TEXT, one_too_many), 1009),
        case("a first fragment", header(TEXT, most), 1009),
        case("a further fragment", further(most), 1009),
        case("a sum that overflows", further(all), 1009),
        case("a sum of one byte more than the limit", further(one_too_many - 100), 1009),
        // The library looks at the length before it looks at the kind.
        case("a ping", header(FINAL | PING, most), 1009),
        case("a close", header(FINAL | CLOSE, all), 1009),
    ];
    let stage = Stage::new(config);
    for Case { name, bytes, code } in cases {
        let mut raw = stage.sockets(1).remove(0);
        let (found, cost) = stage.measure(code_after(&mut raw, &bytes));
        assert_eq!(found, Some(code), "{name}");
        println!("{name}: {} bytes allocated", cost.bytes_total);
        assert!(cost.bytes_total <= MOST_BYTES, "{name}: {} bytes", cost.bytes_total);
    }
    stage.end();
}

#[test]
fn w4_fragments_without_end_are_cut_off_and_cost_little_on_a_hundred_sockets() {
    const SOCKETS: usize = 100;
    const FRAGMENTS: usize = 131_000;
    const MOST_BYTES_OF_ALL: u64 = 2 * 1024 * 1024;
    let flood = [frame(TEXT, b"a"), frame(CONTINUATION, b"a").repeat(FRAGMENTS)].concat();
    let stage = Stage::new(ServerConfig::default());
    let mut sockets = stage.sockets(SOCKETS);
    let floods = join_all(sockets.iter_mut().map(|raw| code_after(raw, &flood)));
    let (codes, cost) = stage.measure(floods);
    assert_eq!(codes, [Some(1008); SOCKETS]);
    println!("{SOCKETS} sockets: {} bytes at the most", cost.bytes_max);
    assert!(cost.bytes_max <= MOST_BYTES_OF_ALL, "{} bytes", cost.bytes_max);
    stage.end();
}

#[test]
fn w6_a_client_that_only_sends_pings_is_closed_with_1008() {
    const SOCKETS: usize = 20;
    const PINGS: usize = 10_000;
    let config = ServerConfig::default();
    // The flood may fall into two seconds.
    let most_pongs = 2 * config.max_control_frames_per_second as usize;
    let flood = frame(FINAL | PING, &[7; 125]).repeat(PINGS);
    let stage = Stage::new(config);
    let mut sockets = stage.sockets(SOCKETS);
    // Nobody reads before all have sent.
    let floods = sockets.iter_mut().map(|raw| patiently(raw.stream.write_all(&flood)));
    stage.run(join_all(floods));
    for raw in &mut sockets {
        let mut pongs = 0;
        let close = loop {
            match stage.run(raw.frame()) {
                Some((first, _)) if first == FINAL | PONG => pongs += 1,
                other => break other,
            }
        };
        let (first, payload) = close.expect("a close frame");
        assert_eq!((first, &payload[..2]), (FINAL | CLOSE, &1008u16.to_be_bytes()[..]));
        assert!(pongs <= most_pongs, "{pongs} pongs");
    }
    stage.end();
}

/// Without the limit of pings: it could also be passed slowly, by somebody who has hours.
fn boundless_pings() -> ServerConfig {
    ServerConfig {
        max_control_frames_per_second: u32::MAX,
        ping_interval: 10 * PATIENCE,
        ..ServerConfig::default()
    }
}

#[test]
fn w6_pongs_for_a_client_that_never_reads_do_not_pile_up() {
    /// Their pongs are far longer than all buffers between server and client.
    const PINGS: usize = 20_000;
    const MOST_BYTES: u64 = 128 * 1024;
    let config = ServerConfig { write_timeout: 10 * PATIENCE, ..boundless_pings() };
    let stage = Stage::narrow(config);
    let mut raw = stage.run(Raw::narrow_websocket(stage.server.address)).expect("room");
    let flood = frame(FINAL | PING, &[7; 125]).repeat(PINGS);
    let ((), cost) = stage.measure(async {
        raw.send(&flood).await;
        // The answer begins when all pings were read.
        raw.send(&text(r#"{"message": "hang"}"#)).await;
        stage.server.runs(1).await;
    });
    println!("{PINGS} pings: {} bytes at the most", cost.bytes_max);
    assert!(cost.bytes_max <= MOST_BYTES, "{} bytes", cost.bytes_max);
    drop(raw);
    stage.run(stage.server.is_idle());
    stage.end();
}

#[test]
fn w6_a_client_that_sends_pings_and_never_reads_is_given_up() {
    let write_timeout = Duration::from_millis(200);
    let stage = Stage::narrow(ServerConfig { write_timeout, ..boundless_pings() });
    let mut raw = stage.run(Raw::narrow_websocket(stage.server.address)).expect("room");
    let flood = frame(FINAL | PING, &[7; 125]).repeat(1_000);
    stage.run(patiently(async { while raw.stream.write_all(&flood).await.is_ok() {} }));
    stage.end();
}

/// `BANTER_SILENT` sets how many there are.
#[test]
fn w12_connections_that_say_nothing_leave_neither_memory_nor_taken_places() {
    const MOST_BYTES_LEFT: i64 = 64 * 1024;
    let count = number_from("BANTER_SILENT", 200);
    let config = ServerConfig {
        header_timeout: Duration::from_millis(300),
        max_connections: count,
        max_connections_per_address: count,
        ..ServerConfig::default()
    };
    let stage = Stage::new(config);
    let all_are_closed = async || {
        let mut silent = Vec::new();
        for _ in 0..count {
            silent.push(Raw::connect(stage.server.address).await);
        }
        for mut raw in silent {
            assert_eq!(raw.rest().await, "");
        }
    };
    // Tables grow once, and keep their size.
    stage.run(all_are_closed());
    let ((), cost) = stage.measure(all_are_closed());
    println!("{count} connections: {} bytes are left", cost.bytes_current);
    assert!(cost.bytes_current <= MOST_BYTES_LEFT, "{} bytes are left", cost.bytes_current);
    let mut all_places = stage.sockets(count);
    for raw in &mut all_places {
        stage.run(raw.send(&text(r#"{"message": "echo in"}"#)));
        assert_eq!(stage.run(raw.answer()), "in");
    }
    drop(all_places);
    let Stage { runtime, server } = stage;
    runtime.block_on(server.end());
}

/// What a client does that is refused.
struct Provocation {
    name: &'static str,
    bytes: Vec<u8>,
    /// The answer begins so.
    begin: &'static str,
}

fn provocation(name: &'static str, bytes: impl Into<Vec<u8>>, begin: &'static str) -> Provocation {
    Provocation { name, bytes: bytes.into(), begin }
}

/// A request with these lines behind the first one.
fn request(first: &str, lines: &str) -> String {
    format!("{first} HTTP/1.1\r\nConnection: close\r\n{lines}\r\n")
}

/// Requests that are refused whoever sends them.
fn bad_requests(host: &str) -> Vec<Provocation> {
    let ours = format!("Host: {host}\r\n");
    let with = |lines: &str| format!("{ours}{lines}");
    let get = |lines: &str| request("GET /", &with(lines));
    let json = "Content-Type: application/json\r\n";
    let posted = |lines: &str, body: &str| {
        let lines = with(&format!("{lines}Content-Length: {}\r\n", body.len()));
        request("POST /tokenize", &lines) + body
    };
    let many_lines: String = (0..100).map(|n| format!("X-{n}: a\r\n")).collect();
    let too_long = with(&format!("{json}Content-Length: 999999999\r\n"));
    vec![
        provocation("no host", request("GET /", ""), "HTTP/1.1 400 "),
        provocation("another host", request("GET /", "Host: evil.example\r\n"), "HTTP/1.1 421 "),
        provocation(
            "a host with control characters",
            request("GET /", "Host: a\u{1b}[31m\u{7f}b\r\n"),
            "HTTP/1.1 400 ",
        ),
        provocation("another origin", get("Origin: https://evil.example\r\n"), "HTTP/1.1 403 "),
        provocation("no origin", get("Origin: null\r\n"), "HTTP/1.1 403 "),
        provocation("no such path", request("GET /nowhere", &ours), "HTTP/1.1 404 "),
        provocation("no such method", request("DELETE /health", &ours), "HTTP/1.1 405 "),
        provocation("too long", request("POST /tokenize", &too_long), "HTTP/1.1 413 "),
        provocation("no JSON by its name", posted("", "{}"), "HTTP/1.1 415 "),
        provocation(
            "compressed",
            posted(&format!("{json}Content-Encoding: gzip\r\n"), "{}"),
            "HTTP/1.1 415 ",
        ),
        provocation("no JSON", posted(json, "{"), "HTTP/1.1 400 "),
        provocation("no such field", posted(json, r#"{"x": 1}"#), "HTTP/1.1 400 "),
        provocation("many lines", get(&many_lines), "HTTP/1.1 431 "),
        provocation("no HTTP", "what?\r\n\r\n", "HTTP/1.1 400 "),
        provocation("a greeting of TLS", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n".to_vec(), ""),
        provocation("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
        provocation("no handshake", request("GET /ws", &ours), "HTTP/1.1 426 "),
    ]
}

/// What is wrong on a socket.
fn bad_frames(server: &TestServer) -> Vec<Provocation> {
    let close = frame(FINAL | CLOSE, &1000u16.to_be_bytes());
    let socket = |lines: &str, frames: Vec<u8>| {
        [handshake(server.address, lines).into_bytes(), frames, close.clone()].concat()
    };
    let v1 = "Sec-WebSocket-Protocol: banter.v1\r\n";
    let switched = "HTTP/1.1 101 ";
    vec![
        provocation("a frame without mask", socket("", vec![FINAL | TEXT, 1, b'a']), switched),
        provocation("a binary frame", socket("", frame(FINAL | BINARY, b"a")), switched),
        provocation("no UTF-8", socket("", frame(FINAL | TEXT, b"\xff")), switched),
        provocation("too long", socket("", header(FINAL | TEXT, u64::MAX)), switched),
        provocation("many pings", socket("", frame(FINAL | PING, b"").repeat(100)), switched),
        provocation("a frame that is no JSON", socket("", text("{").repeat(10)), switched),
        provocation("no such field", socket("", text(r#"{"x": 1}"#)), switched),
        provocation("a full queue", socket("", text(r#"{"message": "busy"}"#)), switched),
        provocation("too many tokens", socket("", text(r#"{"message": "too-long"}"#)), switched),
        provocation("no hello", socket(v1, text(r#"{"type": "open"}"#)), switched),
        provocation("no such event", socket(v1, text(r#"{"type": "what"}"#)), switched),
        provocation(
            "an old handshake",
            socket("Sec-WebSocket-Version: 8\r\n", vec![]),
            "HTTP/1.1 426 ",
        ),
    ]
}

/// Keys that nobody has, by each way in which a key can come, from another machine.
fn wrong_keys(server: &TestServer) -> Vec<Provocation> {
    let ours = format!("Host: {}\r\nX-Forwarded-For: 203.0.113.5\r\n", server.host());
    let with = |line: &str| request("GET /api/info", &format!("{ours}{line}"));
    let body = r#"{"key": "guess"}"#;
    let signs_in =
        format!("{ours}Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    let hello = [
        handshake(
            server.address,
            "X-Forwarded-For: 203.0.113.5\r\nSec-WebSocket-Protocol: banter.v1\r\n",
        )
        .into_bytes(),
        text(r#"{"type": "hello", "key": "guess"}"#),
        frame(FINAL | CLOSE, &1000u16.to_be_bytes()),
    ];
    // Some are 401, and 429 when too many were tried.
    vec![
        provocation("no key", with(""), "HTTP/1.1 4"),
        provocation("a bearer", with("Authorization: Bearer guess\r\n"), "HTTP/1.1 4"),
        provocation("a header", with("X-API-Key: guess\r\n"), "HTTP/1.1 4"),
        provocation("a cookie", with("Cookie: banter_session=guess\r\n"), "HTTP/1.1 4"),
        provocation("two keys", with("X-API-Key: a\r\nAuthorization: Bearer b\r\n"), "HTTP/1.1 4"),
        provocation("an address", request("GET /ws?key=guess", &ours), "HTTP/1.1 4"),
        provocation("a sign-in", request("POST /api/session", &signs_in) + body, "HTTP/1.1 4"),
        provocation("a hello", hello.concat(), "HTTP/1.1 101 "),
    ]
}

/// Provokes the server again and again. No kind may leave more than a few lines in the log.
async fn provoke(server: &TestServer, log: &Log, provocations: Vec<Provocation>) {
    /// The limit for each kind and minute, for tests that last a while.
    const MOST_LINES: usize = 8;
    /// Fewer than the refusals that a server writes at once.
    const AT_ONCE: usize = 16;
    let times = number_from("BANTER_BAD_REQUESTS", 50);
    for Provocation { name, bytes, begin } in provocations {
        let before = log.text().len();
        let answers = (0..times).map(|_| async {
            let mut raw = Raw::connect(server.address).await;
            raw.send(&bytes).await;
            raw.rest().await
        });
        let answers: Vec<String> = stream::iter(answers).buffered(AT_ONCE).collect().await;
        for answer in answers {
            assert!(answer.starts_with(begin), "{name}: {answer}");
        }
        let written = &log.text()[before..];
        let lines = written.lines().count();
        assert!(lines <= MOST_LINES, "{name}: {lines} lines after {times} times:\n{written}");
    }
}

/// `BANTER_BAD_REQUESTS` sets how often each is sent.
#[tokio::test]
async fn r14_what_is_refused_does_not_fill_the_log() {
    let log = Log::collect();
    let config = ServerConfig { keys: vec![KeyHash::of("the-key")], ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    provoke(&server, &log, bad_requests(&server.host())).await;
    provoke(&server, &log, bad_frames(&server)).await;
    provoke(&server, &log, wrong_keys(&server)).await;
    server.client().await.expect_works().await;
    server.end().await;
    let full = ServerConfig { max_connections: 1, ..ServerConfig::default() };
    let server = TestServer::start(full.clone()).await;
    let _inside = Raw::websocket(server.address).await;
    let page = request("GET /", &format!("Host: {}\r\n", server.host()));
    let beyond = provocation("no room", page, "HTTP/1.1 503 ");
    let asks = provocation("no room for a socket", handshake(server.address, ""), "HTTP/1.1 101 ");
    provoke(&server, &log, vec![beyond, asks]).await;
    let server = TestServer::start(ServerConfig { max_refusals: 0, ..full }).await;
    let _inside = Raw::websocket(server.address).await;
    provoke(&server, &log, vec![provocation("no room for a refusal", "", "")]).await;
    let text = log.text();
    assert!(text.contains("--allow-file-pages") && text.contains("--public-url"), "{text}");
    assert!(text.contains("--max-connections"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{7f}'), "{text}");
    assert!(!text.contains("guess"), "{text}");
}
