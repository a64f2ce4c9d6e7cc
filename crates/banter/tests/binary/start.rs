//! How a start depends on the machine: home folder, certificates, proxies, a full disk.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

use banter_remote::engine::Kind;
use banter_remote::fakes::{FakeEngine, FakeHub, Target, Trick};

use crate::models::{MODEL, SMALL, World};
use crate::support::*;

/// The binary in an environment without anything.
fn bare(arguments: &[&str]) -> Command {
    let mut command = banter(arguments);
    command.env_clear();
    command
}

#[test]
fn without_a_home_folder_a_server_starts_and_whoever_needs_one_is_told() {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/banter-demo.gguf");
    let serve = ["serve", "--port", "0", "--kv-memory", "64MiB"];
    for more in [&[][..], &["--model", demo]] {
        let server = Server::spawn(bare(&[&serve, more].concat()));
        let (status, list) = server.ask("GET", "/api/models", "");
        assert_eq!(status, 200, "{list}");
    }
    let fake = FakeEngine::start(Kind::Vllm);
    drop(Server::spawn(bare(&["serve", "--port", "0", "--engine", &fake.url()])));
    for arguments in [&["serve", "--port", "0", "--model", "qwen2.5:7b"][..], &["list"]] {
        let (status, message) = run_to_end(&mut bare(arguments));
        assert_eq!(status, 2, "{message}");
        assert!(message.contains("name one with --models-dir"), "{message}");
    }
}

#[test]
fn the_home_folder_is_known_in_a_configuration_file() {
    let home = tempfile::tempdir().expect("a temporary folder");
    fs::write(home.path().join("model.gguf"), MODEL).expect("written");
    let config = home.path().join("banter.toml");
    for path in ["~/model.gguf", "$HOME/model.gguf", "${HOME}/model.gguf"] {
        let text =
            format!("model = \"{path}\"\nkv-memory = \"64MiB\"\nlog-file = \"~/banter.log\"");
        fs::write(&config, text).expect("written");
        let mut command = banter(&["serve", "--port", "0"]);
        command.env("HOME", home.path()).env("BANTER_CONFIG", "~/banter.toml");
        drop(Server::spawn(command));
        fs::remove_file(home.path().join("banter.log")).expect("the log was written");
    }
}

