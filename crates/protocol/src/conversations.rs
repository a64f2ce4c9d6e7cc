//! The queries and bodies of the routes under `/api/conversations`.
//!
//! [`Conversation`] and [`Message`] are those of `banter.v1`. Queries are read by [`read_query`]
//! and bodies by [`read_body`], which name what is wrong. An error is written as
//! [`Fault::to_json`] or as [`HttpError::to_json`].

use crate::Fault;
use crate::http::HttpError;
use crate::json::tree::{self, Object};
use crate::json::{Mistake, Value, null_as_default, read};
use crate::ranges::page_limit;
use crate::settable::Settable;
use crate::text::Text;
use crate::v1::{Conversation, ErrorCode, Message, MessageId, Parameters};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The title of a conversation.
pub type Title = Text<1, 512>;

/// The query of `GET /api/conversations`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ListQuery {
    /// Where the list goes on: `next` of the list before.
    pub after: Option<Text<1, 64>>,
    /// How many entries are wanted, if that is said.
    #[serde(deserialize_with = "page_limit")]
    pub limit: Option<u32>,
    /// Whether archived conversations are wanted. If it is missing, a list has those that are not
    /// archived, and a search has all.
    pub archived: Option<bool>,
    /// What is searched for.
    pub q: Option<Text<1, 512>>,
}

impl ListQuery {
    /// How many entries a list has if the query does not say it.
    pub const DEFAULT_LIMIT: u32 = 50;
}

/// The query of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct ExportQuery {
    /// How it is written; JSON if it is not said.
    #[serde(deserialize_with = "null_as_default")]
    pub format: ExportFormat,
}

/// How an export is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// The current branch as text for people.
    Markdown,
    /// Everything. An import takes it back.
    #[default]
    Json,
}

/// The query of `DELETE /api/conversations/{id}/messages/{message}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct DeletionQuery {
    /// Whether the messages that follow are deleted or kept; without it they are deleted.
    #[serde(deserialize_with = "null_as_default")]
    pub following: Following,
}

/// Whether the messages that follow a deleted one are deleted, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Following {
    /// They are deleted with it.
    #[default]
    Delete,
    /// The message is a user's. It is deleted with its answers, and what follows these stays.
    Keep,
}

/// Reads a query. A parameter without a value is as missing.
pub fn read_query<T: DeserializeOwned>(
    pairs: impl IntoIterator<Item = (String, String)>,
) -> Result<T, Fault> {
    Ok(read(&tree_of(pairs)?)?)
}

/// The parameters of a query as a tree.
fn tree_of(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Value, Mistake> {
    let mut object = Object::new();
    for (name, text) in pairs.into_iter().filter(|(_, text)| !text.is_empty()) {
        let number = || text.parse().ok().map(Value::Whole);
        let flag = || text.parse().ok().map(Value::Bool);
        let value = match name.as_str() {
            "limit" => number(),
            "archived" => flag(),
            _ => None,
        };
        let value = value.unwrap_or(Value::Text(text));
        if object.contains_key(&name) {
            return Err(Mistake::new(&name, "one value", &Value::List(vec![Value::Null, value])));
        }
        object.insert(name, value);
    }
    Ok(Value::Object(Box::new(object)))
}

/// Reads a body that is not an import.
pub fn read_body<T: DeserializeOwned>(body: &str) -> Result<T, Fault> {
    let value = tree::read(body).map_err(|error| Fault::BadJson { reason: error.to_string() })?;
    if !matches!(value, Value::Object(_)) {
        let reason = format!("expected an object, found {}", tree::show(&value));
        return Err(Fault::BadJson { reason });
    }
    Ok(read(&value)?)
}

/// `GET /api/conversations`: one page of the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct ConversationList {
    /// Pinned conversations first, and among each the newest first.
    pub conversations: Vec<Conversation>,
    /// What `after` has to be for the next page; `null` if this is the last one.
    pub next: Option<String>,
}

/// `GET /api/conversations?q=`: what a search has found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct SearchResults {
    /// The best first.
    pub hits: Vec<SearchHit>,
    /// Whether there are more than `limit`.
    pub more: bool,
}

/// A place that a search has found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct SearchHit {
    /// The conversation.
    pub conversation: Conversation,
    /// The message; `null` if the title was found.
    pub message: Option<MessageId>,
    /// Some of the text around what was found.
    pub snippet: String,
    /// What was found in the snippet, in order.
    pub marks: Vec<Mark>,
}

