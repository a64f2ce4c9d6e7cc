//! `banter.v1` through real sockets, with a scripted backend.

mod support;

use banter_server::{KeyHash, OnDisconnect, ServerConfig};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use support::TestServer;
use support::raw::{Raw, text};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// A server whose answers outlive their sockets for a long time.
fn patient() -> ServerConfig {
    ServerConfig {
        on_disconnect: OnDisconnect::Grace(Duration::from_secs(60)),
        ..ServerConfig::default()
    }
}

/// A socket of the language whose frames are sent as bytes, so that several arrive at once.
async fn raw_socket(server: &TestServer) -> Raw {
    Raw::websocket_with(server.address, "Sec-WebSocket-Protocol: banter.v1\r\n").await
}

fn frame(event: &Value) -> Vec<u8> {
    text(&event.to_string())
}

#[tokio::test]
async fn the_subprotocol_is_confirmed_and_hello_is_greeted() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1_with(&[]).await.expect("a handshake");
    client.send(json!({ "type": "hello", "tag": "h" })).await;
    let welcome = client.next().await;
    assert_eq!((&welcome["type"], &welcome["tag"]), (&json!("welcome"), &json!("h")));
    assert_eq!(welcome["model"]["name"], "scripted");
    assert_eq!(welcome["stores"], false);
    assert_eq!(
        (&welcome["on_disconnect"], &welcome["grace_ms"]),
        (&json!("grace"), &json!(60_000))
    );
    client.send(json!({ "type": "ping", "tag": "p" })).await;
    assert_eq!(client.next().await, json!({ "type": "pong", "tag": "p" }));
    server.end().await;
}

#[tokio::test]
async fn a_message_is_accepted_told_and_answered_in_order() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    let send = json!({
        "type": "send", "text": "echo-chars 你好 world", "client_id": "one", "tag": "t",
        "system": "Be brief.", "parameters": { "seed": 7 },
    });
    client.send(send).await;
    let accepted = client.next().await;
    assert_eq!(accepted["type"], "accepted", "{accepted}");
    assert_eq!((&accepted["client_id"], &accepted["tag"]), (&json!("one"), &json!("t")));
    assert_eq!((&accepted["duplicate"], &accepted["parent"]), (&json!(false), &Value::Null));
    let created = client.next().await;
    assert_eq!((&created["type"], &created["change"]), (&json!("changed"), &json!("created")));
    assert_eq!(created["summary"]["title"], "echo-chars 你好 world");
    assert_eq!(created["summary"]["system"], "Be brief.");
    let message = client.next().await;
    assert_eq!(message["message"]["text"], "echo-chars 你好 world", "{message}");
    assert_eq!(message["message"]["id"], accepted["message"]);
    let answer = client.next().await;
    assert_eq!(answer["message"]["id"], accepted["answer"], "{answer}");
    assert_eq!(answer["message"]["state"], "waiting");
    let mut text = String::new();
    let finished = client.read(&accepted["answer"], &mut text).await;
    assert_eq!(text, "你好 world");
    assert_eq!((&finished["state"], &finished["reason"]), (&json!("complete"), &json!("end")));
    server.end().await;
}

/// A quick model must not cost its readers a frame on the socket for each token.
#[tokio::test]
async fn words_that_come_at_once_go_together() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    let begun = std::time::Instant::now();
    let accepted = client.ask("tokens 2000 0").await;
    let (mut text, mut deltas) = (String::new(), 0);
    loop {
        let event = client.next().await;
        match event["type"].as_str() {
            Some("delta") => {
                deltas += 1;
                text.push_str(event["text"].as_str().expect("a text"));
            }
            Some("finished") => break,
            _ => {}
        }
    }
    assert_eq!(text.split_whitespace().count(), 2000, "{accepted}");
    let most = begun.elapsed().as_millis() / 8 + 2;
    assert!(deltas <= most, "{deltas} deltas, where {most} have room");
    server.end().await;
}

