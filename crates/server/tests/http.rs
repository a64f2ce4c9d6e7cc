//! The HTTP routes, and what every response carries.

mod support;

use banter_protocol::Fault;
use banter_protocol::http::TokenizedConversation;
use banter_protocol::plain::{Ask, Turn};
use banter_server::access::Owner;
use banter_server::access::Right;
use banter_server::backend::{Backend, BackendInfo, Generation, Health, ScriptedBackend};
use banter_server::{KeyHash, Origin, PublicUrl, ServerConfig};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use support::raw::{Raw, Response, get, post, send};
use support::{Log, TestServer, refused_status};

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
        ask: Box<Ask>,
        owner: Owner,
    ) -> BoxFuture<'static, Result<Box<dyn Generation>, Fault>> {
        self.0.generate(ask, owner)
    }

    fn tokenize(&self, text: String) -> BoxFuture<'static, Result<Option<Vec<u32>>, Fault>> {
        self.0.tokenize(text)
    }

    fn fit(
        &self,
        turns: Vec<Turn>,
        max_tokens: usize,
    ) -> BoxFuture<'static, Result<Option<TokenizedConversation>, Fault>> {
        self.0.fit(turns, max_tokens)
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
    let expected = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "model": {
            "name": "scripted", "demo": true, "parameters": 0, "licence": "Apache-2.0",
            "weights_bytes": 0,
        },
        "context_tokens": 4_096,
        "limits": { "message_bytes": 4_096 },
        "defaults": body(&info)["defaults"],
        "engine": null,
        "parameters": body(&info)["parameters"],
        "has_models": false,
        "real_model_command": "banter serve --model qwen.gguf",
        "insecure": false,
    });
    assert_eq!(body(&info), expected);
    assert_eq!(body(&info)["defaults"]["max_tokens"], 2_048);
    assert_eq!(body(&info)["parameters"], json!(banter_protocol::plain::PARAMETERS));
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

/// A page of another origin can send such a POST without asking first.
#[tokio::test]
async fn a_simple_post_has_no_effect() {
    let server = TestServer::start(ServerConfig::default()).await;
    let code = json!({ "code": server.sessions.make_code(Right::Administer) }).to_string();
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
async fn a_code_or_key_is_exchanged_for_a_cookie_that_opens_every_route() {
    let server = TestServer::start(public("https://chat.example/talk/")).await;
    let host = "Host: chat.example\r\n";
    let address = server.address;
    assert_eq!(get(address, "/api/info", host).await.status, 401);
    assert_eq!(get(address, "/metrics", host).await.status, 401);
    let code = json!({ "code": server.sessions.make_code(Right::Administer) }).to_string();
    for secret in [code.as_str(), r#"{"key": "the-key"}"#] {
        let opened = post(address, "/talk/api/session", host, secret).await;
        assert_eq!(opened.status, 204);
        let cookie = opened.header("set-cookie").expect("a cookie");
        for attribute in ["httponly", "samesite=strict", "secure"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
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
    assert!(log.text().contains("a key is needed"));
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
    assert!(preflight.header("access-control-allow-headers").is_some());
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
async fn another_name_for_this_machine_is_refused_on_every_route() {
    async fn refused(address: SocketAddr, host: &str, path: &str) -> u16 {
        get(address, path, &format!("Host: {host}\r\n")).await.status
    }
    let server = TestServer::start(ServerConfig::default()).await;
    let port = server.address.port();
    for path in ["/", "/chat.html", "/ws", "/health", "/ready", "/api/info", "/nothing"] {
        for host in ["attacker.example", &format!("0.0.0.0:{port}"), &format!("[::]:{port}")] {
            assert_eq!(refused(server.address, host, path).await, 421, "{host} {path}");
        }
        let two = format!("Host: localhost:{port}\r\nHost: attacker.example\r\n");
        assert_eq!(get(server.address, path, &two).await.status, 400, "{path}");
    }
    server.end().await;
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
