//! Deleting a user's message with its answers, while what follows them stays.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rusqlite::ffi;

use super::support::*;
use crate::exchange::{ImportLimits, ImportedConversation, ImportedMessage, export_json, import};
use crate::faults::{Action, Fault};
use crate::{
    ConversationChange, ConversationId, DeletedPair, Message, MessageId, Position, Role,
    SearchQuery, Store, StoreError, UserId,
};

/// A conversation with these messages, each after the one with the text that stands beside it.
/// Questions have the letter `q` and answers `a`. The branch of the last one is current.
struct Told {
    store: Store,
    user: UserId,
    id: ConversationId,
}

impl Told {
    fn new(store: Store, messages: &[(&str, Option<&str>)]) -> Told {
        let user = user(&store, 1);
        let place = |text: &str| messages.iter().position(|(other, _)| *other == text).unwrap();
        let message = |(text, parent): &(&str, Option<&str>)| {
            let role = if text.starts_with('q') { Role::User } else { Role::Assistant };
            let message = ImportedMessage::new("", role, (*text).to_owned());
            ImportedMessage { parent: parent.map(place), ..message }
        };
        let imported = ImportedConversation {
            messages: messages.iter().map(message).collect(),
            leaf: messages.len().checked_sub(1),
            ..ImportedConversation::default()
        };
        let id = store.import_conversation(user, imported).wait().unwrap().id;
        Told { store, user, id }
    }

    fn messages(&self) -> Vec<Message> {
        self.store.tree(self.user, self.id).wait().unwrap().messages
    }

    fn named(&self, text: &str) -> MessageId {
        self.messages().into_iter().find(|message| message.text == text).unwrap().id
    }

    fn delete(&self, text: &str) -> Result<DeletedPair, StoreError> {
        self.store.delete_pair(self.user, self.id, self.named(text)).wait()
    }

    /// Each message and the one before it, by their texts.
    fn shape(&self) -> Vec<(String, Option<String>)> {
        let messages = self.messages();
        let texts: HashMap<_, _> = messages.iter().map(|one| (one.id, one.text.clone())).collect();
        let parent = |one: &Message| one.parent.map(|parent| texts[&parent].clone());
        messages.iter().map(|one| (one.text.clone(), parent(one))).collect()
    }

    fn leaf(&self) -> Option<String> {
        let leaf = self.store.conversation(self.user, self.id).wait().unwrap().leaf;
        let messages = self.messages();
        leaf.map(|leaf| messages.into_iter().find(|one| one.id == leaf).unwrap().text)
    }

    fn make_current(&self, text: &str) {
        let change = ConversationChange { leaf: Some(self.named(text)), ..Default::default() };
        self.store.change_conversation(self.user, self.id, change).wait().unwrap();
    }

    fn found(&self, text: &str) -> usize {
        let query = SearchQuery { text: text.into(), limit: 50, ..SearchQuery::default() };
        self.store.search(self.user, query).wait().unwrap().messages.len()
    }
}

fn owned(shape: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    shape.iter().map(|(text, parent)| ((*text).to_owned(), parent.map(str::to_owned))).collect()
}

/// The second question has two answers, which two branches and one follow, and another version.
const BRANCHED: &[(&str, Option<&str>)] = &[
    ("q1", None),
    ("a1", Some("q1")),
    ("q2", Some("a1")),
    ("a2", Some("q2")),
    ("q3", Some("a2")),
    ("a3", Some("q3")),
    ("q3 edited", Some("a2")),
    ("a3 edited", Some("q3 edited")),
    ("a2 again", Some("q2")),
    ("q4", Some("a2 again")),
    ("a4", Some("q4")),
    ("q2 edited", Some("a1")),
    ("a2 edited", Some("q2 edited")),
];

