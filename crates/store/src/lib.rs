//! Conversations, messages, users, keys and sessions that last, in SQLite.
//!
//! This crate is the only one that knows SQLite. It has no sockets, no HTTP, no engine and no async
//! runtime. All blocking work is done by threads of its own; a call returns a [`Reply`] at once,
//! which can be awaited or waited for.
//!
//! Reading order:
//! - [`Store`] (`store.rs`): the threads, and how calls reach them. `config.rs`, `error.rs` and
//!   `reply.rs`: what callers see of it.
//! - `message.rs`, `ids.rs`: what is stored. `schema.rs`, `rows.rs`: the tables, and their rows as
//!   values.
//! - `conversations.rs`, `messages.rs`, `asking.rs`, `answers.rs`, `growth.rs`, `users.rs`: the
//!   calls.
//! - `made_keys.rs`: keys that an operator has made by command, also while a server runs.
//! - `writer.rs`, `readers.rs`: the threads that write and read.
//! - `live`: answers that are being written, kept before a client sees them.
//! - `search`: finding messages by their words, in Chinese too.
//! - [`attached`]: files that clients put in front of a message's text.
//! - `open.rs`, `folder.rs`, `migrate.rs`: opening, and what is refused. `examine.rs`: looking at a
//!   store without changing it. `backup.rs`: copies.
//! - [`exchange`]: conversations as JSON and Markdown, and those of other programs.
//! - `faults.rs`: where tests let things fail.
//!
//! Absent on purpose: an ORM, asynchronous SQL, text of conversations in logs and errors.

#![forbid(unsafe_code)]

mod answers;
mod asking;
pub mod attached;
mod backup;
mod config;
mod conversations;
mod error;
mod examine;
pub mod exchange;
mod faults;
mod folder;
mod growth;
mod ids;
mod live;
mod made_keys;
mod message;
mod messages;
mod migrate;
mod open;
mod readers;
mod reply;
mod responses;
mod rows;
mod schema;
mod search;
mod store;
#[cfg(test)]
mod tests;
mod times;
mod users;
mod writer;

pub use answers::Ending;
pub use asking::{Ask, Asked, Continue, How, Position, Target};
pub use backup::BackupMade;
pub use config::{Clock, Limits, Place, StoreConfig, now_ms};
pub use conversations::{
    Archived, BadCursor, ConversationChange, ConversationPage, ListCursor, ListQuery,
    NewConversation,
};
pub use error::{OpenError, StoreError};
pub use examine::{Examined, examine};
pub use folder::{has_store, set_aside};
pub use growth::{Ends, Growth};
pub use ids::{
    BadId, ConversationId, ConversationNumber, MessageId, MessageSeq, SecretHash, UserId,
};
pub use made_keys::{KeyError, KeyRing, KeyTerms, KeyUsage, MadeKey};
pub use message::{
    AnswerError, Conversation, Message, Parameters, Reason, Role, State, Timings, TitleSource,
    Tree, Usage,
};
pub use messages::{DeletedPair, MessagePage};
pub use reply::Reply;
pub use responses::KeptResponse;
pub use search::{MessageHit, SearchQuery, SearchResult, Snippet, TitleHit};
pub use store::Store;
pub use users::{KeptSession, Key, NewUser, Session, User, UserKind};
