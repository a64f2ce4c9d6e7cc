//! What the page's model picker does: listing, pulling and switching over HTTP.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use banter_remote::fakes::{Target, Trick};
use serde_json::{Value, json};

use crate::models::{MODEL, SMALL, World};
use crate::support::*;

const NAME: &str = "qwen2.5:0.5b-q8_0";

impl World {
    fn serve(&self, more: &[&str]) -> Server {
        let mut command = self.command(&["serve", "--port", "0", "--kv-memory", "64MiB"]);
        command.args(more);
        Server::spawn(command)
    }

    /// The file of the model, once it is here.
    fn file(&self) -> PathBuf {
        let folders = fs::read_dir(self.models.path()).expect("a folder").flatten();
        let files = folders.map(|folder| folder.path().join("qwen2.5-0.5b-instruct-q8_0.gguf"));
        files.into_iter().find(|file| file.exists()).expect("the model is here")
    }

    /// Every file below the folder of models.
    fn files(&self) -> usize {
        fn below(folder: &std::path::Path) -> usize {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| if entry.path().is_dir() { below(&entry.path()) } else { 1 }).sum()
        }
        below(self.models.path())
    }
}

impl Server {
    fn list(&self) -> Value {
        let (status, list) = self.ask("GET", "/api/models", "");
        assert_eq!(status, 200, "{list}");
        list
    }

    fn entry(&self, name: &str) -> Value {
        let list = self.list();
        let models = list["models"].as_array().expect("a list");
        models.iter().find(|entry| entry["name"] == name).cloned().unwrap_or_default()
    }

    fn order(&self, what: &str, body: &Value) -> (u16, Value) {
        self.ask("POST", &format!("/api/models/{what}"), &body.to_string())
    }

    /// The list, once a job does not run any more.
    fn ended(&self, job: &str) -> Value {
        let start = Instant::now();
        loop {
            let list = self.list();
            if list[job]["state"]["status"] != "running" {
                return list;
            }
            assert!(start.elapsed() < WITHIN, "{list}");
        }
    }

    fn pull(&self, body: &Value) -> Value {
        let (status, report) = self.order("pull", body);
        assert_eq!(status, 202, "{report}");
        self.ended("pull")["pull"].clone()
    }

    fn switch(&self, name: &str) -> Value {
        let (status, report) = self.order("switch", &json!({"name": name}));
        assert_eq!(status, 202, "{report}");
        self.ended("switch")
    }

