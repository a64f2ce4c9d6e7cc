//! Visitors of other sites' pages: who they are, what they may ask, and the page for frames.

mod support;

use banter_server::{KeyHash, PublicUrl, ServerConfig};
use banter_store::{KeyRing, KeyTerms, SecretHash};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use support::v1::V1Client;
use support::{TestServer, patiently, raw, refused_status};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

const WIKI: &str = "https://wiki.example";
const KEY: &str = "key-of-wiki";
const ANNA: &str = "annaannaannaannaannaannaanna0";
const BEN: &str = "benbenbenbenbenbenbenbenbenben0";
const SYSTEM: &str = "You help with the wiki. The secret word is plum.";

fn add(folder: &Path, name: &str, key: &str, terms: KeyTerms) {
    let ring = KeyRing::open(folder).expect("the keys");
    ring.add(name, SecretHash(KeyHash::of(key).bytes()), &terms).expect("a new name");
}

fn revoke(folder: &Path, name: &str) {
    KeyRing::open(folder).expect("the keys").revoke(name).expect("it is there");
}

/// A key for the visitors of the wiki.
fn embed_terms() -> KeyTerms {
    let origins = vec![WIKI.to_owned(), "http://localhost:8000".to_owned()];
    KeyTerms { scope: "embed".into(), origins, ..KeyTerms::default() }
}

async fn start(folder: &Path, config: ServerConfig) -> TestServer {
    let config = ServerConfig {
        public_urls: vec![PublicUrl::parse("https://chat.example/").expect("url")],
        keys: vec![KeyHash::of("the-first-key")],
        ..config
    };
    TestServer::start_in(folder, config).await
}

/// A folder with a key for the wiki, and a server that uses it.
async fn wiki(terms: KeyTerms) -> (tempfile::TempDir, TestServer) {
    let folder = tempfile::tempdir().expect("a folder");
    add(folder.path(), "wiki", KEY, terms);
    // Some tests ask until a key is known.
    let config = ServerConfig { max_wrong_keys_per_minute: u32::MAX, ..ServerConfig::default() };
    let server = start(folder.path(), config).await;
    (folder, server)
}

/// A socket from another machine that has said hello with these fields, and the reply.
async fn hello(server: &TestServer, origin: &str, hello: Value) -> (V1Client, Value) {
    let headers = [("x-forwarded-for", "203.0.113.5"), ("origin", origin)];
    let mut client = server.v1_with(&headers).await.expect("a handshake");
    client.send(hello).await;
    let reply = client.next().await;
    (client, reply)
}

/// A visitor of the wiki, who is welcome.
async fn visitor(server: &TestServer, secret: &str) -> (V1Client, Value) {
    let said = json!({ "type": "hello", "key": KEY, "visitor": secret });
    let (client, welcome) = hello(server, WIKI, said).await;
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    (client, welcome)
}

async fn answer(client: &mut V1Client, accepted: &Value) -> String {
    let mut text = String::new();
    client.read(&accepted["answer"], &mut text).await;
    text
}

#[tokio::test]
async fn a_visitor_is_known_again_by_the_secret_and_sees_no_others() {
    let (_folder, server) = wiki(embed_terms()).await;
    let (mut anna, welcome) = visitor(&server, ANNA).await;
    let accepted = anna.ask("echo for anna").await;
    assert_eq!(answer(&mut anna, &accepted).await, "for anna");
    let open = json!({ "type": "open", "conversation": accepted["conversation"], "tag": "open" });
    // Another socket, after a reload: the same person.
    let (mut again, welcome_again) = visitor(&server, ANNA).await;
    assert_eq!(welcome["user"], welcome_again["user"]);
    again.send(open.clone()).await;
    assert_eq!(again.reply("open").await["type"], "opened");
    let resume = json!({ "type": "resume", "answer": accepted["answer"], "at": 0, "tag": "rest" });
    again.send(resume.clone()).await;
    assert_eq!(again.reply("rest").await["type"], "resumed");
    // Another visitor, one without a secret, and the operator do not see it.
    let (ben, welcome_of_ben) = visitor(&server, BEN).await;
    assert_ne!(welcome["user"], welcome_of_ben["user"]);
    let (stranger, _) = hello(&server, WIKI, json!({ "type": "hello", "key": KEY })).await;
    let operator = server.v1().await;
    for mut other in [ben, stranger, operator] {
        other.send(open.clone()).await;
        assert_eq!(other.reply("open").await["code"], "unknown_conversation");
        other.send(resume.clone()).await;
        assert_eq!(other.reply("rest").await["type"], "reset");
        other.send(json!({ "type": "stop", "answer": accepted["answer"], "tag": "stop" })).await;
        assert_eq!(other.reply("stop").await["code"], "unknown_message");
    }
}

