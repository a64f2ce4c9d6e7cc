//! The messages of a conversation.

use super::super::fields::Unsupported;
use crate::json::{Mistake, null_as_default};
use banter_seam::{Message, Role, ToolCall};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// A message as a client sends it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SentMessage {
    role: SentRole,
    #[serde(deserialize_with = "null_as_default")]
    content: String,
    #[serde(rename = "images", deserialize_with = "null_as_default")]
    _images: Vec<Unsupported>,
    #[serde(deserialize_with = "null_as_default")]
    tool_calls: Vec<SentCall>,
    tool_call_id: Option<String>,
    thinking: Option<String>,
    /// It changes nothing: the call has the name of the function, too.
    #[serde(rename = "tool_name")]
    _tool_name: IgnoredAny,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SentRole {
    System,
    User,
    Assistant,
    Tool,
}

#[derive(Deserialize)]
struct SentCall {
    id: Option<String>,
    function: SentFunction,
}

#[derive(Deserialize)]
struct SentFunction {
    name: String,
    #[serde(deserialize_with = "null_as_default")]
    arguments: Map<String, Value>,
}

impl SentMessage {
    /// The message for a backend; `place` is its path in the request.
    pub(super) fn into_seam(self, place: &str) -> Result<Message, Mistake> {
        let role = match self.role {
            SentRole::System => Role::System,
            SentRole::User => Role::User,
            SentRole::Assistant => Role::Assistant,
            SentRole::Tool => Role::Tool,
        };
        if !self.tool_calls.is_empty() && role != Role::Assistant {
            let expected = "nothing: only an assistant calls".to_owned();
            return Err(Mistake::missing(place, "tool_calls", expected));
        }
        let calls = self.tool_calls.into_iter().enumerate().map(|(index, call)| ToolCall {
            id: call.id.unwrap_or_else(|| format!("{place}.tool_calls[{index}]")),
            name: call.function.name,
            arguments: Value::Object(call.function.arguments).to_string(),
        });
        Ok(Message {
            thinking: self.thinking,
            tool_calls: calls.collect(),
            tool_call_id: self.tool_call_id,
            ..Message::new(role, self.content)
        })
    }
}