#[test]
fn a_log_file_on_a_full_disk_is_told_once_and_the_server_goes_on() {
    let mut command = banter(&["serve", "--port", "0", "--kv-memory", "64MiB"]);
    command.args(["--log-file", "/dev/full"]);
    let mut server = Server::spawn_with(command, Stdio::piped());
    let mut stderr = server.child.stderr.take().expect("stderr is a pipe");
    let mut socket = server.connect();
    send(&mut socket, r#"{"message": "hello", "max_tokens": 2}"#);
    assert!(!read_answer(&mut socket).is_empty());
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
    let mut text = String::new();
    stderr.read_to_string(&mut text).expect("text");
    assert_eq!(text.matches("--log-file /dev/full: No space left on device").count(), 1, "{text}");
}

#[test]
fn plain_http_needs_no_certificates_and_https_says_what_to_install() {
    let without = |mut command: Command| {
        command.env("SSL_CERT_FILE", "/nonexistent").env("SSL_CERT_DIR", "/nonexistent");
        command
    };
    let fake = FakeEngine::start(Kind::Vllm);
    drop(Server::spawn(without(banter(&["serve", "--port", "0", "--engine", &fake.url()]))));
    let world = World::new();
    let (status, message) = run_to_end(&mut without(world.command(&["pull", "qwen2.5:0.5b"])));
    assert_eq!(status, 0, "{message}");

    let (encrypted, _) = FakeHub::start_encrypted();
    encrypted.add(SMALL, "qwen2.5-0.5b-instruct-q8_0.gguf", MODEL);
    let mut command = without(world.command(&["pull", "hf:a/b"]));
    let (status, message) = run_to_end(command.env("HF_ENDPOINT", encrypted.url()));
    assert_eq!((status, message.contains("ca-certificates")), (1, true), "{message}");
    world.hub.add("a/b", "m-q8_0.gguf", MODEL);
    let elsewhere = format!("{}/bytes/{SMALL}/qwen2.5-0.5b-instruct-q8_0.gguf", encrypted.url());
    world.hub.always(Target::Resolve, Trick::Redirect(elsewhere));
    let (status, message) = run_to_end(&mut without(world.command(&["pull", "hf:a/b"])));
    assert_eq!((status, message.contains("ca-certificates")), (1, true), "{message}");
}

#[test]
fn a_proxy_that_does_not_answer_is_named() {
    let world = World::new();
    let mut command = world.command(&["pull", "qwen2.5:0.5b"]);
    let (status, message) = run_to_end(command.env("HTTP_PROXY", "http://me:secret@127.0.0.1:9"));
    assert_eq!(status, 1, "{message}");
    let expected = "through the proxy http://127.0.0.1:9 (HTTP_PROXY): no connection";
    assert!(message.contains(expected) && !message.contains("secret"), "{message}");
}

#[test]
fn what_a_hub_asks_to_wait_is_said_at_once() {
    let world = World::new();
    world.hub.play(Target::Resolve, [Trick::Limited(1)]);
    let (status, message) = world.run(&["pull", "qwen2.5:0.5b"]);
    assert_eq!(status, 0, "{message}");
    assert!(message.contains("asks to wait 1 s: too many requests; trying again in"), "{message}");
}

#[test]
fn commands_of_other_programs_get_a_hint() {
    let cases: &[(&[&str], &str)] = &[
        (&["run", "qwen2.5:7b"], "hint: `banter serve --model qwen2.5:7b`"),
        (&["ask", "hello"], "hint: `banter chat` talks in this terminal"),
        (&["serve", "model.gguf"], "hint: `banter serve --model model.gguf`"),
        (&["model.gguf"], "hint: `banter serve --model model.gguf`"),
        (&["serve", "--port", "0", "qwen2.5:7b"], "hint: `banter serve --model qwen2.5:7b`"),
    ];
    for (arguments, hint) in cases {
        let (status, message) = run_to_end(&mut banter(arguments));
        assert_eq!((status, message.contains(hint)), (2, true), "{arguments:?}: {message}");
    }
    let (status, message) = run_to_end(&mut banter(&["frobnicate"]));
    assert_eq!((status, message.contains("hint:")), (2, false), "{message}");
}

#[test]
fn s7_a_damaged_store_is_refused_and_set_aside_only_by_an_explicit_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let named = ["--data", data.to_str().expect("a path")];
    drop(Server::start(&named));
    fs::write(data.join("banter.db"), b"this is no database at all").expect("written");
    // The log has whole pages, so a database can be read as long as the log is there.
    let _ = fs::remove_file(data.join("banter.db-wal"));
    let serve = [&["serve", "--port", "0"], &named[..]].concat();
    let (status, message) = run_to_end(&mut banter(&serve));
    assert!(status != 0 && message.contains("banter.db"), "{message}");
    let (status, message) = run_to_end(&mut banter(&[&["data", "set-aside"], &named[..]].concat()));
    assert!(status == 0, "{message}");
    drop(Server::start(&named));
}

#[test]
fn s6_a_second_server_on_a_named_folder_is_refused_and_says_who_uses_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let named = ["--data", data.to_str().expect("a path")];
    let first = Server::start(&named);
    let (status, message) =
        run_to_end(&mut banter(&[&["serve", "--port", "0"], &named[..]].concat()));
    let process = first.child.id().to_string();
    assert!(status != 0 && message.contains(&process), "{message}");
    let file = folder.path().join("copy.db");
    let file = file.to_str().expect("a path");
    let backup = [&["data", "backup", file], &named[..]].concat();
    assert_ne!(run_to_end(&mut banter(&backup)).0, 0, "a server uses the folder");
    drop(first);
    let (status, message) = run_to_end(&mut banter(&backup));
    assert!(status == 0 && std::fs::metadata(file).is_ok(), "{message}");
}
