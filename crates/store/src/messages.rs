//! Reading a conversation's messages, and deleting them.

use rusqlite::{Connection, params};

use crate::asking::newest_below;
use crate::config::Limits;
use crate::ids::{ConversationId, ConversationNumber, MessageId, MessageSeq, UserId};
use crate::message::{Conversation, Message, Role, Tree};
use crate::reply::Reply;
use crate::rows::{self, Known, find_conversation, find_message};
use crate::search::index;
use crate::writer::Writing;
use crate::{Store, StoreError};

/// A conversation, and some of its messages in the order in which they were stored.
#[derive(Clone, Debug, PartialEq)]
pub struct MessagePage {
    /// The conversation.
    pub conversation: Conversation,
    /// The messages.
    pub messages: Vec<Message>,
    /// Whether there are more after them.
    pub more: bool,
}

/// The messages of a subtree, of which the root was deleted.
///
/// All of its messages come after the root. Columns: `seq`.
const SUBTREE: &str = "WITH RECURSIVE subtree (seq) AS (
  SELECT ?1 UNION ALL
  SELECT m.seq FROM messages m JOIN subtree s ON m.parent = s.seq
)";

impl Store {
    /// A conversation with all of its messages.
    pub fn tree(&self, user: UserId, id: ConversationId) -> Reply<Tree> {
        self.read(move |reading| {
            let conversation = find_conversation(reading.connection, user, id)?;
            let condition = "WHERE m.conversation = ?1 ORDER BY m.seq";
            let messages = rows::messages(reading.connection, (condition, [conversation.number]))?;
            Ok(Tree { conversation, messages })
        })
    }

    /// A page of a conversation's messages: those stored after `after`, oldest first, as many as
    /// the limits of a page allow.
    pub fn messages_after(
        &self,
        user: UserId,
        id: ConversationId,
        after: Option<MessageSeq>,
    ) -> Reply<MessagePage> {
        self.read(move |reading| {
            let conversation = find_conversation(reading.connection, user, id)?;
            page(reading.connection, (conversation, after), reading.limits)
        })
    }

    /// The messages from the root of a branch to `message`: what the model is told.
    pub fn path(
        &self,
        user: UserId,
        id: ConversationId,
        message: MessageId,
    ) -> Reply<Vec<Message>> {
        self.read(move |reading| {
            let number = find_conversation(reading.connection, user, id)?.number;
            let known = find_message(reading.connection, number, message)?;
            path(reading.connection, known.seq)
        })
    }

    /// One message of a conversation.
    pub fn message(&self, user: UserId, id: ConversationId, message: MessageId) -> Reply<Message> {
        self.read(move |reading| {
            let number = find_conversation(reading.connection, user, id)?.number;
            let known = find_message(reading.connection, number, message)?;
            let mut found = rows::messages(reading.connection, ("WHERE m.seq = ?1", [known.seq]))?;
            found.pop().ok_or(StoreError::UnknownMessage)
        })
    }

    /// Where an answer is: its conversation and itself, with what is durable of it. For a client
    /// that knows only the answer's id.
    pub fn find_answer(&self, user: UserId, answer: MessageId) -> Reply<(Conversation, Message)> {
        self.read(move |reading| find_answer(reading.connection, user, answer))
    }

    /// Deletes a message and all that follows it. No byte of their text is left then. If the
    /// current branch ended there, it ends at the newest message beside or before it.
    pub fn delete_message(
        &self,
        user: UserId,
        id: ConversationId,
        message: MessageId,
    ) -> Reply<Conversation> {
        self.write(move |writing| {
            let conversation = find_conversation(writing.connection, user, id)?;
            let known = find_message(writing.connection, conversation.number, message)?;
            delete(writing, (user, conversation.number), known)?;
            find_conversation(writing.connection, user, id)
        })
    }
}

