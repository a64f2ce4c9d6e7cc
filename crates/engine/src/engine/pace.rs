//! How fast this machine computes, as the last steps tell, and how much a step may therefore take.
//!
//! Nothing here changes an answer. It decides only how many rows of prompts one step takes, and
//! what those who wait are told.
//!
//! ```text
//!  ms of a step with answers in it
//!
//!  │◄── decode alone, measured ──►│◄─ prompts: at most 0.8 of that, ─►│
//!  │                              │   and not beyond the gap          │
//!  ├──────────────────────────────┼──────────────────────────┬────────┤
//!  0                              40                         72      200 = max_gap
//!
//!  rows of prompts = time left for prompts / time of a row, measured
//! ```
//!
//! If decoding alone takes longer than the gap, prompts still get their 0.8, up to
//! [`MOST_FAIR_ROWS`]: a prompt must end too.

use std::time::Duration;

use crate::scheduler::{MIN_PROMPT_ROWS, PrefillBudget};
use crate::speculation::StepPolicy;

/// Measures steps and answers.
#[derive(Clone, Debug)]
pub struct Pace {
    max_gap_ms: f64,
    /// What a row of a prompt takes.
    row_ms: Option<f64>,
    /// What a step without prompts takes.
    policy: StepPolicy,
    /// Steps with prompts and answers since answers were last measured alone.
    mixed_steps: usize,
    /// What an answer took, on average.
    work: Option<MeanWork>,
}

/// How much was computed for one answer. Not its time, which depends on how many ran beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerWork {
    /// Rows of its prompt that were computed.
    pub prompt_rows: usize,
    /// Steps after its first token.
    pub steps: usize,
}

#[derive(Clone, Copy, Debug)]
struct MeanWork {
    prompt_rows: f64,
    steps: f64,
}

/// How many rows a step had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepRows {
    /// Of prompts.
    pub prefill: usize,
    /// One for each answer.
    pub decode: usize,
    /// Of guesses.
    pub guesses: usize,
}

/// What a prefill shares its step with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepMix {
    /// Nothing: nobody is reading an answer.
    PrefillOnly,
    /// Decode rows, guesses included: a reader waits for this step.
    WithDecode {
        /// How many.
        rows: usize,
    },
}

impl StepMix {
    /// The mix of a step with this many decode rows.
    pub fn with_decode(rows: usize) -> StepMix {
        if rows == 0 { StepMix::PrefillOnly } else { StepMix::WithDecode { rows } }
    }
}

/// Prompts make a step that a reader waits for longer by at most this part of what it would take
/// without them. Less than 1, because single steps take longer than the average.
const PROMPTS_PART: f64 = 0.8;

/// How long a step of prompts alone takes: a request that arrives meanwhile waits for its end.
const PROMPT_STEP_MS: f64 = 500.0;

/// A step of prompts alone may take this many times longer if that completes every prompt: a rest
/// would read all weights again.
const LONGEST_STEP: f64 = 1.5;

/// If decoding alone takes longer than the gap, prompts get no more rows than these.
const MOST_FAIR_ROWS: usize = 16;

/// Rows of a prompt before anything was measured. The slowest machine with the largest model
/// computes them in a few seconds.
const FIRST_ROWS: usize = 16;

/// Steps of prompts with fewer rows measure how long the weights take to read, not what a row
/// takes.
const LEAST_MEASURED_ROWS: usize = 8;

/// How much the newest measurement counts.
const NEWEST_WEIGHT: f64 = 0.3;

/// After this many steps with prompts and answers, one step has answers alone.
///
/// Without it nothing tells a machine that became slower from prompts that became dearer. If the
/// second is believed when the first is true, prompts crawl.
const MOST_MIXED_STEPS: usize = 64;

/// How much the newest answer counts: answers differ more than steps do.
const NEWEST_ANSWER_WEIGHT: f64 = 0.1;

impl Pace {
    /// A pace at which an answer stands still for at most `max_gap` because of others' prompts.
    pub fn new(max_gap: Duration) -> Pace {
        let max_gap_ms = milliseconds(max_gap);
        Pace { max_gap_ms, row_ms: None, policy: StepPolicy::default(), mixed_steps: 0, work: None }
    }

