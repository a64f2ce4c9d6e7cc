//! Listing, changing and deleting.

use super::support::*;
use crate::{
    Archived, ConversationChange, ListCursor, ListQuery, NewConversation, Position, StoreError,
    TitleSource,
};

#[test]
fn the_list_has_pinned_ones_first_and_then_the_newest() {
    let store = memory();
    let user = user(&store, 1);
    let ids: Vec<_> = (0..7)
        .map(|n| exchange(&store, user, ask_new("q", &n.to_string()), "a").0.conversation.id)
        .collect();
    let change = |id, change| store.change_conversation(user, id, change).wait().unwrap();
    change(ids[1], ConversationChange { pinned: Some(true), ..Default::default() });
    change(ids[5], ConversationChange { archived: Some(true), ..Default::default() });
    // A new message brings its conversation to the front; a change of the title does not.
    exchange(&store, user, ask_in(ids[0], Position::AtLeaf, Some("again")), "a");
    let title = Some(("title".to_owned(), TitleSource::Person));
    change(ids[2], ConversationChange { title, ..Default::default() });

    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let query = ListQuery { after, limit: 2, archived: Archived::Without };
        let page = store.list_conversations(user, query).wait().unwrap();
        assert!(page.conversations.len() <= 2);
        listed.extend(page.conversations.into_iter().map(|conversation| conversation.id));
        match page.next {
            Some(next) => after = Some(next.to_string().parse::<ListCursor>().unwrap()),
            None => break,
        }
    }
    assert_eq!(listed, [ids[1], ids[0], ids[6], ids[4], ids[3], ids[2]]);
    let query = ListQuery { limit: 10, archived: Archived::Only, after: None };
    let page = store.list_conversations(user, query).wait().unwrap();
    assert_eq!(page.conversations.len(), 1);
    for text in ["", "x1", "p", "p-1", "n99999999999999", "中1"] {
        assert!(text.parse::<ListCursor>().is_err(), "{text}");
    }
}

#[test]
fn a_title_does_not_replace_one_from_a_better_source() {
    let store = memory();
    let user = user(&store, 1);
    let id = store.create_conversation(user, NewConversation::default()).wait().unwrap().id;
    let title = |title: &str, source| {
        let title = Some((title.to_owned(), source));
        let change = ConversationChange { title, ..Default::default() };
        store.change_conversation(user, id, change).wait().unwrap().title
    };
    assert_eq!(title("first words", TitleSource::FirstWords), "first words");
    assert_eq!(title("by the model", TitleSource::Model), "by the model");
    assert_eq!(title("first words", TitleSource::FirstWords), "by the model");
    assert_eq!(title("mine", TitleSource::Person), "mine");
    assert_eq!(title("by the model", TitleSource::Model), "mine");
    assert_eq!(title("mine again", TitleSource::Person), "mine again");
}

#[test]
fn the_system_prompt_and_parameters_can_be_set_and_removed() {
    let store = memory();
    let user = user(&store, 1);
    let parameters = serde_json::json!({"temperature": 0.7}).as_object().cloned();
    let new = NewConversation {
        system: Some("be kind".into()),
        parameters: parameters.clone(),
        title: None,
    };
    let made = store.create_conversation(user, new).wait().unwrap();
    assert_eq!((made.system.as_deref(), &made.parameters), (Some("be kind"), &parameters));
    let change =
        ConversationChange { system: Some(None), parameters: Some(None), ..Default::default() };
    let changed = store.change_conversation(user, made.id, change).wait().unwrap();
    assert_eq!((changed.system, changed.parameters), (None, None));
}

#[test]
fn another_branch_becomes_current_down_to_its_end() {
    let store = memory();
    let user = user(&store, 1);
    let (first, _) = exchange(&store, user, ask_new("q1", "a"), "a1");
    let id = first.conversation.id;
    let (second, _) = exchange(&store, user, ask_in(id, Position::AtLeaf, Some("q2")), "a2");
    exchange(&store, user, ask_in(id, Position::First, Some("other")), "b");
    let change = ConversationChange { leaf: Some(first.answer.id), ..Default::default() };
    let changed = store.change_conversation(user, id, change).wait().unwrap();
    assert_eq!(changed.leaf, Some(second.answer.id));
}

