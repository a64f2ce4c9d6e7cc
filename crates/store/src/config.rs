//! Where the store is, and its limits.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::StoreError;
use crate::faults::Faults;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Where the data is.
    pub place: Place,
    /// The longest texts and the largest numbers.
    pub limits: Limits,
    /// Threads that read. A [`Place::Memory`] has none: its writer's thread reads too.
    pub reader_threads: usize,
    /// How many calls may wait for the writer, for the readers, and for the live answers, each. One
    /// more fails at once with [`StoreError::Busy`]. There is room for every client of a server
    /// that comes back at the same moment; whoever calls bounds the bytes of the texts that wait.
    pub waiting_calls: usize,
    /// How long one read may take; then it fails with [`StoreError::Timeout`]. Long reads would
    /// keep the write-ahead log from being emptied.
    pub read_timeout: Duration,
    /// The clock that gives the times of messages. Nothing is ordered by it.
    pub clock: Clock,
    pub(crate) faults: Faults,
}

/// Where the data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a folder, which is made if its parent exists. It has nothing but the store in it.
    Folder(PathBuf),
    /// In memory: it is gone when the store is dropped.
    Memory,
}

impl StoreConfig {
    /// The usual configuration of a store at `place`.
    pub fn new(place: Place) -> Self {
        Self {
            place,
            limits: Limits::default(),
            reader_threads: 2,
            waiting_calls: 65_536,
            read_timeout: Duration::from_secs(10),
            clock: Clock::default(),
            faults: Faults::default(),
        }
    }
}

/// The longest texts and the largest numbers. A call that exceeds one fails with
/// [`StoreError::TooLong`] or [`StoreError::TooMany`], which names it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a user's message.
    pub text_bytes: usize,
    /// Bytes of an answer, and of what the model thought before it.
    pub answer_bytes: usize,
    /// Tokens of an answer.
    pub answer_tokens: usize,
    /// Bytes of a title.
    pub title_bytes: usize,
    /// Bytes of a system prompt.
    pub system_bytes: usize,
    /// Bytes of parameters as JSON.
    pub parameters_bytes: usize,
    /// Bytes of the id that a client gives a request.
    pub client_id_bytes: usize,
    /// Bytes of a user's, a key's or a model's name, of a scope, and of an error's code.
    pub name_bytes: usize,
    /// Bytes of an error's message.
    pub error_bytes: usize,
    /// Messages of a conversation.
    pub conversation_messages: usize,
    /// Conversations of a user.
    pub user_conversations: usize,
    /// Bytes of what is searched for.
    pub search_bytes: usize,
    /// Hits of a search, and conversations of a page of the list.
    pub page_rows: usize,
    /// Bytes of text that a page of messages may have; it has at least one message.
    pub page_bytes: usize,
    /// A search finds words in this many first bytes of a message.
    pub indexed_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            text_bytes: 1 << 20,
            answer_bytes: 4 << 20,
            answer_tokens: 1 << 20,
            title_bytes: 512,
            system_bytes: 256 << 10,
            parameters_bytes: 64 << 10,
            client_id_bytes: 64,
            name_bytes: 256,
            error_bytes: 4096,
            conversation_messages: 10_000,
            user_conversations: 100_000,
            search_bytes: 512,
            page_rows: 200,
            page_bytes: 256 << 10,
            indexed_bytes: 256 << 10,
        }
    }
}

/// Checks that `text` has at most `limit` bytes.
pub(crate) fn check_bytes(field: &'static str, text: &str, limit: usize) -> Result<(), StoreError> {
    check_count(field, text.len(), (limit, "bytes"))
}

/// Checks that there are at most this many of something.
pub(crate) fn check_count(
    field: &'static str,
    found: usize,
    (limit, unit): (usize, &'static str),
) -> Result<(), StoreError> {
    if found > limit {
        return Err(StoreError::TooLong { field, limit, found, unit });
    }
    Ok(())
}

/// Gives the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// A clock that `now_ms` reads: milliseconds since 1970.
    pub fn new(now_ms: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now_ms))
    }

    pub(crate) fn now_ms(&self) -> i64 {
        i64::try_from((self.0)()).unwrap_or(i64::MAX)
    }
}

/// The time now, in milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(now_ms)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
