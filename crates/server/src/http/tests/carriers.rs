//! Every way to show a key against every route: the right is that of the key, whatever carries it,
//! and wrong keys are counted together.

use super::*;
use banter_store::{KeyRing, KeyTerms, SecretHash};
use std::path::Path;

/// How a request shows a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    ApiKey,
    Bearer,
    /// The session that the key was exchanged for.
    Cookie,
    /// The query of the address, which counts for the WebSocket only.
    Query,
}

const CARRIERS: [Carrier; 4] = [Carrier::ApiKey, Carrier::Bearer, Carrier::Cookie, Carrier::Query];

/// What somebody has who comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Right {
    Nothing,
    Visit,
    Talk,
    Administer,
}

/// Keys that were named at the start and keys that were made by command, with the right of each.
const KEYS: [(&str, Right); 6] = [
    (KEY, Right::Talk),
    (ADMIN_KEY, Right::Administer),
    ("made-to-talk", Right::Talk),
    ("made-to-administer", Right::Administer),
    ("made-for-visitors", Right::Visit),
    ("wrong", Right::Nothing),
];

async fn routes_with_made_keys(folder: &Path) -> Routes {
    let ring = KeyRing::open(folder).expect("the keys");
    let made =
        [("made-to-talk", "chat"), ("made-to-administer", "admin"), ("made-for-visitors", "embed")];
    for (key, scope) in made {
        let terms = KeyTerms { scope: scope.into(), ..KeyTerms::default() };
        let hash = SecretHash(KeyHash::of(key).bytes());
        ring.add(key, hash, &terms).expect("a new name");
    }
    let store = StoreConfig::new(Place::Folder(folder.to_owned()));
    let store = Store::open(store).expect("a store");
    let slot = filled(ScriptedBackend::default());
    let config = ServerConfig { max_wrong_keys_per_minute: u32::MAX, ..config() };
    let routes = routes_with(store, slot, config);
    routes.http.access.restore(&routes.http.store).await.expect("the store works");
    routes
}

/// The cookie for a key, or the status of the refusal.
async fn sign_in(routes: &Routes, key: &str) -> Result<String, u16> {
    let body = serde_json::json!({ "key": key }).to_string();
    let response = ask(&Method::POST, "/api/session").sending(body).answer(routes).await;
    let cookie = response.headers().get(header::SET_COOKIE).ok_or(response.status().as_u16())?;
    let pair = cookie.to_str().expect("ASCII").split(';').next().expect("a pair");
    Ok(pair.to_owned())
}

/// A request that shows a key; `None` if the key cannot be carried so.
async fn showing(routes: &Routes, ask: Ask, carrier: Carrier, key: &str) -> Option<Ask> {
    Some(match carrier {
        Carrier::ApiKey => ask.with("x-api-key", key),
        Carrier::Bearer => ask.with("authorization", format!("Bearer {key}")),
        // A new one for each request: one of the rows signs out.
        Carrier::Cookie => {
            let cookie = sign_in(routes, key).await.ok()?;
            ask.with("cookie", cookie)
        }
        Carrier::Query => Ask { path: format!("{}?key={key}", ask.path), ..ask },
    })
}

