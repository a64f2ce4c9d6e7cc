//! Cuts text into pieces as Qwen2 does before merging. Written by hand, so it takes linear time and
//! needs no backtracking or recursion.
//!
//! The pattern; the first alternative that matches gives the piece:
//!
//! ```text
//! (?i:'s|'t|'re|'ve|'m|'ll|'d) | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N} | ?[^\s\p{L}\p{N}]+[\r\n]*
//! | \s*[\r\n]+ | \s+(?!\S) | \s+
//! ```
//!
//! Source: `tokenizer.json` of Qwen2.5.

use std::sync::OnceLock;

/// The kinds of characters that the pattern distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Letter,
    Number,
    NewLine,
    Space,
    Other,
}

/// The pieces of a text in order. Joined, they give the whole text.
pub(super) fn pieces(text: &str) -> Pieces<'_> {
    Pieces { rest: text }
}

/// Iterator over the pieces of a text.
pub(super) struct Pieces<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (piece, rest) = self.rest.split_at(piece_bytes(self.rest));
        self.rest = rest;
        Some(piece)
    }
}

/// The start of a text whose pieces stay the same whatever is typed after it.
///
/// It leaves out the white space at the end of the text and the last piece before that, because
/// more letters may still join that piece.
pub fn typed_for_good(text: &str) -> &str {
    let ends = pieces(text).scan(0, |end, piece| {
        *end += piece.len();
        Some((*end - piece.len(), piece))
    });
    let spoken = ends.filter(|(_, piece)| !piece.trim().is_empty());
    &text[..spoken.last().map_or(0, |(start, _)| start)]
}

/// Length in bytes of the piece at the start of `text`. `text` must not be empty.
fn piece_bytes(text: &str) -> usize {
    if let Some(length) = contraction_bytes(text) {
        return length;
    }
    let mut characters = text.chars();
    let first = characters.next().expect("the text is not empty");
    let after_first = characters.as_str();
    let second = characters.next().map(class_of);
    match (class_of(first), second) {
        (Class::Letter, _) => run_bytes(text, Class::Letter),
        (Class::Space | Class::Other, Some(Class::Letter)) => {
            first.len_utf8() + run_bytes(after_first, Class::Letter)
        }
        (Class::Number, _) => first.len_utf8(),
        (Class::Other, _) => punctuation_bytes(text),
        (Class::Space, Some(Class::Other)) if first == ' ' => 1 + punctuation_bytes(after_first),
        (Class::Space | Class::NewLine, _) => white_space_bytes(text),
    }
}

/// Length in bytes of a run of [`Class::Other`] and the line ends after it.
fn punctuation_bytes(text: &str) -> usize {
    let others = run_bytes(text, Class::Other);
    others + run_bytes(&text[others..], Class::NewLine)
}

/// Length in bytes of a piece of white space.
///
/// A run with line ends is cut after the last of them. Any other run leaves its last character to
/// the next piece, unless the text ends there or the run is one character long.
fn white_space_bytes(text: &str) -> usize {
    let mut run = 0;
    let mut behind_new_line = 0;
    let mut last = 0;
    for character in text.chars() {
        let class = class_of(character);
        if !matches!(class, Class::Space | Class::NewLine) {
            break;
        }
        last = character.len_utf8();
        run += last;
        if class == Class::NewLine {
            behind_new_line = run;
        }
    }
    if behind_new_line > 0 {
        behind_new_line
    } else if run == text.len() || run == last {
        run
    } else {
        run - last
    }
}

/// Length in bytes of the run of `class` at the start of `text`.
fn run_bytes(text: &str, class: Class) -> usize {
    text.char_indices()
        .find(|&(_, character)| class_of(character) != class)
        .map_or(text.len(), |(index, _)| index)
}

/// Length in bytes of a contraction such as `'re` at the start of `text`.
fn contraction_bytes(text: &str) -> Option<usize> {
    let mut characters = text.strip_prefix('\'')?.chars();
    let first = characters.next()?;
    match first {
        's' | 'S' | 't' | 'T' | 'm' | 'M' | 'd' | 'D' => return Some(2),
        // If case is ignored, Unicode treats the long s as an s, so the pattern accepts it too.
        'ſ' => return Some(1 + first.len_utf8()),
        _ => {}
    }
    let second = characters.next()?;
    let pair = (first.to_ascii_lowercase(), second.to_ascii_lowercase());
    matches!(pair, ('r', 'e') | ('v', 'e') | ('l', 'l')).then_some(3)
}

fn class_of(character: char) -> Class {
    #[cfg(test)]
    super::work::count_look();
    if character.is_ascii() {
        return match character {
            '\r' | '\n' => Class::NewLine,
            'a'..='z' | 'A'..='Z' => Class::Letter,
            '0'..='9' => Class::Number,
            ' ' | '\t' | '\x0b' | '\x0c' => Class::Space,
            _ => Class::Other,
        };
    }
    let tables = tables();
    if tables.letters.contains(character) {
        Class::Letter
    } else if tables.numbers.contains(character) {
        Class::Number
    } else if character.is_whitespace() {
        Class::Space
    } else {
        Class::Other
    }
}

/// Ranges of characters, sorted and without overlap; both ends belong to the range.
struct Ranges(Vec<(char, char)>);

impl Ranges {
    fn of_category(pattern: &str) -> Ranges {
        let parsed = regex_syntax::parse(pattern).expect("a constant pattern");
        match parsed.into_kind() {
            regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => {
                Ranges(class.ranges().iter().map(|range| (range.start(), range.end())).collect())
            }
            other => unreachable!("a category is a class of characters, found {other:?}"),
        }
    }

    fn contains(&self, character: char) -> bool {
        let after = self.0.partition_point(|&(start, _)| start <= character);
        after > 0 && character <= self.0[after - 1].1
    }
}

struct Tables {
    letters: Ranges,
    numbers: Ranges,
}

/// The Unicode categories, from the crate whose tables `tokenizers` also uses.
fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| Tables {
        letters: Ranges::of_category(r"\p{L}"),
        numbers: Ranges::of_category(r"\p{N}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_as_the_pattern_says() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("Hello world", &["Hello", " world"]),
            ("I'm we'LL it'ſ 'x", &["I", "'m", " we", "'LL", " it", "'ſ", " '", "x"]),
            ("a1234", &["a", "1", "2", "3", "4"]),
            ("你好，世界！", &["你好", "，世界", "！"]),
            ("x  y", &["x", " ", " y"]),
            ("x   ", &["x", "   "]),
            ("a \n\n  b", &["a", " \n\n", " ", " b"]),
            ("if (x) {\r\n\ty;\n}", &["if", " (", "x", ")", " {\r\n", "\ty", ";\n", "}"]),
            ("\u{3000}字", &["\u{3000}字"]),
            ("  !!", &[" ", " !!"]),
            ("\t!!", &["\t", "!!"]),
            ("e\u{301}", &["e", "\u{301}"]),
            ("👩‍👩‍👧", &["👩‍👩‍👧"]),
        ];
        for (text, expected) in cases {
            assert_eq!(pieces(text).collect::<Vec<_>>(), *expected, "{text:?}");
        }
    }
}
