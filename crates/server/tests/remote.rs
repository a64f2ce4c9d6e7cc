//! An engine behind `--engine`, seen by the clients of the server: the same socket, clear errors,
//! and a stop that reaches the engine.

mod support;

use banter_remote::Address;
use banter_remote::engine::{EnginePatience, EngineSettings, Kind, RemoteEngine};
use banter_remote::fakes::{EngineTrick, FakeEngine};
use banter_server::ServerConfig;
use banter_server::backend::{HealthChecks, RemoteBackend};
use serde_json::{Value, json};
use std::time::Duration;
use support::raw::{get, post};
use support::{Log, TestServer, patiently};

async fn server_in_front_of(fake: &FakeEngine) -> TestServer {
    server_with(fake, ServerConfig::default(), EnginePatience::default()).await
}

async fn server_with(
    fake: &FakeEngine,
    config: ServerConfig,
    patience: EnginePatience,
) -> TestServer {
    let settings = EngineSettings {
        address: Address::parse_base(&fake.url()).expect("an address"),
        key: None,
        kind: None,
        model: None,
        patience,
    };
    let engine = RemoteEngine::find(&settings).await.expect("the engine is found");
    let often = Duration::from_millis(10);
    let checks = HealthChecks { interval: often, interval_while_down: often };
    TestServer::start_with(config, RemoteBackend::new(engine, checks, 16)).await
}

/// Waits for what the fake engine sees without holding up the server.
async fn seen<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    patiently(tokio::task::spawn_blocking(work)).await.expect("no panic")
}

#[tokio::test]
async fn the_same_socket_streams_the_engines_words() {
    let fake = FakeEngine::start(Kind::Vllm);
    let server = server_in_front_of(&fake).await;
    let mut client = server.client().await;
    client.ask("tokens 3").await;
    assert_eq!(client.answer().await.concat(), "word0 word1 word2 ");
    fake.take_requests();
    client.send(json!({"message": "all of it", "stream": false, "top_k": 5}).to_string()).await;
    assert_eq!(client.answer().await, ["all of it"]);
    let sent = fake.wait_for("/v1/chat/completions").body;
    assert_eq!((&sent["top_k"], &sent["stream"]), (&json!(5), &json!(true)));
}

