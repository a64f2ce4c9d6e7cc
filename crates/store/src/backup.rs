//! Copies of the whole database, made while it is used.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::folder::{new_private_file, with_suffix};
use crate::readers::ReadMode;
use crate::reply::Reply;
use crate::{Store, StoreError};

/// A copy that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupMade {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

impl Store {
    /// Copies the database into a new file, which only its owner may read. Everything whose reply
    /// came before the call is in it. Answers that are being written are in it as far as they were
    /// saved.
    ///
    /// The copy is a database like `banter.db`: to restore it, put it in that file's place while no
    /// banter uses the folder, and remove the files with the same beginning.
    ///
    /// The copy is checked, and a damaged database is refused.
    ///
    /// The copy is made at once, so that calls that write don't start it anew each time; meanwhile
    /// the write-ahead log can't be emptied.
    pub fn backup_to(&self, path: impl Into<PathBuf>) -> Reply<BackupMade> {
        let path = path.into();
        self.read_as(ReadMode::Unhurried, move |reading| backup(reading.connection, path))
    }
}

fn backup(source: &Connection, path: PathBuf) -> Result<BackupMade, StoreError> {
    if fs::symlink_metadata(&path).is_ok() {
        return Err(StoreError::Exists { path });
    }
    let partial = with_suffix(&path, ".partial");
    let made = copy(source, &partial).and_then(|()| publish(&partial, &path));
    if made.is_err() {
        let _ = fs::remove_file(&partial);
    }
    made
}

fn copy(source: &Connection, partial: &Path) -> Result<(), StoreError> {
    let _ = fs::remove_file(partial);
    drop(new_private_file(partial).map_err(failed)?);
    let mut target = Connection::open(partial)?;
    let backup = Backup::new(source, &mut target)?;
    match backup.step(-1)? {
        StepResult::Done => {}
        _ => return Err(StoreError::Busy),
    }
    drop(backup);
    // A copy of a damaged database is no backup.
    let finding: String = target.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if finding == "ok" { Ok(()) } else { Err(StoreError::Damaged { reason: finding }) }
}

fn publish(partial: &Path, path: &Path) -> Result<BackupMade, StoreError> {
    let file = File::open(partial).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    // A link does not replace a file that somebody has made meanwhile, as a rename would.
    match fs::hard_link(partial, path) {
        Ok(()) => fs::remove_file(partial).map_err(failed)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(StoreError::Exists { path: path.to_owned() });
        }
        // Some file systems have no links.
        Err(_) => fs::rename(partial, path).map_err(failed)?,
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(BackupMade { path: path.to_owned(), bytes })
}

fn failed(error: io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull => StoreError::Full,
        _ => StoreError::Failed { reason: error.to_string() },
    }
}
