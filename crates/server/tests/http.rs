//! The HTTP routes, and what every response carries.

mod support;

use banter_seam::{
    Backend, BackendInfo, Failure, Fit, GenerateRequest, Generation, Health, Message,
};
use banter_server::access::Scope;
use banter_server::backend::ScriptedBackend;
use banter_server::{KeyHash, Origin, PublicUrl, ServerConfig};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::time::Duration;
use support::raw::{Raw, Response, get, post, send};
use support::{Log, TestServer, refused_status};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

fn public(url: &str) -> ServerConfig {
    ServerConfig {
        public_urls: vec![PublicUrl::parse(url).expect("url")],
        keys: vec![KeyHash::of("the-key")],
        ..ServerConfig::default()
    }
}

fn body(response: &Response) -> Value {
    serde_json::from_str(&response.body).unwrap_or_else(|_| panic!("expected JSON: {response:?}"))
}

#[tokio::test]
async fn health_and_readiness_say_what_is() {
    let server = TestServer::start(ServerConfig::default()).await;
    let health = get(server.address, "/health", "").await;
    assert_eq!((health.status, body(&health)), (200, json!({ "status": "alive" })));
    let ready = get(server.address, "/ready", "").await;
    assert_eq!((ready.status, body(&ready)), (200, json!({ "status": "ready" })));
    server.end().await;

    let loading = TestServer::start_loading(ServerConfig::default(), 0.5).await;
    assert_eq!(get(loading.address, "/health", "").await.status, 200);
    let ready = get(loading.address, "/ready", "").await;
    let expected = json!({ "status": "loading", "progress": 0.5 });
    assert_eq!((ready.status, body(&ready)), (503, expected));
    let info = get(loading.address, "/api/info", "").await;
    assert_eq!((info.status, info.header("retry-after")), (503, Some("2")));
    loading.end().await;
}

/// A backend whose thread no longer moves.
struct Stuck(ScriptedBackend);

impl Backend for Stuck {
    fn info(&self) -> &BackendInfo {
        self.0.info()
    }

    fn health(&self) -> Health {
        Health::Stalled
    }

    fn generate(
        &self,
        request: Box<GenerateRequest>,
    ) -> BoxFuture<'static, Result<Box<dyn Generation>, Failure>> {
        self.0.generate(request)
    }

    fn tokenize(&self, text: String) -> BoxFuture<'static, Result<Option<Vec<u32>>, Failure>> {
        self.0.tokenize(text)
    }

    fn fit(
        &self,
        messages: Vec<Message>,
        max_tokens: usize,
    ) -> BoxFuture<'static, Result<Option<Fit>, Failure>> {
        self.0.fit(messages, max_tokens)
    }
}

#[tokio::test]
async fn a_stuck_engine_is_alive_but_not_ready() {
    let backend = Stuck(ScriptedBackend::default());
    let server = TestServer::start_with(ServerConfig::default(), backend).await;
    assert_eq!(get(server.address, "/health", "").await.status, 200);
    let ready = get(server.address, "/ready", "").await;
    assert_eq!((ready.status, body(&ready)), (503, json!({ "status": "stalled" })));
    server.end().await;
}

#[tokio::test]
async fn info_tells_a_page_what_it_needs() {
    let config = ServerConfig {
        real_model_command: "banter serve --model qwen.gguf".into(),
        max_message_bytes: 4_096,
        ..ServerConfig::default()
    };
    let server = TestServer::start_with(config, ScriptedBackend::demo()).await;
    let info = get(server.address, "/api/info", "").await;
    // The page's own tests compare this file with what the page reads.
    let mut expected: Value = serde_json::from_str(include_str!("info.json")).expect("JSON");
    expected["version"] = json!(env!("CARGO_PKG_VERSION"));
    expected["parameters"] = json!(banter_protocol::plain::PARAMETERS);
    // Single precision has more digits than it means.
    expected["defaults"] = body(&info)["defaults"].clone();
    assert_eq!(body(&info), expected);
    assert_eq!(body(&info)["defaults"]["max_tokens"], 2_048);
    server.end().await;
}

