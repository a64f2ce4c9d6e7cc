//! The user of a socket, and the conversations that the socket follows.

use super::state::MAX_OPEN_CONVERSATIONS;
use crate::conversations::{Owner, SameId, Subscription};
use banter_protocol::v1::ClientEvent;
use banter_store::{ConversationId, MessageSeq};
use std::collections::HashMap;

/// The user of a socket, once it is known.
pub(super) struct User {
    pub(super) owner: Owner,
    pub(super) news: Subscription,
    pub(super) followed: HashMap<ConversationId, Followed>,
}

/// A conversation that the socket follows.
pub(super) struct Followed {
    /// News before this one are known already.
    pub(super) since: u64,
    /// Messages up to this one are known already.
    pub(super) newest: Option<MessageSeq>,
}

impl User {
    /// Whether an event would make the socket follow one conversation more than it may.
    pub(super) fn follows_too_many(&self, event: &ClientEvent) -> bool {
        let conversation = match event {
            ClientEvent::Open(open) => Some(open.conversation),
            ClientEvent::Send(send) => send.conversation,
            ClientEvent::Edit(edit) => Some(edit.conversation),
            ClientEvent::Regenerate(again) => Some(again.conversation),
            ClientEvent::Continue(more) => Some(more.conversation),
            _ => return false,
        };
        let is_followed = conversation.is_some_and(|id| self.followed.contains_key(&id.other()));
        !is_followed && self.followed.len() >= MAX_OPEN_CONVERSATIONS
    }
}
