//! The examples of `docs/PROTOCOL.md` are frames that this version reads and writes.

use crate::v1::{ConversationId, MessageId, Tagged, parse};
use serde_json::Value;

const PROTOCOL: &str = include_str!("../../../../../docs/PROTOCOL.md");

#[test]
fn every_example_is_a_frame() {
    let lines: Vec<String> = PROTOCOL.lines().map(with_whole_ids).collect();
    let (mut sent, mut received) = (0, 0);
    for (index, line) in lines.iter().enumerate() {
        if let Some(frame) = line.strip_prefix("→ ") {
            check_client_frame(frame, lines.get(index + 1).map_or("", String::as_str));
            sent += 1;
        }
        if let Some(frame) = line.strip_prefix("← ") {
            let event = Tagged::parse(frame).unwrap_or_else(|error| panic!("{frame}: {error}"));
            assert_eq!(json(&event.to_json()), json(frame));
            received += 1;
        }
    }
    assert!(sent >= 20 && received >= 35, "{sent} and {received} examples");
}

/// A wrong frame is followed by the error that it gets.
fn check_client_frame(frame: &str, next: &str) {
    match parse(frame) {
        Ok(event) => assert_eq!(json(&event.to_json()), json(frame)),
        Err(error) => {
            let reply = error.map(crate::v1::ServerEvent::from).to_json();
            let documented = next.strip_prefix("← ").unwrap_or(next);
            assert_eq!(json(&reply), json(documented), "{frame}");
        }
    }
}

fn with_whole_ids(line: &str) -> String {
    let mut line = line.replace("\"c1\"", &format!("\"{}\"", ConversationId::from_bits(1)));
    for (bits, name) in (1..).zip(["m1", "m2", "m3", "a1", "a2", "a3", "a4"]) {
        let id = MessageId::from_bits(bits);
        line = line.replace(&format!("\"{name}\""), &format!("\"{id}\""));
    }
    line
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}
