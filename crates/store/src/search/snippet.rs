//! Where the words of a search are in a text, and the part of the text around them.

use std::iter;
use std::ops::Range;

use super::Snippet;
use super::matcher::{Matcher, steps};
use crate::attached::{self, Parts};

/// Places that are marked in one text.
const MARKS: usize = 100;

/// Characters of a snippet, and how many of them come before the first mark.
const SNIPPET_CHARS: usize = 160;
const CHARS_BEFORE: usize = 40;

/// Where the terms are: byte ranges in order, which don't touch each other. `None` if a term is
/// missing.
pub(crate) fn find(text: &str, matcher: &Matcher) -> Option<Vec<Range<usize>>> {
    let mut marks = Vec::new();
    let mut missing = vec![true; matcher.term_count()];
    matcher.find(&steps(text), |found| {
        missing[found.term] = false;
        add_mark(&mut marks, found.bytes);
    });
    if missing.contains(&true) {
        return None;
    }
    marks.truncate(MARKS);
    Some(marks)
}

/// Adds a mark that ends after all others, and joins those that it touches.
fn add_mark(marks: &mut Vec<Range<usize>>, mut mark: Range<usize>) {
    while let Some(last) = marks.pop_if(|last| last.end >= mark.start) {
        mark = mark.start.min(last.start)..mark.end.max(last.end);
    }
    marks.push(mark);
}

/// The part of a message that shows best what was found in it.
pub(crate) fn excerpt(message: &str, marks: &[Range<usize>]) -> Snippet {
    let shown = shown_part(attached::parts(message), marks);
    let marks: Vec<_> = marks
        .iter()
        .filter(|mark| has(&shown, mark))
        .map(|mark| mark.start - shown.start..mark.end - shown.start)
        .collect();
    let snippet = around(&message[shown.clone()], &marks);
    Snippet { at: shown.start + snippet.at, ..snippet }
}

/// The first part with a mark: what the person has typed, the text of a file, the name of a file.
/// Where none has one, what was typed or the name of the first file, without a mark.
fn shown_part(Parts { files, typed }: Parts, marks: &[Range<usize>]) -> Range<usize> {
    let texts = files.iter().map(|file| &file.text);
    let names = files.iter().map(|file| &file.name);
    let mut parts = iter::once(&typed).chain(texts).chain(names);
    let found = parts.find(|part| marks.iter().any(|mark| has(part, mark)));
    let first_name = files.first().map(|file| &file.name).filter(|_| typed.is_empty());
    found.or(first_name).unwrap_or(&typed).clone()
}

fn has(part: &Range<usize>, mark: &Range<usize>) -> bool {
    part.start <= mark.start && mark.end <= part.end
}

/// The part of the text around the first mark, or its beginning.
fn around(text: &str, marks: &[Range<usize>]) -> Snippet {
    let first = marks.first().map_or(0, |mark| mark.start);
    let begin = begin_before(text, first);
    let end =
        text[begin..].char_indices().nth(SNIPPET_CHARS).map_or(text.len(), |(at, _)| begin + at);
    let inside = marks.iter().filter(|mark| mark.start >= begin && mark.end <= end);
    Snippet {
        text: text[begin..end].to_owned(),
        at: begin,
        cut_after: end < text.len(),
        marks: inside.map(|mark| mark.start - begin..mark.end - begin).collect(),
    }
}

