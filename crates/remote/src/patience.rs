//! How long to try, and who is told about a wait.

use std::sync::Arc;
use std::time::Duration;

use crate::client::Waits;
use crate::error::PullError;
use crate::progress::{Phase, Progress};

/// How long to wait for a hub, and how often to try again.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The time limits of connections and of silence.
    pub waits: Waits,
    /// Tries in a row without any bytes. Then the download ends and keeps what it has.
    pub tries: u32,
    /// The pause after the first of them. Each later pause is twice as long as the one before.
    pub first_pause: Duration,
    /// The longest pause, unless the hub asks for a longer one.
    pub longest_pause: Duration,
    /// The longest pause that a hub may ask for. A longer one ends the download.
    pub longest_asked: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            waits: Waits { connect: Duration::from_secs(10), silence: Duration::from_secs(30) },
            tries: 6,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            // The known hubs count their limits over five minutes.
            longest_asked: Duration::from_secs(15 * 60),
        }
    }
}

/// How long to try, and who is told of a wait.
#[derive(Clone, Debug, Default)]
pub struct Trying {
    /// How long.
    pub patience: Patience,
    /// Who is told.
    pub progress: Arc<Progress>,
}

impl Trying {
    /// Asks something that should be answered at once. It waits only if the hub itself asks for
    /// that.
    pub(crate) async fn once<T>(
        &self,
        mut ask: impl AsyncFnMut() -> Result<T, PullError>,
    ) -> Result<T, PullError> {
        let mut tries = Tries::new(self);
        loop {
            match ask().await {
                Err(error @ PullError::TooManyRequests { .. }) => tries.wait_after(error).await?,
                outcome => return outcome,
            }
        }
    }
}

/// Counts the tries in a row without any bytes.
pub(crate) struct Tries<'a> {
    trying: &'a Trying,
    failed: u32,
}

impl<'a> Tries<'a> {
    pub(crate) fn new(trying: &'a Trying) -> Tries<'a> {
        Tries { trying, failed: 0 }
    }

    /// Bytes came: counts anew.
    pub(crate) fn succeeded(&mut self) {
        self.failed = 0;
    }

    /// Waits for the next try, or returns the error if there is no next try.
    pub(crate) async fn wait_after(&mut self, error: PullError) -> Result<(), PullError> {
        let line = error.cause();
        let pause = self.failed(error)?;
        let Trying { patience, progress } = self.trying;
        let (next, of) = (self.failed + 1, patience.tries);
        let seconds = pause.as_secs_f64().ceil();
        progress.tell(format!("{line}; trying again in {seconds} s (try {next} of {of})"), pause);
        progress.set_phase(Phase::Waiting);
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// How long to wait before the next try, or the error if there is no next try.
    fn failed(&mut self, error: PullError) -> Result<Duration, PullError> {
        self.failed += 1;
        let asked = match &error {
            PullError::TooManyRequests { retry_after, .. } => *retry_after,
            error if error.may_pass() => None,
            _ => return Err(error),
        };
        let patience = &self.trying.patience;
        let is_too_long = asked.is_some_and(|asked| asked > patience.longest_asked);
        if self.failed >= patience.tries || is_too_long {
            return Err(error);
        }
        let doubled = patience.first_pause * 2_u32.saturating_pow(self.failed - 1);
        // A hub counts whole seconds, so a wait of 0 seconds has not passed yet.
        Ok(asked.unwrap_or_default().max(doubled.min(patience.longest_pause)))
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
        let trying = Trying::default();
        let mut tries = Tries::new(&trying);
        let mut pause = |asked| tries.failed(too_many(asked)).map(|pause| pause.as_secs()).ok();
        assert_eq!((pause(None), pause(None), pause(Some(7))), (Some(1), Some(2), Some(7)));
        assert_eq!(pause(Some(0)), Some(8), "the next second has not come yet");
        tries.succeeded();
        assert_eq!(tries.failed(too_many(None)).expect("a try").as_secs(), 1);
    }

    #[test]
    fn what_a_hub_asks_is_waited_unless_it_is_far_too_long() {
        let trying = Trying::default();
        assert_eq!(Tries::new(&trying).failed(too_many(Some(300))).expect("a try").as_secs(), 300);
        assert!(Tries::new(&trying).failed(too_many(Some(3600))).is_err());
        assert!(Tries::new(&trying).failed(PullError::Stopped).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_told() {
        let trying = Trying::default();
        let mut answers = [Err(too_many(Some(87))), Ok(5)].into_iter();
        let answer = trying.once(async || answers.next().expect("two")).await.expect("in the end");
        assert_eq!(answer, 5);
        let news = trying.progress.take_news();
        let expected =
            "hub asks to wait 87 s: too many requests; trying again in 87 s (try 2 of 6)";
        assert_eq!(news, [expected]);
    }
}
