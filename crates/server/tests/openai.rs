//! OpenAI's interface: what a package of a client cannot see. `tools/clients` has the packages.

mod support;

use banter_server::ServerConfig;
use futures_util::SinkExt;
use serde_json::{Value, json};
use support::http::{post, read_until, refused};
use support::raw::{self, Raw};
use support::{Client, TestServer};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

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

/// A client of `/v1/responses` as a WebSocket.
async fn connect(server: &TestServer) -> Client {
    server.client_at("/v1/responses", &[]).await.expect("a handshake").0
}

fn create(input: &str, more: Value) -> String {
    let mut event = json!({"type": "response.create", "input": input});
    event.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    event.to_string()
}

/// The events of the next response.
async fn next_response(client: &mut Client) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let event: Value = serde_json::from_str(&client.frame().await).expect("JSON");
        let has_ended = event["response"]["status"].as_str().is_some_and(|at| at != "in_progress");
        let is_error = event["type"] == "error";
        events.push(event);
        if has_ended || is_error {
            return events;
        }
    }
}

#[tokio::test]
async fn a_socket_gets_the_events_of_one_response_after_the_other() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = connect(&server).await;
    client.send(create("echo one\ntwo", json!({}))).await;
    client.send(create("echo three", json!({"store": false}))).await;
    let first = next_response(&mut client).await;
    assert_eq!(kinds(&first)[0], "response.created");
    let numbers: Vec<_> =
        first.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
    assert!(numbers.iter().copied().eq(0..first.len() as u64), "{numbers:?}");
    let text = |events: &[Value]| {
        events.last().expect("an event")["response"]["output"][0]["content"][0]["text"].clone()
    };
    assert_eq!(text(&first), "one\ntwo");
    let second = next_response(&mut client).await;
    assert_eq!(text(&second), "three");
    // What is not kept is still remembered by its connection, and by no other.
    let going_on = create("history", json!({"previous_response_id": id_of(&second)}));
    client.send(going_on.clone()).await;
    let history = text(&next_response(&mut client).await).as_str().expect("a text").to_owned();
    assert!(history.contains("echo three"), "{history}");
    let mut other = connect(&server).await;
    other.send(going_on).await;
    let refused = next_response(&mut other).await;
    assert_eq!(refused[0]["error"]["code"], "previous_response_not_found");
    let kept = create("echo four", json!({"previous_response_id": id_of(&first)}));
    other.send(kept).await;
    assert_eq!(text(&next_response(&mut other).await), "four");
}

fn id_of(events: &[Value]) -> Value {
    events.last().expect("an event")["response"]["id"].clone()
}

#[tokio::test]
async fn a_response_is_stopped_when_its_socket_closes() {
    let server = TestServer::start(ServerConfig::default()).await;
    for _ in 0..3 {
        let mut client = connect(&server).await;
        client.send(create("slow 100000", json!({}))).await;
        client.send(create("slow 100000", json!({}))).await;
        server.runs(1).await;
        drop(client);
        server.is_idle().await;
    }
}

