//! What the server sends.

use super::{
    AnswerState, ClientId, Conversation, ConversationId, Finish, Message, MessageId, Tag, Tagged,
    V1Error,
};
use crate::conversations::Title;
use crate::http::ModelInfo;
use serde::{Deserialize, Serialize};
use std::io;

/// An event of the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerEvent {
    /// The reply to `hello`.
    Welcome(Box<Welcome>),
    /// The first reply to `open`.
    Opened(Box<Opened>),
    /// The second reply to `open`, in one or more frames.
    Messages(Messages),
    /// The reply to `close`.
    Closed(Closed),
    /// The reply to a request for an answer. The request is stored now.
    Accepted(Accepted),
    /// A message was added, or `continue` has begun to change it.
    Message(Box<MessageAdded>),
    /// An answer waits in the queue.
    Queued(Queued),
    /// The prompt of an answer is being computed.
    Prefill(Prefill),
    /// How the conversation fits in the model's context.
    Context(Context),
    /// More of what the model thinks before an answer.
    Thinking(Delta),
    /// More of an answer.
    Delta(Delta),
    /// An answer has ended.
    Finished(Box<Finished>),
    /// The reply to `resume`.
    Resumed(Resumed),
    /// The reply to `resume` if the answer or the place is not known.
    Reset(Reset),
    /// A conversation was made, changed or deleted.
    Changed(Box<Changed>),
    /// An event could not be read or done.
    Error(V1Error),
    /// The reply to `ping`.
    Pong,
    /// The server is about to close the socket.
    GoingAway(GoingAway),
    /// An event of a type that this version does not know.
    #[serde(other)]
    #[cfg_attr(test, schemars(skip), ts(skip))]
    Unknown,
}

/// The reply to `hello`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Welcome {
    /// The version of the server.
    pub version: String,
    /// A name of this run of the server. If it differs from the last one, the server has been
    /// started again.
    pub epoch: String,
    /// A name of the user. It differs between people.
    pub user: String,
    /// The model that answers; `null` while none is loaded.
    pub model: Option<ModelInfo>,
    /// Prompt and answer together can have this many tokens, if that is known.
    pub context_tokens: Option<u64>,
    /// The limits of a client.
    pub limits: SocketLimits,
    /// Whether conversations outlive the server.
    pub stores: bool,
    /// What becomes of an answer that nobody follows any more.
    pub on_disconnect: OnDisconnect,
    /// `grace`: for how long it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub grace_ms: Option<u64>,
}

/// The limits of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct SocketLimits {
    /// The longest frame of a client, in bytes.
    pub message_bytes: u64,
    /// The longest `client_id`, in bytes.
    pub client_id_bytes: u64,
    /// The longest `tag`, in bytes.
    pub tag_bytes: u64,
    /// The longest title of a conversation, in bytes.
    pub title_bytes: u64,
    /// How many conversations a socket may follow at a time.
    pub open_conversations: u64,
}

impl SocketLimits {
    /// The limits of this server. Those of single fields are the same for every server.
    pub fn new(message_bytes: u64, open_conversations: u64) -> SocketLimits {
        SocketLimits {
            message_bytes,
            client_id_bytes: ClientId::MAX_BYTES as u64,
            tag_bytes: Tag::MAX_BYTES as u64,
            title_bytes: Title::MAX_BYTES as u64,
            open_conversations,
        }
    }
}

/// What becomes of an answer that nobody follows any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// It goes on to its end.
    Finish,
    /// It goes on for a while.
    Grace,
    /// It stops at once.
    Stop,
    /// Something that this version does not know.
    #[serde(other)]
    #[cfg_attr(test, schemars(skip), ts(skip))]
    Unknown,
}

/// The first reply to `open`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Opened {
    /// The conversation.
    pub conversation: Conversation,
}

/// The messages of a conversation, or some of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Messages {
    /// The conversation.
    pub conversation: ConversationId,
    /// Messages in the order in which they were added, so that each comes after its parent.
    pub messages: Vec<Message>,
    /// Whether another frame with messages follows.
    pub more: bool,
}

/// The reply to `close`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Closed {
    /// The conversation.
    pub conversation: ConversationId,
}

/// The reply to a request for an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Accepted {
    /// The name that the client gave the request.
    pub client_id: ClientId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The message that was added; `null` for `regenerate` and `continue`.
    pub message: Option<MessageId>,
    /// The answer.
    pub answer: MessageId,
    /// The parent of `message`, or, without one, of `answer`.
    pub parent: Option<MessageId>,
    /// Whether the same request had been accepted before. Nothing new was started.
    pub duplicate: bool,
}

/// A message was added, or `continue` has begun to change it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct MessageAdded {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message. It replaces one with the same id.
    pub message: Message,
}

/// An answer waits in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Queued {
    /// The conversation.
    pub conversation: ConversationId,
    /// The answer.
    pub answer: MessageId,
    /// How many requests are ahead of it.
    pub ahead: u64,
    /// How long it will wait, if that can be estimated.
    pub estimate_ms: Option<u64>,
}

/// The prompt of an answer is being computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Prefill {
    /// The conversation.
    pub conversation: ConversationId,
    /// The answer.
    pub answer: MessageId,
    /// Prompt tokens computed so far.
    pub done: u64,
    /// Prompt tokens in all.
    pub total: u64,
    /// Prompt tokens that had been computed before.
    pub cached: u64,
}

