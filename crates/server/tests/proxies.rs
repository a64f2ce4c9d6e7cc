//! The real nginx and Caddy in front of the server, with the files of `examples/proxy`.
//!
//! An answer that is scripted as `dropped-hang 0 hello` says "hello" and then never ends. So what a
//! client reads of it can only have come piece by piece.

mod support;

use banter_server::ServerConfig;
use futures_util::future::{self, join_all};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::certificate::Encrypted;
use support::raw::Response;
use support::reverse_proxy::{
    Ask, CLIENT, KEY, OTHER_CLIENT, Program, Proxied, SITES, Site, read_until, with_key,
};
use support::{Client, patiently, refused_status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

const ENDLESS: &str = "dropped-hang 0 hello";

/// The next event of `banter.v1` of a type.
async fn event(client: &mut Client<Encrypted>, name: &str) -> Value {
    loop {
        let event: Value = serde_json::from_str(&client.frame().await).expect("JSON");
        assert!(event["type"] != "error", "{event}");
        if event["type"] == name {
            return event;
        }
    }
}

#[tokio::test]
async fn the_page_and_all_its_files_load() {
    for site in SITES {
        let proxied = Proxied::start(site).await;
        let page = proxied.get("/", "").await;
        assert_eq!(page.status, 200, "{site:?}: {}", page.body);
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; "),
            "{site:?}: {policy}"
        );
        for link in links(&page.body) {
            assert!(link.starts_with("./"), "{site:?}: {link} leaves the path of the page");
            let file = proxied.get(&link[1..], "").await;
            assert_eq!(file.status, 200, "{site:?}: {link}");
        }
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        for path in files_in(&assets) {
            let name = path.strip_prefix(&assets).expect("it is in there").display();
            let file = proxied.get(&format!("/{name}"), "").await;
            assert_eq!(file.status, 200, "{site:?}: {name}");
            let content = fs::read(&path).expect("it can be read");
            assert!(file.body == String::from_utf8_lossy(&content), "{site:?}: {name} differs");
        }
    }
}

/// The addresses in a page of ours.
fn links(page: &str) -> Vec<String> {
    let attributes = ["src=\"", "href=\""];
    let of = |attribute| {
        page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next().map(str::to_owned))
    };
    let links: Vec<String> = attributes.into_iter().flat_map(of).collect();
    assert!(links.len() > 3, "{page}");
    links
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("one").path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_socket_gets_its_answer_piece_by_piece_and_stops_it() {
    for site in SITES {
        let proxied = Proxied::start(site).await;
        let v1 = [("sec-websocket-protocol", "banter.v1")];
        let mut client = proxied.client(&v1).await.expect("a handshake");
        client.send(json!({ "type": "hello" }).to_string()).await;
        event(&mut client, "welcome").await;
        let send = json!({ "type": "send", "text": ENDLESS, "client_id": "1" });
        client.send(send.to_string()).await;
        let answer = event(&mut client, "accepted").await["answer"].clone();
        assert_eq!(event(&mut client, "delta").await["text"], "hello", "{site:?}");
        assert_eq!(proxied.server.running(), 1, "{site:?}");
        client.send(json!({ "type": "stop", "answer": answer }).to_string()).await;
        assert_eq!(event(&mut client, "finished").await["state"], "stopped", "{site:?}");
        proxied.server.is_idle().await;
    }
}

#[tokio::test]
async fn a_socket_that_is_closed_stops_its_answer() {
    for site in SITES {
        let proxied = Proxied::start(site).await;
        let mut client = proxied.client(&[]).await.expect("a handshake");
        client.ask(ENDLESS).await;
        assert_eq!(client.frame().await, "hello", "{site:?}");
        assert_eq!(proxied.server.running(), 1, "{site:?}");
        drop(client);
        proxied.server.is_idle().await;
    }
}

