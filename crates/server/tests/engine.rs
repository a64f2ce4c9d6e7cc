//! The real engine behind the seam, with a tiny model of random weights: what it says means nothing,
//! but it says it the same way every time, and it stops.

mod support;

use banter_engine::engine::{Engine, EngineConfig};
use banter_engine::kv_cache::DiskConfig;
use banter_engine::make_model::{ModelSpec, WeightMix, make_model};
use banter_engine::model_file::{ModelConfig, ModelSource};
use banter_server::backend::EngineBackend;
use banter_server::{Server, ServerConfig};
use serde_json::json;
use std::fs::{self, File};
use std::path::Path;
use support::raw::post;
use support::{Client, TestServer};

const CONTEXT_TOKENS: usize = 512;

/// A server with a model that is written, loaded and then removed.
async fn server() -> TestServer {
    let backend = EngineBackend::new(engine(None), false);
    TestServer::start_with(ServerConfig::default(), backend).await
}

/// An engine that keeps conversations in `kept`.
fn engine(kept: Option<&Path>) -> Engine {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.gguf");
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
    let kv_disk = kept.map(|kept| DiskConfig { folder: kept.to_owned(), max_bytes: 64 << 20 });
    let config = EngineConfig { kv_disk, ..EngineConfig::new(ModelSource::Path(path)) };
    Engine::open(config, &mut |_| {}).expect("an engine")
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
    let request = json!({ "message": "newest", "history": turns, "max_tokens": 8 });
    client.send(request.to_string()).await;
    let frames = client.answer().await;
    assert!(!frames.concat().starts_with(r#"{"error""#), "{frames:?}");
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
        let backend = EngineBackend::new(engine(Some(folder.path())), false);
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
        let saved = blocks_in(folder.path());
        assert!(saved >= blocks, "{saved} of {blocks} blocks, connected: {stays_connected}");
    }
}

#[tokio::test]
async fn the_end_of_a_server_waits_for_the_engine_that_another_has_replaced() {
    let (first, second) =
        (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
    let slot = Server::new(ServerConfig::default()).slot();
    for folder in [&first, &second] {
        slot.fill(EngineBackend::new(engine(Some(folder.path())), false));
        let lock = File::open(folder.path().join("lock")).expect("the folder is open");
        lock.try_lock().expect_err("the engine uses it");
    }
    slot.end().await;
    for folder in [first, second] {
        let lock = File::open(folder.path().join("lock")).expect("it stays");
        lock.try_lock().expect("the engine has ended");
    }
}
