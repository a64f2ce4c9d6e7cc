//! Keys that are made by command while the server runs: what they let do, their limits, and their
//! end.

mod support;

use banter_server::{KeyHash, OnDisconnect, PublicUrl, ServerConfig};
use banter_store::{KeyRing, KeyTerms, SecretHash};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;
use support::event_stream::{EventStream, Said};
use support::http::read_until;
use support::raw::{self, Raw, Response, from_afar};
use support::{Log, TestServer, patiently};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// A key of this text.
fn add(folder: &Path, name: &str, key: &str, terms: KeyTerms) {
    let ring = KeyRing::open(folder).expect("the keys");
    ring.add(name, SecretHash(KeyHash::of(key).bytes()), &terms).expect("a new name");
}

fn revoke(folder: &Path, name: &str) {
    KeyRing::open(folder).expect("the keys").revoke(name).expect("it is there");
}

fn terms(scope: &str) -> KeyTerms {
    KeyTerms { scope: scope.into(), ..KeyTerms::default() }
}

fn config() -> ServerConfig {
    ServerConfig {
        public_urls: vec![PublicUrl::parse("https://chat.example/").expect("url")],
        keys: vec![KeyHash::of("the-first-key")],
        // The tests ask until a key is known.
        max_wrong_keys_per_minute: u32::MAX,
        ..ServerConfig::default()
    }
}

async fn start(folder: &Path) -> TestServer {
    TestServer::start_in(folder, config()).await
}

async fn get(server: &TestServer, path: &str, key: &str, more: &str) -> Response {
    raw::get(server.address, path, &from_afar(key, more)).await
}

async fn chat(server: &TestServer, key: &str, message: &str) -> Response {
    let body = json!({"messages": [{"role": "user", "content": message}]}).to_string();
    raw::post(server.address, "/v1/chat/completions", &from_afar(key, ""), &body).await
}

/// Waits until the server answers a key with this status.
async fn answers(server: &TestServer, path: &str, key: &str, status: u16) {
    let asked = async {
        while get(server, path, key, "").await.status != status {
            tokio::task::yield_now().await;
        }
    };
    patiently(asked).await;
}

#[tokio::test]
async fn a_key_lets_in_what_its_scope_says_until_it_is_revoked() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path()).await;
    assert_eq!(get(&server, "/v1/models", "key-of-anna", "").await.status, 401);
    add(folder.path(), "anna", "key-of-anna", terms("chat"));
    add(folder.path(), "root", "key-of-root", terms("admin"));
    let ended = KeyTerms { until_ms: Some(1), ..terms("chat") };
    add(folder.path(), "ben", "key-of-ben", ended);
    answers(&server, "/v1/models", "key-of-anna", 200).await;
    answers(&server, "/v1/models", "key-of-root", 200).await;
    assert_eq!(get(&server, "/v1/models", "key-of-ben", "").await.status, 401, "it has ended");
    assert_eq!(get(&server, "/v1/models", "the-first-key", "").await.status, 200);
    let stop = async |key: &str| {
        raw::post(server.address, "/api/models/stop", &from_afar(key, ""), "{}").await.status
    };
    assert_eq!((stop("key-of-anna").await, stop("key-of-root").await), (403, 501));
    assert_eq!(chat(&server, "key-of-anna", "echo hi").await.status, 200);
    revoke(folder.path(), "anna");
    answers(&server, "/v1/models", "key-of-anna", 401).await;
    let keys = KeyRing::open(folder.path()).expect("the keys").list().expect("a list");
    assert_eq!((keys[0].name.as_str(), keys[0].usage.requests), ("anna", 1), "it is not lost");
}

#[tokio::test]
async fn what_is_open_ends_when_its_key_is_revoked() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path()).await;
    add(folder.path(), "anna", "key-of-anna", terms("chat"));
    answers(&server, "/v1/models", "key-of-anna", 200).await;
    let headers = [("x-forwarded-for", "203.0.113.5"), ("x-api-key", "key-of-anna")];
    let plain = server.client_with(&headers).await.expect("a handshake");
    let (responses, _) = server.client_at("/v1/responses", &headers).await.expect("a handshake");
    let later = [("x-forwarded-for", "203.0.113.5"), ("sec-websocket-protocol", "banter.v1")];
    let mut greeted = server.client_with(&later).await.expect("a handshake");
    greeted.send(json!({"type": "hello", "key": "key-of-anna"}).to_string()).await;
    assert!(greeted.frame().await.contains("welcome"));
    let mut stream = streaming(&server, &from_afar("key-of-anna", "")).await;
    let body = json!({"input": "slow 100000", "background": true}).to_string();
    let headers = from_afar("key-of-anna", "");
    let made = raw::post(server.address, "/v1/responses", &headers, &body).await;
    assert_eq!(made.status, 200);
    server.runs(2).await;
    revoke(folder.path(), "anna");
    let revoked = Instant::now();
    for client in [plain, responses, greeted] {
        assert_eq!(client.close_code().await, Some(CloseCode::Away));
    }
    // The last chunk of a body that has ended.
    read_until(&mut stream, "0\r\n\r\n").await;
    server.is_idle().await;
    // Generously: the machine may be busy.
    assert!(revoked.elapsed().as_secs() < 10, "{:?}", revoked.elapsed());
}

