//! Markdown as it comes, for a terminal.
//!
//! Text on the screen is never printed again, so nothing is written before it is decided what it
//! means. Marks whose end is missing are kept back until the end comes, the line ends, or the text
//! between them is too long; then they are shown as they are. Every character is taken alone, so
//! pieces of any length give the same.
//!
//! Shown as more than text: headings, lists, quotes, fenced code, `code`, **bold**, *italic*, and
//! links as text with the address in parentheses. Everything else, such as tables, is shown as it
//! is.

use super::inline;
use super::wrap::{Dress, Look, Wrapper};

/// A text that is being written, and what of it is not decided yet.
pub struct Markdown {
    wrapper: Wrapper,
    place: Place,
    /// What came since the last decision.
    held: String,
    /// The look of the line.
    line: Look,
    fence: Option<Fence>,
    before: Option<char>,
}

/// Where in a line the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At its beginning, where it is not clear yet what line it is.
    Start,
    /// In a line of text.
    Text,
    /// In a line that is shown as it is.
    Verbatim,
}

/// How the code that is being written was opened.
#[derive(Clone, Copy, Debug)]
struct Fence {
    mark: char,
    count: usize,
}

/// What the beginning of a line says.
enum Line {
    Undecided,
    /// A line of text: this much of it is shown as it is, before the text.
    Text {
        prefix: usize,
        look: Look,
        hides_prefix: bool,
    },
    Quote {
        prefix: usize,
    },
    Rule,
    Fence(Fence),
}

const PLAIN: Look = Look { bold: false, italic: false, underline: false, dim: false, code: false };
const DIM: Look = Look { dim: true, ..PLAIN };
const CODE: Look = Look { code: true, ..PLAIN };

/// How many characters are kept back for marks whose end is missing.
const LONGEST_HELD: usize = 400;

impl Markdown {
    /// A text at the beginning of a line.
    pub fn new(width: usize, dress: Dress) -> Markdown {
        Markdown {
            wrapper: Wrapper::new(width, dress),
            place: Place::Start,
            held: String::new(),
            line: PLAIN,
            fence: None,
            before: None,
        }
    }

    /// Adds more of the text. It has no control characters but line ends and tabs.
    pub fn push(&mut self, text: &str) {
        for character in text.chars() {
            self.push_character(character);
        }
    }

    /// Ends the text: decides what is undecided.
    pub fn finish(&mut self) {
        match self.place {
            Place::Start => self.begin_line(true),
            Place::Text => self.settle(true),
            Place::Verbatim => {}
        }
        if self.place == Place::Text {
            self.settle(true);
        }
        self.wrapper.finish();
    }

    /// What is to be written now.
    pub fn take(&mut self) -> String {
        self.wrapper.take()
    }

    /// Where the cursor is, and where it moves by other means.
    pub fn wrapper(&mut self) -> &mut Wrapper {
        &mut self.wrapper
    }

    fn push_character(&mut self, character: char) {
        if self.wrapper.dress() == Dress::None {
            return match character {
                '\n' => self.wrapper.newline(),
                other => self.wrapper.push(other, PLAIN),
            };
        }
        if character == '\n' {
            return self.end_line();
        }
        match self.place {
            Place::Verbatim => self.wrapper.push_verbatim(character, CODE),
            Place::Text => {
                self.held.push(character);
                self.settle(false);
            }
            Place::Start => {
                self.held.push(character);
                self.begin_line(false);
            }
        }
    }

    fn end_line(&mut self) {
        if self.place == Place::Start {
            self.begin_line(true);
        }
        if self.place == Place::Text {
            self.settle(true);
        }
        self.wrapper.newline();
        self.place = Place::Start;
        self.before = None;
    }

    /// Decides what line it is, if its beginning says so.
    fn begin_line(&mut self, is_whole: bool) {
        if let Some(fence) = self.fence {
            return self.begin_line_of_code(fence, is_whole);
        }
        let held = std::mem::take(&mut self.held);
        match line_of(&held, is_whole) {
            Line::Undecided => self.held = held,
            Line::Rule => {
                let width = self.wrapper.width().min(40);
                self.wrapper.push_str(&"─".repeat(width), DIM);
                self.place = Place::Text;
            }
            Line::Fence(fence) => {
                self.fence = Some(fence);
                self.wrapper.push_str(held.trim_end(), DIM);
                self.place = Place::Text;
            }
            Line::Quote { prefix } => {
                // What follows the mark is a line again.
                self.wrapper.push_str("> ", DIM);
                self.wrapper.hang("> ".to_owned());
                self.line = DIM;
                self.text_after(&held[prefix..], is_whole);
            }
            Line::Text { prefix, look, hides_prefix } => {
                self.line = look;
                if !hides_prefix {
                    self.wrapper.push_str(&held[..prefix], PLAIN);
                    self.wrapper.hang(" ".repeat(super::wrap::width_of(&held[..prefix])));
                }
                self.text_after(&held[prefix..], is_whole);
            }
        }
    }

