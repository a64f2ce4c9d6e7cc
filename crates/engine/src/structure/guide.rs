//! Which tokens may come next in one answer.

use llguidance::Matcher;
use llguidance::toktrie::SimpleVob;

use super::{StructureError, wrong};
use crate::text::TokenId;

/// Follows one structured answer.
pub struct Guide {
    matcher: Matcher,
}

/// Tokens that may come next.
#[derive(Clone, Debug)]
pub struct TokenMask(SimpleVob);

impl Guide {
    pub(super) fn new(matcher: Matcher) -> Guide {
        Guide { matcher }
    }

    /// The tokens that may come next, and then those that may come after each of `guesses`. Ends
    /// before the first guess that may not come.
    ///
    /// Errors: that takes more than may be spent on it.
    pub fn masks(&mut self, guesses: &[TokenId]) -> Result<Vec<TokenMask>, StructureError> {
        let mut masks = vec![self.mask()?];
        let mut taken = 0;
        for guess in guesses {
            let is_allowed = masks.last().is_some_and(|mask| mask.allows(*guess));
            if !is_allowed || self.matcher.is_stopped() {
                break;
            }
            self.matcher.consume_token(guess.0).map_err(wrong)?;
            taken += 1;
            masks.push(self.mask()?);
        }
        self.matcher.rollback(taken).map_err(wrong)?;
        Ok(masks)
    }

    /// The answer goes on with `token`. Says whether it is complete, so that nothing can follow.
    ///
    /// Errors: that takes more than may be spent on it.
    pub fn take(&mut self, token: TokenId) -> Result<bool, StructureError> {
        self.matcher.consume_token(token.0).map_err(wrong)?;
        Ok(self.matcher.is_stopped())
    }

    /// Tokens that must come next, split as the tokenizer would; at most `most`.
    pub fn forced(&mut self, most: usize) -> Vec<TokenId> {
        self.matcher.compute_ff_tokens().into_iter().take(most).map(TokenId).collect()
    }

    fn mask(&mut self) -> Result<TokenMask, StructureError> {
        self.matcher.compute_mask_or_eos().map(TokenMask).map_err(wrong)
    }
}

impl std::fmt::Debug for Guide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guide")
    }
}

impl TokenMask {
    /// Whether a token may come.
    pub fn allows(&self, token: TokenId) -> bool {
        (token.0 as usize) < self.0.len() && self.0.is_allowed(token.0)
    }

    /// Makes all other tokens impossible.
    pub fn apply(&self, logits: &mut [f32]) {
        let words = self.0.as_slice();
        for (word, logits) in words.iter().zip(logits.chunks_mut(u32::BITS as usize)) {
            if *word == u32::MAX {
                continue;
            }
            for (bit, logit) in logits.iter_mut().enumerate() {
                if word >> bit & 1 == 0 {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        let known = words.len() * u32::BITS as usize;
        if let Some(rest) = logits.get_mut(known..) {
            rest.fill(f32::NEG_INFINITY);
        }
    }
}
