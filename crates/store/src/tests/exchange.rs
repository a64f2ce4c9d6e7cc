//! Export and import.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::*;
use crate::exchange::{
    ImportError, ImportLimits, Imported, ImportedConversation, ImportedMessage, export_json,
    export_markdown, import,
};
use crate::{
    AnswerError, Ending, Parameters, Position, Reason, Role, SearchQuery, State, StoreError,
    Timings, TitleSource, Tree, Usage,
};

fn read(file: &Value) -> Imported {
    import(file.to_string().as_bytes(), &ImportLimits::default()).unwrap()
}

fn only(file: &Value) -> ImportedConversation {
    let mut imported = read(file);
    assert_eq!(imported.conversations.len(), 1, "{:?}", imported.left_out);
    imported.conversations.pop().unwrap()
}

/// Parent, role and text of each message.
fn shape(conversation: &ImportedConversation) -> Vec<(Option<usize>, Role, &str)> {
    let messages = conversation.messages.iter();
    messages.map(|message| (message.parent, message.role, message.text.as_str())).collect()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,20}",
        "\\PC{0,20}",
        Just("\0\u{1}\n\"\\".to_owned()),
        Just("中文\u{2028}".into())
    ]
}

/// Parameters as text.
fn parameters() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        any::<f64>().prop_filter_map("finite", |number| number.is_finite().then(|| json!(number))),
        any::<u64>().prop_map(Value::from),
        text().prop_map(Value::from),
        Just(Value::Null),
    ];
    vec((text(), value), 0..4).prop_map(|pairs| {
        let parameters: Parameters = pairs.into_iter().collect();
        serde_json::to_string(&parameters).unwrap()
    })
}

fn one_of<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    proptest::sample::select(all)
}

fn timings() -> impl Strategy<Value = Timings> {
    let number = || option::of(-1e300..1e300f64);
    (number(), number(), number()).prop_map(|(first_token_ms, tokens_per_second, halt_ms)| {
        Timings { first_token_ms, tokens_per_second, halt_ms }
    })
}

const ENDS: &[State] =
    &[State::Complete, State::Length, State::Stopped, State::Interrupted, State::Failed];

/// A message whose parent is any message before it.
fn message(index: usize) -> impl Strategy<Value = ImportedMessage> {
    let texts = (text(), text(), vec(any::<u32>(), 0..5), option::of(text()));
    let how = (option::of(parameters()), option::of(any::<u64>()), option::of(one_of(Reason::ALL)));
    let end = (option::of((text(), text())), option::of(any::<[u32; 3]>()), option::of(timings()));
    let place = (option::of(0..index.max(1)), one_of(Role::ALL), one_of(ENDS));
    (texts, how, end, place, 0..i64::MAX as u64).prop_map(
        move |(texts, how, end, place, created_ms)| {
            let usage = end.1.map(|[prompt, cached, completion]| Usage {
                prompt_tokens: Some(prompt.into()),
                cached_tokens: (cached % 2 == 0).then_some(cached.into()),
                completion_tokens: Some(completion.into()),
            });
            ImportedMessage {
                id: index.to_string(),
                parent: place.0.filter(|parent| *parent < index),
                role: place.1,
                state: place.2,
                text: texts.0,
                thinking: texts.1,
                tokens: texts.2,
                model: texts.3,
                parameters: how.0,
                seed: how.1,
                reason: how.2,
                error: end.0.map(|(code, message)| AnswerError { code, message }),
                usage,
                timings: end.2,
                created_ms: Some(created_ms),
            }
        },
    )
}