/// How the conversation fits in the model's context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Context {
    /// The conversation.
    pub conversation: ConversationId,
    /// The answer.
    pub answer: MessageId,
    /// The messages of the branch that the model does not get, oldest first.
    pub left_out: Vec<MessageId>,
    /// Tokens of the prompt, if they are known.
    pub prompt_tokens: Option<u64>,
    /// Prompt and answer together can have this many tokens, if that is known.
    pub context_tokens: Option<u64>,
}

/// More of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Delta {
    /// The conversation.
    pub conversation: ConversationId,
    /// The answer.
    pub answer: MessageId,
    /// How many bytes of the text come before it.
    pub at: u64,
    /// Whole characters, never none.
    pub text: String,
}

/// An answer has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Finished {
    /// The conversation.
    pub conversation: ConversationId,
    /// The answer.
    pub answer: MessageId,
    /// How it stands now.
    pub state: AnswerState,
    /// The length of its text.
    pub bytes: u64,
    /// The length of what the model thought.
    pub thinking_bytes: u64,
    /// How it ended.
    #[serde(flatten)]
    pub finish: Finish,
}

/// The reply to `resume`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Resumed {
    /// The conversation.
    pub conversation: ConversationId,
    /// The answer.
    pub answer: MessageId,
    /// How it stands.
    pub state: AnswerState,
    /// The length of its text so far.
    pub bytes: u64,
    /// The length of what the model has thought so far.
    pub thinking_bytes: u64,
}

/// The reply to `resume` if the answer or the place is not known. The client opens the conversation
/// again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Reset {
    /// The answer.
    pub answer: MessageId,
    /// The name of this run of the server.
    pub epoch: String,
    /// What is not known.
    pub reason: ResetReason,
}

/// What is not known about an answer that was to be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// The user has no such answer.
    UnknownAnswer,
    /// The text has no character that begins there.
    UnknownOffset,
    /// Something that this version does not know.
    #[serde(other)]
    #[cfg_attr(test, schemars(skip), ts(skip))]
    Unknown,
}

/// A conversation was made, changed or deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Changed {
    /// The conversation.
    pub conversation: ConversationId,
    /// What happened.
    pub change: Change,
    /// The conversation as it is now; missing if it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub summary: Option<Conversation>,
    /// A message that was deleted, with all that followed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub removed: Option<MessageId>,
    /// A user's message that was deleted with its answers, while what followed them was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub removed_pair: Option<RemovedPair>,
}

/// A user's message that was deleted with its answers.
///
/// A message that is not among them, and whose parent is, has the parent of this pair from now on.
/// Nothing else about it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct RemovedPair {
    /// The user's message, and then all its answers.
    pub messages: Vec<MessageId>,
    /// The message before the user's message; `null` if that was a first message.
    pub parent: Option<MessageId>,
}

/// What happened to a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Created,
    /// A field of its summary has another value, or a message was deleted.
    Updated,
    /// It is gone.
    Deleted,
    /// Something that this version does not know.
    #[serde(other)]
    #[cfg_attr(test, schemars(skip), ts(skip))]
    Unknown,
}

/// The server is about to close the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct GoingAway {
    /// Why.
    pub reason: GoingAwayReason,
}

/// Why the server closes a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum GoingAwayReason {
    /// The server is shut down or started again.
    Shutdown,
    /// The key or session is no longer valid.
    Revoked,
    /// Something that this version does not know.
    #[serde(other)]
    #[cfg_attr(test, schemars(skip), ts(skip))]
    Unknown,
}

impl ServerEvent {
    /// The text of the frame.
    pub fn to_json(&self) -> String {
        super::to_json(self)
    }

    /// The event with the tag of the event that it replies to.
    pub fn tagged(self, tag: Option<Tag>) -> Tagged<ServerEvent> {
        Tagged { event: self, tag }
    }
}

impl From<V1Error> for ServerEvent {
    fn from(error: V1Error) -> ServerEvent {
        ServerEvent::Error(error)
    }
}

impl Messages {
    /// Splits the messages of a conversation into frames of at most `frame_bytes`.
    ///
    /// A message that is longer alone has a frame of its own. There is at least one frame. The
    /// bytes count with the longest tag, so that every frame may have one.
    pub fn split(
        conversation: ConversationId,
        messages: Vec<Message>,
        frame_bytes: usize,
    ) -> Vec<Messages> {
        let empty = Messages { conversation, messages: Vec::new(), more: true };
        let room = frame_bytes.saturating_sub(json_bytes(&empty) + TYPE_AND_TAG_BYTES);
        let mut frames = vec![empty];
        let mut taken = 0;
        for message in messages {
            let bytes = json_bytes(&message) + ",".len();
            let newest = frames.last().expect("there is a frame from the beginning");
            if taken + bytes > room && !newest.messages.is_empty() {
                frames.push(Messages { conversation, messages: Vec::new(), more: true });
                taken = 0;
            }
            taken += bytes;
            frames.last_mut().expect("there is a frame").messages.push(message);
        }
        frames.last_mut().expect("there is a frame").more = false;
        frames
    }
}

/// `"type":"messages",` and `"tag":"…",` with 64 bytes that JSON writes as six each.
const TYPE_AND_TAG_BYTES: usize = 19 + 9 + 6 * 64;

/// How long the JSON of a value is. Nothing is allocated for it.
fn json_bytes(value: &impl Serialize) -> usize {
    struct Counter(usize);

    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, value).expect("counting does not fail");
    counter.0
}
