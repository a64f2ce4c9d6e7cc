//! What a client is told about an answer besides its text, if it asks for it.

mod support;

use banter_server::ServerConfig;
use serde_json::{Value, json};
use support::{Client, TestServer};

/// The frames of an answer to a client that asks for all reports, and why it ended.
async fn reported(client: &mut Client, message: &str, more: Value) -> (Vec<String>, Value) {
    let mut request = json!({ "message": message, "report_end": true, "report_thinking": true });
    for (name, value) in more.as_object().expect("fields") {
        request[name] = value.clone();
    }
    client.send(request.to_string()).await;
    let mut frames = client.answer().await;
    let last = frames.pop().expect("a report or an error");
    (frames, serde_json::from_str(&last).expect("JSON"))
}

#[tokio::test]
async fn every_end_is_reported_with_its_reason_and_tokens() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    for stream in [true, false] {
        for reason in ["end", "stop_string", "length", "filtered", "unavailable"] {
            let message = format!("ends {reason} text");
            let more = json!({ "stream": stream });
            let (frames, end) = reported(&mut client, &message, more).await;
            let expected = json!({ "end": { "reason": reason, "tokens": 1 } });
            assert_eq!((frames.concat().as_str(), end), ("text", expected));
        }
        let more = json!({ "stream": stream, "max_tokens": 3 });
        let (frames, end) = reported(&mut client, "tokens 9 0", more).await;
        assert_eq!(frames.concat(), "word0 word1 word2 ");
        assert_eq!(end, json!({ "end": { "reason": "length", "tokens": 3 } }));
        let (_, error) = reported(&mut client, "fail", json!({ "stream": stream })).await;
        assert_eq!(error["error"]["code"], "internal");
    }
    let (frames, error) = reported(&mut client, "too-long", json!({})).await;
    assert_eq!((frames.len(), &error["error"]["code"]), (0, &json!("too_long")));
    client.expect_works().await;
    server.end().await;
}

#[tokio::test]
async fn a_stop_is_reported_when_it_is_read() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    client.send(json!({ "message": "hang", "report_end": true }).to_string()).await;
    client.send(r#"{"stop": true}"#).await;
    assert_eq!(client.answer().await, [r#"{"end":{"reason":"stopped"}}"#]);
    client.expect_works().await;
    server.end().await;
}

#[tokio::test]
async fn what_was_left_out_of_the_history_is_reported_with_the_end() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    for stream in [true, false] {
        let more = json!({ "stream": stream });
        let (frames, end) = reported(&mut client, "dropped 6 text", more).await;
        let expected = json!({ "end": { "reason": "end", "tokens": 1, "dropped_messages": 6 } });
        assert_eq!((frames.concat().as_str(), end), ("text", expected));
        let (_, end) = reported(&mut client, "echo all of it", json!({ "stream": stream })).await;
        assert_eq!(end, json!({ "end": { "reason": "end", "tokens": 1 } }), "it is not kept");
    }
    client.ask("dropped 6 text").await;
    assert_eq!(client.answer().await, ["text"]);

    // The answer ends at its stop, and what was left out is known since it began.
    client.send(json!({ "message": "dropped-hang 6 text", "report_end": true }).to_string()).await;
    assert_eq!(client.frame().await, "text");
    client.send(r#"{"stop": true}"#).await;
    let frames = client.answer().await;
    let end: Value = serde_json::from_str(&frames[0]).expect("JSON");
    let expected = json!({ "end": { "reason": "stopped", "dropped_messages": 6 } });
    assert_eq!((frames.len(), end), (1, expected));
    server.end().await;
}

#[tokio::test]
async fn without_reports_nothing_is_new_but_an_answer_that_was_cut_ends_with_an_error() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    for reason in ["end", "stop_string", "length"] {
        client.ask(&format!("ends {reason} text")).await;
        assert_eq!(client.answer().await, ["text"]);
    }
    for reason in ["filtered", "unavailable"] {
        client.ask(&format!("ends {reason} ")).await;
        client.expect_error(reason).await;
        client.ask(&format!("ends {reason} text")).await;
        let frames = client.answer().await;
        let error: Value = serde_json::from_str(&frames[1]).expect("JSON");
        assert_eq!((frames[0].as_str(), &error["error"]["code"]), ("text", &json!(reason)));
    }
    client.ask("thinks so and so | yes").await;
    assert_eq!(client.answer().await, ["yes"]);
    server.end().await;
}

#[tokio::test]
async fn thoughts_come_before_the_answer_as_frames_of_their_own() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    for stream in [true, false] {
        let more = json!({ "stream": stream });
        let (frames, end) = reported(&mut client, "thinks so and so | yes", more).await;
        assert_eq!(end["end"]["reason"], "end");
        let (answer, thoughts) = frames.split_last().expect("an answer");
        assert_eq!(answer, "yes");
        let thought = |frame: &String| -> String {
            let frame: Value = serde_json::from_str(frame).expect("JSON");
            frame["thinking"].as_str().expect("a thought").to_owned()
        };
        assert_eq!(thoughts.iter().map(thought).collect::<String>(), "so and so");
        assert!(stream || thoughts.len() == 1, "{thoughts:?}");
    }
    server.end().await;
}

#[tokio::test]
async fn an_answer_that_looks_like_a_report_comes_in_two_frames() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.client().await;
    for lookalike in [r#"{"end": {"reason": "length"}}"#, r#" {"thinking": "so"}"#] {
        for stream in [true, false] {
            let message = format!("echo {lookalike}");
            let more = json!({ "stream": stream });
            let (frames, end) = reported(&mut client, &message, more).await;
            assert_eq!((frames.len(), frames.concat().as_str()), (2, lookalike));
            assert_eq!(end["end"]["reason"], "end");
            client.send(json!({ "message": message, "stream": stream }).to_string()).await;
            assert_eq!(client.answer().await, [lookalike]);
        }
    }
    server.end().await;
}
