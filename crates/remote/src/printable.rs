//! Words of other servers as one clean line: they get into logs, onto pages and terminals, and into
//! answers to programs.

/// How many characters of another server's words are repeated.
pub(crate) const MOST_CHARACTERS: usize = 200;

/// The text as one line of at most [`MOST_CHARACTERS`] characters, without control characters and
/// marks that reorder text.
pub(crate) fn printable(text: &str) -> String {
    let is_hidden = |c: char| matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let mut line = String::new();
    let mut count = 0;
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if is_hidden(c) || (c == ' ' && (line.is_empty() || line.ends_with(' '))) {
            continue;
        }
        if count == MOST_CHARACTERS {
            line.push('…');
            return line;
        }
        line.push(c);
        count += 1;
    }
    line.truncate(line.trim_end().len());
    line
}
