//! Clients that read late, or not all of it: whoever reads in the end gets everything, and whoever
//! leaves leaves nothing behind.

mod support;

use banter_server::ServerConfig;
use support::raw::{CLOSE, Raw, TEXT, text};
use support::{TestServer, patiently};
use tokio::io::AsyncReadExt;

/// So little waits for a client that a few kilobytes are too much.
fn narrow() -> ServerConfig {
    ServerConfig { max_outbound_bytes: 2_000, ..ServerConfig::default() }
}

/// Reads one answer to its end, and returns how long it is.
async fn answer_bytes(raw: &mut Raw) -> usize {
    let mut bytes = 0;
    loop {
        let (first, payload) = raw.frame().await.expect("an open socket");
        assert_eq!(first & 0x0f & !TEXT, 0, "text or its continuation");
        if payload.is_empty() {
            return bytes;
        }
        bytes += payload.len();
    }
}

async fn expect_works(raw: &mut Raw) {
    raw.send(&text(r#"{"message": "echo again"}"#)).await;
    assert_eq!(answer_bytes(raw).await, "again".len());
}

#[tokio::test]
async fn a_reader_that_pauses_gets_all_of_a_streamed_answer_and_goes_on() {
    const PIECES: usize = 10_000;
    let server = TestServer::start(ServerConfig::default()).await;
    let mut raw = Raw::websocket(server.address).await;
    let request = format!(r#"{{"message": "pieces {PIECES} 1000", "max_tokens": {PIECES}}}"#);
    raw.send(&text(&request)).await;
    server.stands_still().await;
    assert_eq!(server.running(), 0, "the answer does not wait for its reader");
    assert_eq!(answer_bytes(&mut raw).await, PIECES * 1_000);
    expect_works(&mut raw).await;
    server.end().await;
}

#[tokio::test]
async fn a_whole_answer_longer_than_what_may_wait_leaves_a_socket_that_works() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut raw = Raw::websocket(server.address).await;
    for bytes in [600_000, 6_000_000] {
        for _ in 0..2 {
            let request = format!(r#"{{"message": "pieces 1 {bytes}", "stream": false}}"#);
            raw.send(&text(&request)).await;
            assert_eq!(answer_bytes(&mut raw).await, bytes);
            expect_works(&mut raw).await;
        }
    }
    server.end().await;
}

#[tokio::test]
async fn a_client_that_was_not_read_for_a_while_is_read_again_when_it_has_taken_its_answers() {
    let server = TestServer::start_narrow(narrow()).await;
    let mut raw = Raw::narrow_websocket(server.address).await.expect("a free place");
    for _ in 0..3 {
        flood(&mut raw).await;
        expect_works(&mut raw).await;
    }
    server.end().await;
}

/// Sends messages that are refused, far more of them than may wait, and then reads all refusals.
async fn flood(raw: &mut Raw) {
    const REFUSALS: usize = 2_000;
    raw.send(&text("{").repeat(REFUSALS)).await;
    let (mut ends, mut unread) = (0, Vec::new());
    while ends < REFUSALS {
        let read = patiently(raw.stream.read_buf(&mut unread)).await.expect("an open socket");
        assert!(read > 0, "an open socket");
        let (whole, whole_ends) = whole_frames(&unread);
        ends += whole_ends;
        unread.drain(..whole);
    }
    assert!(unread.is_empty());
}

/// Bytes of the whole frames at the beginning, all of them short, and how many of these are empty.
/// [`Raw::frame`] asks the kernel for every byte, which is slow for a flood.
fn whole_frames(bytes: &[u8]) -> (usize, usize) {
    let (mut at, mut ends) = (0, 0);
    while let [_, short, rest @ ..] = &bytes[at..] {
        let (header, payload) = match (short, rest) {
            (126, [high, low, ..]) => (4, usize::from(u16::from_be_bytes([*high, *low]))),
            (126, _) => break,
            (short, _) => (2, usize::from(*short)),
        };
        if bytes.len() < at + header + payload {
            break;
        }
        at += header + payload;
        ends += usize::from(payload == 0);
    }
    (at, ends)
}

#[tokio::test]
async fn a_thousand_clients_that_flood_read_and_leave_free_their_places() {
    const PLACES: usize = 4;
    const VISITS: usize = 1_000;
    let config =
        ServerConfig { max_connections: PLACES, max_connections_per_address: PLACES, ..narrow() };
    let server = TestServer::start_narrow(config).await;
    for _ in 0..VISITS {
        let mut raw = welcomed(&server).await;
        flood(&mut raw).await;
    }
    let mut all = Vec::new();
    for _ in 0..PLACES {
        all.push(welcomed(&server).await);
    }
    for raw in &mut all {
        expect_works(raw).await;
    }
    server.end().await;
}

/// A socket that works. Until the server has noticed that another is gone, newcomers are refused.
async fn welcomed(server: &TestServer) -> Raw {
    patiently(async {
        loop {
            let Some(mut raw) = Raw::narrow_websocket(server.address).await else { continue };
            raw.send(&text(r#"{"message": "echo in"}"#)).await;
            match raw.frame().await {
                Some((first, _)) if first & 0x0f == TEXT => {
                    assert_eq!(answer_bytes(&mut raw).await, 0);
                    return raw;
                }
                Some((first, _)) => assert_eq!(first & 0x0f, CLOSE),
                None => {}
            }
        }
    })
    .await
}