#[tokio::test]
async fn streams_of_programs_are_not_held_back_and_end_with_their_connection() {
    let messages = json!([{ "role": "user", "content": ENDLESS }]);
    let streams = [
        ("/v1/chat/completions", json!({ "messages": messages, "stream": true })),
        ("/v1/responses", json!({ "model": "scripted", "input": ENDLESS, "stream": true })),
        (
            "/v1/messages",
            json!({ "model": "scripted", "messages": messages, "max_tokens": 9, "stream": true }),
        ),
        // Lines of JSON, which a proxy does not know to be a stream.
        ("/api/chat", json!({ "model": "scripted", "messages": messages })),
    ];
    for site in SITES {
        let proxied = Proxied::start(site).await;
        for (path, body) in &streams {
            let mut stream = proxied.post(path, body).await;
            read_until(&mut stream, "hello").await;
            assert_eq!(proxied.server.running(), 1, "{site:?} {path}");
            drop(stream);
            proxied.server.is_idle().await;
        }
    }
}

#[tokio::test]
async fn nobody_computes_an_answer_whose_client_has_gone_before_it_was_whole() {
    let body = json!({ "messages": [{ "role": "user", "content": "hang" }] });
    for site in SITES {
        let proxied = Proxied::start(site).await;
        let stream = proxied.post("/v1/chat/completions", &body).await;
        proxied.server.runs(1).await;
        drop(stream);
        proxied.server.is_idle().await;
    }
}

#[tokio::test]
async fn a14_the_client_that_the_proxy_names_counts_and_none_that_the_client_makes_up() {
    const TRIES: u32 = 3;
    let config = || ServerConfig { max_wrong_keys_per_minute: TRIES, ..ServerConfig::default() };
    for site in SITES {
        let proxied = Proxied::start_with(site, config(), &[]).await;
        let ask = async |client, key: &str, made_up: &str| {
            let lines = format!("{}{made_up}", with_key(key));
            proxied.exchange(Ask { client, ..Ask::get("/api/info", &lines) }).await.status
        };
        for number in 0..TRIES {
            let made_up = format!("X-Forwarded-For: 203.0.113.{number}\r\n");
            assert_eq!(ask(CLIENT, "wrong", &made_up).await, 401, "{site:?}");
        }
        // A further name does not help, and others are not shut out.
        let made_up = "X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n";
        assert_eq!(ask(CLIENT, KEY, made_up).await, 429, "{site:?}");
        assert_eq!(ask(OTHER_CLIENT, "wrong", "").await, 401, "{site:?}");
        assert_eq!(ask(OTHER_CLIENT, KEY, "").await, 200, "{site:?}");
        // Nobody is on this machine because they say so.
        for made_up in ["X-Forwarded-For: 127.0.0.1\r\n", "X-Real-IP: 127.0.0.1\r\n"] {
            let status = proxied
                .exchange(Ask { client: OTHER_CLIENT, ..Ask::get("/api/info", made_up) })
                .await
                .status;
            assert_eq!(status, 401, "{site:?}: {made_up}");
        }
    }
}

#[tokio::test]
async fn a_session_is_kept_for_https_and_for_the_path_of_the_server() {
    for site in SITES {
        let proxied = Proxied::start(site).await;
        let body = json!({ "key": KEY }).to_string();
        let response = proxied.exchange(Ask::post("/api/session", "", &body)).await;
        assert_eq!(response.status, 204, "{site:?}: {}", response.body);
        let cookie = response.header_as_sent("set-cookie").expect("a cookie");
        let (prefix, path) = match site.base {
            "" => ("__Host-", "; Path=/;"),
            base => ("__Secure-", &*format!("; Path={base};")),
        };
        assert!(
            cookie.starts_with(&format!("{prefix}banter_session_{}=", proxied.port)),
            "{cookie}"
        );
        assert!(
            cookie.contains(path) && cookie.contains("; HttpOnly; SameSite=Strict;"),
            "{cookie}"
        );
        assert!(cookie.ends_with("; Secure"), "{site:?}: {cookie}");
        let pair = cookie.split(';').next().expect("a name and a value");
        let signed_in = format!("Cookie: {pair}\r\n");
        assert_eq!(proxied.get("/api/info", &signed_in).await.status, 200, "{site:?}");
        assert_eq!(proxied.get("/api/info", "").await.status, 401, "{site:?}");
    }
}

