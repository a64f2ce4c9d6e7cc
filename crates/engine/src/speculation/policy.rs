//! How many guesses a step tries, as measured lately. The engine decides by it, and so does
//! [`Bench`](crate::measure::Bench).

use std::time::Duration;

use super::{FORGOTTEN_AFTER, StepCosts, most_worthwhile, worthwhile_length};

/// Learns how long steps and a draft model take, and decides how many guesses are worth it.
#[derive(Clone, Debug, Default)]
pub struct StepPolicy {
    costs: StepCosts,
    draft_pass: Option<DraftPass>,
    /// Steps without prompts.
    steps: u64,
}

/// What a pass of the draft model takes: one token of every sequence.
#[derive(Clone, Copy, Debug)]
struct DraftPass {
    ms: f64,
    /// The step that measured it last.
    last: u64,
}

/// How much the newest pass of a draft model counts.
const NEWEST_WEIGHT: f64 = 0.3;

/// A pass that takes longer than this many times what was expected was disturbed. It counts as if
/// it had taken that long.
const MOST_SURPRISE: f64 = 2.0;

impl StepPolicy {
    /// Notes a forward pass of this many decode rows and guesses, without prompts. Says by which
    /// factor the machine seems to have become slower since the one before.
    pub fn stepped(&mut self, rows: usize, took: Duration) -> f64 {
        self.steps += 1;
        let machine = self.costs.stepped(rows, 1e3 * took.as_secs_f64());
        // A model that was slow once must be asked again some day, as with sizes of steps.
        self.draft_pass = self.draft_pass.filter(|pass| self.steps - pass.last <= FORGOTTEN_AFTER);
        machine
    }

    /// Notes a pass of the draft model that read one or two tokens of every sequence.
    pub fn draft_model_passed(&mut self, took: Duration) {
        let newest = 1e3 * took.as_secs_f64();
        let blend =
            |DraftPass { ms, .. }| ms + NEWEST_WEIGHT * (newest.min(MOST_SURPRISE * ms) - ms);
        let ms = self.draft_pass.map_or(newest, blend);
        self.draft_pass = Some(DraftPass { ms, last: self.steps });
    }

    /// How many of each sequence's guesses to try in a step that has `singles` other rows, at most
    /// `most` together; none before anything was measured. `chances` are those of
    /// `most_worthwhile`.
    pub fn counts(&self, chances: &[(f64, usize)], singles: usize, most: usize) -> Vec<usize> {
        most_worthwhile(chances, singles, self.most(most), |rows| self.hoped_ms(rows))
    }

    /// How many guesses each sequence should get from a draft model, at most `most`. `chances` are
    /// those of `worthwhile_length`.
    pub fn draft_length(&self, chances: &[f64], singles: usize, most: usize) -> usize {
        let (most, pass_ms) = (self.most(most), self.draft_pass.map(|pass| pass.ms));
        worthwhile_length(chances, singles, most, pass_ms, |rows| self.hoped_ms(rows))
    }

    /// What steps take.
    pub fn costs(&self) -> &StepCosts {
        &self.costs
    }

    /// What a pass of the draft model takes.
    #[cfg(test)]
    pub fn pass_ms(&self) -> Option<f64> {
        self.draft_pass.map(|pass| pass.ms)
    }

    fn most(&self, most: usize) -> usize {
        if self.costs.sizes() == 0 { 0 } else { most }
    }

