//! What people write, their keys and the paths of files are in no log, no metric, no overview, no
//! error for others, and in no core dump.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};

use serde_json::{Value, json};

use crate::support::*;
use crate::v1::V1;

const TEXT: &str = "xylophon-secret";
const KEY: &str = "key-of-anna-k8w2v5";
const OTHER_KEY: &str = "key-of-ben-p3x9q1";
const ADMIN_KEY: &str = "key-of-admin-z7t4m6";
const WRONG_KEY: &str = "key-of-nobody-h5j1c8";
/// A part of the paths of the data folder and of the model.
const PATH: &str = "folder-of-somebody-r2d6";

/// What may be nowhere.
const SECRETS: [&str; 6] = [TEXT, KEY, OTHER_KEY, ADMIN_KEY, WRONG_KEY, PATH];

fn assert_has_none(text: &str, secrets: &[&str], place: &str) {
    for secret in secrets {
        let near = text.find(secret).map(|at| {
            let lines = text[..at].rfind('\n').map_or(0, |end| end + 1);
            text[lines..].lines().next().unwrap_or_default().to_owned()
        });
        assert_eq!(near, None, "{secret} is in {place}");
    }
}

/// Every interface that takes a text, with a body that has it.
fn bodies() -> Vec<(&'static str, Value)> {
    let messages = json!([{ "role": "user", "content": TEXT }]);
    let chat = json!({ "messages": messages, "max_tokens": 4 });
    let streamed = json!({ "messages": messages, "max_tokens": 4, "stream": true });
    let model = "banter-demo.gguf";
    vec![
        ("/v1/chat/completions", chat.clone()),
        ("/v1/chat/completions", streamed),
        ("/v1/completions", json!({ "prompt": TEXT, "max_tokens": 4 })),
        ("/v1/embeddings", json!({ "input": TEXT, "model": model })),
        ("/v1/responses", json!({ "input": TEXT, "max_output_tokens": 16 })),
        ("/v1/messages", json!({ "model": model, "messages": messages, "max_tokens": 4 })),
        ("/v1/messages/count_tokens", json!({ "model": model, "messages": messages })),
        (
            "/api/chat",
            json!({ "model": model, "messages": messages, "options": { "num_predict": 4 } }),
        ),
        (
            "/api/generate",
            json!({ "model": model, "prompt": TEXT, "options": { "num_predict": 4 } }),
        ),
        ("/api/embed", json!({ "model": model, "input": TEXT })),
        ("/api/embeddings", json!({ "model": model, "prompt": TEXT })),
        ("/api/show", json!({ "model": TEXT })),
        ("/tokenize", json!({ "text": TEXT })),
        ("/apply-template", chat),
        ("/api/conversations", json!({ "title": TEXT })),
        ("/api/conversations/context", json!({ "text": TEXT })),
        ("/api/conversations/import", json!({ "conversations": [{ "title": TEXT }] })),
        ("/api/session", json!({ "key": WRONG_KEY })),
        ("/api/models/switch", json!({ "model": TEXT })),
        ("/nothing", json!(TEXT)),
    ]
}

fn with_key(key: &str) -> String {
    format!("X-Forwarded-For: 203.0.113.5\r\nAuthorization: Bearer {key}\r\nUser-Agent: {TEXT}\r\n")
}

/// Sends the text by every route, whole and in bodies that are wrong in different ways. Returns how
/// many requests had each status.
fn send_everywhere(server: &Server) -> BTreeMap<u16, usize> {
    let mut statuses = BTreeMap::new();
    let mut post = |path: &str, body: &str| {
        let (status, answer) = server.request_with("POST", path, &with_key(KEY), body);
        *statuses.entry(status).or_default() += 1;
        assert!(status < 500, "{path} {body}: {status} {answer}");
        // A person may be told their own text, never a key or where files are.
        assert_has_none(&answer, &SECRETS[1..], &format!("the answer of {path} to {body}"));
    };
    for (path, body) in bodies() {
        let whole = body.to_string();
        post(path, &whole);
        post(path, &whole[..whole.len() - 1]);
        post(path, &json!({ TEXT: 1 }).to_string());
        let mut odd = body.clone();
        if let Some(fields) = odd.as_object_mut() {
            fields.insert("temperature".into(), TEXT.into());
            fields.insert("max_tokens".into(), TEXT.into());
        }
        post(path, &odd.to_string());
    }
    for path in [&format!("/api/conversations?q={TEXT}"), &format!("/{TEXT}?key={KEY}")] {
        server.request_with("GET", path, &with_key(KEY), "");
    }
    for path in ["/api/info", "/v1/models", &format!("/api/conversations/{TEXT}")] {
        let (_, answer) = server.request_with("GET", path, &with_key(WRONG_KEY), "");
        assert_has_none(&answer, &SECRETS, &format!("the answer of {path} to a wrong key"));
    }
    statuses
}