/// Some characters before `at`, at the beginning of a word if there is one.
fn begin_before(text: &str, at: usize) -> usize {
    let before = &text[..at];
    let Some((far, _)) = before.char_indices().rev().nth(CHARS_BEFORE) else { return 0 };
    let space = before[far..].find(char::is_whitespace);
    match space {
        Some(space) => {
            let rest = &before[far + space..];
            far + space + (rest.len() - rest.trim_start().len())
        }
        None => far,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::search::query::{Term, terms};
    use crate::search::words::{Kind, Piece, pieces};

    fn marked<'a>(text: &'a str, query: &str) -> Vec<&'a str> {
        let marks = find(text, &Matcher::new(&terms(query))).unwrap_or_default();
        marks.into_iter().map(|range| &text[range]).collect()
    }

    proptest! {
        #[test]
        fn all_terms_are_found_as_by_asking_for_each(
            text in "[abB1_ é天气]{0,60}", query in "[abB1_ é天气]{0,16}",
        ) {
            let terms = terms(&query);
            let found = find(&text, &Matcher::new(&terms));
            prop_assert_eq!(found, find_naively(&text, &terms));
        }
    }

    /// As `find`: asks for each term at each piece.
    fn find_naively(text: &str, terms: &[Term]) -> Option<Vec<Range<usize>>> {
        let pieces = pieces(text);
        let mut found = Vec::new();
        let mut missing = vec![true; terms.len()];
        for (index, piece) in pieces.iter().enumerate() {
            for (term, missing) in terms.iter().zip(&mut missing) {
                let before = found.len();
                match term {
                    Term::Run(chars) if piece.kind == Kind::Run => {
                        mark_run(piece, chars, &mut found)
                    }
                    Term::Words(words) if piece.kind == Kind::Word => {
                        mark_words(&pieces[index..], words, &mut found);
                    }
                    _ => {}
                }
                *missing &= found.len() == before;
            }
        }
        (!missing.contains(&true)).then(|| in_order(found))
    }

    fn in_order(mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
        found.sort_by_key(|range| (range.start, range.end));
        let mut marks: Vec<Range<usize>> = Vec::new();
        for range in found {
            match marks.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => marks.push(range),
            }
        }
        marks.truncate(MARKS);
        marks
    }

    fn mark_run(piece: &Piece, chars: &[char], found: &mut Vec<Range<usize>>) {
        for (at, window) in piece.chars.windows(chars.len()).enumerate() {
            if window.iter().map(|folded| folded.char).eq(chars.iter().copied()) {
                found.push(piece.bytes(at..at + chars.len()));
            }
        }
    }

    fn mark_words(pieces: &[Piece], words: &[Vec<char>], found: &mut Vec<Range<usize>>) {
        let Some((last, before)) = words.split_last() else { return };
        let Some(last_piece) = pieces.get(before.len()) else { return };
        let is_same = |(piece, word): (&Piece, &Vec<char>)| {
            piece.kind == Kind::Word
                && piece.chars.iter().map(|folded| folded.char).eq(word.iter().copied())
        };
        if last_piece.kind != Kind::Word || !pieces.iter().zip(before).all(is_same) {
            return;
        }
        // The last word may be the beginning of one, and a single one also of a part of an identifier.
        let begins: Vec<usize> = match before.is_empty() {
            true => std::iter::once(0).chain(last_piece.part_begins()).collect(),
            false => vec![0],
        };
        for begin in begins {
            let chars = last_piece.chars[begin..].iter().map(|folded| folded.char);
            if chars.take(last.len()).eq(last.iter().copied()) {
                let end = last_piece.bytes(begin..begin + last.len());
                let start = match before.is_empty() {
                    true => end.start,
                    false => pieces[0].bytes(0..1).start,
                };
                found.push(start..end.end);
            }
        }
    }

    #[test]
    fn words_are_marked_where_they_are() {
        struct Case(&'static str, &'static str, &'static [&'static str]);
        let cases = [
            Case("Hello world, hello", "hel", &["Hel", "hel"]),
            Case("Crème brûlée", "brule", &["brûlé"]),
            Case("call getUserName()", "user", &["User"]),
            Case("set max_tokens now", "max_tok", &["max_tok"]),
            Case("set max of tokens", "max_tok", &[]),
            Case("今天天气很好", "天气", &["天气"]),
            Case("今天天气很好", "天", &["天天"]),
            Case("a b", "", &[]),
        ];
        for Case(text, query, expected) in cases {
            assert_eq!(marked(text, query), expected, "{query} in {text}");
        }
    }

    #[test]
    fn a_snippet_surrounds_the_first_mark() {
        let text = format!("{} needle {}", "前面的文字".repeat(100), "words after it ".repeat(100));
        let snippet = around(&text, &find(&text, &Matcher::new(&terms("needle"))).unwrap());
        assert_eq!(&snippet.text[snippet.marks[0].clone()], "needle");
        assert_eq!(&text[snippet.at..][..snippet.text.len()], snippet.text);
        assert!(snippet.cut_after && snippet.text.chars().count() <= SNIPPET_CHARS);
        assert_eq!(around("", &[]), Snippet::default());
    }

    #[test]
    fn an_excerpt_shows_the_typed_text_before_the_files() {
        struct Case(&'static str, &'static str, &'static [&'static str]);
        const MESSAGE: &str = "File: apple.py\n```python\nprint('pear')\n```\n\n\
                               File: 水果.txt\n```\n梨和苹果 pear\n```\n\nWhat is a fig, and 苹果?";
        const ONLY_FILES: &str = "File: apple.py\n```python\nprint('pear')\n```";
        let typed = "What is a fig, and 苹果?";
        let cases = [
            Case("fig", typed, &["fig"]),
            // It is in a file as well.
            Case("苹果", typed, &["苹果"]),
            Case("fig pear", typed, &["fig"]),
            Case("pear", "print('pear')", &["pear"]),
            Case("梨", "梨和苹果 pear", &["梨"]),
            Case("pear 梨", "print('pear')", &["pear"]),
            Case("水果", "水果.txt", &["水果"]),
            Case("apple", "apple.py", &["apple"]),
            // It is in no part that people read.
            Case("python", typed, &[]),
        ];
        let check = |message: &str, Case(query, shown, expected): &Case| {
            let marks = find(message, &Matcher::new(&terms(query))).unwrap();
            let snippet = excerpt(message, &marks);
            let marked: Vec<_> =
                snippet.marks.iter().map(|mark| &snippet.text[mark.clone()]).collect();
            assert_eq!((snippet.text.as_str(), marked.as_slice()), (*shown, *expected), "{query}");
            assert_eq!(message[snippet.at..].find(&snippet.text), Some(0), "{query}");
        };
        for case in &cases {
            check(MESSAGE, case);
        }
        check(ONLY_FILES, &Case("python", "apple.py", &[]));
    }
}