#[tokio::test]
async fn the_model_is_told_the_branch_and_the_system_prompt() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    let send = json!({
        "type": "send", "text": "echo first", "client_id": "1", "system": "Be brief.",
    });
    client.send(send).await;
    let first = client.event("accepted").await;
    client.read(&first["answer"], &mut String::new()).await;
    let second = client.ask_in(&first["conversation"], "history").await;
    let mut text = String::new();
    client.read(&second["answer"], &mut text).await;
    let told: Value = serde_json::from_str(&text).expect("JSON");
    let expected = json!([
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": "echo first" },
        { "role": "assistant", "content": "first" },
        { "role": "user", "content": "history" },
    ]);
    assert_eq!(told, expected);
    server.end().await;
}

#[tokio::test]
async fn edits_and_other_answers_make_branches_and_overwrite_nothing() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    let first = client.ask("echo one").await;
    client.read(&first["answer"], &mut String::new()).await;
    let conversation = &first["conversation"];
    let edit = json!({
        "type": "edit", "conversation": conversation, "message": first["message"],
        "text": "echo two", "client_id": "e",
    });
    client.send(edit).await;
    let edited = client.event("accepted").await;
    let mut text = String::new();
    client.read(&edited["answer"], &mut text).await;
    assert_eq!(text, "two");
    let again = json!({
        "type": "regenerate", "conversation": conversation, "message": edited["answer"],
        "client_id": "r",
    });
    client.send(again).await;
    let other = client.event("accepted").await;
    assert_eq!((&other["message"], &other["parent"]), (&Value::Null, &edited["message"]));
    client.read(&other["answer"], &mut String::new()).await;
    client.send(json!({ "type": "open", "conversation": conversation })).await;
    let opened = client.event("opened").await;
    assert_eq!(opened["conversation"]["leaf"], other["answer"]);
    let messages = client.event("messages").await;
    let texts: Vec<&str> = messages["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|message| message["text"].as_str().expect("text"))
        .collect();
    assert_eq!(texts, ["echo one", "one", "echo two", "two", "two"]);
    server.end().await;
}

#[tokio::test]
async fn n6_a_request_that_is_sent_many_times_is_answered_once() {
    const SENDERS: usize = 100;
    let server = TestServer::start(ServerConfig::default()).await;
    let mut clients = Vec::new();
    for _ in 0..SENDERS {
        clients.push(server.v1().await);
    }
    let send = json!({ "type": "send", "text": "echo once", "client_id": "same" });
    for client in &mut clients {
        client.send(send.clone()).await;
    }
    let (mut first, mut originals) = (None, 0);
    for client in &mut clients {
        let accepted = client.event("accepted").await;
        originals += usize::from(accepted["duplicate"] == false);
        let answer = first.get_or_insert_with(|| accepted["answer"].clone());
        assert_eq!(*answer, accepted["answer"]);
    }
    assert_eq!(originals, 1);
    server.end().await;
}

#[tokio::test]
async fn n7_an_acceptance_that_was_lost_is_repeated_and_the_text_comes_once() {
    let server = TestServer::start(patient()).await;
    let mut client = server.v1().await;
    let send = json!({ "type": "send", "text": "tokens 50 5", "client_id": "lost" });
    client.send(send.clone()).await;
    drop(client);
    let mut client = server.v1().await;
    client.send(send).await;
    let accepted = client.event("accepted").await;
    let resume = json!({ "type": "resume", "answer": accepted["answer"], "at": 0 });
    client.send(resume).await;
    client.event("resumed").await;
    let mut text = String::new();
    client.read(&accepted["answer"], &mut text).await;
    assert_eq!(text.split_whitespace().count(), 50, "{text}");
    server.end().await;
}

#[tokio::test]
async fn n2_an_answer_can_be_cut_at_every_byte_and_is_whole_afterwards() {
    let server = TestServer::start(patient()).await;
    let mut client = server.v1().await;
    for said in ["Hello, this is one answer in English.", "你好，这是一个中文的回答。"]
    {
        let accepted = client.ask(&format!("echo-chars {said}")).await;
        let answer = &accepted["answer"];
        client.read(answer, &mut String::new()).await;
        for at in 0..=said.len() {
            client.send(json!({ "type": "resume", "answer": answer, "at": at, "tag": "r" })).await;
            let reply = client.reply("r").await;
            if !said.is_char_boundary(at) {
                assert_eq!(
                    (&reply["type"], &reply["reason"]),
                    (&json!("reset"), &json!("unknown_offset"))
                );
                continue;
            }
            assert_eq!((&reply["type"], &reply["state"]), (&json!("resumed"), &json!("complete")));
            let mut text = said[..at].to_owned();
            client.read(answer, &mut text).await;
            assert_eq!(text, said);
        }
    }
    server.end().await;
}

