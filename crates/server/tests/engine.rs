//! The real engine behind the seam, with a tiny model of random weights: what it says means
//! nothing, but it says it the same way every time, and it stops.

mod support;

use banter_engine::engine::{Engine, EngineConfig};
use banter_engine::kv_cache::DiskConfig;
use banter_engine::make_model::{ModelSpec, WeightMix, make_model};
use banter_engine::model_file::{ModelConfig, ModelSource};
use banter_server::backend::EngineBackend;
use banter_server::{KeyHash, Origin, PublicUrl, ServerConfig};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use support::raw::{get, post, request};
use support::v1::V1Client;
use support::{Client, TestServer, patiently};

const CONTEXT_TOKENS: usize = 512;
const NEW_CONTEXT: &str = "/api/conversations/context";

/// A server with a model that is written, loaded and then removed.
async fn server() -> TestServer {
    server_with(ServerConfig::default()).await
}

async fn server_with(config: ServerConfig) -> TestServer {
    TestServer::start_with(config, EngineBackend::new(engine(), false)).await
}

/// An engine whose model is gone once it is loaded.
fn engine() -> Engine {
    let folder = tempfile::tempdir().expect("a folder");
    open(folder.path(), None)
}

/// An engine that keeps conversations in `folder`. Its model stays there, because it is read once
/// more to find out how blocks are named.
fn engine_that_keeps(folder: &Path) -> Engine {
    let kv_disk = DiskConfig { folder: folder.join("kept"), max_bytes: 64 << 20 };
    open(folder, Some(kv_disk))
}

/// Writes a model into `folder` and opens it.
fn open(folder: &Path, kv_disk: Option<DiskConfig>) -> Engine {
    let path = folder.join("tiny.gguf");
    let shape = ModelConfig {
        layers: 2,
        hidden: 64,
        heads: 4,
        kv_heads: 2,
        head_dim: 16,
        feed_forward: 128,
        vocabulary_rows: 320,
        trained_context: CONTEXT_TOKENS,
        rope_base: 1e6,
        yarn: None,
        rms_eps: 1e-6,
        tied_embeddings: true,
    };
    let spec = ModelSpec {
        name: "tiny".into(),
        shape,
        weights: WeightMix::named("q8_0").expect("a known type"),
        outliers: false,
        vocabulary: None,
        seed: 1,
    };
    make_model(&spec, &path, &mut |_| {}).expect("a model");
    let config = EngineConfig { kv_disk, ..EngineConfig::new(ModelSource::Path(path)) };
    Engine::open(config, &mut |_| {}).expect("an engine")
}

/// One of the engine's figures, as the operator sees it.
async fn figure(server: &TestServer, name: &str) -> f64 {
    let metrics = get(server.address, "/metrics", "").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name}: {metrics}"))
}

async fn ask(client: &mut Client, message: &str, seed: u64, max_tokens: usize) -> String {
    let request = json!({ "message": message, "seed": seed, "max_tokens": max_tokens });
    client.send(request.to_string()).await;
    client.answer().await.concat()
}

#[tokio::test]
async fn the_same_seed_gives_the_same_answer_on_any_socket() {
    let server = server().await;
    let (mut first, mut second) = (server.client().await, server.client().await);
    let (a, b) = tokio::join!(ask(&mut first, "hello", 7, 40), ask(&mut second, "hello", 7, 40));
    assert!(!a.is_empty());
    assert_eq!(a, b);
    assert_eq!(ask(&mut first, "hello", 7, 40).await, a);
    server.end().await;
}

