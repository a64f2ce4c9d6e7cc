//! What a WebSocket must survive, byte by byte (FAULTS, section W).

mod support;

use banter_server::ServerConfig;
use std::time::Duration;
use support::TestServer;
use support::raw::{
    BINARY, CLOSE, CONTINUATION, FINAL, PING, PONG, Raw, TEXT, frame, get, handshake, header, text,
};

/// A reserved bit, which compressed messages would have.
const RSV1: u8 = 0x40;

/// Sends bytes on a fresh socket and returns the code it is closed with.
async fn close_code(server: &TestServer, bytes: &[u8]) -> Option<u16> {
    close_code_after(server, &[bytes]).await
}

/// The same, with bytes that the server reads one part after the other.
async fn close_code_after(server: &TestServer, parts: &[&[u8]]) -> Option<u16> {
    let mut raw = Raw::websocket(server.address).await;
    send_in_parts(server, &mut raw, parts).await;
    raw.close_code().await
}

/// When another client has its answer, the server has read what came before.
async fn send_in_parts(server: &TestServer, raw: &mut Raw, parts: &[&[u8]]) {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            assert_eq!(get(server.address, "/health", "").await.status, 200);
        }
        raw.send(part).await;
    }
}

/// A frame with a mask that changes every byte.
fn masked(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x81, 0xc3, 0x5a, 0xff];
    let mut bytes = header(first_byte, payload.len() as u64);
    let mask_at = bytes.len() - MASK.len();
    bytes[mask_at..].copy_from_slice(&MASK);
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % MASK.len()]));
    bytes
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
        case("reserved bit", frame(FINAL | RSV1 | TEXT, b"a"), 1002),
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
async fn w4_a_message_that_never_ends_is_given_up_although_parts_of_it_come() {
    struct Case {
        name: &'static str,
        first: Vec<u8>,
        next: Vec<u8>,
    }
    let cases = [
        Case { name: "a frame", first: header(FINAL | TEXT, 1_000), next: b"a".to_vec() },
        Case {
            name: "fragments, far fewer than a message may have",
            first: frame(TEXT, b"a"),
            next: frame(CONTINUATION, b"a"),
        },
    ];
    let config = ServerConfig {
        message_timeout: Duration::from_millis(80),
        ping_interval: Duration::from_millis(60),
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    for Case { name, first, next } in cases {
        let mut raw = Raw::websocket(server.address).await;
        raw.send(&first).await;
        let mut pinged = false;
        let close = loop {
            match raw.frame().await {
                Some((first, _)) if first == FINAL | PING => {
                    pinged = true;
                    raw.send(&next).await;
                }
                Some((_, payload)) => break payload,
                None => panic!("{name}: expected a close frame"),
            }
        };
        assert_eq!((&close[..2], pinged), (&1008u16.to_be_bytes()[..], true), "{name}");
    }
    server.end().await;
}

#[tokio::test]
async fn w15_a_peer_that_answers_no_ping_is_given_up_without_a_word() {
    let ping_interval = Duration::from_millis(60);
    let server = TestServer::start(ServerConfig { ping_interval, ..ServerConfig::default() }).await;
    assert_eq!(Raw::websocket(server.address).await.close_code().await, None);
    server.end().await;
}

/// What is UTF-8 nowhere, with the place of the first bad byte.
const BAD_TEXTS: [(&[u8], usize); 8] = [
    (b"a\xe4\xbd\xa0\xf0\x9f\x98\x80\xffb", 8),
    (b"a\x80b", 1),
    // Longer than it has to be.
    (b"a\xc0\xafb", 1),
    (b"a\xe0\x80\xafb", 2),
    // A half of a pair of UTF-16.
    (b"a\xed\xa0\x80b", 2),
    // Beyond the last character.
    (b"a\xf4\x90\x80\x80b", 2),
    // Characters that end too early.
    (b"a\xe4\xbdb", 3),
    (b"a\xf0\x9f\x98b", 4),
];

#[tokio::test]
async fn w8_a_text_with_a_bad_byte_ends_with_1007_wherever_it_is_cut() {
    let server = TestServer::start(ServerConfig::default()).await;
    for (bad, _) in BAD_TEXTS {
        let whole = masked(FINAL | TEXT, bad);
        for at in 0..=bad.len() {
            let (start, end) = bad.split_at(at);
            let fragments = [masked(TEXT, start), masked(FINAL | CONTINUATION, end)];
            let code = close_code(&server, &fragments.concat()).await;
            assert_eq!(code, Some(1007), "{bad:x?} in fragments, cut at {at}");
        }
        for at in 1..whole.len() {
            let (start, end) = whole.split_at(at);
            let code = close_code_after(&server, &[start, end]).await;
            assert_eq!(code, Some(1007), "{bad:x?} in two writes, cut at {at} of its frame");
        }
        let reason = masked(FINAL | CLOSE, &[&1000u16.to_be_bytes()[..], bad].concat());
        for at in 1..reason.len() {
            let (start, end) = reason.split_at(at);
            let code = close_code_after(&server, &[start, end]).await;
            assert_eq!(code, Some(1007), "{bad:x?} as a close reason, cut at {at} of its frame");
        }
    }
    server.end().await;
}

/// Nothing is sent after the bad byte: the close may not wait for the rest.
#[tokio::test]
async fn w8_a_bad_byte_is_found_before_its_message_ends() {
    let server = TestServer::start(ServerConfig::default()).await;
    for (bad, place) in BAD_TEXTS {
        let seen = &bad[..=place];
        let code = close_code(&server, &masked(TEXT, seen)).await;
        assert_eq!(code, Some(1007), "{seen:x?} in a first fragment");
        let (good, bad_end) = bad[..=place].split_at(place);
        let fragments = [masked(TEXT, good), masked(CONTINUATION, bad_end)].concat();
        assert_eq!(close_code(&server, &fragments).await, Some(1007), "{seen:x?} in the second");
        for (before, missing_bytes) in [(0, 1_000), (30_000, 30_000)] {
            let payload = [&vec![b'a'; before], seen, &vec![b'a'; missing_bytes]].concat();
            let mut unfinished = masked(FINAL | TEXT, &payload);
            unfinished.truncate(unfinished.len() - missing_bytes);
            let code = close_code(&server, &unfinished).await;
            assert_eq!(code, Some(1007), "{seen:x?} behind {before} bytes of an unfinished frame");
        }
    }
    server.end().await;
}

#[tokio::test]
async fn w8_a_character_may_be_cut_anywhere() {
    const ECHO: &str = "é你\u{1F600}\u{10FFFF}";
    let message = format!(r#"{{"message":"echo {ECHO}"}}"#).into_bytes();
    let whole = masked(FINAL | TEXT, &message);
    let ping = masked(FINAL | PING, b"\xff");
    let server = TestServer::start(ServerConfig::default()).await;
    let mut raw = Raw::websocket(server.address).await;
    for at in 0..=message.len() {
        let (start, end) = message.split_at(at);
        raw.send(&[masked(TEXT, start), masked(FINAL | CONTINUATION, end)].concat()).await;
        assert_eq!(raw.answer().await, ECHO, "two fragments, cut at {at}");
    }
    for at in 1..whole.len() {
        let (start, end) = whole.split_at(at);
        send_in_parts(&server, &mut raw, &[start, end]).await;
        assert_eq!(raw.answer().await, ECHO, "two writes, cut at {at}");
    }
    // Each byte a fragment, and a ping that is no text behind each.
    let mut single = masked(TEXT, b"");
    for byte in &message {
        single.extend(masked(CONTINUATION, &[*byte]));
        single.extend(&ping);
    }
    single.extend(masked(FINAL | CONTINUATION, b""));
    raw.send(&single).await;
    let mut answer = Vec::new();
    while let Some((first, payload)) = raw.frame().await {
        match first {
            _ if first == FINAL | PONG => assert_eq!(payload, b"\xff"),
            _ if payload.is_empty() => break,
            _ => answer.extend(payload),
        }
    }
    assert_eq!(answer, ECHO.as_bytes());
    // What is no text need not be UTF-8.
    let binary = masked(FINAL | BINARY, b"\xff");
    assert_eq!(close_code(&server, &binary).await, Some(1003));
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

/// Every form in which compression can be offered: header lines, each with the offers in it.
fn offers_of_compression() -> Vec<Vec<String>> {
    let one = |offer: &str| vec![format!("permessage-deflate{offer}")];
    let mut all = vec![one("")];
    for side in ["client", "server"] {
        all.push(one(&format!("; {side}_no_context_takeover")));
        all.push(one(&format!("; {side}_max_window_bits")));
        all.extend((7..=16).map(|bits| one(&format!("; {side}_max_window_bits={bits}"))));
        all.push(one(&format!("; {side}_max_window_bits=\"15\"")));
    }
    all.push(one(
        "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; \
         client_max_window_bits=10",
    ));
    all.push(one("; client_no_context_takeover; client_no_context_takeover"));
    all.push(one("; unknown=1"));
    all.push(one(";"));
    all.push(one("; client_max_window_bits, permessage-deflate"));
    all.push(vec![
        "permessage-deflate".into(),
        "permessage-deflate; server_max_window_bits".into(),
    ]);
    let others = ["x-webkit-deflate-frame", "PERMESSAGE-DEFLATE", "permessage-bzip2, bbf-usp", ""];
    all.extend(others.map(|other| vec![other.to_owned()]));
    all
}

#[tokio::test]
async fn w13_compression_is_never_agreed_on() {
    let server = TestServer::start(ServerConfig::default()).await;
    for offer in offers_of_compression() {
        let lines: String =
            offer.iter().map(|line| format!("Sec-WebSocket-Extensions: {line}\r\n")).collect();
        let mut raw = Raw::connect(server.address).await;
        raw.send(handshake(server.address, &lines).as_bytes()).await;
        let head = raw.head().await.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{offer:?}: {head}");
        assert!(!head.contains("sec-websocket-extensions"), "{offer:?}: {head}");
        raw.send(&text(r#"{"message": "echo plainly"}"#)).await;
        assert_eq!(raw.answer().await, "plainly", "{offer:?}");
        // What a client would send that believes it was agreed on.
        raw.send(&frame(FINAL | RSV1 | TEXT, &[0x4a, 0x04, 0x00])).await;
        assert_eq!(raw.close_code().await, Some(1002), "{offer:?}");
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
