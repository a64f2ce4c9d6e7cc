//! Who comes in by real connections: hosts in any bytes, keys in every carrier, and claims that
//! give nothing.

mod support;

use banter_server::{KeyHash, PublicUrl, ServerConfig};
use banter_store::{KeyRing, KeyTerms, SecretHash};
use serde_json::{Value, json};
use std::path::Path;
use support::TestServer;
use support::raw::{self, Raw};
use support::v1::V1Client;
use tokio_tungstenite::tungstenite::Error;

const KEY: &str = "the-key";
const ADMIN_KEY: &str = "the-admin-key";
const MADE_KEY: &str = "the-made-key";

fn config() -> ServerConfig {
    ServerConfig {
        public_urls: vec![PublicUrl::parse("http://chat.example/").expect("a url")],
        keys: vec![KeyHash::of(KEY)],
        admin_keys: vec![KeyHash::of(ADMIN_KEY)],
        ..ServerConfig::default()
    }
}

async fn start(folder: &Path) -> TestServer {
    let ring = KeyRing::open(folder).expect("the keys");
    let terms = KeyTerms { scope: "chat".into(), ..KeyTerms::default() };
    let hash = SecretHash(KeyHash::of(MADE_KEY).bytes());
    ring.add("made", hash, &terms).expect("a new name");
    TestServer::start_in(folder, config()).await
}

#[tokio::test]
async fn a2_a_host_of_any_bytes_is_refused_on_the_wire_and_the_server_lives() {
    let server = TestServer::start(ServerConfig::default()).await;
    let port = server.address.port();
    let local = |name: &str| format!("{name}:{port}").into_bytes();
    let mut cases: Vec<(Vec<u8>, &[&str])> = vec![
        (local("attacker.example"), &["421"]),
        (local("0.0.0.0"), &["421"]),
        (local("[::]"), &["421"]),
        (local("[::ffff:127.0.0.1]"), &["421"]),
        (local("2130706433"), &["421"]),
        (local("0x7f.1"), &["421"]),
        (Vec::new(), &["400"]),
        (b"\xff\xfe".to_vec(), &["400"]),
        (b"localhost\xff".to_vec(), &["400"]),
        (b"a".repeat(10_000), &["400", "421", "431"]),
    ];
    // One byte behind a name of this machine, whatever it is.
    for byte in 0..=u8::MAX {
        let is_name = byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        // A dot at the end means the same machine; blanks around a value are not part of it.
        let expected: &[&str] = match byte {
            b'.' | b' ' | b'\t' | b'\n' => &["200"],
            _ if is_name => &["421"],
            _ => &["400"],
        };
        cases.push(([b"localhost", &[byte][..]].concat(), expected));
    }
    for (host, expected) in cases {
        let mut raw = Raw::connect(server.address).await;
        let request =
            [b"GET /api/info HTTP/1.1\r\nHost: ", &host[..], b"\r\nConnection: close\r\n\r\n"];
        raw.send(&request.concat()).await;
        let head = raw.head().await;
        let status = head.split(' ').nth(1).unwrap_or_default();
        assert!(expected.contains(&status), "{:?}: {head}", String::from_utf8_lossy(&host));
    }
    server.client().await.expect_works().await;
    server.end().await;
}

/// How a client of `banter.v1` shows a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    ApiKey,
    Bearer,
    Cookie,
    Query,
    Hello,
}

const CARRIERS: [Carrier; 5] =
    [Carrier::ApiKey, Carrier::Bearer, Carrier::Cookie, Carrier::Query, Carrier::Hello];

/// The pair of the cookie that a key is exchanged for.
async fn cookie_for(server: &TestServer, address: &str, key: &str) -> Option<String> {
    let lines = format!("X-Forwarded-For: {address}\r\n");
    let body = json!({ "key": key }).to_string();
    let signed_in = raw::post(server.address, "/api/session", &lines, &body).await;
    let cookie = signed_in.header_as_sent("set-cookie")?;
    Some(cookie.split(';').next().expect("a pair").to_owned())
}