#[tokio::test]
async fn a1_pages_of_other_origins_are_refused() {
    for site in SITES {
        let proxied = Proxied::start(site).await;
        let own = proxied.origin();
        let mut of_page = proxied.client(&[("origin", &own)]).await.expect("our own page");
        of_page.expect_works().await;
        for foreign in ["https://evil.example", "null", &own.replace("https:", "http:")] {
            let refused = proxied.client(&[("origin", foreign)]).await;
            let refused = refused.map(|_| unreachable!("{site:?}: {foreign} came in"));
            assert_eq!(refused_status(refused), 403, "{site:?}: {foreign}");
            let lines = format!("{}Origin: {foreign}\r\n", with_key(KEY));
            assert_eq!(proxied.get("/v1/models", &lines).await.status, 403, "{site:?}: {foreign}");
        }
    }
}

#[tokio::test]
async fn a2_other_names_are_refused() {
    for site in SITES {
        let proxied = Proxied::start(site).await;
        for host in ["evil.example", "127.0.0.1", "localhost"] {
            let lines = format!("Host: {host}\r\n");
            let response = proxied.get("/api/info", &lines).await;
            match site.program {
                // It passes on whatever it is asked for, unless another server has the name.
                Program::Nginx if host == "evil.example" => {
                    assert_eq!(response.status, 421, "{site:?}: {host}");
                }
                // A name of this machine does not make a client local that a proxy brings.
                Program::Nginx => {
                    assert!([401, 421].contains(&response.status), "{site:?}: {host}")
                }
                // It serves only the name in its file, and answers others itself.
                Program::Caddy => assert!(response.body.is_empty() || response.status == 401),
            }
            assert!(!response.body.contains("scripted"), "{site:?}: {host}: {}", response.body);
        }
    }
}

#[tokio::test]
async fn addresses_keep_their_path() {
    for site in SITES {
        let proxied = Proxied::start(site).await;
        if !site.base.is_empty() {
            let response = proxied.get("?key=x", "").await;
            assert!([301, 308].contains(&response.status), "{site:?}: {}", response.status);
            let location = response.header_as_sent("location").expect("an address");
            let from = url::Url::parse(&proxied.url()).expect("an address");
            let to = from.join(location).expect("an address");
            assert_eq!(to.as_str(), format!("{}/?key=x", proxied.url()), "{site:?}: {location}");
            let outside = proxied.get_anywhere("/api/info").await;
            assert_eq!(outside.status, 404, "{site:?}");
        }
        let mut stream = TcpStream::connect(("127.0.0.1", proxied.http_port)).await.expect("http");
        let request = format!(
            "GET {}/c/1?x=y HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            site.base
        );
        stream.write_all(request.as_bytes()).await.expect("an open connection");
        let mut response = String::new();
        patiently(stream.read_to_string(&mut response)).await.expect("text");
        let location = format!("\r\nLocation: {}/c/1?x=y\r\n", proxied.url());
        assert!(response.contains(&location), "{site:?}: {response}");
    }
}

#[tokio::test]
async fn a_file_of_conversations_may_be_long_and_a_longer_one_is_refused() {
    const BYTES: usize = 2 << 20;
    const TOO_LONG: usize = 66 << 20;
    let long = json!({ "not conversations": "x".repeat(BYTES) }).to_string();
    for site in SITES {
        let proxied = Proxied::start(site).await;
        let lines = with_key(KEY);
        let path = "/api/conversations/import";
        let response = proxied.exchange(Ask::post(path, &lines, &long)).await;
        // The server itself has read it.
        assert_eq!(response.status, 400, "{site:?}: {}", response.body);
        assert_eq!(response.json()["error"]["code"], "invalid_parameter", "{site:?}");
        let announced =
            format!("{lines}Content-Type: application/json\r\nContent-Length: {TOO_LONG}\r\n");
        let stream = proxied.begin(Ask::post(path, &announced, "")).await;
        let (mut from, mut to) = tokio::io::split(stream);
        let mut response = Vec::new();
        // The answer comes before the whole body has gone.
        let body = vec![b' '; TOO_LONG];
        let _ = patiently(future::join(to.write_all(&body), from.read_to_end(&mut response))).await;
        assert_eq!(Response::parse(&response).status, 413, "{site:?}");
    }
}