#[test]
fn a_deleted_pair_takes_all_its_answers_and_what_followed_them_follows_its_parent() {
    let told = Told::new(memory(), BRANCHED);
    told.make_current("a3");
    let before = told.messages();
    let gone = ["q2", "a2", "a2 again"].map(|text| told.named(text));
    let deleted = told.delete("q2").unwrap();
    assert_eq!((&deleted.messages[..], deleted.parent), (&gone[..], Some(told.named("a1"))));
    assert_eq!(deleted.conversation.messages, 10);
    let expected = owned(&[
        ("q1", None),
        ("a1", Some("q1")),
        ("q3", Some("a1")),
        ("a3", Some("q3")),
        ("q3 edited", Some("a1")),
        ("a3 edited", Some("q3 edited")),
        ("q4", Some("a1")),
        ("a4", Some("q4")),
        ("q2 edited", Some("a1")),
        ("a2 edited", Some("q2 edited")),
    ]);
    assert_eq!(told.shape(), expected);
    assert_eq!(told.leaf().as_deref(), Some("a3"));
    // Only parents have changed: ids and order are the same.
    let order = |messages: &[Message]| -> Vec<_> {
        let kept = messages.iter().filter(|message| !gone.contains(&message.id));
        kept.map(|message| (message.seq, message.id)).collect()
    };
    assert_eq!(order(&before), order(&told.messages()));
    // What the model is told of the branch, and another message in it.
    let path = told.store.path(told.user, told.id, told.named("a3")).wait().unwrap();
    assert_eq!(path.iter().map(|one| &*one.text).collect::<Vec<_>>(), ["q1", "a1", "q3", "a3"]);
    let ask = ask_in(told.id, Position::After(told.named("a4")), Some("q5"));
    let (_, answer) = exchange(&told.store, told.user, ask, "a5");
    let path = told.store.path(told.user, told.id, answer.id).wait().unwrap();
    assert_eq!(path.len(), 6);
}

#[test]
fn what_followed_a_first_pair_begins_the_conversation() {
    let told = Told::new(memory(), BRANCHED);
    let deleted = told.delete("q1").unwrap();
    assert_eq!(deleted.parent, None);
    let shape = told.shape();
    let first: Vec<_> = shape.iter().filter(|(_, parent)| parent.is_none()).collect();
    assert_eq!(first.iter().map(|(text, _)| &**text).collect::<Vec<_>>(), ["q2", "q2 edited"]);
    // To the last one.
    for text in ["q2", "q2 edited", "q3", "q3 edited"] {
        told.delete(text).unwrap();
    }
    assert_eq!(told.shape(), owned(&[("q4", None), ("a4", Some("q4"))]));
    assert_eq!(told.delete("q4").unwrap().conversation.leaf, None);
    assert_eq!(told.messages(), []);
}

#[test]
fn the_current_branch_ends_where_it_did_or_at_the_newest_message_beside_or_before() {
    struct Case {
        current: &'static str,
        deleted: &'static str,
        leaf: &'static str,
    }
    const LINE: &[(&str, Option<&str>)] =
        &[("q1", None), ("a1", Some("q1")), ("q2", Some("a1")), ("a2", Some("q2"))];
    const TWO_ANSWERS: &[(&str, Option<&str>)] = &[
        ("q1", None),
        ("a1", Some("q1")),
        ("q2", Some("a1")),
        ("a2", Some("q2")),
        ("a1 again", Some("q1")),
    ];
    for (messages, cases) in [
        (
            LINE,
            &[
                Case { current: "a2", deleted: "q1", leaf: "a2" },
                Case { current: "a2", deleted: "q2", leaf: "a1" },
            ][..],
        ),
        // The branch of the other answer is left.
        (TWO_ANSWERS, &[Case { current: "a1 again", deleted: "q1", leaf: "a2" }]),
        (
            BRANCHED,
            &[
                Case { current: "a4", deleted: "q2", leaf: "a4" },
                Case { current: "a4", deleted: "q4", leaf: "a2 again" },
                Case { current: "a3", deleted: "q3", leaf: "a3 edited" },
                Case { current: "a2 edited", deleted: "q2 edited", leaf: "a4" },
            ],
        ),
    ] {
        for Case { current, deleted, leaf } in cases {
            let told = Told::new(memory(), messages);
            told.make_current(current);
            told.delete(deleted).unwrap();
            assert_eq!(told.leaf().as_deref(), Some(*leaf), "{current}, without {deleted}");
        }
    }
}

#[test]
fn an_answer_of_several_messages_goes_with_its_question() {
    let messages = &[
        ("q1", None),
        ("a1 looks something up", Some("q1")),
        ("a1 says it", Some("a1 looks something up")),
        ("q2", Some("a1 says it")),
    ];
    let told = Told::new(memory(), messages);
    assert_eq!(told.delete("q1").unwrap().messages.len(), 3);
    assert_eq!(told.shape(), owned(&[("q2", None)]));
}

