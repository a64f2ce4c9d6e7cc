//! Text of files and templates, made safe for errors and logs.

/// The longest piece of a file's own text that an error repeats.
const PRINTABLE_CHARS: usize = 80;

/// Text from a file, made safe to print: on one line, without control characters, and not longer
/// than an error can bear.
pub(crate) fn printable(text: &str) -> String {
    printable_within(text, PRINTABLE_CHARS)
}

/// [`printable`] with a limit of its own.
pub(crate) fn printable_within(text: &str, limit: usize) -> String {
    let mut printable = String::new();
    for letter in text.chars().take(limit) {
        match letter {
            '"' | '\'' | '\\' => printable.push(letter),
            other => printable.extend(other.escape_debug()),
        }
    }
    if text.chars().nth(limit).is_some() {
        printable.push('…');
    }
    printable
}