#[tokio::test]
async fn a_stop_ends_an_answer_and_the_next_one_is_whole() {
    let server = server().await;
    let mut client = server.client().await;
    let expected = ask(&mut client, "again", 3, 20).await;
    for _ in 0..10 {
        client.send(json!({ "message": "long", "seed": 1 }).to_string()).await;
        client.send(r#"{"stop": true}"#).await;
        let again = json!({ "message": "again", "seed": 3, "max_tokens": 20 });
        client.send(again.to_string()).await;
        client.answer().await;
        assert_eq!(client.answer().await.concat(), expected);
    }
    server.end().await;
}

#[tokio::test]
async fn a_message_that_does_not_fit_alone_is_too_long_and_a_history_is_cut() {
    let server = server().await;
    let mut client = server.client().await;
    let long = "word ".repeat(2 * CONTEXT_TOKENS);
    client.ask(&long).await;
    let error = client.expect_error("too_long").await;
    assert!(error["tokens"].as_u64() > error["limit"].as_u64(), "{error}");
    let turns: Vec<_> = (0..100)
        .flat_map(|_| [("user", "question"), ("assistant", "answer")])
        .chain([("user", "newest")])
        .map(|(role, content)| json!({ "role": role, "content": content }))
        .collect();
    let body = json!({ "messages": turns, "max_tokens": 16 }).to_string();
    let fit = post(server.address, "/tokenize", "", &body).await;
    let fit: serde_json::Value = serde_json::from_str(&fit.body).expect("JSON");
    assert!(fit["dropped_messages"].as_u64() > Some(0), "{fit}");
    assert!(fit["tokens"].as_u64() <= Some(CONTEXT_TOKENS as u64), "{fit}");
    let request =
        json!({ "message": "newest", "history": turns, "max_tokens": 16, "report_end": true });
    client.send(request.to_string()).await;
    let frames = client.answer().await;
    let end: serde_json::Value =
        serde_json::from_str(frames.last().expect("an end")).expect("JSON");
    assert_eq!(end["end"]["dropped_messages"], fit["dropped_messages"], "{frames:?}");
    server.end().await;
}

/// Sends a message in a conversation, or the first one of a new conversation. Returns what was
/// accepted, and what the event `context` says of it.
async fn send(client: &mut V1Client, event: Value) -> (Value, Value) {
    let mut event = event;
    event["type"] = json!("send");
    event["client_id"] = json!(client.client_id());
    client.send(event).await;
    let accepted = client.event("accepted").await;
    let mut context = client.event("context").await;
    for name in ["type", "conversation", "answer"] {
        context.as_object_mut().expect("an object").remove(name);
    }
    client.read(&accepted["answer"], &mut String::new()).await;
    (accepted, context)
}

#[tokio::test]
async fn the_context_of_a_typed_message_is_that_of_the_message_once_it_is_sent() {
    const TURNS: usize = 12;
    for max_tokens in [8, 400] {
        let server = server().await;
        let mut client = server.v1().await;
        let parameters = json!({ "seed": 3, "max_tokens": max_tokens });
        let text = "what is asked here takes a part of the context";
        let body = json!({ "system": "be brief", "parameters": parameters, "text": text });
        let mut expected = post(server.address, NEW_CONTEXT, "", &body.to_string()).await.json();
        let (first, context) = send(&mut client, body).await;
        assert_eq!(context, expected, "the first message");
        let path = format!("/api/conversations/{}", first["conversation"].as_str().expect("an id"));
        // The answers are short although the conversation's parameters would let them be longer.
        let asked = json!({
            "conversation": first["conversation"], "text": text, "parameters": { "max_tokens": 8 },
        });
        for turn in 1..TURNS {
            let body = json!({ "text": text }).to_string();
            let typed = post(server.address, &format!("{path}/context"), "", &body).await;
            expected = typed.json();
            let mut event = asked.clone();
            if turn == TURNS - 1 {
                // The last one with the parameters that were assumed.
                event["parameters"] = json!({});
            }
            let (_, context) = send(&mut client, event).await;
            if turn == TURNS - 1 || max_tokens == 8 {
                assert_eq!(context, expected, "{turn}");
            }
        }
        let left_out = expected["left_out"].as_array().expect("a list");
        assert!(!left_out.is_empty(), "{expected}");
        assert_eq!(left_out[0], first["message"], "the oldest comes first");
        assert_eq!(expected["context_tokens"], CONTEXT_TOKENS);
        server.end().await;
    }
}

#[tokio::test]
async fn a_typed_message_that_does_not_fit_alone_is_counted_all_the_same() {
    let server = server().await;
    let mut client = server.v1().await;
    let (first, _) =
        send(&mut client, json!({ "text": "hello", "parameters": { "max_tokens": 4 } })).await;
    let path = first["conversation"].as_str().expect("an id");
    let path = format!("/api/conversations/{path}/context");
    let is_too_long = |found: &Value| found["prompt_tokens"].as_u64() > Some(CONTEXT_TOKENS as u64);
    let body = json!({ "text": "word ".repeat(2 * CONTEXT_TOKENS) }).to_string();
    let found = post(server.address, &path, "", &body).await;
    assert_eq!(found.status, 200, "{found:?}");
    let found = found.json();
    assert!(is_too_long(&found), "{found}");
    assert_eq!(found["left_out"], json!([first["message"], first["answer"]]));
    // A system prompt can be the reason, too.
    let body = json!({ "system": "word ".repeat(2 * CONTEXT_TOKENS), "text": "hello" });
    let found = post(server.address, NEW_CONTEXT, "", &body.to_string()).await;
    assert!(found.status == 200 && is_too_long(&found.json()), "{found:?}");
    let empty = post(server.address, NEW_CONTEXT, "", "{}").await;
    assert!(empty.status == 200 && !is_too_long(&empty.json()), "{empty:?}");
    server.end().await;
}

/// Blocks that a folder keeps.
fn blocks_in(folder: &Path) -> usize {
    let entries = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>()
    };
    let files = entries(folder).into_iter().flat_map(|path| entries(&path));
    files.filter(|path| path.extension().is_some_and(|ending| ending == "kv")).count()
}

