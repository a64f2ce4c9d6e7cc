//! Requests that take a while: they ask the store, and the outcome comes back to the session.

use super::readings::{finished, stored_finish};
use super::state::V1;
use crate::access::{Principal, RateKey, Sender};
use crate::answers::{Follower, Offsets};
use crate::conversations::{
    AcceptedRequest, CannotResume, MessagePlace, Opened, Opening, Owner, Request, Rest, Resumed,
    SameId, Typed, TypedPlace, What, position,
};
use banter_protocol::v1::client::{
    Continue, Draft, EditMessage, Hello, Key, Open, Regenerate, Resume, SendMessage,
};
use banter_protocol::v1::server::{self, Delta, Reset};
use banter_protocol::v1::{self, ErrorCode, ServerEvent, V1Error};
use banter_seam::ShareId;
use banter_store::{ConversationId, MessageId, Position};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Texts are sent in pieces of this size.
const PIECE_BYTES: usize = 32 * 1024;
/// The messages of a conversation are sent in frames of this size.
const MESSAGES_BYTES: usize = 256 * 1024;

/// Who has opened a socket.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Who the client is; `None` if it needs a key and has shown none yet.
    pub(crate) principal: Option<Principal>,
    /// Whose tries are counted if the key is wrong.
    pub(crate) rate_key: RateKey,
    /// Who may show a key.
    pub(crate) sender: Sender,
}

impl Caller {
    /// Whose share of the limits is used. Clients that have no key yet have one share together.
    pub(crate) fn share(&self) -> ShareId {
        self.principal.map(Principal::share).unwrap_or_default()
    }
}

/// What has come of a request.
pub(super) enum Outcome {
    /// Frames, and nothing else.
    Said(Vec<ServerEvent>),
    /// The client is this one.
    Greeted {
        owner: Owner,
        welcome: Box<server::Welcome>,
        /// Cancelled when the key that it has shown lets in no more.
        revoked: CancellationToken,
    },
    /// The client is nobody. The socket has to close.
    Unauthorized,
    /// The first messages of a conversation.
    Opened(ConversationId, Box<Opened>),
    /// The next ones.
    OpenedOn(ConversationId, Box<Opened>),
    /// The next ones cannot be read.
    CannotOpenOn(ConversationId, V1Error),
    Closed(ConversationId),
    Accepted(Box<AcceptedRequest>),
    /// The rest of an answer: frames, and a follower if it is being written.
    Resumed {
        ids: (ConversationId, MessageId),
        said: Vec<ServerEvent>,
        follower: Option<Follower>,
        with_thinking: bool,
    },
}

pub(super) async fn hello(v1: Arc<V1>, caller: Caller, hello: Hello) -> Outcome {
    let Some((principal, revoked)) = admit(&v1, caller, &hello) else {
        return Outcome::Unauthorized;
    };
    match v1.conversations.owner(principal).await {
        Ok(owner) => Outcome::Greeted { owner, welcome: Box::new(v1.welcome(principal)), revoked },
        Err(error) => Outcome::Said(vec![error.into()]),
    }
}

/// Who the client is, and what is cancelled when its key lets in no more; `None` if it is nobody.
fn admit(v1: &V1, caller: Caller, hello: &Hello) -> Option<(Principal, CancellationToken)> {
    let Caller { principal, rate_key, sender } = caller;
    let key = hello.key.as_ref().map(Key::expose);
    match (&hello.visitor, principal) {
        // Whatever else lets a browser in, on another site's page it is a visitor.
        (Some(secret), _) => {
            v1.access.admit_visitor(rate_key, key?, (&sender, secret.expose())).ok()
        }
        (None, Some(principal)) => Some((principal, CancellationToken::new())),
        (None, None) => v1.access.admit_key(rate_key, key?, &sender).ok(),
    }
}

pub(super) async fn open(v1: Arc<V1>, owner: Owner, open: Open) -> Outcome {
    let id = open.conversation.other();
    match v1.conversations.open(owner, id, Opening::default()).await {
        Ok(opened) => Outcome::Opened(id, Box::new(opened)),
        Err(error) => Outcome::Said(vec![error.into()]),
    }
}

/// Reads the next messages of a conversation that is being opened.
pub(super) async fn open_on(
    v1: Arc<V1>,
    owner: Owner,
    id: ConversationId,
    opening: Opening,
) -> Outcome {
    match v1.conversations.open(owner, id, opening).await {
        Ok(opened) => Outcome::OpenedOn(id, Box::new(opened)),
        Err(error) => Outcome::CannotOpenOn(id, error),
    }
}

pub(super) async fn ask(v1: Arc<V1>, owner: Owner, request: Request) -> Outcome {
    match v1.conversations.ask(owner, request).await {
        Ok(accepted) => Outcome::Accepted(Box::new(accepted)),
        Err(error) => Outcome::Said(vec![error.into()]),
    }
}

