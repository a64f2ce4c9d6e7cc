//! An answer that goes on from where it was cut off.
//!
//! The caller brings the tokens of the answer so far and says how much of its text was shown. The
//! tokens are taken once more, as if they had just been chosen, but without computing anything:
//!
//! ```text
//!  tokens so far  ──decoder──► text ──stop strings──► may be shown │ held back
//!  text so far    ├──────── text_bytes ────────┤ deltas begin here
//! ```
//!
//! So whatever the cut left half done, a character, a stop string or a structure, goes on where it
//! was, and the rest of the answer is what it would have been without the cut.
//!
//! The tokens come from outside, so they may be damaged or belong to another model.

use crate::sampler::Sampler;
use crate::structure::{Guide, StructureError};
use crate::text::{StopOutcome, StopStrings, Text, TextDecoder, TokenId};

/// The answer so far, of a request that goes on with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Continuation {
    /// All its tokens, in the order in which its deltas told them.
    pub tokens: Vec<TokenId>,
    /// How many bytes of its text were shown; deltas go on from there.
    pub text_bytes: usize,
}

/// What an answer consists of that cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContinuationError {
    /// An id that no token has.
    #[error("the id {} without a token, at index {index}", id.0)]
    UnknownToken {
        /// Its place among the tokens.
        index: usize,
        /// The id.
        id: TokenId,
    },
    /// The model has ended the answer, or the tokens are not those of one answer.
    #[error("an end token at index {index}, so the answer has ended")]
    EndToken {
        /// Its place among the tokens.
        index: usize,
    },
    /// A stop string has ended the answer.
    #[error("a whole stop string at index {index}, so the answer has ended")]
    StopString {
        /// The place of the token that completes it.
        index: usize,
    },
    /// The structure has ended the answer.
    #[error("a complete structure at index {index}, so the answer has ended")]
    CompleteStructure {
        /// The place of the token that completes it.
        index: usize,
    },
    /// The structure that is asked for does not allow these tokens.
    #[error("a token at index {index} that the structure does not allow: {error}")]
    OutsideStructure {
        /// The place of the first such token.
        index: usize,
        /// Why.
        error: StructureError,
    },
    /// More text was shown than there is.
    #[error("{found} bytes of shown text, where the tokens spell {most}")]
    TooMuchText {
        /// Bytes that the tokens spell.
        most: usize,
        /// Bytes that were shown, as the request says.
        found: usize,
    },
    /// The text that was shown ends between the bytes of a character.
    #[error("shown text that ends inside a character, at byte {at}")]
    InsideCharacter {
        /// Where it ends.
        at: usize,
    },
    /// Even without older turns there is no room for one more token.
    #[error("{tokens} tokens of prompt and answer, where at most {limit} leave room for another")]
    NoRoom {
        /// Tokens of the shortest prompt that could be made, and of the answer.
        tokens: usize,
        /// Tokens that they may have together.
        limit: usize,
    },
}

/// An answer before its next token.
#[derive(Debug)]
pub struct AnswerSoFar {
    /// Tokens that the model has chosen already.
    pub tokens: Vec<TokenId>,
    pub decoder: TextDecoder,
    pub stop_strings: StopStrings,
    pub shown: ShownText,
}

/// The text of an answer that its reader has.
#[derive(Debug, Default)]
pub struct ShownText {
    /// All that was shown.
    text: String,
    /// What may be shown, but was not.
    unshown: String,
    /// The end of `text`, if it was shown although it was still held back, until it comes once
    /// more. An answer that has ended, if only for now, shows what may have become a stop string or
    /// a character.
    ahead: String,
}

impl AnswerSoFar {
    /// An answer without tokens.
    pub fn begin(stop_strings: StopStrings) -> AnswerSoFar {
        let (tokens, decoder, shown) = Default::default();
        AnswerSoFar { tokens, decoder, stop_strings, shown }
    }

    /// An answer that goes on.
    ///
    /// Errors: it has ended, or is not an answer of this model.
    pub fn resume(
        continuation: Continuation,
        text: &Text,
        mut stop_strings: StopStrings,
    ) -> Result<AnswerSoFar, ContinuationError> {
        let Continuation { tokens, text_bytes } = continuation;
        let (mut decoder, mut released) = (TextDecoder::default(), String::new());
        for (index, &id) in tokens.iter().enumerate() {
            if !text.has_token(id) {
                return Err(ContinuationError::UnknownToken { index, id });
            }
            if text.is_end(id) {
                return Err(ContinuationError::EndToken { index });
            }
            match stop_strings.push(decoder.push(text, id)) {
                StopOutcome::Show(delta) => released.push_str(&delta),
                StopOutcome::Stop { .. } => return Err(ContinuationError::StopString { index }),
            }
        }
        let held_back = [stop_strings.held_back(), decoder.held_back()].concat();
        let shown = ShownText::up_to(text_bytes, released, &held_back)?;
        Ok(AnswerSoFar { tokens, decoder, stop_strings, shown })
    }

