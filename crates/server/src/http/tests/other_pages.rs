//! Every route against pages of other sites: what they send has no effect, and what they may read
//! is never what somebody's cookie opens.

use super::watched::{Asked, Watched};
use super::*;
use crate::http::assets;
use axum::http::StatusCode;

const WIKI: &str = "https://wiki.example";

/// What a browser says of a page that is neither ours nor allowed.
const FOREIGN: [&[(&str, &str)]; 9] = [
    &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
    // An old browser.
    &[("origin", "https://evil.example")],
    // A page from disk, in a sandbox, or after a redirection.
    &[("origin", "null"), ("sec-fetch-site", "cross-site")],
    &[("origin", "null")],
    // Another server on the same machine or in the same domain.
    &[("origin", "http://localhost:3000"), ("sec-fetch-site", "same-site")],
    &[("origin", "https://localhost:7860"), ("sec-fetch-site", "same-site")],
    &[("origin", "https://evil.chat.example"), ("sec-fetch-site", "same-site")],
    // The address that leads here without being ours.
    &[("origin", "http://0.0.0.0:7860")],
    &[("origin", "https://evil.example"), ("origin", "http://localhost:7860")],
];

/// Kinds of bodies that a form, or a script without asking first, can send.
const SIMPLE: [&str; 3] =
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"];

/// Rows that read no body, so its kind does not matter.
const WITHOUT_BODY: [(&str, &str); 1] = [("POST", "/v1/responses/{id}/cancel")];

fn watched() -> (Routes, Asked) {
    let backend = Watched::default();
    let asked = backend.asked();
    (routes_in_front_of(filled(backend), config()), asked)
}

/// The rows that are not only read.
fn changing() -> impl Iterator<Item = &'static routes::Route> {
    ROUTES.iter().filter(|row| row.method != Method::GET)
}

/// The body that a row takes.
fn body_of(row: &routes::Route) -> &'static str {
    let described =
        DESCRIBED.iter().find(|described| described.is_about(row.method.as_str(), row.path));
    described.and_then(|described| described.example).unwrap_or("")
}

fn sending(row: &routes::Route, kind: Option<&str>) -> Ask {
    let ask = Ask { body: body_of(row).to_owned(), ..ask(&row.method, row.path) };
    match kind {
        Some(kind) => ask.with("content-type", kind),
        None => ask,
    }
}

impl Ask {
    fn with_all(self, headers: &[(&'static str, &'static str)]) -> Ask {
        headers.iter().fold(self, |ask, (name, value)| ask.with(name, value))
    }
}

/// The cookie of a browser that has signed in with a key, at the public address.
async fn cookie_of(routes: &Routes, key: &str) -> String {
    let body = serde_json::json!({ "key": key }).to_string();
    let signed_in = ask(&Method::POST, "/api/session").sending(body).answer(routes).await;
    let cookie = signed_in.headers()[header::SET_COOKIE].to_str().expect("ASCII").to_owned();
    cookie.split(';').next().expect("a pair").to_owned()
}

