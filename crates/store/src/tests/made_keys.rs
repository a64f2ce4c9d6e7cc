//! Keys that were made by command, also while a server uses the folder.

use super::support::*;
use crate::{KeyError, KeyRing, KeyTerms, KeyUsage, OpenError, SecretHash};

fn terms(scope: &str) -> KeyTerms {
    KeyTerms { scope: scope.into(), ..KeyTerms::default() }
}

#[test]
fn a_server_sees_what_another_process_writes_and_the_other_way() {
    let folder = TestFolder::new();
    let store = folder.open();
    let ring = KeyRing::open(&folder.path()).unwrap();
    let wanted = KeyTerms {
        origins: vec!["https://a.example".into(), "https://b.example".into()],
        until_ms: Some(9_000_000_000_000),
        requests_per_minute: Some(60),
        tokens_per_minute: Some(1_000_000),
        answers_at_once: Some(2),
        system: Some("You help with the wiki.".into()),
        ..terms("embed")
    };
    ring.add("wiki", SecretHash([1; 32]), &wanted).unwrap();
    ring.add("anna", SecretHash([2; 32]), &terms("chat")).unwrap();
    let keys = store.made_keys().wait().unwrap();
    let names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!((names, &keys[1].terms), (vec!["anna", "wiki"], &wanted));
    let used = KeyUsage { requests: 1, prompt_tokens: 20, answer_tokens: 3 };
    store.count_key_usage(vec![(SecretHash([1; 32]), used)]).wait().unwrap();
    store.count_key_usage(vec![(SecretHash([1; 32]), used)]).wait().unwrap();
    let seen = &ring.list().unwrap()[1];
    assert_eq!(seen.usage, KeyUsage { requests: 2, prompt_tokens: 40, answer_tokens: 6 });
    assert!(seen.used_ms.is_some() && seen.revoked_ms.is_none());
    ring.revoke("wiki").unwrap();
    assert!(store.made_keys().wait().unwrap()[1].revoked_ms.is_some());
}

#[test]
fn a_folder_without_a_store_gets_one_and_a_server_opens_it_afterwards() {
    let folder = TestFolder::new();
    let ring = KeyRing::open(&folder.path()).unwrap();
    ring.add("anna", SecretHash([2; 32]), &terms("chat")).unwrap();
    // Both ways of ending: the ring goes first, and the store does.
    let store = folder.open();
    assert_eq!(store.made_keys().wait().unwrap().len(), 1);
    drop(ring);
    drop(store);
    let ring = KeyRing::open(&folder.path()).unwrap();
    let store = folder.open();
    drop(store);
    ring.revoke("anna").unwrap();
    drop(ring);
    assert!(folder.open().made_keys().wait().unwrap()[0].revoked_ms.is_some());
    assert_whole(&folder.database());
}

#[test]
fn names_are_taken_until_their_key_is_revoked() {
    let folder = TestFolder::new();
    let ring = KeyRing::open(&folder.path()).unwrap();
    let add = |hash| ring.add("anna", SecretHash([hash; 32]), &terms("chat"));
    add(1).unwrap();
    assert!(matches!(add(2), Err(KeyError::NameTaken(name)) if name == "anna"));
    assert!(matches!(ring.revoke("ben"), Err(KeyError::Unknown(name)) if name == "ben"));
    ring.revoke("anna").unwrap();
    assert!(matches!(ring.revoke("anna"), Err(KeyError::Unknown(_))), "it is revoked already");
    add(2).unwrap();
    assert_eq!(ring.list().unwrap().len(), 1);
}

#[test]
fn the_keys_of_another_version_are_left_alone() {
    let folder = TestFolder::new();
    let _store = folder.open();
    let connection = rusqlite::Connection::open(folder.database()).unwrap();
    let error_at = |version: u32| {
        connection.pragma_update(None, "user_version", version).unwrap();
        KeyRing::open(&folder.path()).err().unwrap()
    };
    assert!(matches!(error_at(9), OpenError::NewerSchema { found: 9, .. }));
    assert!(matches!(error_at(2), OpenError::Locked { .. }), "an older server uses it");
}
