//! Text of others, made harmless for a terminal.
//!
//! A terminal takes control characters as orders: to move the cursor, to write the clipboard, to
//! change its title. So every text that we did not write passes [`visible`] before it is printed:
//! answers, titles, errors, names of files. Each character is judged alone, so it does not matter
//! where a text is cut into pieces.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with every control character replaced by a sign for it, except line ends and tabs.
///
/// Carriage returns are dropped. C0 characters and DEL become their pictures (`␛`). C1 characters
/// and those that change the direction of text become escapes (`\u{202e}`).
pub fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        show(character, &mut shown);
    }
    Cow::Owned(shown)
}

/// The same for a text that has to stay on one line: line ends and tabs become blanks.
pub fn visible_line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}

/// JSON whose strings hold no character that a terminal would obey. It still means the same.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    // serde_json escapes C0 characters itself. Outside of strings there is nothing to escape.
    if json.chars().all(is_harmless) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        match is_harmless(character) {
            true => shown.push(character),
            false => write!(shown, "\\u{:04x}", character as u32).expect("a String takes all"),
        }
    }
    Cow::Owned(shown)
}

fn is_harmless(character: char) -> bool {
    match character {
        '\n' | '\t' => true,
        character if character.is_control() => false,
        character => !changes_direction(character),
    }
}

/// Embeddings, overrides and isolates of the bidirectional algorithm, which make text look like
/// another, and separators that some terminals take as line ends.
fn changes_direction(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

fn show(character: char, shown: &mut String) {
    const PICTURES: u32 = 0x2400;
    match character {
        '\r' => {}
        harmless if is_harmless(harmless) => shown.push(harmless),
        '\u{7f}' => shown.push('\u{2421}'),
        c0 if (c0 as u32) < 0x20 => shown.extend(char::from_u32(PICTURES + c0 as u32)),
        other => write!(shown, "{}", other.escape_unicode()).expect("a String takes all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that a terminal might obey.
    fn dangerous() -> impl Iterator<Item = char> {
        let c0 = ('\0'..='\u{1f}').filter(|c| !['\n', '\t'].contains(c));
        c0.chain('\u{7f}'..='\u{9f}').chain('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}')
    }

    #[test]
    fn no_control_character_passes_wherever_the_text_is_cut() {
        for character in dangerous() {
            let text = format!("a你{character}[31mé{character}{character}");
            let whole = visible(&text).into_owned();
            assert!(whole.chars().all(is_harmless), "{character:?}: {whole:?}");
            for (cut, _) in text.char_indices() {
                let (first, second) = text.split_at(cut);
                assert_eq!(visible(first).into_owned() + &visible(second), whole, "{character:?}");
            }
        }
    }

    #[test]
    fn signs_tell_what_was_there() {
        let cases = [
            ("plain 你好 \u{1f600}\n\tx", "plain 你好 \u{1f600}\n\tx"),
            ("a\r\nb\rc", "a\nbc"),
            ("\x1b]52;c;aGk=\x07", "␛]52;c;aGk=␇"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("\u{7f}", "␡"),
            ("abc\u{202e}fdp.exe", "abc\\u{202e}fdp.exe"),
        ];
        for (text, expected) in cases {
            assert_eq!(visible(text), expected, "{text:?}");
        }
        assert_eq!(visible_line("a\nb\tc\x1b"), "a b c␛");
    }

    #[test]
    fn json_stays_the_same_value() {
        for character in dangerous() {
            let value = serde_json::json!({ "text": format!("你{character}"), "n": 1 });
            let json = serde_json::to_string(&value).expect("JSON");
            let shown = visible_json(&json);
            assert!(shown.chars().all(is_harmless), "{character:?}: {shown}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
        }
    }
}