#[tokio::test]
async fn a15_nginx_does_not_log_the_key_in_an_address() {
    for site in SITES.into_iter().filter(|site| site.program == Program::Nginx) {
        let proxied = Proxied::start(site).await;
        let path = format!("/ws?key={KEY}");
        let mut client = proxied.socket(&path, &[]).await.expect("a handshake");
        client.expect_works().await;
        drop(client);
        let logged = async {
            while !proxied.file("banter.log").contains("/ws\" 101 ") {
                tokio::task::yield_now().await;
            }
        };
        patiently(logged).await;
        for file in ["banter.log", "log"] {
            assert!(!proxied.file(file).contains(KEY), "{site:?}: {}", proxied.file(file));
        }
    }
}

/// The change of a proxy's file that sets the limit, in seconds.
fn limited(site: Site, seconds: u64) -> (&'static str, String) {
    match site.program {
        Program::Nginx => ("proxy_read_timeout 1h;", format!("proxy_read_timeout {seconds}s;")),
        Program::Caddy => ("keepalive 60s\n", format!("keepalive 60s\nread_timeout {seconds}s\n")),
    }
}

async fn start_limited(site: Site, seconds: u64, ping_interval: Duration) -> Proxied {
    let (from, to) = limited(site, seconds);
    let config = ServerConfig { ping_interval, ..ServerConfig::default() };
    Proxied::start_with(site, config, &[(from, &to)]).await
}

/// So long that a machine that is busy with other tests is never late by as much.
const LONG_LIMIT: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_socket_that_says_nothing_stays_open_beyond_the_limit_of_its_proxy() {
    const OFTEN: Duration = Duration::from_secs(5);
    join_all(SITES.map(async |site| {
        let proxied = start_limited(site, LONG_LIMIT.as_secs(), OFTEN).await;
        let mut client = proxied.client(&[]).await.expect("a handshake");
        let begun = Instant::now();
        while begun.elapsed() <= LONG_LIMIT {
            let sign = patiently(client.stream.next()).await;
            assert!(matches!(sign, Some(Ok(Message::Ping(_)))), "{site:?}: {sign:?}");
            // The answer to a ping is sent with what is sent next.
            client.stream.flush().await.expect("an open socket");
        }
        client.expect_works().await;
    }))
    .await;
}

#[tokio::test]
async fn without_a_sign_of_life_a_proxy_cuts_a_socket_at_its_limit() {
    const SECONDS: u64 = 5;
    join_all(SITES.map(async |site| {
        let seldom = ServerConfig::default().ping_interval;
        let proxied = start_limited(site, SECONDS, seldom).await;
        let client = proxied.client(&[]).await.expect("a handshake");
        assert_eq!(client.close_code().await, None, "{site:?}");
    }))
    .await;
}

#[tokio::test]
async fn a_stream_that_has_nothing_to_say_outlives_the_limit_of_its_proxy() {
    let body = json!({ "messages": [{ "role": "user", "content": "hang" }], "stream": true });
    join_all(SITES.map(async |site| {
        let proxied = start_limited(site, LONG_LIMIT.as_secs(), Duration::from_secs(20)).await;
        let mut stream = proxied.post("/v1/chat/completions", &body).await;
        let begun = Instant::now();
        while begun.elapsed() <= LONG_LIMIT {
            read_until(&mut stream, ": still here\n\n").await;
        }
        assert_eq!(proxied.server.running(), 1, "{site:?}");
    }))
    .await;
}

#[test]
fn signs_of_life_come_well_within_the_usual_minute() {
    const USUAL_LIMIT: Duration = Duration::from_secs(60);
    assert!(2 * ServerConfig::default().ping_interval < USUAL_LIMIT);
}
