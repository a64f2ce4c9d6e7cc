//! What can go wrong, as types.
//!
//! [`OpenError`]: the store can't be opened. [`StoreError`]: one call failed. No message holds text
//! of a conversation.

use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::message::State;

/// Why a store can't be opened. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses the folder.
    #[error(
        "the data folder {} is in use by another banter{}; stop it, or choose another folder",
        folder.display(), by(*process)
    )]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The other process, if it wrote down its number.
        process: Option<u32>,
    },
    /// The folder's parent does not exist.
    #[error("the data folder {} can't be made: its parent does not exist; make it first", folder.display())]
    MissingParent {
        /// The folder.
        folder: PathBuf,
    },
    /// There is a file where the folder is expected.
    #[error("the data folder {}: expected a folder, found a file; choose another path", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// There is no store in the folder.
    #[error("the data folder {}: expected conversations of banter, found none; name another folder", folder.display())]
    NoStore {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder has no store, and something else is in it.
    #[error(
        "the data folder {}: expected an empty folder or one with conversations of banter, found {found}; \
         name a folder of its own, which is made if it does not exist", folder.display()
    )]
    Occupied {
        /// The folder.
        folder: PathBuf,
        /// A name in it.
        found: String,
    },
    /// The database is gone, or empty, and other files of the store are there.
    #[error(
        "{}: expected the database, found {found} although {} lies beside it; put a backup in its \
         place, or run `banter data set-aside` to begin with an empty one", path.display(), beside.display()
    )]
    DatabaseMissing {
        /// The database.
        path: PathBuf,
        /// What is there instead.
        found: &'static str,
        /// A file of the store that is there.
        beside: PathBuf,
    },
    /// There is a folder, a device or a link where a file of the store is expected.
    #[error("{}: expected a plain file, found something else; move it away", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The folder is on a file system that can't be written to.
    #[error("the data folder {} is on a read-only file system; choose another folder", folder.display())]
    ReadOnly {
        /// The folder.
        folder: PathBuf,
    },
    /// The process may not use the folder or a file in it.
    #[error("no permission for {}; give it to the user that runs banter", path.display())]
    Permission {
        /// The path.
        path: PathBuf,
    },
    /// The folder belongs to another user.
    #[error(
        "the data folder {} belongs to user {owner}, and banter runs as user {us}; run it as user \
         {owner}, or choose another folder", folder.display()
    )]
    WrongOwner {
        /// The folder.
        folder: PathBuf,
        /// The number of the user that owns it.
        owner: u32,
        /// The number of the user that runs this process.
        us: u32,
    },
    /// The disk is full.
    #[error("the disk of the data folder {} is full; make room on it", folder.display())]
    Full {
        /// The folder.
        folder: PathBuf,
    },
    /// The process has no descriptor left for a file of the store.
    #[error("{}: too many files are open; raise the limit with `ulimit -n`", path.display())]
    TooManyFiles {
        /// The path.
        path: PathBuf,
    },
    /// The file is no database of banter.
    #[error("{}: expected a database of banter, found {found}; move it away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// A newer banter has written the file.
    #[error(
        "{}: it has schema version {found}, and this banter knows up to {known}; use a newer banter",
        path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// No step leads from the file's schema version to today's.
    #[error(
        "{}: no way leads from its schema version {found} to {known}; restore a backup",
        path.display()
    )]
    UnknownSchema {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The version of this program.
        known: u32,
    },
    /// The file is damaged. It is left as it is.
    #[error(
        "{}: the database is damaged ({finding}); restore a backup, or set the data folder's \
         database aside to begin anew", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        finding: String,
    },
    /// The write-ahead log of a store that was not closed has disappeared.
    #[error(
        "{}: the write-ahead log of a store that was not closed is missing; if another program has \
         opened the database meanwhile, nothing is lost, otherwise the newest messages are, unless \
         you put the log back; to go on, remove the file banter.open from the data folder",
        path.display()
    )]
    LogMissing {
        /// The path of the log.
        path: PathBuf,
    },
    /// SQLite is too old: it has bugs that lose data.
    #[error("SQLite {found} is too old: expected {needed} or newer; build banter with a newer one")]
    OldSqlite {
        /// The version that runs.
        found: String,
        /// The oldest version that is accepted.
        needed: &'static str,
    },
    /// Something else failed.
    #[error("the data folder {}: {reason}", folder.display())]
    Other {
        /// The folder.
        folder: PathBuf,
        /// What failed.
        reason: String,
    },
}

fn by(process: Option<u32>) -> String {
    process.map(|number| format!(" (process {number})")).unwrap_or_default()
}

/// Why a call failed. Nothing of the call was stored, unless the variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The user has no such conversation.
    #[error("unknown conversation")]
    UnknownConversation,
    /// The conversation has no such message.
    #[error("unknown message")]
    UnknownMessage,
    /// There is no such user.
    #[error("unknown user")]
    UnknownUser,
    /// There is no such key.
    #[error("unknown key")]
    UnknownKey,
    /// An answer was expected, and the message is a user's.
    #[error("the message is not an answer")]
    NotAnAnswer,
    /// A user's message was expected, and the message is an answer.
    #[error("the message is not a user's message")]
    NotAUserMessage,
    /// The answer is not finished yet.
    #[error("the answer is still being written")]
    AnswerRunning,
    /// The answer is finished already.
    #[error("the answer is not being written: its state is {}", state.name())]
    AnswerNotRunning {
        /// Its state.
        state: State,
    },
    /// The answer can't go on.
    #[error("the answer can't go on: its state is {}", state.name())]
    CannotContinue {
        /// Its state.
        state: State,
    },
    /// A field is longer than its limit.
    #[error("{field} is too long: at most {limit} {unit}, found {found}")]
    TooLong {
        /// The field.
        field: &'static str,
        /// The limit.
        limit: usize,
        /// The length.
        found: usize,
        /// What is counted.
        unit: &'static str,
    },
    /// A field does not have an allowed value.
    #[error("{field}: expected {expected}, found {found}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is allowed.
        expected: &'static str,
        /// What was found, without text of a conversation.
        found: String,
    },
    /// There are as many as there may be.
    #[error("too many {what}: at most {limit}")]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A piece of an answer does not continue what is stored.
    #[error("{field}: expected a piece that continues at {expected}, found one at {found}")]
    Gap {
        /// `text`, `thinking` or `tokens`.
        field: &'static str,
        /// How much is stored.
        expected: u64,
        /// Where the piece begins.
        found: u64,
    },
    /// The file that is to be written exists already.
    #[error("{} exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Too many calls wait. Try again later.
    #[error("too many calls wait for the store")]
    Busy,
    /// A read took longer than it may.
    #[error("the store took too long to read")]
    Timeout,
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// Reading or writing failed. It is unknown whether the call's data is stored: repeat it with
    /// the same client id, or read again.
    #[error("the disk failed: {reason}")]
    Failed {
        /// What SQLite says.
        reason: String,
    },
    /// The database is damaged.
    #[error("the database is damaged: {reason}")]
    Damaged {
        /// What SQLite says.
        reason: String,
    },
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// A bug in the store. The log has the details.
    #[error("internal error of the store: {reason}")]
    Internal {
        /// What failed, without text of a conversation.
        reason: String,
    },
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let reason = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full,
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
                StoreError::Failed { reason }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Damaged { reason }
            }
            Some(ErrorCode::OperationInterrupted) => StoreError::Timeout,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
            _ => match error {
                // A stored value that can't be read back.
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::Utf8Error(..) => StoreError::Damaged { reason },
                _ => StoreError::Internal { reason },
            },
        }
    }
}
