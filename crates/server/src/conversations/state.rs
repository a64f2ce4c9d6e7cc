//! The conversations of all users, and what is known of those that are going on.

use super::feed::{Feeds, Subscription};
use super::order::Order;
use super::wire;
use crate::access::{MadeKeys, Principal};
use crate::answers::{Answers, Keep, LiveAnswer};
use banter_protocol::v1::V1Error;
use banter_seam::Asker;
use banter_store::{ConversationId, MessageId, SecretHash, Store, UserId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// The conversations of all users. Clones are the same.
#[derive(Clone)]
pub(crate) struct Conversations {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) store: Arc<Store>,
    /// The keys of visitors, with their system prompts.
    pub(super) keys: Arc<MadeKeys>,
    pub(super) answers: Answers,
    pub(super) settings: Settings,
    pub(super) feeds: Feeds,
    pub(super) order: Order,
    /// The answers that are being written.
    pub(super) running: Mutex<HashMap<MessageId, RunningAnswer>>,
    /// One title is written at a time.
    pub(super) titling: Arc<Semaphore>,
    pub(super) tasks: TaskTracker,
}

/// What an operator chooses.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The system message of conversations that have none of their own.
    pub(crate) system_prompt: Option<String>,
    /// How long an answer goes on that nobody follows.
    pub(crate) keep: Keep,
    /// Titles are written when nobody has waited for an answer for this long.
    pub(crate) title_idle: Duration,
    /// Whether conversations outlive the server.
    pub(crate) stores: bool,
}

/// For whom something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) user: UserId,
    pub(crate) asker: Asker,
    /// The key of a visitor of another site's page.
    pub(crate) visits_with: Option<SecretHash>,
}

/// An answer that is being written, and whose it is.
#[derive(Clone)]
pub(super) struct RunningAnswer {
    pub(super) user: UserId,
    pub(super) conversation: ConversationId,
    pub(super) live: Arc<LiveAnswer>,
}

impl Conversations {
    pub(crate) fn new(
        store: Arc<Store>,
        keys: Arc<MadeKeys>,
        answers: Answers,
        settings: Settings,
    ) -> Conversations {
        let inner = Inner {
            store,
            keys,
            answers,
            settings,
            feeds: Feeds::default(),
            order: Order::new(),
            running: Mutex::default(),
            titling: Arc::new(Semaphore::new(1)),
            tasks: TaskTracker::new(),
        };
        Conversations { inner: Arc::new(inner) }
    }

    /// What the operator has chosen.
    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The owner of what a client makes.
    pub(crate) async fn owner(&self, principal: Principal) -> Result<Owner, V1Error> {
        let known = self.known_owner(principal).await?;
        if known.user != UserId::NOBODY {
            return Ok(known);
        }
        let user = self.inner.store.ensure_user(principal.user()).await;
        let user = user.map_err(wire::v1_error)?;
        Ok(Owner { user: user.id, ..known })
    }

    /// The owner of what a client has; nobody if it has never made anything. This stores nothing,
    /// so it works on a full disk.
    pub(crate) async fn known_owner(&self, principal: Principal) -> Result<Owner, V1Error> {
        let user = self.inner.store.find_user(principal.user().anchor).await;
        let user = user.map_err(wire::v1_error)?.map_or(UserId::NOBODY, |user| user.id);
        Ok(Owner { user, asker: principal.asker(), visits_with: principal.visits_with() })
    }

    /// The news of a user from now on.
    pub(crate) fn subscribe(&self, user: UserId) -> Subscription {
        self.inner.feeds.subscribe(user)
    }

    /// Ready when everything that was begun is stored. Answers have to be stopped before.
    pub(crate) async fn shut_down(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// Does something to its end, even if nobody waits for it any more: what was begun to be stored
    /// must also be told.
    pub(crate) async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, V1Error>> + Send + 'static,
    ) -> Result<T, V1Error> {
        let work = self.inner.tasks.spawn(work);
        work.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request about a conversation was not done");
            Err(banter_protocol::v1::ErrorCode::Internal.into())
        })
    }

    /// An answer has ended. By now another part of it may be written, because it goes on.
    pub(super) fn end_running(&self, answer: MessageId, live: &Arc<LiveAnswer>) {
        let mut running = self.running();
        if running.get(&answer).is_some_and(|running| Arc::ptr_eq(&running.live, live)) {
            running.remove(&answer);
        }
    }

    pub(super) fn running(&self) -> MutexGuard<'_, HashMap<MessageId, RunningAnswer>> {
        self.inner.running.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
