//! Finds all terms of a search in one pass over a text.
//!
//! A text becomes steps: the characters of its pieces, with a gap before each piece. A term becomes
//! the steps that it looks for. All terms together are a tree of steps, in which each node knows
//! where to go on when the next step does not fit (Aho and Corasick, 1975). So the work is linear in
//! the text, no matter how many terms there are and how much they are alike.
//!
//! ```text
//! text   max_tokens = 天气    ·max·tokens·天气
//! term   max_tok             ·max·tok
//! term   tok                 tok     only where a word begins, or a part of an identifier
//! term   气                  气
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::query::Term;
use super::words::{Kind, pieces};

/// The step between two pieces. No piece has this character.
const GAP: char = ' ';

/// The node at which every search begins.
const ROOT: usize = 0;

/// A step of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    char: char,
    /// Whether a word begins here, or a part of an identifier.
    is_beginning: bool,
    /// The bytes of the character; for a gap, none before the piece.
    begin: u32,
    end: u32,
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
    nodes: Vec<Node>,
    term_count: usize,
}

#[derive(Default)]
struct Node {
    next: BTreeMap<char, usize>,
    /// The node of the longest end of these steps that is the beginning of a term.
    fallback: usize,
    /// The term that these steps are.
    term: Option<Ending>,
    /// The node of the longest end of these steps that is a term.
    shorter: Option<usize>,
}

#[derive(Clone, Copy)]
struct Ending {
    term: usize,
    steps: usize,
    /// Whether the term counts only where a word begins.
    is_word: bool,
}

/// The steps of a text.
pub(crate) fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for piece in pieces(text) {
        let Some(first) = piece.chars.first() else { continue };
        steps.push(Step { char: GAP, is_beginning: false, begin: first.begin, end: first.begin });
        let from = steps.len();
        steps.extend(piece.chars.iter().map(|folded| Step {
            char: folded.char,
            is_beginning: false,
            begin: folded.begin,
            end: folded.end,
        }));
        if piece.kind == Kind::Word {
            for begin in std::iter::once(0).chain(piece.part_begins()) {
                steps[from + begin].is_beginning = true;
            }
        }
    }
    steps
}

impl Matcher {
    /// A matcher of terms that differ from each other.
    pub(crate) fn new(terms: &[Term]) -> Self {
        let mut matcher = Self { nodes: vec![Node::default()], term_count: terms.len() };
        for (index, term) in terms.iter().enumerate() {
            matcher.add(index, term);
        }
        matcher.connect();
        matcher
    }

    pub(crate) fn term_count(&self) -> usize {
        self.term_count
    }

    fn add(&mut self, index: usize, term: &Term) {
        let steps: Vec<char> = match term {
            Term::Run(chars) => chars.clone(),
            Term::Words(words) => match &words[..] {
                [word] => word.clone(),
                words => words.iter().flat_map(|word| [&[GAP], &word[..]].concat()).collect(),
            },
        };
        let mut node = ROOT;
        for char in &steps {
            node = match self.nodes[node].next.get(char) {
                Some(next) => *next,
                None => {
                    self.nodes.push(Node::default());
                    let new = self.nodes.len() - 1;
                    self.nodes[node].next.insert(*char, new);
                    new
                }
            };
        }
        let is_word = matches!(term, Term::Words(words) if words.len() == 1);
        self.nodes[node].term = Some(Ending { term: index, steps: steps.len(), is_word });
    }

    /// Finds out where each node goes on. Nodes of fewer steps come first, because those of more
    /// steps need theirs.
    fn connect(&mut self) {
        let mut waiting: VecDeque<usize> = self.nodes[ROOT].next.values().copied().collect();
        while let Some(node) = waiting.pop_front() {
            let next: Vec<(char, usize)> =
                self.nodes[node].next.iter().map(|(char, next)| (*char, *next)).collect();
            for (char, next) in next {
                let fallback = self.after(self.nodes[node].fallback, char);
                let shorter = match self.nodes[fallback].term {
                    Some(_) => Some(fallback),
                    None => self.nodes[fallback].shorter,
                };
                (self.nodes[next].fallback, self.nodes[next].shorter) = (fallback, shorter);
                waiting.push_back(next);
            }
        }
    }

    /// The node after a step.
    fn after(&self, mut node: usize, char: char) -> usize {
        loop {
            match self.nodes[node].next.get(&char) {
                Some(next) => return *next,
                None if node == ROOT => return ROOT,
                None => node = self.nodes[node].fallback,
            }
        }
    }

    /// Reports each match in a text, ordered by its end.
    pub(crate) fn find(&self, steps: &[Step], mut report: impl FnMut(Match)) {
        let mut node = ROOT;
        for (at, step) in steps.iter().enumerate() {
            node = self.after(node, step.char);
            let mut found = Some(node);
            while let Some(one) = found {
                if let Some(ending) = self.nodes[one].term {
                    let first = &steps[at + 1 - ending.steps];
                    if first.is_beginning || !ending.is_word {
                        let bytes = first.begin as usize..step.end as usize;
                        report(Match { term: ending.term, bytes });
                    }
                }
                found = self.nodes[one].shorter;
            }
        }
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
