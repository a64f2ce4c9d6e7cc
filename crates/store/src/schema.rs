//! The tables, and how a connection is set up.

use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// Marks a file as a database of banter: `bant` in ASCII.
pub(crate) const APPLICATION_ID: i32 = 0x6261_6e74;

/// Marks a file as a database of banter's live answers: `banl` in ASCII.
pub(crate) const LIVE_APPLICATION_ID: i32 = 0x6261_6e6c;

/// The write-ahead log is cut to this size when it is emptied.
pub(crate) const LOG_BYTES: u64 = 8 << 20;

/// SQLite moves the log's pages into the database when it has this many: 4 MiB.
const LOG_PAGES: u32 = 1000;

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Emptying the log waits this long for readers. Nobody can write meanwhile.
const LOG_TIMEOUT: Duration = Duration::from_millis(250);

/// Responses of OpenAI's interface; `items` are all items until the response's end. A macro, because
/// it is a part of two constants.
macro_rules! responses {
    () => {
        "
CREATE TABLE responses (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
  response TEXT NOT NULL,
  items TEXT NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX responses_of_user ON responses (user, seq);
"
    };
}

/// Keys that were made by command. A macro, because it is a part of two constants.
macro_rules! made_keys {
    () => {
        "
CREATE TABLE made_keys (
  name TEXT PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  scope TEXT NOT NULL,
  -- One in a line.
  origins TEXT NOT NULL,
  until_ms INTEGER,
  requests_per_minute INTEGER,
  tokens_per_minute INTEGER,
  answers_at_once INTEGER,
  created_ms INTEGER NOT NULL,
  revoked_ms INTEGER,
  requests INTEGER NOT NULL DEFAULT 0,
  prompt_tokens INTEGER NOT NULL DEFAULT 0,
  answer_tokens INTEGER NOT NULL DEFAULT 0,
  used_ms INTEGER
) STRICT, WITHOUT ROWID;
"
    };
}

/// The system prompts of keys. A macro, because it is a part of two constants.
macro_rules! key_systems {
    () => {
        "
ALTER TABLE made_keys ADD COLUMN system TEXT;
"
    };
}

/// The tables of schema version 4.
///
/// Numbers are counted up and never used again (`AUTOINCREMENT`), so that order never depends on a
/// clock, and the engine never takes a new conversation for an old one. A message's parent is older
/// than the message, so ordering a path by `seq` gives it from its root on. Parents don't delete
/// their children by a foreign key, because SQLite follows those to a depth of 1,000 only.
///
/// The two indexes for searching hold neither text nor words: `search/index.rs` makes their tokens.
pub(crate) const TABLES: &str = concat!(
    "
CREATE TABLE users (
  user INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('operator', 'key', 'browser')),
  name TEXT NOT NULL,
  anchor BLOB NOT NULL UNIQUE,
  created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE keys (
  hash BLOB PRIMARY KEY,
  user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
  scope TEXT NOT NULL,
  label TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  revoked_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_of_user ON keys (user);

CREATE TABLE sessions (
  hash BLOB PRIMARY KEY,
  user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
  scope TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_user ON sessions (user);
CREATE INDEX sessions_by_end ON sessions (until_ms);

CREATE TABLE conversations (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  user INTEGER NOT NULL REFERENCES users,
  title TEXT NOT NULL,
  title_source TEXT NOT NULL CHECK (title_source IN ('none', 'first_words', 'model', 'person')),
  system TEXT,
  parameters TEXT,
  leaf INTEGER REFERENCES messages (seq) ON DELETE SET NULL,
  pinned INTEGER NOT NULL DEFAULT 0,
  archived INTEGER NOT NULL DEFAULT 0,
  -- Counted up by each new message: the order of the list.
  touched INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX conversations_listed ON conversations (user, archived, pinned, touched);
CREATE INDEX conversations_touched ON conversations (touched);
CREATE INDEX conversations_leaf ON conversations (leaf);

CREATE TABLE messages (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  conversation INTEGER NOT NULL REFERENCES conversations (number),
  parent INTEGER REFERENCES messages (seq),
  role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
  state TEXT NOT NULL CHECK (state IN
    ('waiting', 'writing', 'complete', 'length', 'stopped', 'interrupted', 'failed')),
  text TEXT NOT NULL,
  thinking TEXT NOT NULL,
  tokens BLOB NOT NULL,
  model TEXT,
  parameters TEXT,
  seed INTEGER,
  reason TEXT,
  error_code TEXT,
  error_message TEXT,
  usage TEXT,
  timings TEXT,
  created_ms INTEGER NOT NULL,
  -- Whether message_words has its words.
  indexed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX messages_of_conversation ON messages (conversation, seq);
CREATE INDEX messages_by_parent ON messages (parent);
CREATE INDEX messages_running ON messages (seq) WHERE state IN ('waiting', 'writing');

-- What an answer that is being written has grown by since it was last finished: one row a save. The
-- ends count from the beginning of the answer.
CREATE TABLE parts (
  answer INTEGER NOT NULL REFERENCES messages (seq) ON DELETE CASCADE,
  part INTEGER NOT NULL,
  text TEXT NOT NULL,
  thinking TEXT NOT NULL,
  tokens BLOB NOT NULL,
  text_end INTEGER NOT NULL,
  thinking_end INTEGER NOT NULL,
  tokens_end INTEGER NOT NULL,
  PRIMARY KEY (answer, part)
) STRICT, WITHOUT ROWID;

-- What a client's request made, so that a repetition makes nothing.
CREATE TABLE requests (
  user INTEGER NOT NULL REFERENCES users,
  client_id TEXT NOT NULL,
  message INTEGER REFERENCES messages (seq) ON DELETE CASCADE,
  answer INTEGER NOT NULL REFERENCES messages (seq) ON DELETE CASCADE,
  PRIMARY KEY (user, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_message ON requests (message);
CREATE INDEX requests_by_answer ON requests (answer);

CREATE VIRTUAL TABLE message_words USING fts5 (
  tokens, content = '', columnsize = 0, detail = none, tokenize = 'ascii'
);
INSERT INTO message_words (message_words, rank) VALUES ('secure-delete', 1);
CREATE VIRTUAL TABLE title_words USING fts5 (
  tokens, content = '', columnsize = 0, detail = none, tokenize = 'ascii'
);
INSERT INTO title_words (title_words, rank) VALUES ('secure-delete', 1);
",
    responses!(),
    made_keys!(),
    key_systems!()
);

/// From schema version 1 to 2.
pub(crate) const RESPONSES: &str = responses!();

/// From schema version 2 to 3.
pub(crate) const MADE_KEYS: &str = made_keys!();

/// From schema version 3 to 4.
pub(crate) const KEY_SYSTEMS: &str = key_systems!();

/// The table of `live.db`.
pub(crate) const LIVE_TABLES: &str = "
CREATE TABLE live (
  row INTEGER PRIMARY KEY,
  answer INTEGER NOT NULL,
  text TEXT NOT NULL,
  thinking TEXT NOT NULL,
  tokens BLOB NOT NULL,
  text_end INTEGER NOT NULL,
  thinking_end INTEGER NOT NULL,
  tokens_end INTEGER NOT NULL
) STRICT;
CREATE INDEX live_of_answer ON live (answer, row);
";

/// How a connection is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It reads and writes; every commit is synced.
    Durable,
    /// It reads and writes; nothing is synced.
    Unsynced,
    /// It reads.
    Read,
}

/// Opens the database at `path`, which must exist; `None` is a new one in memory.
pub(crate) fn connect(
    path: Option<&std::path::Path>,
    access: Access,
) -> rusqlite::Result<Connection> {
    let direction = match access {
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Durable | Access::Unsynced => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    let flags = direction | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = match path {
        Some(path) => Connection::open_with_flags(path, flags)?,
        None => Connection::open_in_memory()?,
    };
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// Sets a connection up. It fails if the file is no database.
pub(crate) fn set_up(connection: &Connection, access: Access) -> rusqlite::Result<()> {
    connection.execute_batch(
        "PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;",
    )?;
    if access == Access::Read {
        return Ok(());
    }
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES as i64, |_| Ok(()))?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", LOG_PAGES, |_| Ok(()))?;
    let synchronous = if access == Access::Durable { "FULL" } else { "OFF" };
    connection.pragma_update(None, "synchronous", synchronous)
}

/// Empties the write-ahead log into the database. False if a reader was in the way for too long.
pub(crate) fn empty_log(connection: &Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(LOG_TIMEOUT)?;
    let busy: rusqlite::Result<i64> =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(busy? == 0)
}

/// What is wrong with the database, if something is. Reads all of it.
pub(crate) fn find_damage(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let finding: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((finding != "ok").then_some(finding))
}
