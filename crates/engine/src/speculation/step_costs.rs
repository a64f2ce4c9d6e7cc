//! What a step of this many decode rows takes, as measured lately.
//!
//! ```text
//!  ms            o 9 rows, measured 40 steps ago
//!   |        .·'
//!   |  o  .·'  <- sizes between are interpolated     every step moves all sizes by part of
//!   |  | '                                           what surprised in it (the machine is
//!   |  1 row, measured just now                      slower), its own size by more
//!   +------------------------------ rows
//! ```
//!
//! A machine that is slow for a second is slow for steps of any size. If only the size that was
//! measured then were changed, it would look slow until it is tried again, which is never. So a
//! surprise changes all sizes. It changes them by a factor, so that what one step adds another
//! takes away again, in any order.
//!
//! A size that was not measured for [`FORGOTTEN_AFTER`] steps is forgotten. It then seems cheap, is
//! tried again when guesses are likely, and is measured. However wrong a cost is, it is not wrong
//! for long.

use std::collections::BTreeMap;

/// Milliseconds by the number of rows.
#[derive(Clone, Debug, Default)]
pub struct StepCosts {
    sizes: BTreeMap<usize, Size>,
    /// Steps that were measured.
    steps: u64,
    /// Steps in a row that took much longer than expected.
    surprises: u32,
}

/// Steps of one number of rows.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// Milliseconds that one would take now.
    ms: f64,
    /// How often it was measured, at most [`MOST_AVERAGED`].
    measured: f64,
    /// The last step that measured it.
    last: u64,
}

/// A size is forgotten after this many steps of other sizes: half a minute of an answer on a slow
/// machine. A step that tries it again in vain is then a fraction of a percent of the time.
pub const FORGOTTEN_AFTER: u64 = 512;

/// How much of a surprise is thought to be the machine's, and changes all sizes. The rest is the
/// size's own.
const MACHINE_WEIGHT: f64 = 0.2;

/// How many measurements of a size are averaged: noise of 15 % becomes 3 %.
const MOST_AVERAGED: f64 = 20.0;

/// From this many measurements on a size is known.
const LEAST_KNOWN: f64 = 4.0;

/// A step that takes longer than this many times what was expected was disturbed. It counts as if
/// it had taken that long. Of several in a row, each is believed more than the one before.
const MOST_SURPRISE: f64 = 1.5;

/// The same for a step that is faster.
const MOST_RELIEF: f64 = 4.0;

/// Rows beyond the largest size that was measured are thought to cost this part of what its rows
/// cost: little enough that they are tried once, which measures them.
const UNTRIED_SHARE: f64 = 0.25;

/// After this many slow steps in a row any time is believed.
const MOST_DOUBLED: u32 = 3;

/// The time of a step is taken to be between a nanosecond and a day.
const LEAST_MS: f64 = 1e-6;
const MOST_MS: f64 = 1e8;

impl StepCosts {
    /// Notes a step; one that took no time says nothing. Says by which factor the machine seems to
    /// have become slower since the one before.
    pub fn stepped(&mut self, rows: usize, took_ms: f64) -> f64 {
        if took_ms.is_nan() || took_ms <= 0.0 {
            return 1.0;
        }
        self.steps += 1;
        let (steps, took_ms) = (self.steps, took_ms.clamp(LEAST_MS, MOST_MS));
        self.sizes.retain(|_, size| steps - size.last <= FORGOTTEN_AFTER);
        let expected_ms = self.step_ms(rows).unwrap_or(took_ms);
        let most_ms = expected_ms * MOST_SURPRISE.powi(1 << self.surprises.min(MOST_DOUBLED));
        let is_surprise = took_ms > MOST_SURPRISE * expected_ms;
        let took_ms = took_ms.min(most_ms);
        let Some(known) = self.sizes.get(&rows) else {
            self.sizes.insert(rows, Size { ms: took_ms, measured: 1.0, last: steps });
            return 1.0;
        };
        // A size that was measured once or twice may be wrong itself, which says nothing about the
        // machine.
        if known.measured >= LEAST_KNOWN {
            self.surprises = if is_surprise { self.surprises + 1 } else { 0 };
        }
        let own = 1.0 / (known.measured + 1.0).min(MOST_AVERAGED);
        let surprise = (took_ms / expected_ms).max(1.0 / MOST_RELIEF);
        let machine = surprise.powf(MACHINE_WEIGHT * (1.0 - own));
        self.sizes.values_mut().for_each(|size| size.ms *= machine);
        if let Some(size) = self.sizes.get_mut(&rows) {
            size.ms *= surprise.powf(own);
            size.measured = (size.measured + 1.0).min(MOST_AVERAGED);
            size.last = steps;
        }
        machine
    }

