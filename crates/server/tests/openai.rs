//! OpenAI's interface: what a package of a client cannot see. `tools/clients` has the packages.

mod support;

use banter_server::ServerConfig;
use serde_json::{Value, json};
use support::raw::Raw;
use support::{TestServer, patiently};
use tokio::io::AsyncReadExt;

/// Sends a request for an answer to one message.
async fn ask(server: &TestServer, message: &str, more: Value) -> Raw {
    let mut body = json!({"messages": [{"role": "user", "content": message}]});
    body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    post(server, "/v1/chat/completions", &body).await
}

async fn post(server: &TestServer, path: &str, body: &Value) -> Raw {
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
async fn read_until(raw: &mut Raw, end: &str) -> String {
    let mut read = Vec::new();
    let mut bytes = [0; 4_096];
    while !String::from_utf8_lossy(&read).contains(end) {
        let count = patiently(raw.stream.read(&mut bytes)).await.expect("an open connection");
        assert!(count > 0, "no {end:?} in {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&bytes[..count]);
    }
    String::from_utf8(read).expect("text")
}

/// The status of a response and its JSON.
async fn refused(mut raw: Raw) -> (u16, String, Value) {
    let response = read_until(&mut raw, "\"}}").await;
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head.to_lowercase(), serde_json::from_str(body).expect("JSON"))
}

/// The events of a stream.
fn events(response: &str) -> Vec<Value> {
    let lines = response.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.filter_map(|event| serde_json::from_str(event).ok()).collect()
}

#[tokio::test]
async fn each_word_is_sent_when_it_exists() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut raw = ask(&server, "tokens 2000 5", json!({"stream": true})).await;
    let first = read_until(&mut raw, "\"content\":\"word").await;
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    assert!(first.contains("content-type: text/event-stream\r\n"), "{first}");
    assert_eq!(events(&first)[0]["choices"][0]["delta"]["role"], "assistant");
    assert!(!first.contains("[DONE]"), "{first}");
}

#[tokio::test]
async fn a_client_that_leaves_stops_what_it_has_asked_for() {
    let server = TestServer::start(ServerConfig::default()).await;
    for stream in [true, false] {
        let raw = ask(&server, "slow 100000", json!({"stream": stream, "n": 3})).await;
        let all_run = async {
            while server.running() < 3 {
                tokio::task::yield_now().await;
            }
        };
        patiently(all_run).await;
        drop(raw);
        server.is_idle().await;
    }
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_again() {
    let server = TestServer::start(ServerConfig::default()).await;
    for stream in [true, false] {
        let (status, head, body) =
            refused(ask(&server, "busy", json!({"stream": stream})).await).await;
        assert_eq!((status, body["error"]["type"].as_str()), (429, Some("rate_limit_error")));
        assert!(head.contains("\r\nretry-after: 9\r\n"), "{head}");
    }
}

#[tokio::test]
async fn one_refusal_of_several_answers_stops_the_others() {
    let server = TestServer::start(ServerConfig::default()).await;
    let prompts = json!({"prompt": ["a", "b"], "n": 40});
    let (status, _, body) = refused(post(&server, "/v1/completions", &prompts).await).await;
    assert_eq!((status, body["error"]["param"].as_str()), (400, Some("n")));
    server.is_idle().await;
}

#[tokio::test]
async fn an_answer_that_fails_is_an_error_whenever_that_happens() {
    let server = TestServer::start(ServerConfig::default()).await;
    let (status, _, body) = refused(ask(&server, "fail", json!({})).await).await;
    assert_eq!((status, body["error"]["type"].as_str()), (500, Some("server_error")));
    let mut raw = ask(&server, "fail", json!({"stream": true})).await;
    let response = read_until(&mut raw, "\r\n0\r\n").await;
    let last = events(&response).pop().expect("an event");
    assert_eq!(last["error"]["type"], "server_error", "{response}");
    assert!(!response.contains("[DONE]"), "{response}");
}

#[tokio::test]
async fn thoughts_come_apart_from_the_answer() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut raw = ask(&server, "thinks one two | three", json!({"stream": true})).await;
    let events = events(&read_until(&mut raw, "[DONE]").await);
    let joined = |field: &str| -> String {
        let deltas = events.iter().map(|event| &event["choices"][0]["delta"]);
        deltas.filter_map(|delta| delta[field].as_str()).collect()
    };
    assert_eq!(
        (joined("reasoning_content").trim(), joined("content").as_str()),
        ("one two", "three")
    );
}

#[tokio::test]
async fn every_error_of_the_interface_has_its_shape() {
    let server = TestServer::start_loading(ServerConfig::default(), 0.5).await;
    let (status, _, body) = refused(ask(&server, "hi", json!({})).await).await;
    assert_eq!((status, body["error"]["code"].as_str()), (503, Some("loading")));
    let (status, _, body) = refused(post(&server, "/v1/nothing", &json!({})).await).await;
    assert_eq!((status, body["error"]["code"].as_str()), (404, Some("not_found")));
    let (status, _, body) = refused(post(&server, "/v1/models", &json!({})).await).await;
    assert_eq!((status, body["error"]["code"].as_str()), (405, Some("method_not_allowed")));
}
