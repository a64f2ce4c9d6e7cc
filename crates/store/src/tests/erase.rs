//! What is deleted is gone from every file.

use super::support::*;
use crate::{
    Archived, ConversationChange, Ending, NewConversation, Position, Reason, State, Store,
    TitleSource, UserId,
};

const SECRETS: &[&str] =
    &["xylophonezebra", "秘密花园钥匙", "geheimnisträger", "секретныйкод", "Zq9SecretToken"];

/// A text of this many words that has all secrets in it, the last at its end.
fn secret_text(words: usize, seed: usize) -> String {
    let mut text = String::new();
    for n in 0..words {
        text.push_str(&format!("{}{} ", SECRETS[(n + seed) % SECRETS.len()], n % 7));
    }
    text + &SECRETS.join(" ")
}

fn plain_text(words: usize, seed: usize) -> String {
    (0..words).map(|n| format!("ordinary{} 普通的话{} ", (n * 31 + seed) % 977, n % 13)).collect()
}

/// Asserts that no file of the folder has a part of a secret, in any spelling that is stored.
fn assert_no_secrets(folder: &TestFolder) {
    for secret in SECRETS {
        let folded: String = crate::search::words::pieces(secret)
            .iter()
            .flat_map(|piece| piece.chars.iter().map(|folded| folded.char))
            .collect();
        // An index of words could have pairs of Chinese characters, and words without what they
        // have in common with another one.
        let parts: Vec<String> = match secret.starts_with('秘') {
            true => ["秘密", "密花", "花园", "园钥", "钥匙"].map(str::to_owned).into(),
            false => vec![
                folded.chars().take(9).collect(),
                secret.chars().take(9).collect(),
                folded.chars().skip(3).take(8).collect(),
            ],
        };
        for part in parts {
            let found = folder.has_bytes(part.as_bytes());
            assert_eq!(found, None, "{part}");
        }
    }
}

/// Conversations with secrets and without, in turns and of many sizes, so that their rows share
/// pages and move between them.
fn mixed(store: &Store, user: UserId) -> Vec<crate::ConversationId> {
    let mut secret = Vec::new();
    for n in 0..60 {
        let is_secret = n % 3 == 1;
        let words = [1, 5, 30, 200, 900][n % 5];
        let text = if is_secret { secret_text(words, n) } else { plain_text(words, n) };
        let title = text.split(' ').take(3).collect::<Vec<_>>().join(" ");
        let new = NewConversation {
            title: Some((title, TitleSource::FirstWords)),
            system: Some(text.chars().take(500).collect()),
            parameters: serde_json::json!({"stop": text.chars().take(50).collect::<String>()})
                .as_object()
                .cloned(),
        };
        let mut ask = ask_new(&text, &format!("{n}"));
        ask.target = crate::Target::New(new);
        let asked = store.ask(user, ask).wait().unwrap();
        let id = asked.conversation.id;
        let mut at = 0;
        for piece in text.as_bytes().chunks(700).map(String::from_utf8_lossy) {
            store.append_live(asked.answer.seq, growth(at, &piece)).wait().unwrap();
            store.save_progress(asked.answer.seq, growth(at, &piece)).wait().unwrap();
            at += piece.len() as u64;
        }
        store.finish_answer(asked.answer.seq, ending(at, &text)).wait().unwrap();
        exchange(store, user, ask_in(id, Position::AtLeaf, Some(&text)), &text);
        if is_secret {
            secret.push(id);
        }
    }
    secret
}

#[test]
fn s14_deleted_conversations_leave_no_bytes() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    let secret = mixed(&store, user);
    let before = folder.has_bytes("秘密花园".as_bytes());
    assert!(before.is_some(), "the test would find nothing");
    for id in &secret {
        store.delete_conversation(user, *id).wait().unwrap();
    }
    assert_no_secrets(&folder);
    // The others are whole, and are still found.
    let query = crate::ListQuery { limit: 100, archived: Archived::With, after: None };
    assert_eq!(store.list_conversations(user, query).wait().unwrap().conversations.len(), 40);
    let query =
        crate::SearchQuery { text: "普通的话".into(), limit: 200, ..Default::default() };
    assert_eq!(store.search(user, query).wait().unwrap().messages.len(), 160);
    drop(store);
    assert_no_secrets(&folder);
    assert_whole(&folder.database());
}

#[test]
fn s14_a_deleted_user_leaves_no_bytes() {
    let folder = TestFolder::new();
    let store = folder.open();
    let (mine, other) = (user(&store, 1), user(&store, 2));
    for n in 0..20 {
        exchange(&store, mine, ask_new(&plain_text(50, n), &format!("{n}")), &plain_text(80, n));
        exchange(&store, other, ask_new(&secret_text(50, n), &format!("{n}")), &secret_text(80, n));
    }
    store.delete_user(other).wait().unwrap();
    assert_no_secrets(&folder);
    assert_eq!(folder.has_bytes(b"user 2"), None);
    drop(store);
    assert_whole(&folder.database());
}

#[test]
fn s14_deleted_messages_and_replaced_titles_leave_no_bytes() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    let (asked, _) = exchange(&store, user, ask_new("plain", "a"), "plain");
    let id = asked.conversation.id;
    let (second, _) =
        exchange(&store, user, ask_in(id, Position::AtLeaf, Some(&secret_text(300, 1))), "x");
    exchange(&store, user, ask_in(id, Position::AtLeaf, Some("y")), &secret_text(2000, 2));
    store.delete_message(user, id, second.message.unwrap().id).wait().unwrap();
    assert_no_secrets(&folder);

    let title = |title: &str| {
        let title = Some((title.to_owned(), TitleSource::Person));
        let change = ConversationChange { title, ..Default::default() };
        store.change_conversation(user, id, change).wait().unwrap();
    };
    title(SECRETS[0]);
    title("plain");
    store.delete_conversation(user, id).wait().unwrap();
    assert_no_secrets(&folder);
}

#[test]
fn s14_an_answer_that_is_being_written_can_be_deleted() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    let asked = store.ask(user, ask_new("q", "a")).wait().unwrap();
    let text = secret_text(3000, 1);
    for (n, piece) in text.as_bytes().chunks(500).enumerate() {
        let piece = growth(500 * n as u64, &String::from_utf8_lossy(piece));
        store.append_live(asked.answer.seq, piece).wait().unwrap();
    }
    store.save_progress(asked.answer.seq, growth(0, &text)).wait().unwrap();
    store.delete_conversation(user, asked.conversation.id).wait().unwrap();
    assert_no_secrets(&folder);
    // The engine has not halted yet.
    store.append_live(asked.answer.seq, growth(3000, &secret_text(500, 2))).wait().unwrap();
    assert_no_secrets(&folder);
    let late = store.save_progress(asked.answer.seq, growth(0, "late")).wait().unwrap_err();
    assert_eq!(late, crate::StoreError::UnknownMessage);
    let end = Ending::new(State::Stopped, Reason::Stopped);
    let late = store.finish_answer(asked.answer.seq, end).wait().unwrap_err();
    assert_eq!(late, crate::StoreError::UnknownMessage);
}

#[test]
fn s14_a_copy_from_before_a_migration_is_removed_with_what_is_deleted() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    let (asked, _) = exchange(&store, user, ask_new("q", "a"), "a");
    let copy = folder.path().join("banter.db.v0.bak");
    std::fs::write(&copy, SECRETS.join(" ")).unwrap();
    store.delete_conversation(user, asked.conversation.id).wait().unwrap();
    assert!(!copy.exists());
}
