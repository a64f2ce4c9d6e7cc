//! Marks within a line of Markdown: **bold**, *italic*, `code`, links.

use super::wrap::Look;

/// What is known about the place of a text.
#[derive(Clone, Copy)]
pub struct Context {
    /// The look without any marks.
    pub look: Look,
    /// The character before it, if it is not at the beginning of the line.
    pub before: Option<char>,
    /// Nothing follows that could change what marks mean.
    pub is_whole: bool,
}

/// Where decided characters go.
type Sink<'a> = &'a mut dyn FnMut(char, Look);

/// What stands at the beginning of a text.
enum Found<'a> {
    /// More text has to come.
    Undecided,
    /// This many bytes are shown as they are.
    Literal(usize),
    /// Marked text, which has marks itself, and how many bytes all of it takes.
    Marked { inner: &'a str, look: Look, bytes: usize },
    /// Code.
    Code { inner: &'a str, bytes: usize },
    /// A link or a picture.
    Link { text: &'a str, address: &'a str, bytes: usize },
    /// A character that is not a mark because of the backslash before it.
    Escaped(char),
}

/// Writes what is decided of a text, and returns how many bytes that was.
pub fn write(text: &str, context: Context, sink: Sink<'_>) -> usize {
    let mut at = 0;
    let mut before = context.before;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        match found(rest, Context { before, ..context }) {
            Found::Undecided => break,
            Found::Literal(bytes) => {
                for character in rest[..bytes].chars() {
                    sink(character, context.look);
                }
                at += bytes;
            }
            Found::Marked { inner, look, bytes } => {
                let inside = Context { look, before: None, is_whole: true };
                write(inner, inside, sink);
                at += bytes;
            }
            Found::Code { inner, bytes } => {
                for character in inner.chars() {
                    sink(character, Look { code: true, ..context.look });
                }
                at += bytes;
            }
            Found::Link { text, address, bytes } => {
                let inside = Context { before: None, is_whole: true, ..context };
                write(text, inside, sink);
                if text != address {
                    for character in format!(" ({address})").chars() {
                        sink(character, context.look);
                    }
                }
                at += bytes;
            }
            Found::Escaped(character) => {
                sink(character, context.look);
                at += first.len_utf8() + character.len_utf8();
            }
        }
        before = text[..at].chars().next_back();
    }
    at
}

fn found(text: &str, context: Context) -> Found<'_> {
    let first = text.chars().next().expect("the caller has looked");
    let wait = |bytes| if context.is_whole { Found::Literal(bytes) } else { Found::Undecided };
    match first {
        '`' => code(text, context),
        '*' | '_' => emphasis(text, context),
        '[' => link(text, 0, context),
        '!' if text.starts_with("![") => link(text, 1, context),
        '!' if text.len() == 1 => wait(1),
        '\\' => match text[1..].chars().next() {
            None => wait(1),
            Some(next) if next.is_ascii_punctuation() => Found::Escaped(next),
            Some(_) => Found::Literal(1),
        },
        other => Found::Literal(other.len_utf8()),
    }
}

/// How many marks of this kind a text begins with.
fn run_of(text: &str, mark: char) -> usize {
    text.chars().take_while(|character| *character == mark).count()
}

fn code(text: &str, context: Context) -> Found<'_> {
    let run = run_of(text, '`');
    let mut at = run;
    while let Some(next) = text[at..].find('`') {
        let begin = at + next;
        let length = run_of(&text[begin..], '`');
        let may_go_on = begin + length == text.len() && !context.is_whole;
        if length == run && !may_go_on {
            let inner = &text[run..begin];
            let padded = inner.len() > 2 && inner.starts_with(' ') && inner.ends_with(' ');
            let inner = if padded { &inner[1..inner.len() - 1] } else { inner };
            return Found::Code { inner, bytes: begin + length };
        }
        at = begin + length;
    }
    if context.is_whole { Found::Literal(run) } else { Found::Undecided }
}

fn emphasis(text: &str, context: Context) -> Found<'_> {
    let mark = text.chars().next().expect("it begins with a mark");
    let run = run_of(text, mark);
    let Some(next) = text[run..].chars().next() else {
        return if context.is_whole { Found::Literal(run) } else { Found::Undecided };
    };
    let is_within_word = context.before.is_some_and(char::is_alphanumeric);
    if run > 3 || next.is_whitespace() || mark == '_' && is_within_word {
        return Found::Literal(run);
    }
    match closing(text, run, context.is_whole) {
        Some(end) => {
            let mut look = context.look;
            look.bold |= run >= 2;
            look.italic |= run != 2;
            Found::Marked { inner: &text[run..end], look, bytes: end + run }
        }
        None if context.is_whole => Found::Literal(run),
        None => Found::Undecided,
    }
}

/// Where the marks are that close the first `run` ones. Marks within code do not count, and neither
/// do marks that open something themselves.
fn closing(text: &str, run: usize, is_whole: bool) -> Option<usize> {
    let mark = text.chars().next()?;
    let mut before = mark;
    let mut open = 0;
    let mut at = run;
    while let Some(character) = text[at..].chars().next() {
        let length = run_of(&text[at..], character);
        match character {
            '\\' => {
                at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8);
                before = '\\';
                continue;
            }
            '`' => {
                let fence = "`".repeat(length);
                let end = text[at + length..].find(&fence).map(|end| at + length + end + length);
                at = end.unwrap_or(at + length);
                before = '`';
                continue;
            }
            character if character == mark => {
                let after = text[at + length..].chars().next();
                if after.is_none() && !is_whole {
                    return None;
                }
                let may_close = !before.is_whitespace();
                let may_open = after.is_some_and(|after| !after.is_whitespace())
                    && !(mark == '_' && before.is_alphanumeric());
                let ends_word = mark == '*' || !after.is_some_and(char::is_alphanumeric);
                if may_close && ends_word && open > 0 && length <= open {
                    open -= length;
                } else if may_close && ends_word && length >= run + open {
                    return Some(at + open);
                } else if may_close && ends_word && length == run {
                    return Some(at);
                } else if may_open && length != run {
                    open += length;
                }
                at += length;
                before = mark;
                continue;
            }
            _ => {}
        }
        before = character;
        at += character.len_utf8();
    }
    None
}

/// A link, or a picture if `bang` is 1.
fn link(text: &str, bang: usize, context: Context) -> Found<'_> {
    let literal = if context.is_whole { Found::Literal(bang + 1) } else { Found::Undecided };
    let inside = &text[bang + 1..];
    let Some(end) = inside.find(']') else { return literal };
    let behind = &inside[end + 1..];
    if behind.is_empty() {
        return literal;
    }
    if !behind.starts_with('(') {
        return Found::Literal(bang + 1);
    }
    let Some(length) = address_length(&behind[1..]) else { return literal };
    let address = behind[1..1 + length].split(' ').next().unwrap_or_default();
    let bytes = bang + 1 + end + 1 + 1 + length + 1;
    Found::Link { text: &inside[..end], address, bytes }
}

/// How long an address is that ends before a closing parenthesis. Pairs within it belong to it.
fn address_length(text: &str) -> Option<usize> {
    let mut open = 0;
    for (at, character) in text.char_indices() {
        match character {
            '(' => open += 1,
            ')' if open == 0 => return Some(at),
            ')' => open -= 1,
            _ => {}
        }
    }
    None
}