    /// Lets sampler and structure take the tokens, as they did when these were chosen.
    ///
    /// Errors: the structure has ended the answer, or does not allow it.
    pub fn replay(
        &self,
        sampler: &mut Sampler,
        mut guide: Option<&mut Guide>,
    ) -> Result<(), ContinuationError> {
        for (index, &token) in self.tokens.iter().enumerate() {
            sampler.accept(token);
            match guide.as_mut().map(|guide| guide.take(token)) {
                None | Some(Ok(false)) => {}
                Some(Ok(true)) => return Err(ContinuationError::CompleteStructure { index }),
                Some(Err(error)) => {
                    return Err(ContinuationError::OutsideStructure { index, error });
                }
            }
        }
        Ok(())
    }
}

impl ShownText {
    /// The first `bytes` of an answer are shown. `released` may be, and `held_back` follows it if
    /// the answer ends.
    fn up_to(
        bytes: usize,
        mut released: String,
        held_back: &str,
    ) -> Result<ShownText, ContinuationError> {
        let most = released.len() + held_back.len();
        if bytes > most {
            return Err(ContinuationError::TooMuchText { most, found: bytes });
        }
        let inside = || ContinuationError::InsideCharacter { at: bytes };
        let ahead = held_back.get(..bytes.saturating_sub(released.len())).ok_or_else(inside)?;
        released.push_str(ahead);
        if !released.is_char_boundary(bytes) {
            return Err(inside());
        }
        let unshown = released.split_off(bytes);
        Ok(ShownText { text: released, unshown, ahead: ahead.to_owned() })
    }

    /// Takes text that may be shown, and returns what is new to the reader.
    pub fn release(&mut self, released: &str) -> String {
        let mut delta = std::mem::take(&mut self.unshown);
        let known = common_text(&self.ahead, released);
        if known == self.ahead.len().min(released.len()) {
            self.ahead.drain(..known);
        } else {
            // With another seed, half a character may become another than the one shown for it.
            self.ahead.clear();
        }
        delta.push_str(&released[known..]);
        self.text.push_str(&delta);
        delta
    }

    /// All that was shown.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// How many bytes two texts have in common at their beginnings, in whole characters.
fn common_text(one: &str, other: &str) -> usize {
    let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b);
    same.map(|(character, _)| character.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deltas of an answer of which `bytes` were shown, when `pieces` are released after that.
    fn deltas(bytes: usize, released: &str, held_back: &str, pieces: &[&str]) -> Vec<String> {
        let shown = ShownText::up_to(bytes, released.to_owned(), held_back);
        let mut shown = shown.expect("so much text is there");
        let before = shown.text().to_owned();
        let deltas: Vec<String> = pieces.iter().map(|piece| shown.release(piece)).collect();
        assert_eq!(shown.text(), before + &deltas.concat());
        deltas
    }

    #[test]
    fn deltas_begin_exactly_behind_what_was_shown() {
        assert_eq!(deltas(3, "one", "", &[" two", "!"]), [" two", "!"]);
        assert_eq!(deltas(1, "one", "", &[" two", "!"]), ["ne two", "!"]);
        assert_eq!(deltas(0, "你", "", &["", "!"]), ["你", "!"]);
        assert_eq!(deltas(3, "one", "EN", &["", "ENTER"]), ["", "ENTER"]);
        assert_eq!(deltas(5, "one", "EN", &["", "E", "NTER"]), ["", "", "TER"]);
        assert_eq!(deltas(4, "one", "EN", &["ENTER"]), ["NTER"]);
        assert_eq!(deltas(6, "one", "\u{fffd}", &["\u{fffd}"]), [""]);
        assert_eq!(deltas(6, "one", "\u{fffd}", &["é", "你"]), ["é", "你"]);
    }

    #[test]
    fn more_text_than_there_is_or_half_a_character_is_refused() {
        let refused = |bytes: usize, released: &str, held_back: &str| {
            ShownText::up_to(bytes, released.to_owned(), held_back).expect_err("a wrong place")
        };
        let too_much = |most, found| ContinuationError::TooMuchText { most, found };
        assert_eq!(refused(1, "", ""), too_much(0, 1));
        assert_eq!(refused(6, "one", "EN"), too_much(5, 6));
        assert_eq!(refused(usize::MAX, "你", "好"), too_much(6, usize::MAX));
        for at in [1, 2, 4, 5] {
            assert_eq!(refused(at, "你", "好"), ContinuationError::InsideCharacter { at });
        }
    }
}
