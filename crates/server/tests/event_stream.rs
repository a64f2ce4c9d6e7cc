//! `banter.v1` without a WebSocket: a stream of events, and requests beside it.

mod support;

use banter_server::{KeyHash, OnDisconnect, PublicUrl, ServerConfig};
use serde_json::{Value, json};
use std::time::Duration;
use support::event_stream::{EventStream, Said};
use support::{TestServer, patiently, raw};

/// A stream whose client has said hello.
async fn greeted(server: &TestServer, headers: &str) -> EventStream {
    let mut stream = EventStream::open(server.address, headers).await.expect("a stream");
    send(&stream, json!({ "type": "hello" })).await;
    event(&mut stream, "welcome").await;
    stream
}

async fn send(stream: &EventStream, event: Value) {
    patiently(stream.send(&event)).await.expect("an open stream");
}

/// The next event of a type. Others are left out.
async fn event(stream: &mut EventStream, name: &str) -> Value {
    loop {
        match patiently(stream.next()).await.expect("an open stream") {
            Said::Frame(event) if event["type"] == name => return event,
            Said::Frame(event) => assert!(event["type"] != "error", "{event}"),
            said @ Said::Close(_) => panic!("{said:?}"),
        }
    }
}

async fn ask(stream: &EventStream, text: &str) {
    send(stream, json!({ "type": "send", "text": text, "client_id": text })).await;
}

/// The close code with which a stream ends; `None` if it ends without a word.
async fn end(mut stream: EventStream) -> Option<u64> {
    loop {
        match patiently(stream.next()).await {
            Ok(Said::Frame(_)) => {}
            Ok(Said::Close(code)) => return Some(code),
            Err(_) => return None,
        }
    }
}

#[tokio::test]
async fn an_answer_comes_piece_by_piece_and_can_be_stopped() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut stream = greeted(&server, "").await;
    ask(&stream, "echo hello there").await;
    event(&mut stream, "accepted").await;
    let finished = event(&mut stream, "finished").await;
    assert_eq!((&finished["state"], &finished["bytes"]), (&json!("complete"), &json!(11)));

    ask(&stream, "tokens 100000 1").await;
    let accepted = event(&mut stream, "accepted").await;
    event(&mut stream, "delta").await;
    server.runs(1).await;
    send(&stream, json!({ "type": "stop", "answer": accepted["answer"] })).await;
    assert_eq!(event(&mut stream, "finished").await["state"], "stopped");
    server.is_idle().await;
    server.end().await;
}

#[tokio::test]
async fn wrong_events_are_refused_on_the_stream_like_on_a_socket() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut stream = EventStream::open(server.address, "").await.expect("a stream");
    for (frame, code) in [
        (r#"{"type": "ping"}"#, "hello_first"),
        ("{", "bad_json"),
        (r#"{"type": "surprise"}"#, "unknown_event"),
    ] {
        assert_eq!(stream.post(&stream.id, frame).await.expect("a response"), 204, "{frame}");
        match patiently(stream.next()).await.expect("an open stream") {
            Said::Frame(error) => assert_eq!(error["code"], code, "{frame}: {error}"),
            said @ Said::Close(_) => panic!("{frame}: {said:?}"),
        }
    }
    server.end().await;
}

#[tokio::test]
async fn a10_a_stream_takes_nothing_from_anybody_else() {
    let config = ServerConfig {
        public_urls: vec![PublicUrl::parse("https://chat.example/").expect("a url")],
        keys: vec![KeyHash::of("the-key-of-anna"), KeyHash::of("the-key-of-ben")],
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    let of = |key: &str| format!("X-Forwarded-For: 203.0.113.5\r\nAuthorization: Bearer {key}\r\n");
    let anna = greeted(&server, &of("the-key-of-anna")).await;
    let ben = greeted(&server, &of("the-key-of-ben")).await;
    let ping = r#"{"type": "ping"}"#;
    let status = async |stream: &EventStream, id: &str| stream.post(id, ping).await.expect("one");
    assert_eq!(status(&anna, &anna.id).await, 204);
    assert_eq!(status(&ben, &anna.id).await, 404);
    assert_eq!(status(&ben, "nothing").await, 404);
    // Nobody without a key, and no page of another site.
    let path = format!("/api/stream/{}", anna.id);
    let stranger = raw::post(server.address, &path, "X-Forwarded-For: 203.0.113.5\r\n", ping).await;
    assert_eq!(stranger.status, 401);
    let page = format!("{}Origin: https://evil.example\r\n", of("the-key-of-anna"));
    assert_eq!(raw::post(server.address, &path, &page, ping).await.status, 403);
    // A body that a form could send.
    let form = format!("{}Content-Type: text/plain\r\n", of("the-key-of-anna"));
    assert_eq!(raw::send(server.address, "POST", &path, &form, ping).await.status, 415);
    drop(anna);
    let gone = async {
        while status(&ben, &ben.id).await != 204 {}
        while raw::post(server.address, &path, &of("the-key-of-anna"), ping).await.status != 404 {
            tokio::task::yield_now().await;
        }
    };
    patiently(gone).await;
    server.end().await;
}

#[tokio::test]
async fn a11_a_stream_ends_with_its_session() {
    let config = ServerConfig {
        public_urls: vec![PublicUrl::parse("http://chat.example/").expect("a url")],
        keys: vec![KeyHash::of("the-key-of-anna")],
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    let afar = "X-Forwarded-For: 203.0.113.5\r\n";
    let key = r#"{"key": "the-key-of-anna"}"#;
    let signed_in = raw::post(server.address, "/api/session", afar, key).await;
    let cookie = signed_in.header("set-cookie").expect("a cookie");
    let pair = cookie.split(';').next().expect("a pair");
    let mine = format!("{afar}Cookie: {pair}\r\n");
    let stream = greeted(&server, &mine).await;
    raw::send(server.address, "DELETE", "/api/session", &mine, "").await;
    assert_eq!(end(stream).await, Some(1001));
    server.end().await;
}

#[tokio::test]
async fn a_stream_says_that_the_server_ends() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut stream = greeted(&server, "").await;
    let (_, ()) = tokio::join!(event(&mut stream, "going_away"), server.end());
    assert_eq!(end(stream).await, Some(1001));
}

#[tokio::test]
async fn a_silent_stream_gives_signs_of_life() {
    let config =
        ServerConfig { ping_interval: Duration::from_millis(20), ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let mut stream = greeted(&server, "").await;
    // They come before the next event, which is sent when some have come.
    ask(&stream, "paced 200 one two").await;
    event(&mut stream, "finished").await;
    assert!(stream.signs_of_life > 0);
    server.end().await;
}

#[tokio::test]
async fn an_answer_ends_with_its_stream_where_the_operator_says_so() {
    let config = ServerConfig { on_disconnect: OnDisconnect::Stop, ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let mut stream = greeted(&server, "").await;
    ask(&stream, "tokens 100000 1").await;
    event(&mut stream, "delta").await;
    server.runs(1).await;
    drop(stream);
    server.is_idle().await;
    server.end().await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_can_still_stop_its_answer() {
    let config = ServerConfig { max_outbound_bytes: 64 * 1024, ..ServerConfig::default() };
    let server = TestServer::start_narrow(config).await;
    let mut stream = greeted(&server, "").await;
    ask(&stream, "tokens 1000000 0").await;
    let accepted = event(&mut stream, "accepted").await;
    server.runs(1).await;
    server.stands_still().await;
    send(&stream, json!({ "type": "stop", "answer": accepted["answer"] })).await;
    server.is_idle().await;
    server.end().await;
}
