//! Items: messages, calls of functions and what these have returned.

use crate::Fault;
use crate::json::{Mistake, read, tree};
use banter_seam::{Message, Role, ToolCall};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::{Value, json};
use std::fmt;

/// Items in order, as they were sent and as they are understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Items {
    /// As they were sent.
    json: Vec<Value>,
    messages: Vec<Message>,
}

impl Items {
    /// Reads items that were written by [`Items::to_json`].
    ///
    /// Errors: they are no items.
    pub fn parse(text: &str) -> Result<Items, Fault> {
        let value =
            tree::read(text).map_err(|error| Fault::BadJson { reason: error.to_string() })?;
        read(&value).map_err(|mistake: Mistake| Fault::from(mistake))
    }

    /// The items as a JSON list.
    pub fn to_json(&self) -> String {
        Value::Array(self.json.clone()).to_string()
    }

    /// The items as they were sent.
    pub(super) fn json(&self) -> &[Value] {
        &self.json
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.json.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.json.is_empty()
    }

    /// The messages that they are. Calls belong to the answer before them.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Adds other items behind these.
    pub fn extend(&mut self, other: Items) {
        self.json.extend(other.json);
        for message in other.messages {
            add(&mut self.messages, message);
        }
    }
}

/// Adds a message. An answer that only calls is a part of the answer before it.
fn add(messages: &mut Vec<Message>, message: Message) {
    let only_calls = message.role == Role::Assistant
        && message.content.is_empty()
        && !message.tool_calls.is_empty();
    match messages.last_mut() {
        Some(last) if only_calls && last.role == Role::Assistant => {
            last.tool_calls.extend(message.tool_calls);
        }
        _ => messages.push(message),
    }
}

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Items, D::Error> {
        deserializer.deserialize_any(ItemsVisitor)
    }
}

struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text or a list of items")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Items, E> {
        Ok(Items {
            json: vec![json!({"type": "message", "role": "user", "content": text})],
            messages: vec![Message::user(text)],
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items, A::Error> {
        let mut items = Items::default();
        while let Some(Item { json, message }) = list.next_element()? {
            items.json.push(json);
            if let Some(message) = message {
                add(&mut items.messages, message);
            }
        }
        Ok(items)
    }
}

struct Item {
    json: Value,
    /// `None`: what the model thought before an earlier answer is not told again.
    message: Option<Message>,
}

#[derive(Deserialize)]
struct SentItem {
    #[serde(rename = "type")]
    kind: Option<String>,
    role: Option<String>,
    content: Option<Value>,
    call_id: Option<String>,
    name: Option<String>,
    arguments: Option<String>,
    output: Option<Value>,
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Item, D::Error> {
        let json = Value::deserialize(deserializer)?;
        let sent: SentItem = serde_json::from_value(json.clone()).map_err(|_| {
            D::Error::custom("an item: a message, a function_call or a function_call_output")
        })?;
        let message = sent.message().map_err(D::Error::custom)?;
        Ok(Item { json, message })
    }
}

impl SentItem {
    /// Errors: what was expected.
    fn message(self) -> Result<Option<Message>, String> {
        let lacks = |what: &str| format!("an item with its {what}");
        match self.kind.as_deref() {
            None | Some("message") => {
                let content = self.content.ok_or_else(|| lacks("content"))?;
                let role = match self.role.as_deref() {
                    Some("user") => Role::User,
                    Some("assistant") => Role::Assistant,
                    Some("system" | "developer") => Role::System,
                    _ => return Err("a role: user, assistant, system or developer".to_owned()),
                };
                Ok(Some(Message::new(role, text(&content)?)))
            }
            Some("function_call") => {
                let call = ToolCall {
                    id: self.call_id.ok_or_else(|| lacks("call_id"))?,
                    name: self.name.ok_or_else(|| lacks("name"))?,
                    arguments: self.arguments.ok_or_else(|| lacks("arguments"))?,
                };
                Ok(Some(Message { tool_calls: vec![call], ..Message::assistant("") }))
            }
            Some("function_call_output") => {
                let call = self.call_id.ok_or_else(|| lacks("call_id"))?;
                let output = text(&self.output.ok_or_else(|| lacks("output"))?)?;
                Ok(Some(Message { tool_call_id: Some(call), ..Message::new(Role::Tool, output) }))
            }
            Some("reasoning") => Ok(None),
            Some(_) => Err("an item of the type message, function_call, function_call_output or \
                            reasoning: this server has no others"
                .to_owned()),
        }
    }
}

/// A text: a string, or a list of parts.
///
/// Errors: what was expected.
fn text(content: &Value) -> Result<String, String> {
    let part = |part: &Value| {
        let text = match part.get("type").and_then(Value::as_str) {
            Some("input_text" | "output_text" | "text") => part.get("text"),
            Some("refusal") => part.get("refusal"),
            _ => None,
        };
        text.and_then(Value::as_str).map(str::to_owned).ok_or_else(|| {
            "parts of the types input_text, output_text and refusal: this server reads text only"
                .to_owned()
        })
    };
    match content {
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => parts.iter().map(part).collect(),
        _ => Err("content that is a string or a list of parts".to_owned()),
    }
}