/// What a browser on another machine sends that is signed in with a key.
async fn sign_in(server: &TestServer, key: &str) -> String {
    const AFAR: &str = "X-Forwarded-For: 203.0.113.5\r\n";
    let body = json!({ "key": key }).to_string();
    let signed_in = raw::post(server.address, "/api/session", AFAR, &body).await;
    let cookie = signed_in.header_as_sent("set-cookie").expect("a cookie");
    let pair = cookie.split(';').next().expect("a pair");
    format!("{AFAR}Cookie: {pair}\r\n")
}

/// A request whose answer comes word by word, of which the first has come.
async fn streaming(server: &TestServer, lines: &str) -> Raw {
    let body = json!({"messages": [{"role": "user", "content": "slow 100000"}], "stream": true});
    let body = body.to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {}\r\n{lines}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        server.host(),
        body.len()
    );
    let mut stream = Raw::connect(server.address).await;
    stream.send(request.as_bytes()).await;
    read_until(&mut stream, "\"content\":").await;
    stream
}

/// The reason and the close code with which a session of `banter.v1` without a socket ends.
async fn goodbye(stream: &mut EventStream) -> (Value, u64) {
    let mut reason = Value::Null;
    loop {
        match patiently(stream.next()).await.expect("an open stream") {
            Said::Frame(event) if event["type"] == "going_away" => reason = event["reason"].clone(),
            Said::Frame(_) => {}
            Said::Close(code) => return (reason, code),
        }
    }
}

#[tokio::test]
async fn a11_a_session_ends_with_its_key_and_so_does_all_that_was_opened_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = ServerConfig {
        address_elsewhere: Some("http://chat.example".into()),
        on_disconnect: OnDisconnect::Stop,
        ..config()
    };
    add(folder.path(), "anna", "key-of-anna", terms("chat"));
    let server = TestServer::start_in(folder.path(), config).await;
    let mine = sign_in(&server, "key-of-anna").await;
    let cookie = mine.split("Cookie: ").nth(1).expect("a cookie").trim_end().to_owned();
    let headers = [("x-forwarded-for", "203.0.113.5"), ("cookie", cookie.as_str())];
    let plain = server.client_with(&headers).await.expect("a handshake");
    let (responses, _) = server.client_at("/v1/responses", &headers).await.expect("a handshake");
    let mut v1 = server.v1_with(&headers).await.expect("a handshake");
    v1.send(json!({ "type": "hello" })).await;
    v1.event("welcome").await;
    v1.ask("slow 100000").await;
    let mut events = EventStream::open(server.address, &mine).await.expect("a stream");
    events.send(&json!({ "type": "hello" })).await.expect("an open stream");
    let mut words = streaming(&server, &mine).await;
    let background = json!({"input": "slow 100000", "background": true}).to_string();
    let background = raw::post(server.address, "/v1/responses", &mine, &background).await;
    assert_eq!(background.status, 200, "{}", background.body);
    let link = raw::post(server.address, "/api/session/link", &mine, "{}").await.json();
    let link = link["link"].as_str().expect("a link");
    let code = link.split_once("#code=").expect("a code").1.to_owned();
    server.runs(3).await;

    revoke(folder.path(), "anna");
    assert_eq!(v1.event("going_away").await["reason"], "revoked");
    for client in [plain, responses, v1.socket] {
        assert_eq!(client.close_code().await, Some(CloseCode::Away));
    }
    assert_eq!(goodbye(&mut events).await, (json!("revoked"), 1001));
    // The last chunk of a body that has ended.
    read_until(&mut words, "0\r\n\r\n").await;
    server.is_idle().await;
    for path in ["/api/info", "/v1/models", "/api/conversations"] {
        assert_eq!(raw::get(server.address, path, &mine).await.status, 401, "{path}");
    }
    let code = json!({ "code": code }).to_string();
    let afar = "X-Forwarded-For: 203.0.113.5\r\n";
    let redeemed = raw::post(server.address, "/api/session", afar, &code).await;
    assert_eq!((redeemed.status, redeemed.header("set-cookie")), (401, None));
}

#[tokio::test]
async fn a11_who_signs_out_ends_what_is_streamed_to_the_browser() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path()).await;
    let (mine, other) =
        (sign_in(&server, "the-first-key").await, sign_in(&server, "the-first-key").await);
    let mut words = streaming(&server, &mine).await;
    let mut words_of_other = streaming(&server, &other).await;
    server.runs(2).await;
    assert_eq!(raw::send(server.address, "DELETE", "/api/session", &mine, "").await.status, 204);
    read_until(&mut words, "0\r\n\r\n").await;
    // That of the other browser goes on.
    read_until(&mut words_of_other, "\"content\":").await;
    assert_eq!(server.running(), 1);
}

