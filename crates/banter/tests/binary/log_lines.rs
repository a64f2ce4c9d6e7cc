//! Lines of the log: what is in none of them, and that nobody can forge one.

use std::fs;

use crate::support::*;

#[test]
fn the_log_file_never_holds_message_text() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("server.log");
    let path_text = path.to_str().expect("a plain path");
    for format in ["text", "json"] {
        let arguments = ["--log-file", path_text, "--log", "trace", "--log-format", format];
        let mut server = Server::start(&arguments);
        let mut socket = server.connect();
        send(&mut socket, r#"{"message": "xylophon-secret", "max_tokens": 4}"#);
        read_answer(&mut socket);
        server.signal(libc::SIGTERM);
        assert_eq!(server.wait().code(), Some(0));
        let log = std::fs::read_to_string(&path).expect("the log exists");
        assert!(!log.is_empty() && !log.contains("xylophon-secret"), "{log}");
        std::fs::remove_file(&path).expect("it is there");
    }
}

#[test]
fn k4_each_line_of_the_log_is_an_object_whatever_clients_send() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("server.log");
    let path_text = path.to_str().expect("a plain path");
    let mut server =
        Server::start(&["--log-file", path_text, "--log", "debug", "--log-format", "json"]);
    for origin in ["http://a.example\u{9b}31m", "http://b.example\u{85}x", "\"{}\", \"level\""] {
        let line = format!("Origin: {origin}\r\n");
        assert_eq!(server.request_with("GET", "/api/info", &line, "").0, 403, "{origin}");
    }
    let mut socket = server.connect();
    send(&mut socket, r#"{"message": "a\nINFO forged\u001b[31m", "max_tokens": 4}"#);
    read_answer(&mut socket);
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
    let log = std::fs::read_to_string(&path).expect("the log exists");
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()));
    let finished = lines.iter().find(|line| line["message"] == "finished").expect("an answer");
    assert!(finished["completion_tokens"].is_number() && finished["span"]["id"].is_number());
    assert!(lines.iter().any(|line| line["level"] == "WARN"), "refusals are told: {log}");
    assert!(!log.contains('\u{1b}') && !log.contains("forged"), "{log}");
}

/// Text with which somebody tries to begin a line of their own, in as many ways as there are.
const FORGED: &str =
    "a\n2026-01-01T00:00:00.000000Z  INFO forged\r\u{1b}[31m\u{85}b\u{2028}c\u{9b}2J";

/// Checks that each line begins as lines do, and that none has a character that controls anything.
fn assert_whole_lines(log: &str, format: &str) {
    assert!(!log.is_empty());
    let breaks = |c: char| c.is_control() || ['\u{2028}', '\u{2029}'].contains(&c);
    // The ready line is no line of the log.
    for line in log.split_terminator('\n').filter(|line| !line.starts_with("ready ")) {
        assert!(!line.contains(breaks), "{format}: {line:?}");
        let begins = if format == "json" { "{\"timestamp\":\"20" } else { "20" };
        assert!(line.starts_with(begins), "{format}: {line:?}");
        assert!(!line.starts_with("2026-01-01T00:00:00.000000Z"), "{format}: {line:?}");
        if format == "json" {
            let object: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert!(object["timestamp"].is_string(), "{line}");
        }
    }
}

/// Sends the text in every place where a name may be, and ends the server.
fn send_names(server: &mut Server) {
    let name = serde_json::to_string(FORGED).expect("JSON");
    let chat = format!(r#"{{"model": {name}, "messages": [{{"role": "user", "content": "a"}}]}}"#);
    let none = format!(r#"{{"model": {name}}}"#);
    for (path, body) in [
        ("/v1/chat/completions", &chat),
        ("/v1/messages", &chat),
        ("/api/chat", &chat),
        ("/api/show", &none),
        ("/api/models/switch", &none),
        ("/api/models/pull", &none),
        (&format!("/{}", "forged%0A%1B%5B31m"), &none),
    ] {
        let (status, body) = server.ask("POST", path, body);
        assert!((400..500).contains(&status), "{path}: {status} {body}");
    }
    // In a header a line cannot end, and these bytes may stand.
    let odd = "a\u{85}b\u{2028}c\u{9b}2J";
    for header in ["X-Forwarded-For", "Origin", "User-Agent", "Host", "Cookie", "Referer"] {
        server.request_with("GET", "/api/info", &format!("{header}: {odd}\r\n"), "");
    }
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn k4_names_of_models_and_headers_begin_no_line_of_their_own() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // A file name has at most 255 bytes, and no slash.
    let model = folder.path().join(format!("{FORGED}.gguf"));
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/banter-demo.gguf");
    fs::copy(demo, &model).expect("it can be copied");
    for format in ["text", "json"] {
        let log = folder.path().join(format);
        let mut server = Server::start(&[
            "--no-store",
            "--model",
            model.to_str().expect("text"),
            "--log-file",
            log.to_str().expect("a plain path"),
            "--log",
            "trace",
            "--log-format",
            format,
        ]);
        assert_eq!(server.ready_line.lines().count(), 1, "{:?}", server.ready_line);
        let ends = server.ready_line.trim_end();
        assert!(!ends.contains(char::is_control), "{:?}", server.ready_line);
        send_names(&mut server);
        assert_whole_lines(&fs::read_to_string(&log).expect("the log exists"), format);
        assert_whole_lines(&server.said(), format);
    }
}

#[test]
fn k4_names_of_keys_and_of_missing_models_begin_no_line_of_their_own() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a plain path");
    let (status, message) = run_to_end(&mut banter(&["key", "add", FORGED, "--data", data]));
    assert_eq!(status, 1, "such a name is refused: {message}");
    assert!(!message.trim_end().contains(char::is_control), "{message:?}");
    let missing = format!("/nonexistent/{FORGED}.gguf");
    for arguments in [
        &["serve", "--port", "0", "--model", &missing][..],
        &["serve", "--port", "0", "--data", &missing],
        &["serve", "--port", FORGED],
        &["serve", "--host", FORGED],
        &["key", "revoke", FORGED, "--data", data],
    ] {
        let (status, message) = run_to_end(&mut banter(arguments));
        assert!([1, 2].contains(&status), "{message}");
        for line in message.lines() {
            assert!(!line.contains(char::is_control), "{arguments:?}: {message:?}");
            assert!(!line.starts_with("2026-01-01T00:00:00.000000Z"), "{arguments:?}: {message:?}");
        }
    }
}
