//! What an answer grows by, and how far it has come.

use crate::StoreError;

/// How much there is of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Bytes of its text.
    pub text: u64,
    /// Bytes of what the model thought.
    pub thinking: u64,
    /// Tokens.
    pub tokens: u64,
}

/// A piece of an answer, and where it belongs. Any of its three parts may be empty.
///
/// A piece may begin before the end of what is stored; the part that is stored already is left out.
/// It may not begin after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Where the piece begins: bytes of text, bytes of thinking, tokens.
    pub at: Ends,
    /// The text from there on.
    pub text: String,
    /// What the model thought, from there on.
    pub thinking: String,
    /// The tokens from there on.
    pub tokens: Vec<u32>,
}

impl Growth {
    /// Where the piece ends.
    pub fn ends(&self) -> Ends {
        Ends {
            text: self.at.text + self.text.len() as u64,
            thinking: self.at.thinking + self.thinking.len() as u64,
            tokens: self.at.tokens + self.tokens.len() as u64,
        }
    }

    /// The part of the piece that comes after `stored`.
    pub(crate) fn after(&self, stored: Ends) -> Result<NewPart<'_>, StoreError> {
        Ok(NewPart {
            text: text_after("text", (&self.text, self.at.text), stored.text)?,
            thinking: text_after("thinking", (&self.thinking, self.at.thinking), stored.thinking)?,
            tokens: {
                let from = skipped("tokens", self.at.tokens, stored.tokens)?;
                self.tokens.get(from..).unwrap_or_default()
            },
        })
    }
}

/// The part of a piece that is not stored yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewPart<'a> {
    pub text: &'a str,
    pub thinking: &'a str,
    pub tokens: &'a [u32],
}

impl NewPart<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.thinking.is_empty() && self.tokens.is_empty()
    }

    /// The ends of an answer that had `stored` and grows by this.
    pub(crate) fn ends_after(&self, stored: Ends) -> Ends {
        Ends {
            text: stored.text + self.text.len() as u64,
            thinking: stored.thinking + self.thinking.len() as u64,
            tokens: stored.tokens + self.tokens.len() as u64,
        }
    }
}

fn text_after<'a>(
    field: &'static str,
    (text, at): (&'a str, u64),
    stored: u64,
) -> Result<&'a str, StoreError> {
    let from = skipped(field, at, stored)?.min(text.len());
    // Both ends lie between characters if the pieces belong to the same answer.
    text.get(from..).ok_or(StoreError::Gap { field, expected: stored, found: at })
}

/// How much of a piece that begins at `at` is stored already.
fn skipped(field: &'static str, at: u64, stored: u64) -> Result<usize, StoreError> {
    let gap = StoreError::Gap { field, expected: stored, found: at };
    let skipped = stored.checked_sub(at).ok_or(gap)?;
    Ok(usize::try_from(skipped).unwrap_or(usize::MAX))
}

/// Token ids as they are stored: four bytes each, the lowest first.
pub(crate) fn tokens_to_bytes(tokens: &[u32]) -> Vec<u8> {
    tokens.iter().flat_map(|token| token.to_le_bytes()).collect()
}

/// Token ids from their stored form; `None` if the bytes are no multiple of four.
pub(crate) fn tokens_from_bytes(bytes: &[u8]) -> Option<Vec<u32>> {
    let (words, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| words.iter().map(|word| u32::from_le_bytes(*word)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(at: u64, text: &str) -> Growth {
        Growth { at: Ends { text: at, ..Ends::default() }, text: text.into(), ..Growth::default() }
    }

    #[test]
    fn only_what_is_new_of_a_piece_is_taken() {
        struct Case(u64, &'static str, u64, Option<&'static str>);
        let cases = [
            Case(0, "abc", 0, Some("abc")),
            Case(3, "def", 3, Some("def")),
            Case(0, "abcdef", 3, Some("def")),
            Case(0, "abc", 3, Some("")),
            Case(0, "abc", 100, Some("")),
            Case(4, "ef", 3, None),
            Case(0, "中文", 3, Some("文")),
            Case(0, "中文", 2, None),
        ];
        for Case(at, text, stored, expected) in cases {
            let stored = Ends { text: stored, ..Ends::default() };
            let growth = growth(at, text);
            let new = growth.after(stored).ok().map(|part| part.text);
            assert_eq!(new, expected, "{text} at {at}, stored {stored:?}");
        }
    }
}
