//! What the model is told of a conversation.

use super::Settings;
use banter_seam as seam;
use banter_store::{Conversation, Message, MessageId, Role};

/// The messages of a branch as a model gets them.
pub(super) struct History {
    pub(super) messages: Vec<seam::Message>,
    /// The stored ones of these messages, in the same order.
    pub(super) stored: Vec<MessageId>,
}

impl History {
    /// The history of a branch, oldest message first. Answers without text say nothing and are left
    /// out.
    pub(super) fn new(
        conversation: &Conversation,
        branch: Vec<Message>,
        settings: &Settings,
    ) -> History {
        let system = conversation.system.as_ref().or(settings.system_prompt.as_ref());
        let mut messages: Vec<seam::Message> =
            system.filter(|text| !text.is_empty()).map(seam::Message::system).into_iter().collect();
        let mut stored = Vec::new();
        for message in branch {
            if message.text.is_empty() {
                continue;
            }
            stored.push(message.id);
            messages.push(match message.role {
                Role::User => seam::Message::user(message.text),
                Role::Assistant if message.tokens.is_empty() => {
                    seam::Message::assistant(message.text)
                }
                Role::Assistant => {
                    seam::Message::assistant(message.text).with_tokens(message.tokens)
                }
            });
        }
        History { messages, stored }
    }
}
