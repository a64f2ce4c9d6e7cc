//! Cuts text into words and runs, folded so that alike spellings are equal.

use std::ops::Range;

use unicode_normalization_alignments::char::{decompose_compatible, is_combining_mark};

/// Characters of a word that count. The rest of a longer one, such as Base64 data, is ignored.
const WORD_CHARS: usize = 64;

/// A word or a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub kind: Kind,
    pub chars: Vec<Folded>,
    /// Whether no white space is between it and the piece before it: `max_tokens` has two pieces.
    pub is_glued: bool,
}

/// What a piece consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Letters and digits of a script that puts spaces between words.
    Word,
    /// Characters of a script that does not, such as Chinese.
    Run,
}

/// A character of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Folded {
    /// In lower case, without accents.
    pub char: char,
    class: Class,
    /// The bytes of the character that it was made of.
    pub begin: u32,
    pub end: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Upper,
    Digit,
    Other,
}

impl Piece {
    /// Its characters as a text.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        self.chars.iter().map(|folded| folded.char).collect()
    }

    /// The bytes of some of its characters; there is at least one.
    #[cfg(test)]
    pub(crate) fn bytes(&self, chars: Range<usize>) -> Range<usize> {
        let (first, last) = (&self.chars[chars.start], &self.chars[chars.end - 1]);
        first.begin as usize..last.end as usize
    }

    /// Where a word's parts begin, without the first: 3 and 7 in `getUserName`, 3 in `sha256`, 4 in
    /// `HTTPServer`.
    pub(crate) fn part_begins(&self) -> impl Iterator<Item = usize> + '_ {
        let class = |index: usize| self.chars.get(index).map(|folded| folded.class);
        (1..self.chars.len()).filter(move |&at| match (class(at - 1), class(at), class(at + 1)) {
            (Some(Class::Upper), Some(Class::Upper), Some(Class::Other)) => true,
            (before, Some(Class::Upper), _) => before != Some(Class::Upper),
            (before, Some(Class::Digit), _) => before != Some(Class::Digit),
            _ => false,
        })
    }
}

/// Cuts a text of less than 4 GiB into pieces.
pub(crate) fn pieces(text: &str) -> Vec<Piece> {
    let mut cutter = Cutter { pieces: Vec::new(), is_open: false, is_glued: false };
    for (at, char) in text.char_indices() {
        let bytes = at as u32..(at + char.len_utf8()) as u32;
        if char.is_ascii() || is_without_spaces(char) {
            // Most characters; and the voice marks of kana are no accents.
            cutter.push(char, (char, &bytes));
        } else {
            decompose_compatible(char, |part| cutter.push(part, (char, &bytes)));
        }
    }
    cutter.pieces
}

struct Cutter {
    pieces: Vec<Piece>,
    /// Whether the last piece may go on.
    is_open: bool,
    is_glued: bool,
}

impl Cutter {
    fn push(&mut self, part: char, (whole, bytes): (char, &Range<u32>)) {
        if is_combining_mark(part) {
            // An accent belongs to the character before it.
            if let (true, Some(piece)) = (self.is_open, self.pieces.last_mut())
                && let Some(last) = piece.chars.last_mut()
            {
                last.end = bytes.end;
            }
            return;
        }
        let kind = match part {
            _ if is_without_spaces(part) => Kind::Run,
            _ if part.is_alphanumeric() => Kind::Word,
            _ => {
                self.is_open = false;
                self.is_glued &= !part.is_whitespace();
                return;
            }
        };
        let class = match part {
            _ if whole.is_uppercase() => Class::Upper,
            _ if part.is_ascii_digit() => Class::Digit,
            _ => Class::Other,
        };
        let piece = self.piece(kind);
        for char in part.to_lowercase().filter(|char| !is_combining_mark(*char)) {
            if kind == Kind::Run || piece.chars.len() < WORD_CHARS {
                piece.chars.push(Folded { char, class, begin: bytes.start, end: bytes.end });
            }
        }
    }

    /// The piece to which a character of this kind belongs.
    fn piece(&mut self, kind: Kind) -> &mut Piece {
        let goes_on = self.is_open && self.pieces.last().is_some_and(|last| last.kind == kind);
        if !goes_on {
            let is_glued = self.is_glued && !self.pieces.is_empty();
            self.pieces.push(Piece { kind, chars: Vec::new(), is_glued });
        }
        self.is_open = true;
        self.is_glued = true;
        self.pieces.last_mut().expect("one was pushed if there was none")
    }
}

/// Whether a character belongs to a script that puts no spaces between words, or to Korean, where
/// words end with particles.
fn is_without_spaces(char: char) -> bool {
    matches!(u32::from(char),
        0x0e00..=0x0eff      // Thai, Lao
        | 0x1000..=0x109f    // Myanmar
        | 0x1780..=0x17ff    // Khmer
        | 0x3005..=0x3007    // Ideographic iteration mark, zero
        | 0x3041..=0x3096 | 0x309d..=0x309f | 0x30a1..=0x30fa | 0x30fc..=0x30ff // Kana
        | 0x31f0..=0x31ff | 0x3105..=0x312f // More kana, Bopomofo
        | 0x3400..=0x4dbf | 0x4e00..=0x9fff // Han
        | 0xac00..=0xd7a3    // Hangul
        | 0x20000..=0x3ffff  // More Han
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        pieces(text).iter().map(Piece::text).collect()
    }

    #[test]
    fn text_is_cut_into_folded_words_and_runs() {
        struct Case(&'static str, &'static [&'static str]);
        let cases = [
            Case("", &[]),
            Case("  ,.!  ", &[]),
            Case("Hello, World", &["hello", "world"]),
            Case("Crème BRÛLÉE", &["creme", "brulee"]),
            Case("cre\u{300}me", &["creme"]),
            Case("max_tokens", &["max", "tokens"]),
            Case("用Rust写代码", &["用", "rust", "写代码"]),
            Case("你好，世界", &["你好", "世界"]),
            Case("ＡＢＣ１２３", &["abc123"]),
            Case("がぎ ｶﾞ", &["がぎ", "カ"]),
            Case("한국어", &["한국어"]),
            Case("a\0b", &["a", "b"]),
            Case("naïve😀x", &["naive", "x"]),
        ];
        for Case(text, expected) in cases {
            assert_eq!(texts(text), expected, "{text:?}");
        }
    }

    #[test]
    fn ranges_are_those_of_the_text() {
        let text = "une Crème brûlée 你好";
        for piece in pieces(text) {
            let whole = &text[piece.bytes(0..piece.chars.len())];
            let folded: Vec<_> = pieces(whole).iter().map(Piece::text).collect();
            assert_eq!(folded, [piece.text()]);
        }
    }

    #[test]
    fn the_parts_of_an_identifier_are_found() {
        let parts = |text: &str| -> Vec<usize> { pieces(text)[0].part_begins().collect() };
        assert_eq!(parts("getUserName"), [3, 7]);
        assert_eq!(parts("HTTPServer"), [4]);
        assert_eq!(parts("sha256sum"), [3]);
        assert_eq!(parts("plain"), [0; 0]);
        assert_eq!(parts("LOUD"), [0; 0]);
    }

    #[test]
    fn a_long_word_is_cut_off() {
        let pieces = pieces(&"a".repeat(1000));
        assert_eq!(pieces.len(), 1);
        assert_eq!(pieces[0].chars.len(), WORD_CHARS);
    }
}
