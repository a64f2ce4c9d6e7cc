//! The guesses of one answer.

use super::{Lookup, MAX_GUESSES, Odds};
use crate::text::TokenId;

/// Guesses the next tokens of one answer, and learns how often it is right.
#[derive(Clone, Debug)]
pub struct Guesser {
    lookup: Lookup,
    /// By [`Kind`].
    odds: [Odds; 5],
    /// What the guesses at hand are.
    kind: Kind,
}

/// What speaks for guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A token was changed where others were repeated.
    Changed,
    /// Few tokens match.
    Short,
    /// Many tokens match.
    Long,
    /// A form demands them; only how it is cut into tokens is open.
    Forced,
    /// A draft model says so.
    Drafted,
}

/// From so many matching tokens on a match is no accident.
const LONG_MATCH: usize = 5;

/// How likely guesses of each [`Kind`] hold before any was tried.
const PRIORS: [f64; 5] = [0.4, 0.5, 0.8, 0.9, 0.6];

impl Default for Guesser {
    fn default() -> Guesser {
        let (lookup, odds) = (Lookup::default(), PRIORS.map(Odds::new));
        Guesser { lookup, odds, kind: Kind::Short }
    }
}

impl Guesser {
    /// Guesses of what follows `tokens`, prompt and answer so far; at most [`MAX_GUESSES`].
    pub fn guess(&mut self, tokens: &[TokenId]) -> Vec<TokenId> {
        let found = self.lookup.find(tokens, MAX_GUESSES);
        self.kind = match found.matched {
            0 => Kind::Changed,
            LONG_MATCH.. => Kind::Long,
            _ => Kind::Short,
        };
        found.tokens
    }

    /// How likely the next of the guesses at hand holds if those before it did.
    pub fn chance(&self) -> f64 {
        self.odds[self.kind as usize].chance()
    }

    /// The same if the guesses at hand are not these but what a form demands.
    pub fn chance_of_forced(&mut self) -> f64 {
        self.kind = Kind::Forced;
        self.chance()
    }

    /// How likely a guess of a draft model would hold.
    pub fn chance_of_drafted(&self) -> f64 {
        self.odds[Kind::Drafted as usize].chance()
    }

    /// The guesses at hand are a draft model's now.
    pub fn take_drafted(&mut self) {
        self.kind = Kind::Drafted;
    }

    /// Whether a draft model may know better: nothing that was said before matches well.
    pub fn is_unsure(&self) -> bool {
        matches!(self.kind, Kind::Changed | Kind::Short)
    }

    /// A step tried so many of the guesses at hand, and the first `held` of them held.
    pub fn learn(&mut self, tried: usize, held: usize) {
        for (kind, odds) in self.odds.iter_mut().enumerate() {
            match tried {
                1.. if kind == self.kind as usize => odds.tried(tried, held),
                _ => odds.idle(),
            }
        }
    }
}
