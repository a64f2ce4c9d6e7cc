//! Responses of OpenAI's interface that are made in the background.

mod support;

use banter_server::{KeyHash, ServerConfig};
use banter_store::{KeptResponse, Place, Store, StoreConfig};
use serde_json::{Value, json};
use std::path::Path;
use support::http::{post, read_until};
use support::raw::{self, Raw, Response};
use support::{TestServer, patiently};

/// Begins a response. More than that of it is not waited for.
async fn begin(server: &TestServer, input: &str) -> Value {
    let body = json!({"input": input, "background": true}).to_string();
    let response = raw::post(server.address, "/v1/responses", "", &body).await;
    assert_eq!(response.status, 200, "{}", response.body);
    let response = response.json();
    assert_eq!(response["background"], true);
    response
}

async fn get(server: &TestServer, id: &Value, query: &str) -> Response {
    let path = format!("/v1/responses/{}{query}", id.as_str().expect("an id"));
    raw::get(server.address, &path, "").await
}

async fn cancel(server: &TestServer, id: &Value) -> Response {
    let path = format!("/v1/responses/{}/cancel", id.as_str().expect("an id"));
    raw::post(server.address, &path, "", "").await
}

/// Asks until the response is as wanted.
async fn until(server: &TestServer, id: &Value, is_so: impl Fn(&Value) -> bool) -> Value {
    let asking = async {
        loop {
            let response = get(server, id, "").await;
            assert_eq!(response.status, 200, "{}", response.body);
            let response = response.json();
            if is_so(&response) {
                return response;
            }
            tokio::task::yield_now().await;
        }
    };
    patiently(asking).await
}

fn is(status: &str) -> impl Fn(&Value) -> bool {
    move |response| response["status"] == status
}

fn text(response: &Value) -> &str {
    response["output"][0]["content"][0]["text"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_response_is_made_although_nobody_is_connected() {
    let server = TestServer::start(ServerConfig::default()).await;
    let begun = begin(&server, "tokens 200 1").await;
    let status = begun["status"].as_str().expect("a status");
    assert!(["queued", "in_progress"].contains(&status), "{status}");
    let half = until(&server, &begun["id"], |response| !text(response).is_empty()).await;
    let whole = until(&server, &begun["id"], is("completed")).await;
    assert!(text(&whole).starts_with(text(&half)) && text(&whole).contains("word199"), "{whole}");
    assert_eq!((&whole["id"], &whole["background"]), (&begun["id"], &json!(true)));
    // The next one goes on from it.
    let body = json!({"input": "history", "previous_response_id": begun["id"]}).to_string();
    let next = raw::post(server.address, "/v1/responses", "", &body).await.json();
    assert!(text(&next).contains("word199"), "{next}");
}

/// A stream of a response, and the events that have been read of it.
struct Following {
    raw: Raw,
    read: String,
}

impl Following {
    async fn begin(server: &TestServer, input: &str) -> Following {
        let body = json!({"input": input, "background": true, "stream": true});
        let raw = post(server, "/v1/responses", &body).await;
        Following { raw, read: String::new() }
    }

    async fn until(&mut self, end: &str) {
        self.read += &read_until(&mut self.raw, end).await;
    }

    fn events(&self) -> Vec<Value> {
        events(&self.read)
    }
}

fn events(read: &str) -> Vec<Value> {
    let lines = read.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.filter_map(|event| serde_json::from_str(event).ok()).collect()
}

#[tokio::test]
async fn a_stream_that_was_cut_goes_on_after_any_event() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut cut = Following::begin(&server, "tokens 50 5").await;
    cut.until("word3").await;
    let before = cut.events();
    let id = before[0]["response"]["id"].clone();
    drop(cut);
    let all = get(&server, &id, "?stream=true").await;
    assert_eq!(all.header("content-type"), Some("text/event-stream"));
    let all = events(&all.body);
    assert_eq!(all[..before.len()], before);
    let numbers: Vec<u64> =
        all.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
    assert_eq!(numbers, (0..all.len() as u64).collect::<Vec<_>>());
    let last = all.last().expect("an end");
    assert_eq!(last["type"], "response.completed");
    assert!(text(&last["response"]).contains("word49"));
    for after in [0, 7, numbers.len() - 2, numbers.len() - 1] {
        let query = format!("?stream=true&starting_after={after}");
        let rest = events(&get(&server, &id, &query).await.body);
        assert_eq!(rest, all[after + 1..], "after {after}");
    }
    assert_eq!(get(&server, &id, "").await.json(), last["response"]);
}

#[tokio::test]
async fn a_response_can_be_stopped_and_keeps_what_it_has() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut following = Following::begin(&server, "tokens 100000 5").await;
    following.until("word3").await;
    let id = following.events()[0]["response"]["id"].clone();
    let cancelled = cancel(&server, &id).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.body);
    let cancelled = cancelled.json();
    assert_eq!(cancelled["status"], "cancelled");
    assert!(text(&cancelled).contains("word3"), "{cancelled}");
    server.is_idle().await;
    assert_eq!(cancel(&server, &id).await.json(), cancelled);
    assert_eq!(get(&server, &id, "").await.json(), cancelled);
    following.until("\r\n0\r\n").await;
    let last = following.events().pop().expect("an end");
    assert_eq!((&last["type"], &last["response"]), (&json!("response.incomplete"), &cancelled));
}

