//! Folders and files that can't be used, and files that were changed behind the store's back.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use super::support::*;
use crate::{OpenError, Place, Store, StoreConfig, StoreError, set_aside};

fn open_error(folder: &TestFolder) -> OpenError {
    match Store::open(folder.config()) {
        Ok(_) => panic!("the store was opened"),
        Err(error) => error,
    }
}

#[test]
fn s6_a_second_store_in_the_same_folder_is_refused() {
    let folder = TestFolder::new();
    let store = folder.open();
    let error = open_error(&folder);
    let us = std::process::id();
    assert!(matches!(error, OpenError::Locked { process: Some(process), .. } if process == us));
    let message = error.to_string();
    assert!(message.contains(&folder.path().display().to_string()), "{message}");
    assert!(message.contains("choose another folder"), "{message}");
    assert!(matches!(set_aside(&folder.path()), Err(OpenError::Locked { .. })));
    drop(store);
    folder.open();
}

#[test]
fn s6_folders_and_files_that_are_something_else_are_refused() {
    let folder = TestFolder::new();
    let config = StoreConfig::new(Place::Folder(folder.path().join("deep/deeper")));
    assert!(matches!(Store::open(config), Err(OpenError::MissingParent { .. })));

    fs::write(folder.path(), "a file").unwrap();
    assert!(matches!(open_error(&folder), OpenError::NotAFolder { .. }));
    let config = StoreConfig::new(Place::Folder(folder.path().join("inside")));
    assert!(matches!(Store::open(config), Err(OpenError::NotAFolder { .. })));
    fs::remove_file(folder.path()).unwrap();

    fs::create_dir_all(folder.database()).unwrap();
    assert!(matches!(open_error(&folder), OpenError::NotAFile { .. }));
    fs::remove_dir(folder.database()).unwrap();
    std::os::unix::fs::symlink("/etc/hosts", folder.database()).unwrap();
    assert!(matches!(open_error(&folder), OpenError::NotAFile { .. }));
}

#[test]
fn s6_a_folder_of_somebody_else_is_refused_and_left_as_it_is() {
    let folder = TestFolder::new();
    fs::create_dir(folder.path()).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.path().join(".hidden"), "").unwrap();
    fs::write(folder.path().join("letters"), "not ours").unwrap();
    let error = open_error(&folder);
    assert!(matches!(&error, OpenError::Occupied { found, .. } if found == "letters"), "{error}");
    assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o755);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    assert!(matches!(set_aside(&folder.path()), Err(OpenError::NoStore { .. })));
    fs::remove_file(folder.path().join("letters")).unwrap();
    folder.open();
    assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn s7_a_database_that_is_gone_or_empty_is_not_made_anew() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    exchange(&store, user, ask_new("q", "a"), "a");
    drop(store);
    fs::write(folder.database(), "").unwrap();
    assert!(matches!(
        open_error(&folder),
        OpenError::DatabaseMissing { found: "an empty file", .. }
    ));
    fs::remove_file(folder.database()).unwrap();
    let error = open_error(&folder);
    assert!(matches!(error, OpenError::DatabaseMissing { found: "nothing", .. }), "{error}");
    assert!(!folder.database().exists());
    set_aside(&folder.path()).unwrap();
    folder.open();
}

#[test]
fn s7_a_damaged_page_is_found_after_a_clean_end_too() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    exchange(&store, user, ask_new("q", "a"), "a");
    drop(store);
    let mut file = File::options().write(true).open(folder.database()).unwrap();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&[0x5a; 4096]).unwrap();
    assert!(matches!(open_error(&folder), OpenError::Damaged { .. }));
}

#[test]
fn s15_a_damaged_database_is_not_taken_for_a_backup() {
    let folder = TestFolder::new();
    let target = tempfile::tempdir().unwrap();
    let store = folder.open();
    let user = user(&store, 1);
    for n in 0..50 {
        exchange(&store, user, ask_new(&"x".repeat(5000), &format!("{n}")), "a");
    }
    drop(store);
    let store = folder.open();
    // While it is open: its start has found nothing.
    let mut file = File::options().write(true).open(folder.database()).unwrap();
    let middle = fs::metadata(folder.database()).unwrap().len() / 2 / 4096 * 4096;
    file.seek(SeekFrom::Start(middle)).unwrap();
    file.write_all(&[0x5a; 4096]).unwrap();
    let path = target.path().join("copy.db");
    let error = store.backup_to(&path).wait().unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
}

