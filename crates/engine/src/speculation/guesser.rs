//! The guesses of one answer.

use super::{Lookup, MAX_GUESSES, Odds};
use crate::text::TokenId;

/// Guesses the next tokens of one answer, and learns how often it is right.
#[derive(Clone, Debug)]
pub struct Guesser {
    lookup: Lookup,
    /// Of guesses behind few tokens that match, behind many, of what a form demands, and of a draft model.
    odds: [Odds; 4],
    /// Which of them the guesses at hand belong to.
    kind: usize,
}

/// From so many matching tokens on a match is no accident.
const LONG_MATCH: usize = 5;

/// How likely guesses of each kind hold before any was tried.
const PRIORS: [f64; 4] = [0.3, 0.8, 0.9, 0.6];

/// What a form demands; only how it is cut into tokens is open.
const FORCED: usize = 2;

/// What a draft model says.
const DRAFTED: usize = 3;

impl Default for Guesser {
    fn default() -> Guesser {
        Guesser { lookup: Lookup::default(), odds: PRIORS.map(Odds::new), kind: 0 }
    }
}

impl Guesser {
    /// Guesses of what follows `tokens`, prompt and answer so far; at most [`MAX_GUESSES`].
    pub fn guess(&mut self, tokens: &[TokenId]) -> Vec<TokenId> {
        let found = self.lookup.find(tokens, MAX_GUESSES);
        self.kind = usize::from(found.matched >= LONG_MATCH);
        found.tokens
    }

    /// How likely the next of the guesses at hand holds if those before it did.
    pub fn chance(&self) -> f64 {
        self.odds[self.kind].chance()
    }

    /// The same if the guesses at hand are not these but what a form demands.
    pub fn chance_of_forced(&mut self) -> f64 {
        self.kind = FORCED;
        self.chance()
    }

    /// How likely a guess of a draft model would hold.
    pub fn chance_of_drafted(&self) -> f64 {
        self.odds[DRAFTED].chance()
    }

    /// The guesses at hand are a draft model's now.
    pub fn take_drafted(&mut self) {
        self.kind = DRAFTED;
    }

    /// Whether a draft model may know better: nothing that was said before matches well.
    pub fn is_unsure(&self) -> bool {
        self.kind == 0
    }

    /// A step tried so many of the guesses at hand, and the first `held` of them held.
    pub fn learn(&mut self, tried: usize, held: usize) {
        for (kind, odds) in self.odds.iter_mut().enumerate() {
            match tried {
                1.. if kind == self.kind => odds.tried(tried, held),
                _ => odds.idle(),
            }
        }
    }
}
