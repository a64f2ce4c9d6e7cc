//! Requests and drafts on their way to the engine, while they are turned into tokens.
//!
//! An engine forgets what has reached it. A conversation may be forgotten while a request of it is
//! still on its way, and then the engine must be told once more when the request has arrived.

use banter_seam::{ConversationNumber, Tenant};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is on its way now.
#[derive(Default)]
pub(super) struct OnTheWay {
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    next_id: u64,
    by_id: HashMap<u64, Entry>,
}

struct Entry {
    origin: Origin,
    is_forgotten: bool,
}

/// A conversation of a tenant, or all that the tenant has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) tenant: Tenant,
    pub(super) conversation: Option<ConversationNumber>,
}

/// One request or draft on its way.
pub(super) struct Way {
    id: u64,
    all: Arc<OnTheWay>,
}

impl Origin {
    /// Whether `meant` covers this: the same conversation, or the whole tenant.
    pub(super) fn is_within(&self, meant: &Origin) -> bool {
        self.tenant == meant.tenant
            && (meant.conversation.is_none() || self.conversation == meant.conversation)
    }
}

impl OnTheWay {
    /// Something begins its way.
    pub(super) fn begin(self: &Arc<OnTheWay>, origin: Origin) -> Way {
        let mut entries = self.lock();
        let id = entries.next_id;
        entries.next_id += 1;
        entries.by_id.insert(id, Entry { origin, is_forgotten: false });
        Way { id, all: self.clone() }
    }

    /// Notes that this is forgotten; to be called before the engine is told.
    pub(super) fn forget(&self, meant: &Origin) {
        for entry in self.lock().by_id.values_mut() {
            entry.is_forgotten |= entry.origin.is_within(meant);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Way {
    /// It has reached the engine. Returns what the engine must be told to forget once more.
    pub(super) fn end(self) -> Option<Origin> {
        let entry = self.all.lock().by_id.remove(&self.id)?;
        entry.is_forgotten.then_some(entry.origin)
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.all.lock().by_id.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(tenant: u64, conversation: Option<u64>) -> Origin {
        Origin { tenant: Tenant(tenant), conversation: conversation.map(ConversationNumber) }
    }

    #[test]
    fn what_is_forgotten_on_its_way_is_forgotten_again_when_it_arrives() {
        let all = Arc::new(OnTheWay::default());
        let meant = [origin(1, Some(7)), origin(1, Some(8)), origin(1, None), origin(2, Some(7))];
        let forgotten = |told: Origin| {
            let ways = meant.map(|origin| all.begin(origin));
            all.forget(&told);
            ways.map(|way| way.end().is_some())
        };
        assert_eq!(forgotten(origin(1, Some(7))), [true, false, false, false]);
        assert_eq!(forgotten(origin(1, None)), [true, true, true, false]);
        assert_eq!(forgotten(origin(3, None)), [false; 4]);
        drop(all.begin(origin(1, None)));
        assert!(all.lock().by_id.is_empty(), "who gives up leaves nothing");
    }
}
