//! What a client sends.

use super::{ConversationId, MessageId, Parameters, Tagged, V1Error};
use crate::Settable;
use crate::json::tree::{self, Object};
use crate::json::{Found, Mistake, Value, null_as_default, one_of, read};
use crate::ranges;
use crate::text::Text;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A name that a client gives an event, to find the reply to it.
pub type Tag = Text<0, 64>;
/// A name that a client gives a request for an answer. A request that is sent twice with one name
/// counts once.
pub type ClientId = Text<1, 64>;
/// A message of a person.
pub type MessageText = Text<1, { usize::MAX }>;

/// An event of a client.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientEvent {
    /// The first event of every socket.
    Hello(Hello),
    /// Asks for a conversation and all that happens in it from now on.
    Open(Open),
    /// Asks for no more events of a conversation.
    Close(Close),
    /// Adds a message, and asks for an answer to it.
    Send(SendMessage),
    /// Adds another version of a message, and asks for an answer to it.
    Edit(EditMessage),
    /// Asks for another answer.
    Regenerate(Regenerate),
    /// Asks for more of an answer that ended too early.
    Continue(Continue),
    /// Ends an answer.
    Stop(Stop),
    /// Asks for the rest of an answer.
    Resume(Resume),
    /// The text that is being typed.
    Draft(Draft),
    /// Asks for a `pong`.
    Ping,
}

/// The first event of every socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[cfg_attr(test, ts(optional_fields))]
pub struct Hello {
    /// The key, if the handshake had none and one is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// A secret by which a visitor is known again: random letters and digits, which the page keeps.
    /// The key beside it has to be one for visitors, and nothing counts that the handshake had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visitor: Option<VisitorSecret>,
}

/// A key of the server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(transparent)]
pub struct Key(Text<1, 1024>);

/// The secret of a visitor. A shorter one could be guessed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(transparent)]
pub struct VisitorSecret(Text<26, 64>);

/// Asks for a conversation and all that happens in it from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Open {
    /// The conversation.
    pub conversation: ConversationId,
}

/// Asks for no more events of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Close {
    /// The conversation.
    pub conversation: ConversationId,
}

/// Adds a message, and asks for an answer to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[cfg_attr(test, ts(optional_fields))]
pub struct SendMessage {
    /// The conversation; without one, a new one is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
    /// The answer after which the message comes. `null` makes it a first message. If it is missing,
    /// the message comes after the newest message of the current branch.
    #[serde(default, skip_serializing_if = "Settable::is_missing")]
    #[cfg_attr(test, schemars(with = "Option<MessageId>"))]
    #[cfg_attr(test, ts(optional = nullable, as = "Option<MessageId>"))]
    pub parent: Settable<MessageId>,
    /// The message.
    pub text: MessageText,
    /// A name for this request, which no other request of the user has.
    pub client_id: ClientId,
    /// The system prompt of a new conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Parameters of this answer. A new conversation keeps them.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    #[serde(deserialize_with = "null_as_default")]
    #[cfg_attr(test, schemars(with = "Option<Parameters>"), ts(as = "Option<Parameters>"))]
    pub parameters: Parameters,
}

/// Adds another version of a message, and asks for an answer to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct EditMessage {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message of the person. It stays, and the new version gets the same parent.
    pub message: MessageId,
    /// The new version.
    pub text: MessageText,
    /// A name for this request, which no other request of the user has.
    pub client_id: ClientId,
    /// Parameters of this answer.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    #[serde(deserialize_with = "null_as_default")]
    #[cfg_attr(test, schemars(with = "Option<Parameters>"))]
    #[cfg_attr(test, ts(optional, as = "Option<Parameters>"))]
    pub parameters: Parameters,
}

/// Asks for another answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Regenerate {
    /// The conversation.
    pub conversation: ConversationId,
    /// The answer. It stays, and the new one gets the same parent.
    pub message: MessageId,
    /// A name for this request, which no other request of the user has.
    pub client_id: ClientId,
    /// Parameters of this answer.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    #[serde(deserialize_with = "null_as_default")]
    #[cfg_attr(test, schemars(with = "Option<Parameters>"))]
    #[cfg_attr(test, ts(optional, as = "Option<Parameters>"))]
    pub parameters: Parameters,
}

/// Asks for more of an answer that ended too early.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Continue {
    /// The conversation.
    pub conversation: ConversationId,
    /// The answer. It keeps its text, and more follows.
    pub message: MessageId,
    /// A name for this request, which no other request of the user has.
    pub client_id: ClientId,
    /// Parameters of what follows.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    #[serde(deserialize_with = "null_as_default")]
    #[cfg_attr(test, schemars(with = "Option<Parameters>"))]
    #[cfg_attr(test, ts(optional, as = "Option<Parameters>"))]
    pub parameters: Parameters,
}

/// Ends an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Stop {
    /// The answer.
    pub answer: MessageId,
}

/// Asks for the rest of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Resume {
    /// The answer.
    pub answer: MessageId,
    /// How many bytes of its text the client has.
    #[serde(deserialize_with = "ranges::offset")]
    pub at: u64,
    /// How many bytes of its thinking the client has. Without it, no thinking is sent.
    #[serde(default, deserialize_with = "ranges::optional_offset")]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub thinking_at: Option<u64>,
}