/// Sends the text over both languages of the WebSocket, also in requests that are refused.
fn send_by_sockets(server: &Server, run: &str) {
    let mut plain = server.connect();
    send(&mut plain, &json!({ "message": TEXT, "max_tokens": 4 }).to_string());
    assert!(!read_answer(&mut plain).is_empty());
    for broken in
        [json!({ "message": TEXT, "max_tokens": TEXT }), json!({ TEXT: TEXT }), json!(TEXT)]
    {
        send(&mut plain, &broken.to_string());
        read_answer(&mut plain);
    }
    let mut client = V1::connect(server.port).expect("the server listens");
    let request = json!({
        "type": "send", "client_id": format!("{TEXT}-{run}"), "text": TEXT, "parameters": { "max_tokens": 4 },
    });
    let mut seen = client.ask(&request).expect("it is accepted");
    client.read(&mut seen).expect("it is answered");
}

/// What others may ask for, and what it may not tell them.
fn assert_others_learn_nothing(server: &Server) {
    for path in [
        "/metrics",
        "/api/info",
        "/api/models",
        "/v1/models",
        "/api/tags",
        "/api/ps",
        "/api/conversations",
        &format!("/api/conversations?q={}", &TEXT[..8]),
        "/api/conversations/export",
        "/openapi.json",
        "/health",
        "/ready",
        "/nothing",
    ] {
        let (_, answer) = server.request_with("GET", path, &with_key(OTHER_KEY), "");
        assert_has_none(&answer, &SECRETS, path);
    }
    let (status, overview) = server.request_with("GET", "/api/admin", &with_key(ADMIN_KEY), "");
    assert_eq!(status, 200, "{overview}");
    assert_has_none(&overview, &SECRETS, "/api/admin");
}

#[test]
fn a15_texts_keys_and_paths_are_told_to_nobody() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let private = folder.path().join(PATH);
    fs::create_dir(&private).expect("a folder");
    let path = |name: &str| private.join(name).to_str().expect("a plain path").to_owned();
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/banter-demo.gguf");
    fs::copy(demo, path("banter-demo.gguf")).expect("it can be copied");
    for (level, format) in [("info", "text"), ("trace", "text"), ("trace", "json")] {
        let log = path(&format!("{level}-{format}.log"));
        let (data, model) = (path("data"), path("banter-demo.gguf"));
        let mut server = Server::start(&[
            "--data",
            &data,
            "--model",
            &model,
            "--key",
            KEY,
            "--key",
            OTHER_KEY,
            "--admin-key",
            ADMIN_KEY,
            "--log",
            level,
            "--log-format",
            format,
            "--log-file",
            &log,
        ]);
        let statuses = send_everywhere(&server);
        println!("{statuses:?}");
        assert!(statuses[&200] > 10, "the texts do arrive: {statuses:?}");
        send_by_sockets(&server, &format!("{level}-{format}"));
        assert_others_learn_nothing(&server);
        server.signal(libc::SIGTERM);
        assert_eq!(server.wait().code(), Some(0));
        let written = fs::read_to_string(&log).expect("the log exists");
        assert!(written.contains("finished"), "answers are logged: {written}");
        assert_has_none(&written, &SECRETS, &format!("the log file ({level}, {format})"));
        assert_has_none(&server.said(), &SECRETS, &format!("stderr ({level}, {format})"));
        assert_has_none(&server.ready_line, &SECRETS[..5], "the ready line");
    }
}

#[test]
fn a15_a_crash_leaves_no_core_dump() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = banter(&["serve", "--port", "0", "--no-store", "--kv-memory", "64MiB"]);
    command.current_dir(folder.path());
    let as_many_bytes_as_allowed = || {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: both calls take a number and the address of `limit`, which outlives them.
        let failed = unsafe {
            libc::getrlimit(libc::RLIMIT_CORE, &mut limit) != 0 || {
                limit.rlim_cur = limit.rlim_max;
                libc::setrlimit(libc::RLIMIT_CORE, &limit) != 0
            }
        };
        if failed { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: both calls may be made between fork and exec, and nothing else is done there.
    unsafe { command.pre_exec(as_many_bytes_as_allowed) };
    let mut server = Server::spawn(command);
    server.signal(libc::SIGABRT);
    let status = server.wait();
    assert_eq!(status.signal(), Some(libc::SIGABRT));
    assert!(!status.core_dumped(), "it has left a core dump");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}
