//! https: connections that are encrypted, and those that should be.

mod support;

use banter_server::{CertificateError, KeyHash, ServerConfig, Tls};
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use support::certificate::Certificate;
use support::raw::{Raw, handshake};
use support::{TestServer, patiently};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

async fn start(certificate: &Certificate, config: ServerConfig) -> (TestServer, Tls) {
    let tls = certificate.tls();
    (TestServer::start(ServerConfig { tls: Some(tls.clone()), ..config }).await, tls)
}

/// Sends a request, and reads until the server closes the connection.
async fn exchange(stream: &mut TlsStream<TcpStream>, request: &str) -> String {
    patiently(stream.write_all(request.as_bytes())).await.expect("an open connection");
    let mut response = Vec::new();
    patiently(stream.read_to_end(&mut response)).await.expect("it is closed in order");
    String::from_utf8_lossy(&response).into_owned()
}

fn get(server: &TestServer, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.address)
}

/// An unencrypted request's response.
async fn unencrypted(server: &TestServer, request: &str) -> String {
    let mut raw = Raw::connect(server.address).await;
    raw.send(request.as_bytes()).await;
    let mut response = String::new();
    patiently(raw.stream.read_to_string(&mut response)).await.expect("text");
    response
}

#[tokio::test]
async fn pages_and_sockets_are_encrypted() {
    let certificate = Certificate::new();
    let (server, _) = start(&certificate, ServerConfig::default()).await;
    let mut stream = certificate.connect(server.address).await.expect("a connection");
    let page = exchange(&mut stream, &get(&server, "/")).await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");

    let socket = async |origin: &str| {
        let stream = certificate.connect(server.address).await.expect("a connection");
        let url = format!("wss://{}/ws", server.address);
        let mut request = url.into_client_request().expect("a request");
        request.headers_mut().insert("origin", origin.parse().expect("a header"));
        client_async(request, stream).await
    };
    let own = format!("https://{}", server.address);
    let (mut socket_of_page, _) = socket(&own).await.expect("our own page");
    socket_of_page.send(Message::text(r#"{"message": "echo hello"}"#)).await.expect("open");
    let first = patiently(socket_of_page.next()).await.expect("a frame").expect("open");
    assert_eq!(first, Message::text("hello"));
    // A page that came unencrypted is not ours: somebody may have changed it.
    for foreign in [own.replace("https", "http"), "https://evil.example".to_owned()] {
        match socket(&foreign).await {
            Err(Error::Http(refusal)) => assert_eq!(refusal.status(), 403, "{foreign}"),
            other => panic!("{foreign}: {:?}", other.map(|_| "a socket")),
        }
    }
}

#[tokio::test]
async fn a_session_is_kept_for_encrypted_connections_only() {
    let certificate = Certificate::new();
    let config = ServerConfig { keys: vec![KeyHash::of("the-key")], ..ServerConfig::default() };
    let (server, _) = start(&certificate, config).await;
    let mut stream = certificate.connect(server.address).await.expect("a connection");
    let body = r#"{"key": "the-key"}"#;
    let request = format!(
        "POST /api/session HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        server.address,
        body.len()
    );
    let response = exchange(&mut stream, &request).await.to_lowercase();
    let cookie = response.lines().find(|line| line.starts_with("set-cookie:")).expect("a cookie");
    assert!(cookie.contains("__host-banter_session"), "{cookie}");
    assert!(cookie.ends_with("; secure"), "{cookie}");
}

#[tokio::test]
async fn n13_a_request_without_https_is_told_where_it_is() {
    let certificate = Certificate::new();
    let (server, _) = start(&certificate, ServerConfig::default()).await;
    let address = server.address;
    let page = unencrypted(&server, &get(&server, "/c/1?x=y")).await;
    assert!(page.starts_with("HTTP/1.1 307 "), "{page}");
    assert!(page.contains(&format!("\r\nlocation: https://{address}/c/1?x=y\r\n")), "{page}");
    let post = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Length: 2\r\n\r\n{{}}"
    );
    let refused = unencrypted(&server, &post).await;
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    assert!(refused.contains(&format!("https://{address}/v1/chat/completions")), "{refused}");
    let mut raw = Raw::connect(address).await;
    raw.send(handshake(address, "").as_bytes()).await;
    let head = raw.head().await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    let text = support::http::read_until(&mut raw, "\n").await;
    assert!(text.contains("wss://"), "{text}");
    for odd in [
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n",
    ] {
        let response = unencrypted(&server, odd).await;
        assert!(!response.starts_with("HTTP/1.1 200"), "{response}");
    }
}

#[tokio::test]
async fn n13_a_certificate_is_replaced_while_connections_go_on() {
    let (old, new) = (Certificate::new(), Certificate::new());
    let (server, tls) = start(&old, ServerConfig::default()).await;
    let mut open = old.connect(server.address).await.expect("a connection");
    tls.replace(new.pem.as_bytes(), new.key.as_bytes()).expect("they go together");
    assert!(exchange(&mut open, &get(&server, "/health")).await.starts_with("HTTP/1.1 200"));
    old.connect(server.address).await.expect_err("the old certificate is gone");
    let mut later = new.connect(server.address).await.expect("a connection");
    assert!(exchange(&mut later, &get(&server, "/health")).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn n13_half_a_certificate_changes_nothing() {
    let (kept, other) = (Certificate::new(), Certificate::new());
    let (server, tls) = start(&kept, ServerConfig::default()).await;
    let half = |pem: &str| pem[..pem.len() / 2].to_owned();
    let wrong = [
        (half(&other.pem), other.key.clone()),
        (other.pem.clone(), half(&other.key)),
        (other.pem.clone(), kept.key.clone()),
        (String::new(), other.key.clone()),
        (other.pem.clone(), String::new()),
        (other.key.clone(), other.pem.clone()),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
            other.key.clone(),
        ),
    ];
    for (pem, key) in wrong {
        let error: CertificateError =
            tls.replace(pem.as_bytes(), key.as_bytes()).expect_err("it is refused");
        let text = error.to_string();
        assert!(text.contains("expected") && text.contains("found"), "{text}");
    }
    let mut stream = kept.connect(server.address).await.expect("the old certificate");
    assert!(exchange(&mut stream, &get(&server, "/health")).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn n13_old_versions_are_refused() {
    let (server, _) = start(&Certificate::new(), ServerConfig::default()).await;
    // A greeting of TLS 1.0: random bytes, one cipher, no compression, no extensions.
    let mut hello = vec![3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0x00, 0x2f, 1, 0]);
    let mut record = vec![0x16, 3, 1, 0, hello.len() as u8 + 4, 1, 0, 0, hello.len() as u8];
    record.extend(&hello);
    let mut raw = Raw::connect(server.address).await;
    raw.send(&record).await;
    let mut reply = Vec::new();
    patiently(raw.stream.read_to_end(&mut reply)).await.expect("it is closed in order");
    const ALERT: u8 = 0x15;
    assert_eq!(reply.first(), Some(&ALERT), "{reply:?}");
}

#[tokio::test]
async fn n13_greetings_that_never_end_are_cut() {
    const SLOW: usize = 150;
    let certificate = Certificate::new();
    let header_timeout = Duration::from_millis(500);
    let (server, _) =
        start(&certificate, ServerConfig { header_timeout, ..ServerConfig::default() }).await;
    let mut slow = Vec::new();
    for index in 0..SLOW {
        let mut raw = Raw::connect(server.address).await;
        // Some do not even begin.
        if index % 2 == 0 {
            raw.send(&[0x16, 3, 1]).await;
        }
        slow.push(raw);
    }
    let mut stream = certificate.connect(server.address).await.expect("others are served");
    assert!(exchange(&mut stream, &get(&server, "/health")).await.starts_with("HTTP/1.1 200"));
    for mut raw in slow {
        let mut rest = Vec::new();
        // A reset is an end, too.
        drop(patiently(raw.stream.read_to_end(&mut rest)).await);
        assert!(rest.is_empty(), "{rest:?}");
    }
}
