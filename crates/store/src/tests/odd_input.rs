//! Odd texts, limits, clocks, panics and copies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::support::*;
use crate::config::Clock;
use crate::{
    Ask, ConversationChange, Ending, How, ListQuery, NewConversation, Place, Position, Reason,
    SearchQuery, State, Store, StoreConfig, StoreError, Target, TitleSource,
};

const ODD: &[&str] = &[
    "",
    "'; DROP TABLE messages; --",
    "\" OR 1=1 --",
    "Robert'); DELETE FROM users; --",
    "a\0b\0",
    "\0",
    "%s%n%_\\",
    "?1 :x @y $z",
    "\u{feff}bom",
    "\u{202e}right to left",
    "😀👩‍👩‍👧‍👦🇨🇳",
    "e\u{301}\u{301}\u{301}",
    "中文\r\nmixed\n\n",
    "\u{10ffff}\u{fffd}",
];

#[test]
fn s13_odd_texts_are_returned_byte_equal() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    let mut ids = Vec::new();
    for (n, odd) in ODD.iter().enumerate() {
        let parameters = serde_json::json!({"stop": odd, (*odd).to_owned(): 1});
        let new = NewConversation {
            title: Some(((*odd).into(), TitleSource::Person)),
            system: Some((*odd).into()),
            parameters: parameters.as_object().cloned(),
        };
        let how =
            How { model: Some((*odd).into()), parameters: new.parameters.clone(), seed: None };
        let ask = Ask {
            target: Target::New(new),
            text: Some((*odd).into()),
            client_id: format!("{n}{odd}"),
            how,
        };
        let asked = store.ask(user, ask).wait().unwrap();
        store.append_live(asked.answer.seq, growth(0, odd)).wait().unwrap();
        let mut rest = growth(0, odd);
        rest.thinking = (*odd).into();
        store.save_progress(asked.answer.seq, rest.clone()).wait().unwrap();
        let error = crate::AnswerError { code: (*odd).into(), message: (*odd).into() };
        let ending =
            Ending { rest, error: Some(error), ..Ending::new(State::Failed, Reason::Failed) };
        store.finish_answer(asked.answer.seq, ending).wait().unwrap();
        let query = SearchQuery { text: (*odd).into(), limit: 5, ..Default::default() };
        store.search(user, query).wait().unwrap();
        ids.push(asked.conversation.id);
    }
    drop(store);
    let store = folder.open();
    for (id, odd) in ids.iter().zip(ODD) {
        let tree = store.tree(user, *id).wait().unwrap();
        let (conversation, answer) = (&tree.conversation, &tree.messages[1]);
        assert_eq!(conversation.title, *odd);
        assert_eq!(conversation.system.as_deref(), Some(*odd));
        assert_eq!(conversation.parameters.as_ref().unwrap()[*odd], 1);
        assert_eq!(tree.messages[0].text, *odd);
        assert_eq!((answer.text.as_str(), answer.thinking.as_str()), (*odd, *odd));
        assert_eq!(answer.model.as_deref(), Some(*odd));
        assert_eq!(answer.error.as_ref().unwrap().message, *odd);
        store.delete_conversation(user, *id).wait().unwrap();
    }
    drop(store);
    assert_whole(&folder.database());
}