#[test]
fn only_a_users_message_of_the_users_own_is_a_pair() {
    let told = Told::new(memory(), BRANCHED);
    let before = told.messages();
    let pair = |user, id, message| told.store.delete_pair(user, id, message).wait().unwrap_err();
    let question = told.named("q2");
    assert_eq!(told.delete("a2").unwrap_err(), StoreError::NotAUserMessage);
    let unknown = MessageId::random();
    assert_eq!(pair(told.user, told.id, unknown), StoreError::UnknownMessage);
    let other = user(&told.store, 2);
    assert_eq!(pair(other, told.id, question), StoreError::UnknownConversation);
    let elsewhere = exchange(&told.store, told.user, ask_new("q", "x"), "a").0.conversation.id;
    assert_eq!(pair(told.user, elsewhere, question), StoreError::UnknownMessage);
    assert_eq!(told.messages(), before);
}

#[test]
fn requests_of_a_deleted_pair_are_forgotten_and_those_of_what_follows_are_not() {
    let store = memory();
    let user = user(&store, 1);
    let named =
        |ask: crate::Ask, client_id: &str| crate::Ask { client_id: client_id.into(), ..ask };
    let (first, _) = exchange(&store, user, ask_new("q1", "first"), "a1");
    let id = first.conversation.id;
    let again = ask_in(id, Position::Beside(first.answer.id), None);
    let (again, _) = exchange(&store, user, named(again, "again"), "a1 again");
    let after = |text| ask_in(id, Position::After(again.answer.id), Some(text));
    let (second, _) = exchange(&store, user, named(after("q2"), "second"), "a2");
    store.delete_pair(user, id, first.message.unwrap().id).wait().unwrap();
    let repeated = store.ask(user, named(after("q2"), "second")).wait().unwrap();
    assert!(repeated.duplicate);
    assert_eq!(repeated.answer.id, second.answer.id);
    assert_eq!(repeated.message.unwrap().parent, None);
    let lost = ask_in(id, Position::Beside(first.answer.id), None);
    let lost = store.ask(user, named(lost, "again")).wait().unwrap_err();
    assert_eq!(lost, StoreError::UnknownMessage);
    assert!(!store.ask(user, ask_new("q1", "first")).wait().unwrap().duplicate);
}

#[test]
fn nothing_of_a_deleted_pair_is_found_or_left_in_a_file() {
    let folder = TestFolder::new();
    let messages = &[
        ("q1 wombat", None),
        ("a1 wombat", Some("q1 wombat")),
        ("q2 xylophonezebra", Some("a1 wombat")),
        ("a2 秘密花园", Some("q2 xylophonezebra")),
        ("q3 wombat", Some("a2 秘密花园")),
        ("a2 geheimnis", Some("q2 xylophonezebra")),
    ];
    let told = Told::new(folder.open(), messages);
    let words = ["xylophonezebra", "秘密花园", "geheimnis"];
    assert_eq!(words.map(|word| told.found(word)), [1, 1, 1]);
    told.delete("q2 xylophonezebra").unwrap();
    assert_eq!(words.map(|word| told.found(word)), [0, 0, 0]);
    assert_eq!(told.found("wombat"), 3);
    for word in words {
        assert_eq!(folder.has_bytes(word.as_bytes()), None, "{word}");
    }
    // What is left can be taken elsewhere.
    let tree = told.store.tree(told.user, told.id).wait().unwrap();
    let file = export_json(&[tree], 0);
    let imported = import(file.as_bytes(), &ImportLimits::default()).unwrap().conversations;
    let parents: Vec<_> = imported[0].messages.iter().map(|message| message.parent).collect();
    assert_eq!(parents, [None, Some(0), Some(1)]);
    let shape = told.shape();
    drop(told);
    assert_whole(&folder.database());
    let (store, id) = (folder.open(), tree_id(&folder));
    let user = user(&store, 1);
    assert_eq!(Told { store, user, id }.shape(), shape);
}

/// The only conversation of a folder that nobody has open.
fn tree_id(folder: &TestFolder) -> ConversationId {
    let connection = rusqlite::Connection::open(folder.database()).unwrap();
    connection.query_row("SELECT id FROM conversations", [], |row| row.get(0)).unwrap()
}

#[test]
fn an_answer_of_a_deleted_pair_that_is_still_being_written_leaves_nothing() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    let (first, _) = exchange(&store, user, ask_new("q1", "1"), "a1");
    let id = first.conversation.id;
    let running = store.ask(user, ask_in(id, Position::AtLeaf, Some("q2"))).wait().unwrap();
    store.append_live(running.answer.seq, growth(0, "xylophonezebra")).wait().unwrap();
    let deleted = store.delete_pair(user, id, running.message.unwrap().id).wait().unwrap();
    assert_eq!(deleted.conversation.leaf, Some(first.answer.id));
    // The engine has not halted yet.
    store.append_live(running.answer.seq, growth(14, "xylophonezebra")).wait().unwrap();
    assert_eq!(folder.has_bytes(b"xylophonezebra"), None);
    let late = store.finish_answer(running.answer.seq, ending(0, "late")).wait().unwrap_err();
    assert_eq!(late, StoreError::UnknownMessage);
}

