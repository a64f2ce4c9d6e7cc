//! The answers that a socket follows.

use crate::answers::{Begun, Ended, Follower, Update, Waiting};
use crate::conversations::{SameId, finish_of_end};
use banter_protocol::v1::server::{Context, Delta, Finished, Prefill, Queued};
use banter_protocol::v1::{self, ServerEvent, Tag, Tagged};
use banter_store::{ConversationId, MessageId};
use futures_util::future::{AbortHandle, Abortable, BoxFuture};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// More stops than this cannot wait for the end of one answer, nor for all answers that are not
/// read.
pub(super) const MAX_STOPS: usize = 64;

/// The shortest time between two pieces of an answer; words that come sooner wait for it and go
/// together. It is half a frame of a display, so nobody sees the difference.
const WORDS_APART: Duration = Duration::from_millis(8);

/// The answers that a socket follows, each from a position of its own.
#[derive(Default)]
pub(super) struct Readings {
    /// What comes next in each.
    coming: FuturesUnordered<Abortable<BoxFuture<'static, (Reading, Update)>>>,
    known: HashMap<MessageId, Known>,
}

struct Reading {
    conversation: ConversationId,
    answer: MessageId,
    follower: Follower,
    /// When the newest words were read, if they are what was read last.
    words_at: Option<Instant>,
}

struct Known {
    conversation: ConversationId,
    abort: AbortHandle,
    shows: Shows,
    /// The tags of stops that wait for the end.
    stops: Vec<Option<Tag>>,
}

/// What a client is told of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shows {
    Everything,
    /// All but what the model thinks.
    NoThinking,
    /// Nothing: the socket still holds on to the answer, so that it goes on.
    Nothing,
}

/// Something that was read of an answer.
pub(super) struct Read {
    reading: Reading,
    update: Update,
}

impl Readings {
    /// Begins to read an answer. An earlier reading of it ends.
    pub(super) fn begin(
        &mut self,
        (conversation, answer): (ConversationId, MessageId),
        follower: Follower,
        shows: Shows,
    ) {
        let reading = Reading { conversation, answer, follower, words_at: None };
        let abort = self.go_on(reading);
        let known = Known { conversation, abort, shows, stops: Vec::new() };
        if let Some(earlier) = self.known.insert(answer, known) {
            earlier.abort.abort();
            self.known.get_mut(&answer).expect("it was just put there").stops = earlier.stops;
        }
    }

    /// Whether an answer is read and shown.
    pub(super) fn shows(&self, answer: MessageId) -> bool {
        self.known.get(&answer).is_some_and(|known| known.shows != Shows::Nothing)
    }

    /// Shows nothing more of the answers of a conversation.
    pub(super) fn hide(&mut self, conversation: ConversationId) {
        for known in self.known.values_mut().filter(|known| known.conversation == conversation) {
            known.shows = Shows::Nothing;
        }
    }

    /// Ends the readings of a conversation. Returns the stops that wait for ends of answers in it.
    #[must_use]
    pub(super) fn end(&mut self, conversation: ConversationId) -> Vec<(MessageId, Option<Tag>)> {
        let mut stops = Vec::new();
        self.known.retain(|answer, known| {
            let stays = known.conversation != conversation;
            if !stays {
                known.abort.abort();
                stops.extend(known.stops.drain(..).map(|tag| (*answer, tag)));
            }
            stays
        });
        stops
    }

    /// Gives the end of an answer a tag; `false` if the answer is not read, or if its end has as
    /// many tags as it may.
    pub(super) fn tag_end(&mut self, answer: MessageId, tag: Option<&Tag>) -> bool {
        match self.known.get_mut(&answer) {
            Some(known) if known.stops.len() < MAX_STOPS => {
                known.stops.push(tag.cloned());
                true
            }
            _ => false,
        }
    }

    /// Waits for what comes next in any of them. The future may be dropped at any time.
    pub(super) async fn next(&mut self) -> Read {
        loop {
            match self.coming.next().await {
                Some(Ok((reading, update))) => return Read { reading, update },
                Some(Err(_aborted)) => {}
                None => return std::future::pending().await,
            }
        }
    }

