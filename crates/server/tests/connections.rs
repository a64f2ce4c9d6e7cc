//! Connections: how many there may be, how long each may take, and whose place becomes free.

mod support;

use banter_server::{KeyHash, PublicUrl, ServerConfig};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use socket2::{SockFilter, SockRef};
use std::io::ErrorKind;
use std::time::Duration;
use support::random::number_from;
use support::raw::{Raw, get, text};
use support::{Log, PATIENCE, TestServer, http, patiently};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;
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
    a_newcomer_gets_in(&server).await;
    server.end().await;
}

/// A place is free when the server has noticed; until then newcomers are told 1013.
async fn a_newcomer_gets_in(server: &TestServer) {
    let message = json!({ "message": "echo in" }).to_string();
    let welcomed = async {
        loop {
            let mut newcomer = server.client().await;
            let sent = newcomer.stream.send(Message::text(message.clone())).await;
            if sent.is_ok() && matches!(newcomer.stream.next().await, Some(Ok(Message::Text(_)))) {
                return;
            }
        }
    };
    patiently(welcomed).await;
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

/// How a client holds a connection without a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// It says nothing.
    IsSilent,
    /// It begins a head, and says no more.
    Begins,
    /// It sends its head byte by byte, without end.
    Dribbles,
}

impl Hold {
    const ALL: [Hold; 3] = [Hold::IsSilent, Hold::Begins, Hold::Dribbles];

    async fn begin(self, server: &TestServer) -> Raw {
        let mut raw = Raw::connect(server.address).await;
        if self != Hold::IsSilent {
            raw.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
        }
        raw
    }

    /// Sends the next byte, if it does. Says whether the connection is still open.
    fn goes_on(self, raw: &Raw) -> bool {
        let is_open = |outcome: std::io::Result<usize>| match outcome {
            Ok(bytes) => bytes > 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        let takes_bytes = self != Hold::Dribbles || is_open(raw.stream.try_write(b"a"));
        takes_bytes && is_open(raw.stream.try_read(&mut [0; 1_024]))
    }
}

/// `BANTER_SLOW` sets how many there are.
#[tokio::test]
async fn w11_w12_silence_and_slow_heads_are_cut_off_while_newcomers_are_served() {
    let count = number_from("BANTER_SLOW", 200);
    let config = ServerConfig {
        header_timeout: Duration::from_millis(500),
        // Nobody has to leave because of their number.
        max_connections: 2 * count,
        max_connections_per_address: 2 * count,
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    let mut held = Vec::new();
    for index in 0..count {
        let hold = Hold::ALL[index % Hold::ALL.len()];
        held.push((hold, hold.begin(&server).await));
        if index % 10 == 0 {
            server.client().await.expect_works().await;
        }
    }
    // Bytes of slow heads come between all answers, and win no time.
    patiently(async {
        while !held.is_empty() {
            server.client().await.expect_works().await;
            held.retain(|(hold, raw)| hold.goes_on(raw));
        }
    })
    .await;
    server.end().await;
}

#[tokio::test]
async fn w11_heads_beyond_the_limits_are_refused() {
    struct Case {
        name: &'static str,
        path: String,
        lines: String,
        /// None: the server closes while the client still sends, so the answer may be lost.
        status: Option<&'static str>,
    }
    let lines = |count: usize| -> String { (0..count).map(|n| format!("X-{n}: a\r\n")).collect() };
    let line = |bytes: usize| format!("X-Long: {}\r\n", "a".repeat(bytes));
    let of_lines = |name, lines, status| Case { name, path: "/health".into(), lines, status };
    let path = |bytes: usize| format!("/health?{}", "a".repeat(bytes));
    let of_path = |name, path, status| Case { name, path, lines: String::new(), status };
    let cases = [
        // There is a line with the host too.
        of_lines("as many lines as there may be", lines(63), Some("200")),
        of_lines("one line more", lines(64), Some("431")),
        of_lines("a long line", line(15 * 1_024), Some("200")),
        of_lines("a line that is too long", line(17 * 1_024), Some("431")),
        of_lines("2,000 lines", lines(2_000), None),
        of_lines("a line of a mebibyte", line(1_024 * 1_024), None),
        of_path("a long path", path(15 * 1_024), Some("200")),
        of_path("a path that is too long", path(17 * 1_024), Some("431")),
    ];
    let server = TestServer::start(ServerConfig::default()).await;
    for Case { name, path, lines, status } in cases {
        let mut raw = Raw::connect(server.address).await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{lines}\r\n", server.host());
        let sent = patiently(raw.stream.write_all(request.as_bytes())).await;
        let head = raw.head().await;
        let found = head.split(' ').nth(1);
        match status {
            Some(_) => assert_eq!((sent.is_ok(), found), (true, status), "{name}: {head}"),
            None => assert!(head.is_empty() || found == Some("431"), "{name}: {head}"),
        }
    }
    server.client().await.expect_works().await;
    server.end().await;
}

/// From now on no packet reaches this client, and it acknowledges none, as if its line were cut.
fn cut_the_line(raw: &Raw) {
    /// "Return", of Berkeley's packet filter: the bytes of the packet that are kept.
    const BPF_RET: u16 = 0x06;
    let keep_nothing = SockFilter::new(BPF_RET, 0, 0, 0);
    SockRef::from(&raw.stream).attach_filter(&[keep_nothing]).expect("Linux has filters");
}

/// Longer than what the kernel and the server hold for one connection.
const LONG_ANSWER: &str = "tokens 1000000 0";

/// A connection whose client is about to be lost.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Nothing,
    ReadsOnASocket,
    ReadsAStream,
}

impl Doing {
    async fn begin(self, server: &TestServer) -> Raw {
        let mut raw = match self {
            Doing::Nothing => return Raw::websocket(server.address).await,
            Doing::ReadsOnASocket => {
                let mut raw = Raw::websocket(server.address).await;
                let request = json!({ "message": LONG_ANSWER, "max_tokens": 1_000_000 });
                raw.send(&text(&request.to_string())).await;
                raw
            }
            Doing::ReadsAStream => {
                let messages = json!([{ "role": "user", "content": LONG_ANSWER }]);
                let request = json!({
                    "model": "scripted", "stream": true, "max_tokens": 1_000_000,
                    "messages": messages,
                });
                http::post(server, "/v1/chat/completions", &request).await
            }
        };
        patiently(raw.stream.read_exact(&mut [0; 100])).await.expect("an answer begins");
        raw
    }
}

#[tokio::test]
async fn w15_the_place_of_a_client_whose_packets_are_lost_is_free_again() {
    for doing in [Doing::Nothing, Doing::ReadsOnASocket, Doing::ReadsAStream] {
        let config = ServerConfig {
            max_connections: 1,
            max_connections_per_address: 1,
            ping_interval: Duration::from_millis(100),
            write_timeout: Duration::from_millis(200),
            ..ServerConfig::default()
        };
        let server = TestServer::start(config).await;
        let lost = doing.begin(&server).await;
        assert_eq!(server.client().await.close_code().await, Some(CloseCode::Again), "{doing:?}");
        cut_the_line(&lost);
        a_newcomer_gets_in(&server).await;
        server.is_idle().await;
        // Only now: a client that ends could tell the server so.
        drop(lost);
        server.end().await;
    }
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
