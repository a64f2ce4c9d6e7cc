//! How long a client may be silent before it is asked for a sign of life, and before it is gone.

use std::time::Duration;
use tokio::time::Instant;

/// What is known about the silence of one client.
pub(super) struct Silence {
    interval: Duration,
    /// When the newest ping was sent.
    pinged: Option<Instant>,
}

/// What a silence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Nothing,
    /// The client is to be asked for a sign of life.
    Ask,
    /// The client was asked, and has not answered in time.
    Gone,
}

impl Silence {
    /// Clients are asked after this time, and are gone after twice this time.
    pub(super) fn new(interval: Duration) -> Silence {
        Silence { interval, pinged: None }
    }

    /// A ping is sent now.
    pub(super) fn pinged(&mut self, now: Instant) {
        self.pinged = Some(now);
    }

    /// What it means that the last sign of life came then.
    pub(super) fn since(&self, last_sign: Instant, now: Instant) -> Meaning {
        let silence = now.saturating_duration_since(last_sign);
        if silence < self.interval {
            Meaning::Nothing
        } else if !self.waits_for_an_answer(last_sign) {
            Meaning::Ask
        } else if silence < 2 * self.interval {
            Meaning::Nothing
        } else {
            Meaning::Gone
        }
    }

    /// When that has to be looked at again. Not in a busy loop.
    pub(super) fn next_look(&self, last_sign: Instant, now: Instant) -> Instant {
        let patience = match self.waits_for_an_answer(last_sign) {
            true => 2 * self.interval,
            false => self.interval,
        };
        (last_sign + patience).max(now + self.interval / 4)
    }

    /// Whether a ping was sent after the last sign of life.
    fn waits_for_an_answer(&self, last_sign: Instant) -> bool {
        self.pinged.is_some_and(|pinged| pinged > last_sign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(20);

    /// How often a client is asked that answers each ping after this time.
    fn asked_within(answer_after: Duration, time: Duration) -> usize {
        let begun = Instant::now();
        let mut silence = Silence::new(INTERVAL);
        let (mut now, mut last_sign, mut answer) = (begun, begun, None::<Instant>);
        let mut asked = 0;
        while now < begun + time {
            now = silence.next_look(last_sign, now);
            if let Some(answered) = answer.filter(|answer| *answer <= now) {
                (last_sign, answer) = (answered, None);
            }
            match silence.since(last_sign, now) {
                Meaning::Nothing => {}
                Meaning::Ask => {
                    asked += 1;
                    silence.pinged(now);
                    answer = Some(now + answer_after);
                }
                Meaning::Gone => panic!("gone after {asked} pings, answers {answer_after:?}"),
            }
        }
        asked
    }

    #[test]
    fn a_client_that_answers_stays_however_quickly_it_does() {
        const HOUR: Duration = Duration::from_secs(3600);
        let most = usize::try_from(HOUR.as_secs() / INTERVAL.as_secs()).expect("small");
        let times = [0, 1, 10, 40_000, 1_000_000, 15_000_000, 14_999_999];
        for microseconds in times {
            let asked = asked_within(Duration::from_micros(microseconds), HOUR);
            assert!((most / 2..=most + 1).contains(&asked), "{microseconds} µs: {asked} pings");
        }
    }

    #[test]
    fn a_client_that_does_not_answer_is_gone_after_two_intervals() {
        let begun = Instant::now();
        let mut silence = Silence::new(INTERVAL);
        assert_eq!(silence.since(begun, begun + INTERVAL * 99 / 100), Meaning::Nothing);
        assert_eq!(silence.since(begun, begun + INTERVAL), Meaning::Ask);
        silence.pinged(begun + INTERVAL);
        assert_eq!(silence.next_look(begun, begun + INTERVAL), begun + 2 * INTERVAL);
        assert_eq!(silence.since(begun, begun + INTERVAL * 199 / 100), Meaning::Nothing);
        assert_eq!(silence.since(begun, begun + 2 * INTERVAL), Meaning::Gone);
    }
}