    /// Before anything was measured nothing is tried, and any number will do.
    fn hoped_ms(&self, rows: usize) -> f64 {
        self.costs.hoped_ms(rows).unwrap_or(1.0)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::sampler::random::uniform;
    use crate::speculation::MAX_GUESSES;

    /// How many times longer than it should step `index` takes on a machine with noise, hiccups,
    /// and phases in which others use it too.
    pub(crate) fn disturbance(noise: f64, index: u64) -> f64 {
        let seed = (1_000.0 * noise) as u64;
        let dice = |place| uniform(seed, 4 * index + place);
        // Box and Muller's normal distribution.
        let normal = (-2.0 * (1.0 - dice(0)).ln()).sqrt() * (std::f64::consts::TAU * dice(1)).cos();
        let phase = uniform(seed + 1, index / 700);
        let slow = if phase < 0.1 { 1.0 + 90.0 * phase } else { 1.0 };
        let hiccup = if dice(2) < 0.03 { 1.0 + 10.0 * dice(3) } else { 1.0 };
        slow * hiccup * (1.0 + noise * normal).max(0.2)
    }

    fn ms(ms: f64) -> Duration {
        Duration::from_secs_f64(ms / 1e3)
    }

    /// What a step takes on a machine that reads weights for most of it.
    fn of_size(rows: usize) -> f64 {
        40.0 + 2.0 * rows as f64
    }

    /// Guesses of one answer whose text repeats itself: how many a step tries.
    fn tries(policy: &StepPolicy, chance: f64) -> usize {
        policy.counts(&[(chance, MAX_GUESSES)], 1, 2 * MAX_GUESSES)[0]
    }

    #[test]
    fn nothing_is_tried_before_anything_was_measured() {
        let mut policy = StepPolicy::default();
        assert_eq!((tries(&policy, 0.9), policy.draft_length(&[0.9], 1, 15)), (0, 0));
        policy.stepped(1, ms(42.0));
        assert!(tries(&policy, 0.9) > 0);
        assert_eq!(policy.draft_length(&[0.9], 1, 15), 1, "to know how fast the model is");
    }

    #[test]
    fn guessing_pays_again_after_a_million_steps_of_any_noise() {
        const ENOUGH: u64 = FORGOTTEN_AFTER + 20;
        for noise in [0.0, 0.05, 0.1, 0.15] {
            let mut policy = StepPolicy::default();
            let mut index = 0;
            // One step in which the text may repeat itself, or a session of them, and long
            // stretches of ordinary text.
            for stretch in [0, 1, 100, 10_000, 200_000, 789_000] {
                let until = index + stretch;
                while index < until {
                    let chance = if uniform(9, index / 64) < 0.02 { 0.8 } else { 0.1 };
                    let rows = 1 + tries(&policy, chance);
                    policy.stepped(rows, ms(of_size(rows) * disturbance(noise, index)));
                    index += 1;
                }
                let waited = (0..ENOUGH).position(|_| {
                    let rows = 1 + tries(&policy, 0.8);
                    policy.stepped(rows, ms(of_size(rows) * disturbance(noise, index)));
                    index += 1;
                    rows > 4
                });
                assert!(waited.is_some(), "noise {noise}, step {index}: {policy:?}");
            }
        }
    }

    #[test]
    fn guesses_that_do_not_pay_take_little_of_the_time() {
        for noise in [0.0, 0.15] {
            let mut policy = StepPolicy::default();
            let (mut took, mut alone, mut tokens) = (0.0, 0.0, 0.0);
            for index in 0..100_000 {
                let tried = tries(&policy, 0.6);
                // A machine for which every row costs the same.
                let step = |rows: usize| 40.0 * rows as f64 * disturbance(noise, index);
                policy.stepped(1 + tried, ms(step(1 + tried)));
                took += step(1 + tried);
                alone += step(1);
                tokens += (0..=tried as i32).map(|held| 0.6_f64.powi(held)).sum::<f64>();
            }
            let loss = took / tokens / (alone / 100_000.0);
            assert!(loss < 1.03, "noise {noise}: a token takes {loss} times as long as without");
        }
    }

    #[test]
    fn a_draft_model_that_was_slow_once_is_asked_again() {
        let mut policy = StepPolicy::default();
        policy.stepped(1, ms(42.0));
        policy.draft_model_passed(ms(60_000.0));
        let length = |policy: &StepPolicy| policy.draft_length(&[0.8], 1, MAX_GUESSES);
        assert_eq!(length(&policy), 0);
        let waited = (0..=FORGOTTEN_AFTER).position(|_| {
            policy.stepped(1, ms(42.0));
            length(&policy) > 0
        });
        assert!(waited.is_some());
        policy.stepped(16, ms(72.0));
        policy.draft_model_passed(ms(2.0));
        assert!(length(&policy) > 4, "it is fast: {policy:?}");
        policy.draft_model_passed(ms(60_000.0));
        assert!(length(&policy) > 2, "one disturbed pass says little: {policy:?}");
    }
}
