//! What happens to an answer until it is finished.
//!
//! ```text
//! ask, or continue ──► waiting ──save──► writing ──finish──► complete, length, stopped, …
//!                        every save adds a row to `parts`;       joins them into the message
//!                        a long text is never written again
//! ```

use rusqlite::{Connection, OptionalExtension, params};

use crate::config::{Limits, check_bytes, check_count};
use crate::growth::{Ends, Growth, NewPart, tokens_to_bytes};
use crate::ids::{MessageSeq, UserId};
use crate::message::{AnswerError, Message, Reason, State, Timings, Usage};
use crate::reply::Reply;
use crate::rows::{self, to_json};
use crate::search::index;
use crate::writer::Writing;
use crate::{Store, StoreError};

/// How an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// What has not been saved of it yet; empty if all has.
    pub rest: Growth,
    /// Its last state.
    pub state: State,
    /// Why it ended.
    pub reason: Reason,
    /// How it failed, if it did.
    pub error: Option<AnswerError>,
    /// Its tokens, if they are known.
    pub usage: Option<Usage>,
    /// Its times, if they are known.
    pub timings: Option<Timings>,
    /// The seed with which it was sampled, if it is known.
    pub seed: Option<u64>,
}

impl Ending {
    /// An ending without anything to add.
    pub fn new(state: State, reason: Reason) -> Self {
        let (error, usage, timings, seed) = (None, None, None, None);
        Self { rest: Growth::default(), state, reason, error, usage, timings, seed }
    }
}

impl Store {
    /// Keeps a delta of an answer before a client sees it. It survives the end of the process, but
    /// not the end of the machine, and costs some microseconds.
    pub fn append_live(&self, answer: MessageSeq, growth: Growth) -> Reply<()> {
        match self.live() {
            Some(live) => live.append(answer, growth),
            None => Reply::failed(StoreError::Closed),
        }
    }

    /// Makes new text of an answer durable. Text that is durable already is left out, so a piece
    /// may be repeated.
    pub fn save_progress(&self, answer: MessageSeq, growth: Growth) -> Reply<Ends> {
        self.write(move |writing| save(writing, answer, &growth))
    }

    /// Finishes an answer: all of its text is durable and can be searched for.
    ///
    /// If the answer is finished already, nothing changes and [`StoreError::AnswerNotRunning`] says
    /// so.
    pub fn finish_answer(&self, answer: MessageSeq, ending: Ending) -> Reply<Message> {
        self.write(move |writing| finish(writing, answer, &ending))
    }
}

/// The answers that are being written.
pub(crate) fn running(connection: &Connection) -> Result<Vec<MessageSeq>, StoreError> {
    let mut statement = connection
        .prepare("SELECT seq FROM messages WHERE state IN ('waiting', 'writing') ORDER BY seq")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A message as it is stored.
pub(crate) fn by_seq(connection: &Connection, seq: MessageSeq) -> Result<Message, StoreError> {
    let mut found = rows::messages(connection, ("WHERE m.seq = ?1", [seq]))?;
    found.pop().ok_or(StoreError::UnknownMessage)
}

/// How much of an answer is stored.
fn stored_ends(connection: &Connection, answer: MessageSeq) -> Result<Ends, StoreError> {
    let ends = |row: &rusqlite::Row<'_>| {
        let (text, thinking) = (rows::number(row, 0)?, rows::number(row, 1)?);
        Ok(Ends { text, thinking, tokens: rows::number(row, 2)? })
    };
    let last_part = connection
        .prepare_cached(
            "SELECT text_end, thinking_end, tokens_end FROM parts WHERE answer = ?1
             ORDER BY part DESC LIMIT 1",
        )?
        .query_row([answer], ends)
        .optional()?;
    if let Some(found) = last_part {
        return Ok(found);
    }
    Ok(connection
        .prepare_cached(
            "SELECT octet_length(text), octet_length(thinking), octet_length(tokens) / 4
             FROM messages WHERE seq = ?1",
        )?
        .query_row([answer], ends)?)
}

fn check_running(connection: &Connection, answer: MessageSeq) -> Result<(), StoreError> {
    let state: Option<State> = connection
        .prepare_cached("SELECT state FROM messages WHERE seq = ?1")?
        .query_row([answer], |row| row.get(0))
        .optional()?;
    match state {
        None => Err(StoreError::UnknownMessage),
        Some(state) if state.is_running() => Ok(()),
        Some(state) => Err(StoreError::AnswerNotRunning { state }),
    }
}

