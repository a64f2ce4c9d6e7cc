//! A disk that is full or fails, and a log that must not grow.
//!
//! Not shown here: a real full file system and a real failing `fsync`. Mounting a small file system
//! needs root, and a file system of SQLite's that fails needs `unsafe`. Instead SQLite is given a
//! largest size, which makes the same result code at the same places of a statement, and the code
//! of a failed sync is put in at the commit.

use std::fs;

use rusqlite::ffi;

use super::support::*;
use crate::faults::{Action, Fault};
use crate::{Position, SearchQuery, Store, StoreError, UserId};

/// The file may not get larger than it is, plus this many pages; 0 for no limit.
fn limit_pages(store: &Store, more: i64) {
    let set = store.write(move |writing| {
        let read = |pragma| {
            writing.connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
        };
        let pages = if more == 0 { i64::from(u32::MAX - 1) } else { read("page_count")? + more };
        writing.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        Ok(())
    });
    set.wait().unwrap();
}

/// Asks with a text that needs many pages.
fn ask_much(store: &Store, user: UserId, client_id: &str) -> Result<crate::Asked, StoreError> {
    store.ask(user, ask_new(&"much text ".repeat(20_000), client_id)).wait()
}

#[test]
fn s4_a_full_disk_is_said_and_heals_when_space_returns() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    let (asked, _) = exchange(&store, user, ask_new("before", "a"), "it");
    limit_pages(&store, 10);
    for n in 0..3 {
        assert_eq!(ask_much(&store, user, &n.to_string()).unwrap_err(), StoreError::Full);
    }
    // Reading works, and so does what still fits.
    assert_eq!(texts(&store, user, asked.conversation.id), ["before", "it"]);
    let query = SearchQuery { text: "before".into(), limit: 5, ..Default::default() };
    assert_eq!(store.search(user, query).wait().unwrap().messages.len(), 1);
    let small = store.ask(user, ask_in(asked.conversation.id, Position::AtLeaf, Some("small")));
    let small = small.wait().unwrap();
    limit_pages(&store, 0);
    assert!(!ask_much(&store, user, "0").unwrap().duplicate);
    store.finish_answer(small.answer.seq, ending(0, "done")).wait().unwrap();
    drop(store);
    assert_whole(&folder.database());
    let store = folder.open();
    assert_eq!(texts(&store, user, asked.conversation.id), ["before", "it", "small", "done"]);
}

#[test]
fn s4_a_call_that_does_not_fit_does_not_harm_those_committed_with_it() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    limit_pages(&store, 10);
    let blocked = Blocked::begin(&store);
    let first = store.ask(user, ask_new("first", "a"));
    let much = store.ask(user, ask_new(&"much text ".repeat(20_000), "b"));
    let last = store.ask(user, ask_new("last", "c"));
    blocked.end();
    let first = first.wait().unwrap();
    assert_eq!(much.wait().unwrap_err(), StoreError::Full);
    let last = last.wait().unwrap();
    drop(store);
    let store = folder.open();
    assert_eq!(texts(&store, user, first.conversation.id), ["first", ""]);
    assert_eq!(texts(&store, user, last.conversation.id), ["last", ""]);
}

#[test]
fn s4_a_commit_that_finds_the_disk_full_is_tried_again_call_by_call() {
    let folder = TestFolder::new();
    let config = folder.config();
    let faults = config.faults.clone();
    let store = Store::open(config).unwrap();
    let user = user(&store, 1);
    let blocked = Blocked::begin(&store);
    let asks: Vec<_> = (0..5).map(|n| store.ask(user, ask_new("q", &n.to_string()))).collect();
    // The first commit is that of the call that blocks.
    faults.arm(Fault::BeforeCommit, Action::Fail(ffi::SQLITE_FULL), (1, 2));
    blocked.end();
    let results: Vec<_> = asks.into_iter().map(|ask| ask.wait()).collect();
    // The group failed, and then the first of its calls alone.
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
    assert_eq!(results[0], Err(StoreError::Full));
    assert_eq!(faults.left(), 0);
    let again = store.ask(user, ask_new("q", "0")).wait().unwrap();
    assert!(!again.duplicate);
}

#[test]
fn s5_a_failed_sync_is_never_acknowledged_and_the_database_is_opened_again() {
    for (fault, stored) in [(Fault::BeforeCommit, false), (Fault::AfterCommit, true)] {
        let folder = TestFolder::new();
        let config = folder.config();
        let faults = config.faults.clone();
        let store = Store::open(config).unwrap();
        let user = user(&store, 1);
        faults.arm(fault, Action::Fail(ffi::SQLITE_IOERR_FSYNC), (0, 1));
        let error = store.ask(user, ask_new("q", "a")).wait().unwrap_err();
        assert!(is_failed(&error), "{error}");
        // Whether it is stored is unknown to the caller, who repeats it with the same client id.
        let again = store.ask(user, ask_new("q", "a")).wait().unwrap();
        assert_eq!(again.duplicate, stored, "{fault:?}");
        assert_eq!(texts(&store, user, again.conversation.id), ["q", ""]);
        drop(store);
        assert_whole(&folder.database());
    }
}