    fn answers(&self) {
        let mut socket = self.connect();
        send(&mut socket, r#"{"message": "你好", "temperature": 0}"#);
        assert!(!read_answer(&mut socket).is_empty(), "words come");
    }
}

#[test]
fn a_model_is_pulled_and_takes_over_while_the_old_one_serves() {
    let world = World::new();
    let server = world.serve(&[]);
    let list = server.list();
    assert_eq!((&list["current"], &list["may_change"]), (&json!("banter:demo"), &json!(true)));
    let demo = server.entry("banter:demo");
    assert_eq!((&demo["state"], &demo["demo"]), (&json!("installed"), &json!(true)));
    assert!(demo["memory_bytes"].as_u64() > Some(1 << 20), "{demo}");
    let known = server.entry("qwen2.5:0.5b");
    assert_eq!((&known["state"], &known["licence"]), (&json!("available"), &json!("apache-2.0")));
    assert_eq!(server.entry("qwen2.5:3b")["is_open"], false);

    let pull = server.pull(&json!({"name": "qwen2.5:0.5b"}));
    assert_eq!(pull["state"], json!({"status": "done"}), "{pull}");
    assert_eq!(pull["downloaded_bytes"], pull["total_bytes"]);
    assert_eq!(server.entry(NAME)["state"], "installed");
    assert_eq!(server.entry("qwen2.5:0.5b"), Value::Null, "it is listed once");
    assert_eq!(server.ask("GET", "/api/info", "").1["model"]["demo"], true);

    assert_eq!(server.switch(NAME)["current"], NAME);
    assert_eq!(server.ask("GET", "/api/info", "").1["model"]["demo"], false);
    server.answers();
    assert_eq!(server.switch("banter:demo")["current"], "banter:demo");
    server.answers();
}

/// FAULTS M17.
#[test]
fn a_corrupt_model_does_not_take_over() {
    let world = World::new();
    let server = world.serve(&[]);
    server.pull(&json!({"name": "qwen2.5:0.5b"}));
    let file = fs::OpenOptions::new().write(true).open(world.file()).expect("a file");
    file.write_all_at(b"GARBAGE", 0).expect("it can be written");
    let list = server.switch(NAME);
    let message = list["switch"]["state"]["message"].as_str().expect("a message");
    assert!(message.contains("has changed since it was pulled: expected sha256"), "{message}");
    assert_eq!(list["current"], "banter:demo");
    server.answers();
    // P10: another pull brings the bytes that were published.
    assert_eq!(server.pull(&json!({"name": "qwen2.5:0.5b"}))["state"], json!({"status": "done"}));
    assert_eq!(server.switch(NAME)["current"], NAME);
    server.answers();
}

#[test]
fn what_goes_wrong_with_a_pull_is_said_and_leaves_nothing() {
    let world = World::new();
    let server = world.serve(&["--max-models-disk", "1MiB"]);
    let failed = |server: &Server, body: &Value, code: &str, words: &str| {
        let state = server.pull(body)["state"].clone();
        assert_eq!((&state["status"], &state["code"]), (&json!("failed"), &json!(code)), "{state}");
        let message = state["message"].as_str().expect("a message");
        assert!(message.contains(words), "{message}");
        assert_eq!(world.files(), 0, "{words}");
    };
    failed(&server, &json!({"name": "qwen2.5:0.5b"}), "failed", "--max-models-disk");
    drop(server);
    let server = world.serve(&[]);
    failed(&server, &json!({"name": "hf:nobody/nothing"}), "failed", "does not exist");
    failed(&server, &json!({"name": "qwen2.5:3b"}), "licence", "qwen-research");
    world.hub.always(Target::Bytes, Trick::OtherBytes);
    failed(&server, &json!({"name": "qwen2.5:0.5b"}), "failed", "cannot run here");
    world.hub.behave();
    let agreed = json!({"name": "qwen2.5:3b", "accept_licence": true});
    assert_eq!(server.pull(&agreed)["state"], json!({"status": "done"}));
}

#[test]
fn a_stopped_pull_goes_on_where_it_was() {
    let world = World::new();
    // Two pieces of 4 MiB, so that either may be the one that comes.
    let mut model = MODEL.to_vec();
    model.resize(8 << 20, 0);
    world.hub.add(SMALL, "qwen2.5-0.5b-instruct-q8_0.gguf", model);
    let server = world.serve(&[]);
    // The probe and one piece come; the other never does.
    let at_once = Trick::Slow(Duration::ZERO, 1 << 20);
    world.hub.play(Target::Bytes, [at_once.clone(), at_once]);
    world.hub.always(Target::Bytes, Trick::Silence);
    let name = json!({"name": "qwen2.5:0.5b"});
    assert_eq!(server.order("pull", &name).0, 202);
    let start = Instant::now();
    while server.list()["pull"]["downloaded_bytes"].as_u64() < Some(4 << 20) {
        assert!(start.elapsed() < WITHIN);
    }
    server.answers();
    assert_eq!(server.order("stop", &json!({})).0, 204);
    let state = server.ended("pull")["pull"]["state"].clone();
    assert_eq!(state["code"], "stopped", "{state}");
    let half = server.entry(NAME);
    assert_eq!(half["state"], "partial", "{half}");
    assert!(half["downloaded_bytes"].as_u64() > Some(0));
    world.hub.behave();
    let done = server.pull(&json!({"name": NAME}));
    assert_eq!(done["state"], json!({"status": "done"}), "{done}");
    assert_eq!(server.entry(NAME)["state"], "installed");
    assert!(world.hub.take_requests().len() > 1, "{SMALL} was asked");
}