#[test]
fn s6_files_are_private() {
    let folder = TestFolder::new();
    fs::create_dir(folder.path()).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.database(), "").unwrap();
    fs::set_permissions(folder.database(), fs::Permissions::from_mode(0o644)).unwrap();
    let store = folder.open();
    let user = user(&store, 1);
    exchange(&store, user, ask_new("q", "a"), "a");
    assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o700);
    let files = files(&folder.path());
    let names: Vec<_> =
        files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    for name in
        ["banter.db", "banter.db-wal", "banter.db-shm", "live.db", "live.db-wal", "banter.lock"]
    {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    for file in files {
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600, "{}", file.display());
    }
    let backup = folder.path().join("copy.db");
    store.backup_to(&backup).wait().unwrap();
    assert_eq!(fs::metadata(&backup).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn s6_another_users_folder_is_refused() {
    if !rustix::process::geteuid().is_root() {
        // Only root can make a folder that belongs to somebody else.
        return;
    }
    let folder = TestFolder::new();
    drop(folder.open());
    let parent = folder.path().parent().unwrap().to_owned();
    fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).unwrap();
    // The test's binary may lie where nobody else can read it.
    let program = folder.path().parent().unwrap().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let output = std::os::unix::process::CommandExt::uid(
        Command::new(program)
            .args(["tests::files::child_says_why_it_can_not_open", "--exact", "--nocapture"])
            .env(CHILD_FOLDER, folder.path())
            .current_dir("/"),
        65534,
    )
    .output()
    .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("belongs to user 0, and banter runs as user 65534"), "{said}");
}

const CHILD_FOLDER: &str = "BANTER_TEST_OPEN";

#[test]
fn child_says_why_it_can_not_open() {
    let Some(path) = std::env::var_os(CHILD_FOLDER) else { return };
    match Store::open(StoreConfig::new(Place::Folder(path.into()))) {
        Ok(_) => println!("it was opened"),
        Err(error) => println!("{error}"),
    }
}