/// A request of a row. Those that could open a WebSocket ask for one.
fn ask_row(row: &routes::Route) -> Ask {
    let ask = ask(&row.method, row.path);
    if row.method != Method::GET {
        return ask;
    }
    ask.with("connection", "upgrade")
        .with("upgrade", "websocket")
        .with("sec-websocket-version", "13")
        .with("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

/// The refusal that a row has for somebody with this right; `None` if it lets in.
fn refusal(level: AccessLevel, right: Right) -> Option<u16> {
    match (level, right) {
        (AccessLevel::Probe | AccessLevel::Public, _) => None,
        (_, Right::Nothing) => Some(401),
        // The plain language is not for visitors.
        (AccessLevel::User | AccessLevel::Socket | AccessLevel::Admin, Right::Visit) => Some(403),
        (AccessLevel::Admin, Right::Talk) => Some(403),
        (AccessLevel::User | AccessLevel::Socket, Right::Talk) => None,
        (_, Right::Administer) => None,
    }
}

#[tokio::test]
async fn a9_every_carrier_of_a_key_gives_the_same_right_on_every_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let routes = routes_with_made_keys(folder.path()).await;
    for row in ROUTES {
        for (key, right) in KEYS {
            let mut first = None;
            for carrier in CARRIERS {
                let Some(ask) = showing(&routes, ask_row(row), carrier, key).await else {
                    assert!(right < Right::Talk, "{key} opens no session");
                    continue;
                };
                let case = format!("{} {} {key} {carrier:?}", row.method, row.path);
                let status = ask.status(&routes).await;
                // In the address of another route a key counts for nothing.
                let counts = carrier != Carrier::Query || row.level == AccessLevel::Socket;
                let right = if counts { right } else { Right::Nothing };
                match refusal(row.level, right) {
                    Some(refusal) => assert_eq!(status, refusal, "{case}"),
                    None => assert!(![401, 403, 421].contains(&status), "{case}: {status}"),
                }
                if counts {
                    assert_eq!(status, *first.get_or_insert(status), "{case}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a9_a_session_is_opened_by_keys_of_people_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let routes = routes_with_made_keys(folder.path()).await;
    for (key, right) in KEYS {
        let refused = sign_in(&routes, key).await.err();
        let expected = match right {
            Right::Nothing => Some(401),
            Right::Visit => Some(403),
            Right::Talk | Right::Administer => None,
        };
        assert_eq!(refused, expected, "{key}");
    }
}

/// Ways to guess: each carrier of a key, the two ways to sign in, and the first event of a socket.
const WAYS: [&str; 6] = ["x-api-key", "bearer", "query", "session key", "session code", "hello"];

/// Tries a key in one of the ways, with further credentials that are none, and returns the status.
/// The network between client and server is left out; `hello` goes where its key is checked.
async fn try_key(routes: &Routes, way: &str, key: &str, peer: &'static str) -> u16 {
    let get = |path: &str| Ask { peer, ..ask(&Method::GET, path) };
    let sign_in = |body: serde_json::Value| {
        let ask = Ask { peer, ..ask(&Method::POST, "/api/session") };
        ask.sending(body.to_string())
    };
    let ask = match way {
        "x-api-key" => get("/v1/models").with("x-api-key", key).with("authorization", "Basic YTpi"),
        "bearer" => get("/api/info").with("authorization", format!("Bearer {key}")),
        "query" => get(&format!("/ws?junk=1&key={key}")),
        "session key" => sign_in(serde_json::json!({ "key": key })),
        "session code" => sign_in(serde_json::json!({ "code": key })),
        _ => {
            let peer = peer.parse().expect("an address");
            let uri = Uri::from_static("/ws");
            let local = "192.0.2.7".parse().expect("an address");
            let headers = HeaderMap::new();
            let view = RequestView { peer, local, uri: &uri, headers: &headers };
            let access = &routes.http.access;
            let admitted =
                access.admit_key(access.rate_key(&view), key, &crate::access::Sender::Program);
            return admitted.map_or_else(|denial| denial.words().0.as_u16(), |_| 200);
        }
    };
    let junk = "__Secure-banter_session=junk; __Secure-banter_session=aaaaaaaaaaaaaaaaaaaaaaaaaa";
    ask.with("cookie", junk).status(routes).await
}

#[tokio::test(start_paused = true)]
async fn a8_ten_thousand_guesses_in_every_way_have_the_tries_of_one_address() {
    const GUESSES: usize = 10_000;
    let routes = routes(ServerConfig { max_wrong_keys_per_minute: 20, ..config() });
    let (guesser, other) = ("203.0.113.5", "203.0.113.6");
    let mut looked_at = 0;
    for number in 0..GUESSES {
        let way = WAYS[number % WAYS.len()];
        let status = try_key(&routes, way, &format!("guess{number}"), guesser).await;
        assert!([401, 429].contains(&status), "{way}: {status}");
        looked_at += usize::from(status == 401);
    }
    assert_eq!(looked_at, 20);
    for way in WAYS {
        assert_eq!(try_key(&routes, way, KEY, guesser).await, 429, "{way}: even the right key");
        let from_another = try_key(&routes, way, KEY, other).await;
        // A key is no code, and `/ws` is asked for without a handshake.
        let expected = match way {
            "session code" => 401,
            "session key" => 204,
            "query" => 426,
            _ => 200,
        };
        assert_eq!(from_another, expected, "{way}");
    }
    let two = ask(&Method::GET, "/api/info").with("x-api-key", "a").with("x-api-key", KEY);
    assert_eq!(two.status(&routes).await, 400, "a second key does not get around the count");
}

#[tokio::test(start_paused = true)]
async fn a8_each_way_to_guess_uses_up_the_tries_of_all_others() {
    for guessed in WAYS {
        let routes = routes(ServerConfig { max_wrong_keys_per_minute: 3, ..config() });
        for number in 0..3 {
            let guess = format!("guess{number}");
            assert_eq!(try_key(&routes, guessed, &guess, "203.0.113.5").await, 401, "{guessed}");
        }
        for way in WAYS {
            let right = try_key(&routes, way, KEY, "203.0.113.5").await;
            assert_eq!(right, 429, "guessed by {guessed}, shown by {way}");
        }
    }
}
