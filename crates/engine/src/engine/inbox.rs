//! How the outside reaches the thread without waiting for it.
//!
//! The inbox is a bounded channel. What is sent into it needs a permit, so that there is always
//! room:
//!
//! ```text
//!  Engine::submit ─── QueuePermit ──┐
//!  Engine::embed ── EmbeddingPermit ┤
//!  Engine::draft ──── InboxPermit ──┼──► channel ──► thread
//!  Engine::forget ─── InboxPermit ──┘
//!            └─ the set of what is to be forgotten ──► thread, before it takes in any arrival
//! ```
//!
//! A request is refused before it reaches the thread if the queue is full. It raises the flag that
//! ends a draft's step. What is to be forgotten must not wait for room in the channel, so it has a
//! set of its own.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::embedding::EMBEDDING_PLACES;
use crate::StopFlag;
use crate::origin::Origin;
use crate::sync::{AtomicU64, AtomicUsize, Mutex};

/// Counts permits, and holds what need not pass through the channel.
#[derive(Debug)]
pub struct Inbox {
    queue_limit: usize,
    waiting: AtomicUsize,
    embeddings: AtomicUsize,
    side_messages: AtomicUsize,
    /// How long a request would wait now; [`UNKNOWN`] before that is known.
    estimate_ms: AtomicU64,
    /// Raised to end the step of a draft.
    draft_stop: Mutex<StopFlag>,
    forgets: Mutex<Forgets>,
}

/// What callers have asked to forget and the thread has not taken yet.
#[derive(Debug, Default)]
struct Forgets {
    /// With the number of the newest call for each.
    meant: Meant,
    /// Calls so far.
    calls: u64,
}

/// What is to be forgotten, with the number of the newest call that asked for it. A permit knows
/// how many calls there were before it.
pub type Meant = HashMap<Origin, u64>;

/// A place in the queue, from a request's arrival until it is admitted or ends. Dropping it frees
/// the place.
#[derive(Debug)]
pub struct QueuePermit {
    inbox: Arc<Inbox>,
    forgets_before: u64,
}

impl QueuePermit {
    /// Calls to forget something before this permit was given.
    pub fn forgets_before(&self) -> u64 {
        self.forgets_before
    }
}