#[tokio::test]
async fn the_end_of_a_server_saves_what_was_computed_whoever_is_connected() {
    let message = "one of many words ".repeat(15);
    for stays_connected in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let backend = EngineBackend::new(engine_that_keeps(folder.path()), false);
        let server = TestServer::start_with(ServerConfig::default(), backend).await;
        let body = json!({ "messages": [{ "role": "user", "content": message }] }).to_string();
        let fit = post(server.address, "/tokenize", "", &body).await.json();
        let blocks = fit["tokens"].as_u64().expect("a number") as usize / 16;
        assert!(blocks > 10, "{fit}");
        let mut client = server.client().await;
        ask(&mut client, &message, 1, 5).await;
        let connected = stays_connected.then_some(client);
        server.end().await;
        drop(connected);
        let saved = blocks_in(&folder.path().join("kept"));
        assert!(saved >= blocks, "{saved} of {blocks} blocks, connected: {stays_connected}");
    }
}

#[tokio::test]
async fn a_system_message_that_is_too_long_is_named() {
    let server = server().await;
    let mut client = server.client().await;
    let system = json!({ "role": "system", "content": "word ".repeat(2 * CONTEXT_TOKENS) });
    let history = json!([system]);
    client.send(json!({ "message": "hello", "history": history }).to_string()).await;
    let error = client.expect_error("too_long").await;
    let message = error["message"].as_str().expect("words");
    assert!(message.starts_with("the system message and the message together"), "{message}");
    let body = json!({ "messages": [system, { "role": "user", "content": "hello" }] });
    let refused = post(server.address, "/tokenize", "", &body.to_string()).await;
    assert_eq!((refused.status, &refused.json()["error"]["message"]), (400, &json!(message)));
    server.end().await;
}

#[tokio::test]
async fn the_engines_ends_are_told_apart() {
    let server = server().await;
    let mut client = server.client().await;
    let text = ask(&mut client, "hello", 7, 40).await;
    let end_of = async |client: &mut Client, more: serde_json::Value| {
        let mut request =
            json!({ "message": "hello", "seed": 7, "max_tokens": 40, "report_end": true });
        for (name, value) in more.as_object().expect("fields") {
            request[name] = value.clone();
        }
        client.send(request.to_string()).await;
        let last = client.answer().await.pop().expect("a report");
        serde_json::from_str::<serde_json::Value>(&last).expect("JSON")["end"].clone()
    };
    let cut = end_of(&mut client, json!({ "max_tokens": 4 })).await;
    assert_eq!(cut, json!({ "reason": "length", "tokens": 4 }));
    let middle = text.char_indices().nth(text.chars().count() / 2).expect("an answer").0;
    let stop: String = text[middle..].chars().take(3).collect();
    let stopped = end_of(&mut client, json!({ "stop": stop })).await;
    assert_eq!(stopped["reason"], "stop_string");
    assert!(stopped["tokens"].as_u64() > Some(0), "{stopped}");
    server.end().await;
}

/// More tokens than several blocks of the cache have, so that what is found shows.
fn long_text() -> String {
    "what was asked here is nobody's business ".repeat(5)
}

