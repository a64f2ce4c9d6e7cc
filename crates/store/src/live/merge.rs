//! Ends the answers that were being written when the process ended, while the store is opened.

use rusqlite::{Connection, TransactionBehavior};

use crate::StoreError;
use crate::answers::{self, Ending};
use crate::config::Limits;
use crate::growth::{Ends, Growth, tokens_from_bytes};
use crate::ids::MessageSeq;
use crate::message::{Reason, State};
use crate::rows;
use crate::writer::{Writing, write_while_opening};

/// Puts the newest text of each unfinished answer into the main database and marks the answer as
/// interrupted. Returns how many there were. What cannot be read in `live.db` is left out: it may
/// be damaged by a power cut, and the main database has everything up to the last save.
pub(crate) fn merge(
    connection: &mut Connection,
    live: &Connection,
    (limits, now_ms): (&Limits, i64),
) -> Result<usize, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let running = write_while_opening(&transaction, (limits, now_ms), |writing| {
        let running = answers::running(writing.connection)?;
        for answer in &running {
            interrupt(writing, live, *answer)?;
        }
        Ok(running.len())
    })?;
    transaction.commit()?;
    Ok(running)
}

fn interrupt(
    writing: &Writing<'_>,
    live: &Connection,
    answer: MessageSeq,
) -> Result<(), StoreError> {
    let rest = newest(writing.connection, live, answer)?;
    let ending = Ending { rest, ..Ending::new(State::Interrupted, Reason::Crashed) };
    answers::finish_unchecked(writing, answer, &ending)
}

/// What `live.db` has of an answer beyond what is stored. Pieces count as long as each continues
/// the one before.
fn newest(
    connection: &Connection,
    live: &Connection,
    answer: MessageSeq,
) -> Result<Growth, StoreError> {
    let stored = rows::text_so_far(connection, answer)?;
    let at = stored.ends();
    let mut whole = stored;
    for piece in pieces(live, answer) {
        if !continues(&whole, &piece) {
            tracing::warn!(%answer, "a piece of a live answer does not continue what is stored");
            break;
        }
        let new = piece.after(whole.ends())?;
        let (text, thinking) = (new.text.to_owned(), new.thinking.to_owned());
        let tokens = new.tokens.to_vec();
        whole.text.push_str(&text);
        whole.thinking.push_str(&thinking);
        whole.tokens.extend(tokens);
    }
    let split = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    Ok(Growth {
        at,
        text: whole.text.split_off(split(at.text)),
        thinking: whole.thinking.split_off(split(at.thinking)),
        tokens: whole.tokens.split_off(split(at.tokens)),
    })
}

/// The pieces of an answer, up to the first one that cannot be read.
fn pieces(live: &Connection, answer: MessageSeq) -> Vec<Growth> {
    let mut pieces = Vec::new();
    if let Err(error) = read_pieces(live, answer, &mut pieces) {
        tracing::warn!(%answer, %error, "live.db cannot be read on; the answer ends before");
    }
    pieces
}

fn read_pieces(
    live: &Connection,
    answer: MessageSeq,
    pieces: &mut Vec<Growth>,
) -> rusqlite::Result<()> {
    let mut statement = live.prepare(
        "SELECT text, thinking, tokens, text_end, thinking_end, tokens_end FROM live
         WHERE answer = ?1 ORDER BY row",
    )?;
    let rows = statement.query_map([answer], |row| {
        let (text, thinking): (String, String) = (row.get(0)?, row.get(1)?);
        let tokens = tokens_from_bytes(&row.get::<_, Vec<u8>>(2)?).unwrap_or_default();
        let begin = |column, length: usize| -> rusqlite::Result<u64> {
            Ok(row.get::<_, i64>(column)?.unsigned_abs().saturating_sub(length as u64))
        };
        let at = Ends {
            text: begin(3, text.len())?,
            thinking: begin(4, thinking.len())?,
            tokens: begin(5, tokens.len())?,
        };
        Ok(Growth { at, text, thinking, tokens })
    })?;
    for piece in rows {
        pieces.push(piece?);
    }
    Ok(())
}

/// Whether a piece begins inside or at the end of what there is, and says the same where both have
/// something.
fn continues(whole: &Growth, piece: &Growth) -> bool {
    agrees(whole.text.as_bytes(), piece.text.as_bytes(), piece.at.text)
        && agrees(whole.thinking.as_bytes(), piece.thinking.as_bytes(), piece.at.thinking)
        && agrees(&whole.tokens, &piece.tokens, piece.at.tokens)
        && piece.after(whole.ends()).is_ok()
}

fn agrees<T: PartialEq>(whole: &[T], piece: &[T], at: u64) -> bool {
    let tail = usize::try_from(at).ok().and_then(|at| whole.get(at..));
    tail.is_some_and(|tail| tail.iter().zip(piece).all(|(one, other)| one == other))
}
