//! Budgets that all clients use together, and how much of one a single client may hold; and
//! permits that each client has a few of.

use banter_seam::ShareId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A budget of bytes or permits that all clients take from.
///
/// The last quarter is kept for clients that hold little: a client that holds as much as is free,
/// or more, gets nothing of it. So a client that takes all it can get leaves a quarter to the
/// others, the next such client leaves half of that, and a client that holds nothing gets something
/// as long as anything is free.
#[derive(Clone, Debug)]
pub(crate) struct SharedBudget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    capacity: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Only clients that hold something are in it.
    by_share: HashMap<ShareId, usize>,
}

/// A part of a budget that a client holds. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Reservation {
    inner: Arc<Inner>,
    share: ShareId,
    amount: usize,
}

impl SharedBudget {
    pub(crate) fn new(capacity: usize) -> SharedBudget {
        SharedBudget { inner: Arc::new(Inner { capacity, taken: Mutex::default() }) }
    }

    /// Takes `amount` for a client; `None` if it cannot have that much now.
    pub(crate) fn take(&self, share: ShareId, amount: usize) -> Option<Reservation> {
        let capacity = self.inner.capacity;
        let mut taken = self.inner.taken();
        let free = capacity - taken.all;
        let held = taken.by_share.get(&share).copied().unwrap_or(0);
        let left = free.checked_sub(amount)?;
        if amount > 0 && left < capacity / 4 && held >= free {
            return None;
        }
        taken.all += amount;
        // An entry of nothing would never be removed.
        if amount > 0 {
            *taken.by_share.entry(share).or_default() += amount;
        }
        Some(Reservation { inner: self.inner.clone(), share, amount })
    }

    /// How much all clients hold now.
    pub(crate) fn taken(&self) -> usize {
        self.inner.taken().all
    }

    /// How much a client holds now.
    pub(crate) fn held(&self, share: ShareId) -> usize {
        self.inner.taken().by_share.get(&share).copied().unwrap_or(0)
    }
}

impl Reservation {
    /// Makes one reservation of two of the same client and budget.
    pub(crate) fn absorb(&mut self, mut other: Reservation) {
        debug_assert!(Arc::ptr_eq(&self.inner, &other.inner) && self.share == other.share);
        self.amount += std::mem::take(&mut other.amount);
    }
}

impl Inner {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        let mut taken = self.inner.taken();
        taken.all -= self.amount;
        let held = taken.by_share.get_mut(&self.share).expect("it holds this part");
        *held -= self.amount;
        if *held == 0 {
            taken.by_share.remove(&self.share);
        }
    }
}

/// A few permits for each share, to stand in a queue that serves the earliest first: others wait
/// for what a client has permits for, not for everything that it has asked for.
pub(crate) struct PermitsPerShare {
    permits_each: usize,
    by_share: Mutex<HashMap<ShareId, Weak<Semaphore>>>,
}

impl PermitsPerShare {
    pub(crate) fn new(permits_each: usize) -> PermitsPerShare {
        PermitsPerShare { permits_each, by_share: Mutex::default() }
    }

    /// Waits for a permit of this share.
    pub(crate) async fn take(&self, share: ShareId) -> OwnedSemaphorePermit {
        self.of(share).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// The permits of a share. They exist as long as somebody holds one or waits for one.
    fn of(&self, share: ShareId) -> Arc<Semaphore> {
        let mut permits = self.by_share.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(of_share) = permits.get(&share).and_then(Weak::upgrade) {
            return of_share;
        }
        permits.retain(|_, of_share| of_share.strong_count() > 0);
        let of_share = Arc::new(Semaphore::new(self.permits_each));
        permits.insert(share, Arc::downgrade(&of_share));
        of_share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GREEDY: ShareId = ShareId(1);
    const SECOND: ShareId = ShareId(2);
    const MODEST: ShareId = ShareId(3);

    /// As much as one gets in parts of one.
    fn all_of(shares: &SharedBudget, share: ShareId) -> Vec<Reservation> {
        std::iter::from_fn(|| shares.take(share, 1)).collect()
    }

    #[test]
    fn whoever_asks_without_end_leaves_a_quarter_and_the_next_one_half_of_that() {
        let shares = SharedBudget::new(64);
        let greedy = all_of(&shares, GREEDY);
        assert_eq!(greedy.len(), 48);
        let second = all_of(&shares, SECOND);
        assert_eq!(second.len(), 8);
        assert_eq!(all_of(&shares, MODEST).len(), 4);
        drop(greedy);
        assert_eq!(all_of(&shares, MODEST).len(), 40);
        drop(second);
        assert!(shares.inner.taken().by_share.is_empty() && shares.inner.taken().all == 0);
    }

    #[test]
    fn what_does_not_fit_is_not_taken_in_part() {
        let shares = SharedBudget::new(10);
        assert!(shares.take(GREEDY, 11).is_none() && shares.take(GREEDY, usize::MAX).is_none());
        let all = shares.take(GREEDY, 10).expect("all of it at once");
        assert!(shares.take(MODEST, 1).is_none());
        assert!(shares.take(MODEST, 0).is_some());
        drop(all);
        assert!(shares.take(MODEST, 10).is_some());
    }

    #[test]
    fn a_reservation_that_has_absorbed_another_gives_back_both() {
        let shares = SharedBudget::new(10);
        let mut held = shares.take(GREEDY, 0).expect("nothing is always free");
        for amount in [2, 0, 3] {
            held.absorb(shares.take(GREEDY, amount).expect("enough is free"));
        }
        assert_eq!((shares.taken(), shares.held(GREEDY)), (5, 5));
        drop(held);
        assert_eq!((shares.taken(), shares.held(GREEDY)), (0, 0));
    }

    #[tokio::test]
    async fn a_share_has_its_permits_and_leaves_nothing_behind() {
        let permits = PermitsPerShare::new(1);
        let permit = permits.take(GREEDY).await;
        assert!(permits.of(GREEDY).try_acquire_owned().is_err());
        drop(permits.take(MODEST).await);
        drop(permit);
        drop(permits.take(GREEDY).await);
        permits.of(SECOND);
        let left = permits.by_share.lock().expect("no panic").len();
        assert!(left <= 2, "{left}");
    }

    proptest! {
        #[test]
        fn whoever_holds_nothing_gets_whatever_is_free(
            takes in prop::collection::vec((0u64..4, 0usize..40), 0..40),
            wanted in 0usize..100,
        ) {
            let shares = SharedBudget::new(100);
            let held: Vec<Reservation> = takes
                .into_iter()
                .filter_map(|(share, amount)| shares.take(ShareId(share), amount))
                .collect();
            let used: usize = held.iter().map(|held| held.amount).sum();
            prop_assert!(used <= 100);
            let newcomer = shares.take(ShareId(9), wanted);
            prop_assert_eq!(newcomer.is_some(), wanted <= 100 - used);
        }
    }
}
