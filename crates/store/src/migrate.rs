//! Brings a database to today's schema.
//!
//! A new version: change `schema::TABLES`, raise [`TODAY`]'s version, and add a step with the
//! statements that lead from the version before to it. A test opens a database of each old version.
//!
//! Each step is one transaction that also writes the new version, so a process that is killed in a
//! step leaves the version before it, and the next one begins the step again. Before the first step
//! a copy is made, which stays until something is deleted from the store.

use std::fs;

use rusqlite::{Connection, TransactionBehavior};

use crate::error::OpenError;
use crate::faults::{Fault, Faults};
use crate::folder::{self, Folder};
use crate::schema::{APPLICATION_ID, KEY_SYSTEMS, MADE_KEYS, RESPONSES, TABLES};

/// A version of the schema and the ways to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema {
    pub version: u32,
    /// The tables of a new database.
    pub tables: &'static str,
    /// One step from each older version to the next.
    pub steps: &'static [Step],
}

/// Leads from one version to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub from: u32,
    pub statements: &'static [&'static str],
}

/// The schema of this program.
pub(crate) const TODAY: Schema = Schema {
    version: 4,
    tables: TABLES,
    steps: &[
        Step { from: 1, statements: &[RESPONSES] },
        Step { from: 2, statements: &[MADE_KEYS] },
        Step { from: 3, statements: &[KEY_SYSTEMS] },
    ],
};

/// Whose database a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    New,
    Ours { version: u32 },
    Foreign { application_id: i32 },
}

/// Why a database can't be brought to today's schema.
#[derive(Debug)]
pub(crate) enum MigrateError {
    Sqlite(rusqlite::Error),
    Open(OpenError),
}

impl From<rusqlite::Error> for MigrateError {
    fn from(error: rusqlite::Error) -> Self {
        MigrateError::Sqlite(error)
    }
}

/// Refuses what is not ours or too new. Writes nothing, so a foreign file stays as it is.
pub(crate) fn check(
    connection: &Connection,
    schema: &Schema,
    folder: &Folder,
) -> Result<(), MigrateError> {
    let (path, known) = (folder.database(), schema.version);
    let refuse = |error| Err(MigrateError::Open(error));
    match origin(connection)? {
        Origin::New => Ok(()),
        Origin::Foreign { application_id } => {
            let found =
                format!("a database of another program (application id {application_id:#x})");
            refuse(OpenError::Foreign { path, found })
        }
        Origin::Ours { version } if version > known => {
            refuse(OpenError::NewerSchema { path, found: version, known })
        }
        Origin::Ours { version } => {
            let has_step = |from| schema.steps.iter().any(|step| step.from == from);
            if !(version..known).all(has_step) {
                return refuse(OpenError::UnknownSchema { path, found: version, known });
            }
            Ok(())
        }
    }
}

/// Makes the tables, or takes the steps to today's.
pub(crate) fn migrate(
    connection: &mut Connection,
    schema: &Schema,
    (folder, faults): (Option<&Folder>, &Faults),
) -> Result<(), MigrateError> {
    let Origin::Ours { version } = origin(connection)? else {
        return create(connection, schema).map_err(MigrateError::from);
    };
    if version == schema.version {
        return Ok(());
    }
    if let Some(folder) = folder {
        keep_copy(connection, folder, version)?;
    }
    let mut steps: Vec<_> = schema.steps.iter().filter(|step| step.from >= version).collect();
    steps.sort_by_key(|step| step.from);
    for step in steps {
        take(connection, step, faults)?;
        tracing::info!(from = step.from, to = step.from + 1, "the store's schema was migrated");
    }
    Ok(())
}

fn origin(connection: &Connection) -> rusqlite::Result<Origin> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let (application_id, version) = (number("application_id")?, number("user_version")?);
    if application_id == APPLICATION_ID {
        return Ok(Origin::Ours { version: version.unsigned_abs() });
    }
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application_id == 0 && version == 0 && tables == 0 {
        return Ok(Origin::New);
    }
    Ok(Origin::Foreign { application_id })
}

fn create(connection: &mut Connection, schema: &Schema) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(schema.tables)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", schema.version)?;
    transaction.commit()
}

/// Copies the database beside itself. A copy that is there was made by a process that was killed
/// after it, and is as good.
fn keep_copy(connection: &Connection, folder: &Folder, version: u32) -> Result<(), MigrateError> {
    let (copy, partial) = folder.copy(version);
    if copy.exists() {
        return Ok(());
    }
    let fail = |error: std::io::Error| {
        MigrateError::Open(folder::io_error(folder.path(), &partial, &error))
    };
    if partial.exists() {
        fs::remove_file(&partial).map_err(fail)?;
    }
    // `VACUUM INTO` takes an empty file and keeps its permissions.
    drop(folder::new_private_file(&partial).map_err(fail)?);
    connection.execute("VACUUM INTO ?1", [partial.to_string_lossy()])?;
    fs::File::open(&partial).and_then(|file| file.sync_all()).map_err(fail)?;
    fs::rename(&partial, &copy).map_err(fail)?;
    fs::File::open(folder.path()).and_then(|folder| folder.sync_all()).map_err(fail)
}

fn take(connection: &mut Connection, step: &Step, faults: &Faults) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for statement in step.statements {
        faults.pass(Fault::MigrateStatement)?;
        transaction.execute_batch(statement)?;
    }
    transaction.pragma_update(None, "user_version", step.from + 1)?;
    faults.pass(Fault::MigrateStatement)?;
    transaction.commit()
}