/// Shows a key from this address in a handshake or in `hello`, and returns the reply to `hello`.
/// `more` is in that event beside the key.
async fn greet(
    server: &TestServer,
    (address, carrier, key): (&str, Carrier, &str),
    more: Value,
) -> Result<(V1Client, Value), Error> {
    let (mut headers, mut path) = (vec![("x-forwarded-for", address)], "/ws".to_owned());
    let (bearer, mut hello) = (format!("Bearer {key}"), more);
    hello["type"] = json!("hello");
    let cookie = match carrier {
        Carrier::Cookie => cookie_for(server, address, key).await.unwrap_or_default(),
        _ => String::new(),
    };
    match carrier {
        Carrier::ApiKey => headers.push(("x-api-key", key)),
        Carrier::Bearer => headers.push(("authorization", &bearer)),
        Carrier::Cookie => headers.push(("cookie", &cookie)),
        Carrier::Query => path = format!("/ws?key={key}"),
        Carrier::Hello => hello["key"] = json!(key),
    }
    let mut client = server.v1_at(&path, &headers).await?;
    client.send(hello).await;
    let reply = client.next().await;
    Ok((client, reply))
}

#[tokio::test]
async fn a9_every_carrier_of_a_key_is_the_same_person_with_the_same_conversations() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path()).await;
    let mut users = Vec::new();
    for key in [KEY, ADMIN_KEY, MADE_KEY] {
        let mut of_key: Option<(Value, Value)> = None;
        for carrier in CARRIERS {
            let who = ("203.0.113.5", carrier, key);
            let (mut client, welcome) = greet(&server, who, json!({})).await.expect("a handshake");
            let case = format!("{key} {carrier:?}: {welcome}");
            assert_eq!(welcome["type"], "welcome", "{case}");
            let Some((first, conversation)) = &of_key else {
                let conversation = client.ask("echo mine").await["conversation"].clone();
                of_key = Some((welcome, conversation));
                continue;
            };
            assert_eq!(&welcome, first, "{case}");
            let open = json!({ "type": "open", "conversation": conversation, "tag": "o" });
            client.send(open).await;
            assert_eq!(client.reply("o").await["type"], "opened", "{case}");
        }
        users.push(of_key.expect("there are carriers").0["user"].clone());
    }
    users.sort_by_key(Value::to_string);
    users.dedup();
    assert_eq!(users.len(), 3, "three keys are three people");
    server.end().await;
}

#[tokio::test]
async fn a8_one_count_of_wrong_keys_stands_behind_every_carrier() {
    let config = ServerConfig { max_wrong_keys_per_minute: 3, ..config() };
    let server = TestServer::start(config).await;
    for (number, guessed) in CARRIERS.into_iter().enumerate() {
        let guesser = format!("203.0.113.{}", 10 + number);
        for guess in ["first", "second", "third"] {
            let welcomed = is_welcome(&server, (&guesser, guessed, guess)).await;
            assert!(!welcomed, "{guessed:?} {guess}");
        }
        for carrier in CARRIERS {
            let right = is_welcome(&server, (&guesser, carrier, KEY)).await;
            assert!(!right, "guessed by {guessed:?}, the right key by {carrier:?}");
        }
    }
    for carrier in CARRIERS {
        assert!(is_welcome(&server, ("198.51.100.7", carrier, KEY)).await, "{carrier:?}");
    }
    server.end().await;
}

