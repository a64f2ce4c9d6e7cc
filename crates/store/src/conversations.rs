//! Making, listing, changing and deleting conversations.

use std::fmt;
use std::str::FromStr;

use rusqlite::{Connection, params};

use crate::asking::newest_below;
use crate::config::{Limits, check_bytes};
use crate::ids::{ConversationId, ConversationNumber, MessageId, MessageSeq, UserId};
use crate::message::{Conversation, Parameters, TitleSource};
use crate::reply::Reply;
use crate::rows::{self, SELECT_CONVERSATION, find_conversation, find_message, to_json};
use crate::search::index;
use crate::writer::Writing;
use crate::{Store, StoreError};

/// What a conversation begins with.
#[derive(Clone, Debug, Default)]
pub struct NewConversation {
    /// Its title and where that comes from.
    pub title: Option<(String, TitleSource)>,
    /// Its system prompt.
    pub system: Option<String>,
    /// Its parameters.
    pub parameters: Option<Parameters>,
}

/// A change of a conversation; what is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct ConversationChange {
    /// Its title and where that comes from. A title does not replace one from a better source.
    pub title: Option<(String, TitleSource)>,
    /// Whether it is pinned.
    pub pinned: Option<bool>,
    /// Whether it is archived.
    pub archived: Option<bool>,
    /// Its system prompt; `Some(None)` removes it.
    pub system: Option<Option<String>>,
    /// Its parameters; `Some(None)` removes them.
    pub parameters: Option<Option<Parameters>>,
    /// The branch of this message becomes the current one, down to its newest end.
    pub leaf: Option<MessageId>,
}

/// Which conversations are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListQuery {
    /// Only what comes after this place in the list.
    pub after: Option<ListCursor>,
    /// At most this many; the store's limit holds as well.
    pub limit: usize,
    /// Whether archived ones are listed.
    pub archived: Archived,
}

/// Whether archived conversations are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Archived {
    /// Only those that are not archived.
    #[default]
    Without,
    /// Only those that are archived.
    Only,
    /// Both.
    With,
}

/// A place in the list of conversations, for the next page. Clients get it as a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListCursor {
    pinned: bool,
    touched: i64,
}

impl fmt::Display for ListCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.pinned { 'p' } else { 'n' }, self.touched)
    }
}

/// A text is no place in the list of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the cursor of a page before")]
pub struct BadCursor;

impl FromStr for ListCursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let pinned = match text.bytes().next() {
            Some(b'p') => true,
            Some(b'n') => false,
            _ => return Err(BadCursor),
        };
        let touched: u32 = text[1..].parse().map_err(|_| BadCursor)?;
        Ok(Self { pinned, touched: touched.into() })
    }
}

/// A page of the list of conversations: pinned ones first, then the newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversationPage {
    /// The conversations.
    pub conversations: Vec<Conversation>,
    /// Where the next page begins; `None` if there is none.
    pub next: Option<ListCursor>,
}

impl Store {
    /// Makes a conversation without messages.
    pub fn create_conversation(&self, user: UserId, new: NewConversation) -> Reply<Conversation> {
        self.write(move |writing| create(writing, user, &new))
    }

    /// Lists conversations: pinned ones first, then those with the newest message first.
    pub fn list_conversations(&self, user: UserId, query: ListQuery) -> Reply<ConversationPage> {
        self.read(move |reading| list(reading.connection, user, (query, reading.limits)))
    }

    /// The ids of all conversations of a user, in the order of the list. Archived ones are among
    /// them.
    pub fn conversation_ids(&self, user: UserId) -> Reply<Vec<ConversationId>> {
        self.read(move |reading| {
            let mut statement = reading.connection.prepare_cached(
                "SELECT id FROM conversations WHERE user = ?1 ORDER BY pinned DESC, touched DESC",
            )?;
            let ids = statement.query_map([user], |row| row.get(0))?;
            Ok(ids.collect::<Result<_, _>>()?)
        })
    }

    /// A conversation without its messages.
    pub fn conversation(&self, user: UserId, id: ConversationId) -> Reply<Conversation> {
        self.read(move |reading| find_conversation(reading.connection, user, id))
    }

    /// Changes a conversation. Returns it as it is then.
    pub fn change_conversation(
        &self,
        user: UserId,
        id: ConversationId,
        change: ConversationChange,
    ) -> Reply<Conversation> {
        self.write(move |writing| self::change(writing, (user, id), &change))
    }

