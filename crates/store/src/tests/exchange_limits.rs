//! What files may not do: take much memory, or leave answers without an end.

use serde_json::{Value, json};

use super::support::*;
use crate::exchange::{ImportError, ImportLimits, Imported, export_json, import};
use crate::{Reason, Role, State, Tree, UserId};

const MIB: usize = 1 << 20;

fn read(file: &str) -> Imported {
    import(file.as_bytes(), &ImportLimits::default()).unwrap()
}

fn left_out(imported: &Imported) -> Vec<String> {
    imported.left_out.iter().map(ImportError::to_string).collect()
}

/// Bytes of the texts that were taken.
fn text_bytes(imported: &Imported) -> usize {
    let messages = imported.conversations.iter().flat_map(|conversation| &conversation.messages);
    messages.map(|message| message.text.len() + message.thinking.len()).sum()
}

/// A node of ChatGPT's with a thought.
fn thought(parent: &str, text: &str) -> Value {
    json!({"parent": parent, "message": {"author": {"role": "assistant"},
        "content": {"content_type": "thoughts", "thoughts": [{"content": text}]}}})
}

/// A node of ChatGPT's with a text.
fn said(parent: &str, role: &str) -> Value {
    json!({"parent": parent, "message": {"author": {"role": role}, "content": "x"}})
}

fn chatgpt(nodes: impl IntoIterator<Item = (String, Value)>) -> String {
    let root = ("root".to_owned(), json!({}));
    let mapping: serde_json::Map<String, Value> = [root].into_iter().chain(nodes).collect();
    json!([{"mapping": mapping}]).to_string()
}

/// One thought, and all other nodes below it.
fn wide(thought_bytes: usize, role: &str) -> String {
    let first = ("t".to_owned(), thought("root", &"t".repeat(thought_bytes)));
    let children = (0..9_998).map(|n| (n.to_string(), said("t", role)));
    chatgpt([first].into_iter().chain(children))
}

#[test]
fn a_thought_is_not_copied_for_every_node_after_it() {
    // A clone for each node was 10 GB.
    let imported = read(&wide(MIB, "tool"));
    assert_eq!((imported.conversations.len(), imported.left_out_count), (1, 9_998));
    assert_eq!(text_bytes(&imported), 0);

    let imported = read(&wide(MIB, "assistant"));
    let expected = "at most 4194304 bytes of shared thinking are allowed in a file, found more";
    assert_eq!(left_out(&imported), [format!("[0].mapping.4: {expected}")]);
    // Few bytes may be shared by many.
    let imported = read(&wide(100, "assistant"));
    assert_eq!(left_out(&imported), [""; 0]);
    assert!(imported.conversations[0].messages.iter().all(|said| said.thinking.len() == 100));
}

#[test]
fn the_copies_of_all_conversations_of_a_file_count_together() {
    let one: Value = serde_json::from_str(&wide(100, "assistant")).unwrap();
    let file = Value::Array(vec![one[0].clone(); 7]).to_string();
    let imported = read(&file);
    assert_eq!((imported.conversations.len(), imported.left_out_count), (4, 3));
    assert!(text_bytes(&imported) < 5 * MIB);
}

#[test]
fn a_long_chain_of_thoughts_is_one_thought_and_has_a_limit() {
    let chain = |text: &str| {
        let nodes = (0..9_000).map(|n: usize| {
            let parent = n.checked_sub(1).map_or("root".into(), |before| before.to_string());
            (n.to_string(), thought(&parent, text))
        });
        let last = ("a".to_owned(), said("8999", "assistant"));
        read(&chatgpt(nodes.chain([last])))
    };
    let imported = chain("hm");
    assert_eq!(imported.conversations[0].messages[0].thinking, vec!["hm"; 9_000].join("\n\n"));
    let long = "t".repeat(1_000);
    let imported = chain(&long);
    // 4,186 thoughts and the gaps between them have more than 4 MiB.
    let expected = "[0].mapping.4185: at most 4194304 bytes are allowed, found 4194370";
    assert_eq!(left_out(&imported), [expected]);
}

