//! Readers that stop reading. Alone in its file, because it measures the whole process.

mod support;

use banter_server::{OnDisconnect, ServerConfig};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::checker::Checker;
use support::random::number_from;
use support::raw::{self, Raw};
use support::stubborn::Stubborn;
use support::{TestServer, resident_bytes};

/// The most that one reader may cost, with the kernel's buffers left out.
const MOST_BYTES_EACH: usize = 256 * 1024;
/// Longer than what may wait for a reader, in many pieces.
const PIECES: usize = 20_000;
const PIECE_BYTES: usize = 100;

/// `BANTER_STALLED` sets how many stop reading.
#[tokio::test]
async fn r3_readers_that_stop_reading_cost_little_hold_up_nobody_and_catch_up() {
    let readers = number_from("BANTER_STALLED", 200);
    let config = ServerConfig {
        on_disconnect: OnDisconnect::Grace(Duration::from_secs(60)),
        max_connections: 2 * readers,
        max_connections_per_address: 2 * readers,
        ..ServerConfig::default()
    };
    let server = TestServer::start_narrow(config).await;
    let mut healthy = Stubborn::new(server.address, 1);
    let mut request = json!({
        "type": "send", "text": format!("pieces {PIECES} {PIECE_BYTES}"), "client_id": "one",
        "parameters": { "max_tokens": PIECES },
    });
    // The first answer makes room for the next one, and the second one is kept.
    ask(&server, &mut healthy, &request, Vec::new()).await;
    let before = resident_bytes();
    request["client_id"] = "two".into();
    let (deltas_before, begun) = (healthy.checker.counts.deltas, Instant::now());
    ask(&server, &mut healthy, &request, Vec::new()).await;
    let deltas_alone = healthy.checker.counts.deltas - deltas_before;
    let gap_alone = begun.elapsed() / deltas_alone as u32;
    let of_the_answer = resident_bytes().saturating_sub(before);
    let mut stalled = Vec::new();
    for _ in 0..readers {
        stalled.push(reader(&server).await);
    }
    let before = resident_bytes();
    let (deltas_before, begun) = (healthy.checker.counts.deltas, Instant::now());
    request["client_id"] = "three".into();
    let (answer, stalled) = ask(&server, &mut healthy, &request, stalled).await;
    let took = begun.elapsed();
    // The healthy reader has everything, and the others have not taken a byte yet.
    assert_eq!(healthy.checker.text(&answer).len(), PIECES * PIECE_BYTES);
    // It was not held up: what came in one delta does not come in fewer and longer ones now.
    let deltas = healthy.checker.counts.deltas - deltas_before;
    // The time is told and not judged, because other programs may take the processor meanwhile.
    println!(
        "the healthy reader: {deltas_alone} deltas alone, {deltas} with the others; from one to the \
         next {gap_alone:?} alone, {:?} with the others",
        took / deltas as u32
    );
    assert!(deltas * 10 >= deltas_alone * 9, "{deltas} deltas, {deltas_alone} without the others");
    server.stands_still().await;
    let each = resident_bytes().saturating_sub(before + of_the_answer) / readers;
    println!("{readers} stalled readers: {each} bytes each");
    assert!(each <= MOST_BYTES_EACH, "{each} bytes for each reader");
    // All at once: the longer a reader has stalled, the longer the kernel waits before it sends
    // again what it had to drop.
    let text = healthy.checker.text(&answer);
    join_all(stalled.into_iter().map(|reader| catch_up(reader, &answer, text))).await;
    healthy.checker.assert_nothing_is_wrong();
    healthy.lose();
    server.end().await;
}

/// Reads the whole answer, which has this text.
async fn catch_up(mut reader: Raw, answer: &Value, text: &str) {
    let mut checker = Checker::new("a stalled reader");
    checker.begin_socket();
    checker.resumes(answer, 0);
    while checker.finished(answer).is_none() {
        checker.take(&event(&mut reader).await);
    }
    assert_eq!(checker.text(answer), text);
    checker.assert_nothing_is_wrong();
}

/// A greeted socket with room for little that was not read.
async fn reader(server: &TestServer) -> Raw {
    let subprotocol = "Sec-WebSocket-Protocol: banter.v1\r\n";
    let mut raw = Raw::narrow_websocket_with(server.address, subprotocol).await;
    raw.send(&raw::text(r#"{"type": "hello"}"#)).await;
    assert_eq!(event(&mut raw).await["type"], "welcome");
    raw
}

/// The next event, whatever frames it comes in.
async fn event(raw: &mut Raw) -> Value {
    let mut whole = Vec::new();
    loop {
        let (first, payload) = raw.frame().await.expect("an open socket");
        if first & 0x0f == raw::PING {
            continue;
        }
        whole.extend(payload);
        if first & raw::FINAL != 0 {
            return serde_json::from_slice(&whole).expect("JSON");
        }
    }
}

/// Asks, lets the others follow the answer without reading, and reads it to its end.
async fn ask(
    server: &TestServer,
    healthy: &mut Stubborn,
    request: &Value,
    mut others: Vec<Raw>,
) -> (Value, Vec<Raw>) {
    let asked = healthy.accepted(request.clone()).await;
    let resume = json!({ "type": "resume", "answer": asked.answer, "at": 0 }).to_string();
    for other in &mut others {
        other.send(&raw::text(&resume)).await;
    }
    healthy.read(&asked.conversation, &asked.answer).await;
    server.is_idle().await;
    (asked.answer, others)
}
