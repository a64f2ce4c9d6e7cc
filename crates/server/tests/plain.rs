//! The plain language as a client hears it.

mod support;

use banter_server::ServerConfig;
use std::time::Duration;
use support::raw::{FINAL, Raw, TEXT, text};
use support::{Log, TestServer};

#[tokio::test]
async fn an_answer_is_its_pieces_and_an_empty_frame() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    client.ask("echo-chars 你好 🙂!").await;
    assert_eq!(client.answer().await.concat(), "你好 🙂!");
    client.ask("hello there").await;
    assert_eq!(client.answer().await.concat(), "You said: hello there");
    server.end().await;
}

#[tokio::test]
async fn stream_false_gives_one_frame() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    client.send(r#"{"message": "tokens 50 0", "stream": false}"#).await;
    let frames = client.answer().await;
    assert_eq!(frames.len(), 1);
    assert!(frames[0].starts_with("word0 word1 ") && frames[0].ends_with("word49 "));
    server.end().await;
}

#[tokio::test]
async fn a_very_long_whole_answer_is_one_message() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    let long = "長い".repeat(100_000);
    let request = serde_json::json!({ "message": format!("echo {long}"), "stream": false });
    client.send(request.to_string()).await;
    assert_eq!(client.answer().await, [long]);
    server.end().await;
}