impl Drop for QueuePermit {
    fn drop(&mut self) {
        self.inbox.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A place of an embedding, until it ends. Dropping it frees the place.
#[derive(Debug)]
pub struct EmbeddingPermit {
    inbox: Arc<Inbox>,
}

impl Drop for EmbeddingPermit {
    fn drop(&mut self) {
        self.inbox.embeddings.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A slot of the channel for anything but a request. Dropping it frees the slot.
#[derive(Debug)]
pub struct InboxPermit {
    inbox: Arc<Inbox>,
    forgets_before: u64,
}

impl InboxPermit {
    /// Calls to forget something before this permit was given.
    pub fn forgets_before(&self) -> u64 {
        self.forgets_before
    }
}

impl Drop for InboxPermit {
    fn drop(&mut self) {
        self.inbox.side_messages.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Slots of the channel for anything but requests. When they are taken, a draft is dropped, because
/// the next keystroke sends a newer one. What is to be forgotten needs no slot: the thread looks
/// for it before it takes in the next arrival, and one is there.
pub const MAX_SIDE_MESSAGES: usize = 16;

/// Conversations that may wait to be forgotten. At the limit their tenants are forgotten as a
/// whole: too much is computed again, but nothing stays that should not.
const MAX_FORGETS: usize = 1_024;

/// Stands for no estimate: a wait of half a billion years.
const UNKNOWN: u64 = u64::MAX;

/// The queue has no place left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull {
    /// The place a request would have had.
    pub position: usize,
    /// How long it would have waited, if that is known.
    pub estimate_ms: Option<u64>,
}

impl Inbox {
    /// The inbox of a thread that is about to start.
    pub fn new(queue_limit: usize) -> Inbox {
        Inbox {
            queue_limit,
            waiting: AtomicUsize::new(0),
            embeddings: AtomicUsize::new(0),
            side_messages: AtomicUsize::new(0),
            estimate_ms: AtomicU64::new(UNKNOWN),
            draft_stop: Mutex::new(StopFlag::new()),
            forgets: Mutex::new(Forgets::default()),
        }
    }

    /// Takes a place in the queue.
    ///
    /// Errors: none is left.
    pub fn join_queue(self: &Arc<Inbox>) -> Result<QueuePermit, QueueFull> {
        let join = |waiting: usize| (waiting < self.queue_limit).then_some(waiting + 1);
        match self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, join) {
            Ok(_) => {
                let (inbox, forgets_before) = (self.clone(), self.forget_calls());
                Ok(QueuePermit { inbox, forgets_before })
            }
            Err(waiting) => {
                Err(QueueFull { position: waiting + 1, estimate_ms: self.estimate_ms() })
            }
        }
    }

    /// Takes a place of an embedding, if one is free.
    pub fn join_embeddings(self: &Arc<Inbox>) -> Option<EmbeddingPermit> {
        let join = |taken: usize| (taken < EMBEDDING_PLACES).then_some(taken + 1);
        self.embeddings.fetch_update(Ordering::AcqRel, Ordering::Acquire, join).ok()?;
        Some(EmbeddingPermit { inbox: self.clone() })
    }

    /// Takes a slot for anything but a request, if one is free.
    pub fn side_message(self: &Arc<Inbox>) -> Option<InboxPermit> {
        let join = |taken: usize| (taken < MAX_SIDE_MESSAGES).then_some(taken + 1);
        self.side_messages.fetch_update(Ordering::AcqRel, Ordering::Acquire, join).ok()?;
        Some(InboxPermit { inbox: self.clone(), forgets_before: self.forget_calls() })
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How long a request would wait now, if that is known.
    pub fn estimate_ms(&self) -> Option<u64> {
        let estimate_ms = self.estimate_ms.load(Ordering::Relaxed);
        (estimate_ms != UNKNOWN).then_some(estimate_ms)
    }

    /// Publishes how long a request would wait now.
    pub fn set_estimate(&self, estimate_ms: Option<u64>) {
        self.estimate_ms.store(estimate_ms.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// Asks the thread to forget a conversation, or a whole tenant, before it takes in another
    /// request.
    pub fn add_forget(&self, meant: Origin) {
        let mut forgets = self.forgets.lock().unwrap_or_else(PoisonError::into_inner);
        forgets.calls += 1;
        let call = forgets.calls;
        forgets.meant.insert(meant, call);
        if forgets.meant.len() > MAX_FORGETS {
            forgets.meant = forgets.meant.keys().map(|meant| (meant.tenant.into(), call)).collect();
        }
    }

    /// Takes what is to be forgotten.
    pub fn take_forgets(&self) -> Meant {
        let mut forgets = self.forgets.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut forgets.meant)
    }

    fn forget_calls(&self) -> u64 {
        self.forgets.lock().unwrap_or_else(PoisonError::into_inner).calls
    }

    /// Lets [`Inbox::interrupt_draft`] raise this flag from now on.
    pub fn set_draft_stop(&self, stop: StopFlag) {
        *self.draft_stop.lock().unwrap_or_else(PoisonError::into_inner) = stop;
    }

    /// Sends a request with `send`, and then ends the step of a draft if one is computed. The
    /// thread calls [`Inbox::set_draft_stop`] before it looks into the channel, so it either finds
    /// the request there or sees its flag raised.
    pub fn send_request<E>(&self, send: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        send()?;
        self.interrupt_draft();
        Ok(())
    }

    /// Ends the step of a draft, if one is computed.
    pub fn interrupt_draft(&self) {
        self.draft_stop.lock().unwrap_or_else(PoisonError::into_inner).raise();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::origin::{ConversationId, Tenant};

    #[test]
    fn the_queue_has_as_many_places_as_it_may() {
        let inbox = Arc::new(Inbox::new(2));
        inbox.set_estimate(Some(700));
        let first = inbox.join_queue().expect("two places are free");
        let _second = inbox.join_queue().expect("one place is free");
        let full = QueueFull { position: 3, estimate_ms: Some(700) };
        assert_eq!(inbox.join_queue().err(), Some(full));
        assert_eq!(inbox.waiting(), 2);
        drop(first);
        assert_eq!(inbox.waiting(), 1);
        inbox.join_queue().expect("one place is free again");
    }

    #[test]
    fn too_many_conversations_to_forget_become_their_tenants() {
        let inbox = Inbox::new(1);
        let meant = |conversation| Origin {
            tenant: Tenant(conversation % 2),
            conversation: Some(ConversationId(conversation)),
        };
        (0..MAX_FORGETS as u64).for_each(|conversation| inbox.add_forget(meant(conversation)));
        assert_eq!(inbox.take_forgets().len(), MAX_FORGETS);
        assert!(inbox.take_forgets().is_empty(), "each is taken once");
        (0..=MAX_FORGETS as u64).for_each(|conversation| inbox.add_forget(meant(conversation)));
        let tenants: HashSet<Origin> = [Tenant(0).into(), Tenant(1).into()].into();
        assert_eq!(inbox.take_forgets().into_keys().collect::<HashSet<_>>(), tenants);
    }
}
