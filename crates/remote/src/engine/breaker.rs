//! A circuit breaker: an engine that fails again and again gets no requests for a while.
//!
//! It counts connections that cannot be made, and failed health checks. A request that is refused
//! or fails does not count: otherwise one client could block the engine for all others.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row after which it opens.
const FAILURES: u32 = 3;
/// How long it stays open the first time. Each further time is twice as long.
const FIRST_REST: Duration = Duration::from_secs(2);
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Requests are refused at once. After the pause one request is let through as a try.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    rest: Duration,
    open_until: Option<Instant>,
}

impl Breaker {
    /// Errors: it is open, and stays open for this long.
    pub(super) fn admit(&self) -> Result<(), Duration> {
        let mut state = self.state();
        let Some(until) = state.open_until else { return Ok(()) };
        let now = Instant::now();
        if now < until {
            return Err(until - now);
        }
        // Further requests are refused until this one has ended.
        state.open_until = Some(now + state.rest);
        Ok(())
    }

    /// The engine has begun an answer, or says that it is well.
    pub(super) fn succeeded(&self) {
        *self.state() = State::default();
    }

    /// The engine cannot be reached, or says that it is not well.
    pub(super) fn failed(&self) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
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
            breaker.failed();
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
        breaker.failed();
        assert_eq!(breaker.admit(), Err(FIRST_REST * 2));
        for _ in 0..10 {
            breaker.failed();
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
            breaker.failed();
            breaker.failed();
            breaker.succeeded();
        }
        assert_eq!(breaker.admit(), Ok(()));
    }
}
