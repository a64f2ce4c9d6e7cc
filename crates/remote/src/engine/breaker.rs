//! A circuit breaker: an engine that fails again and again is left alone for a while.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open it.
const FAILURES: u32 = 3;
/// How long it stays open the first time; twice as long each time after.
const FIRST_REST: Duration = Duration::from_secs(2);
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Open: requests are refused at once. When it has rested, one request is let through to try.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    rest: Duration,
    open_until: Option<Instant>,
    last: Option<Failure>,
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There was no connection, or it broke.
    Connection,
    /// The engine itself said that it has failed, or said nothing.
    Answer,
}

impl Breaker {
    /// Errors: it is open, for so long yet.
    pub(super) fn admit(&self) -> Result<(), Duration> {
        let mut state = self.state();
        let Some(until) = state.open_until else { return Ok(()) };
        let now = Instant::now();
        if now < until {
            return Err(until - now);
        }
        // The others wait for what becomes of this one.
        state.open_until = Some(now + state.rest);
        Ok(())
    }

    /// The engine has answered.
    pub(super) fn succeeded(&self) {
        *self.state() = State::default();
    }

    /// The engine can be reached: what was held against its connection is forgotten.
    pub(super) fn reached(&self) {
        let mut state = self.state();
        if state.last == Some(Failure::Connection) {
            *state = State::default();
        }
    }

    /// The engine has failed.
    pub(super) fn failed(&self, failure: Failure) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        state.last = Some(failure);
        if state.failures >= FAILURES {
            state.rest = (state.rest * 2).clamp(FIRST_REST, LONGEST_REST);
            state.open_until = Some(Instant::now() + state.rest);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn opened() -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert_eq!(breaker.admit(), Ok(()));
            breaker.failed(Failure::Answer);
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_lets_one_try() {
        let breaker = opened().await;
        assert_eq!(breaker.admit(), Err(FIRST_REST));
        tokio::time::advance(FIRST_REST).await;
        assert_eq!(breaker.admit(), Ok(()));
        assert_eq!(breaker.admit(), Err(FIRST_REST), "one at a time");
        breaker.failed(Failure::Answer);
        assert_eq!(breaker.admit(), Err(FIRST_REST * 2));
        for _ in 0..10 {
            breaker.failed(Failure::Answer);
        }
        assert_eq!(breaker.admit(), Err(LONGEST_REST));
        tokio::time::advance(LONGEST_REST).await;
        assert_eq!(breaker.admit(), Ok(()));
        breaker.succeeded();
        assert_eq!((breaker.admit(), breaker.admit()), (Ok(()), Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_between_failures_starts_the_count_anew() {
        let breaker = Breaker::default();
        for _ in 0..10 {
            breaker.failed(Failure::Connection);
            breaker.failed(Failure::Answer);
            breaker.succeeded();
        }
        assert_eq!(breaker.admit(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn being_reached_forgives_connections_only() {
        let breaker = opened().await;
        breaker.reached();
        assert!(breaker.admit().is_err());
        breaker.failed(Failure::Connection);
        breaker.reached();
        assert_eq!(breaker.admit(), Ok(()));
    }
}
