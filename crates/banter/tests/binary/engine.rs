//! `banter serve --engine URL`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use banter_remote::engine::Kind;
use banter_remote::fakes::FakeEngine;

use crate::support::*;

fn in_front_of(url: &str, more: &[&str]) -> std::process::Command {
    let mut command = banter(&["serve", "--port", "0", "--engine", url]);
    command.args(more);
    command
}

#[test]
fn another_engine_answers_through_the_same_socket() {
    let fake = FakeEngine::start(Kind::Vllm);
    let url = format!("{}/v1", fake.url());
    let mut command = in_front_of(&url, &[]);
    command.env("BANTER_ENGINE_KEY", "sesame");
    let server = Server::spawn(command);
    let words: Vec<&str> = server.ready_line.split_whitespace().collect();
    assert_eq!(words[2..4], ["model=Fake-1B", "engine=vllm"]);
    let mut socket = server.connect();
    send(&mut socket, r#"{"message": "hello from elsewhere"}"#);
    assert_eq!(read_answer(&mut socket).concat(), "hello from elsewhere");
    let request = fake.wait_for("/v1/chat/completions");
    assert_eq!(request.authorization.as_deref(), Some("Bearer sesame"));
}

#[test]
fn an_engine_that_starts_later_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let port = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let own = port.local_addr().expect("an address").port();
    drop(port);
    let (own_port, url) = (own.to_string(), format!("http://{address}"));
    let mut command = banter(&["serve", "--port", &own_port, "--engine", &url]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut log = BufReader::new(child.stderr.take().expect("stderr is a pipe")).lines();
    let waiting =
        log.by_ref().map_while(Result::ok).find(|line| line.contains("waiting for the engine"));
    let waiting = waiting.expect("it says that it waits");
    assert!(waiting.contains(&address.to_string()), "{waiting}");
    let mut stream = TcpStream::connect(("127.0.0.1", own)).expect("it listens already");
    write!(stream, "GET /ready HTTP/1.1\r\nHost: localhost:{own}\r\nConnection: close\r\n\r\n")
        .expect("it reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("it answers");
    assert!(response.starts_with("HTTP/1.1 503") && response.contains("unreachable"), "{response}");
    let listener = TcpListener::bind(address).expect("the port is still free");
    let _fake = FakeEngine::listen(listener, Kind::LlamaServer, 4_096);
    let ready = log.map_while(Result::ok).find(|line| line.starts_with("ready "));
    let ready = ready.expect("it finds the engine");
    assert!(ready.contains("engine=llama-server"), "{ready}");
    child.kill().expect("it still runs");
    wait_for(&mut child);
}

#[test]
fn what_is_wrong_with_the_engine_ends_the_start_with_its_name() {
    let fake = FakeEngine::start(Kind::Ollama);
    let (status, message) =
        run_to_end(&mut in_front_of(&fake.url(), &["--engine-model", "qwen2.5:7b"]));
    assert_eq!(status, 2, "{message}");
    for part in ["--engine (command line)", "\"qwen2.5:7b\"", "fakes/Fake-1B"] {
        assert!(message.contains(part), "{message}");
    }
    fake.set_page("/v1/models", 404, r#"{"error": "no such page"}"#);
    let (status, message) = run_to_end(&mut in_front_of(&fake.url(), &[]));
    assert_eq!(status, 2, "{message}");
    for part in ["GET /v1/models", "404", "no such page", "--engine-model"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn an_engine_without_a_list_starts_with_its_model_named() {
    let fake = FakeEngine::start(Kind::OpenAi);
    for status in [404, 405, 501] {
        fake.break_page("/v1/models", status);
        let options = ["--engine-kind", "openai", "--engine-model", "m"];
        let server = Server::spawn(in_front_of(&fake.url(), &options));
        let mut socket = server.connect();
        send(&mut socket, r#"{"message": "hello from elsewhere"}"#);
        assert_eq!(read_answer(&mut socket).concat(), "hello from elsewhere");
    }
}

/// Starts the binary and returns its log up to the first line with `part`, and ends it.
fn log_up_to(command: &mut std::process::Command, part: &str) -> String {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let log = BufReader::new(child.stderr.take().expect("stderr is a pipe")).lines();
    let mut log = log.map_while(Result::ok);
    let found = log.find(|line| line.contains(part));
    child.kill().expect("it still runs");
    wait_for(&mut child);
    found.unwrap_or_else(|| panic!("it never says {part:?}"))
}

#[test]
fn a_proxy_that_refuses_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let proxy = listener.local_addr().expect("an address");
    drop(listener);
    let mut command = in_front_of("http://engine.example:8000", &[]);
    command.env("http_proxy", format!("http://name:secret@{proxy}"));
    command.env_remove("no_proxy").env_remove("NO_PROXY");
    let line = log_up_to(&mut command, "waiting for the engine");
    assert!(line.contains(&format!("the proxy http://{proxy}")), "{line}");
    assert!(!line.contains("secret"), "{line}");
}
