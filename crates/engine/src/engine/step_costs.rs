//! What a step of so many rows of answers takes, as far as was measured.

/// Milliseconds by the number of rows.
///
/// Whatever slows the machine for a second slows steps of any size. So there is one level that moves
/// with every step, and what steps of so many rows cost is remembered at level 1: otherwise sizes that
/// were last tried in a slow second would look slow until they are tried again, which is never.
#[derive(Clone, Debug)]
pub struct StepCosts {
    level: f64,
    /// At level 1, by rows; what was never measured is none.
    measured: Vec<Option<f64>>,
}

/// How much the newest measurement counts for the level.
const LEVEL_WEIGHT: f64 = 0.2;

/// And for its number of rows.
const ROWS_WEIGHT: f64 = 0.1;

/// A step that takes longer than this many times what was expected was disturbed, and counts as if it had
/// taken that long.
const MOST_SURPRISE: f64 = 1.5;

/// Steps of more rows than were measured are thought to cost this part of what as many rows more cost
/// alone: little enough that they are tried once, which measures them.
const UNTRIED_SHARE: f64 = 0.25;

impl StepCosts {
    /// Nothing measured, for steps of at most `most` rows.
    pub fn new(most: usize) -> StepCosts {
        StepCosts { level: 1.0, measured: vec![None; most + 1] }
    }

    /// Takes note of a step; one that took no time says nothing.
    pub fn stepped(&mut self, rows: usize, took_ms: f64) {
        if took_ms <= 0.0 {
            return;
        }
        let expected = self.step_ms(rows);
        let took_ms = expected.map_or(took_ms, |expected| took_ms.min(MOST_SURPRISE * expected));
        match self.measured.get_mut(rows) {
            Some(Some(mean)) => {
                self.level *= 1.0 + LEVEL_WEIGHT * (took_ms / (*mean * self.level) - 1.0);
                *mean += ROWS_WEIGHT * (took_ms / self.level - *mean);
            }
            Some(unknown) => *unknown = Some(took_ms / self.level),
            None => {}
        }
    }

    /// What a step of `rows` would take now: as measured, or between what was measured of fewer and of
    /// more. None before anything was.
    pub fn step_ms(&self, rows: usize) -> Option<f64> {
        self.at_level_1(rows).map(|ms| ms * self.level)
    }

    fn at_level_1(&self, rows: usize) -> Option<f64> {
        let known = |(rows, ms): (usize, &Option<f64>)| ms.map(|ms| (rows as f64, ms));
        let (up_to, beyond) = self.measured.split_at((rows + 1).min(self.measured.len()));
        let fewer = up_to.iter().enumerate().rev().find_map(known);
        let more = beyond.iter().zip(rows + 1..).find_map(|(ms, rows)| known((rows, ms)));
        let rows = rows as f64;
        match (fewer, more) {
            (Some((few, ms)), Some((many, more_ms))) => {
                Some(ms + (more_ms - ms) * (rows - few) / (many - few))
            }
            (Some((few, ms)), None) => Some(ms + UNTRIED_SHARE * ms * (rows - few) / few.max(1.0)),
            (None, more) => more.map(|(_, ms)| ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_lies_between_what_was() {
        let mut costs = StepCosts::new(16);
        assert_eq!(costs.step_ms(1), None);
        costs.stepped(2, 40.0);
        assert_eq!(costs.step_ms(1), Some(40.0));
        assert_eq!(costs.step_ms(2), Some(40.0));
        assert_eq!(costs.step_ms(4), Some(50.0));
        costs.stepped(6, 80.0);
        assert_eq!(costs.step_ms(4), Some(60.0));
        costs.stepped(17, 1.0);
        assert_eq!(costs.step_ms(20), Some(80.0 + 0.25 * 80.0 * 14.0 / 6.0), "beyond the table");
    }

    #[test]
    fn a_clock_that_stands_still_says_nothing() {
        let mut costs = StepCosts::new(4);
        (0..3).for_each(|_| costs.stepped(1, 0.0));
        assert_eq!(costs.step_ms(1), None);
        (0..3).for_each(|_| costs.stepped(1, 5.0));
        assert_eq!(costs.step_ms(1), Some(5.0));
    }

    #[test]
    fn a_slow_second_changes_nothing_between_sizes() {
        let mut costs = StepCosts::new(16);
        for (rows, ms) in [(1, 40.0), (8, 80.0)].repeat(10) {
            costs.stepped(rows, ms);
        }
        (0..10).for_each(|_| costs.stepped(8, 100.0));
        let ratio = |costs: &StepCosts| costs.step_ms(8).zip(costs.step_ms(1)).map(|(a, b)| a / b);
        assert!(costs.step_ms(8) > Some(95.0), "{costs:?}");
        assert!(ratio(&costs) < Some(2.2), "8 rows still cost twice as much as 1: {costs:?}");
    }

    #[test]
    fn a_disturbed_step_is_soon_forgotten() {
        let mut costs = StepCosts::new(16);
        (0..10).for_each(|_| costs.stepped(4, 60.0));
        costs.stepped(4, 6_000.0);
        assert!(costs.step_ms(4) < Some(70.0), "{costs:?}");
        (0..30).for_each(|_| costs.stepped(4, 240.0));
        assert!(costs.step_ms(4) > Some(235.0), "what lasts is believed: {costs:?}");
    }
}
