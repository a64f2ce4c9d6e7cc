//! Conversations over HTTP: lists, searches, changes, deletions, exports and imports.

mod support;

use banter_server::{KeyHash, ServerConfig};
use serde_json::{Value, json};
use support::TestServer;
use support::raw::{Response, get, request};
use support::v1::V1Client;

fn body(response: &Response) -> Value {
    serde_json::from_str(&response.body).unwrap_or_else(|_| panic!("expected JSON: {response:?}"))
}

/// A conversation with one question and one answer.
async fn conversation(client: &mut V1Client, said: &str) -> Value {
    let accepted = client.ask(&format!("echo {said}")).await;
    client.read(&accepted["answer"], &mut String::new()).await;
    accepted
}

async fn list(server: &TestServer, query: &str) -> Value {
    let response = get(server.address, &format!("/api/conversations{query}"), "").await;
    assert_eq!(response.status, 200, "{response:?}");
    body(&response)
}

fn titles(list: &Value) -> Vec<&str> {
    let conversations = list["conversations"].as_array().expect("a list").iter();
    conversations.map(|one| one["title"].as_str().expect("a title")).collect()
}

fn path_of(accepted: &Value) -> String {
    format!("/api/conversations/{}", accepted["conversation"].as_str().expect("an id"))
}

async fn patch(server: &TestServer, path: &str, change: Value) -> Response {
    request(server.address, "PATCH", path, &change.to_string()).await
}

#[tokio::test]
async fn the_list_is_newest_first_with_pinned_ones_before_and_goes_on_by_its_cursor() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    let first = conversation(&mut client, "one").await;
    for said in ["two", "three"] {
        conversation(&mut client, said).await;
    }
    let pinned = patch(&server, &path_of(&first), json!({ "pinned": true })).await;
    assert_eq!((pinned.status, &body(&pinned)["pinned"]), (200, &json!(true)));
    let page = list(&server, "?limit=2").await;
    assert_eq!(titles(&page), ["echo one", "echo three"]);
    let next = page["next"].as_str().expect("a cursor");
    let rest = list(&server, &format!("?limit=2&after={next}")).await;
    assert_eq!((titles(&rest), &rest["next"]), (vec!["echo two"], &Value::Null));
    let wrong = get(server.address, "/api/conversations?after=nonsense", "").await;
    assert_eq!((wrong.status, &body(&wrong)["error"]["code"]), (400, &json!("invalid_parameter")));
    server.end().await;
}

#[tokio::test]
async fn a_conversation_can_be_made_renamed_archived_and_read_as_a_tree() {
    let server = TestServer::start(ServerConfig::default()).await;
    let new = json!({ "title": "Plans", "system": "Be kind.", "parameters": { "seed": 3 } });
    let made = request(server.address, "POST", "/api/conversations", &new.to_string()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = body(&made)["id"].clone();
    let path = format!("/api/conversations/{}", id.as_str().expect("an id"));
    let mut client = server.v1().await;
    let accepted = client.ask_in(&id, "history").await;
    let mut told = String::new();
    client.read(&accepted["answer"], &mut told).await;
    assert!(told.contains("Be kind."), "{told}");
    let change = json!({ "title": "计划", "archived": true, "system": null });
    let changed = body(&patch(&server, &path, change).await);
    assert_eq!((&changed["title"], &changed["system"]), (&json!("计划"), &Value::Null));
    assert_eq!(titles(&list(&server, "").await), Vec::<&str>::new());
    assert_eq!(titles(&list(&server, "?archived=true").await), ["计划"]);
    let tree = body(&get(server.address, &path, "").await);
    assert_eq!(tree["messages"].as_array().expect("a list").len(), 2);
    assert_eq!(tree["messages"][1]["state"], "complete");
    let wrong = patch(&server, &path, json!({ "parameters": { "top_p": 7 } })).await;
    assert!(wrong.status == 400 && wrong.body.contains("parameters.top_p"), "{wrong:?}");
    server.end().await;
}

#[tokio::test]
async fn two_characters_of_chinese_find_a_message() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    conversation(&mut client, "今天天气很好，我们去公园散步").await;
    conversation(&mut client, "The quick brown fox").await;
    for (words, count) in [("%E5%85%AC%E5%9B%AD", 2), ("QUICK", 2), ("elephant", 0)] {
        let found = list(&server, &format!("?q={words}")).await;
        let hits = found["hits"].as_array().expect("a list");
        // The title has the words of the question, and the answer repeats them.
        assert!(hits.len() >= count, "{words}: {found}");
        if count == 0 {
            assert!(hits.is_empty(), "{found}");
        }
        for hit in hits {
            assert!(!hit["marks"].as_array().expect("marks").is_empty(), "{hit}");
        }
    }
    server.end().await;
}