#[tokio::test]
async fn n3_what_is_not_known_is_reset_and_what_is_no_position_is_an_error() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    let accepted = client.ask("echo text").await;
    client.read(&accepted["answer"], &mut String::new()).await;
    for (answer, at, expected) in [
        (accepted["answer"].clone(), json!(5), "unknown_offset"),
        (accepted["answer"].clone(), json!(u64::MAX), "unknown_offset"),
        (json!("a".repeat(26)), json!(0), "unknown_answer"),
        (accepted["message"].clone(), json!(0), "unknown_answer"),
    ] {
        client.send(json!({ "type": "resume", "answer": answer, "at": at })).await;
        let reset = client.event("reset").await;
        assert_eq!(reset["reason"], expected, "{answer} {at}");
    }
    for at in [json!(-1), json!(1.5), json!("1"), json!(null)] {
        client.send(json!({ "type": "resume", "answer": accepted["answer"], "at": at })).await;
        assert_eq!(client.error().await["code"], "invalid_parameter", "{at}");
    }
    server.end().await;
}

#[tokio::test]
async fn n5_fifty_tabs_follow_one_answer_and_all_read_the_same() {
    const TABS: usize = 50;
    let server = TestServer::start(patient()).await;
    let mut client = server.v1().await;
    let accepted = client.ask("tokens 200 2").await;
    let mut tabs = Vec::new();
    for _ in 0..TABS {
        let mut tab = server.v1().await;
        tab.send(json!({ "type": "open", "conversation": accepted["conversation"] })).await;
        let messages = tab.event("messages").await;
        let list = messages["messages"].as_array().expect("a list");
        let so_far = list.last().expect("the answer")["text"].as_str().expect("text").to_owned();
        tabs.push((tab, so_far));
    }
    let mut expected = String::new();
    client.read(&accepted["answer"], &mut expected).await;
    for (mut tab, mut text) in tabs {
        if text != expected {
            tab.read(&accepted["answer"], &mut text).await;
        }
        assert_eq!(text, expected);
    }
    server.end().await;
}

#[tokio::test]
async fn n4_a_late_resume_and_one_after_a_restart_get_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("data");
    let server = TestServer::start_in(&place, ServerConfig::default()).await;
    let mut client = server.v1().await;
    let accepted = client.ask("tokens 20 0").await;
    let mut expected = String::new();
    client.read(&accepted["answer"], &mut expected).await;
    for server in [Some(server), None] {
        let server = match server {
            Some(server) => server,
            None => TestServer::start_in(&place, ServerConfig::default()).await,
        };
        let mut client = server.v1().await;
        let resume = json!({ "type": "resume", "answer": accepted["answer"], "at": 10 });
        client.send(resume).await;
        assert_eq!(client.event("resumed").await["state"], "complete");
        let mut text = expected[..10].to_owned();
        client.read(&accepted["answer"], &mut text).await;
        assert_eq!(text, expected);
        drop(client);
        server.end().await;
    }
}

#[tokio::test]
async fn a_stop_is_answered_when_the_computation_has_halted_and_can_be_repeated() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    let accepted = client.ask("slow 1000").await;
    client.event("delta").await;
    for tag in ["first", "second"] {
        client.send(json!({ "type": "stop", "answer": accepted["answer"], "tag": tag })).await;
        let finished = client.event("finished").await;
        assert_eq!((&finished["state"], &finished["tag"]), (&json!("stopped"), &json!(tag)));
    }
    assert_eq!(server.running(), 0);
    // From a socket that does not follow it.
    let mut other = server.v1().await;
    let slow = client.ask("slow 1000").await;
    client.event("delta").await;
    other.send(json!({ "type": "stop", "answer": slow["answer"], "tag": "o" })).await;
    assert_eq!(other.event("finished").await["tag"], "o");
    assert_eq!(client.event("finished").await["state"], "stopped");
    server.end().await;
}

