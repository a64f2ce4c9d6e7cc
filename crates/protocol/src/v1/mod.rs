//! `banter.v1`: the WebSocket language of `/ws` with the subprotocol `banter.v1`.
//!
//! Every text frame is one event, a JSON object with a `type`. `docs/PROTOCOL.md` says what each
//! event means and in which order events come; this module has their words.
//!
//! Reading order:
//! - [`client`]: what a client sends. [`parse`] checks every value, or says what is wrong and
//!   where.
//! - [`server`]: what the server sends. Clients in Rust read it with the same types.
//! - [`conversation`]: conversations and messages, which HTTP bodies have too.
//! - [`error`]: what can be wrong.
//! - [`ids`], [`parameters`]: the values in them.
//!
//! To add an event of clients: its struct, its variant and its row in `client.rs`, an example in
//! `tests/client.rs`. To add an event of the server: its struct and its variant in `server.rs`, an
//! example in `tests/server.rs`. Both are listed in `schema.rs`.

pub mod client;
pub mod conversation;
pub mod error;
pub mod ids;
pub mod parameters;
pub mod server;
#[cfg(test)]
mod tests;

pub use client::{ClientEvent, ClientId, Tag, parse};
pub use conversation::{AnswerState, Conversation, Finish, FinishReason, Message, Role};
pub use error::{ErrorCode, ErrorDetails, V1Error};
pub use ids::{BadId, ConversationId, MessageId};
pub use parameters::Parameters;
pub use server::{Messages, ServerEvent};

use serde::{Deserialize, Serialize};

/// The name of the language in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "banter.v1";

/// Something with the tag of the event that it belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tagged<T> {
    /// What is tagged.
    #[serde(flatten)]
    pub event: T,
    /// What the client wrote into `tag`. The direct reply carries the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
}

impl<T> Tagged<T> {
    /// Something without a tag.
    pub fn untagged(event: T) -> Tagged<T> {
        Tagged { event, tag: None }
    }

    /// Changes what is tagged and keeps the tag.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Tagged<U> {
        Tagged { event: change(self.event), tag: self.tag }
    }
}

impl<T> From<T> for Tagged<T> {
    fn from(event: T) -> Tagged<T> {
        Tagged::untagged(event)
    }
}

impl Tagged<ServerEvent> {
    /// The text of the frame.
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// Reads a frame of the server. An event of a type that this version does not know is
    /// [`ServerEvent::Unknown`].
    pub fn parse(frame: &str) -> Result<Tagged<ServerEvent>, serde_json::Error> {
        serde_json::from_str(frame)
    }
}

impl Tagged<ClientEvent> {
    /// The text of the frame.
    pub fn to_json(&self) -> String {
        to_json(self)
    }
}

fn to_json(event: &impl Serialize) -> String {
    serde_json::to_string(event).expect("events have string keys and no values that can fail")
}