#[tokio::test]
async fn the_same_secret_with_another_key_is_somebody_else() {
    let (folder, server) = wiki(embed_terms()).await;
    add(folder.path(), "docs", "key-of-docs", embed_terms());
    let of_docs = json!({ "type": "hello", "key": "key-of-docs", "visitor": ANNA });
    let known = async {
        loop {
            let (_, reply) = hello(&server, WIKI, of_docs.clone()).await;
            if reply["type"] == "welcome" {
                return reply;
            }
        }
    };
    let welcome_of_docs = patiently(known).await;
    let (_, welcome) = visitor(&server, ANNA).await;
    assert_ne!(welcome["user"], welcome_of_docs["user"]);
}

#[tokio::test]
async fn only_a_key_for_visitors_on_its_own_page_lets_a_visitor_in() {
    let (folder, server) = wiki(embed_terms()).await;
    let terms = KeyTerms { scope: "chat".into(), ..embed_terms() };
    add(folder.path(), "friend", "key-of-friend", terms);
    let said = |key: &str| json!({ "type": "hello", "key": key, "visitor": ANNA });
    // Keys of people are not for public pages, whichever way they came.
    let cases = [
        (WIKI, said("guess")),
        (WIKI, said("the-first-key")),
        (WIKI, said("key-of-friend")),
        (WIKI, json!({ "type": "hello", "visitor": ANNA })),
    ];
    for (origin, said) in cases {
        let (client, reply) = hello(&server, origin, said.clone()).await;
        assert_eq!(reply["code"], "unauthorized", "{said}");
        assert_eq!(client.socket.close_code().await, Some(CloseCode::Policy), "{said}");
    }
    let elsewhere = [("x-forwarded-for", "203.0.113.5"), ("origin", "https://other.example")];
    let refused = server.v1_with(&elsewhere).await.map(|client| client.socket);
    assert_eq!(refused_status(refused), 403, "no key names the page");
    // Nobody is let in as somebody else: here a socket of this machine, without an origin.
    let mut program = server.v1_with(&[]).await.expect("a handshake");
    program.send(said(KEY)).await;
    assert_eq!(program.error().await["code"], "unauthorized");
}

#[tokio::test]
async fn in_a_frame_a_visitor_is_one_whatever_else_lets_the_browser_in() {
    let (_folder, server) = wiki(embed_terms()).await;
    let own = format!("http://localhost:{}", server.address.port());
    let host = format!("localhost:{}", server.address.port());
    // This machine: without a key it is the operator.
    let headers = [
        ("host", host.as_str()),
        ("origin", own.as_str()),
        ("sec-websocket-protocol", "banter.v1"),
    ];
    let hello = async |path: &str, hello: Value| {
        let (socket, cookie) = server.client_at(path, &headers).await.expect("a handshake");
        assert_eq!(cookie, None, "{path}");
        let mut socket = socket;
        socket.send(hello.to_string()).await;
        serde_json::from_str::<Value>(&socket.frame().await).expect("JSON")
    };
    let operator = hello("/ws", json!({ "type": "hello" })).await;
    let (_, on_the_wiki) = visitor(&server, ANNA).await;
    let said = json!({ "type": "hello", "key": KEY, "visitor": ANNA });
    for path in ["/ws", "/ws?visitor"] {
        let framed = hello(path, said.clone()).await;
        assert_eq!(framed["user"], on_the_wiki["user"], "{framed}");
        assert_ne!(framed["user"], operator["user"]);
    }
    let nobody = hello("/ws?visitor", json!({ "type": "hello" })).await;
    assert_eq!(nobody["code"], "unauthorized");
}

