//! Puts words into the full-text indexes and takes them out again.
//!
//! A row of an index is a set of tokens. To take a text out, its tokens must be the same as when it
//! was put in: a change of `words` or of the tokens needs a migration that builds the indexes anew.
//! Both indexes overwrite what is taken out (`secure-delete`).

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};

use super::words::{Kind, pieces};
use crate::StoreError;
use crate::ids::{ConversationNumber, MessageSeq, UserId};
use crate::writer::Writing;

/// Beginnings of these lengths are tokens. What is typed is looked up by its longest one.
///
/// More lengths would make the index larger, fewer would give more candidates that the text then
/// refuses: without 5 and 7, a search for a word took five times as long.
const BEGINNING_CHARS: [usize; 11] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16];

/// Characters of a token, of five bits each. Two words with the same token cost some time only.
const TOKEN_CHARS: u32 = 6;

/// What is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// The beginning of a word.
    Beginning = b'b' as isize,
    /// One character of a run, or two.
    Run = b'r' as isize,
}

/// The token of something that a user has written.
pub(crate) fn token(user: UserId, looked: Looked, chars: &[char]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&user.0.to_le_bytes());
    hasher.update(&[looked as u8]);
    hasher.update(String::from_iter(chars).as_bytes());
    let hash = hasher.finalize();
    let bits = hash.as_bytes().first_chunk().map_or(0, |first| u32::from_le_bytes(*first));
    let letter = |index| {
        char::from(b"abcdefghijklmnopqrstuvwxyz234567"[(bits >> (5 * index)) as usize % 32])
    };
    (0..TOKEN_CHARS).map(letter).collect()
}

/// The beginning of a word that is a token, as long as possible.
pub(crate) fn longest_beginning(word: &[char]) -> &[char] {
    let lengths = BEGINNING_CHARS.iter().rev();
    let longest = lengths.copied().find(|length| *length <= word.len());
    &word[..longest.unwrap_or(0)]
}