#[tokio::test]
async fn a_stop_is_answered_even_if_the_conversation_is_opened_again() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut asker = server.v1().await;
    let accepted = asker.ask("slow 1000").await;
    asker.event("delta").await;
    let mut raw = raw_socket(&server).await;
    let resume = json!({ "type": "resume", "answer": accepted["answer"], "at": 0 });
    raw.send(&[frame(&json!({ "type": "hello" })), frame(&resume)].concat()).await;
    let is = |payload: &[u8], name: &str| {
        serde_json::from_slice::<Value>(payload).expect("JSON")["type"] == name
    };
    while !is(&raw.frame().await.expect("an open socket").1, "delta") {}
    let stop = frame(&json!({ "type": "stop", "answer": accepted["answer"], "tag": "s" }));
    let open = frame(&json!({ "type": "open", "conversation": accepted["conversation"] }));
    // Both at once, so that the answer has not halted when it is opened.
    raw.send(&[stop, open].concat()).await;
    let finished = loop {
        let (_, payload) = raw.frame().await.expect("an open socket");
        if is(&payload, "finished") {
            break serde_json::from_slice::<Value>(&payload).expect("JSON");
        }
    };
    assert_eq!((&finished["tag"], &finished["state"]), (&json!("s"), &json!("stopped")));
    server.end().await;
}

#[tokio::test]
async fn messages_come_before_deltas_although_the_next_request_is_there_already() {
    const ROUNDS: usize = 30;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = TestServer::start_in(&folder.path().join("data"), patient()).await;
    let mut client = server.v1().await;
    for round in 0..ROUNDS {
        for half in ["a", "b"] {
            let client_id = format!("{round} {half}");
            client
                .send(json!({ "type": "send", "text": "tokens 20 0", "client_id": client_id }))
                .await;
        }
        let (mut texts, mut ends) = (HashMap::<String, String>::new(), 0);
        while ends < 2 {
            let event = client.next().await;
            let key = |value: &Value| value.as_str().expect("an id").to_owned();
            match event["type"].as_str() {
                Some("message") if event["message"]["role"] == "assistant" => {
                    let text = event["message"]["text"].as_str().expect("a text").to_owned();
                    let earlier = texts.insert(key(&event["message"]["id"]), text);
                    assert_eq!(earlier, None, "it comes once");
                }
                Some("delta") => {
                    let text = texts.get_mut(&key(&event["answer"])).expect("its message is known");
                    assert_eq!(event["at"], text.len());
                    text.push_str(event["text"].as_str().expect("a text"));
                }
                Some("finished") => {
                    assert_eq!(event["bytes"], texts[&key(&event["answer"])].len());
                    ends += 1;
                }
                Some("error") => panic!("{event}"),
                _ => {}
            }
        }
    }
    server.end().await;
}

#[tokio::test]
async fn stops_and_drafts_right_behind_hello_wait_for_the_greeting() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut asker = server.v1().await;
    let accepted = asker.ask("slow 1000").await;
    asker.event("delta").await;
    let mut raw = raw_socket(&server).await;
    // All at once, so that the greeting still waits for the store when the others are read.
    let events = [
        json!({ "type": "hello" }),
        json!({ "type": "draft", "conversation": accepted["conversation"], "text": "not yet" }),
        json!({ "type": "stop", "answer": accepted["answer"], "tag": "s" }),
        json!({ "type": "ping", "tag": "p" }),
    ];
    raw.send(&events.each_ref().map(frame).concat()).await;
    let (mut welcomed, mut stopped, mut answered) = (false, false, false);
    while !(welcomed && stopped && answered) {
        let (_, payload) = raw.frame().await.expect("an open socket");
        let event: Value = serde_json::from_slice(&payload).expect("JSON");
        match event["type"].as_str() {
            Some("welcome") => welcomed = true,
            Some("finished") => {
                assert_eq!((&event["tag"], &event["state"]), (&json!("s"), &json!("stopped")));
                stopped = true;
            }
            Some("pong") => answered = true,
            _ => assert!(event["type"] != "error", "{event}"),
        }
    }
    server.end().await;
}