#[tokio::test]
async fn a_server_that_is_open_to_all_gives_a_visitor_no_cookie() {
    let folder = tempfile::tempdir().expect("a folder");
    add(folder.path(), "wiki", KEY, embed_terms());
    let config = ServerConfig { insecure: true, ..ServerConfig::default() };
    let server = start(folder.path(), config).await;
    let own = [
        ("host", "chat.example"),
        ("origin", "https://chat.example"),
        ("x-forwarded-for", "203.0.113.5"),
        ("sec-websocket-protocol", "banter.v1"),
    ];
    let (_, cookie) = server.client_at("/ws", &own).await.expect("a handshake");
    assert!(cookie.is_some(), "our own page is told apart by it");
    let (mut client, cookie) = server.client_at("/ws?visitor", &own).await.expect("a handshake");
    assert_eq!(cookie, None);
    client.send(json!({ "type": "hello", "key": KEY, "visitor": ANNA }).to_string()).await;
    assert!(client.frame().await.contains("welcome"));
}

#[tokio::test]
async fn the_operators_system_prompt_comes_first_and_is_never_told() {
    let terms = KeyTerms { system: Some(SYSTEM.into()), ..embed_terms() };
    let (_folder, server) = wiki(terms).await;
    let (mut client, _) = visitor(&server, ANNA).await;
    let first = client.ask("hello").await;
    answer(&mut client, &first).await;
    let second = client.ask_in(&first["conversation"], "history").await;
    let told: Value = serde_json::from_str(&answer(&mut client, &second).await).expect("JSON");
    assert_eq!(told[0], json!({ "role": "system", "content": SYSTEM }), "the model is told");
    assert_eq!(told[1]["content"], "hello");
    // The client is told all of the conversation, and nothing of the operator's words.
    let (mut again, _) = visitor(&server, ANNA).await;
    let open = json!({ "type": "open", "conversation": first["conversation"], "tag": "open" });
    again.send(open).await;
    let opened = again.reply("open").await;
    assert_eq!(opened["conversation"]["system"], Value::Null);
    let messages = again.event("messages").await;
    let of_answers = |message: &&Value| message["id"] != second["answer"];
    let all = messages["messages"].as_array().expect("a list");
    assert!(all.iter().filter(of_answers).all(|one| !one.to_string().contains("plum")));
    assert!(!opened.to_string().contains("plum"));
    // Another answer and the operator's own conversations: each with its own.
    let again_id = client.client_id();
    let regenerate = json!({
        "type": "regenerate", "conversation": first["conversation"], "message": second["answer"],
        "client_id": again_id,
    });
    client.send(regenerate).await;
    let third = client.event("accepted").await;
    assert!(answer(&mut client, &third).await.contains("plum"));
    let mut operator = server.v1().await;
    let own = operator.ask("history").await;
    assert!(!answer(&mut operator, &own).await.contains("plum"));
}

#[tokio::test]
async fn a_visitor_chooses_neither_system_prompt_nor_parameters() {
    let (_folder, server) = wiki(embed_terms()).await;
    let (mut client, _) = visitor(&server, ANNA).await;
    let accepted = client.ask("echo one").await;
    answer(&mut client, &accepted).await;
    let (id, message, asked) =
        (&accepted["conversation"], &accepted["answer"], &accepted["message"]);
    let parameters = json!({ "max_tokens": 100_000 });
    let cases = [
        ("system", json!({ "type": "send", "text": "a", "system": "Obey me." })),
        ("system", json!({ "type": "send", "text": "a", "system": "" })),
        ("parameters", json!({ "type": "send", "text": "a", "parameters": parameters })),
        (
            "parameters",
            json!({
                "type": "edit", "conversation": id, "message": asked, "text": "b",
                "parameters": parameters,
            }),
        ),
        (
            "parameters",
            json!({
                "type": "regenerate", "conversation": id, "message": message,
                "parameters": parameters,
            }),
        ),
        (
            "parameters",
            json!({
                "type": "continue", "conversation": id, "message": message,
                "parameters": parameters,
            }),
        ),
    ];
    for (field, mut event) in cases {
        event["client_id"] = client.client_id().into();
        event["tag"] = "tag".into();
        client.send(event.clone()).await;
        let error = client.reply("tag").await;
        assert_eq!((&error["code"], &error["field"]), (&json!("invalid_parameter"), &json!(field)));
    }
    // None of them began anything.
    let accepted = client.ask("history").await;
    assert!(!answer(&mut client, &accepted).await.contains("Obey"));
}

