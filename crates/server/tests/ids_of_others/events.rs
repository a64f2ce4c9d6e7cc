//! Events of `banter.v1`.

use super::*;
use banter_protocol::V1_SCHEMA;
use std::collections::BTreeSet;

/// Each event of a client that has an id, each of its ids, and what comes if that id is somebody
/// else's: an error, the reason of a `reset`, the type of another event, or nothing.
const EVENTS: [(&str, &str, &str); 14] = [
    ("open", "conversation", "unknown_conversation"),
    // It says what the client no longer follows, whatever that was.
    ("close", "conversation", "closed"),
    ("send", "conversation", "unknown_conversation"),
    ("send", "parent", "unknown_message"),
    ("edit", "conversation", "unknown_conversation"),
    ("edit", "message", "unknown_message"),
    ("regenerate", "conversation", "unknown_conversation"),
    ("regenerate", "message", "unknown_message"),
    ("continue", "conversation", "unknown_conversation"),
    ("continue", "message", "unknown_message"),
    ("stop", "answer", "unknown_message"),
    ("resume", "answer", "unknown_answer"),
    ("draft", "conversation", "nothing"),
    ("draft", "parent", "nothing"),
];

/// An event about one's own conversation.
fn own_event(name: &str, own: &Ids) -> Value {
    let Ids { conversation, message, answer } = own;
    let mut event = match name {
        "open" | "close" => json!({ "conversation": conversation }),
        "send" | "draft" => json!({ "conversation": conversation, "parent": answer, "text": "x" }),
        "edit" => json!({ "conversation": conversation, "message": message, "text": "x" }),
        "regenerate" | "continue" => json!({ "conversation": conversation, "message": answer }),
        "stop" => json!({ "answer": answer }),
        "resume" => json!({ "answer": answer, "at": 0 }),
        name => panic!("{name} has no row"),
    };
    event["type"] = json!(name);
    event
}

#[test]
fn a10_every_event_with_an_id_has_a_row() {
    let schema: Value = serde_json::from_str(V1_SCHEMA).expect("JSON");
    let kinds = schema["$defs"]["ClientEvent"]["oneOf"].as_array().expect("a list");
    let mut described = BTreeSet::new();
    for kind in kinds {
        let name = kind["properties"]["type"]["const"].as_str().expect("a name");
        let Some(reference) = kind["$ref"].as_str() else { continue };
        let of = reference.rsplit('/').next().expect("a name");
        for field in id_fields(&schema["$defs"], of) {
            described.insert((name.to_owned(), field));
        }
    }
    let rows = EVENTS.map(|(name, field, _)| (name.to_owned(), field.to_owned()));
    assert_eq!(described, BTreeSet::from(rows));
}

/// Sends an event and returns what comes of it, without the ids that were asked for.
async fn outcome(client: &mut V1Client, mut event: Value, ids: &[String]) -> (String, String) {
    let tag = client.client_id();
    event["tag"] = json!(tag);
    if ["send", "edit", "regenerate", "continue"].contains(&event["type"].as_str().expect("a type"))
    {
        event["client_id"] = json!(client.client_id());
    }
    client.send(event.clone()).await;
    let reply = match event["type"] == "draft" {
        // Nothing replies to it, so it is the reply to the next event that comes.
        true => {
            client.send(json!({ "type": "ping", "tag": "ping" })).await;
            let reply = client.next().await;
            assert_eq!(reply, json!({ "type": "pong", "tag": "ping" }));
            return ("nothing".into(), String::new());
        }
        false => client.reply(&tag).await,
    };
    let field = match reply["type"].as_str().expect("a type") {
        "error" => "code",
        "reset" => "reason",
        _ => "type",
    };
    let said = ids.iter().fold(reply.to_string(), |said, id| said.replace(id, "ID"));
    (string(&reply[field]), said.replace(&tag, "TAG"))
}

#[tokio::test]
async fn a10_no_event_does_anything_with_ids_of_somebody_else() {
    let server = start().await;
    let hers = Hers::new(&server).await;
    let before = hers.seen(&server).await;
    for key in ["of-bob", "of-root"] {
        let mut bob = client(&server, key).await;
        let own = Ids::made_by(&mut bob).await;
        for (name, field, expected) in EVENTS {
            let ids = match field {
                "conversation" => hers.conversations(),
                _ => hers.messages(),
            };
            for id in ids {
                let mut event = own_event(name, &own);
                event[field] = json!(id);
                let case = format!("{key} {event}");
                let (found, said) = outcome(&mut bob, event.clone(), &[id]).await;
                assert_eq!(found, expected, "{case}: {said}");
                event[field] = json!(NOBODY);
                let (_, of_nobody) = outcome(&mut bob, event, &[NOBODY.to_owned()]).await;
                assert_eq!(said, of_nobody, "{case}: it tells that the id is somebody's");
            }
            // With all ids hers: they fit together.
            for theirs in &hers.conversations {
                let event = own_event(name, theirs);
                let (found, said) = outcome(&mut bob, event, &[]).await;
                let is_unknown = found.starts_with("unknown_") || found == expected;
                assert!(is_unknown, "{key} {name}: {said}");
            }
        }
        let tree = format!("/api/conversations/{}", string(&own.conversation));
        let lines = format!("X-Api-Key: {key}\r\n");
        let tree = raw::get(server.address, &tree, &lines).await.json();
        assert_eq!(tree["messages"].as_array().expect("a list").len(), 2, "none was added");
    }
    assert_eq!(hers.seen(&server).await, before);
    server.end().await;
}

#[tokio::test]
async fn a10_a_draft_in_a_conversation_of_somebody_else_reaches_no_model() {
    const ROUND_TRIPS: usize = 20;
    let server = start().await;
    let hers = Hers::new(&server).await;
    let mut bob = client(&server, "of-bob").await;
    let own = Ids::made_by(&mut bob).await;
    for theirs in &hers.conversations {
        let places = [
            (&theirs.conversation, None),
            (&theirs.conversation, Some(&theirs.answer)),
            (&own.conversation, Some(&theirs.answer)),
        ];
        for (conversation, parent) in places {
            let mut draft = json!({ "type": "draft", "conversation": conversation, "text": "x" });
            if let Some(parent) = parent {
                draft["parent"] = json!(parent);
            }
            bob.send(draft).await;
            for _ in 0..ROUND_TRIPS {
                bob.send(json!({ "type": "open", "conversation": own.conversation })).await;
                bob.event("messages").await;
            }
            assert!(server.draft().is_none());
        }
    }
    // In one's own it does.
    bob.send(own_event("draft", &own)).await;
    let drafted = async {
        while server.draft().is_none() {
            tokio::task::yield_now().await;
        }
    };
    patiently(drafted).await;
    server.end().await;
}

#[tokio::test]
async fn a10_a_name_of_somebody_elses_request_names_another_request() {
    let server = start().await;
    let (mut alice, mut bob) = (client(&server, "of-alice").await, client(&server, "of-bob").await);
    let send = |text: &str| json!({ "type": "send", "text": text, "client_id": "the same" });
    alice.send(send("echo hers")).await;
    let hers = alice.event("accepted").await;
    bob.send(send("echo his")).await;
    let his = bob.event("accepted").await;
    assert_eq!(his["duplicate"], false);
    for field in ["conversation", "message", "answer"] {
        assert_ne!(hers[field], his[field]);
    }
    server.end().await;
}