pub(super) fn send(send: SendMessage) -> Request {
    let place = match send.conversation {
        None => MessagePlace::NewConversation { system: send.system },
        Some(id) => MessagePlace::In(id.other(), position(send.parent)),
    };
    let what = What::Message { text: send.text.into_string(), place };
    Request { what, client_id: send.client_id.into_string(), parameters: send.parameters }
}

pub(super) fn edit(edit: EditMessage) -> Request {
    let position = Position::Beside(edit.message.other());
    let place = MessagePlace::In(edit.conversation.other(), position);
    let what = What::Message { text: edit.text.into_string(), place };
    Request { what, client_id: edit.client_id.into_string(), parameters: edit.parameters }
}

pub(super) fn regenerate(again: Regenerate) -> Request {
    let (conversation, answer) = (again.conversation.other(), again.message.other());
    let what = What::Another { conversation, answer };
    Request { what, client_id: again.client_id.into_string(), parameters: again.parameters }
}

pub(super) fn go_on(more: Continue) -> Request {
    let (conversation, answer) = (more.conversation.other(), more.message.other());
    let what = What::More { conversation, answer };
    Request { what, client_id: more.client_id.into_string(), parameters: more.parameters }
}

pub(super) async fn resume(v1: Arc<V1>, owner: Owner, resume: Resume) -> Outcome {
    let answer = resume.answer;
    let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    let with_thinking = resume.thinking_at.is_some();
    let offsets = Offsets { text: place(resume.at), thinking: resume.thinking_at.map_or(0, place) };
    match v1.conversations.resume(owner, answer.other(), offsets).await {
        Ok(resumed) => resumed_outcome(answer, resumed, (offsets, with_thinking)),
        Err(CannotResume::Failed(error)) => Outcome::Said(vec![error.into()]),
        Err(CannotResume::Reset(reason)) => {
            let epoch = v1.epoch.clone();
            Outcome::Said(vec![ServerEvent::Reset(Reset { answer, epoch, reason })])
        }
    }
}

fn resumed_outcome(
    answer: v1::MessageId,
    resumed: Resumed,
    (offsets, with_thinking): (Offsets, bool),
) -> Outcome {
    let conversation = resumed.conversation;
    let ids = (conversation, answer.other());
    let mut said = vec![ServerEvent::Resumed(server::Resumed {
        conversation: conversation.other(),
        answer,
        state: resumed.state,
        bytes: resumed.ends.text as u64,
        thinking_bytes: resumed.ends.thinking as u64,
    })];
    let follower = match resumed.rest {
        Rest::Live(follower) => Some(follower),
        Rest::Stored(message) => {
            let delta = |at, text| Delta { conversation: conversation.other(), answer, at, text };
            if with_thinking {
                let thinking = message.thinking.as_deref().unwrap_or_default();
                let pieces = pieces(thinking, offsets.thinking);
                said.extend(pieces.map(|(at, text)| ServerEvent::Thinking(delta(at, text))));
            }
            let pieces = pieces(&message.text, offsets.text);
            said.extend(pieces.map(|(at, text)| ServerEvent::Delta(delta(at, text))));
            said.extend(stored_finish(conversation, &message));
            None
        }
    };
    Outcome::Resumed { ids, said, follower, with_thinking }
}

/// The pieces of a text from an offset on, each with its own.
fn pieces(text: &str, from: usize) -> impl Iterator<Item = (u64, String)> {
    let mut at = from;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let piece = &rest[..rest.floor_char_boundary(PIECE_BYTES)];
        let begins = at as u64;
        at += piece.len();
        Some((begins, piece.to_owned()))
    })
}

/// The frames of the messages of a conversation that is being opened.
pub(super) fn messages_frames(opened: &mut Opened) -> Vec<ServerEvent> {
    let messages = std::mem::take(&mut opened.messages);
    let mut frames = v1::Messages::split(opened.conversation.id, messages, MESSAGES_BYTES);
    frames.last_mut().expect("there is at least one").more = opened.more;
    frames.into_iter().map(ServerEvent::Messages).collect()
}

/// The end of an answer that is not being written.
pub(super) async fn stopped(v1: Arc<V1>, owner: Owner, answer: MessageId) -> ServerEvent {
    if let Some((conversation, ended)) = v1.conversations.ended(owner, answer) {
        return finished((conversation, answer), &ended);
    }
    match v1.conversations.answer(owner, answer).await {
        Ok((conversation, message)) => stored_finish(conversation, &message)
            .unwrap_or_else(|| V1Error::from(ErrorCode::NotAnAnswer).into()),
        Err(error) => error.into(),
    }
}

/// Lets the model compute ahead what is being typed.
pub(super) async fn draft(v1: Arc<V1>, owner: Owner, draft: Draft, key: u64) {
    let place = match draft.conversation {
        None => TypedPlace::NewConversation {
            system: draft.system,
            parameters: v1::Parameters::default(),
        },
        Some(id) => TypedPlace::In(id.other(), position(draft.parent)),
    };
    v1.conversations.draft(owner, Typed { place, text: draft.text }, key).await;
}