#[tokio::test]
async fn a_wrong_event_is_an_error_event_and_the_socket_goes_on() {
    let config = ServerConfig { max_waiting_messages: 2, ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let mut client = connect(&server).await;
    let wrong = [
        ("hello".to_owned(), Some("bad_json"), None),
        (json!({"type": "response.steer"}).to_string(), Some("invalid_value"), Some("type")),
        (json!({"input": "a"}).to_string(), Some("invalid_value"), Some("type")),
        (create("a", json!({"background": true})), Some("invalid_value"), Some("background")),
        (create("a", json!({"generate": false})), Some("invalid_value"), Some("generate")),
        (create("a", json!({"stream_id": "b"})), Some("invalid_value"), Some("stream_id")),
        (create("a", json!({"model": "b"})), Some("model_not_found"), Some("model")),
        (create("busy", json!({})), Some("busy"), None),
    ];
    for (event, code, param) in wrong {
        client.send(event.clone()).await;
        let told = next_response(&mut client).await;
        let [error] = told.as_slice() else { panic!("{event}: {told:?}") };
        let said = (error["error"]["code"].as_str(), error["error"]["param"].as_str());
        assert_eq!((error["type"].as_str(), said), (Some("error"), (code, param)), "{event}");
        assert!(error["status"].as_u64().is_some_and(|status| status >= 400), "{error}");
    }
    for _ in 0..4 {
        client.send(create("tokens 1 500", json!({}))).await;
    }
    // One is being made and two wait.
    let mut endings = Vec::new();
    for _ in 0..4 {
        let events = next_response(&mut client).await;
        endings.push(events.last().expect("an event")["type"].as_str().map(str::to_owned));
    }
    let refused = endings.iter().filter(|kind| kind.as_deref() == Some("error")).count();
    assert_eq!(refused, 1, "{endings:?}");
    client.send(create("echo still here", json!({}))).await;
    next_response(&mut client).await;
    client.stream.send(Message::binary(vec![1])).await.expect("an open socket");
    assert_eq!(client.close_code().await, Some(CloseCode::Unsupported));
}

#[tokio::test]
async fn the_items_that_a_response_answers_can_be_listed() {
    let server = TestServer::start(ServerConfig::default()).await;
    let input = json!([
        {"role": "user", "content": "echo one"},
        {"role": "assistant", "content": "one"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "done"},
        {"role": "user", "content": [{"type": "input_text", "text": "echo two"}]}
    ]);
    let body = json!({"input": input}).to_string();
    let made = raw::post(server.address, "/v1/responses", "", &body).await.json();
    let path = format!("/v1/responses/{}/input_items", made["id"].as_str().expect("an id"));
    let list = async |query: &str| {
        let response = raw::get(server.address, &format!("{path}{query}"), "").await;
        (response.status, response.json())
    };
    let (_, whole) = list("?order=asc").await;
    let all: Vec<&Value> = whole["data"].as_array().expect("a list").iter().collect();
    let kinds: Vec<_> = all.iter().filter_map(|item| item["type"].as_str()).collect();
    let (call, output) = ("function_call", "function_call_output");
    assert_eq!(kinds, ["message", "message", call, output, "message"]);
    assert_eq!(all[0]["content"], json!([{"type": "input_text", "text": "echo one"}]));
    assert_eq!(all[1]["content"][0]["type"], "output_text");
    // Page by page, the newest first.
    let mut after = String::new();
    let mut found = Vec::new();
    loop {
        let (_, page) = list(&format!("?limit=2{after}")).await;
        let items = page["data"].as_array().expect("a list");
        assert_eq!(
            (&page["first_id"], &page["last_id"]),
            (&items[0]["id"], &items[items.len() - 1]["id"])
        );
        found.extend(items.clone());
        if page["has_more"] == json!(false) {
            break;
        }
        after = format!("&after={}", page["last_id"].as_str().expect("an id"));
    }
    found.reverse();
    assert_eq!(found.iter().collect::<Vec<_>>(), all);
    for (query, field) in
        [("?limit=0", "limit"), ("?order=up", "order"), ("?after=x", "after"), ("?x=1", "x")]
    {
        let (status, body) = list(query).await;
        assert_eq!((status, body["error"]["param"].as_str()), (400, Some(field)));
    }
}

#[tokio::test]
async fn texts_become_vectors() {
    let server = TestServer::start(ServerConfig::default()).await;
    let embed = async |path: &str, body: Value| {
        let response = raw::post(server.address, path, "", &body.to_string()).await;
        (response.status, response.json())
    };
    let (_, list) = embed("/v1/embeddings", json!({"input": ["a", "abc", [1, 2]]})).await;
    assert_eq!(list["usage"], json!({"prompt_tokens": 6, "total_tokens": 6}));
    let cosines: Vec<f64> = (0..3)
        .map(|index| list["data"][index]["embedding"][0].as_f64().expect("a number"))
        .collect();
    for (cosine, angle) in cosines.iter().zip([1.0_f64, 3.0, 2.0]) {
        assert!((cosine - angle.cos()).abs() < 1e-6, "{list}");
    }
    let (_, one) = embed("/v1/embeddings", json!({"input": "abc", "dimensions": 1})).await;
    assert_eq!(one["data"][0]["embedding"], json!([-1.0]), "its length is 1 again");
    let (_, bytes) =
        embed("/v1/embeddings", json!({"input": "abc", "encoding_format": "base64"})).await;
    let expected = [3.0_f32.cos().to_le_bytes(), 3.0_f32.sin().to_le_bytes()].concat();
    assert_eq!(bytes["data"][0]["embedding"], data_encoding::BASE64.encode(&expected));
    let model = list["model"].as_str().expect("a name");
    let (_, ours) = embed("/api/embed", json!({"model": model, "input": ["abc"]})).await;
    let (_, older) = embed("/api/embeddings", json!({"model": model, "prompt": "abc"})).await;
    assert_eq!(ours["embeddings"][0], older["embedding"]);
    let wrong = [
        (json!({"input": []}), 400, Some("input")),
        (json!({"input": [{}]}), 400, Some("input")),
        (json!({"input": vec!["a"; 2_049]}), 400, Some("input")),
        (json!({"input": "a", "dimensions": 3}), 400, Some("dimensions")),
        (json!({"input": "a", "pooling": "sum"}), 400, Some("pooling")),
        (json!({"input": "a", "model": "b"}), 404, Some("model")),
        (json!({"input": ["a", "fail"]}), 500, None),
    ];
    for (body, status, param) in wrong {
        let (found, error) = embed("/v1/embeddings", body).await;
        assert_eq!((found, error["error"]["param"].as_str()), (status, param), "{error}");
    }
}

#[tokio::test]
async fn r8_absurd_numbers_are_refused_by_name_and_the_server_goes_on() {
    let server = TestServer::start(ServerConfig::default()).await;
    let many = |count: usize| (0..count).map(|id| (id.to_string(), json!(1))).collect();
    let wrong = [
        (json!({"max_tokens": 2_147_483_648_u64}), Some("max_tokens")),
        (json!({"n": 1_000_000}), Some("n")),
        (json!({"top_k": -1}), Some("top_k")),
        (json!({"logprobs": true, "top_logprobs": -1}), Some("top_logprobs")),
        (json!({"logprobs": true, "top_logprobs": 151_936}), Some("top_logprobs")),
        (json!({"prompt_logprobs": -1}), Some("prompt_logprobs")),
        (json!({"temperature": 1e308}), Some("temperature")),
        (json!({"seed": 1.8446744073709552e19}), Some("seed")),
        (json!({"stop": vec!["x"; 17]}), Some("stop")),
        // These are too many values for any request.
        (json!({"stop": vec!["x"; 200_000]}), None),
        (json!({"logit_bias": Value::Object(many(1_025))}), Some("logit_bias")),
        (json!({"logit_bias": Value::Object(many(70_000))}), None),
    ];
    for (fields, param) in wrong {
        let (status, _, body) = refused(ask(&server, "echo hi", fields).await).await;
        assert_eq!((status, body["error"]["param"].as_str()), (400, param), "{body}");
    }
    let mut raw = ask(&server, "echo hi", json!({})).await;
    assert!(read_until(&mut raw, "\"content\":\"hi\"").await.starts_with("HTTP/1.1 200"));
    server.is_idle().await;
}
