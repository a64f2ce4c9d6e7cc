//! How fast an answer comes, for backends that do not measure it themselves.

use banter_seam::{Event, Finished};
use tokio::time::Instant;

/// The times of one answer, as its writer sees them.
pub(super) struct Pace {
    asked: Instant,
    first: Option<Instant>,
}

impl Pace {
    /// The answer is asked for now.
    pub(super) fn begin() -> Pace {
        Pace { asked: Instant::now(), first: None }
    }

    pub(super) fn saw(&mut self, event: &Event) {
        if matches!(event, Event::Delta { .. } | Event::Thinking(_)) {
            self.first.get_or_insert_with(Instant::now);
        }
    }

    /// Adds the times that the backend has not told.
    pub(super) fn complete(&self, finished: &mut Finished) {
        let Some(first) = self.first else { return };
        let timings = &mut finished.timings;
        timings.first_token_ms.get_or_insert((first - self.asked).as_secs_f32() * 1e3);
        let seconds = first.elapsed().as_secs_f32();
        if let Some(tokens @ 2..) = finished.usage.completion_tokens
            && seconds > 0.0
        {
            timings.tokens_per_second.get_or_insert((tokens - 1) as f32 / seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use banter_seam::{EndReason, FinishReason, Timings, Usage};
    use std::time::Duration;

    fn finished(completion_tokens: Option<usize>, timings: Timings) -> Finished {
        let usage = Usage { completion_tokens, ..Usage::default() };
        let reason = FinishReason::Ended(EndReason::End);
        Finished { reason, stop_string: None, usage, timings }
    }

    /// An answer whose first word comes after 200 ms, and its end 500 ms later.
    async fn measured(mut finished: Finished) -> Timings {
        let mut pace = Pace::begin();
        tokio::time::advance(Duration::from_millis(200)).await;
        for _ in 0..2 {
            pace.saw(&Event::Delta { text: "a".into(), tokens: Vec::new(), logprobs: Vec::new() });
            tokio::time::advance(Duration::from_millis(250)).await;
        }
        pace.complete(&mut finished);
        finished.timings
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_backend_does_not_tell_is_measured() {
        let timings = measured(finished(Some(11), Timings::default())).await;
        assert_eq!(timings.first_token_ms, Some(200.0));
        assert_eq!(timings.tokens_per_second, Some(20.0));
        let untold = measured(finished(None, Timings::default())).await;
        assert_eq!((untold.first_token_ms, untold.tokens_per_second), (Some(200.0), None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_backend_tells_stays() {
        let told =
            Timings { first_token_ms: Some(1.5), tokens_per_second: Some(2.5), halt_ms: Some(0.5) };
        assert_eq!(measured(finished(Some(11), told)).await, told);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_a_word_has_no_times() {
        let mut ended = finished(Some(0), Timings::default());
        Pace::begin().complete(&mut ended);
        assert_eq!(ended.timings, Timings::default());
    }
}
