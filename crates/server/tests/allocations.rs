//! What streams and absurd requests cost in memory. Alone in their file, because they count
//! allocations.

mod support;

use allocation_counter::{AllocationInfo, measure};
use banter_protocol::Fault;
use banter_protocol::interfaces::{anthropic, ollama, openai};
use banter_protocol::{plain, v1};
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

/// The longest body that a server takes if its settings say nothing else.
const BODY_BYTES: usize = 1 << 20;
/// What a body of that length may take while it is read, beside itself. It may have 65,536 values:
/// as a list they take 3 MiB, as the fields of one object 12 MiB, and no more as many objects.
const READING_BYTES: u64 = 16 << 20;

type Reader = (&'static str, fn(&str) -> Result<(), Fault>, &'static str);

/// Each reader, and a request of its without the last brace.
const READERS: [Reader; 10] = [
    ("plain", |body| plain::parse(body).map(drop), r#"{"message":"a""#),
    (
        "chat",
        |body| openai::ChatRequest::parse(body).map(drop),
        r#"{"messages":[{"role":"user","content":"a"}]"#,
    ),
    ("completion", |body| openai::CompletionRequest::parse(body).map(drop), r#"{"prompt":"a""#),
    ("response", |body| openai::ResponseRequest::parse(body).map(drop), r#"{"input":"a""#),
    ("event", |body| openai::ResponseRequest::parse_event(body).map(drop), r#"{"input":"a""#),
    ("embeddings", |body| openai::read_embeddings(body).map(drop), r#"{"dimensions":1"#),
    (
        "Ollama's chat",
        |body| ollama::read_chat(body).map(drop),
        r#"{"model":"m","messages":[{"role":"user","content":"a"}]"#,
    ),
    ("generate", |body| ollama::read_generate(body).map(drop), r#"{"model":"m","prompt":"a""#),
    ("embed", |body| ollama::read_embed(body).map(drop), r#"{"model":"m","truncate":true"#),
    (
        "Anthropic's messages",
        |body| anthropic::MessageRequest::parse(body).map(drop),
        r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a"}]"#,
    ),
];

/// A body with as many entries in one field as there is room for.
fn filled(
    begin: &str,
    field: &str,
    entry: impl Fn(usize) -> String,
    brackets: [char; 2],
) -> String {
    let mut body = format!("{begin},\"{field}\":{}", brackets[0]);
    for index in 0.. {
        let entry = entry(index);
        if body.len() + entry.len() + 3 > BODY_BYTES {
            break;
        }
        body.push_str(if index > 0 { "," } else { "" });
        body.push_str(&entry);
    }
    body.extend([brackets[1], '}']);
    body
}

#[test]
fn r8_a_body_full_of_tiny_values_takes_little_memory() {
    let list = ['[', ']'];
    let object = ['{', '}'];
    for (name, read, begin) in READERS {
        let bodies = [
            ("empty strings", filled(begin, "stop", |_| "\"\"".to_owned(), list)),
            ("stop strings", filled(begin, "stop", |_| "\"x\"".to_owned(), list)),
            ("stop sequences", filled(begin, "stop_sequences", |_| "\"x\"".to_owned(), list)),
            ("tokens", filled(begin, "prompt_tokens", |_| "1".to_owned(), list)),
            ("biases", filled(begin, "logit_bias", |id| format!("\"{id}\":1"), object)),
            ("unknown fields", filled(begin, "x", |id| format!("\"{id}\":0"), object)),
            ("lists", filled(begin, "stop", |_| "[]".to_owned(), list)),
            ("objects", filled(begin, "stop", |_| "{}".to_owned(), list)),
            ("filled objects", filled(begin, "stop", |_| "{\"a\":0}".to_owned(), list)),
            ("options", filled(begin, "options", |id| format!("\"{id}\":0"), object)),
        ];
        for (what, body) in bodies {
            let mut outcome = Ok(());
            let info = measure(|| outcome = read(&body));
            println!("{name}, {what}: {} KiB, {outcome:?}", info.bytes_max >> 10);
            let fault = outcome.expect_err(what);
            assert!(fault.to_string().len() < 500, "{name}, {what}: {fault}");
            assert!(info.bytes_max <= READING_BYTES, "{name}, {what}: {} bytes", info.bytes_max);
        }
    }
    let events = [r#""parameters":{"stop":["#, r#""parameters":{"x":["#];
    for begin in events {
        let entries = "\"x\",".repeat(BODY_BYTES / 4 - 100);
        let event = format!("{{\"type\":\"send\",{begin}{entries}\"x\"]}}}}");
        let mut is_refused = false;
        let info = measure(|| is_refused = v1::parse(&event).is_err());
        assert!(is_refused && info.bytes_max <= READING_BYTES, "{begin}: {} bytes", info.bytes_max);
    }
}

/// As many values as one request may have, so that it is read to its end.
#[test]
fn r8_the_largest_lists_that_are_read_take_little_memory_too() {
    const VALUES: usize = 65_000;
    let strings = vec!["\"x\""; VALUES].join(",");
    let biases: Vec<String> = (0..VALUES).map(|id| format!("\"{id}\":1")).collect();
    let messages = r#""messages":[{"role":"user","content":"a"}]"#;
    let cases = [
        ("stop", format!("{{{messages},\"stop\":[{strings}]}}")),
        ("logit_bias", format!("{{{messages},\"logit_bias\":{{{}}}}}", biases.join(","))),
    ];
    for (field, body) in cases {
        let mut outcome = Ok(());
        let info = measure(|| outcome = openai::ChatRequest::parse(&body).map(drop));
        println!("{field}: {} KiB", info.bytes_max >> 10);
        let fault = outcome.expect_err(field).to_string();
        assert!(fault.starts_with(&format!("{field}: expected ")), "{fault}");
        assert!(info.bytes_max <= READING_BYTES, "{field}: {} bytes", info.bytes_max);
    }
}