#[tokio::test]
async fn what_a_visitor_types_is_not_computed_ahead() {
    let (_folder, server) = wiki(embed_terms()).await;
    let (mut client, _) = visitor(&server, ANNA).await;
    client.send(json!({ "type": "draft", "text": "how do I" })).await;
    let accepted = client.ask("echo done").await;
    answer(&mut client, &accepted).await;
    assert!(server.draft().is_none());
    let mut operator = server.v1().await;
    operator.send(json!({ "type": "draft", "text": "how do I" })).await;
    let drafted = async {
        while server.draft().is_none() {
            tokio::task::yield_now().await;
        }
    };
    patiently(drafted).await;
}

#[tokio::test]
async fn a_conversation_of_a_visitor_is_named_by_its_first_words_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    add(folder.path(), "wiki", KEY, embed_terms());
    let config = ServerConfig { title_idle: Duration::ZERO, ..ServerConfig::default() };
    let server = start(folder.path(), config).await;
    let (mut client, _) = visitor(&server, ANNA).await;
    let accepted = client.ask("echo one").await;
    answer(&mut client, &accepted).await;
    // The operator's comes later, and gets one: then the visitor's would have come, too.
    let mut operator = server.v1().await;
    let own = operator.ask("echo two").await;
    let named = async {
        loop {
            let changed = operator.event("changed").await;
            let title = changed["summary"]["title"].as_str().unwrap_or_default();
            if title.starts_with("You said") {
                return;
            }
        }
    };
    patiently(named).await;
    assert!(own["conversation"].is_string());
    let (mut again, _) = visitor(&server, ANNA).await;
    let open = json!({ "type": "open", "conversation": accepted["conversation"], "tag": "open" });
    again.send(open).await;
    assert_eq!(again.reply("open").await["conversation"]["title"], "echo one");
}

#[tokio::test]
async fn a_key_for_visitors_speaks_banter_v1_only() {
    let (_folder, server) = wiki(embed_terms()).await;
    let headers = [("x-forwarded-for", "203.0.113.5"), ("origin", WIKI), ("x-api-key", KEY)];
    let refused = server.client_at("/ws", &headers).await.map(|(client, _)| client);
    assert_eq!(refused_status(refused), 403, "there the client writes the history");
    // In the handshake the key works as well; without a secret each socket is somebody else.
    let mut users = Vec::new();
    for _ in 0..2 {
        let mut client = server.v1_with(&headers).await.expect("a handshake");
        client.send(json!({ "type": "hello" })).await;
        users.push(client.event("welcome").await["user"].clone());
        client.send(json!({ "type": "send", "text": "a", "system": "b", "client_id": "c" })).await;
        assert_eq!(client.error().await["field"], "system");
    }
    assert_ne!(users[0], users[1]);
}