#[tokio::test]
async fn what_is_loaded_is_told_as_far_as_it_is_known() {
    let fake = FakeEngine::start(Kind::OpenAi);
    let server = server_in_front_of(&fake).await;
    let info = get(server.address, "/api/info", "").await.json();
    assert_eq!(info["model"]["name"], "Fake-1B");
    assert_eq!(info["engine"], "openai");
    assert_eq!(info["context_tokens"], Value::Null);
    assert_eq!(info["counts_tokens"], false);
    assert_eq!(info["defaults"]["temperature"], Value::Null);
    let parameters = info["parameters"].as_array().expect("a list");
    assert!(parameters.contains(&json!("seed")) && !parameters.contains(&json!("top_k")));
    let response = post(server.address, "/tokenize", "", r#"{"text": "x"}"#).await;
    assert_eq!((response.status, &response.json()["error"]["code"]), (501, &json!("no_tokenizer")));
}

#[tokio::test]
async fn tokens_are_counted_by_the_engine() {
    let fake = FakeEngine::start(Kind::Vllm);
    let server = server_in_front_of(&fake).await;
    let info = get(server.address, "/api/info", "").await.json();
    assert_eq!(info["counts_tokens"], true);
    let counted = post(server.address, "/tokenize", "", r#"{"text": "four"}"#).await.json();
    assert_eq!(counted["tokens"], 4);
    let messages = json!({"messages": [{"role": "user", "content": "four"}]});
    let fit = post(server.address, "/tokenize", "", &messages.to_string()).await.json();
    assert_eq!(fit, json!({"tokens": 8, "context_tokens": 4_096, "dropped_messages": 0}));
}

#[tokio::test]
async fn a_stop_and_a_closed_socket_close_the_connection_to_the_engine() {
    let fake = std::sync::Arc::new(FakeEngine::start(Kind::Vllm));
    let server = server_in_front_of(&fake).await;
    let mut client = server.client().await;
    client.ask("slow 1000000").await;
    assert!(!client.frame().await.is_empty());
    client.send(r#"{"stop": true}"#).await;
    client.answer().await;
    let hung_up = fake.clone();
    seen(move || hung_up.wait_for_hang_up(1)).await;
    client.ask("and on").await;
    assert_eq!(client.answer().await.concat(), "and on");

    client.ask("slow 1000000").await;
    assert!(!client.frame().await.is_empty());
    drop(client);
    let hung_up = fake.clone();
    seen(move || hung_up.wait_for_hang_up(2)).await;

    // Before the first word, too.
    fake.play([EngineTrick::Silence]);
    fake.take_requests();
    let mut client = server.client().await;
    client.ask("hello").await;
    let asked = fake.clone();
    seen(move || drop(asked.wait_for("/v1/chat/completions"))).await;
    client.send(r#"{"stop": true}"#).await;
    assert!(client.answer().await.is_empty());
    let hung_up = fake.clone();
    seen(move || hung_up.wait_for_hang_up(3)).await;
}

#[tokio::test]
async fn every_failure_is_one_error_and_one_end() {
    let fake = FakeEngine::start(Kind::Vllm);
    let part = EngineTrick::piece("part");
    let cases: [(EngineTrick, &str, &str); 13] = [
        (EngineTrick::Status(500, "", "because"), "", "internal"),
        (EngineTrick::Status(409, "", "{\"error\": {\"message\": \"because\"}}"), "", "internal"),
        (EngineTrick::Status(429, "Retry-After: 3\r\n", "because"), "", "busy"),
        (EngineTrick::Status(401, "", "secret"), "", "internal"),
        (EngineTrick::body(Some("application/json"), "{\"detail\": \"because\"}"), "", "internal"),
        (EngineTrick::body(None, "<html>secret</html>"), "", "internal"),
        (EngineTrick::Status(302, "Location: http://169.254.169.254/\r\n", ""), "", "internal"),
        (EngineTrick::Status(302, "Location: file:///etc/passwd\r\n", ""), "", "internal"),
        (EngineTrick::stream([&part]), "part", "internal"),
        (EngineTrick::stream([&part, "data: {\"choices\": [\n\n"]), "part", "internal"),
        (EngineTrick::stream([&part, "data: {\"error\": \"because\"}\n\n"]), "part", "internal"),
        (EngineTrick::stream([part.as_bytes(), b"data: \xc3\x28\n\n"]), "part", "internal"),
        (EngineTrick::Endless(100 << 20), "", "internal"),
    ];
    for (trick, said, code) in cases {
        let server = server_in_front_of(&fake).await;
        let mut client = server.client().await;
        fake.play([trick.clone()]);
        client.ask("hello").await;
        let mut frames = client.answer().await;
        let error = frames.pop().expect("an error");
        assert_eq!(frames.concat(), said, "{trick:?}");
        let error: Value = serde_json::from_str(&error).expect("the error is JSON");
        assert_eq!(error["error"]["code"], code, "{trick:?}: {error}");
        let shown = error.to_string();
        assert!(!shown.contains("secret"), "{error}");
        assert_eq!(
            shown.contains("because"),
            written(&trick).contains("because"),
            "{error} of {trick:?}"
        );
        if code == "busy" {
            assert_eq!(error["error"]["estimate_ms"], 3_000);
        }
        client.ask("still here").await;
        assert_eq!(client.answer().await.concat(), "still here", "after {trick:?}");
    }
}

/// What a trick writes.
fn written(trick: &EngineTrick) -> String {
    match trick {
        EngineTrick::Status(_, _, text) => (*text).to_owned(),
        EngineTrick::Stream(pieces) | EngineTrick::Body(_, pieces) => {
            String::from_utf8_lossy(&pieces.concat()).into_owned()
        }
        _ => String::new(),
    }
}

#[tokio::test]
async fn every_end_that_is_no_end_is_told() {
    let fake = FakeEngine::start(Kind::Vllm);
    let server = server_in_front_of(&fake).await;
    let mut client = server.client().await;
    for reason in ["content_filter", "insufficient_system_resource", "tool_calls", "sparkle"] {
        let end = json!({"choices": [{"delta": {}, "finish_reason": reason}]});
        for text in ["", "part"] {
            let piece = EngineTrick::piece(text);
            fake.play([EngineTrick::stream([piece, format!("data: {end}\n\n")])]);
            client.ask("hello").await;
            let mut frames = client.answer().await;
            let error: Value =
                serde_json::from_str(&frames.pop().expect("an error")).expect("it is JSON");
            assert!(error["error"]["message"].is_string(), "{reason}: {error}");
            assert_eq!(frames.concat(), text, "{reason}");
        }
    }
    let thinking = json!({"choices": [{"delta": {"reasoning_content": "hm"}}]});
    let end = json!({"choices": [{"delta": {}, "finish_reason": "length"}]});
    fake.play([EngineTrick::stream([format!("data: {thinking}\n\ndata: {end}\n\n")])]);
    client.ask("hello").await;
    let error = client.expect_error("internal").await;
    assert!(error["message"].as_str().expect("words").contains("max_tokens"), "{error}");
}

#[tokio::test]
async fn thinking_and_the_engines_ends_are_reported_to_those_who_ask() {
    let fake = FakeEngine::start(Kind::Vllm);
    let server = server_in_front_of(&fake).await;
    let mut client = server.client().await;
    let thinking = json!({"choices": [{"delta": {"reasoning_content": "hm"}}]});
    let cases = [
        ("stop", "end"),
        ("length", "length"),
        ("content_filter", "filtered"),
        ("insufficient_system_resource", "unavailable"),
    ];
    for (reason, expected) in cases {
        let end = json!({"choices": [{"delta": {}, "finish_reason": reason}]});
        let thought = format!("data: {thinking}\n\n");
        let pieces = [thought, EngineTrick::piece("text"), format!("data: {end}\n\n")];
        fake.play([EngineTrick::stream(pieces)]);
        let request = json!({"message": "x", "report_end": true, "report_thinking": true});
        client.send(request.to_string()).await;
        let frames = client.answer().await;
        assert_eq!(frames[..2], [r#"{"thinking":"hm"}"#, "text"], "{reason}");
        let end: Value = serde_json::from_str(&frames[2]).expect("the end is JSON");
        // The engine said no numbers, so none is made up.
        assert_eq!((frames.len(), end), (3, json!({"end": {"reason": expected}})));
    }
}

#[tokio::test]
async fn the_operators_log_has_the_engines_words_on_one_clean_line() {
    let log = Log::collect();
    let fake = FakeEngine::start(Kind::Ollama);
    let server = server_in_front_of(&fake).await;
    let mut client = server.client().await;
    let words = r#"{"error": {"message": "because\n\u001b[31mof reasons"}}"#;
    let usage = json!({"prompt_tokens": 40, "completion_tokens": 1});
    let end = json!({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": usage});
    fake.play([
        EngineTrick::Status(404, "", words),
        EngineTrick::stream([format!("data: {words}\n\n")]),
        EngineTrick::stream([EngineTrick::piece("part"), format!("data: {end}\n\n")]),
    ]);
    for _ in 0..2 {
        client.ask("hello").await;
        client.expect_error("internal").await;
    }
    let old = json!([{"role": "user", "content": "many words ".repeat(100)}]);
    client.send(json!({"message": "and now?", "history": old}).to_string()).await;
    assert_eq!(client.answer().await, ["part"]);
    server.end().await;
    let text = log.text();
    let lines = text.lines().filter(|line| line.contains("the engine failed"));
    let lines: Vec<&str> = lines.filter(|line| line.contains("of reasons")).collect();
    assert!(lines.len() >= 2, "{text}");
    assert!(lines[0].contains("POST /v1/chat/completions") && lines[0].contains("404"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains("read_tokens=40 least_tokens=202"), "{text}");
}

#[tokio::test]
async fn one_clients_requests_close_the_engine_to_nobody_else() {
    let fake = FakeEngine::start(Kind::Vllm);
    let server = server_in_front_of(&fake).await;
    let (mut one, mut other) = (server.client().await, server.client().await);
    for _ in 0..5 {
        fake.play([EngineTrick::Status(500, "", "poison")]);
        one.ask("poison").await;
        one.expect_error("internal").await;
    }
    other.ask("hello").await;
    assert_eq!(other.answer().await.concat(), "hello");
}

#[tokio::test]
async fn keys_have_caches_of_their_own_at_the_engine() {
    let fake = FakeEngine::start(Kind::Vllm);
    let server = server_in_front_of(&fake).await;
    let mut client = server.client().await;
    client.ask("hello").await;
    client.answer().await;
    assert!(fake.wait_for("/v1/chat/completions").body["cache_salt"].is_string());
}

#[tokio::test]
async fn an_engine_that_hangs_or_drips_is_given_up() {
    let fake = std::sync::Arc::new(FakeEngine::start(Kind::Vllm));
    let short = Duration::from_millis(100);
    let config =
        ServerConfig { queue_timeout: short * 4, step_timeout: short, ..ServerConfig::default() };
    let patience = EnginePatience { headers: short, ..EnginePatience::default() };
    let server = server_with(&fake, config, patience).await;
    let tricks = [
        (EngineTrick::Silence, "without a sign of life from the engine (--queue-timeout)"),
        (EngineTrick::hang_after([EngineTrick::piece("begun")]), "without a step"),
        // A sign of life is progress.
        (EngineTrick::hang_after([": still here\n\n"]), "without a step"),
        (EngineTrick::Drip(Duration::from_secs(1)), "in the queue (--queue-timeout)"),
    ];
    for (index, (trick, words)) in tricks.into_iter().enumerate() {
        let mut client = server.client().await;
        fake.play([trick.clone()]);
        client.ask("hello").await;
        let frames = client.answer().await;
        let error: Value = serde_json::from_str(frames.last().expect("an error")).expect("JSON");
        assert_eq!(error["error"]["code"], "timeout", "{trick:?}");
        let message = error["error"]["message"].as_str().expect("words");
        assert!(message.ends_with(words), "{trick:?}: {message}");
        let hung_up = fake.clone();
        seen(move || hung_up.wait_for_hang_up(index + 1)).await;
    }
}

#[tokio::test]
async fn comments_keep_an_answer_alive_until_they_end() {
    let fake = FakeEngine::start(Kind::Vllm);
    let short = Duration::from_millis(100);
    let config =
        ServerConfig { queue_timeout: short, step_timeout: short, ..ServerConfig::default() };
    let server = server_with(&fake, config, EnginePatience::default()).await;
    let comments: Vec<&str> = vec![": still here\n\n"; 100_000];
    fake.play([EngineTrick::hang_after(comments)]);
    let mut client = server.client().await;
    client.ask("hello").await;
    client.expect_error("timeout").await;
}

#[tokio::test]
async fn unknown_parameters_are_refused_by_name() {
    let fake = FakeEngine::start(Kind::Ollama);
    let server = server_in_front_of(&fake).await;
    let mut client = server.client().await;
    client
        .send(json!({"message": "neutral", "repetition_penalty": 1, "top_k": 0}).to_string())
        .await;
    assert_eq!(client.answer().await.concat(), "neutral");
    client.send(json!({"message": "x", "repetition_penalty": 1.1}).to_string()).await;
    let error = client.expect_error("invalid_parameter").await;
    assert_eq!(error["field"], "repetition_penalty");
    assert!(error["range"].as_str().expect("words").contains("ollama does not know it"));
    client.ask("goes on").await;
    assert_eq!(client.answer().await.concat(), "goes on");
}

#[tokio::test]
async fn a_conversation_that_does_not_fit_is_cut_or_refused() {
    let fake = FakeEngine::with_context(Kind::Vllm, 300);
    let server = server_in_front_of(&fake).await;
    let mut client = server.client().await;
    let old = json!([{"role": "user", "content": "x".repeat(200)},
                     {"role": "assistant", "content": "y".repeat(200)}]);
    let long = json!({"message": "short", "history": old, "report_end": true});
    client.send(long.to_string()).await;
    let frames = client.answer().await;
    let (end, words) = frames.split_last().expect("an end");
    assert_eq!(words.concat(), "short");
    let end: Value = serde_json::from_str(end).expect("JSON");
    assert_eq!(end["end"]["dropped_messages"], 2, "{end}");
    client.ask(&"x".repeat(400)).await;
    let error = client.expect_error("too_long").await;
    assert_eq!((&error["tokens"], &error["limit"]), (&json!(404), &json!(299)));
}

#[tokio::test]
async fn ready_says_that_the_engine_is_ill_and_when_it_is_well() {
    let fake = FakeEngine::start(Kind::Vllm);
    let server = server_in_front_of(&fake).await;
    assert_eq!(get(server.address, "/ready", "").await.status, 200);
    fake.break_page("/health", 500);
    let said = patiently(async {
        loop {
            let response = get(server.address, "/ready", "").await;
            if response.status != 200 {
                return response;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let status = said.json();
    assert_eq!((said.status, &status["status"]), (503, &json!("unreachable")));
    assert!(status["reason"].as_str().expect("a reason").contains("status 500"), "{status}");
    fake.break_page("/health", 200);
    patiently(async {
        while get(server.address, "/ready", "").await.status != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
