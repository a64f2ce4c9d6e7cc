//! Finding messages and titles.

use std::time::Duration;

use super::support::*;
use crate::exchange::{ImportedConversation, ImportedMessage};
use crate::{
    Archived, ConversationChange, MessageHit, Place, Position, Role, SearchQuery, Store,
    StoreConfig, StoreError, TitleSource,
};

fn found(store: &Store, user: crate::UserId, text: &str) -> Vec<String> {
    let query = SearchQuery { text: text.into(), limit: 50, ..SearchQuery::default() };
    let result = store.search(user, query).wait().unwrap();
    for hit in &result.messages {
        assert!(!hit.marks.is_empty(), "{text} in {}", text_of(store, user, hit));
        for mark in &hit.snippet.marks {
            assert!(hit.snippet.text.get(mark.clone()).is_some());
        }
    }
    result.messages.iter().map(|hit| text_of(store, user, hit)).collect()
}

fn text_of(store: &Store, user: crate::UserId, hit: &MessageHit) -> String {
    store.message(user, hit.conversation.id, hit.message).wait().unwrap().text
}

#[test]
fn words_are_found_in_every_script() {
    let store = memory();
    let user = user(&store, 1);
    const CHINESE: &str = "今天天气很好，我们去公园散步吧";
    const FRENCH: &str = "Une Crème brûlée à Noël";
    const CODE: &str = "let n = config.max_tokens + getUserName(id);";
    const JAPANESE: &str = "東京タワーへ行きたい";
    const KOREAN: &str = "한국어를 배우고 싶어요";
    for (n, text) in [CHINESE, FRENCH, CODE, JAPANESE, KOREAN].iter().enumerate() {
        exchange(&store, user, ask_new(text, &n.to_string()), "");
    }
    struct Case(&'static str, &'static [&'static str]);
    let cases = [
        Case("天气", &[CHINESE]),
        Case("公园散步", &[CHINESE]),
        Case("吧", &[CHINESE]),
        Case("气", &[CHINESE]),
        Case("天园", &[]),
        Case("creme", &[FRENCH]),
        Case("CREME BRUL", &[FRENCH]),
        Case("noel", &[FRENCH]),
        Case("rûl", &[]),
        Case("max_tokens", &[CODE]),
        Case("max_tok", &[CODE]),
        Case("tokens", &[CODE]),
        Case("getuser", &[CODE]),
        Case("username", &[CODE]),
        Case("name", &[CODE]),
        Case("config.max_tokens", &[CODE]),
        Case("タワー", &[JAPANESE]),
        Case("東京 行き", &[JAPANESE]),
        Case("한국어", &[KOREAN]),
        Case("c", &[CODE, FRENCH]),
        Case("co", &[CODE]),
        Case("\"", &[]),
        Case("", &[]),
        Case("*", &[]),
        Case("creme OR tokens", &[]),
        Case("words:creme", &[]),
    ];
    for Case(text, expected) in cases {
        assert_eq!(found(&store, user, text), expected, "{text}");
    }
}

#[test]
fn an_answer_is_found_once_it_is_finished() {
    let store = memory();
    let user = user(&store, 1);
    let asked = store.ask(user, ask_new("question", "a")).wait().unwrap();
    store.save_progress(asked.answer.seq, growth(0, "elephants")).wait().unwrap();
    assert_eq!(found(&store, user, "elephant"), [""; 0]);
    store.finish_answer(asked.answer.seq, ending(9, " fly")).wait().unwrap();
    assert_eq!(found(&store, user, "elephant"), ["elephants fly"]);
}

#[test]
fn newest_messages_come_first_and_in_pages() {
    let store = memory();
    let user = user(&store, 1);
    let (first, _) = exchange(&store, user, ask_new("word 0", "a"), "");
    for n in 1..10 {
        let ask = ask_in(first.conversation.id, Position::AtLeaf, Some(&format!("word {n}")));
        exchange(&store, user, ask, "");
    }
    let mut before = None;
    let mut texts = Vec::new();
    loop {
        let query = SearchQuery { text: "word".into(), limit: 4, before, ..Default::default() };
        let result = store.search(user, query).wait().unwrap();
        before = result.messages.last().map(|hit| hit.seq);
        texts.extend(result.messages.iter().map(|hit| text_of(&store, user, hit)));
        if !result.more {
            break;
        }
    }
    let expected: Vec<_> = (0..10).rev().map(|n| format!("word {n}")).collect();
    assert_eq!(texts, expected);
}

#[test]
fn titles_are_found_and_others_conversations_are_not() {
    let store = memory();
    let (mine, other) = (user(&store, 1), user(&store, 11));
    let (asked, _) = exchange(&store, mine, ask_new("hello there", "a"), "");
    let title = |title: &str| {
        let title = Some((title.to_owned(), TitleSource::Person));
        let change = ConversationChange { title, ..Default::default() };
        store.change_conversation(mine, asked.conversation.id, change).wait().unwrap();
    };
    let titles = |user, text: &str| {
        let query = SearchQuery { text: text.into(), limit: 5, ..Default::default() };
        let result = store.search(user, query).wait().unwrap();
        result.titles.into_iter().map(|hit| hit.conversation.title).collect::<Vec<_>>()
    };
    title("旅行计划 Paris");
    assert_eq!(titles(mine, "旅行"), ["旅行计划 Paris"]);
    assert_eq!(titles(mine, "par"), ["旅行计划 Paris"]);
    assert_eq!(titles(other, "旅行"), [""; 0]);
    assert_eq!(found(&store, other, "hello"), [""; 0]);
    title("Rome");
    assert_eq!(titles(mine, "旅行"), [""; 0]);
    assert_eq!(titles(mine, "rome"), ["Rome"]);

    let change = ConversationChange { archived: Some(true), ..Default::default() };
    store.change_conversation(mine, asked.conversation.id, change).wait().unwrap();
    assert_eq!(titles(mine, "rome"), [""; 0]);
    assert_eq!(found(&store, mine, "hello"), [""; 0]);
    let query =
        SearchQuery { text: "hello".into(), limit: 5, archived: Archived::Only, before: None };
    assert_eq!(store.search(mine, query).wait().unwrap().messages.len(), 1);
    store.delete_conversation(mine, asked.conversation.id).wait().unwrap();
    assert_eq!(titles(mine, "rome"), [""; 0]);
}

#[test]
fn the_index_stays_whole_when_its_limit_changes() {
    let folder = TestFolder::new();
    let long = format!("{} needle", "straw 中文 ".repeat(100));
    let open = |indexed_bytes| {
        let mut config = StoreConfig::new(Place::Folder(folder.path()));
        config.limits.indexed_bytes = indexed_bytes;
        Store::open(config).unwrap()
    };
    let store = open(100);
    let user = user(&store, 1);
    let (asked, _) = exchange(&store, user, ask_new(&long, "a"), "");
    assert_eq!(found(&store, user, "needle"), [""; 0]);
    assert_eq!(found(&store, user, "straw").len(), 1);
    drop(store);
    let store = open(1 << 20);
    store.delete_conversation(user, asked.conversation.id).wait().unwrap();
    assert_eq!(found(&store, user, "straw"), [""; 0]);
    drop(store);
    assert_whole(&folder.database());
}

/// Stores messages with these texts, the oldest first.
fn store_texts<'a>(store: &Store, user: crate::UserId, texts: impl Iterator<Item = &'a str>) {
    let messages = texts.map(|text| ImportedMessage::new("", Role::User, text.into())).collect();
    let conversation = ImportedConversation { messages, ..ImportedConversation::default() };
    let id = store.import_conversation(user, conversation).wait().unwrap().id;
    while store.show_in_search(user, id).wait().unwrap() {}
}

#[test]
fn a_search_of_many_terms_that_are_alike_finds_the_same() {
    let store = memory();
    let user = user(&store, 1);
    let many = "a ".repeat(100_000);
    let near = format!("{many}x y");
    let far = format!("x {many} y");
    store_texts(&store, user, [near.as_str(), far.as_str()].into_iter());
    let mut query = "a ".repeat(100) + "x_y";
    assert_eq!(found(&store, user, &query), [near.as_str()]);
    query = ["a"; 120].join("_");
    assert_eq!(found(&store, user, &query).len(), 2);
    query += "_b";
    assert_eq!(found(&store, user, &query), [""; 0]);
}

#[test]
fn a_search_that_takes_too_long_ends_between_two_messages() {
    let folder = TestFolder::new();
    let mut config = folder.config();
    config.read_timeout = Duration::ZERO;
    let store = Store::open(config).unwrap();
    let user = user(&store, 1);
    store_texts(&store, user, ["y x"; 3].into_iter());
    let search = |text: &str| {
        let query = SearchQuery { text: text.into(), limit: 5, ..SearchQuery::default() };
        store.search(user, query).wait()
    };
    // SQLite does too little for either to ask for the time.
    assert_eq!(search("x_y"), Err(StoreError::Timeout));
    assert_eq!(search("z"), Ok(crate::SearchResult::default()));
}

#[test]
fn a_search_looks_at_so_many_messages_only() {
    let store = memory();
    let user = user(&store, 1);
    let search = |before| {
        let query = SearchQuery { text: "x_y".into(), limit: 5, before, ..Default::default() };
        store.search(user, query).wait()
    };
    let oldest = std::iter::once("x y");
    store_texts(&store, user, oldest.chain(std::iter::repeat_n("y x", 9_999)));
    let result = search(None).unwrap();
    assert_eq!((result.messages.len(), result.more), (1, false));
    store_texts(&store, user, ["y x", "x y"].into_iter());
    let result = search(None).unwrap();
    assert_eq!((result.messages.len(), result.more), (1, true));
    let before = Some(result.messages[0].seq);
    assert_eq!(search(before), Err(StoreError::Timeout));
}

#[test]
fn a_long_conversation_is_put_into_the_search_and_taken_out_in_parts() {
    let store = memory();
    let user = user(&store, 1);
    let long = "many words ".repeat(3_000);
    let message = |n: usize| {
        let text = format!("{long} number{n}");
        ImportedMessage { parent: n.checked_sub(1), ..ImportedMessage::new("", Role::User, text) }
    };
    let imported = ImportedConversation {
        messages: (0..8).map(message).collect(),
        leaf: Some(7),
        ..ImportedConversation::default()
    };
    let id = store.import_conversation(user, imported).wait().unwrap().id;
    assert_eq!(found(&store, user, "number7").len(), 0);
    let mut calls = 1;
    while store.show_in_search(user, id).wait().unwrap() {
        calls += 1;
    }
    assert!(calls > 2, "{calls}");
    assert_eq!(found(&store, user, "number7").len(), 1);
    assert_eq!(found(&store, user, "many").len(), 8);
    let mut calls = 1;
    while store.hide_from_search(user, id).wait().unwrap() {
        calls += 1;
    }
    assert!(calls > 2, "{calls}");
    assert_eq!(found(&store, user, "many").len(), 0);
    store.delete_conversation(user, id).wait().unwrap();
}