#[test]
fn s13_every_limit_is_named_when_it_is_exceeded() {
    let mut config = StoreConfig::new(Place::Memory);
    config.limits.user_conversations = 3;
    config.limits.conversation_messages = 3;
    config.limits.answer_tokens = 2;
    let store = Store::open(config).unwrap();
    let limits = store.limits().clone();
    let user = user(&store, 1);
    let field = |error: StoreError| match error {
        StoreError::TooLong { field, limit, found, .. } if found == limit + 1 => field,
        other => panic!("{other}"),
    };
    let text = |bytes: usize| "x".repeat(bytes + 1);
    let ask = |change: &dyn Fn(&mut Ask)| {
        let mut ask = ask_new("q", "a");
        change(&mut ask);
        field(store.ask(user, ask).wait().unwrap_err())
    };
    assert_eq!(ask(&|ask| ask.text = Some(text(limits.text_bytes))), "text");
    assert_eq!(ask(&|ask| ask.client_id = text(limits.client_id_bytes)), "client_id");
    assert_eq!(ask(&|ask| ask.how.model = Some(text(limits.name_bytes))), "model");
    let title = Some((text(limits.title_bytes), TitleSource::Person));
    let new = NewConversation { title, ..Default::default() };
    assert_eq!(ask(&|ask| ask.target = Target::New(new.clone())), "title");
    let new = NewConversation { system: Some(text(limits.system_bytes)), ..Default::default() };
    assert_eq!(ask(&|ask| ask.target = Target::New(new.clone())), "system");
    // {"x":"…"} has eight characters beside the text.
    let long = serde_json::json!({"x": text(limits.parameters_bytes - 8)});
    assert_eq!(ask(&|ask| ask.how.parameters = long.as_object().cloned()), "parameters");
    let query = SearchQuery { text: text(limits.search_bytes), limit: 1, ..Default::default() };
    assert_eq!(field(store.search(user, query).wait().unwrap_err()), "search text");

    let full = "x".repeat(limits.text_bytes);
    let asked = store.ask(user, ask_new(&full, "a")).wait().unwrap();
    assert_eq!(asked.message.unwrap().text, full);
    let mut tokens = growth(0, "");
    tokens.tokens = vec![1, 2, 3];
    let seq = asked.answer.seq;
    assert_eq!(field(store.save_progress(seq, tokens).wait().unwrap_err()), "tokens");
    let long = growth(0, &text(limits.answer_bytes));
    assert_eq!(field(store.save_progress(seq, long).wait().unwrap_err()), "answer");
    store.finish_answer(seq, ending(0, "x")).wait().unwrap();
    let ask = ask_in(asked.conversation.id, Position::AtLeaf, Some("q"));
    let error = store.ask(user, ask).wait().unwrap_err();
    assert!(matches!(error, StoreError::TooMany { limit: 3, .. }), "{error}");
    for n in 0..2 {
        store.ask(user, ask_new("q", &n.to_string())).wait().unwrap();
    }
    let error = store.ask(user, ask_new("q", "last")).wait().unwrap_err();
    assert_eq!(error, StoreError::TooMany { what: "conversations", limit: 3 });
    let empty = store.ask(user, ask_new("q", "")).wait().unwrap_err();
    assert!(matches!(empty, StoreError::Invalid { field: "client_id", .. }));
}

#[test]
fn s16_order_does_not_depend_on_the_clock() {
    const DAY_MS: u64 = 86_400_000;
    let now = Arc::new(AtomicU64::new(10 * DAY_MS));
    let mut config = StoreConfig::new(Place::Memory);
    let clock = Arc::clone(&now);
    config.clock = Clock::new(move || clock.load(Ordering::Relaxed));
    let store = Store::open(config).unwrap();
    let user = user(&store, 1);
    let (first, _) = exchange(&store, user, ask_new("0", "0"), "answer 0");
    let id = first.conversation.id;
    let mut expected = vec!["0".to_owned(), "answer 0".to_owned()];
    let jumps = [9 * DAY_MS, 11 * DAY_MS, 0, u64::MAX, 10 * DAY_MS];
    let mut others = Vec::new();
    for (n, jump) in jumps.into_iter().enumerate() {
        now.store(jump, Ordering::Relaxed);
        others.push(exchange(&store, user, ask_new("other", &format!("o{n}")), "").0);
        let text = n.to_string();
        exchange(&store, user, ask_in(id, Position::AtLeaf, Some(&text)), "a");
        expected.extend([text, "a".to_owned()]);
    }
    assert_eq!(texts(&store, user, id), expected);
    let query = ListQuery { limit: 10, ..Default::default() };
    let listed = store.list_conversations(user, query).wait().unwrap().conversations;
    let ids: Vec<_> = listed.iter().map(|conversation| conversation.id).collect();
    let newest_first = others.iter().rev().map(|asked| asked.conversation.id);
    assert_eq!(ids, std::iter::once(id).chain(newest_first).collect::<Vec<_>>());
    // A session that was made in the future ends some time; none has a negative time.
    let hash = crate::SecretHash([1; 32]);
    now.store(u64::MAX, Ordering::Relaxed);
    let session = store.add_session(user, hash, "chat", u64::MAX).wait().unwrap();
    assert!(session.until_ms >= session.created_ms);
}