#[test]
fn a_chain_of_thoughts_with_answers_has_a_limit() {
    let nodes = (0..4_900).flat_map(|n: usize| {
        let parent = n.checked_sub(1).map_or("root".into(), |before| before.to_string());
        let answer = (format!("a{n}"), said(&n.to_string(), "assistant"));
        [(n.to_string(), thought(&parent, "thought")), answer]
    });
    let imported = read(&chatgpt(nodes));
    assert!(left_out(&imported)[0].contains("of shared thinking"), "{:?}", imported.left_out);
}

#[test]
fn a_conversation_of_too_many_values_is_left_out() {
    let limits = ImportLimits { conversation_values: 100, ..ImportLimits::default() };
    let small = r#"{"mapping":{"a":{"message":{"author":{"role":"user"},"content":"hi"}}}}"#;
    let banter = |many: &str| {
        let message = json!({"id": "1", "role": "user", "state": "complete", "text": "hi",
            "created_ms": 1, "tokens": vec![0; 1000], "parameters": {"x": "MANY"}});
        let entry = json!({"id": "c", "title": "", "title_source": "none", "created_ms": 1,
            "updated_ms": 1, "messages": [message]});
        let small = entry.to_string().replace("MANY", "few");
        let large = entry.to_string().replace("\"MANY\"", many);
        format!("{{\"format\":\"banter\",\"version\":1,\"conversations\":[{large},{small}]}}")
    };
    for unit in ["0,", "{\"\":0},", "[[[0]]],", "\"a\","] {
        let many = format!("[{}0]", unit.repeat(200));
        let foreign = format!("[{{\"mapping\":{{}},\"x\":{many}}},{small}]");
        // The second parameters don't hide the first.
        let twice = format!("{many}}},\"parameters\":{{\"x\":1");
        let path = "conversations[0].messages[0].parameters";
        let files = [(foreign, "[0]"), (banter(&many), path), (banter(&twice), path)];
        for (file, path) in files {
            let imported = import(file.as_bytes(), &limits).unwrap();
            assert_eq!((imported.conversations.len(), imported.left_out_count), (1, 1), "{unit}");
            let left = &left_out(&imported)[0];
            let expected = format!("{path}: at most 100 values are allowed, found ");
            assert!(left.starts_with(&expected), "{left}");
        }
    }
}

#[test]
fn a_large_file_of_nothing_is_refused_without_reading_its_values() {
    // As values, each of these took gigabytes.
    for unit in ["0,", "{\"\":0},", "[[[0]]],"] {
        let many = unit.repeat(16 * MIB / unit.len());
        let outside = format!("[{many}{{\"mapping\":{{}}}}]");
        let error = import(outside.as_bytes(), &ImportLimits::default()).unwrap_err();
        assert!(matches!(error, ImportError::TooMany { limit: 10_000, .. }), "{error}");
        let inside = format!("[{{\"mapping\":{{}},\"x\":[{many}0]}}]");
        let imported = read(&inside);
        assert!(matches!(imported.left_out[..], [ImportError::TooManyValues { .. }]));
        let alone = format!("{{\"format\":[{many}0],\"version\":[{many}0]}}");
        let error = import(alone.as_bytes(), &ImportLimits::default()).unwrap_err();
        assert!(matches!(error, ImportError::UnknownFormat { .. }), "{error}");
    }
}

#[test]
fn a_conversation_that_has_no_meaning_is_left_out_alone() {
    let good = r#"{"mapping":{"a":{"message":{"author":{"role":"user"},"content":"hi"}}}}"#;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let cases = [
        (deep.as_str(), "[0]: recursion limit exceeded"),
        ("1e999", "[0]: number out of range"),
        ("\"\\ud800\"", "[0]: unexpected end of hex escape"),
    ];
    for (bad, expected) in cases {
        let imported = read(&format!("[{{\"mapping\":{bad}}},{good}]"));
        assert_eq!(imported.conversations.len(), 1, "{expected}");
        assert_eq!(left_out(&imported), [expected]);
    }
}