/// The first bytes of a text, at most this many, without a part of a character.
pub(crate) fn first_bytes(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Messages with about this many bytes are put in or taken out in one transaction, if there are
/// many. It takes some milliseconds, and nobody else can write meanwhile.
pub(crate) const PART_BYTES: usize = 64 << 10;

/// Says that a message is still to be put in.
const PUT_OFF: i64 = -1;

/// Leaves a message to [`add_some`].
pub(crate) fn put_off(writing: &Writing<'_>, message: MessageSeq) -> Result<(), StoreError> {
    writing
        .connection
        .prepare_cached("UPDATE messages SET indexed = ?2 WHERE seq = ?1")?
        .execute(params![message, PUT_OFF])?;
    Ok(())
}

/// Puts in some messages of a conversation that were put off. Returns whether there are more.
pub(crate) fn add_some(
    writing: &Writing<'_>,
    (user, conversation): (UserId, ConversationNumber),
) -> Result<bool, StoreError> {
    let put_off: Vec<MessageSeq> = writing
        .connection
        .prepare_cached("SELECT seq FROM messages WHERE conversation = ?1 AND indexed = ?2")?
        .query_map(params![conversation, PUT_OFF], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut bytes = 0;
    for message in &put_off {
        if bytes >= PART_BYTES {
            return Ok(true);
        }
        let text: String = writing
            .connection
            .prepare_cached("UPDATE messages SET indexed = 0 WHERE seq = ?1 RETURNING text")?
            .query_row([message], |row| row.get(0))?;
        add_message(writing, (user, *message), &text)?;
        bytes += text.len();
    }
    Ok(false)
}

/// Takes some messages of a conversation out. Returns whether there are more.
pub(crate) fn remove_some(
    writing: &Writing<'_>,
    (user, conversation): (UserId, ConversationNumber),
) -> Result<bool, StoreError> {
    let found: Vec<(MessageSeq, i64)> = writing
        .connection
        .prepare_cached(
            "SELECT seq, indexed FROM messages WHERE conversation = ?1 AND indexed > 0",
        )?
        .query_map([conversation], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut bytes = 0;
    for (message, indexed) in &found {
        if bytes >= PART_BYTES {
            return Ok(true);
        }
        remove_message(writing, (user, *message))?;
        bytes += usize::try_from(*indexed).unwrap_or(0);
    }
    Ok(false)
}

/// Puts a message in.
pub(crate) fn add_message(
    writing: &Writing<'_>,
    (user, message): (UserId, MessageSeq),
    text: &str,
) -> Result<(), StoreError> {
    let text = first_bytes(text, writing.limits.indexed_bytes);
    let tokens = tokens(user, text);
    if tokens.is_empty() {
        return Ok(());
    }
    writing
        .connection
        .prepare_cached("INSERT INTO message_words (rowid, tokens) VALUES (?1, ?2)")?
        .execute(params![message, tokens])?;
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
    let tokens = tokens(user, first_bytes(&text, bytes));
    writing
        .connection
        .prepare_cached(
            "INSERT INTO message_words (message_words, rowid, tokens) VALUES ('delete', ?1, ?2)",
        )?
        .execute(params![message, tokens])?;
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
    let sql = "INSERT INTO title_words (rowid, tokens) VALUES (?1, ?2)";
    write_title(writing, sql, (conversation, &tokens(user, title)))
}

/// Takes a conversation's title out.
pub(crate) fn remove_title(
    writing: &Writing<'_>,
    (user, conversation): (UserId, ConversationNumber),
    title: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO title_words (title_words, rowid, tokens) VALUES ('delete', ?1, ?2)";
    write_title(writing, sql, (conversation, &tokens(user, title)))
}

/// A title without words is not in the index.
fn write_title(
    writing: &Writing<'_>,
    sql: &str,
    (conversation, tokens): (ConversationNumber, &str),
) -> Result<(), StoreError> {
    if !tokens.is_empty() {
        writing.connection.prepare_cached(sql)?.execute(params![conversation, tokens])?;
    }
    Ok(())
}

/// The tokens of a text, in any order.
fn tokens(user: UserId, text: &str) -> String {
    let mut found: BTreeSet<(u8, Vec<char>)> = BTreeSet::new();
    let mut add = |looked: Looked, chars: &[char]| {
        found.insert((looked as u8, chars.to_vec()));
    };
    for piece in pieces(text) {
        let chars: Vec<char> = piece.chars.iter().map(|folded| folded.char).collect();
        match piece.kind {
            Kind::Word => {
                for begin in std::iter::once(0).chain(piece.part_begins()) {
                    let part = &chars[begin..];
                    let lengths = BEGINNING_CHARS.iter().filter(|length| **length <= part.len());
                    lengths.for_each(|length| add(Looked::Beginning, &part[..*length]));
                }
            }
            Kind::Run => {
                chars.windows(1).for_each(|char| add(Looked::Run, char));
                chars.windows(2).for_each(|pair| add(Looked::Run, pair));
            }
        }
    }
    let looked = |byte| if byte == b'r' { Looked::Run } else { Looked::Beginning };
    let tokens: BTreeSet<String> =
        found.iter().map(|(byte, chars)| token(user, looked(*byte), chars)).collect();
    Vec::from_iter(tokens).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_these_tokens() {
        let user = UserId(7);
        let found = tokens(user, "getUserName 你好吗 a a");
        let words = [
            "g",
            "ge",
            "get",
            "getu",
            "getus",
            "getuse",
            "getuser",
            "getusern",
            "getusernam",
            "u",
            "us",
            "use",
            "user",
            "usern",
            "userna",
            "usernam",
            "username",
            "n",
            "na",
            "nam",
            "name",
            "a",
        ];
        let runs = ["你", "好", "吗", "你好", "好吗"];
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        let words = words.map(|word| token(user, Looked::Beginning, &chars(word)));
        let runs = runs.map(|run| token(user, Looked::Run, &chars(run)));
        let expected: BTreeSet<String> = words.into_iter().chain(runs).collect();
        assert_eq!(found.split(' ').map(str::to_owned).collect::<BTreeSet<_>>(), expected);
        assert_eq!(tokens(user, " ,. "), "");
    }

    #[test]
    fn tokens_are_the_same_for_ever() {
        // A stored index depends on them: if this fails, a migration is missing.
        let token = |user, text: &str| {
            token(UserId(user), Looked::Beginning, &text.chars().collect::<Vec<_>>())
        };
        assert_eq!(
            [token(1, "user"), token(2, "user"), token(1, "用户")],
            ["2bxwux", "n46bg7", "dgxz3b"]
        );
    }
}
