//! The places of a backend, and what a client is told that gets none.

use crate::shares::{Reservation, SharedBudget};
use banter_seam::{Failure, ShareId};

/// What a request that comes now would find.
pub(super) struct Line {
    /// The requests before it.
    pub(super) ahead: usize,
    /// How long it would wait, in milliseconds, if that is known.
    pub(super) estimate_ms: Option<u64>,
}

/// The requests that a backend takes: those that it computes and those that wait.
pub(super) struct Places(SharedBudget);

impl Places {
    pub(super) fn new(count: usize) -> Places {
        Places(SharedBudget::new(count))
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.0.taken()
    }

    /// Takes a place for a request. `line` is asked only for one that is refused.
    ///
    /// Errors: every place is taken, or those that are left are kept for clients that hold few.
    pub(super) fn take(
        &self,
        share: ShareId,
        line: impl FnOnce() -> Line,
    ) -> Result<Reservation, Failure> {
        self.0.take(share, 1).ok_or_else(|| {
            let reason = match self.0.held(share) {
                0 => "too many answers are waiting; try again later",
                _ => "your other messages use your share of the queue; wait for one of them",
            };
            let Line { ahead, estimate_ms } = line();
            Failure::Busy { reason: reason.into(), position: ahead, estimate_ms }
        })
    }
}