fn conversation() -> impl Strategy<Value = ImportedConversation> {
    (0..12usize).prop_flat_map(|count| {
        let messages = (0..count).map(message).collect::<Vec<_>>();
        let leaf = option::of(0..count.max(1));
        let about =
            (text(), one_of(TitleSource::ALL), option::of(text()), option::of(parameters()));
        let flags = (any::<bool>(), any::<bool>(), 0..i64::MAX as u64, 0..i64::MAX as u64);
        (messages, leaf, about, flags).prop_map(move |(messages, leaf, about, flags)| {
            ImportedConversation {
                title: about.0,
                title_source: about.1,
                system: about.2,
                parameters: about.3,
                pinned: flags.0,
                archived: flags.1,
                created_ms: Some(flags.2),
                updated_ms: Some(flags.3),
                leaf: (count > 0).then(|| leaf.unwrap_or(count - 1)),
                messages,
            }
        })
    })
}

/// The same conversation without its ids, which are new in each store.
fn without_ids(mut conversation: ImportedConversation) -> ImportedConversation {
    conversation.messages.iter_mut().for_each(|message| message.id.clear());
    conversation
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn banters_own_format_loses_nothing(conversation in conversation()) {
        let store = memory();
        let user = user(&store, 1);
        let stored = store.import_conversation(user, conversation.clone()).wait().unwrap();
        let tree = store.tree(user, stored.id).wait().unwrap();
        let file = export_json(std::slice::from_ref(&tree), 5);
        let mut imported = import(file.as_bytes(), &ImportLimits::default()).unwrap();
        prop_assert_eq!(&imported.left_out, &[]);
        let back = imported.conversations.pop().unwrap();
        // The ids of the file are those of the store.
        for (message, stored) in back.messages.iter().zip(&tree.messages) {
            prop_assert_eq!(&message.id, &stored.id.to_string());
        }
        let mut expected = conversation;
        for (message, back) in expected.messages.iter_mut().zip(&back.messages) {
            if message.role == Role::Assistant && message.reason.is_none() {
                prop_assert!(back.reason.is_some());
                message.reason = back.reason;
            }
        }
        prop_assert_eq!(without_ids(back.clone()), without_ids(expected));
        let again = store.import_conversation(user, back).wait().unwrap();
        let again = store.tree(user, again.id).wait().unwrap();
        prop_assert_eq!(again.messages.len(), tree.messages.len());
    }

    #[test]
    fn any_bytes_are_an_error_or_conversations(bytes in vec(any::<u8>(), 0..200)) {
        let _ = import(&bytes, &ImportLimits::default());
    }

    #[test]
    fn damaged_exports_are_an_error_or_conversations(
        which in 0..3usize, at in any::<proptest::sample::Index>(), with in any::<u8>(),
    ) {
        let file = [chatgpt().to_string(), open_webui().to_string(), banter()][which].clone();
        let mut bytes = file.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = with;
        let _ = import(&bytes, &ImportLimits::default());
    }
}

fn banter() -> String {
    let store = memory();
    let user = user(&store, 1);
    let (asked, _) = exchange(&store, user, ask_new("q", "a"), "a");
    let tree = store.tree(user, asked.conversation.id).wait().unwrap();
    export_json(&[tree], 7)
}

fn chatgpt() -> Value {
    let said = |role: &str, parts: Value| {
        json!({"author": {"role": role}, "create_time": 1_700_000_000.25, "recipient": "all",
               "content": {"content_type": "text", "parts": parts}, "metadata": {"model_slug": "gpt-5"}})
    };
    let node = |message: Value, parent: Value| json!({"message": message, "parent": parent, "children": []});
    json!([{
        "title": "Trip", "create_time": 1_700_000_000.0, "update_time": null, "current_node": "a2",
        "is_archived": true,
        "mapping": {
            "root": node(Value::Null, Value::Null),
            "sys": node(said("system", json!([""])), json!("root")),
            "q1": node(said("user", json!(["Where to?"])), json!("sys")),
            "t1": node(json!({"author": {"role": "assistant"}, "recipient": "all", "content":
                {"content_type": "thoughts", "thoughts": [{"summary": "S", "content": "hm"}]}}), json!("q1")),
            "call": node(json!({"author": {"role": "assistant"}, "recipient": "web",
                "content": {"content_type": "code", "text": "search()"}}), json!("t1")),
            "tool": node(said("tool", json!(["result"])), json!("call")),
            "a1": node(said("assistant", json!(["Paris"])), json!("tool")),
            "a2": node(said("assistant", json!(["罗马", "is nice"])), json!("t1")),
            "q2": node(json!({"author": {"role": "user"}, "content": {"content_type": "multimodal_text",
                "parts": [{"content_type": "image_asset_pointer"}, "What is this?"]}}), json!("a1")),
        },
    }])
}