#[test]
fn s5_a_disk_that_always_fails_acknowledges_nothing_until_it_works_again() {
    let folder = TestFolder::new();
    let config = folder.config();
    let faults = config.faults.clone();
    let store = Store::open(config).unwrap();
    let user = user(&store, 1);
    let (asked, _) = exchange(&store, user, ask_new("q", "a"), "a");
    faults.arm(Fault::BeforeCommit, Action::Fail(ffi::SQLITE_IOERR_FSYNC), (0, 3));
    faults.arm(Fault::Reopen, Action::Fail(ffi::SQLITE_IOERR), (2, 2));
    for _ in 0..5 {
        let position = Position::AtLeaf;
        let ask = ask_in(asked.conversation.id, position, Some("lost"));
        let error = store.ask(user, ask).wait().unwrap_err();
        assert!(is_failed(&error), "{error}");
        assert_eq!(texts(&store, user, asked.conversation.id), ["q", "a"]);
    }
    let ask = ask_in(asked.conversation.id, Position::AtLeaf, Some("kept"));
    store.ask(user, ask).wait().unwrap();
    assert_eq!(texts(&store, user, asked.conversation.id), ["q", "a", "kept", ""]);
    assert_eq!(faults.left(), 0);
}

#[test]
fn s5_a_database_that_is_damaged_when_it_is_opened_again_takes_nothing() {
    let folder = TestFolder::new();
    let config = folder.config();
    let faults = config.faults.clone();
    let store = Store::open(config).unwrap();
    let user = user(&store, 1);
    for n in 0..50 {
        exchange(&store, user, ask_new(&"text ".repeat(200), &n.to_string()), "a");
    }
    let emptied = store.write(|writing| {
        writing.erase([]);
        Ok(())
    });
    emptied.wait().unwrap();
    let mut content = fs::read(folder.database()).unwrap();
    let middle = content.len() / 2;
    content[middle..middle + 8192].fill(0x5a);
    fs::write(folder.database(), content).unwrap();
    faults.arm(Fault::BeforeCommit, Action::Fail(ffi::SQLITE_IOERR_FSYNC), (0, 1));
    assert!(is_failed(&store.remove_ended_sessions().wait().unwrap_err()));
    for _ in 0..2 {
        let error = store.remove_ended_sessions().wait().unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    }
}

fn log_bytes(folder: &TestFolder) -> u64 {
    fs::metadata(folder.path().join("banter.db-wal")).unwrap().len()
}

/// The log's limit, and what one group of calls may add to it.
const LOG_LIMIT: u64 = crate::schema::LOG_BYTES + (8 << 20);

struct StopWhenDropped<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn s9_the_log_stays_small_while_others_read_all_the_time() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    let (asked, _) = exchange(&store, user, ask_new("q", "a"), "a");
    let id = asked.conversation.id;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let largest = std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = store.tree(user, id).wait().unwrap();
                }
            });
        }
        // Also when an assertion fails.
        let _stop = StopWhenDropped(&stop);
        let mut largest = 0;
        // 64 MiB of text in all.
        for n in 0..128 {
            let text = "some text ".repeat(1 << 16);
            let text = &text[..512 << 10];
            store.ask(user, ask_new(text, &n.to_string())).wait().unwrap();
            largest = largest.max(log_bytes(&folder));
        }
        largest
    });
    assert!(largest <= LOG_LIMIT, "{largest} bytes");
}

#[test]
fn s9_the_log_shrinks_again_after_a_long_read() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    exchange(&store, user, ask_new("q", "a"), "a");
    // A program that reads the database and does not end.
    let reader = rusqlite::Connection::open(folder.database()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM messages").unwrap();
    let text = "x".repeat(1 << 20);
    for n in 0..20 {
        store.ask(user, ask_new(&text, &n.to_string())).wait().unwrap();
    }
    assert!(log_bytes(&folder) > LOG_LIMIT);
    reader.execute_batch("COMMIT").unwrap();
    // The next calls move the log's pages into the database and begin it anew.
    for n in 20..23 {
        store.ask(user, ask_new(&text, &n.to_string())).wait().unwrap();
    }
    assert!(log_bytes(&folder) <= LOG_LIMIT, "{} bytes", log_bytes(&folder));
}