    /// Makes some messages of a conversation that was imported findable. Returns whether there are
    /// more.
    pub fn show_in_search(&self, user: UserId, id: ConversationId) -> Reply<bool> {
        self.write(move |writing| {
            let number = find_conversation(writing.connection, user, id)?.number;
            index::add_some(writing, (user, number))
        })
    }

    /// Takes some messages of a conversation out of the search, because it is going to be deleted.
    /// Returns whether there are more. For a long conversation this is most of the work, and
    /// nobody else can write during one call.
    pub fn hide_from_search(&self, user: UserId, id: ConversationId) -> Reply<bool> {
        self.write(move |writing| {
            let number = find_conversation(writing.connection, user, id)?.number;
            index::remove_some(writing, (user, number))
        })
    }

    /// Deletes a conversation with everything in it. When the reply comes, no byte of its text is
    /// left in the folder's files. Returns its number, by which the engine can forget it.
    ///
    /// Answers that are still being written are deleted as well: stop them first.
    pub fn delete_conversation(
        &self,
        user: UserId,
        id: ConversationId,
    ) -> Reply<ConversationNumber> {
        self.write(move |writing| {
            let number = find_conversation(writing.connection, user, id)?.number;
            delete(writing, user, number)?;
            Ok(number)
        })
    }

    /// Deletes all conversations of a user; the user stays. Returns their numbers.
    pub fn delete_all_conversations(&self, user: UserId) -> Reply<Vec<ConversationNumber>> {
        self.write(move |writing| delete_all(writing, user))
    }
}

pub(crate) fn check_parameters(
    limits: &Limits,
    parameters: Option<&Parameters>,
) -> Result<(), StoreError> {
    let Some(json) = to_json(parameters) else { return Ok(()) };
    check_bytes("parameters", &json, limits.parameters_bytes)
}

fn check_title(limits: &Limits, title: Option<&(String, TitleSource)>) -> Result<(), StoreError> {
    title.map_or(Ok(()), |(title, _)| check_bytes("title", title, limits.title_bytes))
}

fn check_system(limits: &Limits, system: Option<&String>) -> Result<(), StoreError> {
    system.map_or(Ok(()), |system| check_bytes("system", system, limits.system_bytes))
}

pub(crate) fn create(
    writing: &Writing<'_>,
    user: UserId,
    new: &NewConversation,
) -> Result<Conversation, StoreError> {
    check_title(writing.limits, new.title.as_ref())?;
    check_system(writing.limits, new.system.as_ref())?;
    check_parameters(writing.limits, new.parameters.as_ref())?;
    let connection = writing.connection;
    check_user(writing, user)?;
    let id = ConversationId::random();
    let (title, source) = match &new.title {
        Some((title, source)) => (title.as_str(), *source),
        None => ("", TitleSource::None),
    };
    connection
        .prepare_cached(
            "INSERT INTO conversations (id, user, title, title_source, system, parameters, touched,
                                        created_ms, updated_ms)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, 1 + coalesce(max(touched), 0), ?7, ?7
             FROM conversations",
        )?
        .execute(params![
            id,
            user,
            title,
            source,
            new.system,
            to_json(new.parameters.as_ref()),
            writing.now_ms,
        ])?;
    let number = ConversationNumber(connection.last_insert_rowid());
    index::add_title(writing, (user, number), title)?;
    find_conversation(connection, user, id)
}

/// Checks that the user exists and may have one more conversation.
fn check_user(writing: &Writing<'_>, user: UserId) -> Result<(), StoreError> {
    let count: Option<i64> = writing
        .connection
        .prepare_cached(
            "SELECT (SELECT count(*) FROM conversations WHERE user = ?1)
             WHERE EXISTS (SELECT 1 FROM users WHERE user = ?1)",
        )?
        .query_map([user], |row| row.get(0))?
        .next()
        .transpose()?;
    let count = count.ok_or(StoreError::UnknownUser)?;
    let limit = writing.limits.user_conversations;
    match usize::try_from(count).is_ok_and(|count| count < limit) {
        true => Ok(()),
        false => Err(StoreError::TooMany { what: "conversations", limit }),
    }
}

