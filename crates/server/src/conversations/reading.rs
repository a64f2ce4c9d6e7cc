//! What is stored, together with the answers that are being written.

use super::state::{Conversations, Owner, RunningAnswer};
use super::wire::{self, v1_error};
use crate::answers::{Ended, Follower, LiveAnswer, Offsets};
use banter_protocol::conversations::ConversationTree;
use banter_protocol::v1::server::ResetReason;
use banter_protocol::v1::{self, ErrorCode, V1Error};
use banter_store::{ConversationId, Message, MessageId, MessageSeq};
use std::sync::Arc;
use std::time::Duration;

/// How often an answer is looked for again that is stored as running and is not, because it is
/// about to start or has just ended.
const LOOKS: u32 = 100;
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A conversation with its messages, or with some of them.
pub(crate) struct Opened {
    pub(crate) conversation: v1::Conversation,
    pub(crate) messages: Vec<v1::Message>,
    /// The newest of these messages, or of those before them.
    pub(crate) newest: Option<MessageSeq>,
    /// The answers that are being written, of these messages and of those before them. Their texts
    /// so far are in the messages.
    pub(crate) running: Vec<Running>,
    /// More messages come after these.
    pub(crate) more: bool,
}

/// Where reading a conversation goes on, and what was found before.
#[derive(Default)]
pub(crate) struct Opening {
    pub(crate) newest: Option<MessageSeq>,
    pub(crate) running: Vec<Running>,
}

/// An answer that is being written.
pub(crate) struct Running {
    pub(crate) answer: MessageId,
    /// Reads on where the text ends that was returned with it.
    pub(crate) follower: Follower,
}

/// An answer that somebody reads on.
pub(crate) struct Resumed {
    pub(crate) conversation: ConversationId,
    pub(crate) state: v1::AnswerState,
    /// The ends of its texts.
    pub(crate) ends: Offsets,
    pub(crate) rest: Rest,
}

/// Where the rest of an answer comes from.
pub(crate) enum Rest {
    /// It is being written.
    Live(Follower),
    /// It is over, and this is all of it.
    Stored(Box<v1::Message>),
}

/// Why an answer cannot be resumed.
pub(crate) enum CannotResume {
    /// The client does not know it as it is.
    Reset(ResetReason),
    Failed(V1Error),
}

impl Conversations {
    /// A conversation with its next messages, and with the answers that are being written. Not all
    /// messages are read at once, so that a client that does not take them holds little memory.
    pub(crate) async fn open(
        &self,
        owner: Owner,
        id: ConversationId,
        opening: Opening,
    ) -> Result<Opened, V1Error> {
        let Opening { newest, mut running } = opening;
        let page = self.inner.store.messages_after(owner.user, id, newest).await;
        let page = page.map_err(v1_error)?;
        let newest = page.messages.last().map(|message| message.seq).or(newest);
        let mut messages = Vec::new();
        for message in page.messages {
            if !message.state.is_running() {
                messages.push(wire::message(message));
                continue;
            }
            let (message, follower) = self.follow(owner, id, message).await?;
            running.extend(
                follower.map(|follower| Running { answer: follower.0, follower: follower.1 }),
            );
            messages.push(message);
        }
        let conversation = wire::conversation(&page.conversation);
        Ok(Opened { conversation, messages, newest, running, more: page.more })
    }

    /// A conversation with all of its messages.
    pub(crate) async fn whole(
        &self,
        owner: Owner,
        id: ConversationId,
    ) -> Result<ConversationTree, V1Error> {
        let (mut messages, mut newest) = (Vec::new(), None);
        loop {
            let opening = Opening { newest, ..Opening::default() };
            let mut opened = self.open(owner, id, opening).await?;
            messages.append(&mut opened.messages);
            newest = opened.newest;
            if !opened.more {
                return Ok(ConversationTree { conversation: opened.conversation, messages });
            }
        }
    }