#[test]
fn the_error_of_a_message_of_banter_names_it() {
    let entry = |messages: &str| {
        read(&format!(
            r#"{{"format":"banter","version":1,"conversations":[{{"id":"c","title":"",
            "title_source":"none","created_ms":1,"updated_ms":1,"messages":{messages}}}]}}"#
        ))
    };
    let path = "conversations[0].messages";
    let message =
        "[0]: expected a message of banter, found an object with 1 fields: missing field `role`";
    assert_eq!(left_out(&entry(r#"[{"id":"1"}]"#)), [format!("{path}{message}")]);
    assert_eq!(left_out(&entry("3")), [format!("{path}: expected a list, found 3")]);
}

#[test]
fn a_long_key_is_cut_off_in_errors() {
    let key = "k".repeat(MIB);
    let parts = vec![json!(1); 1_000];
    let message = json!({"author": {"role": "user"}, "content": {"parts": parts}});
    let imported = read(&chatgpt([(key, json!({"message": message}))]));
    assert_eq!(imported.left_out_count, 1_000);
    assert!(left_out(&imported).iter().all(|error| error.len() < 200));
}

fn stored(user: UserId, store: &crate::Store, file: &str) -> Tree {
    let imported = read(file).conversations.remove(0);
    let stored = store.import_conversation(user, imported).wait().unwrap();
    store.tree(user, stored.id).wait().unwrap()
}

fn ends(tree: &Tree) -> Vec<(State, Option<Reason>)> {
    tree.messages.iter().map(|message| (message.state, message.reason)).collect()
}

#[test]
fn an_imported_answer_has_a_reason_for_its_end() {
    let store = memory();
    let user = user(&store, 1);
    let ended = [(State::Complete, None), (State::Complete, Some(Reason::End))];
    let nodes = [("q", "root", "user"), ("a", "q", "assistant")];
    let nodes = nodes.map(|(key, parent, role)| (key.to_owned(), said(parent, role)));
    assert_eq!(ends(&stored(user, &store, &chatgpt(nodes))), ended);
    let messages =
        [json!({"role": "user", "content": "hi"}), json!({"role": "assistant", "content": "x"})];
    let webui = json!([{"chat": {"messages": messages}}]).to_string();
    assert_eq!(ends(&stored(user, &store, &webui)), ended);

    let cases = [
        (State::Complete, None, State::Complete, Reason::End),
        (State::Complete, Some(Reason::StopString), State::Complete, Reason::StopString),
        (State::Length, None, State::Length, Reason::Length),
        (State::Stopped, None, State::Stopped, Reason::Stopped),
        (State::Interrupted, None, State::Interrupted, Reason::Crashed),
        (State::Interrupted, Some(Reason::Shutdown), State::Interrupted, Reason::Shutdown),
        (State::Failed, None, State::Failed, Reason::Failed),
        (State::Waiting, None, State::Interrupted, Reason::Crashed),
        (State::Writing, Some(Reason::End), State::Interrupted, Reason::Crashed),
    ];
    for (state, reason, state_after, reason_after) in cases {
        let (asked, _) =
            exchange(&store, user, ask_new("q", &format!("{state:?} {reason:?}")), "a");
        let mut tree = store.tree(user, asked.conversation.id).wait().unwrap();
        let answer = tree.messages.iter_mut().find(|message| message.role == Role::Assistant);
        let answer = answer.unwrap();
        (answer.state, answer.reason) = (state, reason);
        let tree = stored(user, &store, &export_json(&[tree], 1));
        assert_eq!(ends(&tree)[1], (state_after, Some(reason_after)), "{state:?} {reason:?}");
    }
}

#[test]
fn an_answer_that_was_being_written_is_interrupted_by_an_import() {
    let store = memory();
    let user = user(&store, 1);
    let asked = store.ask(user, ask_new("q", "a")).wait().unwrap();
    store.save_progress(asked.answer.seq, growth(0, "half")).wait().unwrap();
    let tree = store.tree(user, asked.conversation.id).wait().unwrap();
    let tree = stored(user, &store, &export_json(&[tree], 1));
    assert_eq!(tree.messages[1].text, "half");
    assert_eq!(ends(&tree)[1], (State::Interrupted, Some(Reason::Crashed)));
}
