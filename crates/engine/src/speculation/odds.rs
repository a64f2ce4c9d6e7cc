//! How often guesses were accepted lately.

/// Counts the guesses of one sequence; the newest count most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Odds {
    /// What is believed while little is known.
    prior: f64,
    accepted: f64,
    tried: f64,
}

/// How much earlier counts still count after a step with guesses.
const KEPT_TRIED: f64 = 0.85;

/// And after a step without: a sequence whose guesses were never accepted is tried again some day.
const KEPT_IDLE: f64 = 0.99;

/// How many guesses the prior counts for.
const PRIOR_WEIGHT: f64 = 2.0;

impl Odds {
    /// The odds before anything was tried.
    pub fn new(prior: f64) -> Odds {
        Odds { prior, accepted: 0.0, tried: 0.0 }
    }

    /// How likely a guess is accepted if those before it are.
    pub fn chance(&self) -> f64 {
        (self.accepted + PRIOR_WEIGHT * self.prior) / (self.tried + PRIOR_WEIGHT)
    }

    /// Of `guesses`, the first `accepted` were accepted. Those behind the first wrong one say
    /// nothing.
    pub fn tried(&mut self, guesses: usize, accepted: usize) {
        self.forget(KEPT_TRIED);
        self.accepted += accepted as f64;
        self.tried += guesses.min(accepted + 1) as f64;
    }

    /// A step tried none.
    pub fn idle(&mut self) {
        self.forget(KEPT_IDLE);
    }

    fn forget(&mut self, kept: f64) {
        self.accepted *= kept;
        self.tried *= kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_follow_what_happens_and_are_forgotten() {
        let mut odds = Odds::new(0.5);
        assert_eq!(odds.chance(), 0.5);
        (0..20).for_each(|_| odds.tried(4, 4));
        assert!(odds.chance() > 0.95, "{odds:?}");
        (0..40).for_each(|_| odds.tried(4, 0));
        assert!(odds.chance() < 0.15, "{odds:?}");
        (0..500).for_each(|_| odds.idle());
        assert!((odds.chance() - 0.5).abs() < 0.05, "{odds:?}");
    }

    #[test]
    fn what_comes_behind_a_wrong_guess_is_not_counted_against_it() {
        let mut odds = Odds::new(0.5);
        (0..50).for_each(|_| odds.tried(15, 3));
        assert!((odds.chance() - 0.75).abs() < 0.05, "{odds:?}");
    }
}
