//! When to give up on an answer.

use banter_seam::{Event, Failure};
use std::time::Duration;
use tokio::time::Instant;

/// The limits of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerLimits {
    /// It must begin within this time.
    pub(crate) queue_timeout: Duration,
    /// Once it has begun, it must make progress within this time.
    pub(crate) step_timeout: Duration,
    /// Its bytes, with those of the thoughts before it.
    pub(crate) bytes: usize,
}

/// The clock of one answer.
pub(super) struct Clock {
    limits: AnswerLimits,
    deadline: Instant,
    /// The answer has begun, and nobody has asked it to halt.
    is_running: bool,
}

impl Clock {
    pub(super) fn new(limits: AnswerLimits) -> Clock {
        Clock { limits, deadline: Instant::now() + limits.queue_timeout, is_running: false }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The generation did something.
    pub(super) fn moved(&mut self, event: &Event) {
        if matches!(event, Event::Queued { .. }) {
            return;
        }
        self.is_running = true;
        let next = Instant::now() + self.limits.step_timeout;
        self.deadline = match event {
            // Another engine may send a sign of life at once and then compute in silence. The time
            // until the first word is not shortened by that.
            Event::Prefill { .. } | Event::Alive => self.deadline.max(next),
            _ => next,
        };
    }

    /// The generation was asked to halt.
    pub(super) fn wait_for_the_halt(&mut self) {
        self.is_running = false;
        self.deadline = Instant::now() + self.limits.queue_timeout;
    }

    /// What clients are told when the deadline has passed.
    pub(super) fn timeout(&self) -> Failure {
        let (limit, while_doing) = match self.is_running {
            true => (self.limits.step_timeout, Failure::WITHOUT_A_STEP),
            false => (self.limits.queue_timeout, Failure::IN_THE_QUEUE),
        };
        Failure::Timeout { seconds: limit.as_secs(), while_doing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_sign_of_life_takes_nothing_from_the_time_until_the_first_word() {
        let begun = Instant::now();
        let limits = AnswerLimits {
            queue_timeout: Duration::from_secs(120),
            step_timeout: Duration::from_secs(60),
            bytes: 0,
        };
        let mut clock = Clock::new(limits);
        let mut moved = |event: Event| {
            clock.moved(&event);
            (clock.deadline() - begun).as_secs()
        };
        let delta =
            || Event::Delta { text: "word".to_owned(), tokens: Vec::new(), logprobs: Vec::new() };
        assert_eq!(moved(Event::Alive), 120);
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(moved(Event::Alive), 160);
        assert_eq!(moved(delta()), 160);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(moved(delta()), 170);
    }
}