fn list(
    connection: &Connection,
    user: UserId,
    (query, limits): (ListQuery, &Limits),
) -> Result<ConversationPage, StoreError> {
    let limit = query.limit.clamp(1, limits.page_rows);
    let archived = match query.archived {
        Archived::Without => "c.archived = 0",
        Archived::Only => "c.archived = 1",
        Archived::With => "c.archived IN (0, 1)",
    };
    // Every place in the list comes after this one.
    let after = query.after.unwrap_or(ListCursor { pinned: true, touched: i64::MAX });
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT_CONVERSATION} WHERE c.user = ?1 AND {archived}
         AND (c.pinned, c.touched) < (?2, ?3) ORDER BY c.pinned DESC, c.touched DESC LIMIT ?4"
    ))?;
    let limit_and_one = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let parameters = params![user, after.pinned, after.touched, limit_and_one];
    let mut rows = statement.query(parameters)?;
    let mut page = ConversationPage { conversations: Vec::new(), next: None };
    let mut last = None;
    while let Some(row) = rows.next()? {
        if page.conversations.len() == limit {
            page.next = last;
            break;
        }
        let conversation = rows::conversation(row)?;
        last = Some(ListCursor { pinned: conversation.pinned, touched: row.get(11)? });
        page.conversations.push(conversation);
    }
    Ok(page)
}

fn change(
    writing: &Writing<'_>,
    (user, id): (UserId, ConversationId),
    change: &ConversationChange,
) -> Result<Conversation, StoreError> {
    let limits = writing.limits;
    let system = change.system.as_ref();
    let parameters = change.parameters.as_ref();
    check_title(limits, change.title.as_ref())?;
    check_system(limits, system.and_then(Option::as_ref))?;
    check_parameters(limits, parameters.and_then(Option::as_ref))?;
    let connection = writing.connection;
    let old = find_conversation(connection, user, id)?;
    if let Some((title, source)) = &change.title
        && source.replaces(old.title_source)
    {
        set_title(writing, (user, &old), (title, *source))?;
    }
    let leaf = change.leaf.map(|leaf| -> Result<_, StoreError> {
        let known = find_message(connection, old.number, leaf)?;
        newest_below(connection, known.seq)
    });
    connection
        .prepare_cached(
            "UPDATE conversations SET
               pinned = coalesce(?2, pinned), archived = coalesce(?3, archived),
               system = iif(?4, ?5, system), parameters = iif(?6, ?7, parameters),
               leaf = coalesce(?8, leaf), updated_ms = ?9
             WHERE number = ?1",
        )?
        .execute(params![
            old.number,
            change.pinned,
            change.archived,
            system.is_some(),
            system.and_then(Option::as_ref),
            parameters.is_some(),
            to_json(parameters.and_then(Option::as_ref)),
            leaf.transpose()?,
            writing.now_ms,
        ])?;
    find_conversation(connection, user, id)
}

fn set_title(
    writing: &Writing<'_>,
    (user, old): (UserId, &Conversation),
    (title, source): (&str, TitleSource),
) -> Result<(), StoreError> {
    index::remove_title(writing, (user, old.number), &old.title)?;
    index::add_title(writing, (user, old.number), title)?;
    writing
        .connection
        .prepare_cached("UPDATE conversations SET title = ?2, title_source = ?3 WHERE number = ?1")?
        .execute(params![old.number, title, source])?;
    Ok(())
}

pub(crate) fn delete(
    writing: &Writing<'_>,
    user: UserId,
    number: ConversationNumber,
) -> Result<(), StoreError> {
    let connection = writing.connection;
    let title: String = connection.query_row(
        "SELECT title FROM conversations WHERE number = ?1",
        [number],
        |row| row.get(0),
    )?;
    index::remove_title(writing, (user, number), &title)?;
    let messages: Vec<MessageSeq> = connection
        .prepare_cached("SELECT seq FROM messages WHERE conversation = ?1")?
        .query_map([number], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for message in &messages {
        index::remove_message(writing, (user, *message))?;
    }
    connection.execute("UPDATE conversations SET leaf = NULL WHERE number = ?1", [number])?;
    connection.execute("DELETE FROM messages WHERE conversation = ?1", [number])?;
    connection.execute("DELETE FROM conversations WHERE number = ?1", [number])?;
    writing.erase(messages);
    Ok(())
}

pub(crate) fn delete_all(
    writing: &Writing<'_>,
    user: UserId,
) -> Result<Vec<ConversationNumber>, StoreError> {
    let numbers: Vec<ConversationNumber> = writing
        .connection
        .prepare_cached("SELECT number FROM conversations WHERE user = ?1 ORDER BY number")?
        .query_map([user], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for number in &numbers {
        delete(writing, user, *number)?;
    }
    Ok(numbers)
}