#[test]
fn c7_a_panic_fails_only_its_own_call() {
    let store = memory();
    let user = user(&store, 1);
    let (asked, _) = exchange(&store, user, ask_new("q", "a"), "a");
    let number = asked.conversation.number;
    // All three wait while the first runs, so they are committed together.
    let blocked = Blocked::begin(&store);
    let title = |text: &str| {
        let title = Some((text.to_owned(), TitleSource::Person));
        let change = ConversationChange { title, ..Default::default() };
        store.change_conversation(user, asked.conversation.id, change)
    };
    let before = title("before");
    let panicking = store.write(move |writing| -> Result<(), StoreError> {
        writing.connection.execute("DELETE FROM conversations WHERE number = ?1", [number]).ok();
        panic!("on purpose")
    });
    let failing = store.write(move |writing| -> Result<(), StoreError> {
        writing.connection.execute("UPDATE conversations SET title = 'bad'", [])?;
        Err(StoreError::UnknownUser)
    });
    let after = store.ask(user, ask_new("q2", "b"));
    blocked.end();
    assert!(before.wait().is_ok());
    assert!(matches!(panicking.wait(), Err(StoreError::Internal { .. })));
    assert_eq!(failing.wait(), Err(StoreError::UnknownUser));
    after.wait().unwrap();
    let conversation = store.conversation(user, asked.conversation.id).wait().unwrap();
    assert_eq!(conversation.title, "before");

    let panicked = store.read(|_| -> Result<(), StoreError> { panic!("on purpose") }).wait();
    assert!(matches!(panicked, Err(StoreError::Internal { .. })));
    assert_eq!(texts(&store, user, asked.conversation.id), ["q", "a"]);
}

#[test]
fn a_full_queue_is_said_at_once() {
    let mut config = StoreConfig::new(Place::Memory);
    config.waiting_calls = 2;
    let store = Store::open(config).unwrap();
    let blocked = Blocked::begin(&store);
    let waiting: Vec<_> = (0..2).map(|_| store.remove_ended_sessions()).collect();
    assert_eq!(store.remove_ended_sessions().wait(), Err(StoreError::Busy));
    blocked.end();
    waiting.into_iter().for_each(|reply| assert_eq!(reply.wait(), Ok(0)));
}

#[test]
fn a_read_that_takes_too_long_is_interrupted() {
    let folder = TestFolder::new();
    let mut config = folder.config();
    config.read_timeout = std::time::Duration::from_millis(20);
    config.reader_threads = 1;
    let store = Store::open(config).unwrap();
    let endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                   SELECT count(*) FROM n";
    let reply = store.read(move |reading| {
        Ok(reading.connection.query_row(endless, [], |row| row.get::<_, i64>(0))?)
    });
    assert_eq!(reply.wait(), Err(StoreError::Timeout));
    assert_eq!(store.users().wait(), Ok(vec![]));
}

#[test]
fn s15_a_backup_while_writing_has_all_that_was_acknowledged_before() {
    let folder = TestFolder::new();
    let target = tempfile::tempdir().unwrap();
    let store = Arc::new(folder.open());
    let user = user(&store, 1);
    let (first, _) = exchange(&store, user, ask_new("0", "0"), "");
    let id = first.conversation.id;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicU64::new(0));
    let writer = {
        let (store, acknowledged, stop) = (store.clone(), acknowledged.clone(), stop.clone());
        std::thread::spawn(move || {
            while stop.load(Ordering::SeqCst) == 0 {
                let text = "x".repeat(5000);
                exchange(&store, user, ask_in(id, Position::AtLeaf, Some(&text)), "");
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    for n in 0..5 {
        while acknowledged.load(Ordering::SeqCst) < 10 * (n + 1) {
            std::thread::yield_now();
        }
        let before = acknowledged.load(Ordering::SeqCst);
        let path = target.path().join(format!("{n}.db"));
        let made = store.backup_to(&path).wait().unwrap();
        assert_eq!(made.bytes, std::fs::metadata(&path).unwrap().len());
        assert_whole(&path);
        let connection = rusqlite::Connection::open(&path).unwrap();
        let messages: i64 = connection
            .query_row("SELECT count(*) FROM messages WHERE role = 'user'", [], |row| row.get(0))
            .unwrap();
        assert!(messages.unsigned_abs() > before, "{messages} messages, {before} acknowledged");
    }
    stop.store(1, Ordering::SeqCst);
    writer.join().unwrap();

    let path = target.path().join("0.db");
    let exists = store.backup_to(&path).wait().unwrap_err();
    assert_eq!(exists, StoreError::Exists { path: path.clone() });
    let nowhere = store.backup_to(target.path().join("none/x.db")).wait().unwrap_err();
    assert!(is_failed(&nowhere), "{nowhere}");

    // A restored backup is a store.
    let restored = TestFolder::new();
    drop(restored.open());
    std::fs::copy(path, restored.database()).unwrap();
    let store = restored.open();
    assert!(texts(&store, user, id).len() >= 20);
}

#[test]
fn a_store_in_memory_can_be_backed_up() {
    let store = memory();
    let user = user(&store, 1);
    exchange(&store, user, ask_new("q", "a"), "a");
    let target = tempfile::tempdir().unwrap();
    let path = target.path().join("copy.db");
    store.backup_to(&path).wait().unwrap();
    assert_whole(&path);
}