#[tokio::test]
async fn a_message_with_files_is_titled_and_shown_by_what_was_typed() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    let text = "File: 水果.txt\n```\na ripe kumquat\n```\n\nIs the kumquat 熟了?";
    let accepted = client.ask(text).await;
    client.read(&accepted["answer"], &mut String::new()).await;
    assert_eq!(titles(&list(&server, "").await), ["Is the kumquat 熟了?"]);
    let cases = [
        ("kumquat", "Is the kumquat 熟了?"),
        ("ripe", "a ripe kumquat"),
        ("%E6%B0%B4%E6%9E%9C", "水果.txt"),
    ];
    for (words, snippet) in cases {
        let found = list(&server, &format!("?q={words}")).await;
        let hits = found["hits"].as_array().expect("a list");
        let hit = hits.iter().find(|hit| hit["message"] == accepted["message"]);
        assert_eq!(hit.expect("the message")["snippet"], snippet, "{words}: {found}");
    }
    server.end().await;
}

#[tokio::test]
async fn what_was_deleted_is_gone_for_everybody_and_its_answer_has_stopped() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    let mut other = server.v1().await;
    let accepted = client.ask("hang").await;
    client.event("context").await;
    let path = path_of(&accepted);
    let gone = request(server.address, "DELETE", &path, "").await;
    assert_eq!(gone.status, 204, "{gone:?}");
    assert_eq!(server.running(), 0);
    loop {
        let changed = other.event("changed").await;
        if changed["change"] == "deleted" {
            assert_eq!(changed["conversation"], accepted["conversation"]);
            break;
        }
    }
    assert_eq!(get(server.address, &path, "").await.status, 404);
    assert_eq!(request(server.address, "DELETE", &path, "").await.status, 404);
    server.end().await;
}

#[tokio::test]
async fn a_deleted_message_takes_what_follows_it_and_leaves_the_rest() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    let first = conversation(&mut client, "stays").await;
    let second = client.ask_in(&first["conversation"], "echo goes").await;
    client.read(&second["answer"], &mut String::new()).await;
    let message = second["message"].as_str().expect("an id");
    let path = format!("{}/messages/{message}", path_of(&first));
    assert_eq!(request(server.address, "DELETE", &path, "").await.status, 204);
    let tree = body(&get(server.address, &path_of(&first), "").await);
    assert_eq!(tree["messages"].as_array().expect("a list").len(), 2);
    assert_eq!(tree["conversation"]["leaf"], first["answer"]);
    server.end().await;
}

/// Asks for an event of a request that has a name and a conversation, and reads the answer to it.
async fn exchange(client: &mut V1Client, mut event: Value) -> Value {
    event["client_id"] = json!(client.client_id());
    client.send(event).await;
    let accepted = client.event("accepted").await;
    client.read(&accepted["answer"], &mut String::new()).await;
    accepted
}

/// The next event `changed` that says what was removed.
async fn removal(client: &mut V1Client) -> Value {
    loop {
        let changed = client.event("changed").await;
        if changed.get("removed").or(changed.get("removed_pair")).is_some() {
            return changed;
        }
    }
}

