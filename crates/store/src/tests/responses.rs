//! Responses that are kept.

use super::support::*;
use crate::{KeptResponse, StoreError, UserId};

fn kept(id: &str, text: &str) -> KeptResponse {
    KeptResponse {
        id: id.into(),
        response: format!("{{\"said\": \"{text}\"}}"),
        items: format!("[\"{text}\"]"),
    }
}

#[test]
fn a_response_is_found_by_its_user_alone_also_after_a_restart() {
    let folder = TestFolder::new();
    let store = folder.open();
    let (anna, ben) = (user(&store, 1), user(&store, 2));
    store.keep_response(anna, kept("resp_1", "first")).wait().unwrap();
    assert_eq!(store.response(ben, "resp_1").wait().unwrap(), None);
    assert!(!store.delete_response(ben, "resp_1").wait().unwrap());
    store.keep_response(ben, kept("resp_1", "taken")).wait().unwrap();
    drop(store);
    let store = folder.open();
    assert_eq!(store.response(anna, "resp_1").wait().unwrap(), Some(kept("resp_1", "first")));
    store.keep_response(anna, kept("resp_1", "second")).wait().unwrap();
    assert_eq!(store.response(anna, "resp_1").wait().unwrap(), Some(kept("resp_1", "second")));
    let nobody = store.keep_response(UserId::NOBODY, kept("resp_2", "x")).wait();
    assert_eq!(nobody, Err(StoreError::UnknownUser));
}

#[test]
fn a_deleted_response_leaves_no_bytes() {
    let folder = TestFolder::new();
    let store = folder.open();
    let anna = user(&store, 1);
    let secret = "a secret that nobody finds";
    store.keep_response(anna, kept("resp_1", secret)).wait().unwrap();
    assert!(folder.has_bytes(secret.as_bytes()).is_some());
    assert!(store.delete_response(anna, "resp_1").wait().unwrap());
    assert!(!store.delete_response(anna, "resp_1").wait().unwrap());
    assert!(folder.has_bytes(secret.as_bytes()).is_none());
    store.keep_response(anna, kept("resp_2", secret)).wait().unwrap();
    store.delete_user(anna).wait().unwrap();
    assert!(folder.has_bytes(secret.as_bytes()).is_none());
}

#[test]
fn the_oldest_of_too_many_go() {
    let folder = TestFolder::new();
    let store = folder.open();
    let (anna, ben) = (user(&store, 1), user(&store, 2));
    store.keep_response(ben, kept("resp_ben", "x")).wait().unwrap();
    for index in 0..1_002 {
        drop(store.keep_response(anna, kept(&format!("resp_{index}"), "x")));
    }
    let is_there = |user, id: &str| store.response(user, id).wait().unwrap().is_some();
    store.keep_response(anna, kept("resp_last", "x")).wait().unwrap();
    assert!(!is_there(anna, "resp_0") && !is_there(anna, "resp_2"));
    assert!(is_there(anna, "resp_3") && is_there(anna, "resp_last") && is_there(ben, "resp_ben"));
}