    fn text_after(&mut self, rest: &str, is_whole: bool) {
        self.place = Place::Text;
        for character in rest.chars() {
            self.held.push(character);
            self.settle(false);
        }
        if is_whole {
            self.settle(true);
        }
    }

    fn begin_line_of_code(&mut self, fence: Fence, is_whole: bool) {
        let marks = self.held.trim_start_matches(' ').trim_end();
        let count = marks.chars().take_while(|character| *character == fence.mark).count();
        let may_close = count == marks.chars().count() && self.held.len() - marks.len() <= 64;
        if may_close && count >= fence.count && is_whole {
            let marks = marks.to_owned();
            self.wrapper.push_str(&marks, DIM);
            self.fence = None;
            self.held.clear();
            self.place = Place::Text;
        } else if !may_close || is_whole {
            for character in std::mem::take(&mut self.held).chars() {
                self.wrapper.push_verbatim(character, CODE);
            }
            self.place = Place::Verbatim;
        }
    }

    /// Writes what is decided of a line of text.
    fn settle(&mut self, is_whole: bool) {
        let is_full = is_whole || self.held.chars().count() > LONGEST_HELD;
        let context = inline::Context { look: self.line, before: self.before, is_whole: is_full };
        let taken = inline::write(&self.held, context, &mut |character, look| {
            self.wrapper.push(character, look);
            self.before = Some(character);
        });
        self.held.drain(..taken);
    }
}

/// What the beginning of a line says. `is_whole` says that it is the whole line.
fn line_of(held: &str, is_whole: bool) -> Line {
    let text = held.trim_start_matches(' ');
    let indentation = held.len() - text.len();
    let plain = Line::Text { prefix: indentation, look: PLAIN, hides_prefix: false };
    let Some(first) = text.chars().next() else {
        return if is_whole || indentation > 64 { plain } else { Line::Undecided };
    };
    let run = text.chars().take_while(|character| *character == first).count();
    let after = text.chars().nth(run);
    let (is_run, marks) = (after.is_none(), first.len_utf8() * run);
    match first {
        '#' if run <= 6 && after == Some(' ') => {
            let look = Look { bold: true, underline: run == 1, ..PLAIN };
            Line::Text { prefix: indentation + marks + 1, look, hides_prefix: true }
        }
        '#' if run <= 6 && is_run && !is_whole => Line::Undecided,
        '-' | '*' | '_' if is_run && run >= 3 && is_whole => Line::Rule,
        '-' | '*' | '_' | '+' if is_run && run <= 64 && !is_whole => Line::Undecided,
        '-' | '*' | '+' if run == 1 && after == Some(' ') => {
            Line::Text { prefix: indentation + 2, look: PLAIN, hides_prefix: false }
        }
        '>' => match text.chars().nth(1) {
            Some(' ') => Line::Quote { prefix: indentation + 2 },
            None if !is_whole => Line::Undecided,
            _ => Line::Quote { prefix: indentation + 1 },
        },
        '`' | '~' => fence_of(text, run, is_whole).unwrap_or(plain),
        '0'..='9' => numbered(text, indentation, is_whole).unwrap_or(plain),
        _ => plain,
    }
}

/// A line that opens code, or may.
fn fence_of(text: &str, run: usize, is_whole: bool) -> Option<Line> {
    let mark = text.chars().next()?;
    let rest = &text[run..];
    if rest.is_empty() && run < 3 && !is_whole {
        return Some(Line::Undecided);
    }
    // Backticks behind it would make it code within a line.
    if run < 3 || rest.contains('`') || rest.len() > LONGEST_HELD {
        return None;
    }
    Some(if is_whole { Line::Fence(Fence { mark, count: run }) } else { Line::Undecided })
}