/// Whether nothing of anybody is on the server.
async fn expect_untouched(routes: &Routes) {
    let everybody = [
        ask(&Method::GET, "/api/conversations").locally(),
        ask(&Method::GET, "/api/conversations").with("x-api-key", KEY),
        ask(&Method::GET, "/api/conversations").with("x-api-key", ADMIN_KEY),
    ];
    for ask in everybody {
        let list = text(ask.answer(routes).await).await;
        assert!(list.contains(r#""conversations":[]"#), "{list}");
    }
    let server = text(ask(&Method::GET, "/api/admin").locally().answer(routes).await).await;
    assert!(server.contains(r#""answers":[]"#), "{server}");
}

#[tokio::test]
async fn a3_nothing_that_a_foreign_page_sends_has_an_effect() {
    let (routes, asked) = watched();
    let cookie = cookie_of(&routes, ADMIN_KEY).await;
    for row in changing() {
        let json = Some("application/json");
        for kind in SIMPLE.map(Some).into_iter().chain([None, json]) {
            let ask = || sending(row, kind);
            let senders = [
                ask().locally(),
                ask().with("cookie", &cookie),
                ask().with("x-api-key", ADMIN_KEY),
                ask(),
            ];
            for (sender, page) in
                senders.iter().flat_map(|sender| FOREIGN.map(|page| (sender, page)))
            {
                let response = sender.clone().with_all(page).answer(&routes).await;
                let case = format!("{} {} {kind:?} {page:?}", row.method, row.path);
                assert_eq!(response.status(), StatusCode::FORBIDDEN, "{case}");
                assert!(!response.headers().contains_key(header::SET_COOKIE), "{case}");
            }
        }
    }
    assert_eq!(asked.times(), 0, "no generation was begun, and nothing was counted");
    expect_untouched(&routes).await;
    // Nobody was signed out by any of it.
    let mine = ask(&Method::GET, "/api/admin").with("cookie", &cookie);
    assert_eq!(mine.status(&routes).await, 200);
}

#[tokio::test]
async fn a3_requests_without_an_origin_that_a_foreign_page_causes_have_no_effect() {
    let (routes, asked) = watched();
    let needs_a_right = |level| !matches!(level, AccessLevel::Probe | AccessLevel::Public);
    for row in ROUTES.iter().filter(|row| needs_a_right(row.level)) {
        for site in ["cross-site", "same-site"] {
            for kind in [None, Some("text/plain")] {
                let ask = sending(row, kind).locally().with("sec-fetch-site", site);
                assert_eq!(ask.status(&routes).await, 403, "{} {} {site}", row.method, row.path);
            }
        }
    }
    assert_eq!(asked.times(), 0);
    expect_untouched(&routes).await;
}

#[tokio::test]
async fn a3_a_body_that_a_form_could_send_has_no_effect_even_from_a_page_that_is_let_in() {
    let (routes, asked) = watched();
    for row in changing().filter(|row| !body_of(row).is_empty()) {
        if WITHOUT_BODY.contains(&(row.method.as_str(), row.path)) {
            continue;
        }
        for kind in SIMPLE.map(Some).into_iter().chain([None]) {
            let case = format!("{} {} {kind:?}", row.method, row.path);
            let own = sending(row, kind).locally().with("origin", "http://localhost:7860");
            assert_eq!(own.status(&routes).await, 415, "{case}");
            let refused = match (row.level, row.path) {
                (AccessLevel::Admin, _) | (_, "/api/session/link") => 403,
                _ => 415,
            };
            let wiki = sending(row, kind).locally().with("origin", WIKI);
            assert_eq!(wiki.status(&routes).await, refused, "{case}");
        }
    }
    assert_eq!(asked.times(), 0);
    expect_untouched(&routes).await;
}

/// Without this the tests above could pass because nothing ever has an effect.
#[tokio::test]
async fn a3_the_same_requests_of_our_own_page_have_an_effect() {
    let (routes, asked) = watched();
    let of_interfaces = changing().filter(|row| row.path.starts_with("/v1/"));
    let more = ["/tokenize", "/api/chat", "/api/generate", "/api/embed", "/api/embeddings"];
    let of_ollama = changing().filter(|row| more.contains(&row.path));
    let mut count = 0;
    for row in of_interfaces.chain(of_ollama).filter(|row| !row.path.contains('{')) {
        let before = asked.times();
        let own = sending(row, Some("application/json")).locally();
        let response = own.with("origin", "http://localhost:7860").answer(&routes).await;
        // The scripted backend is asked, but has no tokens of a conversation.
        let expected = if row.path.ends_with("/count_tokens") { 501 } else { 200 };
        assert_eq!(response.status(), expected, "{}", row.path);
        text(response).await;
        assert!(asked.times() > before, "{}", row.path);
        count += 1;
    }
    assert!(count >= 10, "{count}");
}

#[tokio::test]
async fn a4_no_response_lets_a_page_read_what_a_cookie_opens() {
    let routes = routes(config());
    let files = assets::names().map(|name| format!("/{name}"));
    let rows = ROUTES.iter().map(|row| row.path.to_owned());
    let paths = rows.chain(files).chain(["/".into(), "/nothing".into(), "/talk".into()]);
    let origins = [
        None,
        Some("http://localhost:7860"),
        Some("https://chat.example"),
        Some("https://evil.example"),
        Some("https://wiki.example.evil"),
        Some("null"),
        Some(WIKI),
    ];
    for path in paths {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE, Method::OPTIONS] {
            for origin in origins {
                let ask = || {
                    let ask = ask(&method, &path).with("access-control-request-method", "POST");
                    origin.map_or(ask.clone(), |origin| ask.with("origin", origin))
                };
                let here = ask().locally();
                let with_key = ask().with("x-api-key", KEY);
                let elsewhere = ask().to("evil.example");
                for ask in [here, with_key, ask(), elsewhere] {
                    let case = format!("{method} {path} {origin:?} {:?}", ask.headers[0]);
                    check_sharing(&ask.answer(&routes).await, origin, &case);
                }
            }
        }
    }
}

fn check_sharing(response: &Response<Body>, origin: Option<&str>, case: &str) {
    let headers = response.headers();
    let credentials = headers.get(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
    assert_eq!(credentials, None, "{case}");
    let allowed: Vec<_> = headers.get_all(header::ACCESS_CONTROL_ALLOW_ORIGIN).iter().collect();
    // A refusal by the host names nobody either.
    let is_named = origin == Some(WIKI) && allowed == [WIKI];
    assert!(allowed.is_empty() || is_named, "{case}: {allowed:?}");
    let varies = headers.get_all(header::VARY).iter().any(|vary| vary == "origin");
    assert!(varies, "{case}: a cache could give it to another page");
    if response.status().is_success() && origin == Some(WIKI) {
        assert!(is_named, "{case}: the page that is allowed may read it");
    }
}
