//! `banter doctor`: what it finds, and that it says what to do.

use crate::support::*;
use banter_store::{Place, Store, StoreConfig};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

/// What the doctor says with these arguments: its exit status and a line of JSON for each check.
fn doctor(arguments: &[&str]) -> (i32, Vec<Value>) {
    let mut all = vec!["doctor", "--json"];
    all.extend(arguments);
    let mut command = banter(&all);
    let output = command.output().expect("it starts");
    let text = String::from_utf8(output.stdout).expect("text");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.is_empty(), "{told}");
    (output.status.code().expect("an end of its own"), lines)
}

/// The finding of a check.
fn finding<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    let found = findings.iter().find(|finding| finding["check"] == check);
    found.unwrap_or_else(|| panic!("no {check} in {findings:#?}"))
}

/// Whatever is not in order comes with what to do, in both languages.
fn assert_advised(findings: &[Value]) {
    for finding in findings {
        let is_ok = finding["outcome"] == "ok";
        for language in ["en", "zh"] {
            assert!(finding["found"][language].is_string(), "{finding}");
            assert_eq!(finding["todo"][language].is_string(), !is_ok, "{finding}");
        }
    }
}

fn path(path: &Path) -> String {
    path.to_str().expect("a plain path").to_owned()
}

#[test]
fn a_machine_without_a_server_is_told_what_it_can() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = path(&folder.path().join("data"));
    let models = path(&folder.path().join("models"));
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = free.local_addr().expect("its address").port().to_string();
    drop(free);
    let (status, findings) = doctor(&["--data", &data, "--models-dir", &models, "--port", &port]);
    assert_eq!(status, 0, "{findings:#?}");
    assert_advised(&findings);
    for check in ["processor", "memory", "model", "room", "speed", "store", "disk", "clock"] {
        finding(&findings, check);
    }
    assert!(finding(&findings, "port")["found"]["en"].as_str().is_some_and(|s| s.contains(&port)));
    assert!(!Path::new(&data).exists() && !Path::new(&models).exists(), "nothing was made");

    // A model by name is told of before it is downloaded.
    let larger = ["--model", "qwen2.5:7b", "--data", &data, "--models-dir", &models];
    let (status, findings) = doctor(&[&larger[..], &["--port", &port]].concat());
    assert_eq!(status, 1);
    assert_advised(&findings);
    let todo = &finding(&findings, "model")["todo"]["en"];
    assert!(todo.as_str().is_some_and(|todo| todo.contains("pull qwen2.5:7b")), "{todo}");
    finding(&findings, "speed");
}

#[test]
fn a_server_is_looked_at_from_outside_to_inside() {
    let server = Server::start(&["--no-store"]);
    let url = format!("http://127.0.0.1:{}", server.port);
    let (status, findings) = doctor(&["--url", &url]);
    assert_eq!(status, 0, "{findings:#?}");
    assert_advised(&findings);
    for check in ["address", "engine", "websocket", "page", "buffering"] {
        assert_eq!(finding(&findings, check)["outcome"], "ok", "{findings:#?}");
    }
    let wiki = ["--url", &url, "--origin", "https://wiki.example"];
    let (status, findings) = doctor(&wiki);
    assert_eq!(status, 1);
    let refused = findings.iter().find(|finding| finding["outcome"] == "problem");
    let todo = refused.expect("a problem")["todo"]["en"].as_str().expect("what to do");
    assert!(todo.contains("--allow-origin https://wiki.example"), "{todo}");
    // The same server is found by its port alone.
    let folder = tempfile::tempdir().expect("a folder");
    let data = path(&folder.path().join("data"));
    let port = server.port.to_string();
    let (_, findings) = doctor(&["--data", &data, "--port", &port]);
    assert_eq!(finding(&findings, "websocket")["outcome"], "ok");
}

#[test]
fn a_missing_key_is_told() {
    let server = Server::start(&["--no-store", "--host", "127.0.0.2", "--key", "a-key-of-words"]);
    let url = format!("http://127.0.0.2:{}", server.port);
    let (status, findings) = doctor(&["--url", &url]);
    assert_eq!(status, 1);
    let todo = finding(&findings, "key")["todo"]["en"].as_str().expect("what to do");
    assert!(todo.contains("BANTER_KEY"), "{todo}");
    let (status, findings) = doctor(&["--url", &url, "--key", "a-key-of-words"]);
    assert_eq!(status, 0, "{findings:#?}");
}

