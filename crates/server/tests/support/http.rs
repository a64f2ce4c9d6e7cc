//! Requests of programs over HTTP, and their responses as they come.

use super::raw::Raw;
use super::{TestServer, patiently};
use serde_json::Value;
use tokio::io::AsyncReadExt;

/// Sends a request with a body.
pub async fn post(server: &TestServer, path: &str, body: &Value) -> Raw {
    let mut raw = Raw::connect(server.address).await;
    let (host, body) = (server.host(), body.to_string());
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    raw.send(format!("{head}{body}").as_bytes()).await;
    raw
}

/// Reads until a text has come, and returns everything so far.
pub async fn read_until(raw: &mut Raw, end: &str) -> String {
    let mut read = Vec::new();
    let mut bytes = [0; 4_096];
    while !String::from_utf8_lossy(&read).contains(end) {
        let count = patiently(raw.stream.read(&mut bytes)).await.expect("an open connection");
        assert!(count > 0, "no {end:?} in {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&bytes[..count]);
    }
    String::from_utf8(read).expect("text")
}

/// The status of an error, its head in small letters, and its JSON.
pub async fn refused(mut raw: Raw) -> (u16, String, Value) {
    let mut response = read_until(&mut raw, "\r\n\r\n").await;
    let end = response.find("\r\n\r\n").expect("a head") + 4;
    let head = response[..end].to_lowercase();
    let number = |text: &str| text.split("\r\n").next().and_then(|number| number.parse().ok());
    let (_, length) = head.split_once("\r\ncontent-length: ").expect("a length");
    let length: usize = number(length).expect("a number");
    while response.len() < end + length {
        response.push_str(&read_until(&mut raw, "}").await);
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head, serde_json::from_str(&response[end..]).expect("JSON"))
}
