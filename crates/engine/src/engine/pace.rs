//! How fast this machine computes, as far as the last steps tell.
//!
//! Nothing here changes an answer: it decides only how many rows of prompts one step takes, and
//! what those who wait are told.

use std::time::Duration;

/// Measures steps and answers.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    row_ms: Option<f64>,
    turn_ms: Option<f64>,
}

/// Who else is in a step with a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// Only prompts.
    Prompts,
    /// An answer that is being read, which waits for the step.
    Answers,
}

/// How long a step takes that an answer waits for: short enough that the words still flow.
const SHARED_STEP_MS: f64 = 200.0;

/// How long a step of prompts alone takes: whoever arrives meanwhile waits for its end.
const PROMPT_STEP_MS: f64 = 500.0;

/// Rows of a prompt before anything was measured; the slowest machine with the largest model is
/// through with them in some seconds.
const FIRST_ROWS: usize = 16;

/// Steps with fewer rows measure how long the weights take to read, not what a row costs.
const LEAST_MEASURED_ROWS: usize = 8;

/// How much the newest measurement counts.
const NEWEST_WEIGHT: f64 = 0.3;

/// What an answer is thought to take before one has ended.
const FIRST_TURN_MS: f64 = 10_000.0;

impl Pace {
    /// Takes note of a step.
    pub fn stepped(&mut self, rows: usize, took: Duration) {
        if rows >= LEAST_MEASURED_ROWS {
            blend(&mut self.row_ms, milliseconds(took) / rows as f64);
        }
    }

    /// Takes note of an answer that ran this long.
    pub fn answered(&mut self, took: Duration) {
        blend(&mut self.turn_ms, milliseconds(took));
    }

    /// How many rows of prompts a step should take.
    pub fn prompt_rows(&self, company: Company) -> usize {
        let goal_ms = match company {
            Company::Prompts => PROMPT_STEP_MS,
            Company::Answers => SHARED_STEP_MS,
        };
        // A float too large for the type becomes its largest value: as many as there are.
        self.row_ms.map_or(FIRST_ROWS, |row_ms| (goal_ms / row_ms) as usize)
    }

    /// How long someone waits until `turns` answers, of `at_once` that run side by side, have ended.
    pub fn wait_ms(&self, turns: usize, at_once: usize) -> u64 {
        let turn_ms = self.turn_ms.unwrap_or(FIRST_TURN_MS);
        (turn_ms * turns as f64 / at_once.max(1) as f64) as u64
    }
}

fn blend(mean: &mut Option<f64>, newest: f64) {
    *mean = Some(mean.map_or(newest, |mean| mean + NEWEST_WEIGHT * (newest - mean)));
}

/// A duration in the unit this project reports.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_machine_takes_prompts_in_small_pieces() {
        let mut pace = Pace::default();
        assert_eq!(pace.prompt_rows(Company::Answers), FIRST_ROWS);
        pace.stepped(100, Duration::from_millis(1_000));
        assert_eq!(pace.prompt_rows(Company::Answers), 20);
        assert_eq!(pace.prompt_rows(Company::Prompts), 50);
        pace.stepped(1, Duration::from_millis(1_000));
        assert_eq!(pace.prompt_rows(Company::Prompts), 50, "one row says nothing about many");
        pace.stepped(100, Duration::ZERO);
        assert!(pace.prompt_rows(Company::Prompts) > 50);
        let mut fast = Pace::default();
        fast.stepped(100, Duration::ZERO);
        assert_eq!(fast.prompt_rows(Company::Answers), usize::MAX);
    }

    #[test]
    fn the_wait_grows_with_the_queue_and_shrinks_with_company() {
        let mut pace = Pace::default();
        assert_eq!(pace.wait_ms(1, 1), 10_000);
        pace.answered(Duration::from_secs(4));
        assert_eq!(pace.wait_ms(1, 1), 4_000);
        assert_eq!(pace.wait_ms(3, 2), 6_000);
        assert_eq!(pace.wait_ms(1, 0), 4_000);
    }
}
