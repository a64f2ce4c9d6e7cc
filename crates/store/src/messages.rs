//! Reading a conversation's messages, and deleting them.

use rusqlite::{Connection, params};

use crate::asking::newest_below;
use crate::config::Limits;
use crate::ids::{ConversationId, ConversationNumber, MessageId, MessageSeq, UserId};
use crate::message::{Conversation, Message, Role, Tree};
use crate::reply::Reply;
use crate::rows::{self, find_conversation, find_message};
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

/// A user's message that was deleted with its answers, and what is left.
#[derive(Clone, Debug, PartialEq)]
pub struct DeletedPair {
    /// The conversation as it is now.
    pub conversation: Conversation,
    /// The user's message, and then its answers.
    pub messages: Vec<MessageId>,
    /// The message before the user's message, after which comes now what followed the answers.
    pub parent: Option<MessageId>,
}

/// A message and all that follows it, parents first.
const SUBTREE: &str = "WITH RECURSIVE subtree (seq) AS (
  SELECT ?1 UNION ALL
  SELECT m.seq FROM messages m JOIN subtree s ON m.parent = s.seq
) SELECT seq FROM subtree ORDER BY seq";

/// A user's message and its answers, parents first. In conversations of other programs an answer
/// may consist of several messages, one after another.
const PAIR: &str = "WITH RECURSIVE pair (seq) AS (
  SELECT ?1 UNION ALL
  SELECT m.seq FROM messages m JOIN pair p ON m.parent = p.seq WHERE m.role = 'assistant'
) SELECT seq FROM pair ORDER BY seq";

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
            let doomed = doomed(writing.connection, (SUBTREE, known.seq))?;
            delete(writing, (user, conversation.number), (known.parent, doomed))?;
            find_conversation(writing.connection, user, id)
        })
    }

    /// Deletes a user's message and all its answers. No byte of their text is left then.
    ///
    /// What followed the answers is kept and follows the message's parent from then on. If the
    /// current branch ended at one of the answers, it ends at the newest message beside or before
    /// the deleted ones.
    ///
    /// # Errors
    /// [`StoreError::NotAUserMessage`] if the message is an answer.
    pub fn delete_pair(
        &self,
        user: UserId,
        id: ConversationId,
        message: MessageId,
    ) -> Reply<DeletedPair> {
        self.write(move |writing| delete_pair(writing, user, (id, message)))
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

fn delete_pair(
    writing: &Writing<'_>,
    user: UserId,
    (id, message): (ConversationId, MessageId),
) -> Result<DeletedPair, StoreError> {
    let connection = writing.connection;
    let number = find_conversation(connection, user, id)?.number;
    let known = find_message(connection, number, message)?;
    if known.role != Role::User {
        return Err(StoreError::NotAUserMessage);
    }
    let doomed = doomed(connection, (PAIR, known.seq))?;
    let messages = doomed.iter().map(|seq| id_of(connection, *seq)).collect::<Result<_, _>>()?;
    let parent = known.parent.map(|seq| id_of(connection, seq)).transpose()?;
    // The new parent is older than the one before, so it stays older than its children.
    let mut adopt = connection
        .prepare_cached("UPDATE messages SET parent = ?2 WHERE parent = ?1 AND role = 'user'")?;
    for message in &doomed {
        adopt.execute(params![message, known.parent])?;
    }
    delete(writing, (user, number), (known.parent, doomed))?;
    let conversation = find_conversation(connection, user, id)?;
    Ok(DeletedPair { conversation, messages, parent })
}

/// The messages that a deletion of this one takes.
fn doomed(
    connection: &Connection,
    (extent, root): (&str, MessageSeq),
) -> Result<Vec<MessageSeq>, StoreError> {
    let mut statement = connection.prepare_cached(extent)?;
    let doomed = statement.query_map([root], |row| row.get(0))?;
    Ok(doomed.collect::<Result<_, _>>()?)
}

fn id_of(connection: &Connection, message: MessageSeq) -> Result<MessageId, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id FROM messages WHERE seq = ?1")?;
    Ok(statement.query_row([message], |row| row.get(0))?)
}

/// Deletes messages that nothing else follows, parents first. `parent` is the one before them.
fn delete(
    writing: &Writing<'_>,
    (user, conversation): (UserId, ConversationNumber),
    (parent, doomed): (Option<MessageSeq>, Vec<MessageSeq>),
) -> Result<(), StoreError> {
    let connection = writing.connection;
    let leaf: Option<MessageSeq> = connection.query_row(
        "SELECT leaf FROM conversations WHERE number = ?1",
        [conversation],
        |row| row.get(0),
    )?;
    let mut delete = connection.prepare_cached("DELETE FROM messages WHERE seq = ?1")?;
    for message in doomed.iter().rev() {
        index::remove_message(writing, (user, *message))?;
        delete.execute([message])?;
    }
    let leaf = match leaf {
        Some(leaf) if doomed.contains(&leaf) => leaf_beside(connection, conversation, parent)?,
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
