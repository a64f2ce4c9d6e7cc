//! What a stream costs in memory. Alone in its file, because it counts allocations.

mod support;

use allocation_counter::{AllocationInfo, measure};
use banter_server::ServerConfig;
use serde_json::{Value, json};
use support::http::post;
use support::{TestServer, patiently};
use tokio::io::AsyncReadExt;
use tokio::runtime::{Builder, Runtime};

/// Words of a short and of a long answer.
const WORDS: [usize; 2] = [200, 1_000];
/// A word of the answer's log, its token, and what stands in for the model.
const LOG_BYTES_PER_WORD: u64 = 160;

/// What a stream took from begin to end, and how many lines it had.
struct Cost {
    info: AllocationInfo,
    lines: u64,
}

impl Cost {
    fn of(runtime: &Runtime, server: &TestServer, route: &str, body: &Value) -> Cost {
        let mut lines = 0;
        let info = measure(|| lines = runtime.block_on(follow(server, route, body)));
        Cost { info, lines }
    }

    fn allocations_per_line(&self) -> f64 {
        self.info.count_total as f64 / self.lines as f64
    }
}

/// Reads a stream to its end without keeping anything. Yields the number of lines.
async fn follow(server: &TestServer, route: &str, body: &Value) -> u64 {
    let mut raw = post(server, route, body).await;
    let mut buffer = [0; 16 * 1024];
    let mut lines = 0;
    loop {
        let bytes = patiently(raw.stream.read(&mut buffer)).await.expect("an open connection");
        let read = &buffer[..bytes];
        lines += read.iter().filter(|byte| **byte == b'\n').count() as u64;
        if bytes == 0 || read.ends_with(b"0\r\n\r\n") {
            return lines;
        }
    }
}

#[test]
fn the_cost_of_a_word_does_not_grow_with_the_answer() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let server = runtime.block_on(TestServer::start(ServerConfig::default()));
    // An interface, and whether its last event repeats the answer.
    let interfaces = [
        ("/v1/chat/completions", json!({}), false),
        ("/v1/responses", json!({"store": false}), true),
        ("/v1/messages", json!({"max_tokens": 2_000}), false),
        ("/api/chat", json!({}), false),
    ];
    for (route, fields, repeats) in interfaces {
        let ask = |words: usize| {
            let text = format!("tokens {words} 1");
            let messages = json!([{"role": "user", "content": text}]);
            let question = if route.ends_with("responses") { "input" } else { "messages" };
            let mut body = fields.clone();
            body["model"] = json!("scripted");
            body["stream"] = json!(true);
            body[question] = messages;
            Cost::of(&runtime, &server, route, &body)
        };
        // What only the first request needs.
        ask(WORDS[0]);
        let [short, long] = WORDS.map(ask);
        let [of_short, of_long] = [&short, &long].map(Cost::allocations_per_line);
        println!("{route}: {of_short:.1} and {of_long:.1} allocations a line");
        assert!(of_long < of_short * 1.1, "{route}: {of_short} and {of_long} allocations");
        let grown = long.info.bytes_max.saturating_sub(short.info.bytes_max);
        let words = (WORDS[1] - WORDS[0]) as u64;
        let allowed = LOG_BYTES_PER_WORD * if repeats { 2 } else { 1 };
        println!("{route}: {} bytes held for each further word", grown / words);
        assert!(grown < words * allowed, "{route}: {grown} bytes more at the peak");
    }
    runtime.block_on(server.end());
}