    /// Whether the last steps took much longer than expected, so that costs are not known well.
    pub fn is_surprised(&self) -> bool {
        self.surprises > 0
    }

    /// What a step of `rows` would take now: as measured, or interpolated. More rows than were ever
    /// measured seem cheaper than they may be, so that they are tried. None before anything was
    /// measured.
    pub fn step_ms(&self, rows: usize) -> Option<f64> {
        let known = |(rows, size): (&usize, &Size)| (*rows as f64, size.ms);
        let fewer = self.sizes.range(..=rows).next_back().map(known);
        let more = self.sizes.range(rows + 1..).next().map(known);
        let rows = rows as f64;
        match (fewer, more) {
            (Some((few, ms)), Some((many, more_ms))) => {
                Some(ms + (more_ms - ms) * (rows - few) / (many - few))
            }
            (Some((few, ms)), None) => Some(ms + UNTRIED_SHARE * ms * (rows - few) / few.max(1.0)),
            (None, more) => more.map(|(_, ms)| ms),
        }
    }

    /// The same at best; whether guesses pay is decided by it. A step of fewer rows than any that
    /// was measured is hoped to take less in proportion: otherwise, while guesses are always tried,
    /// a step without them would be forgotten and seem no faster.
    pub fn hoped_ms(&self, rows: usize) -> Option<f64> {
        let (&fewest, _) = self.sizes.first_key_value()?;
        let part = rows as f64 / fewest.max(1) as f64;
        self.step_ms(rows).map(|ms| ms * part.min(1.0))
    }

