//! What a step of so many rows of answers takes, as far as was measured.

/// Milliseconds by the number of rows.
#[derive(Clone, Debug)]
pub struct StepCosts {
    /// By rows; what was never measured is none.
    measured: Vec<Option<f64>>,
}

/// How much the newest measurement counts.
const NEWEST_WEIGHT: f64 = 0.3;

/// A step that takes longer than this many times what was expected was disturbed, and counts as if it had
/// taken that long: rows that once seemed slow would not be tried again, and so never be found fast.
const MOST_SURPRISE: f64 = 1.5;

/// Steps of more rows than were measured are thought to cost this part of what as many rows more cost
/// alone: little enough that they are tried once, which measures them.
const UNTRIED_SHARE: f64 = 0.25;

impl StepCosts {
    /// Nothing measured, for steps of at most `most` rows.
    pub fn new(most: usize) -> StepCosts {
        StepCosts { measured: vec![None; most + 1] }
    }

    /// Takes note of a step.
    pub fn stepped(&mut self, rows: usize, took_ms: f64) {
        let took_ms = match self.step_ms(rows) {
            Some(expected) => took_ms.min(MOST_SURPRISE * expected),
            None => took_ms,
        };
        let Some(mean) = self.measured.get_mut(rows) else { return };
        *mean = Some(mean.map_or(took_ms, |mean| mean + NEWEST_WEIGHT * (took_ms - mean)));
    }

    /// What a step of `rows` would take: as measured, or between what was measured of fewer and of
    /// more. None before anything was.
    pub fn step_ms(&self, rows: usize) -> Option<f64> {
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
        costs.stepped(6, 100.0);
        assert_eq!(costs.step_ms(6), Some(86.0));
        costs.stepped(17, 1.0);
        assert_eq!(costs.step_ms(20), Some(86.0 + 0.25 * 86.0 * 14.0 / 6.0), "beyond the table");
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
