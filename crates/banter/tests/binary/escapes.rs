//! Text of others on a terminal: a hub's licence, names of files, words of servers.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use crate::models::{MODEL, World, at_a_terminal};
use crate::support::*;

/// Orders for a terminal: to write the clipboard, to clear the screen, a title, a link, a ring, a
/// line over the last one, text from right to left.
const EVIL: &str = "\u{1b}]52;c;aGk=\u{7}\u{9b}2J\u{1b}]0;t\u{1b}\\\u{1b}P1\u{1b}\\\u{9d}8;;x\u{9c}\r\u{8}\u{7f}\u{202e}";

/// Nothing that a terminal obeys is in this text, but line ends.
fn assert_harmless(text: &str) {
    let is_harmless =
        |c: char| c == '\n' || !(c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
    assert!(text.chars().all(is_harmless), "{text:?}");
}

/// The output of a command on both streams together, and its exit status.
fn said(command: &mut Command) -> (i32, String) {
    let output = command.output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().expect("by itself"), String::from_utf8(text).expect("text"))
}

#[test]
fn k3_a_licence_of_a_hub_controls_no_terminal_and_is_clean_everywhere() {
    let world = World::new();
    world.hub.add("a/b", "small-q8_0.gguf", MODEL);
    world.hub.license("a/b", &format!("mine{EVIL}"));
    let command = world.command(&["pull", "hf:a/b"]);
    let (status, seen) = at_a_terminal(command, b"n\n");
    assert_eq!(status, 1, "{seen}");
    assert!(seen.contains("Do you accept the licence mine"), "{seen}");
    // The terminal itself answers the line end of a person with a carriage return.
    assert_harmless(&seen.replace("\r\n", "\n"));
    let (status, seen) = said(&mut world.command(&["pull", "--yes", "hf:a/b"]));
    assert_eq!(status, 0, "{seen}");
    assert!(seen.contains("licence   mine"), "{seen}");
    assert_harmless(&seen);
    for arguments in [&["list"][..], &["list", "--json"]] {
        let (_, list) = said(&mut world.command(arguments));
        assert!(list.contains("mine"), "{list}");
        assert_harmless(&list);
    }
    let (_, list) = said(&mut world.command(&["list", "--json"]));
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    assert_harmless(list["models"][0]["licence"].as_str().expect("a licence"));
    let mut command = world.command(&["serve", "--port", "0", "--kv-memory", "64MiB"]);
    command.env("BANTER_MODELS_DIR", world.models.path());
    let (_, list) = Server::spawn(command).ask("GET", "/api/models", "");
    let licences = list["models"].as_array().expect("a list").iter();
    let licences: Vec<&str> = licences.filter_map(|model| model["licence"].as_str()).collect();
    assert!(licences.iter().any(|licence| licence.starts_with("mine")), "{list}");
    licences.into_iter().for_each(assert_harmless);
}

#[test]
fn k3_names_in_messages_control_no_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(format!("{EVIL}{name}")).display().to_string();
    std::fs::write(path("a.toml"), "prot = 1").expect("written");
    std::fs::write(path("b.toml"), format!("\"{}\" = 1", EVIL.escape_unicode())).expect("written");
    std::fs::write(path("c.gguf"), "no model").expect("written");
    let key = format!("\u{9b}{}", "x".repeat(20));
    let cases: [(&[&str], i32); 10] = [
        (&["serve", "--config", &path("a.toml")], 2),
        (&["serve", "--config", &path("b.toml")], 2),
        (&["serve", "--config", &path("missing")], 2),
        (&["serve", "--port", "0", "--model", &path("c.gguf")], 1),
        (&["serve", "--port", "0", "--model", &path("missing.gguf")], 1),
        (&["serve", "--port", EVIL], 2),
        (&["serve", "--key", &key], 2),
        (&["pull", EVIL], 2),
        (&["rm", EVIL], 1),
        (&[EVIL], 2),
    ];
    for (arguments, expected) in cases {
        let mut command = banter(arguments);
        let (status, seen) = said(command.env("BANTER_MODELS_DIR", folder.path().join("m")));
        assert_eq!(status, expected, "{arguments:?}: {seen}");
        assert!(!seen.is_empty());
        assert_harmless(&seen);
    }
}

/// A server that says everything in words that control terminals; its address.
fn evil_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let is_health = request[..length].starts_with(b"GET /health");
            let status = if is_health { "alive" } else { EVIL };
            let body = serde_json::json!({ "status": status, "error": { "message": EVIL } });
            let (number, body) = (if is_health { 200 } else { 503 }, body.to_string());
            // A header may have bytes from 128 on, but no escape character.
            let response = format!(
                "HTTP/1.1 {number} x\r\nServer: x\u{9b}2J\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(response.as_bytes());
        }
    });
    url
}

#[test]
fn k3_what_another_server_says_controls_no_terminal() {
    let url = evil_server();
    let cases: [&[&str]; 4] = [
        &["doctor", "--url", &url],
        &["doctor", "--json", "--url", &url],
        &["chat", "--url", &url, "hello"],
        &["chat", "--plain", &url, "hello"],
    ];
    for arguments in cases {
        let (status, seen) = said(&mut banter(arguments));
        assert_eq!(status, 1, "{arguments:?}: {seen}");
        assert!(!seen.is_empty());
        assert_harmless(&seen);
    }
}