    /// The frames for something that was read.
    pub(super) fn take(&mut self, read: Read) -> Vec<Tagged<ServerEvent>> {
        let Read { mut reading, update } = read;
        let (conversation, answer) = (reading.conversation, reading.answer);
        let Some(known) = self.known.get_mut(&answer) else { return Vec::new() };
        let shows = known.shows;
        if let Update::Ended(ended) = update {
            let stops = std::mem::take(&mut known.stops);
            self.known.remove(&answer);
            return ends((conversation, answer), &ended, (shows, stops));
        }
        // A reader that is behind gets on as fast as it reads.
        reading.words_at = match &update {
            Update::Delta(piece) | Update::Thinking(piece) if !piece.is_full() => {
                Some(Instant::now())
            }
            _ => None,
        };
        let event = event((conversation, answer), update, shows);
        let abort = self.go_on(reading);
        self.known.get_mut(&answer).expect("it is known").abort = abort;
        event.map(Tagged::untagged).into_iter().collect()
    }

    fn go_on(&mut self, mut reading: Reading) -> AbortHandle {
        let (abort, registration) = AbortHandle::new_pair();
        let next = async move {
            if let Some(at) = reading.words_at {
                tokio::time::sleep_until(at + WORDS_APART).await;
            }
            let update = reading.follower.next().await;
            (reading, update)
        };
        self.coming.push(Abortable::new(next.boxed(), registration));
        abort
    }
}

impl Drop for Readings {
    fn drop(&mut self) {
        self.coming.clear();
    }
}

/// The event that tells an update.
fn event(
    (conversation, answer): (ConversationId, MessageId),
    update: Update,
    shows: Shows,
) -> Option<ServerEvent> {
    if shows == Shows::Nothing {
        return None;
    }
    let (conversation, answer) = (conversation.other(), answer.other());
    Some(match update {
        Update::Waiting(Waiting::Queued { ahead, estimate_ms }) => {
            ServerEvent::Queued(Queued { conversation, answer, ahead: ahead as u64, estimate_ms })
        }
        Update::Waiting(Waiting::Prefill { done, total, cached }) => {
            let (done, total, cached) = (done as u64, total as u64, cached as u64);
            ServerEvent::Prefill(Prefill { conversation, answer, done, total, cached })
        }
        Update::Begun(Begun { left_out, prompt_tokens, context_tokens, .. }) => {
            ServerEvent::Context(Context {
                conversation,
                answer,
                left_out: left_out.into_iter().map(SameId::other).collect(),
                prompt_tokens: prompt_tokens.map(|tokens| tokens as u64),
                context_tokens: context_tokens.map(|tokens| tokens as u64),
            })
        }
        Update::Thinking(_) if shows == Shows::NoThinking => return None,
        Update::Thinking(piece) => {
            let at = piece.at as u64;
            ServerEvent::Thinking(Delta { conversation, answer, at, text: piece.text })
        }
        Update::Delta(piece) => {
            let at = piece.at as u64;
            ServerEvent::Delta(Delta { conversation, answer, at, text: piece.text })
        }
        // Nobody can ask for these in this language.
        Update::Logprobs(_) | Update::Call(_) | Update::Arguments(_) => return None,
        Update::Ended(_) | Update::Overdue | Update::Halted => return None,
    })
}

/// The frames that tell an end: one for those who follow, or one for each stop.
fn ends(
    ids: (ConversationId, MessageId),
    ended: &Ended,
    (shows, stops): (Shows, Vec<Option<Tag>>),
) -> Vec<Tagged<ServerEvent>> {
    let finished = finished(ids, ended);
    if stops.is_empty() && shows != Shows::Nothing {
        return vec![finished.into()];
    }
    stops.into_iter().map(|tag| finished.clone().tagged(tag)).collect()
}

/// The event of an end.
pub(super) fn finished(
    (conversation, answer): (ConversationId, MessageId),
    ended: &Ended,
) -> ServerEvent {
    let finish = finish_of_end(ended);
    ServerEvent::Finished(Box::new(Finished {
        conversation: conversation.other(),
        answer: answer.other(),
        state: finish.reason.state(),
        bytes: ended.offsets.text as u64,
        thinking_bytes: ended.offsets.thinking as u64,
        finish,
    }))
}

/// The event of the end of a stored answer; `None` if it has not ended.
pub(super) fn stored_finish(
    conversation: ConversationId,
    message: &v1::Message,
) -> Option<ServerEvent> {
    let finish = message.finish.clone()?;
    Some(ServerEvent::Finished(Box::new(Finished {
        conversation: conversation.other(),
        answer: message.id,
        state: message.state?,
        bytes: message.text.len() as u64,
        thinking_bytes: message.thinking.as_ref().map_or(0, String::len) as u64,
        finish,
    })))
}