async fn delete_pair(server: &TestServer, accepted: &Value, message: &Value) -> Response {
    let message = message.as_str().expect("an id");
    let path = format!("{}/messages/{message}?following=keep", path_of(accepted));
    request(server.address, "DELETE", &path, "").await
}

#[tokio::test]
async fn a_deleted_pair_leaves_what_follows_it_and_everybody_can_follow_that() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    let first = conversation(&mut client, "first").await;
    let id = &first["conversation"];
    let send = |text: &str, parent: &Value| json!({ "type": "send", "conversation": id, "text": text, "parent": parent });
    let gone = exchange(&mut client, send("echo xylophone", &first["answer"])).await;
    let again = json!({ "type": "regenerate", "conversation": id, "message": gone["answer"] });
    let again = exchange(&mut client, again).await;
    let after_first = exchange(&mut client, send("echo kept", &gone["answer"])).await;
    let after_again = exchange(&mut client, send("echo kept too", &again["answer"])).await;
    let mut other = server.v1().await;
    other.send(json!({ "type": "open", "conversation": id })).await;
    other.event("messages").await;

    assert_eq!(delete_pair(&server, &first, &gone["message"]).await.status, 204);
    let changed = removal(&mut other).await;
    let pair = json!({
        "messages": [gone["message"], gone["answer"], again["answer"]],
        "parent": first["answer"],
    });
    assert_eq!((&changed["change"], &changed["removed_pair"]), (&json!("updated"), &pair));
    assert_eq!(changed.get("removed"), None, "{changed}");
    assert_eq!(changed["summary"]["messages"], 6);
    assert_eq!(changed["summary"]["leaf"], after_again["answer"]);
    let tree = body(&get(server.address, &path_of(&first), "").await);
    let messages = tree["messages"].as_array().expect("a list").iter();
    let parents: Vec<_> = messages.map(|message| (&message["id"], &message["parent"])).collect();
    let expected = [
        (&first["message"], &Value::Null),
        (&first["answer"], &first["message"]),
        (&after_first["message"], &first["answer"]),
        (&after_first["answer"], &after_first["message"]),
        (&after_again["message"], &first["answer"]),
        (&after_again["answer"], &after_again["message"]),
    ];
    assert_eq!(parents, expected);

    assert_eq!(list(&server, "?q=xylophone").await["hits"], json!([]));
    assert_ne!(list(&server, "?q=kept").await["hits"], json!([]));
    let export = get(server.address, &format!("{}/export", path_of(&first)), "").await;
    assert!(export.body.contains("kept") && !export.body.contains("xylophone"), "{export:?}");
    // A message after a branch that has moved, and what the model is told then.
    let mut told = String::new();
    let mut history = send("history", &after_first["answer"]);
    history["client_id"] = json!("after the branch that has moved");
    client.send(history).await;
    let accepted = client.event("accepted").await;
    client.read(&accepted["answer"], &mut told).await;
    assert!(told.contains("first") && told.contains("kept"), "{told}");
    assert!(!told.contains("xylophone") && !told.contains("too"), "{told}");
    assert_eq!(other.event("message").await["message"]["parent"], after_first["answer"]);
    let mut lost = send("echo lost", &gone["answer"]);
    lost["client_id"] = json!("after what is gone");
    client.send(lost).await;
    assert_eq!(client.error().await["code"], "unknown_message");
    server.end().await;
}

