//! The limits of a key, in a minute and at once; and the usage of it.
//!
//! Two buckets belong to each key, one of requests and one of tokens. They fill evenly, up to what
//! a minute allows. A request takes one from the first when it begins; its tokens are taken from the
//! second when they are known, which may leave less than nothing there: then the next request has
//! to wait until the bucket is not empty any more.

use banter_seam::{Failure, ShareId, Usage};
use banter_store::{KeyTerms, KeyUsage};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;

/// The buckets fill within this time.
const MINUTE: Duration = Duration::from_secs(60);

/// The quotas of all keys, by the share that stands for a key. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Quotas {
    by_share: Arc<RwLock<HashMap<ShareId, Arc<Quota>>>>,
}

/// What one key may ask for.
pub(crate) struct Quota {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Limits {
    requests_per_minute: Option<u32>,
    tokens_per_minute: Option<u32>,
    answers_at_once: Option<u32>,
}

impl Limits {
    fn of(terms: &KeyTerms) -> Limits {
        Limits {
            requests_per_minute: terms.requests_per_minute,
            tokens_per_minute: terms.tokens_per_minute,
            answers_at_once: terms.answers_at_once,
        }
    }
}

struct State {
    requests: Bucket,
    tokens: Bucket,
    running: u32,
    /// What was not told to the store yet.
    untold: KeyUsage,
    /// All since the server has begun.
    all: KeyUsage,
}

/// Fills evenly.
struct Bucket {
    left: f64,
    at: Instant,
}

/// A request that was let through. It counts as running until this is dropped.
pub(crate) struct Spending {
    quota: Arc<Quota>,
}

/// How much is left of a limit: for the headers that clients look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// Until all of it is there again.
    pub(crate) reset: Duration,
}

impl Quotas {
    /// Sets the quotas of keys; others have none any more. What is left of those that stay, and were
    /// not changed, stays.
    pub(crate) fn set<'a>(&self, keys: impl Iterator<Item = (ShareId, &'a KeyTerms)>) {
        let mut by_share = self.by_share.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *by_share);
        for (share, terms) in keys {
            let limits = Limits::of(terms);
            let kept = before.remove(&share).filter(|quota| quota.limits == limits);
            by_share.insert(share, kept.unwrap_or_else(|| Arc::new(Quota::new(limits))));
        }
    }

    /// The quota of a client; `None` if it has none.
    pub(crate) fn of(&self, share: ShareId) -> Option<Arc<Quota>> {
        self.by_share.read().unwrap_or_else(PoisonError::into_inner).get(&share).cloned()
    }

    /// Lets a request of a client through, if its quota allows it. `None` if it has none.
    ///
    /// Errors: [`Failure::Busy`], with the time after which it will be let through.
    pub(crate) fn begin(&self, share: ShareId) -> Result<Option<Spending>, Failure> {
        self.of(share).map(|quota| quota.begin()).transpose()
    }

    /// What was done with each key since the last call.
    pub(crate) fn take_untold(&self) -> Vec<(ShareId, KeyUsage)> {
        let by_share = self.by_share.read().unwrap_or_else(PoisonError::into_inner);
        let untold = by_share
            .iter()
            .map(|(share, quota)| (*share, std::mem::take(&mut quota.state().untold)));
        untold.filter(|(_, usage)| *usage != KeyUsage::default()).collect()
    }
}

impl Quota {
    fn new(limits: Limits) -> Quota {
        let now = Instant::now();
        let full = |limit: Option<u32>| Bucket { left: f64::from(limit.unwrap_or(0)), at: now };
        let state = State {
            requests: full(limits.requests_per_minute),
            tokens: full(limits.tokens_per_minute),
            running: 0,
            untold: KeyUsage::default(),
            all: KeyUsage::default(),
        };
        Quota { limits, state: Mutex::new(state) }
    }

    fn begin(self: Arc<Quota>) -> Result<Spending, Failure> {
        let now = Instant::now();
        let mut state = self.state();
        let limits = self.limits;
        if let Some(most) = limits.answers_at_once.filter(|most| state.running >= *most) {
            let reason =
                format!("this key may have {most} answers at once; wait until one has ended");
            return Err(Failure::Busy { reason, position: 0, estimate_ms: None });
        }
        let wait = |bucket: &mut Bucket, limit: Option<u32>, needed: f64, what: &str| {
            let Some(limit) = limit else { return Ok(()) };
            bucket.fill(limit, now);
            match bucket.until(needed, limit) {
                Duration::ZERO => Ok(()),
                wait => {
                    let reason = format!(
                        "this key may ask for {limit} {what} a minute; try again in {:.0} s",
                        wait.as_secs_f64().ceil()
                    );
                    let estimate_ms = u64::try_from(wait.as_millis()).ok();
                    Err(Failure::Busy { reason, position: 0, estimate_ms })
                }
            }
        };
        let State { requests, tokens, .. } = &mut *state;
        wait(requests, limits.requests_per_minute, 1.0, "requests")?;
        // A bucket that is not empty is enough: nobody knows how many tokens it will take.
        wait(tokens, limits.tokens_per_minute, f64::MIN_POSITIVE, "tokens")?;
        state.requests.left -= 1.0;
        state.running += 1;
        state.add(KeyUsage { requests: 1, ..KeyUsage::default() });
        drop(state);
        Ok(Spending { quota: self })
    }

