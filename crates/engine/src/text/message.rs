//! The messages of a conversation, and the other values for a chat template.

use std::sync::Arc;

use serde_json::{Map, Value};

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
    /// A function that the model has called: its result.
    Tool,
}

impl Role {
    /// The role's name in chat templates and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
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
    /// Of an answer: the functions that it calls after its text.
    pub tool_calls: Vec<ToolCall>,
}

/// A call of a function, made by the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// The name of the function.
    pub name: String,
    /// Its arguments, usually an object.
    pub arguments: Value,
}

impl Message {
    /// A message that is known by its text alone.
    pub fn new(role: Role, content: impl Into<String>) -> Message {
        Message { role, content: content.into(), tokens: None, tool_calls: Vec::new() }
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

    /// The result of a function that the model has called.
    pub fn tool(content: impl Into<String>) -> Message {
        Message::new(Role::Tool, content)
    }

    /// The same message, made of these tokens.
    pub fn with_tokens(self, tokens: impl Into<Arc<[TokenId]>>) -> Message {
        Message { tokens: Some(tokens.into()), ..self }
    }
}

/// The values that a chat template gets in addition to the messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateExtras {
    /// The functions that the model may call, as OpenAI's interface describes them:
    /// `{"type": "function", "function": {"name": …, "description": …, "parameters": …}}`.
    pub tools: Vec<Value>,
    /// Further values by their names, as `enable_thinking`.
    pub options: Map<String, Value>,
}

impl TemplateExtras {
    /// Bytes of the names and texts in it, about, and one for each other value.
    pub(super) fn bytes(&self) -> usize {
        let tools: usize = self.tools.iter().map(bytes_of).sum();
        tools + self.options.iter().map(|(name, value)| name.len() + bytes_of(value)).sum::<usize>()
    }
}

fn bytes_of(value: &Value) -> usize {
    1 + match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(bytes_of).sum(),
        Value::Object(map) => map.iter().map(|(name, value)| name.len() + bytes_of(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
