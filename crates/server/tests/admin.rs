//! What administrators see and stop: `/api/admin` and `/metrics`.

mod support;

use banter_server::{KeyHash, ServerConfig};
use serde_json::{Value, json};
use support::raw::{self, from_afar};
use support::{TestServer, patiently};

async fn overview(server: &TestServer) -> Value {
    raw::get(server.address, "/api/admin", "").await.json()
}

/// Waits until the only answer does this.
async fn does(server: &TestServer, what: &str) -> Value {
    let does = async {
        loop {
            let view = overview(server).await;
            if view["answers"][0]["doing"]["what"] == what {
                return view["answers"][0].clone();
            }
        }
    };
    patiently(does).await
}

async fn series(server: &TestServer, name: &str) -> f64 {
    let metrics = raw::get(server.address, "/metrics", "").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name}: {metrics}"))
}

#[tokio::test]
async fn an_answer_is_shown_without_its_text_and_can_be_stopped() {
    let server = TestServer::start(ServerConfig::default()).await;
    let empty = overview(&server).await;
    assert_eq!((&empty["answers"], &empty["state"]["status"]), (&json!([]), &json!("ready")));
    assert_eq!(empty["model"]["name"], "scripted");
    let mut client = server.client().await;
    client.ask("dropped-hang 0 a-secret-word").await;
    assert_eq!(client.frame().await, "a-secret-word");
    let answer = does(&server, "writing").await;
    assert!(!answer.to_string().contains("secret"), "{answer}");
    assert_eq!((&answer["is_waited_for"], &answer["key"]), (&json!(true), &json!(null)));
    assert!(answer["bytes"].as_u64() >= Some(13) && answer["age"].as_f64() > Some(0.0), "{answer}");
    let path = format!("/api/admin/answers/{}/stop", answer["id"]);
    let stopped = raw::post(server.address, &path, "", "{}").await;
    assert_eq!(stopped.status, 204, "{}", stopped.body);
    assert_eq!(client.frame().await, "", "the client is told that its answer has ended");
    server.is_idle().await;
    let again = async {
        while overview(&server).await["answers"] != json!([]) {
            tokio::task::yield_now().await;
        }
        raw::post(server.address, &path, "", "{}").await.status
    };
    assert_eq!(patiently(again).await, 404, "it is gone");
    server.end().await;
}

#[tokio::test]
async fn only_administrators_see_what_others_do() {
    let config = ServerConfig {
        keys: vec![KeyHash::of("just-to-talk")],
        admin_keys: vec![KeyHash::of("to-look-at-it")],
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    for (key, status) in [("just-to-talk", 403), ("to-look-at-it", 200)] {
        let lines = from_afar(key, "");
        let seen = raw::get(server.address, "/api/admin", &lines).await;
        assert_eq!(seen.status, status, "{key}: {}", seen.body);
        let path = "/api/admin/answers/1/stop";
        let stopped = raw::post(server.address, path, &lines, "{}").await.status;
        assert_eq!(stopped, if status == 200 { 404 } else { status }, "{key}");
    }
    server.end().await;
}

#[tokio::test]
async fn a_page_of_another_origin_stops_nothing() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    client.ask("dropped-hang 0 hello").await;
    let answer = does(&server, "writing").await;
    let path = format!("/api/admin/answers/{}/stop", answer["id"]);
    for lines in ["Origin: https://evil.example\r\n", "Origin: null\r\n"] {
        assert_eq!(raw::post(server.address, &path, lines, "{}").await.status, 403, "{lines}");
    }
    let simple = "Content-Type: text/plain\r\n";
    assert_eq!(raw::send(server.address, "POST", &path, simple, "{}").await.status, 415);
    assert_eq!(server.running(), 1);
    server.end().await;
}

#[tokio::test]
async fn answers_sockets_and_requests_are_counted() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    client.ask("echo hello").await;
    client.answer().await;
    client.ask("dropped-hang 0 hello").await;
    assert_eq!(client.frame().await, "hello");
    assert_eq!(series(&server, "banter_live_answers").await, 1.0);
    client.send(r#"{"stop": true}"#).await;
    client.answer().await;
    server.is_idle().await;
    assert_eq!(series(&server, "banter_answers_total{reason=\"end\"}").await, 1.0);
    assert_eq!(series(&server, "banter_answers_total{reason=\"stopped\"}").await, 1.0);
    assert_eq!(series(&server, "banter_time_to_first_token_seconds_count").await, 2.0);
    assert_eq!(series(&server, "banter_sockets{language=\"plain\"}").await, 1.0);
    assert_eq!(raw::get(server.address, "/v1/responses/unknown", "").await.status, 404);
    let route = "banter_http_requests_total{route=\"/v1/responses/{id}\",status=\"404\"}";
    assert_eq!(series(&server, route).await, 1.0);
    drop(client);
    let closed = async {
        while series(&server, "banter_sockets{language=\"plain\"}").await != 0.0 {
            tokio::task::yield_now().await;
        }
    };
    patiently(closed).await;
    server.end().await;
}
