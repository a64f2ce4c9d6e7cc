//! Lines of a terminal's width, written once and never changed again.
//!
//! A [`Wrapper`] takes characters with their style and gives back text for a terminal. It keeps the
//! last word until it knows that the word is complete, because only then it knows the line on which
//! the word belongs. Between two Chinese characters a line may end, except before closing and after
//! opening punctuation.

use unicode_width::UnicodeWidthChar;

/// How a character looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Bold.
    pub bold: bool,
    /// Italic.
    pub italic: bool,
    /// Underlined.
    pub underline: bool,
    /// Less bright than the rest.
    pub dim: bool,
    /// In the colour of code.
    pub code: bool,
}

/// Which escape sequences the terminal gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dress {
    /// None: it is no terminal, or a simple one.
    None,
    /// Bold and the like, but no colours (`NO_COLOR`).
    Uncoloured,
    /// All.
    Coloured,
}

/// Breaks text into lines; see the module.
pub struct Wrapper {
    width: usize,
    dress: Dress,
    /// Where the cursor is. It equals `width` after a line that is exactly full.
    column: usize,
    /// What the lines after the first begin with.
    hanging: String,
    blanks: usize,
    word: Vec<(char, Look)>,
    word_width: usize,
    /// The word is longer than a line, so its beginning is written already.
    overlong: bool,
    look: Look,
    out: String,
}

/// The narrowest width that is worth wrapping for.
const LEAST_WIDTH: usize = 8;
/// Tabs are blanks up to the next multiple of this.
const TAB: usize = 4;

impl Wrapper {
    /// A wrapper at the beginning of a line.
    pub fn new(width: usize, dress: Dress) -> Wrapper {
        Wrapper {
            width: width.max(LEAST_WIDTH),
            dress,
            column: 0,
            hanging: String::new(),
            blanks: 0,
            word: Vec::new(),
            word_width: 0,
            overlong: false,
            look: Look::default(),
            out: String::new(),
        }
    }

    /// The terminal has another width now. The text may be anywhere on it, so text goes on at the
    /// beginning of a line.
    pub fn resize(&mut self, width: usize) {
        let width = width.max(LEAST_WIDTH);
        if width != self.width {
            self.width = width;
            if self.column > 0 {
                self.begin_line();
            }
        }
    }

    /// Where the cursor is.
    pub fn column(&self) -> usize {
        self.column
    }

    /// Which escape sequences are used.
    pub fn dress(&self) -> Dress {
        self.dress
    }

    /// How many columns a line has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Sets what the next lines begin with, until the next [`Wrapper::newline`].
    pub fn hang(&mut self, hanging: String) {
        // A narrow terminal has no room for deep lists.
        self.hanging = if width_of(&hanging) * 2 <= self.width { hanging } else { String::new() };
    }

    /// Adds a character that is part of a line.
    pub fn push(&mut self, character: char, look: Look) {
        match character {
            ' ' => self.push_blanks(1),
            '\t' => self.push_blanks(TAB - (self.column + self.blanks + self.word_width) % TAB),
            _ => self.push_visible(character, look),
        }
    }

    /// Adds a text that is part of a line.
    pub fn push_str(&mut self, text: &str, look: Look) {
        for character in text.chars() {
            self.push(character, look);
        }
    }

    /// Adds a character as it is: only the terminal breaks the line, so that it can be copied
    /// whole.
    pub fn push_verbatim(&mut self, character: char, look: Look) {
        self.finish_word();
        self.write_blanks();
        match character {
            '\t' => {
                for _ in 0..TAB - self.column % TAB {
                    self.write(' ', look);
                }
            }
            character => self.write(character, look),
        }
    }

    /// Ends the line.
    pub fn newline(&mut self) {
        self.finish_word();
        self.blanks = 0;
        self.dress_as(Look::default());
        self.hanging.clear();
        self.out.push('\n');
        self.column = 0;
    }

    /// Writes what is still kept. The line goes on.
    pub fn finish(&mut self) {
        self.finish_word();
        self.dress_as(Look::default());
    }

    /// Takes what is to be written now.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// The cursor was moved to the beginning of an empty line.
    pub fn moved_to_empty_line(&mut self) {
        self.column = 0;
    }

    fn push_blanks(&mut self, count: usize) {
        self.finish_word();
        self.blanks += count;
    }

    fn push_visible(&mut self, character: char, look: Look) {
        if self.word.last().is_some_and(|(last, _)| may_break(*last, character)) {
            self.finish_word();
        }
        let width = character.width().unwrap_or(0);
        if self.overlong {
            self.write(character, look);
            self.word.clear();
            self.word.push((character, look));
            return;
        }
        self.word.push((character, look));
        self.word_width += width;
        if self.word_width > self.width {
            self.write_word();
            self.overlong = true;
        }
    }

    /// Writes the word, which is complete.
    fn finish_word(&mut self) {
        if !self.overlong && !self.word.is_empty() {
            self.write_word();
        }
        self.word.clear();
        self.word_width = 0;
        self.overlong = false;
    }

    fn write_word(&mut self) {
        let is_at_begin = self.column <= width_of(&self.hanging) && self.blanks == 0;
        if self.column + self.blanks + self.word_width > self.width && !is_at_begin {
            self.begin_line();
        }
        self.write_blanks();
        for (character, look) in self.word.clone() {
            self.write(character, look);
        }
    }

