//! The table of routes against everyone who may come, without a network in between.
//!
//! Each of these walks over the table, so a new route is in them without a word: `hosts` (names
//! that are not ours), `other_pages` (pages of other sites), `carriers` (the ways to show a key).

mod carriers;
mod hosts;
mod other_pages;
mod watched;

use super::openapi::{self, DESCRIBED};
use super::routes::{ROUTES, Target};
use super::*;
use crate::accept::one_permit;
use crate::access::{KeyHash, Origin, PublicUrl, SessionLimits, Sessions};
use crate::backend::{BackendSlot, ScriptedBackend};
use crate::config::ServerConfig;
use crate::metrics::Metrics;
use crate::server::Running;
use crate::well_known::WellKnown;
use axum::body::to_bytes;
use banter_seam::Backend;
use banter_store::{Place, Store, StoreConfig};
use std::net::IpAddr;

const KEY: &str = "the-key";
const ADMIN_KEY: &str = "the-admin-key";
const ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaa";

fn routes(config: ServerConfig) -> Routes {
    routes_in_front_of(filled(ScriptedBackend::default()), config)
}

fn filled(backend: impl Backend) -> BackendSlot {
    let slot = BackendSlot::default();
    slot.fill(backend);
    slot
}

fn routes_in_front_of(slot: BackendSlot, config: ServerConfig) -> Routes {
    let store = Store::open(StoreConfig::new(Place::Memory)).expect("a store");
    routes_with(store, slot, config)
}

fn routes_with(store: Store, slot: BackendSlot, config: ServerConfig) -> Routes {
    let sessions = Arc::new(Sessions::new(SessionLimits { total: 16, per_key: 4 }));
    let access = Access::new(config.access_rules(vec![7860]), sessions);
    let running =
        Running::new(&config, slot, Arc::new(store), Metrics::new(None), access.made().clone());
    Routes::new(Arc::new(running.http(Arc::new(config), Arc::new(access), None)))
}

fn config() -> ServerConfig {
    ServerConfig {
        public_urls: vec![PublicUrl::parse("https://chat.example/talk/").expect("url")],
        allow_origins: vec![Origin::parse("https://wiki.example").expect("origin")],
        keys: vec![KeyHash::of(KEY)],
        admin_keys: vec![KeyHash::of(ADMIN_KEY)],
        // Strangers try often here.
        max_wrong_keys_per_minute: 1_000,
        ..ServerConfig::default()
    }
}