async fn is_welcome(server: &TestServer, who: (&str, Carrier, &str)) -> bool {
    match greet(server, who, json!({})).await {
        Ok((_, reply)) => reply["type"] == "welcome",
        Err(Error::Http(refusal)) => {
            assert!([401, 429].contains(&refusal.status().as_u16()), "{refusal:?}");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// What a client could say of itself to have more than it has.
fn claims(user: &Value) -> Value {
    json!({
        "role": "admin", "scope": "administer", "admin": true, "is_admin": true,
        "level": "Admin", "rights": ["administer"], "user": user, "user_id": user, "owner": user,
        "tenant": 0, "principal": "operator", "share": 0, "origin": "http://localhost",
        "peer": "127.0.0.1", "insecure": true, "revoked": false,
    })
}

#[tokio::test]
async fn a12_what_a_client_claims_in_hello_gives_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path()).await;
    let who = ("203.0.113.5", Carrier::Hello, ADMIN_KEY);
    let (mut admin, of_admin) = greet(&server, who, json!({})).await.expect("a handshake");
    let hers = admin.ask("echo secret").await["conversation"].clone();
    for key in [KEY, MADE_KEY] {
        for carrier in CARRIERS {
            let who = ("203.0.113.5", carrier, key);
            let (_, usual) = greet(&server, who, json!({})).await.expect("a handshake");
            let claims = claims(&of_admin["user"]);
            let (mut client, claimed) = greet(&server, who, claims).await.expect("a handshake");
            assert_eq!(claimed, usual, "{key} {carrier:?}");
            assert_ne!(claimed["user"], of_admin["user"]);
            client.send(json!({ "type": "open", "conversation": hers, "tag": "o" })).await;
            assert_eq!(client.reply("o").await["code"], "unknown_conversation");
        }
    }
    // Nor do they replace a key.
    for key in ["wrong", ""] {
        let who = ("198.51.100.7", Carrier::Hello, key);
        let (_, refused) =
            greet(&server, who, claims(&of_admin["user"])).await.expect("a handshake");
        assert_eq!(refused["type"], "error", "{refused}");
    }
    server.end().await;
}

#[tokio::test]
async fn a12_claims_in_headers_bodies_and_addresses_give_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path()).await;
    let admin = raw::get(server.address, "/api/info", &raw::from_afar(ADMIN_KEY, "")).await.json();
    let claims = claims(&admin["owner"]);
    let headers = "X-Role: admin\r\nX-Scope: administer\r\nX-User: admin\r\nX-Admin: true\r\n\
                   X-Api-Scope: administer\r\nX-Remote-User: operator\r\n";
    let mine = raw::from_afar(KEY, "");
    let claiming = raw::from_afar(KEY, headers);
    let owner = async |lines: &str, path: &str| {
        raw::get(server.address, path, lines).await.json()["owner"].clone()
    };
    let me = owner(&mine, "/api/info").await;
    assert_ne!(me, admin["owner"]);
    let query = "/api/info?role=admin&scope=administer&admin=true&user=operator&key=the-admin-key";
    assert_eq!(owner(&claiming, "/api/info").await, me);
    assert_eq!(owner(&claiming, query).await, me);
    let stop = async |lines: &str, body: &Value| {
        let path = "/api/models/stop?admin=true&scope=administer";
        raw::post(server.address, path, lines, &body.to_string()).await.status
    };
    assert_eq!(stop(&claiming, &claims).await, 403);
    assert_eq!(stop("X-Forwarded-For: 203.0.113.5\r\n", &claims).await, 401);
    assert_ne!(stop(&raw::from_afar(ADMIN_KEY, ""), &json!({})).await, 403);

    // Signing in with claims beside the key.
    let mut body = claims.clone();
    body["key"] = json!(KEY);
    let afar = "X-Forwarded-For: 203.0.113.5\r\n";
    let signed_in = raw::post(server.address, "/api/session", afar, &body.to_string()).await;
    if let Some(cookie) = signed_in.header_as_sent("set-cookie") {
        let pair = cookie.split(';').next().expect("a pair");
        let session = format!("{afar}Cookie: {pair}\r\n");
        assert_eq!(owner(&session, "/api/info").await, me);
        assert_eq!(stop(&session, &claims).await, 403);
    } else {
        assert_eq!(signed_in.status, 400, "{}", signed_in.body);
    }

    // OpenAI's `user` and Anthropic's `metadata` name a user of the client, and never one of ours.
    let chat = json!({
        "messages": [{"role": "user", "content": "echo hi"}], "user": admin["owner"],
    });
    let asked = raw::post(server.address, "/v1/chat/completions", &mine, &chat.to_string()).await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    let response = json!({"input": "echo hi", "user": admin["owner"]}).to_string();
    let kept = raw::post(server.address, "/v1/responses", &mine, &response).await;
    assert_eq!(kept.status, 200, "{}", kept.body);
    let path = format!("/v1/responses/{}", kept.json()["id"].as_str().expect("an id"));
    assert_eq!(raw::get(server.address, &path, &mine).await.status, 200, "it is mine");
    let of_admin = raw::get(server.address, &path, &raw::from_afar(ADMIN_KEY, "")).await;
    assert_eq!(of_admin.status, 404, "and not theirs");
    server.end().await;
}
