//! Users, keys and sessions.

use super::support::*;
use crate::{SecretHash, StoreError, UserId};

#[test]
fn a_user_is_found_again_by_its_anchor() {
    let store = memory();
    let first = user(&store, 1);
    assert_eq!(user(&store, 1), first);
    assert_ne!(user(&store, 2), first);
    let found = store.find_user(SecretHash([1; 32])).wait().unwrap().unwrap();
    assert_eq!((found.id, found.name.as_str()), (first, "user 1"));
    assert_eq!(store.find_user(SecretHash([9; 32])).wait().unwrap(), None);
    assert_eq!(store.users().wait().unwrap().len(), 2);
}

#[test]
fn strangers_that_have_nothing_are_removed() {
    let store = memory();
    let (idle, busy) = (user(&store, 1), user(&store, 2));
    let operator = crate::NewUser {
        kind: crate::UserKind::Operator,
        anchor: SecretHash([3; 32]),
        name: "operator".into(),
    };
    let operator = store.ensure_user(operator).wait().unwrap().id;
    exchange(&store, busy, ask_new("q", "a"), "a");
    assert_eq!(store.remove_strangers().wait().unwrap(), 1);
    let left: Vec<UserId> = store.users().wait().unwrap().iter().map(|user| user.id).collect();
    assert_eq!(left, [busy, operator]);
    assert_ne!(user(&store, 1), idle, "numbers are never used again");
}

#[test]
fn a_revoked_key_is_not_found() {
    let store = memory();
    let owner = user(&store, 1);
    let hash = SecretHash([7; 32]);
    let key = store.add_key(owner, hash, "chat", "laptop").wait().unwrap();
    assert_eq!(store.find_key(hash).wait().unwrap(), Some(key));
    let again = store.add_key(owner, hash, "chat", "again").wait().unwrap_err();
    assert!(matches!(again, StoreError::Invalid { field: "key", .. }));
    store.revoke_key(hash).wait().unwrap();
    assert_eq!(store.find_key(hash).wait().unwrap(), None);
    assert!(store.keys().wait().unwrap()[0].revoked_ms.is_some());
    let unknown = store.revoke_key(SecretHash([8; 32])).wait().unwrap_err();
    assert_eq!(unknown, StoreError::UnknownKey);
    let nobody = store.add_key(UserId(99), hash, "chat", "x").wait().unwrap_err();
    assert_eq!(nobody, StoreError::UnknownUser);
}

#[test]
fn a_session_ends_at_its_time() {
    let store = memory();
    let owner = user(&store, 1);
    let hash = SecretHash([7; 32]);
    let session = store.add_session(owner, hash, "chat", 1000).wait().unwrap();
    let find = |now_ms| store.find_session(hash, now_ms).wait().unwrap();
    assert_eq!(find(session.until_ms - 1), Some(session.clone()));
    assert_eq!(find(session.until_ms), None);
    assert_eq!(store.remove_ended_sessions().wait().unwrap(), 0);
    store.end_session(hash).wait().unwrap();
    assert_eq!(find(session.created_ms), None);
    store.add_session(owner, hash, "chat", 0).wait().unwrap();
    assert_eq!(store.remove_ended_sessions().wait().unwrap(), 1);
}

#[test]
fn a_deleted_user_leaves_nothing() {
    let store = memory();
    let owner = user(&store, 1);
    let (asked, _) = exchange(&store, owner, ask_new("q", "a"), "a");
    store.add_key(owner, SecretHash([7; 32]), "chat", "x").wait().unwrap();
    let numbers = store.delete_user(owner).wait().unwrap();
    assert_eq!(numbers, [asked.conversation.number]);
    assert_eq!(store.find_key(SecretHash([7; 32])).wait().unwrap(), None);
    assert_eq!(store.delete_user(owner).wait().unwrap_err(), StoreError::UnknownUser);
    // A user's number is not used again.
    assert_ne!(user(&store, 1), owner);
}
