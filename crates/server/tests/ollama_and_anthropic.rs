//! Ollama's and Anthropic's interfaces: what a package of a client cannot see. `tools/clients` has
//! the packages.

mod support;

use banter_server::ServerConfig;
use serde_json::{Value, json};
use support::TestServer;
use support::http::{post, read_until, refused};
use support::raw::{self, Raw};

/// Asks for an answer to one message, by a path of either interface.
async fn ask(server: &TestServer, path: &str, message: &str, more: Value) -> Raw {
    let messages = json!([{"role": "user", "content": message}]);
    let mut body = json!({"model": "scripted", "messages": messages});
    if path == MESSAGES {
        body["max_tokens"] = json!(1_000_000);
    }
    body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    post(server, path, &body).await
}

const CHAT: &str = "/api/chat";
const MESSAGES: &str = "/v1/messages";

/// What was sent as JSON, in order: lines, or the data of events.
fn sent(response: &str) -> Vec<Value> {
    let lines = response.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
    lines
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

/// The text at a place in each of these that has one.
fn joined(sent: &[Value], place: &str) -> String {
    sent.iter().filter_map(|value| value.pointer(place)?.as_str()).collect()
}

/// A whole stream.
async fn stream(server: &TestServer, path: &str, message: &str, more: Value) -> Vec<Value> {
    let mut raw = ask(server, path, message, more).await;
    sent(&read_until(&mut raw, "\r\n0\r\n").await)
}

#[tokio::test]
async fn each_word_is_sent_when_it_exists() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut raw = ask(&server, CHAT, "tokens 2000 5", json!({})).await;
    let first = read_until(&mut raw, "word").await;
    assert!(first.contains("content-type: application/x-ndjson\r\n"), "{first}");
    assert!(!first.contains("\"done\":true"), "{first}");
    let mut raw = ask(&server, MESSAGES, "tokens 2000 5", json!({"stream": true})).await;
    let first = read_until(&mut raw, "word").await;
    assert!(first.contains("content-type: text/event-stream\r\n"), "{first}");
    assert!(first.contains("event: content_block_delta\ndata: {"), "{first}");
    assert!(!first.contains("message_stop"), "{first}");
}

#[tokio::test]
async fn a_client_that_leaves_stops_what_it_has_asked_for() {
    let server = TestServer::start(ServerConfig::default()).await;
    for (path, stream) in [(CHAT, true), (CHAT, false), (MESSAGES, true), (MESSAGES, false)] {
        let raw = ask(&server, path, "slow 100000", json!({"stream": stream})).await;
        server.runs(1).await;
        drop(raw);
        server.is_idle().await;
    }
}

#[tokio::test]
async fn errors_have_the_shape_of_the_interface() {
    let server = TestServer::start(ServerConfig::default()).await;
    let (status, head, body) = refused(ask(&server, CHAT, "busy", json!({})).await).await;
    assert_eq!((status, body), (429, json!({"error": "too many answers are waiting"})));
    assert!(head.contains("\r\nretry-after: 9\r\n"), "{head}");
    let (status, head, body) = refused(ask(&server, MESSAGES, "busy", json!({})).await).await;
    let error = json!({"type": "rate_limit_error", "message": "too many answers are waiting"});
    assert_eq!((status, body), (429, json!({"type": "error", "error": error})));
    assert!(head.contains("\r\nretry-after: 9\r\n"), "{head}");
}

#[tokio::test]
async fn an_answer_that_fails_is_an_error_whenever_that_happens() {
    let server = TestServer::start(ServerConfig::default()).await;
    let last = stream(&server, CHAT, "fail", json!({})).await.pop().expect("a line");
    assert_eq!(last, json!({"error": "internal error: the script says so"}));
    let last = stream(&server, MESSAGES, "fail", json!({"stream": true})).await.pop();
    let last = last.expect("an event");
    assert_eq!((&last["type"], &last["error"]["type"]), (&json!("error"), &json!("api_error")));
    for path in [CHAT, MESSAGES] {
        let (status, ..) =
            refused(ask(&server, path, "fail", json!({"stream": false})).await).await;
        assert_eq!(status, 500, "{path}");
    }
}