/// A part of a snippet, in bytes of UTF-8. It begins and ends between two characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Mark {
    /// Where it begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
}

/// `GET /api/conversations/{id}`: a conversation with all its messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct ConversationTree {
    /// The conversation.
    pub conversation: Conversation,
    /// All messages in the order in which they were added, so that each comes after its parent.
    pub messages: Vec<Message>,
}

/// `POST /api/conversations`: makes a conversation. The reply is a [`Conversation`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[cfg_attr(test, ts(optional_fields))]
pub struct NewConversation {
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// Its system prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Parameters of its answers.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    #[serde(deserialize_with = "null_as_default")]
    #[cfg_attr(test, schemars(with = "Option<Parameters>"), ts(as = "Option<Parameters>"))]
    pub parameters: Parameters,
}

/// `PATCH /api/conversations/{id}`: changes what it names. The reply is a [`Conversation`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[cfg_attr(test, ts(optional_fields))]
pub struct ConversationPatch {
    /// The title; `null` removes it.
    #[serde(default, skip_serializing_if = "Settable::is_missing")]
    #[cfg_attr(test, schemars(with = "Option<Title>"))]
    #[cfg_attr(test, ts(optional = nullable, as = "Option<Title>"))]
    pub title: Settable<Title>,
    /// Whether it comes before others in the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// Whether the list leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    /// The system prompt; `null` removes it.
    #[serde(default, skip_serializing_if = "Settable::is_missing")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    #[cfg_attr(test, ts(optional = nullable, as = "Option<String>"))]
    pub system: Settable<String>,
    /// All parameters of its answers; `null` removes them.
    #[serde(default, skip_serializing_if = "Settable::is_missing")]
    #[cfg_attr(test, schemars(with = "Option<Parameters>"))]
    #[cfg_attr(test, ts(optional = nullable, as = "Option<Parameters>"))]
    pub parameters: Settable<Parameters>,
    /// The newest message of the branch that is to be the current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf: Option<MessageId>,
}

/// `POST /api/conversations/{id}/context`: how a message that is being typed fits in the model's
/// context, together with what comes before it. The reply is a [`ContextFit`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[cfg_attr(test, ts(optional_fields))]
pub struct ContextRequest {
    /// The answer after which the message will come; `null` for a new first message. If it is
    /// missing, the message will come after the newest one of the current branch.
    #[serde(default, skip_serializing_if = "Settable::is_missing")]
    #[cfg_attr(test, schemars(with = "Option<MessageId>"))]
    #[cfg_attr(test, ts(optional = nullable, as = "Option<MessageId>"))]
    pub parent: Settable<MessageId>,
    /// The text so far; empty if it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// `POST /api/conversations/context`: the same for the first message of a conversation that does
/// not exist yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[cfg_attr(test, ts(optional_fields))]
pub struct NewContextRequest {
    /// The system prompt that the conversation will have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The parameters that the conversation will have.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    #[serde(deserialize_with = "null_as_default")]
    #[cfg_attr(test, schemars(with = "Option<Parameters>"), ts(as = "Option<Parameters>"))]
    pub parameters: Parameters,
    /// The text so far; empty if it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// How a message fits in the model's context: what the event `context` would say if it were sent.
///
/// If the message does not fit even alone, `left_out` has everything before it, and `prompt_tokens`
/// is not below `context_tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct ContextFit {
    /// The messages of the branch that the model would not get, oldest first. Empty if the engine
    /// cannot count tokens.
    pub left_out: Vec<MessageId>,
    /// Tokens of the prompt; `null` if the engine cannot count them.
    pub prompt_tokens: Option<u64>,
    /// Prompt and answer together can have this many tokens, if that is known.
    pub context_tokens: Option<u64>,
}

/// `POST /api/conversations/import`: what became of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct ImportReport {
    /// How many conversations were added.
    pub conversations: u64,
    /// How many messages these have.
    pub messages: u64,
    /// What was left out, and why, for people: the first ones.
    pub left_out: Vec<String>,
    /// How much was left out.
    pub left_out_count: u64,
}

impl From<ErrorCode> for HttpError {
    fn from(code: ErrorCode) -> HttpError {
        HttpError { code: code.name().into(), message: code.sentence().into() }
    }
}

#[cfg(test)]
mod tests;
