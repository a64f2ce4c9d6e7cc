//! Migrations, also those that are killed.

use std::process::Command;

use super::support::*;
use crate::faults::{Action, Fault};
use crate::migrate::{Schema, Step};
use crate::open::open_with;
use crate::schema::{APPLICATION_ID, KEY_SYSTEMS, MADE_KEYS, RESPONSES, TABLES};
use crate::{OpenError, Place, StoreConfig};

const CHILD_FOLDER: &str = "BANTER_TEST_MIGRATE";
const CHILD_STATEMENT: &str = "BANTER_TEST_MIGRATE_STATEMENT";

/// What the store could have been before version 1: one table of notes.
const OLD: &str = "CREATE TABLE notes (note INTEGER PRIMARY KEY, text TEXT NOT NULL);
    INSERT INTO notes (text) VALUES ('first'), ('second');";

/// Version 1 has notes with a time, version 2 today's tables beside them.
const NEW: Schema = Schema {
    version: 2,
    tables: TABLES,
    steps: &[
        Step {
            from: 0,
            statements: &[
                "ALTER TABLE notes ADD COLUMN made_ms INTEGER NOT NULL DEFAULT 0",
                "UPDATE notes SET made_ms = 1000 * note",
                "CREATE INDEX notes_by_time ON notes (made_ms)",
            ],
        },
        Step { from: 1, statements: &[TABLES, "UPDATE notes SET text = text || '!'"] },
    ],
};
const STATEMENTS: usize = 5;

fn make_old(folder: &TestFolder) {
    std::fs::create_dir(folder.path()).unwrap();
    let connection = rusqlite::Connection::open(folder.database()).unwrap();
    connection.execute_batch(OLD).unwrap();
    connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
}

fn notes(path: &std::path::Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut statement = connection.prepare("SELECT text FROM notes ORDER BY note").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn version(path: &std::path::Path) -> u32 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

#[test]
fn s8_an_old_database_is_migrated_and_a_copy_is_kept() {
    let folder = TestFolder::new();
    make_old(&folder);
    drop(open_with(&folder.config(), &NEW).unwrap());
    assert_eq!(
        (version(&folder.database()), notes(&folder.database())),
        (2, vec!["first!".into(), "second!".into()])
    );
    let copy = folder.path().join("banter.db.v0.bak");
    assert_eq!((version(&copy), notes(&copy)), (0, vec!["first".to_owned(), "second".to_owned()]));
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&copy).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    assert_whole(&folder.database());
}

#[test]
fn s8_a_database_of_an_older_version_becomes_todays() {
    let version_3 = TABLES.strip_suffix(KEY_SYSTEMS).unwrap();
    let version_2 = version_3.strip_suffix(MADE_KEYS).unwrap();
    let version_1 = version_2.strip_suffix(RESPONSES).unwrap();
    let schema = |path: &std::path::Path| {
        let connection = rusqlite::Connection::open(path).unwrap();
        let sql = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
        let mut statement = connection.prepare(sql).unwrap();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        statement.query_map([], row).unwrap().collect::<Result<Vec<(String, String)>, _>>().unwrap()
    };
    let new = TestFolder::new();
    drop(new.open());
    for (number, tables) in [(1, version_1), (2, version_2), (3, version_3)] {
        let folder = TestFolder::new();
        std::fs::create_dir(folder.path()).unwrap();
        let connection = rusqlite::Connection::open(folder.database()).unwrap();
        connection.execute_batch(tables).unwrap();
        connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        connection.pragma_update(None, "user_version", number).unwrap();
        drop(connection);
        drop(folder.open());
        assert_eq!(version(&folder.database()), 4);
        assert_eq!(schema(&folder.database()), schema(&new.database()));
    }
}

#[test]
fn s8_a_migration_that_is_killed_at_any_statement_resumes() {
    for statement in 0..STATEMENTS + 2 {
        let folder = TestFolder::new();
        make_old(&folder);
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["tests::migration::child_is_killed_in_a_migration", "--exact", "--nocapture"])
            .env(CHILD_FOLDER, folder.path())
            .env(CHILD_STATEMENT, statement.to_string())
            .output()
            .unwrap()
            .status;
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(9), "statement {statement}: {status}");
        drop(open_with(&folder.config(), &NEW).unwrap());
        assert_eq!(version(&folder.database()), 2, "statement {statement}");
        assert_eq!(notes(&folder.database()), ["first!", "second!"], "statement {statement}");
        let copy = folder.path().join("banter.db.v0.bak");
        assert_eq!(notes(&copy), ["first", "second"]);
    }
}

#[test]
fn child_is_killed_in_a_migration() {
    let Some(path) = std::env::var_os(CHILD_FOLDER) else { return };
    let config = StoreConfig::new(Place::Folder(path.into()));
    let statement = std::env::var(CHILD_STATEMENT).unwrap().parse().unwrap();
    config.faults.arm(Fault::MigrateStatement, Action::Kill, (statement, 1));
    let _ = open_with(&config, &NEW);
}

#[test]
fn s8_a_failed_step_leaves_the_version_before_it() {
    let folder = TestFolder::new();
    make_old(&folder);
    let config = folder.config();
    let full = rusqlite::ffi::SQLITE_FULL;
    config.faults.arm(Fault::MigrateStatement, Action::Fail(full), (5, 1));
    assert!(matches!(open_with(&config, &NEW), Err(OpenError::Full { .. })));
    assert_eq!(
        (version(&folder.database()), notes(&folder.database())),
        (1, vec!["first".into(), "second".into()])
    );
    drop(open_with(&config, &NEW).unwrap());
    assert_eq!(version(&folder.database()), 2);
}

#[test]
fn s8_a_newer_or_unknown_database_is_refused() {
    let folder = TestFolder::new();
    drop(folder.open());
    let set = |version: u32| {
        let connection = rusqlite::Connection::open(folder.database()).unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
    };
    set(7);
    let error = open_with(&folder.config(), &crate::migrate::TODAY).err().unwrap();
    assert!(matches!(error, OpenError::NewerSchema { found: 7, known: 4, .. }), "{error}");
    assert!(error.to_string().contains("version 7") && error.to_string().contains("up to 4"));
    set(0);
    let error = open_with(&folder.config(), &crate::migrate::TODAY).err().unwrap();
    assert!(matches!(error, OpenError::UnknownSchema { found: 0, known: 4, .. }), "{error}");
    set(4);
    folder.open();
}