#[tokio::test]
async fn a11_a_stream_that_was_opened_with_a_key_says_that_it_was_revoked() {
    let folder = tempfile::tempdir().expect("a folder");
    add(folder.path(), "anna", "key-of-anna", terms("chat"));
    let server = start(folder.path()).await;
    let mine = from_afar("key-of-anna", "");
    let mut events = EventStream::open(server.address, &mine).await.expect("a stream");
    revoke(folder.path(), "anna");
    assert_eq!(goodbye(&mut events).await, (json!("revoked"), 1001));
}

#[tokio::test]
async fn a_key_has_its_limits_and_is_told_what_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let limited =
        KeyTerms { requests_per_minute: Some(2), tokens_per_minute: Some(1_000), ..terms("chat") };
    add(folder.path(), "anna", "key-of-anna", limited);
    let server = start(folder.path()).await;
    let first = chat(&server, "key-of-anna", "echo one").await;
    assert_eq!((first.status, first.header("x-ratelimit-limit-requests")), (200, Some("2")));
    assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("1"));
    assert!(first.header("x-ratelimit-reset-tokens").is_some_and(|reset| reset.ends_with('s')));
    let (headers, body) = (from_afar("key-of-anna", ""), json!({"input": "abc"}).to_string());
    let embedded = raw::post(server.address, "/v1/embeddings", &headers, &body).await;
    assert_eq!(embedded.status, 200);
    let refused = chat(&server, "key-of-anna", "echo three").await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["type"]),
        (429, &json!("rate_limit_error"))
    );
    assert!(refused.header("retry-after").is_some(), "{:?}", refused.json());
    assert_eq!(chat(&server, "the-first-key", "echo four").await.status, 200, "others have none");
    let counted = "banter_key_requests_total{key=\"anna\"} 2.0\n";
    let metrics = raw::get(server.address, "/metrics", "").await.body;
    assert!(metrics.contains(counted), "{metrics}");
    let metrics = get(&server, "/metrics", "the-first-key", "").await;
    assert!(metrics.status == 200 && !metrics.body.contains("anna"), "others are not told of keys");
    // What was done outlives the server.
    server.end().await;
    let keys = KeyRing::open(folder.path()).expect("the keys").list().expect("a list");
    assert_eq!(keys[0].usage.requests, 2);
    assert!(keys[0].usage.prompt_tokens > 0 && keys[0].used_ms.is_some(), "{keys:?}");
}

#[tokio::test]
async fn a_key_for_visitors_works_on_the_pages_of_its_sites_alone_and_shares_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Log::collect();
    let origins = vec!["https://wiki.example".to_owned()];
    add(folder.path(), "wiki", "key-of-wiki", KeyTerms { origins, ..terms("embed") });
    let server = start(folder.path()).await;
    let wiki = "Origin: https://wiki.example\r\n";
    // The key allows conversations on the WebSocket, and nothing that others could be read from.
    for path in ["/metrics", "/api/conversations", "/v1/models", "/api/info"] {
        let refused = get(&server, path, "key-of-wiki", wiki).await;
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.body.contains("visitors"), "{path}: {}", refused.body);
    }
    for origin in ["", "Origin: https://other.example\r\n"] {
        let refused = get(&server, "/ws", "key-of-wiki", origin).await;
        assert!([401, 403].contains(&refused.status), "{origin:?} {}", refused.status);
    }
    // A browser on this machine needs no key on our own page, but on that one it does.
    assert_eq!(raw::get(server.address, "/api/info", "").await.status, 200);
    assert_eq!(raw::get(server.address, "/api/info", wiki).await.status, 401);
    let session = json!({"key": "key-of-wiki"}).to_string();
    let from_afar = "X-Forwarded-For: 203.0.113.5\r\n";
    let session = raw::post(server.address, "/api/session", from_afar, &session).await;
    assert_eq!(
        session.status, 401,
        "a program may not use it, and there is nothing to sign in for"
    );
    // Two visitors do not see each other's conversations.
    let visit = async || {
        let headers = [
            ("x-forwarded-for", "203.0.113.5"),
            ("origin", "https://wiki.example"),
            ("sec-websocket-protocol", "banter.v1"),
        ];
        let mut client = server.client_with(&headers).await.expect("a handshake");
        client.send(json!({"type": "hello", "key": "key-of-wiki"}).to_string()).await;
        let welcome: Value = serde_json::from_str(&client.frame().await).expect("JSON");
        assert_eq!(welcome["type"], "welcome", "{welcome} {}", log.text());
        welcome["user"].clone()
    };
    assert_ne!(visit().await, visit().await);
}