#[test]
fn a_chatgpt_export_is_understood() {
    let imported = read(&chatgpt());
    let conversation = &imported.conversations[0];
    let expected = [
        (None, Role::User, "Where to?"),
        (Some(0), Role::Assistant, "Paris"),
        (Some(0), Role::Assistant, "罗马\n\nis nice"),
        (Some(1), Role::User, "What is this?"),
    ];
    assert_eq!(shape(conversation), expected);
    assert_eq!((conversation.title.as_str(), conversation.leaf), ("Trip", Some(2)));
    assert_eq!((conversation.archived, conversation.system.as_deref()), (true, None));
    assert_eq!(conversation.created_ms, Some(1_700_000_000_000));
    assert_eq!(conversation.messages[1].model.as_deref(), Some("gpt-5"));
    assert_eq!(conversation.messages[2].thinking, "S\nhm");
    assert_eq!(conversation.messages[3].created_ms, None);
    // The result of the tool and the image.
    assert_eq!(imported.left_out_count, 2);
    assert!(imported.left_out[1].to_string().contains("[0].mapping.q2.message.content.parts[0]"));
}

fn open_webui() -> Value {
    json!([{
        "id": "x", "title": "Plan", "created_at": 1_700_000_000, "updated_at": 1_700_000_100, "pinned": true,
        "chat": {
            "params": {"system": "be brief"},
            "history": {"currentId": "c", "messages": {
                "a": {"id": "a", "parentId": null, "childrenIds": ["b", "c"], "role": "user", "content": "hi",
                      "timestamp": 1_700_000_001},
                "b": {"id": "b", "parentId": "a", "role": "assistant", "content": "hello", "model": "qwen2.5:7b"},
                "c": {"id": "c", "parentId": "a", "role": "assistant", "content": "你好", "model": "qwen2.5:7b"},
            }},
            "messages": [{"id": "a", "role": "user", "content": "hi"}],
        },
    }])
}

#[test]
fn an_open_webui_export_is_understood() {
    let conversation = only(&open_webui());
    let branches = [
        (None, Role::User, "hi"),
        (Some(0), Role::Assistant, "hello"),
        (Some(0), Role::Assistant, "你好"),
    ];
    assert_eq!(shape(&conversation), branches);
    assert_eq!((conversation.leaf, conversation.system.as_deref()), (Some(2), Some("be brief")));
    assert_eq!((conversation.pinned, conversation.updated_ms), (true, Some(1_700_000_100_000)));
    assert_eq!(conversation.messages[2].model.as_deref(), Some("qwen2.5:7b"));

    let old = json!({"title": "Old", "chat": {"messages": [
        {"role": "system", "content": "rules"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"role": "assistant", "content": "hello"},
        {"role": "tool", "content": "x"},
        {"role": "user", "content": "bye"},
    ]}});
    let conversation = only(&old);
    let list = [
        (None, Role::User, "hi"),
        (Some(0), Role::Assistant, "hello"),
        (Some(1), Role::User, "bye"),
    ];
    assert_eq!(shape(&conversation), list);
    assert_eq!((conversation.leaf, conversation.system.as_deref()), (Some(2), Some("rules")));
}