#[tokio::test]
async fn nobody_finds_what_was_computed_for_somebody_else() {
    const BLOCK_TOKENS: f64 = 16.0;
    const REUSED: &str = "banter_prompt_tokens_total{source=\"reused\"}";
    let config = ServerConfig {
        public_urls: vec![PublicUrl::parse("https://chat.example/").expect("url")],
        allow_origins: vec![Origin::parse("https://wiki.example").expect("origin")],
        keys: vec![KeyHash::of("alice's key"), KeyHash::of("bob's key")],
        allow_file_pages: true,
        insecure: true,
        ..ServerConfig::default()
    };
    let server = server_with(config).await;
    /// Asks the same question, and says how many of its tokens were found.
    async fn found(server: &TestServer, client: &mut Client) -> f64 {
        let before = figure(server, REUSED).await;
        ask(client, &long_text(), 1, 2).await;
        figure(server, REUSED).await - before
    }
    let everybody: [&[(&'static str, &str)]; 9] = [
        &[],
        &[("x-api-key", "alice's key")],
        &[("x-api-key", "bob's key")],
        &[("host", "chat.example")],
        &[("host", "chat.example")],
        &[("origin", "https://wiki.example")],
        &[("origin", "https://wiki.example")],
        &[("origin", "null")],
        &[("origin", "null")],
    ];
    for headers in everybody {
        let (mut client, cookie) = server.client_and_cookie(headers).await.expect("admitted");
        let by_first = found(&server, &mut client).await;
        assert!(by_first < BLOCK_TOKENS, "{headers:?} found {by_first} tokens of others");
        let by_second = found(&server, &mut client).await;
        assert!(by_second >= BLOCK_TOKENS, "{headers:?} found {by_second} tokens of its own");
        if let Some(cookie) = cookie {
            let again = [headers, &[("cookie", cookie.as_str())]].concat();
            let mut client = server.client_with(&again).await.expect("admitted");
            let by_third = found(&server, &mut client).await;
            assert!(by_third >= BLOCK_TOKENS, "the same browser found {by_third}");
        }
    }
    server.end().await;
}

#[tokio::test]
async fn texts_that_are_counted_do_not_hold_up_answers() {
    const TEXTS: usize = 16;
    let server = server().await;
    let mut client = server.client().await;
    ask(&mut client, "hello", 1, 2).await;
    let body = json!({ "text": "the quick brown fox ".repeat(20_000) }).to_string();
    let counted = std::cell::Cell::new(0);
    let count = async || {
        post(server.address, "/tokenize", "", &body).await;
        counted.set(counted.get() + 1);
    };
    let counting = futures_util::future::join_all((0..TEXTS).map(|_| count()));
    let answers = async {
        // All texts have come when the first is counted.
        patiently(async {
            while counted.get() == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let before = counted.get();
        ask(&mut client, "hello again", 1, 2).await;
        let meanwhile = counted.get() - before;
        assert!(meanwhile < TEXTS / 2, "{meanwhile} texts came before the answer");
    };
    tokio::join!(counting, answers);
    server.end().await;
}

#[tokio::test]
async fn an_answer_that_was_stopped_goes_on_as_if_it_had_never_been() {
    let server = server().await;
    let mut client = server.v1().await;
    let ask = async |client: &mut V1Client, client_id: &str| {
        client
            .send(json!({
                "type": "send", "text": "hello", "client_id": client_id,
                "parameters": {
                    "seed": 5, "temperature": 1.0, "max_tokens": 200, "repetition_penalty": 1.2,
                },
            }))
            .await;
        client.event("accepted").await
    };
    let whole = ask(&mut client, "whole").await;
    let mut expected = String::new();
    let end = client.read(&whole["answer"], &mut expected).await;
    assert_eq!(end["seed"], 5);
    // On a busy machine an answer can be written before the stop arrives.
    let mut tries = 0;
    let (cut, mut text) = loop {
        let cut = ask(&mut client, &format!("cut {tries}")).await;
        let mut text = String::new();
        while text.is_empty() {
            let delta = client.event("delta").await;
            if delta["answer"] == cut["answer"] {
                text.push_str(delta["text"].as_str().expect("text"));
            }
        }
        client.send(json!({ "type": "stop", "answer": cut["answer"] })).await;
        if client.read(&cut["answer"], &mut text).await["state"] == "stopped" {
            break (cut, text);
        }
        tries += 1;
        assert!(tries < 50, "it is always too quick for a stop");
    };
    let answer = &cut["answer"];
    assert!(expected.starts_with(&text) && text != expected, "{text:?} of {expected:?}");
    client
        .send(json!({
            "type": "continue", "conversation": cut["conversation"], "message": answer,
            "client_id": "more",
        }))
        .await;
    client.event("accepted").await;
    let finished = client.read(answer, &mut text).await;
    assert_eq!(text, expected);
    assert_eq!(finished["reason"], end["reason"]);
    server.end().await;
}

#[tokio::test]
async fn what_was_computed_for_a_deleted_conversation_is_not_found_again() {
    let server = server().await;
    let mut client = server.v1().await;
    let long = "a question that is long enough for several blocks of tokens ".repeat(4);
    let mut cached = Vec::new();
    for round in 0..3 {
        let accepted = client.ask(&long).await;
        let finished = client.read(&accepted["answer"], &mut String::new()).await;
        cached.push(finished["usage"]["cached_tokens"].as_u64().expect("a number"));
        if round == 1 {
            for conversation in
                get(server.address, "/api/conversations", "").await.json()["conversations"]
                    .as_array()
                    .expect("a list")
            {
                let id = conversation["id"].as_str().expect("an id");
                let path = format!("/api/conversations/{id}");
                assert_eq!(request(server.address, "DELETE", &path, "").await.status, 204);
            }
        }
    }
    assert!(cached[1] > 16 && cached[2] <= cached[0], "{cached:?}");
    server.end().await;
}
