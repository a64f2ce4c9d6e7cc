//! What a WebSocket must survive, byte by byte (FAULTS, section W).

mod support;

use banter_server::ServerConfig;
use std::time::Duration;
use support::TestServer;
use support::raw::{
    BINARY, CLOSE, CONTINUATION, FINAL, PING, PONG, Raw, TEXT, frame, handshake, header, text,
};

/// Sends bytes on a fresh socket and returns the code it is closed with.
async fn close_code(server: &TestServer, bytes: &[u8]) -> Option<u16> {
    let mut raw = Raw::websocket(server.address).await;
    raw.send(bytes).await;
    raw.close_code().await
}

#[tokio::test]
async fn illegal_frames_close_the_socket_with_their_code() {
    struct Case {
        name: &'static str,
        bytes: Vec<u8>,
        code: u16,
    }
    let case = |name, bytes, code| Case { name, bytes, code };
    let close_with = |code: u16| frame(FINAL | CLOSE, &code.to_be_bytes());
    let mut cases = vec![
        case("unmasked", vec![FINAL | TEXT, 1, b'a'], 1002),
        case("reserved bit", frame(FINAL | 0x40 | TEXT, b"a"), 1002),
        case("reserved data opcode", frame(FINAL | 0x3, b"a"), 1002),
        case("reserved control opcode", frame(FINAL | 0xb, b"a"), 1002),
        case("long control frame", frame(FINAL | PING, &[0; 126]), 1002),
        case("fragmented control frame", frame(PING, b"a"), 1002),
        case("continuation of nothing", frame(FINAL | CONTINUATION, b"a"), 1002),
        case(
            "text inside a message",
            [frame(TEXT, b"a"), frame(FINAL | TEXT, b"b")].concat(),
            1002,
        ),
        case("binary", frame(FINAL | BINARY, b"a"), 1003),
        case("not UTF-8", frame(FINAL | TEXT, b"a\xff"), 1007),
        case("half a character", frame(FINAL | TEXT, "你".as_bytes().split_at(2).0), 1007),
        case("a claim of 2^63-1 bytes", header(FINAL | TEXT, i64::MAX as u64), 1009),
        case("a claim of 2^64-1 bytes", header(FINAL | TEXT, u64::MAX), 1009),
        case("a close of one byte", frame(FINAL | CLOSE, b"a"), 1002),
        case("a close reason that is not UTF-8", frame(FINAL | CLOSE, b"\x03\xe8\xff"), 1007),
        case("a legal close", close_with(1000), 1000),
    ];
    for code in [0, 999, 1004, 1005, 1006, 1015, 5000] {
        cases.push(case("a close with an illegal code", close_with(code), 1002));
    }
    let server = TestServer::start(ServerConfig::default()).await;
    for case in cases {
        assert_eq!(close_code(&server, &case.bytes).await, Some(case.code), "{}", case.name);
    }
    server.client().await.expect_works().await;
    server.end().await;
}