#[test]
fn a_conversation_that_can_not_be_read_is_left_out_with_its_path() {
    let gpt = |mapping: Value| json!([{"mapping": mapping}]);
    let node = |parent: &str| json!({"parent": parent, "message": null});
    let webui = |messages: Value| json!([{"chat": {"messages": messages}}]);
    let message = |id: &str, parent: &str| json!({"id": id, "parentId": parent, "role": "user", "content": "x"});
    let cases = [
        (gpt(json!({"a": node("b"), "b": node("a")})), "[0].mapping.a: it comes after itself"),
        (gpt(json!({"a": node("a")})), "[0].mapping.a: it comes after itself"),
        (gpt(json!({"a": node("gone")})), "[0].mapping.a: the message before it is missing"),
        (gpt(json!(5)), "[0].mapping: expected an object, found 5"),
        (webui(json!([message("a", "b"), message("b", "a")])), "[0].chat.a: it comes after itself"),
        (
            webui(json!([message("a", "x"), message("a", "x")])),
            "[0].chat.a: another message has the same id",
        ),
        (webui(json!("text")), "[0].chat.messages: expected a list, found a text"),
        (json!([{"chat": 3}]), "[0].chat: expected an object, found 3"),
    ];
    for (file, expected) in cases {
        let imported = read(&file);
        assert_eq!(imported.conversations, [], "{file}");
        let errors: Vec<_> = imported.left_out.iter().map(ImportError::to_string).collect();
        assert_eq!(errors, [expected], "{file}");
    }
    // The others of the file are taken.
    let mut file = chatgpt();
    file.as_array_mut().unwrap().insert(0, json!({"mapping": 1}));
    assert_eq!(read(&file).conversations.len(), 1);
}

#[test]
fn a_file_that_can_not_be_read_is_an_error() {
    let limits = ImportLimits {
        file_bytes: 1 << 20,
        conversations: 3,
        conversation_messages: 2,
        ..ImportLimits::default()
    };
    let error = |file: &str| import(file.as_bytes(), &limits).unwrap_err();
    assert!(matches!(error("{"), ImportError::NotJson { .. }));
    assert!(matches!(error(&"[".repeat(100_000)), ImportError::NotJson { .. }));
    assert!(matches!(error("[]"), ImportError::UnknownFormat { .. }));
    assert!(matches!(error("{\"x\": 1}"), ImportError::UnknownFormat { .. }));
    assert!(matches!(error(&" ".repeat((1 << 20) + 1)), ImportError::TooLarge { .. }));
    let four = json!([{"mapping": 1}, 2, 3, 4]).to_string();
    assert!(matches!(error(&four), ImportError::TooMany { limit: 3, found: 4, .. }));
    let newer = json!({"format": "banter", "version": 9, "conversations": []}).to_string();
    assert_eq!(error(&newer), ImportError::NewerVersion { found: 9, known: 1 });
    let odd = json!({"format": "banter", "version": "1"}).to_string();
    assert!(matches!(error(&odd), ImportError::Invalid { path, .. } if path == "version"));

    let many = json!([{"chat": {"messages": [{}, {}, {}]}}]).to_string();
    let imported = import(many.as_bytes(), &limits).unwrap();
    assert!(matches!(imported.left_out[0], ImportError::TooMany { limit: 2, found: 3, .. }));
    let marked =
        format!("\u{feff}{}", json!({"format": "banter", "version": 1, "conversations": []}));
    assert_eq!(import(marked.as_bytes(), &limits).unwrap(), Imported::default());
}

#[test]
fn a_long_chain_of_messages_is_read() {
    let messages: serde_json::Map<String, Value> = (0..9_000)
        .map(|n: i64| {
            let parent = if n == 0 { Value::Null } else { json!((n - 1).to_string()) };
            (n.to_string(), json!({"parentId": parent, "role": "user", "content": "x"}))
        })
        .collect();
    let conversation =
        only(&json!([{"chat": {"history": {"messages": messages, "currentId": "8999"}}}]));
    assert_eq!((conversation.messages.len(), conversation.leaf), (9_000, Some(8_999)));
}

