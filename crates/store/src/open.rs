//! Opens the databases, and decides whether they may be used.
//!
//! Nothing is written to a file before it is known to be ours, and nothing is repaired silently.

use std::path::Path;

use rusqlite::ffi::SQLITE_ERROR;
use rusqlite::{Connection, ErrorCode};

use crate::StoreError;
use crate::config::{Place, StoreConfig};
use crate::error::OpenError;
use crate::folder::{Folder, LastEnd};
use crate::live::{self, Live, merge};
use crate::migrate::{self, MigrateError, Schema, TODAY};
use crate::schema::{self, Access};

/// The oldest SQLite that is accepted. Older ones can lose a commit when two connections empty the
/// write-ahead log at the same time.
const OLDEST_SQLITE: (i32, &str) = (3_051_003, "3.51.3");

/// A database of at most this size is read whole at each start, which takes a second at most. A
/// larger one is read whole only after an unclean end.
const ALWAYS_CHECKED_BYTES: u64 = 128 << 20;

/// Everything the threads need.
pub(crate) struct Opened {
    pub folder: Option<Folder>,
    pub writer: Connection,
    pub readers: Vec<Connection>,
    pub live: Live,
    pub interrupted: usize,
}

pub(crate) fn open(config: &StoreConfig) -> Result<Opened, OpenError> {
    open_with(config, &TODAY)
}

/// Opens with a schema that tests may choose.
pub(crate) fn open_with(config: &StoreConfig, schema: &Schema) -> Result<Opened, OpenError> {
    check_sqlite(rusqlite::version_number(), rusqlite::version())?;
    match &config.place {
        Place::Folder(path) => open_folder(path, config, schema),
        Place::Memory => {
            Ok(open_memory(config, schema).expect("memory has no files that can fail"))
        }
    }
}

fn check_sqlite(number: i32, found: &str) -> Result<(), OpenError> {
    let (oldest, needed) = OLDEST_SQLITE;
    if number < oldest {
        return Err(OpenError::OldSqlite { found: found.into(), needed });
    }
    Ok(())
}

fn open_memory(config: &StoreConfig, schema: &Schema) -> Result<Opened, MigrateError> {
    let mut writer = schema::connect(None, Access::Durable)?;
    schema::set_up(&writer, Access::Durable)?;
    migrate::migrate(&mut writer, schema, (None, &config.faults))?;
    let live = Live::new(live::open(None)?);
    Ok(Opened { folder: None, writer, readers: Vec::new(), live, interrupted: 0 })
}

fn open_folder(path: &Path, config: &StoreConfig, schema: &Schema) -> Result<Opened, OpenError> {
    let folder = Folder::take(path)?;
    let last_end = folder.last_end()?;
    check_log(&folder, last_end)?;
    let sqlite = |error: rusqlite::Error| sqlite_error(&folder, &error);
    let migrating = |error| match error {
        MigrateError::Open(error) => error,
        MigrateError::Sqlite(error) => sqlite_error(&folder, &error),
    };

    let mut writer = schema::connect(Some(&folder.database()), Access::Durable).map_err(sqlite)?;
    migrate::check(&writer, schema, &folder).map_err(migrating)?;
    folder.mark_between()?;
    schema::set_up(&writer, Access::Durable).map_err(sqlite)?;
    let bytes = std::fs::metadata(folder.database()).map_or(0, |found| found.len());
    if last_end != LastEnd::Clean || bytes <= ALWAYS_CHECKED_BYTES {
        check_whole(&writer, &folder)?;
    }
    migrate::migrate(&mut writer, schema, (Some(&folder), &config.faults)).map_err(migrating)?;

    let live = open_live(&folder)?;
    let times = (&config.limits, config.clock.now_ms());
    let interrupted =
        merge::merge(&mut writer, &live, times).map_err(|error| store_error(&folder, error))?;
    let live = emptied(live, &folder)?;
    if interrupted > 0 {
        tracing::info!(interrupted, "answers were being written when the last process ended");
    }
    let readers = (0..config.reader_threads.max(1))
        .map(|_| {
            let reader = schema::connect(Some(&folder.database()), Access::Read)?;
            schema::set_up(&reader, Access::Read)?;
            Ok(reader)
        })
        .collect::<rusqlite::Result<Vec<_>>>()
        .map_err(sqlite)?;
    folder.mark_open()?;
    let live = Live::new(live);
    Ok(Opened { folder: Some(folder), writer, readers, live, interrupted })
}

