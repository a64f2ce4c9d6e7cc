//! Responses that can be gone on from.

use super::words::json;
use crate::interfaces::asking::CannotAnswer;
use crate::shares::{Reservation, SharedBudget};
use banter_protocol::interfaces::openai::responses::Items;
use banter_protocol::interfaces::openai::responses::report::Response;
use banter_seam::{Failure, ShareId};
use banter_store::{KeptResponse, Store, UserId};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::warn;

/// Keeps a response when it has ended.
pub(crate) struct Keeper {
    /// Where it is kept, and for whom; `None` if it is not to be kept.
    pub(crate) store: Option<(Arc<Store>, UserId)>,
    /// The connection that remembers it.
    pub(crate) last: Option<LastResponse>,
    /// What it answers, items of earlier responses too.
    pub(crate) items: Items,
}

impl Keeper {
    /// Keeps a response before it has an answer.
    ///
    /// Errors: that is not possible.
    pub(super) async fn keep_begun(&self, response: &Response) -> Result<(), CannotAnswer> {
        let Some((store, owner)) = &self.store else { return Ok(()) };
        let (id, items) = (response.id.clone(), self.items.to_json());
        let kept = KeptResponse { id, response: json(response), items };
        store.keep_response(*owner, kept).await.map_err(|error| {
            warn!(%error, "a response cannot be kept");
            let reason = "the response cannot be kept; the log has the details".to_owned();
            Failure::Internal { reason }.into()
        })
    }

    /// Keeps the response. If that is not possible, the response says so.
    pub(super) async fn keep(self, response: &mut Response) {
        let Keeper { store, last, mut items } = self;
        if store.is_none() && last.is_none() {
            return;
        }
        let output = Items::parse(&json(&response.output));
        items.extend(output.expect("the items of a response are items"));
        let id = response.id.clone();
        if let Some((store, owner)) = store {
            let (id, items) = (id.clone(), items.to_json());
            let kept = KeptResponse { id, response: json(response), items };
            if let Err(error) = store.keep_response(owner, kept).await {
                warn!(%error, "a response is not kept");
                response.asked.store = false;
            }
        }
        if let Some(last) = last {
            last.remember(id, items);
        }
    }
}

/// The latest response on a connection, also if it is not kept: the next one may go on from it.
#[derive(Clone)]
pub(crate) struct LastResponse {
    budget: SharedBudget,
    share: ShareId,
    remembered: Arc<Mutex<Option<Remembered>>>,
}

struct Remembered {
    id: String,
    items: Items,
    _memory: Reservation,
}

impl LastResponse {
    /// None so far. Its memory will be a part of `budget`.
    pub(crate) fn none(budget: SharedBudget, share: ShareId) -> LastResponse {
        LastResponse { budget, share, remembered: Arc::default() }
    }

    /// The items of the response, if it is the one with this id.
    pub(crate) fn items_of(&self, id: &str) -> Option<Items> {
        let remembered = self.lock();
        let remembered = remembered.as_ref().filter(|remembered| remembered.id == id)?;
        Some(remembered.items.clone())
    }

    /// Remembers a response instead of the one before, if there is memory for it.
    fn remember(&self, id: String, items: Items) {
        let mut remembered = self.lock();
        *remembered = None;
        let memory = self.budget.take(self.share, items.to_json().len());
        *remembered = memory.map(|memory| Remembered { id, items, _memory: memory });
    }

    fn lock(&self) -> MutexGuard<'_, Option<Remembered>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