#[test]
fn an_imported_conversation_is_stored_whole_or_not_at_all() {
    let store = memory();
    let user = user(&store, 1);
    let mut conversation = only(&chatgpt());
    let stored = store.import_conversation(user, conversation.clone()).wait().unwrap();
    let tree = store.tree(user, stored.id).wait().unwrap();
    assert_eq!(tree.conversation.leaf, Some(tree.messages[2].id));
    let query = SearchQuery {
        text: "罗马".into(),
        limit: 5,
        archived: crate::Archived::With,
        before: None,
    };
    assert_eq!(store.search(user, query).wait().unwrap().messages.len(), 1);

    conversation.messages[3].text = "x".repeat(store.limits().answer_bytes + 1);
    let error = store.import_conversation(user, conversation).wait().unwrap_err();
    assert!(matches!(error, StoreError::TooLong { field: "text", .. }));
    let query = crate::ListQuery { limit: 9, archived: crate::Archived::With, after: None };
    assert_eq!(store.list_conversations(user, query).wait().unwrap().conversations.len(), 1);
}

fn markdown(text: &str) -> String {
    let store = memory();
    let user = user(&store, 1);
    let (asked, _) = exchange(&store, user, ask_new("ask", "a"), text);
    let tree: Tree = store.tree(user, asked.conversation.id).wait().unwrap();
    let whole = export_markdown(&tree);
    whole.split_once("## Assistant\n\n").unwrap().1.to_owned()
}

#[test]
fn headings_of_texts_come_below_those_of_turns_and_code_stays_as_it_is() {
    let cases = [
        ("# One\n## Two\n###### Six\n", "### One\n#### Two\n###### Six\n"),
        ("#no heading\n    # code\n", "#no heading\n    # code\n"),
        ("```sh\n# comment\n```\n# After\n", "```sh\n# comment\n```\n### After\n"),
        (
            "~~~~\n```\n# in\n~~~\n# in\n~~~~\n# out\n",
            "~~~~\n```\n# in\n~~~\n# in\n~~~~\n### out\n",
        ),
        ("- ```py\n  # comment\n  ```\n# out\n", "- ```py\n  # comment\n  ```\n### out\n"),
        ("1. > ```\n   > # c\n   > ```\n# out\n", "1. > ```\n   > # c\n   > ```\n### out\n"),
        ("Title\n=====\nSub\n---\ntext\n\n---\n", "### Title\n#### Sub\ntext\n\n---\n"),
        ("- item\n---\n", "- item\n---\n"),
        ("```\nopen", "```\nopen\n```\n"),
        ("```x``` # y\n# z\n", "```x``` # y\n### z\n"),
    ];
    for (text, expected) in cases {
        assert_eq!(markdown(text), expected, "{text}");
    }
}

#[test]
fn markdown_has_front_matter_and_the_current_branch() {
    let mut config = crate::StoreConfig::new(crate::Place::Memory);
    config.clock = crate::Clock::new(|| 1_709_251_200_000);
    let store = crate::Store::open(config).unwrap();
    let user = user(&store, 1);
    let title = Some(("A \"title\": 标题\n---".to_owned(), TitleSource::Person));
    let new = crate::NewConversation { title, system: Some("be kind".into()), parameters: None };
    let mut ask = ask_new("first", "a");
    ask.target = crate::Target::New(new);
    ask.how.model = Some("qwen2.5:7b".into());
    let (asked, _) = exchange(&store, user, ask, "other branch");
    let beside = ask_in(asked.conversation.id, Position::Beside(asked.answer.id), None);
    let again = store.ask(user, beside).wait().unwrap();
    let ending =
        Ending { rest: growth(0, "shown"), ..Ending::new(State::Stopped, Reason::Stopped) };
    store.finish_answer(again.answer.seq, ending).wait().unwrap();
    let tree = store.tree(user, asked.conversation.id).wait().unwrap();
    let expected = "---\ntitle: \"A \\\"title\\\": 标题\\n---\"\ndate: \"2024-03-01T00:00:00Z\"\n---\n\n\
                    ## System\n\nbe kind\n\n## User\n\nfirst\n\n## Assistant\n\nshown\n";
    assert_eq!(export_markdown(&tree), expected);
}