/// A request; what is not said is what a stranger's program sends.
#[derive(Clone)]
struct Ask {
    method: Method,
    path: String,
    headers: Vec<(&'static str, HeaderValue)>,
    peer: &'static str,
    admission: Admission,
    body: String,
}

fn ask(method: &Method, path: &str) -> Ask {
    Ask {
        method: method.clone(),
        path: path
            // The engine numbers its answers.
            .replace("/answers/{id}", "/answers/1")
            // Any other part that stands for something is an id.
            .replace("{id}", ID)
            .replace("{message}", ID),
        headers: vec![("host", HeaderValue::from_static("chat.example"))],
        peer: "203.0.113.5",
        admission: Admission::Welcome,
        body: String::new(),
    }
}

impl Ask {
    fn with(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Ask {
        self.headers.push((name, header_value(value)));
        self
    }

    fn to(mut self, host: impl AsRef<[u8]>) -> Ask {
        self.headers[0] = ("host", header_value(host));
        self
    }

    /// From this machine, by its own name.
    fn locally(self) -> Ask {
        Ask { peer: "127.0.0.1", ..self }.to("localhost:7860")
    }

    /// With a body of JSON.
    fn sending(self, body: impl Into<String>) -> Ask {
        Ask { body: body.into(), ..self }.with("content-type", "application/json")
    }

    async fn answer(self, routes: &Routes) -> Response<Body> {
        let mut request = Request::builder().method(self.method).uri(self.path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(self.body)).expect("a request");
        let peer: IpAddr = self.peer.parse().expect("an address");
        let local = if peer.is_loopback() { "127.0.0.1" } else { "192.0.2.7" };
        let local = local.parse().expect("an address");
        let permit = Arc::new(one_permit(peer, local));
        let connection =
            Connection { peer, local, lacks_https: false, admission: self.admission, permit };
        routes.answer(request, connection).await
    }

    async fn status(self, routes: &Routes) -> u16 {
        self.answer(routes).await.status().as_u16()
    }
}

fn header_value(value: impl AsRef<[u8]>) -> HeaderValue {
    HeaderValue::from_bytes(value.as_ref()).expect("a header value")
}

async fn text(response: Response<Body>) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[tokio::test]
async fn every_route_asks_for_what_its_row_says() {
    let routes = routes(config());
    for route in ROUTES {
        let row = format!("{} {}", route.method, route.path);
        let (method, path) = (&route.method, route.path);
        let ask = || ask(method, path);
        let is_let_in = |status: u16| ![401, 403, 421].contains(&status);
        let stranger = ask().status(&routes).await;
        let by_address = ask().to("198.51.100.1").status(&routes).await;
        let user = ask().with("x-api-key", KEY).status(&routes).await;
        let admin = ask().with("x-api-key", ADMIN_KEY).status(&routes).await;
        let here = ask().locally().status(&routes).await;
        let guesser = ask().with("x-api-key", "guess").status(&routes).await;
        assert!(is_let_in(here) && is_let_in(admin), "{row}: {here} {admin}");
        match route.level {
            AccessLevel::Probe => assert_eq!([stranger, by_address, user], [200; 3], "{row}"),
            AccessLevel::Public => {
                assert!(is_let_in(stranger) && is_let_in(guesser) && is_let_in(user), "{row}");
                assert_eq!(by_address, 421, "{row}");
            }
            AccessLevel::User | AccessLevel::Socket => {
                assert_eq!([stranger, guesser, by_address], [401, 401, 421], "{row}");
                assert!(is_let_in(user), "{row}: {user}");
            }
            AccessLevel::Admin => {
                assert_eq!([stranger, guesser, by_address, user], [401, 401, 421, 403], "{row}");
            }
        }
    }
}

#[tokio::test]
async fn a_path_has_no_other_methods_than_its_rows() {
    let routes = routes(config());
    let methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW"];
    for route in ROUTES {
        for name in methods {
            let method = Method::from_bytes(name.as_bytes()).expect("a method");
            let is_row = ROUTES.iter().any(|row| row.path == route.path && row.method == method);
            let response = ask(&method, route.path).locally().answer(&routes).await;
            assert_eq!(response.status() == 405, !is_row, "{method} {}", route.path);
            if !is_row {
                let allowed = response.headers()[header::ALLOW].to_str().expect("ASCII");
                assert!(allowed.contains(route.method.as_str()), "{allowed}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_in_no_row_does_not_exist() {
    let routes = routes(config());
    let unknown =
        ["/api", "/api/", "/api/infos", "/api/secrets", "/v1", "/v1/model", "/ws/", "//ws"];
    for path in unknown {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            assert_eq!(ask(&method, path).locally().status(&routes).await, 404, "{path}");
            assert_eq!(ask(&method, path).status(&routes).await, 404, "{path}, told nothing");
        }
    }
    assert_eq!(ask(&Method::GET, "/").status(&routes).await, 200);
    assert_eq!(ask(&Method::HEAD, "/chat.html").status(&routes).await, 200);
    assert_eq!(ask(&Method::POST, "/").status(&routes).await, 405);
}

#[test]
fn every_row_is_described_once_and_nothing_else_is() {
    for route in ROUTES {
        let count = DESCRIBED
            .iter()
            .filter(|described| described.is_about(route.method.as_str(), route.path))
            .count();
        assert_eq!(count, 1, "{} {}", route.method, route.path);
    }
    assert_eq!(DESCRIBED.len(), ROUTES.len());
    let rows = ROUTES.iter().map(|route| (route.method.as_str(), route.path, route.level));
    let document = openapi::document(rows);
    let operations = document["paths"].as_object().expect("paths").values();
    let operations: usize = operations.map(|path| path.as_object().map_or(0, |of| of.len())).sum();
    assert_eq!(operations, ROUTES.len());
    let (whole, schemas) = (document.to_string(), &document["components"]["schemas"]);
    for reference in whole.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().expect("it ends");
        assert!(schemas[name].is_object(), "{name} is no schema");
    }
}

#[tokio::test]
async fn the_described_bodies_are_taken() {
    let routes = routes(config());
    for described in DESCRIBED {
        let Some(example) = described.example else { continue };
        let route = ROUTES
            .iter()
            .find(|route| described.is_about(route.method.as_str(), route.path))
            .expect("a row");
        let status =
            ask(&route.method, route.path).locally().sending(example).status(&routes).await;
        // What depends on the server: wrong keys, conversations and responses that are not there,
        // files without conversations, and no models.
        let depends = ["session", "{id}", "import", "/api/models"];
        let depends = depends.iter().any(|part| route.path.contains(part));
        // The scripted backend has no tokenizer.
        let is_taken = (200..300).contains(&status) || status == 501;
        assert!(depends || is_taken, "{} {status}", route.path);
    }
}

#[test]
fn no_row_stands_twice() {
    for (index, route) in ROUTES.iter().enumerate() {
        let same =
            |other: &&routes::Route| (&other.method, other.path) == (&route.method, route.path);
        assert_eq!(ROUTES.iter().filter(same).count(), 1, "row {index}");
        let found = Target::find(&route.method, route.path, |_| false);
        assert_eq!(found, Target::Route(route.level));
    }
}

#[tokio::test]
async fn probes_are_answered_by_any_host_even_when_the_server_is_full() {
    let routes = routes(config());
    for path in ["/health", "/ready", "/talk/health"] {
        for host in ["10.1.2.3:7860", "evil.example", "", "a b", "localhost"] {
            for admission in [Admission::Welcome, Admission::Full, Admission::AddressFull] {
                let probe = Ask { admission, ..ask(&Method::GET, path).to(host) };
                let response = probe.answer(&routes).await;
                assert_eq!(response.status(), 200, "{path} {host}");
                let closes = response.headers().contains_key(header::CONNECTION);
                assert_eq!(closes, admission != Admission::Welcome, "{path} {host}");
            }
        }
        let without_host = Ask { headers: Vec::new(), ..ask(&Method::GET, path) };
        assert_eq!(without_host.status(&routes).await, 200, "{path}");
        let foreign = ask(&Method::GET, path).with("origin", "https://evil.example");
        assert_eq!(foreign.status(&routes).await, 403, "{path}");
    }
}

#[tokio::test]
async fn strangers_learn_a_state_and_nothing_of_the_engine() {
    let slot = BackendSlot::default();
    let reason = "the engine: http://10.0.0.9:8000 has the certificate of gpu.internal";
    slot.set_unreachable(reason.into());
    let config = ServerConfig { insecure: true, keys: Vec::new(), ..config() };
    let routes = routes_in_front_of(slot, config);
    let ready = || ask(&Method::GET, "/ready");
    let strangers = [
        ready(),
        ready().to("10.1.2.3"),
        ready().locally().with("x-forwarded-for", "203.0.113.5"),
        ready().locally().with("origin", "https://wiki.example"),
        ready().locally().to("evil.example"),
    ];
    for stranger in strangers {
        let response = stranger.answer(&routes).await;
        assert_eq!(response.status(), 503);
        assert_eq!(text(response).await, r#"{"status":"unreachable"}"#);
    }
    assert!(text(ready().locally().answer(&routes).await).await.contains(reason));
}

#[tokio::test]
async fn only_who_sits_before_this_machine_learns_where_the_program_lies() {
    let command = "/home/alice/bin/banter serve --model qwen2.5:7b";
    let config = ServerConfig { insecure: true, keys: Vec::new(), ..config() };
    let routes = routes(ServerConfig { real_model_command: command.into(), ..config });
    let info = || ask(&Method::GET, "/api/info");
    let others = [
        info(),
        info().with("x-api-key", ADMIN_KEY),
        info().locally().with("via", "proxy"),
        info().locally().with("origin", "https://wiki.example"),
    ];
    for other in others {
        let said = text(other.answer(&routes).await).await;
        assert!(said.contains("\"banter serve --model qwen2.5:7b\""), "{said}");
    }
    assert!(text(info().locally().answer(&routes).await).await.contains(command));
}

#[tokio::test]
async fn a_person_reads_why_and_what_to_do_and_a_program_gets_json() {
    let routes = routes(config());
    let page = "text/html,application/xhtml+xml,*/*;q=0.8";
    let cases = [
        (ask(&Method::GET, "/").to("10.1.2.3:7860"), 421, "--public-url", "此地址未开放"),
        (ask(&Method::GET, "/api/info"), 401, "enter the key", "需要密钥"),
        (ask(&Method::GET, "/metrics"), 401, "enter the key", "需要密钥"),
        (
            ask(&Method::GET, "/").with("origin", "https://evil.example"),
            403,
            "--allow-origin",
            "您来自的网页",
        ),
        (ask(&Method::GET, "/nothing"), 404, "start page", "这里什么也没有"),
        (ask(&Method::GET, "/talk/nothing"), 404, "start page", "这里什么也没有"),
    ];
    for (ask, status, english, chinese) in cases {
        for (languages, words) in [("en-GB", english), ("zh-CN,zh;q=0.9,en;q=0.8", chinese)] {
            let person = ask.clone().with("accept", page).with("accept-language", languages);
            let response = person.answer(&routes).await;
            assert_eq!(response.status(), status);
            let kind = response.headers()[header::CONTENT_TYPE].clone();
            assert_eq!(kind, "text/html; charset=utf-8", "{words}");
            let said = text(response).await;
            assert!(said.contains(words), "{said}");
            for secret in ["chat.example", "wiki.example", "banter"] {
                assert!(!said.contains(secret), "{secret} in {said}");
            }
        }
        let response = ask.with("accept", "*/*").answer(&routes).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    }
    let api = ask(&Method::GET, "/talk/api/nothing").with("accept", page);
    let response = api.answer(&routes).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
}

#[tokio::test]
async fn a_folder_without_its_slash_leads_to_it_with_its_query() {
    let routes = routes(config());
    for (path, location) in [("/talk", "./talk/"), ("/talk?q=a%20b&c", "./talk/?q=a%20b&c")] {
        let response = ask(&Method::GET, path).answer(&routes).await;
        assert_eq!(response.status(), 308);
        assert_eq!(response.headers()[header::LOCATION], location);
    }
}

#[tokio::test]
async fn requests_that_another_page_embeds_make_no_work() {
    let routes = routes(config());
    for path in ["/api/models", "/api/info", "/metrics"] {
        let here = || ask(&Method::GET, path).locally();
        for site in ["cross-site", "same-site"] {
            assert_eq!(here().with("sec-fetch-site", site).status(&routes).await, 403, "{path}");
            let allowed =
                here().with("sec-fetch-site", site).with("origin", "https://wiki.example");
            assert_ne!(allowed.status(&routes).await, 403, "{path}");
        }
        for site in ["same-origin", "none"] {
            assert_ne!(here().with("sec-fetch-site", site).status(&routes).await, 403, "{path}");
        }
    }
    let link = ask(&Method::GET, "/").locally().with("sec-fetch-site", "cross-site");
    assert_eq!(link.status(&routes).await, 200, "a link to the page leads there");
}

#[test]
fn names_that_the_server_uses_itself_are_known() {
    let own =
        ["index.html", "chat.html", "embed.js", "embed", "ws", "ready", "api", "v1", "assets"];
    for name in own {
        assert!(super::is_own_name(name), "{name}");
    }
    for name in ["WW_verify_0a1b.txt", "index.htm", "apis", "html", "embed.txt"] {
        assert!(!super::is_own_name(name), "{name}");
    }
}

#[tokio::test]
async fn a_file_of_the_operator_is_at_the_root_as_plain_text() {
    let well_known = vec![
        WellKnown::new("WW_verify_a.txt", "<b>proof</b>".into()).expect("a file"),
        WellKnown::new("index.html", "not this one".into()).expect("a file"),
    ];
    let routes = routes(ServerConfig { well_known, ..config() });
    let proof = ask(&Method::GET, "/WW_verify_a.txt").answer(&routes).await;
    let kind = proof.headers()[header::CONTENT_TYPE].to_str().expect("ASCII").to_owned();
    assert_eq!((proof.status().as_u16(), kind.as_str()), (200, "text/plain; charset=utf-8"));
    assert_eq!(proof.headers()["x-content-type-options"], "nosniff");
    assert_eq!(text(proof).await, "<b>proof</b>");
    let page = text(ask(&Method::GET, "/index.html").answer(&routes).await).await;
    assert!(page.contains("<!doctype html>"), "the server's own files come first");
    for path in ["/ww_verify_a.txt", "/.well-known/WW_verify_a.txt", "//WW_verify_a.txt"] {
        assert_eq!(ask(&Method::GET, path).status(&routes).await, 404, "{path}");
    }
    assert_eq!(ask(&Method::POST, "/WW_verify_a.txt").status(&routes).await, 405);
    assert_eq!(ask(&Method::GET, "/talk/WW_verify_a.txt").status(&routes).await, 200);
}

#[tokio::test]
async fn the_widgets_script_may_be_loaded_anywhere_and_is_asked_for_again() {
    let routes = routes(config());
    let script = ask(&Method::GET, "/embed.js").answer(&routes).await;
    assert_eq!(script.status(), 200);
    assert_eq!(script.headers()["cross-origin-resource-policy"], "cross-origin");
    assert_eq!(script.headers()[header::CACHE_CONTROL], "no-cache");
    assert!(script.headers().contains_key(header::ETAG));
    let page = ask(&Method::GET, "/").answer(&routes).await;
    assert_eq!(page.headers()["cross-origin-resource-policy"], "same-origin");
}