    /// How many sizes are known.
    pub fn sizes(&self) -> usize {
        self.sizes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speculation::disturbance;

    fn steps(costs: &mut StepCosts, count: u64, rows: usize, ms: f64) {
        for _ in 0..count {
            costs.stepped(rows, ms);
        }
    }

    /// How many times longer a step of 8 rows takes than one of 1.
    fn ratio(costs: &StepCosts) -> f64 {
        let ms = |rows| costs.step_ms(rows).expect("something was measured");
        ms(8) / ms(1)
    }

    #[test]
    fn what_was_not_measured_lies_between_what_was() {
        let near = |found: Option<f64>, expected: f64| {
            let found = found.expect("something was measured");
            assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
        };
        let mut costs = StepCosts::default();
        assert_eq!(costs.step_ms(1), None);
        costs.stepped(2, 40.0);
        near(costs.step_ms(1), 40.0);
        near(costs.hoped_ms(1), 20.0);
        near(costs.step_ms(2), 40.0);
        near(costs.hoped_ms(2), 40.0);
        near(costs.step_ms(4), 50.0);
        costs.stepped(6, 80.0);
        near(costs.step_ms(4), 60.0);
        near(costs.step_ms(20), 80.0 + 0.25 * 80.0 * 14.0 / 6.0);
    }

    #[test]
    fn a_clock_that_stands_still_or_runs_wild_says_nothing_that_is_not_a_number() {
        let mut costs = StepCosts::default();
        [0.0, -1.0, f64::NAN].into_iter().for_each(|ms| steps(&mut costs, 1, 1, ms));
        assert_eq!(costs.step_ms(1), None);
        for _ in 0..1_000 {
            costs.stepped(1, f64::INFINITY);
            costs.stepped(2, f64::MIN_POSITIVE);
        }
        assert!([1, 2, 3].iter().all(|rows| costs.step_ms(*rows).is_some_and(f64::is_normal)));
        steps(&mut costs, 300, 1, 5.0);
        assert!((costs.step_ms(1).expect("it was measured") - 5.0).abs() < 0.1, "{costs:?}");
    }

    #[test]
    fn a_slow_second_changes_little_between_sizes() {
        let mut costs = StepCosts::default();
        for (rows, ms) in [(1, 40.0), (8, 80.0)].repeat(10) {
            costs.stepped(rows, ms);
        }
        steps(&mut costs, 10, 8, 100.0);
        assert!(costs.step_ms(8) > Some(95.0), "{costs:?}");
        assert!(ratio(&costs) < 2.2, "8 rows still cost twice as much as 1: {costs:?}");
    }

    #[test]
    fn a_disturbed_step_is_soon_forgotten() {
        let mut costs = StepCosts::default();
        steps(&mut costs, 10, 4, 60.0);
        costs.stepped(4, 6_000.0);
        assert!(costs.step_ms(4) < Some(70.0), "{costs:?}");
        steps(&mut costs, 30, 4, 240.0);
        assert!(costs.step_ms(4) > Some(235.0), "what lasts is believed: {costs:?}");
    }

    #[test]
    fn a_machine_that_stays_slower_is_soon_believed() {
        let mut costs = StepCosts::default();
        steps(&mut costs, 100, 4, 50.0);
        steps(&mut costs, 20, 4, 500.0);
        assert!(costs.step_ms(4) > Some(400.0), "{costs:?}");
        steps(&mut costs, 20, 4, 50.0);
        assert!(costs.step_ms(4) < Some(60.0), "{costs:?}");
    }

    #[test]
    fn a_size_that_was_not_tried_for_long_is_forgotten_and_measured_anew() {
        let mut costs = StepCosts::default();
        steps(&mut costs, 20, 1, 40.0);
        steps(&mut costs, 20, 8, 4_000.0);
        assert!(ratio(&costs) > 10.0, "{costs:?}");
        steps(&mut costs, FORGOTTEN_AFTER, 1, 40.0);
        assert_eq!(costs.sizes(), 2, "not yet");
        costs.stepped(1, 40.0);
        assert_eq!(costs.sizes(), 1);
        assert!(ratio(&costs) < 3.0, "it seems worth a try: {costs:?}");
        costs.stepped(8, 50.0);
        assert!((ratio(&costs) - 1.25).abs() < 0.01, "and is what that says: {costs:?}");
    }

    #[test]
    fn a_size_that_returns_does_not_make_others_look_cheap_or_dear() {
        for returns_at in [4.0, 40.0, 400.0, 4_000.0] {
            let mut costs = StepCosts::default();
            steps(&mut costs, 50, 8, 80.0);
            steps(&mut costs, 10 * FORGOTTEN_AFTER, 1, 40.0);
            steps(&mut costs, 3, 8, returns_at);
            let ms = costs.step_ms(1).expect("it is measured");
            assert!((30.0..50.0).contains(&ms), "{ms} where 8 rows take {returns_at}");
        }
    }

    #[test]
    fn sizes_never_drift_apart_whatever_noise_there_is() {
        let of_size = |rows: usize| 40.0 + 2.0 * rows as f64;
        for noise in [0.05, 0.1, 0.15] {
            let mut costs = StepCosts::default();
            for index in 0..300_000 {
                let rows = if index % 100 == 0 { 8 } else { 1 };
                costs.stepped(rows, of_size(rows) * disturbance(noise, index));
                if index % 1_000 == 999 {
                    let error = ratio(&costs) / (of_size(8) / of_size(1));
                    assert!((0.6..1.6).contains(&error), "{error} at step {index}: {costs:?}");
                }
            }
        }
    }
}