#[tokio::test]
async fn a_long_conversation_is_opened_in_parts_and_nothing_comes_in_between() {
    const EXCHANGES: usize = 120;
    let server = TestServer::start(ServerConfig::default()).await;
    let mut asker = server.v1().await;
    let first = asker.ask("tokens 1 0").await;
    asker.event("finished").await;
    for _ in 1..EXCHANGES {
        asker.ask_in(&first["conversation"], "tokens 1 0").await;
        asker.event("finished").await;
    }
    let long = asker.ask_in(&first["conversation"], "tokens 2000 1").await;
    asker.event("delta").await;
    let mut reader = server.v1().await;
    let mut text = String::new();
    // The second time it is followed already, and its deltas keep coming.
    for tag in ["a", "b"] {
        let open = json!({ "type": "open", "conversation": first["conversation"], "tag": tag });
        reader.send(open).await;
        while reader.next().await["type"] != "opened" {}
        let (mut messages, mut frames) = (Vec::new(), 0);
        loop {
            let mut event = reader.next().await;
            assert_eq!((&event["type"], &event["tag"]), (&json!("messages"), &json!(tag)));
            messages.append(event["messages"].as_array_mut().expect("a list"));
            frames += 1;
            if event["more"] == false {
                break;
            }
        }
        assert!(frames > 1, "one page has all of it");
        assert_eq!(messages.len(), 2 * (EXCHANGES + 1));
        let answer = messages.last().expect("there are many");
        assert_eq!(answer["id"], long["answer"]);
        text = answer["text"].as_str().expect("a text").to_owned();
        let delta = reader.event("delta").await;
        assert_eq!(delta["at"], text.len());
        text += delta["text"].as_str().expect("a text");
    }
    reader.send(json!({ "type": "stop", "answer": long["answer"] })).await;
    let finished = reader.read(&long["answer"], &mut text).await;
    assert_eq!(finished["state"], "stopped");
    assert_eq!(finished["bytes"], text.len());
    server.end().await;
}

#[tokio::test]
async fn an_answer_goes_on_for_the_grace_time_and_stops_when_that_is_over() {
    let grace = Duration::from_millis(100);
    let config =
        ServerConfig { on_disconnect: OnDisconnect::Grace(grace), ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let mut client = server.v1().await;
    let accepted = client.ask("hang").await;
    client.event("context").await;
    drop(client);
    server.is_idle().await;
    let mut client = server.v1().await;
    client.send(json!({ "type": "resume", "answer": accepted["answer"], "at": 0 })).await;
    let finished = client.event("finished").await;
    assert_eq!(
        (&finished["state"], &finished["reason"]),
        (&json!("interrupted"), &json!("disconnected"))
    );
    server.end().await;
}

#[tokio::test]
async fn events_that_cannot_be_done_are_errors_and_the_socket_lives() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1_with(&[]).await.expect("a handshake");
    client.send(json!({ "type": "ping", "tag": "early" })).await;
    let early = client.next().await;
    assert_eq!((&early["code"], &early["tag"]), (&json!("hello_first"), &json!("early")));
    client.send(json!({ "type": "hello" })).await;
    client.event("welcome").await;
    let nobody = "a".repeat(26);
    let cases = [
        (json!({ "type": "hello" }), "hello_again"),
        (json!({ "type": "sing" }), "unknown_event"),
        (json!([]), "bad_json"),
        (json!({ "type": "open", "conversation": nobody }), "unknown_conversation"),
        (json!({ "type": "stop", "answer": nobody }), "unknown_message"),
        (json!({ "type": "send", "text": "", "client_id": "x" }), "invalid_parameter"),
        (
            json!({ "type": "send", "conversation": nobody, "text": "x", "client_id": "x" }),
            "unknown_conversation",
        ),
    ];
    for (event, code) in cases {
        client.send(event.clone()).await;
        assert_eq!(client.error().await["code"], code, "{event}");
    }
    client.send(json!({ "type": "ping" })).await;
    assert_eq!(client.next().await["type"], "pong");
    server.end().await;
}

