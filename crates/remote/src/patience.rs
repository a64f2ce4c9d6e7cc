//! How long to try.

use std::time::Duration;

use crate::client::Waits;
use crate::error::PullError;

/// How long to wait for a hub, and how often to try again.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For connections and for silence.
    pub waits: Waits,
    /// Tries in a row that bring nothing; then the download ends and keeps what it has.
    pub tries: u32,
    /// The pause after the first of them; each is twice as long as the one before.
    pub first_pause: Duration,
    /// The longest pause, and the longest that a hub may ask for.
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            waits: Waits { connect: Duration::from_secs(10), silence: Duration::from_secs(30) },
            tries: 6,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// Tries that brought nothing, one after the other.
pub(super) struct Tries {
    patience: Patience,
    failed: u32,
}

impl Tries {
    pub(super) fn new(patience: Patience) -> Tries {
        Tries { patience, failed: 0 }
    }

    /// Something came.
    pub(super) fn succeeded(&mut self) {
        self.failed = 0;
    }

    /// How long to wait before the next try, or the error if there is none.
    pub(super) fn failed(&mut self, error: PullError) -> Result<Duration, PullError> {
        self.failed += 1;
        let asked = match &error {
            PullError::Unreachable { .. } | PullError::BadAnswer { .. } => None,
            PullError::Status { status, .. } if *status >= 500 || *status == 408 => None,
            PullError::TooManyRequests { retry_after, .. } => *retry_after,
            _ => return Err(error),
        };
        let longest = self.patience.longest_pause;
        if self.failed >= self.patience.tries || asked.is_some_and(|asked| asked > longest) {
            return Err(error);
        }
        let doubled = self.patience.first_pause * 2_u32.saturating_pow(self.failed - 1);
        Ok(asked.unwrap_or_else(|| doubled.min(longest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kept;

    fn too_many(retry_after: Option<u64>) -> PullError {
        let retry_after = retry_after.map(Duration::from_secs);
        PullError::TooManyRequests { host: "hub".to_owned(), retry_after, kept: Kept::Nothing }
    }

    #[test]
    fn pauses_double_until_something_comes() {
        let mut tries = Tries::new(Patience::default());
        let mut pause = |asked| tries.failed(too_many(asked)).map(|pause| pause.as_secs()).ok();
        assert_eq!((pause(None), pause(None), pause(Some(7))), (Some(1), Some(2), Some(7)));
        tries.succeeded();
        assert_eq!(tries.failed(too_many(None)).expect("a try").as_secs(), 1);
    }

    #[test]
    fn a_refusal_and_a_long_wait_end_it_at_once() {
        let mut tries = Tries::new(Patience::default());
        assert!(tries.failed(too_many(Some(3600))).is_err());
        assert!(tries.failed(PullError::Stopped).is_err());
    }
}