#[tokio::test]
async fn a_message_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() {
    let config = ServerConfig { max_message_bytes: 100_000, ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let message = |bytes: usize| {
        let empty = r#"{"message":"echo "}"#.len();
        format!(r#"{{"message":"echo {}"}}"#, "a".repeat(bytes - empty))
    };
    let fragments = |message: &str| {
        let chunks: Vec<&[u8]> = message.as_bytes().chunks(10_000).collect();
        let last = chunks.len() - 1;
        let frames = chunks.iter().enumerate().flat_map(|(index, chunk)| {
            let opcode = if index == 0 { TEXT } else { CONTINUATION };
            frame(opcode | if index == last { FINAL } else { 0 }, chunk)
        });
        frames.collect::<Vec<u8>>()
    };
    for bytes in [text(&message(100_000)), fragments(&message(100_000))] {
        let mut raw = Raw::websocket(server.address).await;
        raw.send(&bytes).await;
        let mut answer = 0;
        while let Some((first, payload)) = raw.frame().await
            && !payload.is_empty()
        {
            assert_eq!(first & 0x0f & !TEXT, 0, "text or its continuation");
            answer += payload.len();
        }
        assert_eq!(answer, 100_000 - r#"{"message":"echo "}"#.len());
    }
    for bytes in [text(&message(100_001)), fragments(&message(100_001))] {
        assert_eq!(close_code(&server, &bytes).await, Some(1009));
    }
    server.end().await;
}

#[tokio::test]
async fn floods_are_cut_off() {
    struct Case {
        name: &'static str,
        first: Vec<u8>,
        flood: Vec<u8>,
    }
    let cases = [
        Case {
            name: "one-byte fragments",
            first: frame(TEXT, b"a"),
            flood: frame(CONTINUATION, b"a"),
        },
        Case { name: "empty fragments", first: frame(TEXT, b""), flood: frame(CONTINUATION, b"") },
        Case { name: "pings", first: Vec::new(), flood: frame(FINAL | PING, &[7; 125]) },
        Case { name: "pongs", first: Vec::new(), flood: frame(FINAL | PONG, &[7; 125]) },
    ];
    let server = TestServer::start(ServerConfig::default()).await;
    for case in cases {
        let bytes = [case.first, case.flood.repeat(1_000)].concat();
        assert_eq!(close_code(&server, &bytes).await, Some(1008), "{}", case.name);
    }
    server.client().await.expect_works().await;
    server.end().await;
}

#[tokio::test]
async fn more_refused_messages_than_an_honest_client_sends_close_the_socket() {
    let config = ServerConfig { max_waiting_refusals: 10, ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let bytes = [text(r#"{"message":"hang"}"#), text("{").repeat(11)].concat();
    assert_eq!(close_code(&server, &bytes).await, Some(1008));
    server.is_idle().await;
    server.end().await;
}

#[tokio::test]
async fn a_message_that_never_ends_and_a_silent_peer_are_given_up() {
    let config = ServerConfig {
        message_timeout: Duration::from_millis(80),
        ping_interval: Duration::from_millis(60),
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    let mut dribbling = Raw::websocket(server.address).await;
    dribbling.send(&header(FINAL | TEXT, 1_000)).await;
    let mut pinged = false;
    let code = loop {
        match dribbling.frame().await {
            Some((first, _)) if first == FINAL | PING => {
                pinged = true;
                dribbling.send(b"a").await;
            }
            Some((_, payload)) => break payload,
            None => panic!("expected a close frame"),
        }
    };
    assert_eq!((&code[..2], pinged), (&1008u16.to_be_bytes()[..], true));
    // This one never answers the ping: the connection ends without a word.
    assert_eq!(Raw::websocket(server.address).await.close_code().await, None);
    server.end().await;
}

#[tokio::test]
async fn handshakes_are_judged_as_the_rules_say() {
    struct Case {
        name: &'static str,
        change: fn(String) -> String,
        status: &'static str,
    }
    let replace = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    assert!(handshake("127.0.0.1:1".parse().expect("address"), "").contains(replace));
    let cases = [
        Case { name: "legal", change: |h| h, status: "101" },
        Case {
            name: "several connection options",
            change: |h| h.replace("Connection: Upgrade", "connection: keep-alive, Upgrade"),
            status: "101",
        },
        Case {
            name: "two upgrade lines",
            change: |h| h.replace("Upgrade: w", "Upgrade: h2c\r\nUpgrade: w"),
            status: "101",
        },
        Case {
            name: "another subprotocol",
            change: |h| {
                h.replace("Sec-WebSocket-V", "Sec-WebSocket-Protocol: x\r\nSec-WebSocket-V")
            },
            status: "101",
        },
        Case {
            name: "deflate",
            change: |h| {
                let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
                h.replace("Sec-WebSocket-V", &format!("{offer}\r\nSec-WebSocket-V"))
            },
            status: "101",
        },
        Case {
            name: "wrong version",
            change: |h| h.replace("Version: 13", "Version: 8"),
            status: "426",
        },
        Case {
            name: "no key",
            change: |h| h.replace("Sec-WebSocket-Key", "X-Other"),
            status: "400",
        },
        Case { name: "short key", change: |h| h.replace("dGhl", ""), status: "400" },
        Case { name: "HTTP/1.0", change: |h| h.replace("HTTP/1.1", "HTTP/1.0"), status: "400" },
        Case { name: "POST", change: |h| h.replace("GET", "POST"), status: "405" },
        Case {
            name: "with a body",
            change: |h| h.replace("Sec-WebSocket-V", "Content-Length: 1\r\nSec-WebSocket-V") + "x",
            status: "400",
        },
        Case {
            name: "no upgrade",
            change: |h| h.replace("Upgrade: websocket", "X-Other: a"),
            status: "426",
        },
        Case {
            name: "connection without upgrade",
            change: |h| h.replace("Connection: Upgrade", "Connection: keep-alive"),
            status: "400",
        },
    ];
    let server = TestServer::start(ServerConfig::default()).await;
    for case in cases {
        let mut raw = Raw::connect(server.address).await;
        raw.send((case.change)(handshake(server.address, "")).as_bytes()).await;
        let head = raw.head().await;
        assert_eq!(head.split(' ').nth(1), Some(case.status), "{}: {head}", case.name);
        assert!(!head.to_ascii_lowercase().contains("sec-websocket-extensions"), "{head}");
        assert!(!head.to_ascii_lowercase().contains("sec-websocket-protocol"), "{head}");
        if case.status == "101" {
            assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        }
    }
    server.end().await;
}

#[tokio::test]
async fn http_2_without_asking_ends_the_connection() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(raw.rest().await, "");
    server.end().await;
}