#[tokio::test]
async fn only_answers_of_the_deleted_pair_stop() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    let first = conversation(&mut client, "first").await;
    let id = &first["conversation"];
    let kept = client.ask_in(id, "hang").await;
    client.event("context").await;
    // A deletion that is refused stops no answer.
    let refused = delete_pair(&server, &first, &kept["answer"]).await;
    let error = &body(&refused)["error"];
    assert_eq!((refused.status, &error["code"]), (400, &json!("invalid_parameter")), "{error}");
    let details = [&error["field"], &error["range"], &error["value"]];
    assert_eq!(details, ["message", "the id of a user's message", "the id of an answer"]);
    assert_eq!(server.running(), 1);

    let live = exchange_that_hangs(&mut client, id).await;
    assert_eq!(server.running(), 2);
    assert_eq!(delete_pair(&server, &first, &live["message"]).await.status, 204);
    assert_eq!(client.event("finished").await["answer"], live["answer"]);
    assert_eq!(server.running(), 1);
    assert_eq!(delete_pair(&server, &first, &first["message"]).await.status, 204);
    assert_eq!(server.running(), 1, "it followed the pair");
    client.send(json!({ "type": "stop", "answer": kept["answer"] })).await;
    assert_eq!(client.event("finished").await["state"], "stopped");
    let tree = body(&get(server.address, &path_of(&first), "").await);
    assert_eq!(tree["messages"].as_array().expect("a list").len(), 2);
    assert_eq!(tree["messages"][0]["parent"], Value::Null);
    assert_eq!(tree["conversation"]["leaf"], kept["answer"]);
    server.end().await;
}

/// A first message whose answer never ends by itself.
async fn exchange_that_hangs(client: &mut V1Client, conversation: &Value) -> Value {
    let client_id = client.client_id();
    let send = json!({
        "type": "send", "conversation": conversation, "parent": null, "text": "hang",
        "client_id": client_id,
    });
    client.send(send).await;
    let accepted = client.event("accepted").await;
    client.event("context").await;
    accepted
}

#[tokio::test]
async fn what_follows_is_deleted_or_kept_and_nothing_else() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    let first = conversation(&mut client, "first").await;
    let message = first["message"].as_str().expect("an id");
    let path = |query: &str| format!("{}/messages/{message}?{query}", path_of(&first));
    let wrong = request(server.address, "DELETE", &path("following=move"), "").await;
    let words = r#"following: expected delete or keep, found \"move\""#;
    assert!(wrong.status == 400 && wrong.body.contains(words), "{wrong:?}");
    let unknown = delete_pair(&server, &first, &json!("a".repeat(26))).await;
    assert_eq!(
        (unknown.status, &body(&unknown)["error"]["code"]),
        (404, &json!("unknown_message"))
    );
    assert_eq!(request(server.address, "DELETE", &path("following=delete"), "").await.status, 204);
    let changed = removal(&mut client).await;
    assert_eq!(changed["removed"], first["message"]);
    assert_eq!(changed.get("removed_pair"), None);
    server.end().await;
}

#[tokio::test]
async fn an_export_comes_back_without_loss_and_markdown_is_a_file() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    let accepted = conversation(&mut client, "你好").await;
    conversation(&mut client, "second").await;
    let markdown =
        get(server.address, &format!("{}/export?format=markdown", path_of(&accepted)), "").await;
    assert_eq!(markdown.header("content-type"), Some("text/markdown; charset=utf-8"));
    let disposition = markdown.header_as_sent("content-disposition").expect("a name");
    assert_eq!(disposition, "attachment; filename*=UTF-8''echo%20%E4%BD%A0%E5%A5%BD.md");
    assert!(markdown.body.contains("你好"), "{}", markdown.body);
    let all = get(server.address, "/api/conversations/export", "").await;
    let again = TestServer::start(ServerConfig::default()).await;
    let report = request(again.address, "POST", "/api/conversations/import", &all.body).await;
    let report = body(&report);
    assert_eq!((&report["conversations"], &report["messages"]), (&json!(2), &json!(4)), "{report}");
    let texts = |tree: &Value| -> Vec<String> {
        let messages = tree["messages"].as_array().expect("a list").iter();
        messages.map(|message| message["text"].to_string()).collect()
    };
    let found = list(&again, "").await;
    assert_eq!(titles(&found), ["echo second", "echo 你好"]);
    let id = found["conversations"][1]["id"].as_str().expect("an id");
    let imported = body(&get(again.address, &format!("/api/conversations/{id}"), "").await);
    let original = body(&get(server.address, &path_of(&accepted), "").await);
    assert_eq!(texts(&imported), texts(&original));
    let wrong = request(again.address, "POST", "/api/conversations/import", "[1, 2]").await;
    assert!(wrong.status == 400 && wrong.body.contains("Open WebUI"), "{wrong:?}");
    struct Refused(&'static str, &'static str, Option<&'static str>);
    let newer = r#"{"format":"banter","version":2,"conversations":[]}"#;
    let cases = [
        Refused("not JSON", "bad_json", None),
        Refused("{}", "invalid_parameter", Some("format")),
        Refused(newer, "invalid_parameter", Some("version")),
    ];
    for Refused(file, code, field) in cases {
        let refused = request(again.address, "POST", "/api/conversations/import", file).await;
        let error = &body(&refused)["error"];
        assert_eq!((refused.status, error["code"].as_str()), (400, Some(code)), "{file}");
        assert_eq!(error["field"].as_str(), field, "{file}");
    }
    for server in [server, again] {
        server.end().await;
    }
}