#[tokio::test]
async fn a_response_that_is_erased_while_it_is_made_is_gone() {
    let server = TestServer::start(ServerConfig::default()).await;
    let begun = begin(&server, "tokens 100000 5").await;
    let path = format!("/v1/responses/{}", begun["id"].as_str().expect("an id"));
    assert_eq!(raw::request(server.address, "DELETE", &path, "").await.status, 200);
    server.is_idle().await;
    assert_eq!(get(&server, &begun["id"], "").await.status, 404);
    assert_eq!(cancel(&server, &begun["id"]).await.status, 404);
}

#[tokio::test]
async fn the_events_of_an_erased_response_are_gone() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut following = Following::begin(&server, "echo secret").await;
    following.until("\r\n0\r\n").await;
    let id = following.events()[0]["response"]["id"].clone();
    assert_eq!(get(&server, &id, "?stream=true").await.status, 200);
    let path = format!("/v1/responses/{}", id.as_str().expect("an id"));
    assert_eq!(raw::request(server.address, "DELETE", &path, "").await.status, 200);
    for query in ["", "?stream=true", "?stream=true&starting_after=1"] {
        assert_eq!(get(&server, &id, query).await.status, 404, "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_at_once() {
    let server = TestServer::start(ServerConfig::default()).await;
    let refused = async |body: Value| {
        let response = raw::post(server.address, "/v1/responses", "", &body.to_string()).await;
        (response.status, response.json()["error"]["param"].clone())
    };
    let unkept = json!({"input": "x", "background": true, "store": false});
    assert_eq!(refused(unkept).await, (400, json!("background")));
    assert_eq!(refused(json!({"input": "busy", "background": true})).await.0, 429);
    let running = begin(&server, "tokens 100000 5").await;
    let after = json!({"input": "x", "previous_response_id": running["id"]});
    assert_eq!(refused(after).await, (400, json!("previous_response_id")));
    let asked = async |id: &Value, query: &str| {
        let response = get(&server, id, query).await;
        (response.status, response.json()["error"]["param"].clone())
    };
    let wrong = |field: &str| (400, json!(field));
    assert_eq!(asked(&running["id"], "?stream=true").await, wrong("stream"));
    assert_eq!(asked(&running["id"], "?starting_after=1").await, wrong("starting_after"));
    assert_eq!(asked(&running["id"], "?stream=perhaps").await, wrong("stream"));
    assert_eq!(asked(&json!("resp_none"), "?stream=true").await.0, 404);
    let usual = raw::post(server.address, "/v1/responses", "", r#"{"input": "x"}"#).await.json();
    assert_eq!(asked(&usual["id"], "?stream=true").await, wrong("stream"));
    assert_eq!(cancel(&server, &usual["id"]).await.status, 400);
}

#[tokio::test]
async fn a_response_that_fails_says_so_to_whoever_asks() {
    let server = TestServer::start(ServerConfig::default()).await;
    let begun = begin(&server, "fail").await;
    let failed = until(&server, &begun["id"], is("failed")).await;
    assert_eq!(failed["error"]["code"], "server_error", "{failed}");
}

#[tokio::test]
async fn nobody_else_finds_a_response() {
    let keys = vec![KeyHash::of("ada's"), KeyHash::of("bob's")];
    let server = TestServer::start(ServerConfig { keys, ..ServerConfig::default() }).await;
    let headers = |key: &str| format!("X-Forwarded-For: 203.0.113.5\r\nX-Api-Key: {key}\r\n");
    let body = json!({"input": "tokens 100000 5", "background": true, "stream": false}).to_string();
    let made = raw::post(server.address, "/v1/responses", &headers("ada's"), &body).await.json();
    let path = format!("/v1/responses/{}", made["id"].as_str().expect("an id"));
    for query in ["", "?stream=true"] {
        let path = format!("{path}{query}");
        assert_eq!(raw::get(server.address, &path, &headers("bob's")).await.status, 404);
    }
    let stop = format!("{path}/cancel");
    assert_eq!(raw::post(server.address, &stop, &headers("bob's"), "").await.status, 404);
    assert_eq!(server.running(), 1);
    let stopped = raw::post(server.address, &stop, &headers("ada's"), "").await.json();
    assert_eq!(stopped["status"], "cancelled");
}

fn store(folder: &Path) -> Store {
    Store::open(StoreConfig::new(Place::Folder(folder.to_owned()))).expect("a store")
}

#[tokio::test]
async fn the_end_of_the_server_is_the_end_of_a_response() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("data");
    let server = TestServer::start_in(&place, ServerConfig::default()).await;
    let begun = begin(&server, "tokens 100000 5").await;
    until(&server, &begun["id"], |response| text(response).contains("word3")).await;
    server.end().await;
    let server = TestServer::start_in(&place, ServerConfig::default()).await;
    let failed = get(&server, &begun["id"], "").await.json();
    assert_eq!(failed["status"], "failed");
    assert!(text(&failed).contains("word3"), "{failed}");
    server.end().await;

    // A process that is killed has no time to say so.
    let kept = KeptResponse {
        id: "resp_killed".to_owned(),
        response: json!({"id": "resp_killed", "status": "queued", "background": true}).to_string(),
        items: "[]".to_owned(),
    };
    let killed = store(&place);
    let users = killed.users().await.expect("a list");
    killed.keep_response(users[0].id, kept).await.expect("it is kept");
    drop(killed);
    let server = TestServer::start_in(&place, ServerConfig::default()).await;
    for _ in 0..2 {
        let failed = get(&server, &json!("resp_killed"), "").await.json();
        assert_eq!(failed["status"], "failed");
        let message = failed["error"]["message"].as_str().expect("words");
        assert!(message.contains("ask again"), "{message}");
    }
}