fn page(
    connection: &Connection,
    (conversation, after): (Conversation, Option<MessageSeq>),
    limits: &Limits,
) -> Result<MessagePage, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{} WHERE m.conversation = ?1 AND m.seq > ?2 ORDER BY m.seq",
        rows::SELECT_MESSAGE
    ))?;
    let after = after.map_or(0, |after| after.0);
    let mut found = statement.query(params![conversation.number, after])?;
    let mut page = MessagePage { conversation, messages: Vec::new(), more: false };
    let mut bytes = 0;
    while let Some(row) = found.next()? {
        let message = rows::with_parts(connection, rows::message(row)?)?;
        bytes += message.text.len() + message.thinking.len();
        let is_full = page.messages.len() >= limits.page_rows || bytes > limits.page_bytes;
        if is_full && !page.messages.is_empty() {
            page.more = true;
            break;
        }
        page.messages.push(message);
    }
    Ok(page)
}

fn path(connection: &Connection, message: MessageSeq) -> Result<Vec<Message>, StoreError> {
    // A parent is older than its children, so the order of `seq` is that of the path.
    let condition = "WHERE m.seq IN (
       WITH RECURSIVE path (seq) AS (
         SELECT ?1 UNION ALL
         SELECT m.parent FROM messages m JOIN path p ON m.seq = p.seq WHERE m.parent IS NOT NULL
       ) SELECT seq FROM path
     ) ORDER BY m.seq";
    rows::messages(connection, (condition, [message]))
}

fn find_answer(
    connection: &Connection,
    user: UserId,
    answer: MessageId,
) -> Result<(Conversation, Message), StoreError> {
    let mut found = rows::messages(connection, ("WHERE m.id = ?1", [answer]))?;
    let message = found.pop().ok_or(StoreError::UnknownMessage)?;
    let id: ConversationId = connection.query_row(
        "SELECT c.id FROM messages m JOIN conversations c ON c.number = m.conversation
         WHERE m.seq = ?1",
        [message.seq],
        |row| row.get(0),
    )?;
    // The message of another user is as unknown as none.
    let conversation = find_conversation(connection, user, id).map_err(|error| match error {
        StoreError::UnknownConversation => StoreError::UnknownMessage,
        other => other,
    })?;
    if message.role != Role::Assistant {
        return Err(StoreError::NotAnAnswer);
    }
    Ok((conversation, message))
}

fn delete(
    writing: &Writing<'_>,
    (user, conversation): (UserId, ConversationNumber),
    root: Known,
) -> Result<(), StoreError> {
    let connection = writing.connection;
    let doomed: Vec<MessageSeq> = connection
        .prepare_cached(&format!("{SUBTREE} SELECT seq FROM subtree"))?
        .query_map([root.seq], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for message in &doomed {
        index::remove_message(writing, (user, *message))?;
    }
    let leaf: Option<MessageSeq> = connection.query_row(
        "SELECT leaf FROM conversations WHERE number = ?1",
        [conversation],
        |row| row.get(0),
    )?;
    let delete = format!("{SUBTREE} DELETE FROM messages WHERE seq IN (SELECT seq FROM subtree)");
    connection.prepare_cached(&delete)?.execute([root.seq])?;
    let leaf = match leaf {
        Some(leaf) if doomed.contains(&leaf) => leaf_beside(connection, conversation, root.parent)?,
        other => other,
    };
    connection.execute(
        "UPDATE conversations SET leaf = ?2, updated_ms = ?3 WHERE number = ?1",
        params![conversation, leaf, writing.now_ms],
    )?;
    writing.erase(doomed);
    Ok(())
}

/// The end of the newest branch that goes on from `parent`, or of the newest one of all.
fn leaf_beside(
    connection: &Connection,
    conversation: ConversationNumber,
    parent: Option<MessageSeq>,
) -> Result<Option<MessageSeq>, StoreError> {
    let from = match parent {
        Some(parent) => Some(parent),
        None => connection.query_row(
            "SELECT max(seq) FROM messages WHERE conversation = ?1 AND parent IS NULL",
            [conversation],
            |row| row.get(0),
        )?,
    };
    from.map(|from| newest_below(connection, from)).transpose()
}
