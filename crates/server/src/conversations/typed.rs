//! Messages that are being typed: where they will come, and what the model will be told then.

use super::history::History;
use super::state::{Conversations, Owner};
use super::wire::{self, v1_error};
use banter_protocol::v1::{self, ErrorCode, V1Error};
use banter_seam::{self as seam, ConversationNumber};
use banter_store::{Conversation, ConversationId, MessageId, Position, Role};

/// A message that is being typed.
pub(crate) struct Typed {
    pub(crate) place: TypedPlace,
    /// The text so far; it may be empty.
    pub(crate) text: String,
}

/// Where a message will come.
pub(crate) enum TypedPlace {
    /// In a new conversation, with this system prompt and these parameters.
    NewConversation { system: Option<String>, parameters: v1::Parameters },
    /// In a conversation that is there.
    In(ConversationId, Position),
}

/// The request that the model would get if the message were sent now.
pub(super) struct Preview {
    /// The messages; the last one is that which is being typed.
    pub(super) messages: Vec<seam::Message>,
    /// As in [`History`]. The typed message is not stored.
    pub(super) stored: Vec<MessageId>,
    pub(super) max_tokens: u32,
    pub(super) conversation: Option<ConversationNumber>,
}

impl Conversations {
    /// Returns the request that the model would get if the message were sent now, with the
    /// parameters of its conversation. Of an answer that is still being written, the
    /// stored part counts.
    pub(super) async fn preview(&self, owner: Owner, typed: Typed) -> Result<Preview, V1Error> {
        let settings = &self.inner.settings;
        let (history, parameters, conversation) = match typed.place {
            TypedPlace::NewConversation { system, parameters } => {
                (History::of_new(system.as_deref(), settings), parameters, None)
            }
            TypedPlace::In(id, position) => {
                let store = &self.inner.store;
                let conversation = store.conversation(owner.user, id).await.map_err(v1_error)?;
                let branch = match branch_end(&conversation, position) {
                    None => Vec::new(),
                    Some(end) => store.path(owner.user, id, end).await.map_err(v1_error)?,
                };
                let newest = branch.last().map(|message| message.role);
                if matches!(position, Position::After(_)) && newest == Some(Role::User) {
                    return Err(ErrorCode::NotAnAnswer.into());
                }
                let number = ConversationNumber(conversation.number.get());
                let parameters = wire::parameters(conversation.parameters.as_ref());
                let history = History::new(conversation.system.as_deref(), branch, settings);
                (history, parameters, Some(number))
            }
        };
        let History { mut messages, stored } = history;
        messages.push(seam::Message::user(typed.text));
        let max_tokens = parameters.into_seam().max_tokens;
        Ok(Preview { messages, stored, max_tokens, conversation })
    }
}

/// The message after which a new one comes at this position; `None` if it is a first message.
fn branch_end(conversation: &Conversation, position: Position) -> Option<MessageId> {
    match position {
        Position::AtLeaf => conversation.leaf,
        Position::After(message) => Some(message),
        // Typing beside a message is not offered.
        Position::First | Position::Beside(_) => None,
    }
}