#[test]
fn https_and_certificates_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = path(&folder.path().join("data"));
    let server = Server::start(&["--tls-self-signed", "--data", &data]);
    let plain = format!("http://localhost:{}", server.port);
    let (status, findings) = doctor(&["--url", &plain]);
    assert_eq!(status, 1);
    let todo = finding(&findings, "address")["todo"]["en"].as_str().expect("what to do");
    assert!(todo.contains("wss://"), "{todo}");

    let url = format!("https://localhost:{}", server.port);
    let elsewhere = path(&folder.path().join("elsewhere"));
    let (status, findings) = doctor(&["--url", &url, "--data", &elsewhere]);
    assert_eq!(status, 1, "{findings:#?}");
    let todo = finding(&findings, "address")["todo"]["en"].as_str().expect("what to do");
    assert!(todo.contains("--trust"), "{todo}");

    // The certificate that was made here is known, and so is one that is named.
    let (status, findings) = doctor(&["--url", &url, "--data", &data]);
    assert_eq!(status, 0, "{findings:#?}");
    let certificate = path(&Path::new(&data).join("tls/certificate.pem"));
    let (status, _) = doctor(&["--url", &url, "--data", &elsewhere, "--trust", &certificate]);
    assert_eq!(status, 0);
    let (_, findings) = doctor(&["--data", &data, "--port", &server.port.to_string()]);
    assert_eq!(finding(&findings, "websocket")["outcome"], "ok");
}

#[test]
fn an_address_without_a_banter_is_told() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = other.local_addr().expect("its address").port().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let data = path(&folder.path().join("data"));
    // Nobody accepts: whoever connects gets no answer.
    let (status, findings) = doctor(&["--data", &data, "--port", &port]);
    assert_eq!(status, 1);
    assert_eq!(finding(&findings, "port")["outcome"], "problem");
    drop(other);
    let (status, findings) = doctor(&["--url", &format!("http://127.0.0.1:{port}")]);
    assert_eq!(status, 1);
    assert_advised(&findings);
    let todo = finding(&findings, "address")["todo"]["zh"].as_str().expect("what to do");
    assert!(todo.contains("banter serve"), "{todo}");
}

#[test]
fn a_damaged_store_is_told_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    drop(Store::open(StoreConfig::new(Place::Folder(data.clone()))).expect("a new store"));
    let file = data.join("banter.db");
    let mut bytes = fs::read(&file).expect("it is there");
    let (status, findings) = doctor(&["--data", &path(&data), "--port", "1"]);
    assert_eq!(finding(&findings, "store")["outcome"], "ok", "{status} {findings:#?}");
    assert_eq!(fs::read(&file).expect("it is there"), bytes);
    let middle = bytes.len() / 2;
    bytes[4_096..middle].fill(0x5a);
    fs::write(&file, &bytes).expect("it can be written");
    let (status, findings) = doctor(&["--data", &path(&data), "--port", "1"]);
    assert_eq!(status, 1);
    let damaged = finding(&findings, "store");
    assert_eq!(damaged["outcome"], "problem");
    assert!(damaged["todo"]["en"].as_str().is_some_and(|todo| todo.contains("set-aside")));
    assert_eq!(fs::read(&file).expect("it is there"), bytes);
}

#[test]
fn people_read_it_in_their_language() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = path(&folder.path().join("data"));
    let mut command = banter(&["doctor", "--data", &data, "--port", "1"]);
    let english = command.env("LANG", "C.UTF-8").output().expect("it starts").stdout;
    let english = String::from_utf8(english).expect("text");
    assert!(english.contains("threads compute"), "{english}");
    let chinese = command.env("LANG", "zh_CN.UTF-8").output().expect("it starts").stdout;
    let chinese = String::from_utf8(chinese).expect("text");
    assert!(chinese.contains("个线程参与计算"), "{chinese}");
}