#[tokio::test]
async fn messages_that_wait_are_answered_in_order_and_the_fifth_is_told_busy() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut raw = Raw::websocket(server.address).await;
    let messages = ["tokens 3 1", "echo 1", "echo 2", "echo 3", "echo 4", "echo 5"];
    let segment: Vec<u8> =
        messages.iter().flat_map(|m| text(&format!(r#"{{"message":"{m}"}}"#))).collect();
    raw.send(&segment).await;
    let mut answers = vec![String::new()];
    while answers.len() <= messages.len() {
        let (first, payload) = raw.frame().await.expect("an open socket");
        assert_eq!(first, FINAL | TEXT);
        let payload = String::from_utf8(payload).expect("UTF-8");
        match payload.is_empty() {
            true => answers.push(String::new()),
            false => answers.last_mut().expect("not empty").push_str(&payload),
        }
    }
    assert_eq!(answers[..5], ["word0 word1 word2 ", "1", "2", "3", "4"]);
    assert!(answers[5].starts_with(r#"{"error":{"code":"busy""#), "{}", answers[5]);
    server.end().await;
}

#[tokio::test]
async fn stop_and_a_new_message_in_one_segment_give_two_ends_and_nothing_of_the_first_between() {
    let server = TestServer::start(ServerConfig::default()).await;
    for _ in 0..50 {
        let mut raw = Raw::websocket(server.address).await;
        raw.send(&text(r#"{"message": "tokens 100000 0"}"#)).await;
        let (_, first_piece) = raw.frame().await.expect("an answer");
        assert!(first_piece.starts_with(b"word0"));
        let mut segment = text(r#"{"stop": true}"#);
        segment.extend(text(r#"{"message": "echo second"}"#));
        raw.send(&segment).await;
        while !raw.frame().await.expect("the first answer's end").1.is_empty() {}
        assert_eq!(raw.frame().await, Some((FINAL | TEXT, b"second".to_vec())));
        assert_eq!(raw.frame().await, Some((FINAL | TEXT, Vec::new())));
    }
    server.is_idle().await;
    server.end().await;
}

#[tokio::test]
async fn a_stop_ends_an_answer_that_says_nothing_and_drops_what_waits() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    client.ask("hang").await;
    client.ask("echo never").await;
    client.send(r#"{"stop": true}"#).await;
    assert!(client.answer().await.is_empty());
    assert!(client.answer().await.is_empty());
    server.is_idle().await;
    client.expect_works().await;
    server.end().await;
}

#[tokio::test]
async fn a_stop_with_nothing_running_is_answered_by_nothing() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    client.send(r#"{"stop": true}"#).await;
    client.expect_works().await;
    server.end().await;
}

#[tokio::test]
async fn disconnecting_stops_the_answer() {
    let server = TestServer::start(ServerConfig::default()).await;
    for message in ["hang", "slow 1000"] {
        let mut client = server.client().await;
        client.ask("echo ready").await;
        client.answer().await;
        client.ask(message).await;
        if message.starts_with("slow") {
            client.frame().await;
        }
        // Without a close: as when a cable is pulled and the system notices.
        drop(client);
        server.is_idle().await;
    }
    server.end().await;
}

#[tokio::test]
async fn an_answer_whose_client_vanishes_leaves_a_line_in_the_log() {
    let log = Log::collect();
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    client.ask("echo whole").await;
    client.answer().await;
    client.ask("slow 1000 secret-word").await;
    client.frame().await;
    drop(client);
    server.is_idle().await;
    server.end().await;
    let text = log.text();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("disconnected")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert!(lines[0].contains("generation{id=2") && lines[0].contains("finished"), "{}", lines[0]);
    assert!(!text.contains("secret-word"), "{text}");
}

#[tokio::test]
async fn a_message_in_a_stop_is_dropped_with_an_end_of_its_own() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    client.send(r#"{"stop": true, "message": "echo a"}"#).await;
    assert!(client.answer().await.is_empty());
    client.ask("hang").await;
    client.ask("echo waits").await;
    client.send(r#"{"stop": true, "message": "echo a"}"#).await;
    for _ in 0..3 {
        assert!(client.answer().await.is_empty());
    }
    client.expect_works().await;
    server.end().await;
}

#[tokio::test]
async fn every_error_is_one_frame_and_an_end_and_the_socket_stays_usable() {
    struct Case {
        frame: &'static str,
        code: &'static str,
    }
    let cases = [
        Case { frame: "", code: "bad_json" },
        Case { frame: "[1]", code: "bad_json" },
        Case { frame: r#"{"message":"a","message":"b"}"#, code: "bad_json" },
        Case { frame: r#"{"message": "\ud800"}"#, code: "bad_json" },
        Case { frame: r#"{"message":"a","temperature":1e400}"#, code: "bad_json" },
        Case { frame: "{}", code: "invalid_parameter" },
        Case { frame: r#"{"message":"a","top_p":0}"#, code: "invalid_parameter" },
        Case { frame: r#"{"message": "busy"}"#, code: "busy" },
        Case { frame: r#"{"message": "too-long"}"#, code: "too_long" },
    ];
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    for case in cases {
        client.send(case.frame).await;
        client.expect_error(case.code).await;
        client.expect_works().await;
    }
    client.ask("fail").await;
    let frames = client.answer().await;
    assert!(frames.last().expect("an error").starts_with(r#"{"error":{"code":"internal""#));
    client.expect_works().await;
    server.end().await;
}

#[tokio::test]
async fn an_answer_that_does_not_begin_or_move_times_out() {
    let config = ServerConfig {
        queue_timeout: Duration::from_millis(50),
        step_timeout: Duration::from_millis(50),
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    let mut client = server.client().await;
    for never_begins in ["hang", "tokens 2 60000"] {
        client.ask(never_begins).await;
        let error = client.expect_error("timeout").await;
        assert_eq!(error["message"], "timed out after 0 s in the queue (--queue-timeout)");
        client.expect_works().await;
    }
    client.ask("dropped-hang 0 text").await;
    assert_eq!(client.frame().await, "text");
    let error = client.expect_error("timeout").await;
    assert_eq!(error["message"], "timed out after 0 s without a step");
    server.is_idle().await;
    server.end().await;
}

#[tokio::test]
async fn while_the_model_loads_a_message_is_told_busy() {
    let server = TestServer::start_loading(ServerConfig::default(), 0.62).await;
    let mut client = server.client().await;
    client.ask("hello").await;
    let error = client.expect_error("busy").await;
    assert_eq!(error["message"], "the model is still loading (62 %); try again in a moment");
    server.end().await;
}

#[tokio::test]
async fn a_current_message_in_the_history_counts_once() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    let history = serde_json::json!([
        { "role": "system", "content": "be brief" },
        { "role": "user", "content": "a" },
        { "role": "assistant", "content": "b" },
        { "role": "user", "content": "history" },
    ]);
    let request = serde_json::json!({ "message": "history", "history": history });
    client.send(request.to_string()).await;
    let answer: serde_json::Value =
        serde_json::from_str(&client.answer().await.concat()).expect("JSON");
    assert_eq!(answer, history);
    server.end().await;
}

#[tokio::test]
async fn the_operators_system_prompt_opens_conversations_that_bring_none() {
    let system_prompt = Some("answer in verse".to_owned());
    let config = ServerConfig { system_prompt, ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let mut client = server.client().await;
    let system = |content: &str| serde_json::json!({ "role": "system", "content": content });
    let question = serde_json::json!({ "role": "user", "content": "history" });
    for (history, opening) in [(vec![], "answer in verse"), (vec![system("be brief")], "be brief")]
    {
        let request = serde_json::json!({ "message": "history", "history": history });
        client.send(request.to_string()).await;
        let seen: serde_json::Value =
            serde_json::from_str(&client.answer().await.concat()).expect("JSON");
        assert_eq!(seen, serde_json::json!([system(opening), question]));
    }
    server.end().await;
}

#[tokio::test]
async fn an_answer_that_looks_like_an_error_comes_in_two_frames() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    let lookalike = r#"{"error": {"code": "busy"}}"#;
    for stream in [true, false] {
        let message = format!("echo {lookalike}");
        let request = serde_json::json!({ "message": message, "stream": stream });
        client.send(request.to_string()).await;
        let frames = client.answer().await;
        assert_eq!((frames.len(), frames.concat().as_str()), (2, lookalike));
    }
    server.end().await;
}

#[tokio::test]
async fn dropped_messages_are_one_log_line_and_no_text_is_logged() {
    let log = Log::collect();
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    client.ask("dropped 3 secret-word").await;
    assert_eq!(client.answer().await, ["secret-word"]);
    client
        .send("{\"message\": \"secret-word\", \"top_p\": \"secret-word\\r\\n\\u001b[31m\"}")
        .await;
    client.expect_error("invalid_parameter").await;
    server.end().await;
    let text = log.text();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("left out")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert!(lines[0].contains("dropped=3"));
    assert!(!text.contains("secret-word") && !text.contains('\u{1b}'), "{text}");
}

#[tokio::test]
async fn a_thousand_messages_in_one_segment_and_one_in_single_bytes_are_answered_as_usual() {
    let config = ServerConfig { max_waiting_messages: 2_000, ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let mut raw = Raw::websocket(server.address).await;
    let segment: Vec<u8> =
        (0..1_000).flat_map(|n| text(&format!(r#"{{"message":"echo {n}"}}"#))).collect();
    raw.send(&segment).await;
    for n in 0..1_000 {
        assert_eq!(raw.frame().await, Some((FINAL | TEXT, n.to_string().into_bytes())));
        assert_eq!(raw.frame().await, Some((FINAL | TEXT, Vec::new())));
    }
    for byte in text(r#"{"message":"echo slowly"}"#) {
        raw.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(raw.frame().await, Some((FINAL | TEXT, b"slowly".to_vec())));
    server.end().await;
}

#[tokio::test]
async fn shutdown_says_going_away_and_stops_answers() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut answering = server.client().await;
    answering.ask("slow 1000").await;
    answering.frame().await;
    let idle = server.client().await;
    let (first, second, ()) = tokio::join!(answering.close_code(), idle.close_code(), server.end());
    let going_away = Some(tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode::Away);
    assert_eq!((first, second), (going_away, going_away));
}
