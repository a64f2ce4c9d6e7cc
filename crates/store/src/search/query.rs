//! What a person types, as a question for the index.
//!
//! The text is cut into the same pieces as messages are, and only hashes of them reach the index,
//! so nothing in it can be taken for the index's own language.

use std::collections::BTreeSet;

use super::index::{Looked, longest_beginning, token};
use super::words::{Kind, Piece, pieces};
use crate::ids::UserId;

/// One thing that must be in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    /// These characters, next to each other.
    Run(Vec<char>),
    /// These words, next to each other; the last may be the beginning of one.
    Words(Vec<Vec<char>>),
}

/// What must be in a text, each thing once.
pub(crate) fn terms(text: &str) -> Vec<Term> {
    let mut terms = Vec::new();
    for Piece { kind, chars, is_glued } in pieces(text) {
        if chars.is_empty() {
            continue;
        }
        let chars: Vec<char> = chars.iter().map(|folded| folded.char).collect();
        match (kind, terms.last_mut()) {
            (Kind::Run, _) => terms.push(Term::Run(chars)),
            (Kind::Word, Some(Term::Words(words))) if is_glued => words.push(chars),
            (Kind::Word, _) => terms.push(Term::Words(vec![chars])),
        }
    }
    let mut different = Vec::new();
    for term in terms {
        if !different.contains(&term) {
            different.push(term);
        }
    }
    different
}

/// What a text must have to be a candidate, in the language of the index.
pub(crate) fn fts(user: UserId, terms: &[Term]) -> String {
    let tokens: BTreeSet<String> = terms.iter().flat_map(|term| tokens(user, term)).collect();
    Vec::from_iter(tokens).join(" AND ")
}

fn tokens(user: UserId, term: &Term) -> Vec<String> {
    match term {
        Term::Run(chars) => {
            let pairs = chars.windows(chars.len().min(2));
            pairs.map(|pair| token(user, Looked::Run, pair)).collect()
        }
        Term::Words(words) => {
            let beginnings = words.iter().map(|word| longest_beginning(word));
            beginnings.map(|beginning| token(user, Looked::Beginning, beginning)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_typed_reaches_the_index_as_its_language() {
        let texts = [
            "\"",
            "the",
            "a OR b",
            "x\" OR words : \"y*",
            "NEAR(中文, 2)",
            "中",
            "tokens:x",
            "-a",
            "^b",
        ];
        for text in texts {
            let fts = fts(UserId(3), &terms(text));
            for token in fts.split(" AND ").filter(|token| !token.is_empty()) {
                assert!(
                    token.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')),
                    "{fts}"
                );
            }
        }
    }

    #[test]
    fn a_text_has_these_terms() {
        let run = |text: &str| Term::Run(text.chars().collect());
        let words =
            |words: &[&str]| Term::Words(words.iter().map(|word| word.chars().collect()).collect());
        assert_eq!(terms(""), []);
        assert_eq!(terms("Max_Tokens now"), [words(&["max", "tokens"]), words(&["now"])]);
        assert_eq!(
            terms("a b A_b a 你 你"),
            [words(&["a"]), words(&["b"]), words(&["a", "b"]), run("你")]
        );
        assert_eq!(terms("用Rust 写代码"), [run("用"), words(&["rust"]), run("写代码")]);
    }
}