    fn begin_line(&mut self) {
        self.dress_as(Look::default());
        self.out.push('\n');
        self.column = 0;
        self.blanks = 0;
        let dim = Look { dim: true, ..Look::default() };
        for character in self.hanging.clone().chars() {
            self.write(character, dim);
        }
    }

    fn write_blanks(&mut self) {
        for _ in 0..std::mem::take(&mut self.blanks) {
            // A blank at the end of a full line would begin the next one.
            if self.column < self.width {
                let look = Look { underline: false, ..self.look };
                self.write(' ', look);
            }
        }
    }

    fn write(&mut self, character: char, look: Look) {
        self.dress_as(look);
        self.out.push(character);
        let width = character.width().unwrap_or(0);
        // A terminal goes to the next line when a character does not fit any more.
        self.column = if self.column + width > self.width { width } else { self.column + width };
    }

    fn dress_as(&mut self, look: Look) {
        if self.dress == Dress::None || look == self.look {
            return;
        }
        self.look = look;
        self.out.push_str("\x1b[0");
        let code = look.code && self.dress == Dress::Coloured;
        let codes = [
            (look.bold, ";1"),
            (look.dim, ";2"),
            (look.italic, ";3"),
            (look.underline, ";4"),
            (code, ";36"),
        ];
        for (_, code) in codes.iter().filter(|(is_on, _)| *is_on) {
            self.out.push_str(code);
        }
        self.out.push('m');
    }
}

/// How many columns a text takes.
pub fn width_of(text: &str) -> usize {
    text.chars().map(|character| character.width().unwrap_or(0)).sum()
}

/// Whether a line may end between two characters that are no blanks.
fn may_break(before: char, after: char) -> bool {
    const NOT_BEFORE: &str = "，。、；：？！）】》」』”’…—～％‰,.;:?!)]}%";
    const NOT_AFTER: &str = "（【《「『“‘([{$¥￥";
    let is_wide = |character: char| character.width() == Some(2);
    (is_wide(before) || is_wide(after))
        && after.width() != Some(0)
        && !NOT_BEFORE.contains(after)
        && !NOT_AFTER.contains(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(text: &str, width: usize) -> String {
        let mut wrapper = Wrapper::new(width, Dress::None);
        for character in text.chars() {
            match character {
                '\n' => wrapper.newline(),
                other => wrapper.push(other, Look::default()),
            }
        }
        wrapper.finish();
        wrapper.take()
    }

    #[test]
    fn lines_end_between_words_and_between_wide_characters() {
        let cases = [
            ("one two three", 8, "one two\nthree"),
            ("one two  three", 20, "one two  three"),
            ("exactly8 next", 8, "exactly8\nnext"),
            ("你好世界再见", 8, "你好世界\n再见"),
            ("a你好世界", 8, "a你好世\n界"),
            // The comma may not begin a line, so the character before it goes along.
            ("你好世界，再见", 8, "你好世\n界，再见"),
            ("你好世「界」", 8, "你好世\n「界」"),
            ("tell 你好吗 ok", 10, "tell 你好\n吗 ok"),
            ("abcdefghijklmnop q", 8, "abcdefghijklmnop\nq"),
            ("x\n\ny", 8, "x\n\ny"),
            ("a\tb", 8, "a   b"),
        ];
        for (text, width, expected) in cases {
            assert_eq!(wrapped(text, width), expected, "{text:?} at {width}");
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_unless_it_is_one_word() {
        let text = "The 世界 is wide, and 这个终端很窄，所以要换行。 e\u{301}t\u{e9} done.";
        for width in 8..60 {
            for line in wrapped(text, width).lines() {
                assert!(width_of(line) <= width, "{line:?} at {width}");
            }
            let words = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(words(&wrapped(text, width)), words(text), "at {width}");
        }
    }

    #[test]
    fn a_hanging_indentation_and_looks_hold_on_the_next_line() {
        let mut wrapper = Wrapper::new(10, Dress::Coloured);
        wrapper.hang("  ".to_owned());
        let bold = Look { bold: true, ..Look::default() };
        wrapper.push_str("- ", Look::default());
        wrapper.push_str("one two three", bold);
        wrapper.newline();
        wrapper.push_str("next", Look::default());
        wrapper.finish();
        let expected = "- \x1b[0;1mone two\x1b[0m\n\x1b[0;2m  \x1b[0;1mthree\x1b[0m\nnext";
        assert_eq!(wrapper.take(), expected);
    }

    #[test]
    fn another_width_begins_another_line() {
        let mut wrapper = Wrapper::new(40, Dress::None);
        wrapper.push_str("one two ", Look::default());
        wrapper.resize(20);
        wrapper.push_str("three", Look::default());
        wrapper.finish();
        assert_eq!(wrapper.take(), "one two\nthree");
    }

    #[test]
    fn a_word_without_end_is_not_kept() {
        let mut wrapper = Wrapper::new(10, Dress::None);
        let mut written = 0;
        for _ in 0..1_000 {
            wrapper.push('x', Look::default());
            written += wrapper.take().len();
        }
        assert_eq!(written, 1_000);
    }
}
