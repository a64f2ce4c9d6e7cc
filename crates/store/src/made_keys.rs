//! Keys that an operator has made by command.
//!
//! They are the only thing in the database that another process may write while a server uses the
//! folder: `banter key` does, and the server looks for changes ([`Store::made_keys`]).

use std::path::Path;

use rusqlite::{Connection, ErrorCode, Row, params};

use crate::config::{Place, StoreConfig, now_ms};
use crate::error::OpenError;
use crate::folder;
use crate::ids::SecretHash;
use crate::migrate::TODAY;
use crate::schema::{self, Access};
use crate::{Reply, Store};

/// A key as its maker wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyTerms {
    /// What it allows, in the server's words.
    pub scope: String,
    /// The pages that may use it, by their origins; none: any client.
    pub origins: Vec<String>,
    /// When it ends, in milliseconds since 1970.
    pub until_ms: Option<u64>,
    /// Requests in a minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens of prompts and answers in a minute.
    pub tokens_per_minute: Option<u32>,
    /// Answers at once.
    pub answers_at_once: Option<u32>,
    /// The system prompt of everybody who talks with it.
    pub system: Option<String>,
}

/// What was done with a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyUsage {
    /// Requests for answers and vectors.
    pub requests: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of answers.
    pub answer_tokens: u64,
}

/// A key that was made by command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeKey {
    /// Its name, which no other key has.
    pub name: String,
    /// The hash of the key.
    pub hash: SecretHash,
    /// What it allows.
    pub terms: KeyTerms,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was revoked, in milliseconds since 1970, if it was.
    pub revoked_ms: Option<u64>,
    /// What was done with it.
    pub usage: KeyUsage,
    /// When it was last used, in milliseconds since 1970.
    pub used_ms: Option<u64>,
}

/// Why a key is not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Another key has the name.
    #[error(
        "expected a name that no key has, found {0:?}; choose another, or revoke that key first"
    )]
    NameTaken(String),
    /// No key has the name.
    #[error("expected the name of a key, found {0:?}; banter key list shows them")]
    Unknown(String),
    /// The database cannot be written.
    #[error("the keys cannot be read or written: {0}")]
    Database(String),
}

impl From<rusqlite::Error> for KeyError {
    fn from(error: rusqlite::Error) -> KeyError {
        KeyError::Database(error.to_string())
    }
}

/// The columns that [`made_key`] reads.
const COLUMNS: &str = "name, hash, scope, origins, until_ms, requests_per_minute, \
     tokens_per_minute, answers_at_once, created_ms, revoked_ms, requests, prompt_tokens, \
     answer_tokens, used_ms, system";

impl Store {
    /// All keys that were made by command, revoked ones too, by name.
    pub fn made_keys(&self) -> Reply<Vec<MadeKey>> {
        self.read(|reading| Ok(list(reading.connection)?))
    }

    /// Counts what was done with keys.
    pub fn count_key_usage(&self, used: Vec<(SecretHash, KeyUsage)>) -> Reply<()> {
        self.write(move |writing| {
            let sql = "UPDATE made_keys SET requests = requests + ?2,
                         prompt_tokens = prompt_tokens + ?3, answer_tokens = answer_tokens + ?4,
                         used_ms = ?5 WHERE hash = ?1";
            let mut statement = writing.connection.prepare_cached(sql)?;
            for (hash, usage) in &used {
                let KeyUsage { requests, prompt_tokens, answer_tokens } = *usage;
                let number = |number: u64| number.cast_signed();
                let (requests, prompt) = (number(requests), number(prompt_tokens));
                let answer = number(answer_tokens);
                statement.execute(params![hash, requests, prompt, answer, writing.now_ms])?;
            }
            Ok(())
        })
    }
}

/// The keys of a data folder, also while a server uses it.
pub struct KeyRing {
    connection: Connection,
}

