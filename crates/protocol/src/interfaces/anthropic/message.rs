//! The messages of a conversation.

use crate::json::{Mistake, null_as_default};
use banter_seam::{Message, Role, ToolCall};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Unexpected, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// A message as a client sends it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SentMessage {
    role: SentRole,
    content: Blocks,
    /// Fields of an earlier answer that clients send back.
    #[serde(rename = "id")]
    _id: IgnoredAny,
    #[serde(rename = "model")]
    _model: IgnoredAny,
    #[serde(rename = "stop_reason")]
    _stop_reason: IgnoredAny,
    #[serde(rename = "stop_sequence")]
    _stop_sequence: IgnoredAny,
    #[serde(rename = "type")]
    _type: IgnoredAny,
    #[serde(rename = "usage")]
    _usage: IgnoredAny,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum SentRole {
    System,
    User,
    Assistant,
}

/// The content of a message: a string, or a list of blocks.
pub(super) struct Blocks(Vec<Block>);

enum Block {
    Text(String),
    Call(ToolCall),
    /// What a function has returned to a call.
    Returned {
        call: String,
        text: String,
    },
    /// What the model thought before an earlier answer is not told again.
    Thoughts,
}

impl<'de> Deserialize<'de> for Blocks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Blocks, D::Error> {
        deserializer.deserialize_any(BlocksVisitor)
    }
}

struct BlocksVisitor;

impl<'de> Visitor<'de> for BlocksVisitor {
    type Value = Blocks;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string or a list of blocks")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Blocks, E> {
        Ok(Blocks(vec![Block::Text(text.to_owned())]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Blocks, A::Error> {
        let mut blocks = Vec::new();
        while let Some(block) = list.next_element()? {
            blocks.push(block);
        }
        Ok(Blocks(blocks))
    }
}

#[derive(Deserialize)]
struct SentBlock {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    id: Option<String>,
    name: Option<String>,
    input: Option<Map<String, Value>>,
    tool_use_id: Option<String>,
    #[serde(deserialize_with = "null_as_default")]
    content: Text,
}

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Block, D::Error> {
        let sent = SentBlock::deserialize(deserializer)?;
        let lacks = |what: &str| D::Error::custom(format_args!("a block with its {what}"));
        match sent.kind.as_str() {
            "text" => sent.text.map(Block::Text).ok_or_else(|| lacks("text")),
            "thinking" | "redacted_thinking" => Ok(Block::Thoughts),
            "tool_use" => Ok(Block::Call(ToolCall {
                id: sent.id.ok_or_else(|| lacks("id"))?,
                name: sent.name.ok_or_else(|| lacks("name"))?,
                arguments: Value::Object(sent.input.ok_or_else(|| lacks("input"))?).to_string(),
            })),
            "tool_result" => Ok(Block::Returned {
                call: sent.tool_use_id.ok_or_else(|| lacks("tool_use_id"))?,
                text: sent.content.0,
            }),
            _ => {
                let kinds = &"a block of the type text, thinking, tool_use or tool_result: this server reads text only";
                Err(D::Error::invalid_value(Unexpected::Str(&sent.kind), kinds))
            }
        }
    }
}

/// A text: a string, or a list of blocks of the type `text`.
#[derive(Default)]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        let Blocks(blocks) = Blocks::deserialize(deserializer)?;
        let mut text = String::new();
        for block in blocks {
            match block {
                Block::Text(piece) => text.push_str(&piece),
                _ => return Err(D::Error::custom("a string or a list of blocks of the type text")),
            }
        }
        Ok(Text(text))
    }
}

impl SentMessage {
    /// The messages for a backend; `place` is its path in the request. What functions have returned
    /// become messages of their own.
    pub(super) fn into_seam(self, place: &str) -> Result<Vec<Message>, Mistake> {
        let wrong = |expected: &str| Err(Mistake::missing(place, "content", expected.to_owned()));
        let (mut messages, mut text, mut calls) = (Vec::new(), String::new(), Vec::new());
        let role = match self.role {
            SentRole::System => Role::System,
            SentRole::User => Role::User,
            SentRole::Assistant => Role::Assistant,
        };
        let is_empty = self.content.0.is_empty();
        for block in self.content.0 {
            match block {
                Block::Text(piece) => text.push_str(&piece),
                Block::Thoughts => {}
                Block::Call(call) if role == Role::Assistant => calls.push(call),
                Block::Call(_) => return wrong("no tool_use: only an assistant calls"),
                Block::Returned { call, text: returned } if role == Role::User => {
                    if !text.is_empty() {
                        messages.push(Message::user(std::mem::take(&mut text)));
                    }
                    let tool_call_id = Some(call);
                    messages.push(Message { tool_call_id, ..Message::new(Role::Tool, returned) });
                }
                Block::Returned { .. } => return wrong("no tool_result: only a user returns one"),
            }
        }
        if is_empty {
            return wrong("at least one block");
        }
        if !text.is_empty() || !calls.is_empty() || messages.is_empty() {
            messages.push(Message { tool_calls: calls, ..Message::new(role, text) });
        }
        Ok(messages)
    }
}
