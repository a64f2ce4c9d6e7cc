//! Links that sign in one more device.

mod support;

use banter_server::{KeyHash, PublicUrl, ServerConfig};
use support::TestServer;
use support::raw::{self, Response};

const AFAR: &str = "Host: chat.example\r\nX-Forwarded-For: 203.0.113.5\r\n";

async fn post(server: &TestServer, path: &str, lines: &str, body: &str) -> Response {
    raw::post(server.address, path, lines, body).await
}

/// The link that a client gets who sends these lines, and its code.
async fn link(server: &TestServer, lines: &str) -> (String, String) {
    let made = post(server, "/api/session/link", lines, "{}").await;
    assert_eq!(made.status, 200, "{made:?}");
    let made = made.json();
    assert_eq!(made["seconds"], 600);
    assert!(made["qr"]["path"].as_str().is_some_and(|path| path.starts_with("M4 4h7v1")));
    let link = made["link"].as_str().expect("a link").to_owned();
    let (_, code) = link.split_once("#code=").expect("a code");
    let code = code.to_owned();
    (link, code)
}

/// The session that a code opens, as a line of a request; the status if it opens none.
async fn redeem(server: &TestServer, code: &str) -> Result<String, u16> {
    let body = format!(r#"{{"code": "{code}"}}"#);
    let response = post(server, "/api/session", AFAR, &body).await;
    let cookie = response.header("set-cookie").ok_or(response.status)?;
    let pair = cookie.split(';').next().expect("a pair");
    Ok(format!("{AFAR}Cookie: {pair}\r\n"))
}

#[tokio::test]
async fn a_link_gives_what_its_maker_has_and_nothing_more_and_once() {
    let config = ServerConfig {
        public_urls: vec![PublicUrl::parse("http://chat.example/").expect("a url")],
        keys: vec![KeyHash::of("the-key-of-anna")],
        admin_keys: vec![KeyHash::of("the-key-of-ben")],
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    for (key, may_change) in [("the-key-of-anna", false), ("the-key-of-ben", true)] {
        let mine = format!("{AFAR}Authorization: Bearer {key}\r\n");
        let (link, code) = link(&server, &mine).await;
        assert!(link.starts_with("http://chat.example/#code="), "{link}");
        let theirs = redeem(&server, &code).await.expect("a session");
        let owner = async |lines: &str| {
            raw::get(server.address, "/api/info", lines).await.json()["owner"].clone()
        };
        assert_eq!(owner(&theirs).await, owner(&mine).await);
        let change = post(&server, "/api/models/stop", &theirs, "{}").await.status;
        assert_eq!(change != 403, may_change, "{change}");
        assert_eq!(redeem(&server, &code).await, Err(401));
    }
    // Nobody without a key, and no page of another site.
    assert_eq!(post(&server, "/api/session/link", AFAR, "{}").await.status, 401);
    let foreign =
        format!("{AFAR}Authorization: Bearer the-key-of-anna\r\nOrigin: https://evil.example\r\n");
    assert_eq!(post(&server, "/api/session/link", &foreign, "{}").await.status, 403);
    server.end().await;
}

#[tokio::test]
async fn a_page_of_this_machine_is_told_where_other_devices_find_it() {
    let config = ServerConfig {
        address_elsewhere: Some("https://192.0.2.7:7860".into()),
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    let (made, _) = link(&server, "").await;
    assert!(made.starts_with("https://192.0.2.7:7860/#code="), "{made}");
    server.end().await;

    let server = TestServer::start(ServerConfig::default()).await;
    let refused = post(&server, "/api/session/link", "", "{}").await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (409, &"not_reachable".into()));
    server.end().await;
}
