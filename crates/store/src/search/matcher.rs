//! Finds all terms of a search in one pass over a text.
//!
//! A text becomes steps: the characters of its pieces, with a gap before each piece. A term becomes
//! the steps that it looks for. The terms are looked for together, so the work is linear in the
//! text, no matter how many terms there are and how much they are alike.
//!
//! ```text
//! text   max_tokens = 天气    ·max·tokens·天气
//! term   max_tok             ·max·tok
//! term   tok                 tok     only where a word begins, or a part of an identifier
//! term   气                  气
//! ```

use std::ops::Range;

use aho_corasick::AhoCorasick;

use super::query::Term;
use super::words::{Kind, pieces};

/// The step between two pieces. No piece has this character.
const GAP: char = ' ';

/// The steps of a text, as a text of their own.
pub(crate) struct Steps {
    chars: String,
    /// What each step is; `at` grows.
    places: Vec<Place>,
}

struct Place {
    /// Where the step is in `chars`, in bytes.
    at: usize,
    /// The bytes of the character in the text; for a gap, none before the piece.
    begin: u32,
    end: u32,
    /// Whether a word begins here, or a part of an identifier.
    is_beginning: bool,
}

/// Where a term is in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    /// The index of the term.
    pub term: usize,
    /// Where it is, in bytes.
    pub bytes: Range<usize>,
}

/// The terms of a search, to be found in texts.
pub(crate) struct Matcher {
    terms: AhoCorasick,
    /// Whether a term counts only where a word begins.
    is_word: Vec<bool>,
}

/// The steps of a text.
pub(crate) fn steps(text: &str) -> Steps {
    let mut steps = Steps { chars: String::new(), places: Vec::new() };
    for piece in pieces(text) {
        let Some(first) = piece.chars.first() else { continue };
        steps.push(GAP, first.begin..first.begin);
        let from = steps.places.len();
        for folded in &piece.chars {
            steps.push(folded.char, folded.begin..folded.end);
        }
        if piece.kind == Kind::Word {
            for begin in std::iter::once(0).chain(piece.part_begins()) {
                steps.places[from + begin].is_beginning = true;
            }
        }
    }
    steps
}

impl Steps {
    fn push(&mut self, char: char, bytes: Range<u32>) {
        let (at, begin, end) = (self.chars.len(), bytes.start, bytes.end);
        self.places.push(Place { at, begin, end, is_beginning: false });
        self.chars.push(char);
    }

    /// The first and the last step of a range of `chars`.
    fn ends(&self, range: Range<usize>) -> (&Place, &Place) {
        let place = |at| self.places.partition_point(|place| place.at < at);
        (&self.places[place(range.start)], &self.places[place(range.end) - 1])
    }
}

impl Matcher {
    /// A matcher of terms that differ from each other.
    pub(crate) fn new(terms: &[Term]) -> Self {
        let is_word =
            terms.iter().map(|term| matches!(term, Term::Words(words) if words.len() == 1));
        Self {
            terms: AhoCorasick::new(terms.iter().map(chars_of)).expect("a search is short"),
            is_word: is_word.collect(),
        }
    }

    pub(crate) fn term_count(&self) -> usize {
        self.is_word.len()
    }

    /// Reports each match in a text, ordered by its end.
    pub(crate) fn find(&self, steps: &Steps, mut report: impl FnMut(Match)) {
        for found in self.terms.find_overlapping_iter(&steps.chars) {
            let term = found.pattern().as_usize();
            let (first, last) = steps.ends(found.range());
            if first.is_beginning || !self.is_word[term] {
                report(Match { term, bytes: first.begin as usize..last.end as usize });
            }
        }
    }
}

/// The steps that a term looks for.
fn chars_of(term: &Term) -> String {
    match term {
        Term::Run(chars) => chars.iter().collect(),
        Term::Words(words) => match &words[..] {
            [word] => word.iter().collect(),
            words => words.iter().flat_map(|word| [&[GAP], &word[..]].concat()).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::query::terms;

    fn matches(text: &str, query: &str) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        Matcher::new(&terms(query)).find(&steps(text), |one| {
            found.push((one.term, text[one.bytes].to_owned()));
        });
        found
    }

    #[test]
    fn terms_that_overlap_are_all_found() {
        let found = |found: &[(usize, &str)]| -> Vec<(usize, String)> {
            found.iter().map(|(term, text)| (*term, (*text).to_owned())).collect()
        };
        assert_eq!(matches("abcd", "a abc bc"), found(&[(0, "a"), (1, "abc")]));
        assert_eq!(matches("aBcd", "a abc bc"), found(&[(0, "a"), (1, "aBc"), (2, "Bc")]));
        assert_eq!(
            matches("今天天气", "天天 天气 天"),
            found(&[(2, "天"), (0, "天天"), (2, "天"), (1, "天气")])
        );
        assert_eq!(
            matches("a a_b b_c", "a_b a_a_b b_b_d c"),
            found(&[(1, "a a_b"), (0, "a_b"), (3, "c")])
        );
        assert_eq!(matches("a 天 b", "a_b"), []);
        assert_eq!(matches("", "a"), []);
    }
}