#[test]
fn a_deletion_of_a_pair_that_fails_has_happened_wholly_or_not_at_all() {
    for (fault, happened) in [(Fault::BeforeCommit, false), (Fault::AfterCommit, true)] {
        let folder = TestFolder::new();
        let config = folder.config();
        let faults = config.faults.clone();
        let told = Told::new(Store::open(config).unwrap(), BRANCHED);
        let before = told.shape();
        faults.arm(fault, Action::Fail(ffi::SQLITE_IOERR_FSYNC), (0, 1));
        let error = told.delete("q2").unwrap_err();
        assert!(is_failed(&error), "{error}");
        if !happened {
            assert_eq!(told.shape(), before);
            told.delete("q2").unwrap();
        }
        assert_eq!(told.shape().len(), before.len() - 3, "{fault:?}");
        assert_eq!(told.leaf().as_deref(), Some("a2 edited"));
        drop(told);
        assert_whole(&folder.database());
    }
}

/// Messages, each after an older one or none, whatever their roles are. Their texts are numbers.
fn any_tree() -> impl Strategy<Value = Vec<(Option<usize>, Role)>> {
    let role = prop_oneof![Just(Role::User), Just(Role::Assistant)];
    vec((option::weighted(0.9, any::<prop::sample::Index>()), role), 1..30).prop_map(|messages| {
        let parent = |place: usize, index: Option<prop::sample::Index>| {
            index.filter(|_| place > 0).map(|index| index.index(place))
        };
        messages
            .into_iter()
            .enumerate()
            .map(|(place, (index, role))| (parent(place, index), role))
            .collect()
    })
}

/// What a deletion is to leave of a tree: the messages with their parents.
fn left_of(
    tree: &[(Option<usize>, Role)],
    pair: usize,
) -> (Vec<usize>, HashMap<usize, Option<usize>>) {
    let mut gone = vec![pair];
    for (place, (parent, role)) in tree.iter().enumerate() {
        if *role == Role::Assistant && parent.is_some_and(|parent| gone.contains(&parent)) {
            gone.push(place);
        }
    }
    let kept = (0..tree.len()).filter(|place| !gone.contains(place));
    let parent = |place: usize| match tree[place].0 {
        Some(parent) if gone.contains(&parent) => tree[pair].0,
        parent => parent,
    };
    let left = kept.map(|place| (place, parent(place))).collect();
    (gone, left)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_pair_of_any_tree_can_be_deleted(tree in any_tree(), chosen: prop::sample::Index) {
        let texts: Vec<String> = (0..tree.len()).map(|place| format!("n{place}n")).collect();
        let store = memory();
        let user = user(&store, 1);
        let message = |(place, (parent, role)): (usize, &(Option<usize>, Role))| {
            let message = ImportedMessage::new("", *role, texts[place].clone());
            ImportedMessage { parent: *parent, ..message }
        };
        let messages = tree.iter().enumerate().map(message).collect();
        let leaf = Some(tree.len() - 1);
        let imported = ImportedConversation { messages, leaf, ..Default::default() };
        let id = store.import_conversation(user, imported).wait().unwrap().id;
        let told = Told { store, user, id };
        let pair = chosen.index(tree.len());
        let deleted = told.delete(&texts[pair]);
        if tree[pair].1 == Role::Assistant {
            prop_assert_eq!(deleted.unwrap_err(), StoreError::NotAUserMessage);
            prop_assert_eq!(told.messages().len(), tree.len());
            return Ok(());
        }
        let (gone, left) = left_of(&tree, pair);
        prop_assert_eq!(deleted.unwrap().messages.len(), gone.len());
        let shape = told.shape();
        prop_assert_eq!(shape.len(), left.len());
        for (text, parent) in shape {
            let place = texts.iter().position(|other| *other == text).unwrap();
            prop_assert_eq!(parent, left[&place].map(|parent| texts[parent].clone()));
        }
        for (place, text) in texts.iter().enumerate() {
            prop_assert_eq!(told.found(text), usize::from(left.contains_key(&place)), "{}", text);
        }
        let last = tree.len() - 1;
        match told.leaf() {
            Some(leaf) if left.contains_key(&last) => prop_assert_eq!(&leaf, &texts[last]),
            Some(_) => {}
            None => prop_assert!(left.is_empty()),
        }
    }
}