/// The text that is being typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[cfg_attr(test, ts(optional_fields))]
pub struct Draft {
    /// The conversation; none for a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
    /// As in [`SendMessage`].
    #[serde(default, skip_serializing_if = "Settable::is_missing")]
    #[cfg_attr(test, schemars(with = "Option<MessageId>"))]
    #[cfg_attr(test, ts(optional = nullable, as = "Option<MessageId>"))]
    pub parent: Settable<MessageId>,
    /// The text so far. An empty one ends the draft.
    pub text: String,
    /// The system prompt of a new conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
}

/// Reads one text frame of a client.
///
/// The tag is in the error too, if the frame is an object with a tag in the right form.
pub fn parse(frame: &str) -> Result<Tagged<ClientEvent>, Tagged<V1Error>> {
    let value = match tree::read(frame) {
        Ok(value) => value,
        Err(error) => {
            let event = V1Error::bad_json(error.to_string());
            return Err(Tagged { event, tag: tag_of_broken_frame(frame) });
        }
    };
    let Value::Object(object) = &value else {
        let reason = format!("expected an object, found {}", tree::show(&value));
        return Err(V1Error::bad_json(reason).into());
    };
    let TagField { tag } = read(&value).map_err(V1Error::from)?;
    match event_of(&value, object) {
        Ok(event) => Ok(Tagged { event, tag }),
        Err(event) => Err(Tagged { event, tag }),
    }
}

/// The tag of a frame that is an object of which a value cannot be read. Values are skipped without
/// a look at what is in them.
fn tag_of_broken_frame(frame: &str) -> Option<Tag> {
    serde_json::from_str::<TagField>(frame).ok()?.tag
}

/// What every event may have beside its own fields.
#[derive(Deserialize)]
#[cfg_attr(test, derive(Serialize, schemars::JsonSchema, ts_rs::TS))]
#[cfg_attr(test, ts(optional_fields))]
pub(crate) struct TagField {
    /// A name for the event. The direct reply to it, or the error, has the same tag.
    tag: Option<Tag>,
}

/// A type of events: its name, and how the rest of the object is read.
type EventType = (&'static str, fn(&Value) -> Result<ClientEvent, Mistake>);

const EVENT_TYPES: [EventType; 11] = [
    ("hello", |value| read(value).map(ClientEvent::Hello).map_err(hide_secret)),
    ("open", |value| read(value).map(ClientEvent::Open)),
    ("close", |value| read(value).map(ClientEvent::Close)),
    ("send", |value| read(value).map(ClientEvent::Send)),
    ("edit", |value| read(value).map(ClientEvent::Edit)),
    ("regenerate", |value| read(value).map(ClientEvent::Regenerate)),
    ("continue", |value| read(value).map(ClientEvent::Continue)),
    ("stop", |value| read(value).map(ClientEvent::Stop)),
    ("resume", |value| read(value).map(ClientEvent::Resume)),
    ("draft", |value| read(value).map(ClientEvent::Draft)),
    ("ping", |_| Ok(ClientEvent::Ping)),
];

fn event_of(value: &Value, object: &Object) -> Result<ClientEvent, V1Error> {
    let names = EVENT_TYPES.map(|(name, _)| name);
    let found = object.get("type").unwrap_or(&Value::Null);
    let Value::Text(name) = found else {
        return Err(Mistake::new("type", one_of(&names), found).into());
    };
    let Some((_, read)) = EVENT_TYPES.iter().find(|(known, _)| known == name) else {
        return Err(V1Error::unknown_event(Mistake::new("type", one_of(&names), found)));
    };
    let event = read(value)?;
    check_place(&event, object)?;
    Ok(event)
}

/// A new conversation has no message yet, and one that exists has its system prompt already.
fn check_place(event: &ClientEvent, object: &Object) -> Result<(), Mistake> {
    let (conversation, parent, system) = match event {
        ClientEvent::Send(send) => (send.conversation, send.parent, &send.system),
        ClientEvent::Draft(draft) => (draft.conversation, draft.parent, &draft.system),
        _ => return Ok(()),
    };
    let found = |field| object.get(field).unwrap_or(&Value::Null);
    if conversation.is_none() && matches!(parent, Settable::Value(_)) {
        let expected = "no message, because a new conversation has none";
        return Err(Mistake::new("parent", expected, found("parent")));
    }
    if conversation.is_some() && system.is_some() {
        let expected = "none, because the conversation has one: PATCH changes it";
        return Err(Mistake::new("system", expected, found("system")));
    }
    Ok(())
}

/// A key or a secret that is too long or too short is not repeated: errors may be logged.
fn hide_secret(mistake: Mistake) -> Mistake {
    Mistake { found: Found::Value("something else".into()), ..mistake }
}

impl Key {
    /// A key, if its length can be one of a key.
    pub fn new(key: impl Into<String>) -> Option<Key> {
        Text::new(key).map(Key)
    }

    /// The key. It must not be logged.
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

/// Events may be logged, and keys may not.
impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key")
    }
}

impl VisitorSecret {
    /// A secret, if its length can be one of a secret.
    pub fn new(secret: impl Into<String>) -> Option<VisitorSecret> {
        Text::new(secret).map(VisitorSecret)
    }

    /// The secret. It must not be logged.
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

/// As for keys.
impl fmt::Debug for VisitorSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("VisitorSecret")
    }
}
