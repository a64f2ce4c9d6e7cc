//! The guesses of one answer.

use super::{Lookup, MAX_GUESSES, Odds};
use crate::text::TokenId;

/// Guesses the next tokens of one answer, and learns how often they are accepted.
#[derive(Clone, Debug)]
pub struct Guesser {
    lookup: Lookup,
    /// By [`Kind`].
    odds: [Odds; 5],
    /// Where the guesses of this step come from.
    kind: Kind,
}

/// Guesses of the next tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guesses {
    /// How likely each is accepted if those before it are.
    pub chance: f64,
    /// The tokens, at most [`MAX_GUESSES`].
    pub tokens: Vec<TokenId>,
}

/// Where guesses come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The text was repeated until a token was changed.
    Changed,
    /// A repetition of few tokens.
    Short,
    /// A repetition of many tokens.
    Long,
    /// A structure demands them; only how it is cut into tokens is open.
    Forced,
    /// A draft model.
    DraftModel,
}

/// From this many matching tokens on a match is no accident.
const LONG_MATCH: usize = 5;

/// How likely guesses of each [`Kind`] are accepted before any was tried.
const PRIORS: [f64; 5] = [0.4, 0.5, 0.8, 0.9, 0.6];

impl Default for Guesser {
    fn default() -> Guesser {
        let (lookup, odds) = (Lookup::default(), PRIORS.map(Odds::new));
        Guesser { lookup, odds, kind: Kind::Short }
    }
}

impl Guesser {
    /// Guesses what follows `tokens`, prompt and answer so far; at most [`MAX_GUESSES`] tokens.
    pub fn guess(&mut self, tokens: &[TokenId]) -> Vec<TokenId> {
        let found = self.lookup.find(tokens, MAX_GUESSES);
        self.kind = match found.matched {
            0 => Kind::Changed,
            LONG_MATCH.. => Kind::Long,
            _ => Kind::Short,
        };
        found.tokens
    }

    /// How likely a guess of this step is accepted if those before it are.
    pub fn chance(&self) -> f64 {
        self.odds[self.kind as usize].chance()
    }

    /// The same if the guesses are what a structure demands.
    pub fn forced_chance(&mut self) -> f64 {
        self.kind = Kind::Forced;
        self.chance()
    }

    /// The same for guesses of a draft model.
    pub fn draft_model_chance(&self) -> f64 {
        self.odds[Kind::DraftModel as usize].chance()
    }

    /// The guesses of this step are a draft model's.
    pub fn use_draft_model(&mut self) {
        self.kind = Kind::DraftModel;
    }

    /// Whether a draft model may guess better: no earlier text matches well.
    pub fn is_unsure(&self) -> bool {
        matches!(self.kind, Kind::Changed | Kind::Short)
    }

    /// A step tried `tried` guesses, and the first `accepted` of them were accepted.
    pub fn learn(&mut self, tried: usize, accepted: usize) {
        for (kind, odds) in self.odds.iter_mut().enumerate() {
            match tried {
                1.. if kind == self.kind as usize => odds.tried(tried, accepted),
                _ => odds.idle(),
            }
        }
    }
}
