//! OpenAI's interface: what a package of a client cannot see. `tools/clients` has the packages.

mod support;

use banter_server::ServerConfig;
use serde_json::{Value, json};
use support::TestServer;
use support::http::{post, read_until, refused};
use support::raw::Raw;

/// Sends a request for an answer to one message.
async fn ask(server: &TestServer, message: &str, more: Value) -> Raw {
    let mut body = json!({"messages": [{"role": "user", "content": message}]});
    body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    post(server, "/v1/chat/completions", &body).await
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
        server.runs(3).await;
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

/// A whole stream of `/v1/responses`.
async fn respond(server: &TestServer, input: &str) -> Vec<Value> {
    let mut raw = post(server, "/v1/responses", &json!({"input": input, "stream": true})).await;
    events(&read_until(&mut raw, "\r\n0\r\n").await)
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}

#[tokio::test]
async fn a_response_has_an_item_for_each_thing_that_is_said() {
    let server = TestServer::start(ServerConfig::default()).await;
    let thinking = respond(&server, "thinks one two | three").await;
    let last = thinking.last().expect("an event");
    assert_eq!(last["type"], "response.completed");
    let output = &last["response"]["output"];
    assert_eq!(output[0]["content"], json!([{"type": "reasoning_text", "text": "one two"}]));
    assert_eq!(output[1]["content"][0]["text"], "three");
    let calling = respond(&server, "calls so: | weather {\"town\": \"Ulm\"}").await;
    let output = &calling.last().expect("an event")["response"]["output"];
    assert_eq!(output[0]["content"][0]["text"], "so:");
    assert_eq!(output[1]["arguments"], "{\"town\": \"Ulm\"}");
    let indices: Vec<u64> =
        calling.iter().filter_map(|event| event["output_index"].as_u64()).collect();
    assert!(indices.is_sorted() && indices.last() == Some(&1), "{indices:?}");
}

#[tokio::test]
async fn a_response_that_fails_says_so_at_its_end() {
    let server = TestServer::start(ServerConfig::default()).await;
    let failed = respond(&server, "fail").await;
    let last = failed.last().expect("an event");
    assert_eq!(
        (last["type"].as_str(), &last["response"]["status"]),
        (Some("response.failed"), &json!("failed"))
    );
    assert_eq!(last["response"]["error"]["code"], "server_error");
    assert!(!kinds(&failed).contains(&"response.completed"));
    let mut raw = post(&server, "/v1/responses", &json!({"input": "fail"})).await;
    let response = read_until(&mut raw, "server_error").await;
    assert!(response.starts_with("HTTP/1.1 500"), "{response}");
}

#[tokio::test]
async fn a_response_is_stopped_when_its_client_leaves() {
    let server = TestServer::start(ServerConfig::default()).await;
    for stream in [true, false] {
        let request = json!({"input": "slow 100000", "stream": stream});
        let raw = post(&server, "/v1/responses", &request).await;
        server.runs(1).await;
        drop(raw);
        server.is_idle().await;
    }
}