#[tokio::test]
async fn texts_and_conversations_are_counted() {
    let server = TestServer::start(ServerConfig::default()).await;
    let text = post(server.address, "/tokenize", "", r#"{"text": "hi"}"#).await;
    assert_eq!((text.status, body(&text)), (200, json!({ "tokens": 2, "ids": [104, 105] })));
    let conversation = r#"{"messages": [{"role": "user", "content": "hi"}], "max_tokens": null}"#;
    let fit = post(server.address, "/tokenize", "", conversation).await;
    let expected = json!({ "tokens": 2, "context_tokens": 4_096, "dropped_messages": 0 });
    assert_eq!((fit.status, body(&fit)), (200, expected));
    for wrong in ["", "{", "{}", r#"{"messages": [{"role": "tool", "content": ""}]}"#] {
        let refused = post(server.address, "/tokenize", "", wrong).await;
        assert_eq!((refused.status, &body(&refused)["error"]["code"]), (400, &json!("bad_json")));
    }
    server.end().await;
}

#[tokio::test]
async fn bodies_have_limits() {
    let config = ServerConfig {
        max_message_bytes: 100,
        body_timeout: Duration::from_millis(50),
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    let long = format!(r#"{{"text": "{}"}}"#, "a".repeat(100));
    assert_eq!(post(server.address, "/tokenize", "", &long).await.status, 413);
    let chunked = "Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n";
    let chunk = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    let status = async |body: &str| {
        let mut raw = Raw::connect(server.address).await;
        let host = server.host();
        let request = format!("POST /tokenize HTTP/1.1\r\nHost: {host}\r\n{chunked}\r\n{body}");
        raw.send(request.as_bytes()).await;
        raw.head().await.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok())
    };
    assert_eq!(status(&chunk).await, Some(413));
    for broken in ["zz\r\n{}\r\n0\r\n\r\n", "2\r\n{}xx0\r\n\r\n", "-2\r\n{}"] {
        assert_eq!(status(broken).await, Some(400), "{broken}");
    }
    assert_eq!(status("d\r\n{\"text\": \"\"}\n\r\n0\r\n\r\n").await, Some(200));
    let mut slow = Raw::connect(server.address).await;
    let host = server.host();
    let head = format!(
        "POST /tokenize HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: 50\r\n\r\n{{"
    );
    slow.send(head.as_bytes()).await;
    assert!(slow.head().await.starts_with("HTTP/1.1 408 "));
    server.end().await;
}

#[tokio::test]
async fn a_body_that_is_announced_too_long_or_compressed_is_refused_before_it_comes() {
    let server = TestServer::start(ServerConfig::default()).await;
    let cases = [
        ("/tokenize", "Content-Length: 1048577\r\n", "413"),
        ("/api/session", "Content-Length: 4097\r\n", "413"),
        ("/api/models/stop", "Content-Length: 4097\r\n", "413"),
        ("/tokenize", "Content-Encoding: gzip\r\nContent-Length: 20\r\n", "415"),
        ("/tokenize", "Content-Encoding: identity, br\r\nContent-Length: 20\r\n", "415"),
        ("/api/session", "Content-Encoding: x-unknown\r\nContent-Length: 20\r\n", "415"),
    ];
    for (path, lines, status) in cases {
        let mut raw = Raw::connect(server.address).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n{lines}\r\n",
            server.host()
        );
        raw.send(head.as_bytes()).await;
        let answer = raw.head().await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{path} {lines}{answer}");
    }
    let plain = "Content-Encoding: identity\r\n";
    assert_eq!(post(server.address, "/tokenize", plain, r#"{"text": "hi"}"#).await.status, 200);
    server.end().await;
}

#[tokio::test]
async fn a_client_that_sends_a_long_body_anyway_reads_why_it_is_refused() {
    let server = TestServer::start(ServerConfig::default()).await;
    let long = format!(r#"{{"key": "{}"}}"#, "a".repeat(2 * 1024 * 1024));
    let refused = post(server.address, "/api/session", "", &long).await;
    assert_eq!((refused.status, &body(&refused)["error"]["code"]), (413, &json!("too_large")));
    let cases =
        [("/tokenize", "Host: chat.example\r\n", 421), ("/nothing", "", 404), ("/", "", 405)];
    for (path, lines, status) in cases {
        assert_eq!(post(server.address, path, lines, &long).await.status, status, "{path}");
    }
    server.end().await;
}

/// A page of another origin can send such a POST without asking first.
#[tokio::test]
async fn a_simple_post_has_no_effect() {
    let server = TestServer::start(ServerConfig::default()).await;
    let code = json!({ "code": server.sessions.make_code(Scope::Administer) }).to_string();
    for path in ["/tokenize", "/api/session"] {
        let plain = "Content-Type: text/plain\r\n";
        assert_eq!(send(server.address, "POST", path, plain, &code).await.status, 415, "{path}");
        let foreign = "Origin: https://evil.example\r\n";
        let refused = post(server.address, path, foreign, &code).await;
        assert_eq!((refused.status, refused.header("set-cookie")), (403, None), "{path}");
    }
    let redeemed = post(server.address, "/api/session", "", &code).await;
    assert_eq!(redeemed.status, 204, "the code was not used up");
    server.end().await;
}

#[tokio::test]
async fn people_with_different_keys_have_different_names_which_tell_nothing_of_the_keys() {
    let keys = ["the-key", "another-key"].map(banter_server::KeyHash::of).to_vec();
    let config = ServerConfig { keys, ..public("https://chat.example/") };
    let server = TestServer::start(config).await;
    let owner = async |lines: &str| -> String {
        let info =
            get(server.address, "/api/info", &format!("Host: chat.example\r\n{lines}")).await;
        assert_eq!(info.status, 200, "{lines}");
        body(&info)["owner"].as_str().expect("a name").to_owned()
    };
    let one = owner("Authorization: Bearer the-key\r\n").await;
    assert_eq!(one, owner("x-api-key: the-key\r\n").await);
    assert_ne!(one, owner("x-api-key: another-key\r\n").await);
    let session =
        post(server.address, "/api/session", "Host: chat.example\r\n", r#"{"key": "the-key"}"#);
    let session = session.await;
    let cookie =
        session.header_as_sent("set-cookie").expect("a cookie").split(';').next().expect("a pair");
    assert_eq!(one, owner(&format!("Cookie: {cookie}\r\n")).await);
    assert_eq!(one.len(), 6);
    server.end().await;
}

#[tokio::test]
async fn a_code_or_key_is_exchanged_for_a_cookie_that_opens_every_route() {
    let server = TestServer::start(public("https://chat.example/talk/")).await;
    let host = "Host: chat.example\r\n";
    let address = server.address;
    assert_eq!(get(address, "/api/info", host).await.status, 401);
    assert_eq!(get(address, "/metrics", host).await.status, 401);
    let code = json!({ "code": server.sessions.make_code(Scope::Administer) }).to_string();
    for secret in [code.as_str(), r#"{"key": "the-key"}"#] {
        let opened = post(address, "/talk/api/session", host, secret).await;
        assert_eq!(opened.status, 204);
        let cookie = opened.header("set-cookie").expect("a cookie");
        assert!(cookie.starts_with("__secure-banter_session="), "{cookie}");
        for attribute in ["httponly", "samesite=strict", "secure", "path=/talk", "max-age=2592000"]
        {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        let cookie = opened.header_as_sent("set-cookie").expect("a cookie");
        let pair = cookie.split(';').next().expect("a pair");
        let lines = format!("{host}Cookie: {pair}\r\n");
        assert_eq!(get(address, "/talk/api/info", &lines).await.status, 200);
        let headers = [("host", "chat.example"), ("cookie", pair)];
        server.client_with(&headers).await.expect("a socket").expect_works().await;
    }
    for wrong in [code.as_str(), r#"{"code": "x"}"#, r#"{"key": "x"}"#] {
        let refused = post(address, "/api/session", host, wrong).await;
        assert_eq!((refused.status, refused.header("set-cookie")), (401, None));
    }
    server.end().await;
}

#[tokio::test]
async fn a_key_in_the_socket_address_works_and_is_never_logged() {
    let log = Log::collect();
    let server = TestServer::start(public("https://chat.example")).await;
    let mut raw = Raw::connect(server.address).await;
    let ask = |key: &str| {
        support::raw::handshake(server.address, "")
            .replace(&format!("Host: {}", server.address), "Host: chat.example")
            .replace("/ws", &format!("/ws?key={key}"))
    };
    raw.send(ask("the-key").as_bytes()).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 101 "));
    let mut wrong = Raw::connect(server.address).await;
    wrong.send(ask("secret-guess").as_bytes()).await;
    assert!(wrong.head().await.starts_with("HTTP/1.1 401 "));
    server.end().await;
    assert!(log.text().contains("the request has no key"));
    assert!(!log.text().contains("the-key") && !log.text().contains("secret-guess"));
}

#[tokio::test]
async fn every_response_is_protected() {
    let server = TestServer::start(public("https://chat.example/talk/")).await;
    let address = server.address;
    let responses = [
        ("page", 200, get(address, "/", "").await),
        ("page under its base path", 200, get(address, "/talk/", "").await),
        ("base path without slash", 308, get(address, "/talk", "").await),
        ("health", 200, get(address, "/health", "").await),
        ("info", 200, get(address, "/api/info", "").await),
        ("not found", 404, get(address, "/nothing", "").await),
        ("not found, for people", 404, get(address, "/nothing", "Accept: text/html\r\n").await),
        ("above the root", 404, get(address, "/../Cargo.toml", "").await),
        ("wrong method", 405, send(address, "PUT", "/api/info", "", "").await),
        ("no handshake", 426, get(address, "/ws", "").await),
        ("unknown host", 421, get(address, "/", "Host: evil.example\r\n").await),
        (
            "unknown host below the base path",
            421,
            get(address, "/talk", "Host: evil.example\r\n").await,
        ),
        (
            "a handshake by HEAD",
            405,
            send(address, "HEAD", "/ws", "Upgrade: websocket\r\n", "").await,
        ),
        ("no host", 400, get(address, "/", "Host: \r\n").await),
        ("foreign page", 403, get(address, "/", "Origin: https://evil.example\r\n").await),
        ("page from disk", 403, get(address, "/health", "Origin: null\r\n").await),
        ("no key", 401, get(address, "/api/info", "Host: chat.example\r\n").await),
        ("preflight", 204, send(address, "OPTIONS", "/tokenize", "", "").await),
    ];
    for (name, status, response) in responses {
        assert_eq!(response.status, status, "{name}");
        let policy = response.header("content-security-policy").expect(name);
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{name}");
        for (header, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("server", concat!("banter/", env!("CARGO_PKG_VERSION"))),
        ] {
            assert_eq!(response.header(header), Some(value), "{name}");
        }
        assert_eq!(response.header("access-control-allow-origin"), None, "{name}");
        assert_eq!(response.header("access-control-allow-credentials"), None, "{name}");
    }
    server.end().await;
}

#[tokio::test]
async fn errors_are_json_for_programs_and_a_page_for_people() {
    let server = TestServer::start(ServerConfig::default()).await;
    let html = "Accept: text/html,*/*\r\n";
    for (path, lines, kind) in [
        ("/nothing", "", "application/json"),
        ("/nothing", html, "text/html; charset=utf-8"),
        ("/api/nothing", html, "application/json"),
    ] {
        let response = get(server.address, path, lines).await;
        assert_eq!((response.status, response.header("content-type")), (404, Some(kind)));
        assert_eq!(response.body.starts_with('{'), kind == "application/json");
    }
    server.end().await;
}

#[tokio::test]
async fn the_page_is_found_and_kept_as_long_as_it_may_be() {
    let server = TestServer::start(ServerConfig::default()).await;
    let page = get(server.address, "/", "").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    let etag = page.header("etag").expect("an etag").to_owned();
    let known = get(server.address, "/", &format!("If-None-Match: W/{etag}\r\n")).await;
    assert_eq!((known.status, known.body.as_str()), (304, ""));
    let script =
        page.body.split(['"', '\'']).find(|part| part.ends_with(".js") && part.contains("index-"));
    let script = script.expect("a script with a hash in its name").trim_start_matches('.');
    let script = get(server.address, script, "").await;
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(script.header("cache-control"), Some("public, max-age=31536000, immutable"));
    server.end().await;
}

#[tokio::test]
async fn the_example_page_runs_its_own_script_and_style_and_nothing_else() {
    let server = TestServer::start(ServerConfig::default()).await;
    let page = get(server.address, "/chat.html", "").await;
    assert_eq!(
        (page.status, page.body.as_str()),
        (200, include_str!("../../../examples/chat.html"))
    );
    let policy = page.header("content-security-policy").expect("a policy");
    let sources = |directive: &str| {
        let found = policy.split("; ").find_map(|part| part.strip_prefix(directive));
        found.unwrap_or_default().split_whitespace().collect::<Vec<_>>()
    };
    for (directive, element) in [("script-src", "<script"), ("style-src", "<style")] {
        let hashes = sources(directive);
        assert_eq!(hashes.len(), page.body.matches(element).count(), "{policy}");
        assert!(hashes.iter().all(|source| source.starts_with("'sha256-")), "{policy}");
    }
    assert_eq!(sources("connect-src"), ["'self'", "ws:", "wss:"]);
    assert_eq!(sources("default-src"), ["'none'"]);
    server.end().await;
}

#[tokio::test]
async fn only_named_origins_may_read_answers() {
    let config = ServerConfig {
        allow_origins: vec![Origin::parse("https://wiki.example").expect("origin")],
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    let address = server.address;
    let origin = "Origin: https://wiki.example\r\n";
    let allowed = |response: &Response| {
        response.header("access-control-allow-origin") == Some("https://wiki.example")
            && response.header("access-control-allow-credentials").is_none()
            && response.header("vary").is_some_and(|vary| vary.contains("origin"))
    };
    let preflight = send(address, "OPTIONS", "/tokenize", origin, "").await;
    assert!(preflight.status == 204 && allowed(&preflight), "{preflight:?}");
    let headers = preflight.header("access-control-allow-headers").expect("headers");
    assert_eq!(headers, "authorization, content-type, x-api-key, *");
    assert!(allowed(&get(address, "/api/info", origin).await));
    assert!(allowed(&get(address, "/nothing", origin).await));
    server.client_with(&[("origin", "https://wiki.example")]).await.expect("a socket");
    for foreign in ["https://evil.example", "https://wiki.example.evil", "null"] {
        let response = get(address, "/api/info", &format!("Origin: {foreign}\r\n")).await;
        assert_eq!(response.status, 403, "{foreign}");
        assert_eq!(response.header("access-control-allow-origin"), None, "{foreign}");
        let refused = server.client_with(&[("origin", foreign)]).await;
        assert_eq!(refused_status(refused), 403, "{foreign}");
    }
    server.end().await;
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused_and_those_of_this_machine_are_not() {
    let server = TestServer::start(ServerConfig::default()).await;
    let (address, port) = (server.address, server.address.port());
    let status = async |host: &str, path: &str| {
        get(address, path, &format!("Host: {host}\r\n")).await.status
    };
    for path in ["/", "/chat.html", "/ws", "/api/info", "/nothing"] {
        for host in ["attacker.example", &format!("192.0.2.1:{port}"), "localhost.evil"] {
            assert_eq!(status(host, path).await, 421, "{host} {path}");
        }
        let two = format!("Host: localhost:{port}\r\nHost: attacker.example\r\n");
        assert_eq!(get(address, path, &two).await.status, 400, "{path}");
    }
    // A tunnel or a container publishes another port.
    for host in ["localhost:9000", "localhost", "127.0.0.1:8080", "[::1]:1"] {
        assert_eq!(status(host, "/").await, 200, "{host}");
        assert_eq!(status(host, "/api/info").await, 200, "{host}");
    }
    for host in ["attacker.example", "10.1.2.3:7860", ""] {
        assert_eq!(status(host, "/health").await, 200, "{host}");
        assert_eq!(status(host, "/ready").await, 200, "{host}");
    }
    server.end().await;
}

#[tokio::test]
async fn a_probe_without_a_host_is_answered() {
    let server = TestServer::start(ServerConfig::default()).await;
    for (path, status) in [("/health", "200"), ("/ready", "200"), ("/", "400")] {
        let mut raw = Raw::connect(server.address).await;
        raw.send(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await;
        let head = raw.head().await;
        assert_eq!(head.split(' ').nth(1), Some(status), "{path}: {head}");
    }
    server.end().await;
}

#[tokio::test]
async fn whoever_signs_out_is_out_on_every_route_and_open_socket() {
    let server = TestServer::start(public("https://chat.example")).await;
    let address = server.address;
    let host = "Host: chat.example\r\n";
    let sign_in = async || {
        let opened = post(address, "/api/session", host, r#"{"key": "the-key"}"#).await;
        let cookie = opened.header_as_sent("set-cookie").expect("a cookie");
        cookie.split(';').next().expect("a pair").to_owned()
    };
    let (mine, other) = (sign_in().await, sign_in().await);
    let socket = async |pair: &str| {
        let headers = [("host", "chat.example"), ("cookie", pair)];
        server.client_with(&headers).await.expect("a socket")
    };
    let (mut my_socket, mut other_socket) = (socket(&mine).await, socket(&other).await);
    my_socket.expect_works().await;
    let lines = |pair: &str| format!("{host}Cookie: {pair}\r\n");
    let foreign = format!("{}Origin: https://evil.example\r\n", lines(&mine));
    assert_eq!(send(address, "DELETE", "/api/session", &foreign, "").await.status, 403);
    my_socket.expect_works().await;
    let out = send(address, "DELETE", "/api/session", &lines(&mine), "").await;
    assert_eq!(out.status, 204);
    let forgetting = out.header("set-cookie").expect("a cookie");
    assert!(forgetting.contains("max-age=0") && forgetting.contains("path=/;"), "{forgetting}");
    assert_eq!(my_socket.close_code().await, Some(CloseCode::Away));
    assert_eq!(get(address, "/api/info", &lines(&mine)).await.status, 401);
    assert_eq!(get(address, "/api/info", &lines(&other)).await.status, 200);
    other_socket.expect_works().await;
    server.end().await;
}

#[tokio::test]
async fn files_come_compressed_to_those_who_take_them_so() {
    let server = TestServer::start(ServerConfig::default()).await;
    let address = server.address;
    let plain = get(address, "/chat.html", "").await;
    assert_eq!(plain.header("content-encoding"), None);
    let mut tags = vec![plain.header("etag").expect("a tag").to_owned()];
    for (accepted, coding) in [("gzip, deflate, br", "br"), ("gzip, deflate", "gzip")] {
        let lines = format!("Accept-Encoding: {accepted}\r\n");
        let (response, bytes) = support::raw::get_bytes(address, "/chat.html", &lines).await;
        assert_eq!((response.status, response.header("content-encoding")), (200, Some(coding)));
        assert_eq!(response.header("content-length"), Some(bytes.len().to_string().as_str()));
        assert!(bytes.len() < plain.body.len(), "{coding}");
        let mut text = String::new();
        use std::io::Read;
        match coding {
            "br" => brotli::Decompressor::new(&bytes[..], 4_096).read_to_string(&mut text),
            _ => flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text),
        }
        .expect("a whole file");
        assert_eq!(text, plain.body, "{coding}");
        for header in ["content-type", "content-security-policy", "cache-control"] {
            assert_eq!(response.header(header), plain.header(header), "{coding}");
        }
        let tag = response.header("etag").expect("a tag").to_owned();
        assert!(!tags.contains(&tag), "other bytes have another tag");
        let again = get(address, "/chat.html", &format!("{lines}If-None-Match: {tag}\r\n")).await;
        assert_eq!((again.status, again.header("etag")), (304, Some(tag.as_str())));
        assert_eq!((again.header("content-encoding"), again.body.as_str()), (None, ""));
        let other = get(address, "/chat.html", &format!("If-None-Match: {tag}\r\n")).await;
        assert_eq!(other.status, 200, "the file itself is not what the client has");
        tags.push(tag);
    }
    for lines in ["", "Accept-Encoding: br\r\n"] {
        let response = get(address, "/chat.html", lines).await;
        assert!(response.head.contains("vary: accept-encoding"), "{}", response.head);
    }
    server.end().await;
}

#[tokio::test]
async fn a_proxy_that_nobody_named_is_told_of_once() {
    let log = Log::collect();
    let server = TestServer::start(ServerConfig::default()).await;
    get(server.address, "/", "").await;
    assert!(!log.text().contains("--public-url"), "{}", log.text());
    for _ in 0..3 {
        get(server.address, "/", "X-Forwarded-For: 203.0.113.5\r\n").await;
    }
    server.end().await;
    let told = log.text().matches("come through a proxy").count();
    assert_eq!(told, 1, "{}", log.text());
}

#[tokio::test]
async fn file_pages_share_two_answers() {
    let config = ServerConfig { allow_file_pages: true, ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let mut pages = Vec::new();
    for _ in 0..3 {
        let mut page = server.client_with(&[("origin", "null")]).await.expect("admitted");
        page.ask("slow 1000").await;
        pages.push(page);
    }
    let mut ordinary = server.client().await;
    ordinary.expect_works().await;
    assert_eq!(server.running(), 2);
    pages[0].send(r#"{"stop": true}"#).await;
    pages[0].answer().await;
    assert_eq!(pages[2].frame().await, "word0 ", "the third has its turn");
    drop(pages);
    server.is_idle().await;
    server.end().await;
}
