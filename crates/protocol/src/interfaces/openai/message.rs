//! The messages of a conversation.

use super::super::fields::Unsupported;
use crate::json::{Mistake, null_as_default};
use banter_seam::{Message, Role, ToolCall};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Unexpected, Visitor};
use std::fmt;

/// A message as a client sends it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SentMessage {
    role: SentRole,
    #[serde(deserialize_with = "null_as_default")]
    content: Content,
    #[serde(deserialize_with = "null_as_default")]
    tool_calls: Vec<SentCall>,
    tool_call_id: Option<String>,
    /// A refusal of an earlier answer is its text.
    refusal: Option<String>,
    /// What the model thought before an earlier answer, under the two names that servers give it.
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    /// Fields that change nothing: the name of one of several people, and parts of an earlier answer
    /// other than its text.
    #[serde(rename = "name")]
    _name: IgnoredAny,
    #[serde(rename = "annotations")]
    _annotations: IgnoredAny,
    /// `null` in answers of a text model, which clients send back.
    #[serde(rename = "audio")]
    _audio: Option<Unsupported>,
    #[serde(rename = "function_call")]
    _function_call: Option<Unsupported>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum SentRole {
    System,
    Developer,
    User,
    Assistant,
    Tool,
}

/// The text of a message: a string, or a list of parts.
#[derive(Default)]
struct Content(String);

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string or a list of parts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
        Ok(Content(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut text = String::new();
        while let Some(part) = list.next_element::<Part>()? {
            text.push_str(&part.text);
        }
        Ok(Content(text))
    }
}

/// A part of a message: text, or the refusal of an earlier answer.
struct Part {
    text: String,
}

#[derive(Deserialize)]
struct SentPart {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Part, D::Error> {
        let SentPart { kind, text, refusal } = SentPart::deserialize(deserializer)?;
        let text = match kind.as_str() {
            "text" => text,
            "refusal" => refusal,
            _ => {
                let kinds = &"a part of the type text: this server reads text only";
                return Err(D::Error::invalid_value(Unexpected::Str(&kind), kinds));
            }
        };
        text.map(|text| Part { text }).ok_or_else(|| D::Error::custom("a part with its text"))
    }
}

#[derive(Deserialize)]
struct SentCall {
    id: String,
    #[serde(rename = "type")]
    _kind: IgnoredAny,
    function: SentFunction,
}

#[derive(Deserialize)]
struct SentFunction {
    name: String,
    arguments: String,
}

impl SentMessage {
    /// The message for a backend; `place` is its path in the request.
    pub(super) fn into_seam(self, place: &str) -> Result<Message, Mistake> {
        let wrong = |field: &str, expected: String| Err(Mistake::missing(place, field, expected));
        let role = match self.role {
            SentRole::System | SentRole::Developer => Role::System,
            SentRole::User => Role::User,
            SentRole::Assistant => Role::Assistant,
            SentRole::Tool => Role::Tool,
        };
        if !self.tool_calls.is_empty() && role != Role::Assistant {
            return wrong("tool_calls", "nothing: only an assistant calls".to_owned());
        }
        if role == Role::Tool && self.tool_call_id.is_none() {
            return wrong("tool_call_id", "the id of the call".to_owned());
        }
        let Content(mut content) = self.content;
        content.push_str(self.refusal.as_deref().unwrap_or_default());
        let calls = self.tool_calls.into_iter().map(|call| ToolCall {
            id: call.id,
            name: call.function.name,
            arguments: call.function.arguments,
        });
        Ok(Message {
            thinking: self.reasoning_content.or(self.reasoning),
            tool_calls: calls.collect(),
            tool_call_id: self.tool_call_id,
            ..Message::new(role, content)
        })
    }
}