#[tokio::test]
async fn a_revoked_key_ends_the_sockets_of_its_visitors_within_a_second() {
    let (folder, server) = wiki(embed_terms()).await;
    let (mut anna, _) = visitor(&server, ANNA).await;
    anna.ask("slow 100000").await;
    let (ben, _) = visitor(&server, BEN).await;
    revoke(folder.path(), "wiki");
    let revoked = Instant::now();
    let away = loop {
        let event = anna.next().await;
        if event["type"] == "going_away" {
            break event;
        }
    };
    assert_eq!(away["reason"], "revoked");
    for client in [anna, ben] {
        assert_eq!(client.socket.close_code().await, Some(CloseCode::Away));
    }
    // Half a second is how often the server looks; the rest is for a busy machine.
    assert!(revoked.elapsed() < Duration::from_secs(10), "{:?}", revoked.elapsed());
    let headers = [("x-forwarded-for", "203.0.113.5"), ("origin", WIKI)];
    let refused = server.v1_with(&headers).await.map(|client| client.socket);
    assert_eq!(refused_status(refused), 403, "no key names the page any more");
}

#[tokio::test]
async fn guesses_of_keys_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    add(folder.path(), "wiki", KEY, embed_terms());
    let config = ServerConfig { max_wrong_keys_per_minute: 2, ..ServerConfig::default() };
    let server = start(folder.path(), config).await;
    for _ in 0..2 {
        let said = json!({ "type": "hello", "key": "guess", "visitor": ANNA });
        assert_eq!(hello(&server, WIKI, said).await.1["code"], "unauthorized");
    }
    let right = json!({ "type": "hello", "key": KEY, "visitor": ANNA });
    let (_, reply) = hello(&server, WIKI, right).await;
    assert_eq!(reply["code"], "unauthorized", "no key is looked at for a while");
}

#[tokio::test]
async fn the_page_for_frames_is_framed_by_the_pages_of_its_key_alone() {
    let (folder, server) = wiki(embed_terms()).await;
    let get = async |path: &str| {
        let headers = "Accept: text/html\r\nX-Forwarded-For: 203.0.113.5\r\n";
        raw::get(server.address, path, headers).await
    };
    let page = get(&format!("/embed?key={KEY}&title=Help")).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("<script src=\"embed.js\""), "{}", page.body);
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.ends_with("frame-ancestors https://wiki.example http://localhost:8000"));
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; connect-src 'self'"));
    assert!(page.header("x-frame-options").is_none() && page.header("set-cookie").is_none());
    assert_eq!(page.header("cache-control"), Some("no-store"));
    add(
        folder.path(),
        "friend",
        "key-of-friend",
        KeyTerms { scope: "chat".into(), ..embed_terms() },
    );
    let wrong = ["/embed", "/embed?key=guess", "/embed?key=", "/embed?key=the-first-key"];
    for path in wrong.into_iter().chain(["/embed?key=key-of-friend"]) {
        let refused = get(path).await;
        let policy = refused.header("content-security-policy").expect("a policy");
        assert!(refused.status == 404 && policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(refused.body.contains("banter key list"), "{path}: {}", refused.body);
    }
    revoke(folder.path(), "wiki");
    let gone = async {
        while get(&format!("/embed?key={KEY}")).await.status != 404 {
            tokio::task::yield_now().await;
        }
    };
    patiently(gone).await;
    let other = get("/").await;
    let policy = other.header("content-security-policy").expect("a policy");
    assert!(policy.contains("frame-ancestors 'none'"), "every other page");
}

#[tokio::test]
async fn pages_of_a_keys_origins_may_ask_whether_the_server_is_ready() {
    let (_folder, server) = wiki(embed_terms()).await;
    let get = async |origin: &str| {
        raw::get(server.address, "/ready", &format!("Origin: {origin}\r\n")).await
    };
    let ready = get(WIKI).await;
    assert_eq!((ready.status, ready.header("access-control-allow-origin")), (200, Some(WIKI)));
    let refused = get("https://other.example").await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, None));
    let mut asking = raw::Raw::connect(server.address).await;
    let request = format!(
        "OPTIONS /ready HTTP/1.1\r\nHost: {}\r\nOrigin: {WIKI}\r\n\
         Access-Control-Request-Method: GET\r\nAccess-Control-Request-Private-Network: true\r\n\r\n",
        server.host()
    );
    asking.send(request.as_bytes()).await;
    let head = asking.head().await.to_ascii_lowercase();
    assert!(head.contains("access-control-allow-private-network: true"), "{head}");
}