#[test]
fn a_deleted_message_takes_what_follows_it_along() {
    let store = memory();
    let user = user(&store, 1);
    let (first, _) = exchange(&store, user, ask_new("q1", "a"), "a1");
    let id = first.conversation.id;
    let (second, _) = exchange(&store, user, ask_in(id, Position::AtLeaf, Some("q2")), "a2");
    exchange(&store, user, ask_in(id, Position::AtLeaf, Some("q3")), "a3");
    let question = second.message.unwrap().id;
    let left = store.delete_message(user, id, question).wait().unwrap();
    assert_eq!(left.leaf, Some(first.answer.id));
    assert_eq!(texts(&store, user, id), ["q1", "a1"]);
    let left = store.delete_message(user, id, first.message.unwrap().id).wait().unwrap();
    assert_eq!(left.leaf, None);
    let error = store.delete_message(user, id, question).wait().unwrap_err();
    assert_eq!(error, StoreError::UnknownMessage);
}

#[test]
fn a_deep_conversation_can_be_read_and_deleted() {
    let store = memory();
    let user = user(&store, 1);
    let (first, mut answer) = exchange(&store, user, ask_new("q", "a"), "a");
    let id = first.conversation.id;
    for _ in 0..1500 {
        answer = exchange(&store, user, ask_in(id, Position::AtLeaf, Some("q")), "a").1;
    }
    assert_eq!(store.path(user, id, answer.id).wait().unwrap().len(), 3002);
    let number = store.delete_conversation(user, id).wait().unwrap();
    assert_eq!(number, first.conversation.number);
    let gone = store.conversation(user, id).wait().unwrap_err();
    assert_eq!(gone, StoreError::UnknownConversation);
    // Its number is not used again.
    let next = store.create_conversation(user, NewConversation::default()).wait().unwrap();
    assert!(next.number > number);
}

#[test]
fn pages_of_messages_respect_their_limits() {
    let mut config = crate::StoreConfig::new(crate::Place::Memory);
    config.limits.page_bytes = 10;
    config.limits.page_rows = 3;
    let store = crate::Store::open(config).unwrap();
    let user = user(&store, 1);
    let (first, _) = exchange(&store, user, ask_new("0123456789abcdef", "a"), "1");
    let id = first.conversation.id;
    for _ in 0..4 {
        exchange(&store, user, ask_in(id, Position::AtLeaf, Some("2")), "3");
    }
    let mut sizes = Vec::new();
    let mut after = None;
    loop {
        let page = store.messages_after(user, id, after).wait().unwrap();
        after = page.messages.last().map(|message| message.seq);
        sizes.push(page.messages.len());
        if !page.more {
            break;
        }
    }
    assert_eq!(sizes, [1, 3, 3, 3]);
}

#[test]
fn another_users_conversation_is_unknown() {
    let store = memory();
    let (mine, other) = (user(&store, 1), user(&store, 2));
    let (asked, _) = exchange(&store, mine, ask_new("q", "a"), "a");
    let id = asked.conversation.id;
    let unknown = StoreError::UnknownConversation;
    assert_eq!(store.tree(other, id).wait().unwrap_err(), unknown);
    assert_eq!(store.messages_after(other, id, None).wait().unwrap_err(), unknown);
    assert_eq!(store.delete_conversation(other, id).wait().unwrap_err(), unknown);
    let change = ConversationChange::default();
    assert_eq!(store.change_conversation(other, id, change).wait().unwrap_err(), unknown);
    let answer = asked.answer.id;
    assert_eq!(store.find_answer(other, answer).wait().unwrap_err(), StoreError::UnknownMessage);
    assert_eq!(store.find_answer(mine, answer).wait().unwrap().1.text, "a");
}
