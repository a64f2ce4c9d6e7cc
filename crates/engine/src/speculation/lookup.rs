//! Prompt lookup: the last tokens stood in the text before, and what followed them there is
//! guessed.
//!
//! ```text
//!  "the red fox runs. the red f"      the longest earlier match: "the red f"
//!   ├────────┤▲                       guessed: "ox runs. the"
//!             └ guesses begin here
//!  "the red fox runs. the red cat"    "cat" took the place of "fox": nothing matches,
//!               ▲                     so what stands behind "fox" is guessed: " runs."
//! ```
//!
//! An answer that rewrites a text or edits code repeats most of it.
//!
//! Source: Saxena, Prompt Lookup Decoding, 2023.

use std::collections::HashMap;

use crate::text::TokenId;

/// Where pairs of tokens stand in a sequence's tokens.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    /// The position behind the newest occurrence of each pair.
    newest: HashMap<[TokenId; 2], u32>,
    /// For each position, the position behind the earlier occurrence of the pair that ends there; 0
    /// if there is none.
    before: Vec<u32>,
    /// The position that the last guesses came from, and how many tokens there were then.
    followed: Option<(usize, usize)>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Guesses of the next tokens.
    pub tokens: Vec<TokenId>,
    /// How many tokens before them are the same in both places; none if one was just changed.
    pub matched: usize,
}

/// How many occurrences of a pair are compared, the newest ones.
const MOST_COMPARED: usize = 16;

/// How many tokens of each are compared.
const LONGEST_MATCH: usize = 32;

impl Lookup {
    /// Finds up to `most` tokens that followed the longest earlier match of the last of `tokens`;
    /// of matches of the same length, the newest.
    ///
    /// If nothing matches, goes on from the place of the last guesses, as if each token since had
    /// replaced one there. Called only with more tokens than before.
    pub fn find(&mut self, tokens: &[TokenId], most: usize) -> Found {
        let older = self.take_in(tokens);
        let candidates = std::iter::successors(older, |position| self.older(*position));
        let matches = candidates.take(MOST_COMPARED).map(|position| {
            let earlier = tokens[..position].iter().rev();
            let same = earlier.zip(tokens.iter().rev()).take(LONGEST_MATCH);
            (same.take_while(|(a, b)| a == b).count(), position)
        });
        let (matched, position) = match matches.max() {
            Some((matched, position)) => (matched, Some(position)),
            None => (0, self.behind_change(tokens.len())),
        };
        self.followed = position.map(|position| (position, tokens.len()));
        let tokens = position.map(|position| follow(tokens, position, most)).unwrap_or_default();
        Found { tokens, matched }
    }

    /// Where the last guesses came from, moved on by the tokens that came since.
    fn behind_change(&self, length: usize) -> Option<usize> {
        let (position, length_then) = self.followed?;
        let now = position + (length - length_then);
        // The tokens that came since are the changed ones: they must not be guessed themselves.
        (now < length_then).then_some(now)
    }

    /// Indexes all pairs. Says where the last one stood before.
    fn take_in(&mut self, tokens: &[TokenId]) -> Option<usize> {
        for position in self.before.len()..=tokens.len() {
            let pair = tokens[..position].last_chunk().copied();
            let position = u32::try_from(position).expect("contexts are far below 2³² tokens");
            let older = pair.and_then(|pair: [TokenId; 2]| self.newest.insert(pair, position));
            self.before.push(older.unwrap_or_default());
        }
        self.older(tokens.len())
    }

    fn older(&self, position: usize) -> Option<usize> {
        let older = self.before[position] as usize;
        (older > 0).then_some(older)
    }
}

/// `most` tokens from `position` on. At the end of the text they go on as if it repeated itself.
fn follow(tokens: &[TokenId], position: usize, most: usize) -> Vec<TokenId> {
    let mut found: Vec<TokenId> = tokens[position..].iter().copied().take(most).collect();
    let period = tokens.len() - position;
    while found.len() < most {
        found.push(found[found.len() - period]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<TokenId> {
        text.bytes().map(|byte| TokenId(byte.into())).collect()
    }

    fn find(text: &str, most: usize) -> (String, usize) {
        let Found { tokens, matched } = Lookup::default().find(&tokens(text), most);
        (tokens.iter().map(|token| char::from(token.0 as u8)).collect(), matched)
    }

    #[test]
    fn the_longest_match_is_followed_and_of_equals_the_newest() {
        assert_eq!(find("ab", 3), (String::new(), 0));
        assert_eq!(find("xab1 yab2 zab", 2), ("2 ".to_owned(), 2));
        assert_eq!(find("xab1 yab2 xab", 2), ("1 ".to_owned(), 3));
        assert_eq!(find("xab1 yab2 xaq", 2), (String::new(), 0), "one token is no match");
    }

    #[test]
    fn a_text_that_repeats_itself_goes_on_repeating() {
        assert_eq!(find("aaa", 5), ("aaaaa".to_owned(), 2));
        assert_eq!(find("abcabc", 7), ("abcabca".to_owned(), 3));
    }

    #[test]
    fn it_takes_in_what_came_since() {
        let text = tokens("one two three one two three one two");
        let mut lookup = Lookup::default();
        for end in 2..=text.len() {
            let (grown, fresh) =
                (lookup.find(&text[..end], 4), Lookup::default().find(&text[..end], 4));
            // Only what grew knows what was followed before.
            assert!(grown == fresh || (grown.matched, fresh.matched) == (0, 0), "{end}");
        }
    }

    #[test]
    fn behind_a_changed_token_the_old_text_goes_on() {
        let text = "some words are changed. some words have";
        let mut lookup = Lookup::default();
        let mut next = |end: usize| {
            let Found { tokens, matched } = lookup.find(&tokens(&text[..end]), 4);
            (tokens.iter().map(|token| char::from(token.0 as u8)).collect::<String>(), matched)
        };
        assert_eq!(next(35), ("are ".to_owned(), 11));
        assert_eq!(next(36), ("re c".to_owned(), 0), "h instead of a");
    }

    #[test]
    fn nothing_is_too_short() {
        for length in 0..3 {
            let text = vec![TokenId(7); length];
            assert!(Lookup::default().find(&text, 4).tokens.is_empty(), "{length}");
        }
    }
}