    /// Notes the forward pass of a step.
    pub fn stepped(&mut self, rows: StepRows, took: Duration) {
        let took_ms = milliseconds(took);
        let others = rows.decode + rows.guesses;
        let least = if others > 0 { MIN_PROMPT_ROWS } else { LEAST_MEASURED_ROWS };
        if rows.prefill == 0 {
            let machine = self.policy.stepped(others, took);
            self.row_ms = self.row_ms.map(|row_ms| row_ms * machine);
            if !self.policy.costs().is_surprised() {
                self.mixed_steps = 0;
            }
            return;
        }
        self.mixed_steps += usize::from(others > 0);
        if rows.prefill >= least {
            let of_others = self.alone_ms(others).unwrap_or(0.0);
            // What the others take was measured at another time, when the machine may have been
            // slower. Without this bound a row could seem to take no time, and the next step would
            // have all rows there are.
            let share = rows.prefill as f64 / (rows.prefill + others) as f64;
            let of_prompts = (took_ms - of_others).max(took_ms * share / 2.0);
            blend(&mut self.row_ms, of_prompts / rows.prefill as f64);
        }
    }

    /// Whether the next step should have no prompts in it, so that what decoding takes alone is
    /// measured.
    pub fn wants_decode_alone(&self) -> bool {
        self.mixed_steps >= MOST_MIXED_STEPS
    }

    /// Notes a pass of the draft model.
    pub fn draft_model_passed(&mut self, took: Duration) {
        self.policy.draft_model_passed(took);
    }

    /// Notes an answer that is complete. One that was stopped would say nothing about others.
    pub fn answered(&mut self, work: AnswerWork) {
        let (prompt_rows, steps) = (work.prompt_rows as f64, work.steps as f64);
        let mean = self.work.get_or_insert(MeanWork { prompt_rows, steps });
        mean.prompt_rows += NEWEST_ANSWER_WEIGHT * (prompt_rows - mean.prompt_rows);
        mean.steps += NEWEST_ANSWER_WEIGHT * (steps - mean.steps);
    }

    /// How many rows of prompts a step may have.
    ///
    /// With answers in the step: those that are bearable, or up to [`MOST_FAIR_ROWS`] that fit into
    /// the prompts' part of the time, if that is more. The scheduler takes a few even if there are
    /// none, because a prompt must end too.
    pub fn prefill_budget(&self, mix: StepMix) -> PrefillBudget {
        match mix {
            StepMix::PrefillOnly => PrefillBudget {
                rows: self.rows_in(PROMPT_STEP_MS),
                rows_to_finish: self.rows_in(LONGEST_STEP * PROMPT_STEP_MS),
            },
            StepMix::WithDecode { rows: decode } => {
                let alone = self.alone_ms(decode);
                let fair = alone.map_or(0, |alone| self.rows_in(PROMPTS_PART * alone));
                let rows = self.bearable_rows(decode).max(fair.min(MOST_FAIR_ROWS));
                PrefillBudget { rows, rows_to_finish: rows }
            }
        }
    }

    /// How many rows of prompts fit into a step with this many decode rows, before the answers
    /// stand still for longer than the gap or for nearly twice what they take alone.
    pub fn bearable_rows(&self, decode: usize) -> usize {
        self.rows_in(match self.alone_ms(decode) {
            Some(alone) => (PROMPTS_PART * alone).min(self.max_gap_ms - alone).max(0.0),
            None => self.max_gap_ms,
        })
    }

    /// How many rows of prompts are computed in this time.
    fn rows_in(&self, ms: f64) -> usize {
        // A float too large for the type becomes its largest value: as many rows as there are.
        self.row_ms.map_or(FIRST_ROWS, |row_ms| (ms / row_ms.max(f64::MIN_POSITIVE)) as usize)
    }

    /// What a step of this many decode rows takes without prompts, if it was measured.
    fn alone_ms(&self, decode: usize) -> Option<f64> {
        if decode == 0 { None } else { self.policy.costs().step_ms(decode) }
    }

    /// Decides how many guesses are tried.
    pub fn policy(&self) -> &StepPolicy {
        &self.policy
    }