#[tokio::test]
async fn a10_the_routes_know_only_what_is_the_users() {
    let config = ServerConfig {
        keys: vec![KeyHash::of("of-alice"), KeyHash::of("of-bob")],
        ..ServerConfig::default()
    };
    let server = TestServer::start(config).await;
    let mut alice = server.v1_with(&[("x-api-key", "of-alice")]).await.expect("a handshake");
    alice.send(json!({ "type": "hello" })).await;
    alice.event("welcome").await;
    let secret = conversation(&mut alice, "secret").await;
    let message = secret["message"].as_str().expect("an id");
    let path = path_of(&secret);
    let of_bob = "x-api-key: of-bob\r\n";
    for path in [path.clone(), format!("{path}/export")] {
        assert_eq!(get(server.address, &path, of_bob).await.status, 404, "{path}");
        assert_eq!(get(server.address, &path, "x-api-key: of-alice\r\n").await.status, 200);
    }
    let found = get(server.address, "/api/conversations?q=secret", of_bob).await;
    assert_eq!(body(&found)["hits"], json!([]));
    let listed = get(server.address, "/api/conversations", of_bob).await;
    assert_eq!(body(&listed)["conversations"], json!([]));
    let of_message = format!("{path}/messages/{message}");
    for path in [&path, &of_message, &format!("{of_message}?following=keep")] {
        // Without a key this is the operator on this machine, who is not Alice either.
        assert_eq!(request(server.address, "DELETE", path, "").await.status, 404, "{path}");
    }
    server.end().await;
}

#[tokio::test]
async fn a_browser_stays_signed_in_when_the_server_starts_again_unless_its_key_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("data");
    let with = |keys: &[&str]| ServerConfig {
        keys: keys.iter().map(|key| KeyHash::of(key)).collect(),
        ..ServerConfig::default()
    };
    let server = TestServer::start_in(&place, with(&["the-key"])).await;
    let body = r#"{"key": "the-key"}"#;
    let signed_in = request(server.address, "POST", "/api/session", body).await;
    let cookie = signed_in.header_as_sent("set-cookie").expect("a cookie");
    let (name, value) = cookie.split_once('=').expect("a name and a value");
    let token = value.split(';').next().expect("a token").to_owned();
    // The port, and with it the name of the cookie, differs from server to server.
    let kind = name.trim_end_matches(|character: char| character.is_ascii_digit()).to_owned();
    server.end().await;
    for (keys, status) in [(&["the-key"][..], 200), (&["another"][..], 401), (&["the-key"], 401)] {
        let server = TestServer::start_in(&place, with(keys)).await;
        let port = server.address.port();
        let lines = format!("x-forwarded-for: 203.0.113.9\r\nCookie: {kind}{port}={token}\r\n");
        let listed = get(server.address, "/api/conversations", &lines).await;
        assert_eq!(listed.status, status, "{keys:?}: {listed:?}");
        server.end().await;
    }
}
