//! Names of models as newcomers type them, everywhere a name is taken.

use std::fs;

use banter_remote::fakes::{Target, Trick};
use serde_json::json;

use crate::models::{MODEL, World};
use crate::support::*;

fn world() -> World {
    let world = World::new();
    world.hub.add("o/small", "small-q8_0.gguf", MODEL);
    world
}

#[test]
fn a_start_takes_what_can_only_be_a_name_and_tells_what_was_meant_otherwise() {
    let cases = [
        ("Qwen/Qwen2.5-0.5B-Instruct", 1, "hf:Qwen/Qwen2.5-0.5B-Instruct is not here yet"),
        ("Qwen/Qwen2.5-0.5B-Instruct", 1, "Qwen/Qwen2.5-0.5B-Instruct is no file or folder here"),
        ("hf.co/o/small", 1, "hf:o/small is not here yet; pull it with"),
        ("https://huggingface.co/o/small", 1, "hf:o/small is not here yet"),
        ("HF:o/small", 1, "hf:o/small is not here yet"),
        ("qwen2.5-0.5b", 1, "qwen2.5:0.5b is not here yet"),
        ("llama3", 2, "--model (command line): no file or folder has this name"),
        ("llama3", 2, "`banter list`"),
        ("qwen:7b", 2, "did you mean qwen2.5:7b?"),
        ("qwen2.5:8b", 2, "a size of qwen2.5 (0.5b, 1.5b, 3b, 7b"),
        ("./missing.gguf", 1, "missing.gguf"),
        ("missing.gguf", 1, "missing.gguf: expected a file, a folder or the name of a model"),
        ("o/small/small-q8_0.gguf", 1, "did you mean hf:o/small:small-q8_0.gguf?"),
    ];
    let world = world();
    for (model, expected, says) in cases {
        let (status, message) = world.run(&["serve", "--port", "0", "--model", model]);
        assert_eq!(status, expected, "{model}: {message}");
        assert!(message.contains(says), "{model}: {message}");
    }
    assert!(world.hub.take_requests().is_empty(), "nobody has agreed to a download");
}

#[test]
fn what_can_only_mean_one_model_is_pulled_and_removed_by_every_spelling() {
    let world = world();
    let page = format!("{}/o/small/blob/main/small-q8_0.gguf", world.hub.url());
    let names = [
        "hf:o/small",
        "HF:o/small",
        "hf://o/small",
        "o/small",
        "hf.co/o/small",
        "huggingface.co/o/small/tree/main",
        "hf:o/small/small-q8_0.gguf",
        "https://huggingface.co/o/small/blob/main/small-q8_0.gguf",
        &page,
    ];
    for name in names {
        let (status, message) = world.run(&["pull", name]);
        assert_eq!((status, message.contains("hf:o/small")), (0, true), "{name}: {message}");
        let (status, message) = world.run(&["pull", name]);
        assert!(status == 0 && message.contains("is here already") || name == page, "{message}");
        let stored = if name.contains("gguf") { "o/small:small-q8_0.gguf" } else { "o/small" };
        let (status, message) = world.run(&["rm", stored]);
        assert_eq!(status, 0, "{name}: {message}");
    }
}

#[test]
fn a_wrong_name_is_told_with_the_nearest() {
    let world = world();
    for (command, name, says) in [
        ("pull", "qwen2:7b", "did you mean qwen2.5:7b?"),
        ("pull", "llama3", "hf:owner/repo"),
        ("pull", "qwen2.5:0.5b-q2_k", "a quantisation of qwen2.5:0.5b (q4_0, "),
    ] {
        let (status, message) = world.run(&[command, name]);
        assert_eq!((status, message.contains(says)), (2, true), "{name}: {message}");
    }
    world.run(&["pull", "qwen2.5:0.5b"]);
    let (status, message) = world.run(&["rm", "qwen2.5:0.5b-q8"]);
    assert_eq!(status, 1, "{message}");
    assert!(message.contains("did you mean qwen2.5:0.5b-q8_0?"), "{message}");
}

#[test]
fn the_page_takes_the_same_names_and_no_others() {
    let world = world();
    let mut command = world.command(&["serve", "--port", "0", "--kv-memory", "64MiB"]);
    command.env("BANTER_MODELS_DIR", world.models.path());
    let server = Server::spawn(command);
    let pull =
        |name: &str| server.ask("POST", "/api/models/pull", &json!({"name": name}).to_string());
    let (status, report) = pull("https://huggingface.co/o/small");
    assert_eq!((status, &report["name"]), (202, &json!("hf:o/small")), "{report}");
    for (name, says) in [
        ("qwen:7b", "did you mean qwen2.5:7b?"),
        ("https://models.example/a.gguf", "only `banter pull` takes addresses"),
        ("http://127.0.0.1/o/small/blob/main/a.gguf", "did you mean hf:o/small:a.gguf?"),
    ] {
        let (status, error) = pull(name);
        let message = error["error"]["message"].as_str().unwrap_or_default();
        assert_eq!((status, message.contains(says)), (400, true), "{name}: {error}");
    }
}

#[test]
fn a_page_is_never_a_model() {
    let world = world();
    for path in ["o/small", "o/small/blob/main/small-q8_0.gguf"] {
        let mut command = world.command(&["pull", &format!("{}/{path}", world.hub.url())]);
        let (status, message) = run_to_end(command.env_remove("HF_ENDPOINT"));
        assert_eq!(status, 1, "{message}");
        assert!(message.contains("found a web page"), "{message}");
        assert!(message.contains("did you mean `banter pull hf:o/small"), "{message}");
        assert!(world.list().contains("no models yet"), "{}", world.list());
    }
}

#[test]
fn a_model_that_is_damaged_is_listed_as_that_and_can_be_removed() {
    let world = world();
    world.run(&["pull", "hf:o/small"]);
    let folders = fs::read_dir(world.models.path()).expect("a folder").flatten();
    let files = folders.map(|folder| folder.path().join("small-q8_0.gguf"));
    let file = files.into_iter().find(|file| file.exists()).expect("the model is here");
    fs::write(file, "<!doctype html>").expect("written");
    let list = world.list();
    assert!(list.contains("hf:o/small") && list.contains("damaged ("), "{list}");
    let (status, message) = world.run(&["rm", "hf:o/small"]);
    assert_eq!(status, 0, "{message}");
    assert!(!world.list().contains("hf:o/small"), "{}", world.list());
}

#[test]
fn what_cannot_be_looked_into_before_the_download_is_looked_into_after_it() {
    let world = World::new();
    world.hub.add("a/b", "strange-q4_0.gguf", vec![7; 5 << 20]);
    world.hub.always(Target::Bytes, Trick::WholeFile);
    let (status, message) = world.run(&["pull", "hf:a/b"]);
    assert_eq!(status, 1, "{message}");
    assert!(message.contains("hf:a/b cannot run here, so it has been removed"), "{message}");
    assert!(world.list().contains("no models yet"), "{}", world.list());
    let (status, message) = world.run(&["pull", "qwen2.5:0.5b"]);
    assert_eq!(status, 0, "{message}");
}