    /// How long the request at `position` of the queue waits, if `at_once` answers run together.
    /// None before an answer has ended.
    ///
    /// Answers that run together share their steps, but each prompt takes its own time.
    pub fn wait_ms(&self, position: usize, at_once: usize) -> Option<u64> {
        let MeanWork { prompt_rows, steps } = self.work?;
        let at_once = at_once.max(1);
        let step_ms = if steps > 0.0 { self.policy.costs().step_ms(at_once)? } else { 0.0 };
        let prompt_ms = prompt_rows * self.row_ms.unwrap_or(0.0);
        Some((position as f64 * (prompt_ms + steps * step_ms / at_once as f64)) as u64)
    }
}

fn blend(mean: &mut Option<f64>, newest: f64) {
    *mean = Some(mean.map_or(newest, |mean| mean + NEWEST_WEIGHT * (newest - mean)));
}

/// A duration in the unit that this project reports.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speculation::disturbance;

    fn pace() -> Pace {
        Pace::new(Duration::from_millis(200))
    }

    fn prompt(prefill: usize) -> StepRows {
        StepRows { prefill, decode: 0, guesses: 0 }
    }

    fn answers(decode: usize) -> StepRows {
        StepRows { prefill: 0, decode, guesses: 0 }
    }

    #[test]
    fn a_slow_machine_takes_prompts_in_small_pieces() {
        let mut pace = pace();
        assert_eq!(pace.prefill_budget(StepMix::with_decode(1)).rows, FIRST_ROWS);
        pace.stepped(prompt(100), Duration::from_millis(1_000));
        assert_eq!(
            pace.prefill_budget(StepMix::with_decode(1)),
            PrefillBudget { rows: 20, rows_to_finish: 20 }
        );
        assert_eq!(
            pace.prefill_budget(StepMix::PrefillOnly),
            PrefillBudget { rows: 50, rows_to_finish: 75 }
        );
        pace.stepped(prompt(1), Duration::from_millis(1_000));
        assert_eq!(
            pace.prefill_budget(StepMix::PrefillOnly).rows,
            50,
            "one row says nothing about many"
        );
        pace.stepped(prompt(100), Duration::ZERO);
        assert!(pace.prefill_budget(StepMix::PrefillOnly).rows > 50);
        let mut fast = Pace::new(Duration::from_millis(200));
        fast.stepped(prompt(100), Duration::ZERO);
        assert_eq!(fast.prefill_budget(StepMix::with_decode(1)).rows, usize::MAX);
    }

    #[test]
    fn answers_wait_for_prompts_no_longer_than_for_themselves() {
        let mut pace = pace();
        pace.stepped(prompt(100), Duration::from_millis(100));
        pace.stepped(answers(4), Duration::from_millis(30));
        assert_eq!(pace.bearable_rows(4), 24, "nearly twice a step of their own");
        pace.stepped(StepRows { decode: 4, ..prompt(24) }, Duration::from_millis(54));
        assert_eq!(pace.bearable_rows(4), 24, "their own part is not the prompt's");
        pace.stepped(StepRows { decode: 4, ..prompt(24) }, Duration::from_millis(20));
        let rows = pace.bearable_rows(4);
        assert!(rows < 40, "{rows}: a row costs something even if the answers took longer before");
        assert_eq!(pace.prefill_budget(StepMix::with_decode(4)).rows, rows);
    }

    #[test]
    fn prompts_go_on_in_their_part_of_the_time_where_answers_are_late_anyway() {
        let mut slow = Pace::new(Duration::from_millis(200));
        slow.stepped(prompt(100), Duration::from_millis(2_000));
        slow.stepped(answers(4), Duration::from_millis(150));
        assert_eq!(slow.bearable_rows(4), 2, "the gap they may have comes first");
        assert_eq!(slow.prefill_budget(StepMix::with_decode(4)).rows, 6, "their part of the time");
        slow.stepped(answers(8), Duration::from_millis(900));
        (0..9).for_each(|_| slow.stepped(prompt(100), Duration::from_millis(100)));
        assert_eq!(slow.bearable_rows(8), 0, "they are late already");
        assert_eq!(slow.prefill_budget(StepMix::with_decode(8)).rows, MOST_FAIR_ROWS);
    }

    #[test]
    fn a_row_of_a_prompt_is_measured_beside_answers_however_few_there_is_time_for() {
        let mut pace = pace();
        pace.stepped(answers(8), Duration::from_millis(100));
        pace.stepped(prompt(100), Duration::from_millis(4_000));
        for _ in 0..20 {
            let rows = pace.prefill_budget(StepMix::with_decode(8)).rows.max(MIN_PROMPT_ROWS);
            let took = Duration::from_millis(100 + 10 * rows as u64);
            pace.stepped(StepRows { decode: 8, ..prompt(rows) }, took);
        }
        assert!(pace.bearable_rows(8).abs_diff(8) <= 1, "{pace:?}");
    }

    #[test]
    fn prompts_beside_answers_do_not_crawl_for_long_whatever_noise_there_is() {
        const CRAWLING: usize = 2 * MIN_PROMPT_ROWS;
        for noise in [0.05, 0.1, 0.15] {
            let (mut pace, mut crawled) = (pace(), 0);
            for index in 0..300_000 {
                // Long prompts, and stretches without any.
                let is_alone = index % 3_000 < 1_000 || pace.wants_decode_alone();
                let most =
                    pace.prefill_budget(StepMix::with_decode(4)).rows.clamp(MIN_PROMPT_ROWS, 500);
                let prompts = if is_alone { 0 } else { most };
                let ms = (40 + 8 + 2 * prompts) as f64 * disturbance(noise, index);
                let took = Duration::from_secs_f64(ms / 1e3);
                pace.stepped(StepRows { decode: 4, ..prompt(prompts) }, took);
                crawled = if prompts > 0 && most < CRAWLING { crawled + 1 } else { 0 };
                assert!(crawled < 4 * MOST_MIXED_STEPS, "step {index}: {pace:?}");
            }
        }
    }

    #[test]
    fn answers_are_measured_alone_now_and_then_though_prompts_never_end() {
        let mut pace = pace();
        (0..5).for_each(|_| pace.stepped(answers(4), Duration::from_millis(50)));
        let mixed = StepRows { decode: 4, ..prompt(8) };
        for _ in 0..MOST_MIXED_STEPS {
            assert!(!pace.wants_decode_alone());
            pace.stepped(mixed, Duration::from_millis(70));
        }
        assert!(pace.wants_decode_alone());
        pace.stepped(answers(4), Duration::from_millis(500));
        assert!(pace.wants_decode_alone(), "what is found then is too surprising for one step");
        (0..20).for_each(|_| pace.stepped(answers(4), Duration::from_millis(500)));
        assert!(!pace.wants_decode_alone());
        pace.stepped(prompt(100), Duration::from_millis(500));
        assert!(!pace.wants_decode_alone(), "where nobody answers there is nothing to measure");
    }

    #[test]
    fn the_wait_is_known_once_an_answer_has_ended_and_follows_what_steps_cost() {
        let mut pace = pace();
        pace.stepped(prompt(100), Duration::from_millis(100));
        pace.stepped(answers(1), Duration::from_millis(10));
        assert_eq!(pace.wait_ms(1, 1), None);
        pace.answered(AnswerWork { prompt_rows: 50, steps: 100 });
        assert_eq!(pace.wait_ms(1, 1), Some(1_050));
        assert_eq!(pace.wait_ms(3, 1), Some(3_150));
        assert_eq!(pace.wait_ms(1, 0), Some(1_050));
        pace.stepped(answers(4), Duration::from_millis(20));
        assert_eq!(
            pace.wait_ms(4, 4),
            Some(4 * 50 + 100 * 20),
            "steps are shared, prompts are not"
        );
    }

    #[test]
    fn answers_of_one_token_take_the_time_of_their_prompts() {
        let mut pace = pace();
        pace.stepped(prompt(100), Duration::from_millis(100));
        pace.answered(AnswerWork { prompt_rows: 50, steps: 0 });
        assert_eq!(pace.wait_ms(2, 1), Some(100));
    }
}