#[test]
fn s7_a_foreign_file_is_refused_and_left_as_it_is() {
    let folder = TestFolder::new();
    fs::create_dir(folder.path()).unwrap();
    let text = "this is not a database at all, but a longer text ".repeat(100);
    fs::write(folder.database(), &text).unwrap();
    assert!(matches!(open_error(&folder), OpenError::Foreign { .. }));
    assert_eq!(fs::read_to_string(folder.database()).unwrap(), text);

    fs::remove_file(folder.database()).unwrap();
    let foreign = rusqlite::Connection::open(folder.database()).unwrap();
    foreign.execute_batch("CREATE TABLE t (x); PRAGMA application_id = 77").unwrap();
    drop(foreign);
    let before = fs::read(folder.database()).unwrap();
    let error = open_error(&folder);
    assert!(matches!(&error, OpenError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("0x4d"), "{error}");
    assert_eq!(fs::read(folder.database()).unwrap(), before);
}

/// A store with some conversations, closed.
fn filled() -> (TestFolder, crate::UserId) {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    for n in 0..60 {
        let text = format!("{n} {}", "some words 中文 ".repeat(50));
        exchange(&store, user, ask_new(&text, &n.to_string()), &text);
    }
    drop(store);
    (folder, user)
}

/// As if the process had been killed: the store is open, and nobody uses the folder.
fn mark_unclean(folder: &TestFolder) {
    fs::write(folder.path().join("banter.open"), "opening or closing\n").unwrap();
}

/// Reads everything. Damage is an error, never a panic.
fn read_all(store: &Store, user: crate::UserId) -> Result<usize, StoreError> {
    let query = crate::ListQuery { limit: 100, ..Default::default() };
    let page = store.list_conversations(user, query).wait()?;
    let mut messages = 0;
    for conversation in &page.conversations {
        messages += store.tree(user, conversation.id).wait()?.messages.len();
    }
    Ok(messages)
}

/// Opens it. A program that another test starts has copies of all open files for a moment, and so
/// the lock of a store that was closed meanwhile.
fn open_when_free(folder: &TestFolder) -> Result<Store, OpenError> {
    loop {
        match Store::open(folder.config()) {
            Err(OpenError::Locked { .. }) => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

#[test]
fn s7_flipped_bits_are_found_or_harmless() {
    let (folder, user) = filled();
    let whole = fs::read(folder.database()).unwrap();
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    let (mut found, mut harmless) = (0, 0);
    for round in 0..1000 {
        let mut damaged = whole.clone();
        let at = if round % 4 == 0 { next(4096) } else { next(whole.len()) };
        damaged[at] ^= 1 << next(8);
        fs::write(folder.database(), &damaged).unwrap();
        mark_unclean(&folder);
        match open_when_free(&folder) {
            Err(OpenError::Damaged { .. } | OpenError::Foreign { .. }) => {
                found += 1;
                // A refused file stays as it was, except for its beginning, which says who uses it.
                assert_eq!(fs::metadata(folder.database()).unwrap().len(), whole.len() as u64);
            }
            Err(OpenError::NewerSchema { .. } | OpenError::UnknownSchema { .. }) => found += 1,
            Err(other) => panic!("byte {at}: {other}"),
            Ok(store) => match read_all(&store, user) {
                Ok(_) => harmless += 1,
                // An id that its index does not have is one that nobody knows.
                Err(StoreError::Damaged { .. } | StoreError::UnknownConversation) => found += 1,
                Err(other) => panic!("byte {at}: {other}"),
            },
        }
    }
    assert!(found > 50 && harmless > 50, "{found} found, {harmless} harmless");
}

#[test]
fn s7_a_truncated_file_is_found_and_can_be_set_aside() {
    let (folder, _) = filled();
    let bytes = fs::metadata(folder.database()).unwrap().len();
    for left in [bytes / 2, bytes - 4096, 4096, 100] {
        let whole = fs::read(folder.database()).unwrap();
        File::options().write(true).open(folder.database()).unwrap().set_len(left).unwrap();
        let error = open_error(&folder);
        let is_refused = matches!(&error, OpenError::Damaged { .. } | OpenError::Foreign { .. });
        assert!(is_refused, "{left}: {error}");
        assert_eq!(fs::metadata(folder.database()).unwrap().len(), left);
        fs::write(folder.database(), whole).unwrap();
    }
    let error = {
        File::options().write(true).open(folder.database()).unwrap().set_len(bytes / 2).unwrap();
        open_error(&folder)
    };
    assert!(error.to_string().contains("set"), "{error}");
    let aside = set_aside(&folder.path()).unwrap();
    assert_eq!(fs::metadata(aside.join("banter.db")).unwrap().len(), bytes / 2);
    let store = folder.open();
    assert_eq!(store.users().wait().unwrap(), []);
}

/// Copies the files of a store that is open, as they would be left by a killed process.
fn killed_copy(folder: &TestFolder) -> TestFolder {
    let copy = TestFolder::new();
    fs::create_dir(copy.path()).unwrap();
    for file in files(&folder.path()) {
        fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
    }
    copy
}

#[test]
fn s7_a_deleted_log_is_not_lost_silently() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    let (asked, _) = exchange(&store, user, ask_new("q", "a"), "a");
    let copy = killed_copy(&folder);
    let log = copy.path().join("banter.db-wal");
    let saved = fs::read(&log).unwrap();
    assert!(!saved.is_empty());
    fs::remove_file(&log).unwrap();
    assert!(matches!(open_error(&copy), OpenError::LogMissing { path } if path == log));
    fs::write(&log, saved).unwrap();
    assert_eq!(texts(&copy.open(), user, asked.conversation.id), ["q", "a"]);
}

#[test]
fn s7_a_deleted_index_of_the_log_is_made_again() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    let (asked, _) = exchange(&store, user, ask_new("q", "a"), "a");
    let copy = killed_copy(&folder);
    fs::remove_file(copy.path().join("banter.db-shm")).unwrap();
    assert_eq!(texts(&copy.open(), user, asked.conversation.id), ["q", "a"]);
}

#[test]
fn s7_files_deleted_while_the_store_is_open_lose_nothing_when_it_is_closed() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    let (asked, _) = exchange(&store, user, ask_new("q", "a"), "a");
    fs::remove_file(folder.path().join("banter.db-wal")).unwrap();
    fs::remove_file(folder.path().join("banter.db-shm")).unwrap();
    exchange(
        &store,
        user,
        ask_in(asked.conversation.id, crate::Position::AtLeaf, Some("q2")),
        "a2",
    );
    drop(store);
    assert_eq!(texts(&folder.open(), user, asked.conversation.id), ["q", "a", "q2", "a2"]);
}

#[test]
fn a_damaged_live_database_is_dropped() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    let asked = store.ask(user, ask_new("q", "a")).wait().unwrap();
    store.save_progress(asked.answer.seq, growth(0, "saved ")).wait().unwrap();
    store.append_live(asked.answer.seq, growth(6, "not saved")).wait().unwrap();
    let copy = killed_copy(&folder);
    for (name, from) in [("live.db", 0), ("live.db-wal", 0)] {
        let mut file = File::options().read(true).write(true).open(copy.path().join(name)).unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        content[from..].fill(0x5a);
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(&content).unwrap();
    }
    let store = copy.open();
    let answer = store.message(user, asked.conversation.id, asked.answer.id).wait().unwrap();
    assert_eq!((answer.text.as_str(), answer.state), ("saved ", crate::State::Interrupted));
}
