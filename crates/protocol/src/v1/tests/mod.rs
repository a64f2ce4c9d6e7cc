//! Tests of the events, as bytes.

mod any;
mod client;
mod documented;
mod server;

use super::{ConversationId, MessageId};

/// Replaces the names of ids by ids.
fn with_ids(frame: &str) -> String {
    frame
        .replace("CONVERSATION", &ConversationId::from_bits(1).to_string())
        .replace("MESSAGE", &MessageId::from_bits(2).to_string())
        .replace("ANSWER", &MessageId::from_bits(3).to_string())
}
