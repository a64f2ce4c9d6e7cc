//! How fast this machine computes, as far as the last steps tell.
//!
//! Nothing here changes an answer: it decides only how many rows of prompts one step takes, and
//! what those who wait are told.

use std::time::Duration;

use super::step_costs::StepCosts;

/// Measures steps and answers.
#[derive(Clone, Debug)]
pub struct Pace {
    max_gap_ms: f64,
    /// What a row of a prompt costs.
    row_ms: Option<f64>,
    /// What a step takes that has only answers in it.
    answers_ms: Option<f64>,
    /// The same with guesses, by rows.
    costs: StepCosts,
    turn_ms: Option<f64>,
}

/// How many rows a step had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepRows {
    /// Of prompts.
    pub prompts: usize,
    /// One for each answer.
    pub answers: usize,
    /// Of guesses.
    pub guesses: usize,
}

/// Who else is in a step with a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// Only prompts.
    Prompts,
    /// An answer that is being read, which waits for the step.
    Answers,
}

/// A step that an answer waits for takes at most so many times as long as it would without prompts.
const MOST_SLOWDOWN: f64 = 2.0;

/// How long a step of prompts alone takes: whoever arrives meanwhile waits for its end.
const PROMPT_STEP_MS: f64 = 500.0;

/// Rows of a prompt before anything was measured; the slowest machine with the largest model is
/// through with them in some seconds.
const FIRST_ROWS: usize = 16;

/// Steps with fewer rows measure how long the weights take to read, not what a row costs.
const LEAST_MEASURED_ROWS: usize = 8;

/// Steps of answers with more rows than these are not told apart.
const MOST_MEASURED_ROWS: usize = 64;

/// How much the newest measurement counts.
const NEWEST_WEIGHT: f64 = 0.3;

/// What an answer is thought to take before one has ended.
const FIRST_TURN_MS: f64 = 10_000.0;

impl Pace {
    /// A pace at which an answer stands still for at most `max_gap` because of others' prompts.
    pub fn new(max_gap: Duration) -> Pace {
        let max_gap_ms = milliseconds(max_gap);
        let costs = StepCosts::new(MOST_MEASURED_ROWS);
        Pace { max_gap_ms, row_ms: None, answers_ms: None, costs, turn_ms: None }
    }

    /// Takes note of a step.
    pub fn stepped(&mut self, rows: StepRows, took: Duration) {
        let took_ms = milliseconds(took);
        if rows.prompts == 0 {
            self.costs.stepped(rows.answers + rows.guesses, took_ms);
            if rows.guesses == 0 {
                blend(&mut self.answers_ms, took_ms);
            }
        } else if rows.prompts >= LEAST_MEASURED_ROWS {
            let of_answers = if rows.answers > 0 { self.answers_ms.unwrap_or(0.0) } else { 0.0 };
            // What answers take was measured beside others, perhaps many more: without a bound a row
            // would seem to cost nothing, and the next step would take all there are.
            let of_prompts = (took_ms - of_answers).max(took_ms / 2.0);
            blend(&mut self.row_ms, of_prompts / rows.prompts as f64);
        }
    }

    /// Takes note of an answer that ran this long.
    pub fn answered(&mut self, took: Duration) {
        blend(&mut self.turn_ms, milliseconds(took));
    }

    /// How many rows of prompts a step should take.
    ///
    /// Beside answers, those for which there is time until they would stand still for longer than the
    /// gap they may have, or than twice what they take alone; the scheduler takes some even if there
    /// is none, for a prompt must end too.
    pub fn prompt_rows(&self, company: Company) -> usize {
        let goal_ms = match (company, self.answers_ms) {
            (Company::Prompts, _) => PROMPT_STEP_MS,
            (Company::Answers, None) => self.max_gap_ms,
            (Company::Answers, Some(alone)) => {
                (self.max_gap_ms.min(MOST_SLOWDOWN * alone) - alone).max(0.0)
            }
        };
        // A float too large for the type becomes its largest value: as many as there are.
        self.row_ms.map_or(FIRST_ROWS, |row_ms| (goal_ms / row_ms) as usize)
    }

    /// What a step takes by its rows, if it has no prompts in it.
    pub fn costs(&self) -> &StepCosts {
        &self.costs
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

    fn pace() -> Pace {
        Pace::new(Duration::from_millis(200))
    }

    fn prompt(prompts: usize) -> StepRows {
        StepRows { prompts, answers: 0, guesses: 0 }
    }

    fn answers(answers: usize) -> StepRows {
        StepRows { prompts: 0, answers, guesses: 0 }
    }

    #[test]
    fn a_slow_machine_takes_prompts_in_small_pieces() {
        let mut pace = pace();
        assert_eq!(pace.prompt_rows(Company::Answers), FIRST_ROWS);
        pace.stepped(prompt(100), Duration::from_millis(1_000));
        assert_eq!(pace.prompt_rows(Company::Answers), 20);
        assert_eq!(pace.prompt_rows(Company::Prompts), 50);
        pace.stepped(prompt(1), Duration::from_millis(1_000));
        assert_eq!(pace.prompt_rows(Company::Prompts), 50, "one row says nothing about many");
        pace.stepped(prompt(100), Duration::ZERO);
        assert!(pace.prompt_rows(Company::Prompts) > 50);
        let mut fast = Pace::new(Duration::from_millis(200));
        fast.stepped(prompt(100), Duration::ZERO);
        assert_eq!(fast.prompt_rows(Company::Answers), usize::MAX);
    }

    #[test]
    fn answers_wait_for_prompts_no_longer_than_for_themselves() {
        let mut pace = pace();
        pace.stepped(prompt(100), Duration::from_millis(100));
        pace.stepped(answers(4), Duration::from_millis(30));
        assert_eq!(pace.prompt_rows(Company::Answers), 30, "twice a step of their own");
        pace.stepped(StepRows { answers: 4, ..prompt(30) }, Duration::from_millis(60));
        assert_eq!(pace.prompt_rows(Company::Answers), 30, "their own part is not the prompt's");
        pace.stepped(StepRows { answers: 1, ..prompt(30) }, Duration::from_millis(20));
        let rows = pace.prompt_rows(Company::Answers);
        assert!(rows < 60, "{rows}: a row costs something even if the answers took longer before");
        let mut slow = Pace::new(Duration::from_millis(200));
        slow.stepped(prompt(100), Duration::from_millis(1_000));
        slow.stepped(answers(4), Duration::from_millis(150));
        assert_eq!(slow.prompt_rows(Company::Answers), 5, "the gap they may have comes first");
        slow.stepped(answers(4), Duration::from_millis(900));
        assert_eq!(slow.prompt_rows(Company::Answers), 0, "they are late already");
    }

    #[test]
    fn the_wait_grows_with_the_queue_and_shrinks_with_company() {
        let mut pace = pace();
        assert_eq!(pace.wait_ms(1, 1), 10_000);
        pace.answered(Duration::from_secs(4));
        assert_eq!(pace.wait_ms(1, 1), 4_000);
        assert_eq!(pace.wait_ms(3, 2), 6_000);
        assert_eq!(pace.wait_ms(1, 0), 4_000);
    }
}