#[tokio::test]
async fn thoughts_come_apart_from_the_answer() {
    let server = TestServer::start(ServerConfig::default()).await;
    let lines = stream(&server, CHAT, "thinks one two | three", json!({})).await;
    assert_eq!(joined(&lines, "/message/thinking").trim(), "one two");
    assert_eq!(joined(&lines, "/message/content"), "three");
    let events = stream(&server, MESSAGES, "thinks one two | three", json!({"stream": true})).await;
    assert_eq!(joined(&events, "/delta/thinking").trim(), "one two");
    assert_eq!(joined(&events, "/delta/text"), "three");
    let blocks: Vec<&str> =
        events.iter().filter_map(|event| event.pointer("/content_block/type")?.as_str()).collect();
    assert_eq!(blocks, ["thinking", "text"]);
}

#[tokio::test]
async fn calls_come_whole_to_one_and_in_pieces_to_the_other() {
    let server = TestServer::start(ServerConfig::default()).await;
    let message = "calls so: | weather {\"town\": \"Ulm\"}";
    let lines = stream(&server, CHAT, message, json!({})).await;
    let calls: Vec<&Value> =
        lines.iter().filter_map(|line| line.pointer("/message/tool_calls/0/function")).collect();
    let call = json!({"index": 0, "name": "weather", "arguments": {"town": "Ulm"}});
    assert_eq!((joined(&lines, "/message/content").as_str(), calls), ("so:", vec![&call]));

    let events = stream(&server, MESSAGES, message, json!({"stream": true})).await;
    assert_eq!(joined(&events, "/delta/partial_json"), "{\"town\": \"Ulm\"}");
    assert_eq!(joined(&events, "/content_block/name"), "weather");
    assert_eq!(joined(&events, "/delta/stop_reason"), "tool_use");
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    let expected = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn a_call_that_was_cut_off_is_not_lost() {
    let server = TestServer::start(ServerConfig::default()).await;
    let message = "calls  | weather {\"town\": \"Ulm";
    let lines = stream(&server, CHAT, message, json!({})).await;
    assert_eq!(joined(&lines, "/message/content"), "{\"town\": \"Ulm");
    let mut raw = ask(&server, MESSAGES, message, json!({})).await;
    let response = read_until(&mut raw, "output_tokens").await;
    assert!(response.contains(r#"{"type":"text","text":"{\"town\": \"Ulm"}"#), "{response}");
}

#[tokio::test]
async fn a_program_need_not_declare_its_body_to_ollama_and_a_page_must() {
    let server = TestServer::start(ServerConfig::default()).await;
    let body = json!({"model": "scripted", "prompt": "echo hi", "stream": false}).to_string();
    let ask = async |path: &str, more: &str| {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n{more}\r\n{body}",
            server.host(),
            body.len()
        );
        let mut raw = Raw::connect(server.address).await;
        raw.send(request.as_bytes()).await;
        let response = raw.rest().await;
        response.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok())
    };
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(ask("/api/generate", "").await, Some(200));
    assert_eq!(ask("/api/generate", form).await, Some(200));
    assert_eq!(ask("/v1/completions", form).await, Some(415));
    let own = format!("Origin: http://{}\r\n{form}", server.host());
    assert_eq!(ask("/api/generate", &own).await, Some(415));
    let site = format!("Sec-Fetch-Site: same-origin\r\n{form}");
    assert_eq!(ask("/api/generate", &site).await, Some(415));
}

#[tokio::test]
async fn the_list_of_models_is_told_to_each_in_its_own_words() {
    let server = TestServer::start(ServerConfig::default()).await;
    let version = "anthropic-version: 2023-06-01\r\n";
    let list = raw::get(server.address, "/v1/models", version).await.json();
    let [model] = list["data"].as_array().expect("a list").as_slice() else { panic!("{list}") };
    assert_eq!((&model["type"], &list["first_id"]), (&json!("model"), &model["id"]));
    let name = model["id"].as_str().expect("a name");
    let one = raw::get(server.address, &format!("/v1/models/{name}"), version).await.json();
    assert_eq!(&one, model);
    assert_eq!(raw::get(server.address, "/v1/models", "").await.json()["object"], "list");
}
