//! One message of a conversation, as the chat template sees it.

use std::sync::Arc;

use super::TokenId;

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The operator: instructions for the model.
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The role's name in chat templates and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who wrote it.
    pub role: Role,
    /// The text of the message. It never becomes control tokens, even if it contains their
    /// literals.
    pub content: String,
    /// Of an answer: the tokens that made it, if the caller knows them. The prompt then has these
    /// in place of those that the tokenizer would cut the text into, so that the keys and values
    /// that were computed for them are found again. Tokens that do not spell `content` are ignored.
    pub tokens: Option<Arc<[TokenId]>>,
}

impl Message {
    /// A message that is known by its text alone.
    pub fn new(role: Role, content: impl Into<String>) -> Message {
        Message { role, content: content.into(), tokens: None }
    }

    /// A message of the operator.
    pub fn system(content: impl Into<String>) -> Message {
        Message::new(Role::System, content)
    }

    /// A message of the user.
    pub fn user(content: impl Into<String>) -> Message {
        Message::new(Role::User, content)
    }

    /// An answer of the model.
    pub fn assistant(content: impl Into<String>) -> Message {
        Message::new(Role::Assistant, content)
    }

    /// The same message, made of these tokens.
    pub fn with_tokens(self, tokens: impl Into<Arc<[TokenId]>>) -> Message {
        Message { tokens: Some(tokens.into()), ..self }
    }
}