    /// An answer that is stored as running, with its text so far.
    async fn follow(
        &self,
        owner: Owner,
        conversation: ConversationId,
        mut message: Message,
    ) -> Result<(v1::Message, Option<(MessageId, Follower)>), V1Error> {
        let id = message.id;
        for _ in 0..LOOKS {
            if let Some(running) = self.running_answer(owner, id) {
                let ((text, thinking), follower) = running.live.read();
                let message = Message { text, thinking, ..message };
                return Ok((wire::message(message), Some((id, follower))));
            }
            let store = &self.inner.store;
            message = store.message(owner.user, conversation, id).await.map_err(v1_error)?;
            if !message.state.is_running() {
                break;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok((wire::message(message), None))
    }

    /// An answer from these offsets on.
    pub(crate) async fn resume(
        &self,
        owner: Owner,
        answer: MessageId,
        offsets: Offsets,
    ) -> Result<Resumed, CannotResume> {
        for _ in 0..LOOKS {
            if let Some(running) = self.running_answer(owner, answer) {
                return resume_live(&running, offsets);
            }
            let found = self.inner.store.find_answer(owner.user, answer).await;
            let (conversation, message) = found.map_err(|error| match v1_error(error) {
                V1Error { code: ErrorCode::UnknownMessage | ErrorCode::NotAnAnswer, .. } => {
                    CannotResume::Reset(ResetReason::UnknownAnswer)
                }
                error => CannotResume::Failed(error),
            })?;
            if !message.state.is_running() {
                return resume_stored(conversation.id, message, offsets);
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Err(CannotResume::Failed(ErrorCode::Busy.into()))
    }

    /// Asks an answer to halt; `None` if it is not being written.
    pub(crate) fn stop(&self, owner: Owner, answer: MessageId) -> Option<Arc<LiveAnswer>> {
        let running = self.running_answer(owner, answer)?;
        running.live.stop();
        Some(running.live)
    }

    /// The end of an answer that has ended and may not be stored as ended yet, and its
    /// conversation.
    pub(crate) fn ended(&self, owner: Owner, answer: MessageId) -> Option<(ConversationId, Ended)> {
        let running = self.running_answer(owner, answer)?;
        Some((running.conversation, running.live.ended()?))
    }

    /// An answer that is stored, and its conversation.
    pub(crate) async fn answer(
        &self,
        owner: Owner,
        answer: MessageId,
    ) -> Result<(ConversationId, v1::Message), V1Error> {
        let found = self.inner.store.find_answer(owner.user, answer).await;
        let (conversation, message) = found.map_err(v1_error)?;
        Ok((conversation.id, wire::message(message)))
    }

    /// An answer of this user that is being written.
    fn running_answer(&self, owner: Owner, answer: MessageId) -> Option<RunningAnswer> {
        let running = self.running().get(&answer).cloned()?;
        (running.user == owner.user).then_some(running)
    }
}

fn resume_live(running: &RunningAnswer, offsets: Offsets) -> Result<Resumed, CannotResume> {
    let follower =
        running.live.follow(offsets).ok_or(CannotResume::Reset(ResetReason::UnknownOffset))?;
    let ends = running.live.offsets();
    let state = match ends {
        Offsets { text: 0, thinking: 0 } => v1::AnswerState::Waiting,
        _ => v1::AnswerState::Writing,
    };
    let (conversation, rest) = (running.conversation, Rest::Live(follower));
    Ok(Resumed { conversation, state, ends, rest })
}

fn resume_stored(
    conversation: ConversationId,
    message: Message,
    offsets: Offsets,
) -> Result<Resumed, CannotResume> {
    let is_there = message.text.is_char_boundary(offsets.text)
        && message.thinking.is_char_boundary(offsets.thinking);
    if !is_there {
        return Err(CannotResume::Reset(ResetReason::UnknownOffset));
    }
    let ends = Offsets { text: message.text.len(), thinking: message.thinking.len() };
    let state = wire::state(message.state);
    Ok(Resumed { conversation, state, ends, rest: Rest::Stored(Box::new(wire::message(message))) })
}
