//! Looks at the store of a folder without changing it.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::error::OpenError;
use crate::folder::{check_database, database_in, has_store, lock};
use crate::schema::find_damage;

/// What there is in a data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Examined {
    /// No store.
    Nothing,
    /// A store that another process uses. It was checked when that process opened it.
    InUse {
        /// The process, if it wrote down its number.
        process: Option<u32>,
    },
    /// A store without damage.
    Whole {
        /// The size of its database.
        bytes: u64,
    },
    /// A damaged one.
    Damaged {
        /// What SQLite has found.
        finding: String,
    },
}

/// Looks at the store of a folder, and reads all of it. Nothing in it is changed.
///
/// # Errors
/// The folder or its files can't be read, or the database is gone.
pub fn examine(folder: &Path) -> Result<Examined, OpenError> {
    if !has_store(folder) {
        return Ok(Examined::Nothing);
    }
    let _lock = match lock(folder) {
        Err(OpenError::Locked { process, .. }) => return Ok(Examined::InUse { process }),
        lock => lock?,
    };
    check_database(folder)?;
    let path = database_in(folder);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let found = Connection::open_with_flags(&path, flags).and_then(|file| find_damage(&file));
    Ok(match found {
        Ok(None) => {
            let bytes = fs::metadata(&path).map_or(0, |found| found.len());
            Examined::Whole { bytes }
        }
        Ok(Some(finding)) => Examined::Damaged { finding },
        // Of a file that is no database, too.
        Err(error) => Examined::Damaged { finding: error.to_string() },
    })
}