#[tokio::test]
async fn a_client_without_a_key_brings_it_in_hello_or_has_to_go() {
    let config = ServerConfig { keys: vec![KeyHash::of("the-key")], ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    // A proxy has forwarded these requests, so they do not count as local.
    let forwarded = [("x-forwarded-for", "203.0.113.9")];
    for (key, welcome) in [(Some("the-key"), true), (Some("another"), false), (None, false)] {
        let mut client = server.v1_with(&forwarded).await.expect("a handshake");
        client.send(json!({ "type": "hello", "key": key })).await;
        let reply = client.next().await;
        if welcome {
            assert_eq!(reply["type"], "welcome", "{reply}");
        } else {
            assert_eq!(reply["code"], "unauthorized", "{reply}");
            assert_eq!(client.socket.close_code().await, Some(CloseCode::Policy));
        }
    }
    server.end().await;
}

#[tokio::test]
async fn a10_nobody_sees_what_belongs_to_somebody_else() {
    let config = ServerConfig {
        keys: vec![KeyHash::of("of-alice"), KeyHash::of("of-bob")],
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    let mut alice = server.v1_with(&[("x-api-key", "of-alice")]).await.expect("a handshake");
    let mut bob = server.v1_with(&[("x-api-key", "of-bob")]).await.expect("a handshake");
    for client in [&mut alice, &mut bob] {
        client.send(json!({ "type": "hello" })).await;
        client.event("welcome").await;
    }
    let secret = alice.ask("hang").await;
    let (conversation, answer) = (&secret["conversation"], &secret["answer"]);
    let cases = [
        (json!({ "type": "open", "conversation": conversation }), "unknown_conversation"),
        (json!({ "type": "stop", "answer": answer }), "unknown_message"),
        (
            json!({ "type": "send", "conversation": conversation, "text": "x", "client_id": "x" }),
            "unknown_conversation",
        ),
        (
            json!({
                "type": "regenerate", "conversation": conversation, "message": answer,
                "client_id": "y",
            }),
            "unknown_conversation",
        ),
    ];
    for (event, code) in cases {
        bob.send(event.clone()).await;
        assert_eq!(bob.error().await["code"], code, "{event}");
    }
    bob.send(json!({ "type": "resume", "answer": answer, "at": 0 })).await;
    assert_eq!(bob.event("reset").await["reason"], "unknown_answer");
    assert_eq!(server.running(), 1, "her answer goes on");
    server.end().await;
}

#[tokio::test]
async fn what_happens_in_one_tab_is_told_in_all_of_them() {
    let server = TestServer::start(ServerConfig::default()).await;
    let (mut here, mut there) = (server.v1().await, server.v1().await);
    let accepted = here.ask("echo hello").await;
    let created = there.event("changed").await;
    assert_eq!(
        (&created["change"], &created["conversation"]),
        (&json!("created"), &accepted["conversation"])
    );
    here.read(&accepted["answer"], &mut String::new()).await;
    there.send(json!({ "type": "open", "conversation": accepted["conversation"] })).await;
    there.event("messages").await;
    let second = here.ask_in(&accepted["conversation"], "echo again").await;
    let mut text = String::new();
    there.read(&second["answer"], &mut text).await;
    assert_eq!(text, "again");
    server.end().await;
}

#[tokio::test]
async fn the_model_writes_a_title_when_it_is_idle() {
    let config = ServerConfig { title_idle: Duration::from_millis(1), ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let mut client = server.v1().await;
    client.ask("echo hello").await;
    loop {
        let changed = client.event("changed").await;
        let title = changed["summary"]["title"].as_str().expect("a title").to_owned();
        // The script repeats what it was asked.
        if title != "echo hello" {
            assert!(title.starts_with("You said: Write a title"), "{title}");
            break;
        }
    }
    server.end().await;
}

#[tokio::test]
async fn a_draft_is_not_stored_and_not_answered() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    client.send(json!({ "type": "draft", "text": "half a mess" })).await;
    client.send(json!({ "type": "draft", "text": "" })).await;
    client.send(json!({ "type": "ping" })).await;
    assert_eq!(client.next().await["type"], "pong");
    server.end().await;
}