impl KeyRing {
    /// Opens the keys of a folder. A folder without a store gets one.
    ///
    /// # Errors
    /// The store cannot be opened, or a server of another version uses it.
    pub fn open(folder: &Path) -> Result<KeyRing, OpenError> {
        match Store::open(StoreConfig::new(Place::Folder(folder.to_owned()))) {
            // It is as it should be. Others may have it from now on.
            Ok(store) => drop(store),
            // A server uses it, and has checked it.
            Err(OpenError::Locked { .. }) => {}
            Err(error) => return Err(error),
        }
        let path = folder::database_in(folder);
        let fail = |error: rusqlite::Error| OpenError::Other {
            folder: folder.to_owned(),
            reason: error.to_string(),
        };
        let connection = schema::connect(Some(&path), Access::Durable).map_err(fail)?;
        let found: u32 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(fail)?;
        let known = TODAY.version;
        if found > known {
            return Err(OpenError::NewerSchema { path, found, known });
        }
        if found < known {
            // An older server that still runs: it would know nothing of these keys.
            return Err(OpenError::Locked { folder: folder.to_owned(), process: None });
        }
        schema::set_up(&connection, Access::Durable).map_err(fail)?;
        Ok(KeyRing { connection })
    }

    /// Adds a key.
    ///
    /// # Errors
    /// [`KeyError::NameTaken`], or the database cannot be written.
    pub fn add(&self, name: &str, hash: SecretHash, terms: &KeyTerms) -> Result<(), KeyError> {
        // A key that was revoked leaves its name to another.
        self.connection
            .execute("DELETE FROM made_keys WHERE name = ?1 AND revoked_ms IS NOT NULL", [name])?;
        let until = terms.until_ms.map(u64::cast_signed);
        let origins = terms.origins.join("\n");
        let added = self.connection.execute(
            "INSERT INTO made_keys (name, hash, scope, origins, until_ms, requests_per_minute,
               tokens_per_minute, answers_at_once, system, created_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                name,
                hash,
                terms.scope,
                origins,
                until,
                terms.requests_per_minute,
                terms.tokens_per_minute,
                terms.answers_at_once,
                terms.system,
                now_ms().cast_signed(),
            ],
        );
        match added {
            Ok(_) => Ok(()),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                Err(KeyError::NameTaken(name.to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Revokes a key: it opens nothing any more.
    ///
    /// # Errors
    /// [`KeyError::Unknown`], or the database cannot be written.
    pub fn revoke(&self, name: &str) -> Result<(), KeyError> {
        let sql = "UPDATE made_keys SET revoked_ms = ?2 WHERE name = ?1 AND revoked_ms IS NULL";
        match self.connection.execute(sql, params![name, now_ms().cast_signed()])? {
            0 => Err(KeyError::Unknown(name.to_owned())),
            _ => Ok(()),
        }
    }

    /// All keys, revoked ones too, by name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn list(&self) -> Result<Vec<MadeKey>, KeyError> {
        Ok(list(&self.connection)?)
    }
}

fn list(connection: &Connection) -> rusqlite::Result<Vec<MadeKey>> {
    let sql = format!("SELECT {COLUMNS} FROM made_keys ORDER BY name");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map([], made_key)?.collect()
}

fn made_key(row: &Row<'_>) -> rusqlite::Result<MadeKey> {
    let time = |column| {
        Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(i64::cast_unsigned))
    };
    let count = |column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)?.cast_unsigned());
    let origins: String = row.get(3)?;
    Ok(MadeKey {
        name: row.get(0)?,
        hash: row.get(1)?,
        terms: KeyTerms {
            scope: row.get(2)?,
            origins: origins.lines().map(str::to_owned).collect(),
            until_ms: time(4)?,
            requests_per_minute: row.get(5)?,
            tokens_per_minute: row.get(6)?,
            answers_at_once: row.get(7)?,
            system: row.get(14)?,
        },
        created_ms: count(8)?,
        revoked_ms: time(9)?,
        usage: KeyUsage {
            requests: count(10)?,
            prompt_tokens: count(11)?,
            answer_tokens: count(12)?,
        },
        used_ms: time(13)?,
    })
}