    /// What was done with the key since the server has begun.
    pub(crate) fn usage(&self) -> KeyUsage {
        self.state().all
    }

    /// What is left of requests and of tokens, where there are limits.
    pub(crate) fn left(&self) -> [Option<Left>; 2] {
        let now = Instant::now();
        let mut state = self.state();
        let State { requests, tokens, .. } = &mut *state;
        let left = |bucket: &mut Bucket, limit: Option<u32>| {
            let limit = limit?;
            bucket.fill(limit, now);
            let remaining = bucket.left.max(0.0) as u32;
            Some(Left { limit, remaining, reset: bucket.until(f64::from(limit), limit) })
        };
        [
            left(requests, self.limits.requests_per_minute),
            left(tokens, self.limits.tokens_per_minute),
        ]
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, more: KeyUsage) {
        for usage in [&mut self.untold, &mut self.all] {
            usage.requests += more.requests;
            usage.prompt_tokens += more.prompt_tokens;
            usage.answer_tokens += more.answer_tokens;
        }
    }
}

impl Bucket {
    fn fill(&mut self, limit: u32, now: Instant) {
        let filled = (now - self.at).as_secs_f64() / MINUTE.as_secs_f64() * f64::from(limit);
        self.left = (self.left + filled).min(f64::from(limit));
        self.at = now;
    }

    /// How long until this much is there.
    fn until(&self, needed: f64, limit: u32) -> Duration {
        let missing = needed - self.left;
        if missing <= 0.0 {
            return Duration::ZERO;
        }
        MINUTE.mul_f64(missing / f64::from(limit.max(1))).max(Duration::from_millis(1))
    }
}

impl Spending {
    /// Takes the tokens of an answer.
    pub(crate) fn spend(&self, usage: &Usage) {
        let count = |tokens: Option<usize>| tokens.unwrap_or(0) as u64;
        self.spend_tokens(count(usage.prompt_tokens), count(usage.completion_tokens));
    }

    /// Takes tokens of prompts and of answers.
    pub(crate) fn spend_tokens(&self, prompt_tokens: u64, answer_tokens: u64) {
        let now = Instant::now();
        let mut state = self.quota.state();
        if let Some(limit) = self.quota.limits.tokens_per_minute {
            state.tokens.fill(limit, now);
            state.tokens.left -= (prompt_tokens + answer_tokens) as f64;
        }
        state.add(KeyUsage { requests: 0, prompt_tokens, answer_tokens });
    }
}

impl Drop for Spending {
    fn drop(&mut self) {
        self.quota.state().running -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: ShareId = ShareId(7);

    fn quotas(terms: KeyTerms) -> Quotas {
        let quotas = Quotas::default();
        quotas.set([(KEY, &terms)].into_iter());
        quotas
    }

    /// How long a request has to wait.
    fn wait(quotas: &Quotas) -> Option<u64> {
        match quotas.begin(KEY) {
            Err(Failure::Busy { estimate_ms, .. }) => Some(estimate_ms.unwrap_or(0)),
            begun => {
                begun.expect("nothing else is wrong");
                None
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_come_back_evenly() {
        let quotas = quotas(KeyTerms { requests_per_minute: Some(2), ..KeyTerms::default() });
        assert_eq!([wait(&quotas), wait(&quotas)], [None, None]);
        assert_eq!(wait(&quotas), Some(30_000));
        tokio::time::advance(Duration::from_secs(29)).await;
        assert_eq!(wait(&quotas), Some(1_000));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((wait(&quotas), wait(&quotas)), (None, Some(30_000)));
        let [requests, tokens] = quotas.of(KEY).expect("a quota").left();
        let reset = Duration::from_secs(60);
        assert_eq!((requests, tokens), (Some(Left { limit: 2, remaining: 0, reset }), None));
        assert!(quotas.begin(ShareId(8)).expect("others have none").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_taken_afterwards_and_may_leave_less_than_nothing() {
        let quotas = quotas(KeyTerms { tokens_per_minute: Some(60), ..KeyTerms::default() });
        let spending = quotas.begin(KEY).expect("it may").expect("a quota");
        spending.spend_tokens(50, 40);
        assert_eq!(wait(&quotas), Some(30_000));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(wait(&quotas), None);
        let used = KeyUsage { requests: 2, prompt_tokens: 50, answer_tokens: 40 };
        assert_eq!(quotas.take_untold(), [(KEY, used)]);
        assert!(quotas.take_untold().is_empty());
        assert_eq!(quotas.of(KEY).expect("a quota").usage(), used);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_answers_run_at_once_and_what_is_left_outlives_a_change_of_others() {
        let terms = KeyTerms { answers_at_once: Some(1), ..KeyTerms::default() };
        let quotas = quotas(terms.clone());
        let running = quotas.begin(KEY).expect("it may");
        quotas.set([(KEY, &terms), (ShareId(9), &terms)].into_iter());
        assert_eq!(wait(&quotas), Some(0));
        drop(running);
        assert_eq!(wait(&quotas), None);
        quotas.set(std::iter::empty());
        assert!(quotas.of(KEY).is_none());
    }
}