/// An entry of a numbered list, or what may become one.
fn numbered(text: &str, indentation: usize, is_whole: bool) -> Option<Line> {
    const MOST_DIGITS: usize = 9;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let mut rest = text[digits..].chars();
    if digits > MOST_DIGITS {
        return None;
    }
    match (rest.next(), rest.next()) {
        (None, _) | (Some('.' | ')'), None) if !is_whole => Some(Line::Undecided),
        (Some('.' | ')'), Some(' ')) => {
            let prefix = indentation + digits + 2;
            Some(Line::Text { prefix, look: PLAIN, hides_prefix: false })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pieces: &[&str], dress: Dress) -> String {
        let mut markdown = Markdown::new(40, dress);
        let mut shown = String::new();
        for piece in pieces {
            markdown.push(piece);
            shown.push_str(&markdown.take());
        }
        markdown.finish();
        shown + &markdown.take()
    }

    /// With `<b>` in place of escape sequences, so that tables can be read.
    fn tagged(text: &str) -> String {
        let tags = [
            ("\x1b[0;1;4m", "<bu>"),
            ("\x1b[0;1;3m", "<bi>"),
            ("\x1b[0;36m", "<c>"),
            ("\x1b[0;1m", "<b>"),
            ("\x1b[0;2m", "<d>"),
            ("\x1b[0;3m", "<i>"),
            ("\x1b[0m", "</>"),
        ];
        tags.iter()
            .fold(shown(&[text], Dress::Coloured), |text, (code, tag)| text.replace(code, tag))
    }

    #[test]
    fn marks_become_looks() {
        let cases = [
            ("# Title\ntext", "<bu>Title</>\ntext"),
            ("## **A** b", "<b>A b</>"),
            ("#hash", "#hash"),
            ("a **bold** b", "a <b>bold </>b"),
            ("a *italic* b", "a <i>italic </>b"),
            ("***both***", "<bi>both</>"),
            ("**a *b* c**", "<b>a <bi>b <b>c</>"),
            ("5 * 3 * 2", "5 * 3 * 2"),
            ("2*3=6", "2*3=6"),
            ("snake_case_name", "snake_case_name"),
            ("__init__ and _it_", "<b>init </>and <i>it</>"),
            ("**open\nnext", "**open\nnext"),
            ("**never closed", "**never closed"),
            ("`a*b*` c", "<c>a*b* </>c"),
            ("``a`b``", "<c>a`b</>"),
            ("`open", "`open"),
            ("[text](https://a.b/c)", "text (https://a.b/c)"),
            ("[https://a.b](https://a.b)", "https://a.b"),
            ("![alt](x.png)", "alt (x.png)"),
            ("[1] and [x]", "[1] and [x]"),
            ("a\\*b\\*", "a*b*"),
            ("- one\n* two\n1. three", "- one\n* two\n1. three"),
            ("  - **x**", "  - <b>x</>"),
            ("1.5 is", "1.5 is"),
            ("---\n", "<d>────────────────────────────────────────</>\n"),
            ("--x", "--x"),
            ("> quoted", "<d>> quoted</>"),
            ("```rust\nlet *a*;\n```\n*b*", "<d>```rust</>\n<c>let *a*;</>\n<d>```</>\n<i>b</>"),
            ("````\n```\n````\nx", "<d>````</>\n<c>```</>\n<d>````</>\nx"),
            ("```inline``` x", "<c>inline </>x"),
            ("| a | b |", "| a | b |"),
            ("你好，**世界**！", "你好，<b>世界</>！"),
            ("<b>&amp;</b>", "<b>&amp;</b>"),
        ];
        for (text, expected) in cases {
            assert_eq!(tagged(text), expected, "{text:?}");
        }
    }

    const SAMPLE: &str = "# Title\n\nSome **bold *and it*** with `code` and [a link](http://x.y/z).\n\
        \n- one 你好，世界再见\n  - two\n10. ten\n\n```py\nprint('*x*')\n\n  ``\n```\n> quote\n***\n\
        end **open `x [y](z *w";

    #[test]
    fn pieces_of_any_length_give_the_same() {
        for dress in [Dress::None, Dress::Uncoloured, Dress::Coloured] {
            let whole = shown(&[SAMPLE], dress);
            let boundaries: Vec<usize> = SAMPLE.char_indices().map(|(at, _)| at).collect();
            for at in &boundaries {
                let (first, second) = SAMPLE.split_at(*at);
                assert_eq!(shown(&[first, second], dress), whole, "cut at {at}");
            }
            for length in 1..20 {
                let characters: Vec<char> = SAMPLE.chars().collect();
                let pieces: Vec<String> =
                    characters.chunks(length).map(|piece| piece.iter().collect()).collect();
                let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
                assert_eq!(shown(&pieces, dress), whole, "pieces of {length}");
            }
        }
    }

    #[test]
    fn without_escape_sequences_the_text_stays_as_it_is() {
        let mut markdown = Markdown::new(4_000, Dress::None);
        markdown.push(SAMPLE);
        markdown.finish();
        assert_eq!(markdown.take(), SAMPLE);
    }

    #[test]
    fn marks_without_an_end_are_not_kept_for_ever() {
        let mut markdown = Markdown::new(40, Dress::Coloured);
        markdown.push("**");
        let mut shown = 0;
        for _ in 0..2_000 {
            markdown.push("word ");
            shown += markdown.take().len();
        }
        assert!(shown > 9_000, "{shown}");
    }
}
