//! Rows of the tables as values.

use rusqlite::types::{FromSql, FromSqlError, Type};
use rusqlite::{Connection, OptionalExtension, Row};
use serde::de::DeserializeOwned;

use crate::StoreError;
use crate::growth::{Ends, Growth, tokens_from_bytes};
use crate::ids::{ConversationId, ConversationNumber, MessageId, MessageSeq, UserId};
use crate::message::{AnswerError, Conversation, Message, State};

/// Begins a query of conversations; [`conversation`] reads its rows.
pub(crate) const SELECT_CONVERSATION: &str =
    "SELECT c.number, c.id, c.title, c.title_source, c.system, c.parameters, l.id, c.pinned,
            c.archived, c.created_ms, c.updated_ms, c.touched,
            (SELECT a.model FROM messages a WHERE a.conversation = c.number AND a.role = 'assistant'
             ORDER BY a.seq DESC LIMIT 1),
            (SELECT count(*) FROM messages n WHERE n.conversation = c.number)
     FROM conversations c LEFT JOIN messages l ON l.seq = c.leaf ";

/// Begins a query of messages; [`message`] reads its rows.
pub(crate) const SELECT_MESSAGE: &str =
    "SELECT m.seq, m.id, p.id, m.role, m.state, m.text, m.thinking, m.tokens, m.model, m.parameters,
            m.seed, m.reason, m.error_code, m.error_message, m.usage, m.timings, m.created_ms
     FROM messages m LEFT JOIN messages p ON p.seq = m.parent ";

/// A row of [`SELECT_CONVERSATION`].
pub(crate) fn conversation(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    Ok(Conversation {
        number: row.get(0)?,
        id: row.get(1)?,
        title: row.get(2)?,
        title_source: row.get(3)?,
        system: row.get(4)?,
        parameters: json(row, 5)?,
        leaf: row.get(6)?,
        pinned: row.get(7)?,
        archived: row.get(8)?,
        created_ms: number(row, 9)?,
        updated_ms: number(row, 10)?,
        model: row.get(12)?,
        messages: number(row, 13)?,
    })
}

/// A row of [`SELECT_MESSAGE`]. The text of an unfinished answer lacks its parts.
pub(crate) fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let error = match (row.get(12)?, row.get(13)?) {
        (Some(code), message) => {
            Some(AnswerError { code, message: Option::unwrap_or_default(message) })
        }
        _ => None,
    };
    Ok(Message {
        seq: row.get(0)?,
        id: row.get(1)?,
        parent: row.get(2)?,
        role: row.get(3)?,
        state: row.get(4)?,
        text: row.get(5)?,
        thinking: row.get(6)?,
        tokens: tokens(row, 7)?,
        model: row.get(8)?,
        parameters: json(row, 9)?,
        seed: row.get::<_, Option<i64>>(10)?.map(i64::cast_unsigned),
        reason: row.get(11)?,
        error,
        usage: json(row, 14)?,
        timings: json(row, 15)?,
        created_ms: number(row, 16)?,
    })
}

/// A number that is never negative.
pub(crate) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let Some(text) = row.get::<_, Option<String>>(column)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}

/// A value as JSON text, to be stored.
pub(crate) fn to_json<T: serde::Serialize>(value: Option<&T>) -> Option<String> {
    value.map(|value| serde_json::to_string(value).expect("plain data is always JSON"))
}

fn tokens(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<u32>> {
    let bytes = <Vec<u8>>::column_result(row.get_ref(column)?)?;
    tokens_from_bytes(&bytes).ok_or_else(|| {
        let source = Box::new(FromSqlError::InvalidType);
        rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, source)
    })
}

/// A conversation of a user.
pub(crate) fn find_conversation(
    connection: &Connection,
    user: UserId,
    id: ConversationId,
) -> Result<Conversation, StoreError> {
    connection
        .prepare_cached(&format!("{SELECT_CONVERSATION} WHERE c.id = ?1 AND c.user = ?2"))?
        .query_row((id, user), conversation)
        .optional()?
        .ok_or(StoreError::UnknownConversation)
}

/// What is needed of a message to work with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub seq: MessageSeq,
    pub parent: Option<MessageSeq>,
    pub role: crate::message::Role,
    pub state: State,
}

/// A message of a conversation.
pub(crate) fn find_message(
    connection: &Connection,
    conversation: ConversationNumber,
    id: MessageId,
) -> Result<Known, StoreError> {
    connection
        .prepare_cached(
            "SELECT seq, parent, role, state FROM messages WHERE id = ?1 AND conversation = ?2",
        )?
        .query_row((id, conversation), |row| {
            Ok(Known {
                seq: row.get(0)?,
                parent: row.get(1)?,
                role: row.get(2)?,
                state: row.get(3)?,
            })
        })
        .optional()?
        .ok_or(StoreError::UnknownMessage)
}

/// The messages of a query that begins with [`SELECT_MESSAGE`], unfinished answers with their
/// parts.
pub(crate) fn messages<P: rusqlite::Params>(
    connection: &Connection,
    (condition, parameters): (&str, P),
) -> Result<Vec<Message>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT_MESSAGE} {condition}"))?;
    let rows = statement.query_map(parameters, message)?;
    rows.map(|row| with_parts(connection, row?)).collect()
}

/// Adds to an unfinished answer what it has grown by.
pub(crate) fn with_parts(
    connection: &Connection,
    mut message: Message,
) -> Result<Message, StoreError> {
    if message.state.is_running() {
        add_parts(connection, message.seq, |text, thinking, tokens| {
            message.text.push_str(text);
            message.thinking.push_str(thinking);
            message.tokens.extend(tokens);
        })?;
    }
    Ok(message)
}

/// All that is stored of an answer's text.
pub(crate) fn text_so_far(
    connection: &Connection,
    answer: MessageSeq,
) -> Result<Growth, StoreError> {
    let mut whole = connection.query_row(
        "SELECT text, thinking, tokens FROM messages WHERE seq = ?1",
        [answer],
        |row| {
            let (text, thinking) = (row.get(0)?, row.get(1)?);
            Ok(Growth { at: Ends::default(), text, thinking, tokens: tokens(row, 2)? })
        },
    )?;
    add_parts(connection, answer, |text, thinking, tokens| {
        whole.text.push_str(text);
        whole.thinking.push_str(thinking);
        whole.tokens.extend(tokens);
    })?;
    Ok(whole)
}

fn add_parts(
    connection: &Connection,
    answer: MessageSeq,
    mut add: impl FnMut(&str, &str, Vec<u32>),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT text, thinking, tokens FROM parts WHERE answer = ?1 ORDER BY part",
    )?;
    let mut rows = statement.query([answer])?;
    while let Some(row) = rows.next()? {
        let text = |column| -> rusqlite::Result<String> { row.get(column) };
        add(&text(0)?, &text(1)?, tokens(row, 2)?);
    }
    Ok(())
}