fn check_ends(limits: &Limits, ends: Ends) -> Result<(), StoreError> {
    let size = |end: u64| usize::try_from(end).unwrap_or(usize::MAX);
    check_count("answer", size(ends.text), (limits.answer_bytes, "bytes"))?;
    check_count("thinking", size(ends.thinking), (limits.answer_bytes, "bytes"))?;
    check_count("tokens", size(ends.tokens), (limits.answer_tokens, "tokens"))
}

fn save(writing: &Writing<'_>, answer: MessageSeq, growth: &Growth) -> Result<Ends, StoreError> {
    check_running(writing.connection, answer)?;
    let stored = stored_ends(writing.connection, answer)?;
    let new = growth.after(stored)?;
    let ends = new.ends_after(stored);
    check_ends(writing.limits, ends)?;
    if new.is_empty() {
        return Ok(ends);
    }
    writing
        .connection
        .prepare_cached(
            "INSERT INTO parts (answer, part, text, thinking, tokens,
                                text_end, thinking_end, tokens_end)
             SELECT ?1, 1 + coalesce(max(part), 0), ?2, ?3, ?4, ?5, ?6, ?7
             FROM parts WHERE answer = ?1",
        )?
        .execute(params![
            answer,
            new.text,
            new.thinking,
            tokens_to_bytes(new.tokens),
            ends.text.cast_signed(),
            ends.thinking.cast_signed(),
            ends.tokens.cast_signed(),
        ])?;
    writing
        .connection
        .prepare_cached(
            "UPDATE messages SET state = 'writing' WHERE seq = ?1 AND state = 'waiting'",
        )?
        .execute([answer])?;
    writing.saved_live(answer, ends);
    Ok(ends)
}

fn finish(
    writing: &Writing<'_>,
    answer: MessageSeq,
    ending: &Ending,
) -> Result<Message, StoreError> {
    check_ending(writing.limits, ending)?;
    check_running(writing.connection, answer)?;
    let stored = stored_ends(writing.connection, answer)?;
    check_ends(writing.limits, rest_after(&ending.rest, stored)?.ends_after(stored))?;
    finish_unchecked(writing, answer, ending)?;
    by_seq(writing.connection, answer)
}

fn check_ending(limits: &Limits, ending: &Ending) -> Result<(), StoreError> {
    if ending.state.is_running() {
        let (expected, found) = ("the state of a finished answer", ending.state.name().into());
        return Err(StoreError::Invalid { field: "state", expected, found });
    }
    let Some(error) = &ending.error else { return Ok(()) };
    check_bytes("error code", &error.code, limits.name_bytes)?;
    check_bytes("error message", &error.message, limits.error_bytes)
}

/// What is new of the rest of an answer. An empty rest has no place, so it fits everywhere.
fn rest_after(rest: &Growth, stored: Ends) -> Result<NewPart<'_>, StoreError> {
    let is_empty = rest.text.is_empty() && rest.thinking.is_empty() && rest.tokens.is_empty();
    match is_empty {
        true => Ok(NewPart { text: "", thinking: "", tokens: &[] }),
        false => rest.after(stored),
    }
}

/// Joins the parts of an answer and its rest into the message, and ends it.
pub(crate) fn finish_unchecked(
    writing: &Writing<'_>,
    answer: MessageSeq,
    ending: &Ending,
) -> Result<(), StoreError> {
    let connection = writing.connection;
    let mut whole = rows::text_so_far(connection, answer)?;
    let new = rest_after(&ending.rest, whole.ends())?;
    whole.text.push_str(new.text);
    whole.thinking.push_str(new.thinking);
    whole.tokens.extend(new.tokens);
    let error = ending.error.as_ref();
    connection
        .prepare_cached(
            "UPDATE messages SET text = ?2, thinking = ?3, tokens = ?4, state = ?5, reason = ?6,
               error_code = ?7, error_message = ?8, usage = ?9, timings = ?10,
               seed = coalesce(?11, seed)
             WHERE seq = ?1",
        )?
        .execute(params![
            answer,
            whole.text,
            whole.thinking,
            tokens_to_bytes(&whole.tokens),
            ending.state,
            ending.reason,
            error.map(|error| &error.code),
            error.map(|error| &error.message),
            to_json(ending.usage.as_ref()),
            to_json(ending.timings.as_ref()),
            ending.seed.map(u64::cast_signed),
        ])?;
    connection.prepare_cached("DELETE FROM parts WHERE answer = ?1")?.execute([answer])?;
    let user = owner(connection, answer)?;
    index::add_message(writing, (user, answer), &whole.text)?;
    writing.forget_live(answer);
    Ok(())
}

fn owner(connection: &Connection, message: MessageSeq) -> Result<UserId, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT c.user FROM messages m JOIN conversations c ON c.number = m.conversation
             WHERE m.seq = ?1",
        )?
        .query_row([message], |row| row.get(0))?)
}
