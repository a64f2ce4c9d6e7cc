//! Puts words into the full-text indexes and takes them out again.
//!
//! The indexes hold no text. To take a message out, its tokens must be the same as when it was put
//! in: a change of `words` or of `columns` needs a migration that builds the indexes anew. Both are
//! set to overwrite what is taken out (`secure-delete`).

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};

use super::words::{Kind, Piece, pieces};
use crate::StoreError;
use crate::ids::{ConversationNumber, MessageSeq, UserId};
use crate::writer::Writing;

/// Beginnings of up to this many characters are tokens of their own. A longer beginning is looked up
/// among the words that have it; for short ones those would be too many.
pub(crate) const BEGINNING_CHARS: usize = 3;

/// The columns of a row: `words` in their order, `parts` in none.
pub(crate) struct Columns {
    words: String,
    parts: String,
}

impl Columns {
    fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

/// The token of a word, or of one or two characters of a run.
pub(crate) fn word_token(user: UserId, word: &str) -> String {
    format!("{user}x{word}")
}

/// The token of a word's beginning.
pub(crate) fn beginning_token(user: UserId, beginning: &str) -> String {
    format!("{user}p{beginning}")
}

/// The first bytes of a text, at most this many, without a part of a character.
pub(crate) fn first_bytes(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Puts a message in.
pub(crate) fn add_message(
    writing: &Writing<'_>,
    (user, message): (UserId, MessageSeq),
    text: &str,
) -> Result<(), StoreError> {
    let text = first_bytes(text, writing.limits.indexed_bytes);
    let columns = columns(user, text);
    if columns.is_empty() {
        return Ok(());
    }
    writing
        .connection
        .prepare_cached("INSERT INTO message_words (rowid, words, parts) VALUES (?1, ?2, ?3)")?
        .execute(params![message, columns.words, columns.parts])?;
    // How much was put in: a later limit may be another one.
    writing
        .connection
        .prepare_cached("UPDATE messages SET indexed = ?2 WHERE seq = ?1")?
        .execute(params![message, text.len() as i64])?;
    Ok(())
}

/// Takes a message out, if it was put in. Its text must be what it was then.
pub(crate) fn remove_message(
    writing: &Writing<'_>,
    (user, message): (UserId, MessageSeq),
) -> Result<(), StoreError> {
    let found: Option<(String, usize)> = writing
        .connection
        .prepare_cached("SELECT text, indexed FROM messages WHERE seq = ?1 AND indexed > 0")?
        .query_row([message], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs() as usize))
        })
        .optional()?;
    let Some((text, bytes)) = found else { return Ok(()) };
    let columns = columns(user, first_bytes(&text, bytes));
    writing
        .connection
        .prepare_cached(
            "INSERT INTO message_words (message_words, rowid, words, parts)
             VALUES ('delete', ?1, ?2, ?3)",
        )?
        .execute(params![message, columns.words, columns.parts])?;
    writing
        .connection
        .prepare_cached("UPDATE messages SET indexed = 0 WHERE seq = ?1")?
        .execute([message])?;
    Ok(())
}

/// Puts a conversation's title in.
pub(crate) fn add_title(
    writing: &Writing<'_>,
    (user, conversation): (UserId, ConversationNumber),
    title: &str,
) -> Result<(), StoreError> {
    let columns = columns(user, title);
    if !columns.is_empty() {
        writing
            .connection
            .prepare_cached("INSERT INTO title_words (rowid, words, parts) VALUES (?1, ?2, ?3)")?
            .execute(params![conversation, columns.words, columns.parts])?;
    }
    Ok(())
}

/// Takes a conversation's title out.
pub(crate) fn remove_title(
    writing: &Writing<'_>,
    (user, conversation): (UserId, ConversationNumber),
    title: &str,
) -> Result<(), StoreError> {
    let columns = columns(user, title);
    if !columns.is_empty() {
        writing
            .connection
            .prepare_cached(
                "INSERT INTO title_words (title_words, rowid, words, parts)
                 VALUES ('delete', ?1, ?2, ?3)",
            )?
            .execute(params![conversation, columns.words, columns.parts])?;
    }
    Ok(())
}

fn columns(user: UserId, text: &str) -> Columns {
    let mut words: Vec<String> = Vec::new();
    let mut parts = BTreeSet::new();
    for piece in pieces(text) {
        match piece.kind {
            Kind::Word => add_word(user, &piece, (&mut words, &mut parts)),
            Kind::Run => add_run(user, &piece, (&mut words, &mut parts)),
        }
    }
    let parts: Vec<String> = parts.into_iter().collect();
    Columns { words: words.join(" "), parts: parts.join(" ") }
}

fn add_word(
    user: UserId,
    piece: &Piece,
    (words, parts): (&mut Vec<String>, &mut BTreeSet<String>),
) {
    let chars: Vec<char> = piece.chars.iter().map(|folded| folded.char).collect();
    let mut add_beginnings = |chars: &[char]| {
        let mut beginning = String::new();
        for char in chars.iter().take(BEGINNING_CHARS) {
            beginning.push(*char);
            parts.insert(beginning_token(user, &beginning));
        }
    };
    add_beginnings(&chars);
    for begin in piece.part_begins() {
        add_beginnings(&chars[begin..]);
    }
    for begin in piece.part_begins() {
        parts.insert(word_token(user, &String::from_iter(&chars[begin..])));
    }
    words.push(word_token(user, &piece.text()));
}

fn add_run(user: UserId, piece: &Piece, (words, parts): (&mut Vec<String>, &mut BTreeSet<String>)) {
    for folded in &piece.chars {
        parts.insert(word_token(user, folded.char.encode_utf8(&mut [0; 4])));
    }
    for pair in piece.chars.windows(2) {
        words.push(word_token(user, &String::from_iter([pair[0].char, pair[1].char])));
    }
    if let [only] = &piece.chars[..] {
        words.push(word_token(user, only.char.encode_utf8(&mut [0; 4])));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_these_tokens() {
        let columns = columns(UserId(7), "getUserName 你好吗 a");
        assert_eq!(columns.words, "7xgetusername 7x你好 7x好吗 7xa");
        let parts: BTreeSet<&str> = columns.parts.split(' ').collect();
        let expected = [
            "7pg",
            "7pge",
            "7pget",
            "7pu",
            "7pus",
            "7puse",
            "7pn",
            "7pna",
            "7pnam",
            "7pa",
            "7xusername",
            "7xname",
            "7x你",
            "7x好",
            "7x吗",
        ];
        assert_eq!(parts, BTreeSet::from(expected));
    }
}