/// A store that was open has a log. If it is gone, the newest messages are gone with it.
fn check_log(folder: &Folder, last_end: LastEnd) -> Result<(), OpenError> {
    if last_end == LastEnd::WithLog && !folder.log().exists() {
        return Err(OpenError::LogMissing { path: folder.log() });
    }
    Ok(())
}

/// Reads the whole database. It takes seconds for a gigabyte.
fn check_whole(connection: &Connection, folder: &Folder) -> Result<(), OpenError> {
    match schema::find_damage(connection) {
        Ok(None) => Ok(()),
        Ok(Some(finding)) => Err(OpenError::Damaged { path: folder.database(), finding }),
        Err(error) => Err(sqlite_error(folder, &error)),
    }
}

/// Opens `live.db`. After a power cut it may be damaged: then it is dropped, because the main
/// database has everything up to the last save.
fn open_live(folder: &Folder) -> Result<Connection, OpenError> {
    let open = || {
        let connection = live::open(Some(&folder.live()))?;
        let finding = schema::find_damage(&connection)?;
        Ok::<_, rusqlite::Error>(finding.is_none().then_some(connection))
    };
    match open() {
        Ok(Some(connection)) => return Ok(connection),
        Ok(None) => {}
        Err(error) if is_damage(&error) => {}
        Err(error) => return Err(sqlite_error(folder, &error)),
    }
    tracing::warn!("live.db is damaged and is dropped; answers end where they were last saved");
    folder.remove_live()?;
    live::open(Some(&folder.live())).map_err(|error| sqlite_error(folder, &error))
}

/// `live.db` without anything in it. One that cannot be emptied is replaced.
fn emptied(live: Connection, folder: &Folder) -> Result<Connection, OpenError> {
    match live.execute("DELETE FROM live", []) {
        Ok(_) => Ok(live),
        Err(error) => {
            tracing::warn!(%error, "live.db cannot be emptied and is replaced");
            drop(live);
            folder.remove_live()?;
            live::open(Some(&folder.live())).map_err(|error| sqlite_error(folder, &error))
        }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn sqlite_error(folder: &Folder, error: &rusqlite::Error) -> OpenError {
    let (path, reason) = (folder.database(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            let found = "something that is no SQLite database, or one with a damaged beginning";
            OpenError::Foreign { path, found: found.into() }
        }
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path, finding: reason },
        // The statements of an opening are right, so the tables in the file are not.
        _ if error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_ERROR) => {
            OpenError::Damaged { path, finding: reason }
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => OpenError::Permission { path },
        Some(ErrorCode::DiskFull) => OpenError::Full { folder: folder.path().to_owned() },
        _ => OpenError::Other { folder: folder.path().to_owned(), reason },
    }
}

fn store_error(folder: &Folder, error: StoreError) -> OpenError {
    match error {
        StoreError::Damaged { reason } => {
            OpenError::Damaged { path: folder.database(), finding: reason }
        }
        StoreError::Full => OpenError::Full { folder: folder.path().to_owned() },
        other => OpenError::Other { folder: folder.path().to_owned(), reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_an_sqlite_that_loses_commits_is_refused() {
        let cases = [(3_051_002, false), (3_051_003, true), (3_052_000, true), (3_045_001, false)];
        for (number, accepted) in cases {
            assert_eq!(check_sqlite(number, "x").is_ok(), accepted, "{number}");
        }
        assert!(check_sqlite(rusqlite::version_number(), rusqlite::version()).is_ok());
        let error = check_sqlite(3_040_000, "3.40.0").unwrap_err().to_string();
        assert!(error.contains("3.40.0") && error.contains("3.51.3"), "{error}");
    }
}
