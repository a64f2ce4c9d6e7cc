//! Asking: a user's message and an empty answer to it, or one more answer, or more of one.

use rusqlite::{Connection, OptionalExtension, params};

use crate::answers::by_seq;
use crate::config::{Limits, check_bytes};
use crate::conversations::{self, NewConversation, check_parameters};
use crate::ids::{ConversationId, ConversationNumber, MessageId, MessageSeq, UserId};
use crate::message::{Conversation, Message, Parameters, Role, State};
use crate::reply::Reply;
use crate::rows::{Known, find_conversation, find_message, to_json};
use crate::search::index;
use crate::writer::Writing;
use crate::{Store, StoreError};

/// A question to be stored together with the answer that is going to be written.
#[derive(Clone, Debug)]
pub struct Ask {
    /// In which conversation.
    pub target: Target,
    /// The user's message; `None` for another answer to a message that is there.
    pub text: Option<String>,
    /// Identifies the request: a repetition stores nothing and gets the first one's result.
    pub client_id: String,
    /// How the answer is going to be made.
    pub how: How,
}

/// The conversation in which is asked, and the place in it.
#[derive(Clone, Debug)]
pub enum Target {
    /// A new conversation.
    New(NewConversation),
    /// One that exists.
    Existing(ConversationId, Position),
}

/// Where new messages come in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// After the last message of the current branch.
    AtLeaf,
    /// After this message.
    After(MessageId),
    /// At the beginning: a new first message.
    First,
    /// Beside this message, as a new branch. An edited message comes beside the user's message that
    /// it replaces, another answer beside the answer.
    Beside(MessageId),
}

/// How an answer is going to be made.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// The name of the model.
    pub model: Option<String>,
    /// The parameters of the request.
    pub parameters: Option<Parameters>,
    /// The seed, if it is known already.
    pub seed: Option<u64>,
}

/// A request to go on with an answer that ended too early.
#[derive(Clone, Debug)]
pub struct Continue {
    /// The conversation.
    pub conversation: ConversationId,
    /// The answer.
    pub answer: MessageId,
    /// As in [`Ask::client_id`].
    pub client_id: String,
    /// How the rest is going to be made; what is `None` stays as it was.
    pub how: How,
}

/// What was stored for a question, or when it was asked for the first time.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The conversation, with the answer as its leaf.
    pub conversation: Conversation,
    /// The user's message, if one was added.
    pub message: Option<Message>,
    /// The answer.
    pub answer: Message,
    /// Whether the request is a repetition.
    pub duplicate: bool,
}

impl Store {
    /// Stores a user's message and an empty answer to it, or only the answer, in one transaction.
    ///
    /// The reply comes when both are durable. If the same user has used the `client_id` before,
    /// nothing is stored, and the first result is returned as it is now, marked as a duplicate.
    pub fn ask(&self, user: UserId, ask: Ask) -> Reply<Asked> {
        self.write(move |writing| self::ask(writing, user, &ask))
    }

    /// Lets an answer go on that ended too early. Its text only grows.
    pub fn continue_answer(&self, user: UserId, request: Continue) -> Reply<Asked> {
        self.write(move |writing| continue_answer(writing, user, &request))
    }
}

fn ask(writing: &Writing<'_>, user: UserId, ask: &Ask) -> Result<Asked, StoreError> {
    if let Some(first) = first_result(writing, user, &ask.client_id)? {
        return Ok(first);
    }
    check_how(writing.limits, &ask.how)?;
    if let Some(text) = &ask.text {
        check_bytes("text", text, writing.limits.text_bytes)?;
    }
    let (conversation, parent) = match &ask.target {
        Target::New(new) if ask.text.is_some() => {
            (conversations::create(writing, user, new)?.number, None)
        }
        // An answer to nothing.
        Target::New(_) => return Err(StoreError::UnknownMessage),
        Target::Existing(id, position) => {
            let conversation = find_conversation(writing.connection, user, *id)?;
            let parent = parent(writing, &conversation, (*position, ask.text.is_some()))?;
            (conversation.number, parent)
        }
    };
    check_room(writing, conversation, if ask.text.is_some() { 2 } else { 1 })?;
    let message = match &ask.text {
        Some(text) => Some(add_message(writing, (user, conversation), (parent, text))?),
        None => None,
    };
    let answer = add_answer(writing, conversation, (message.or(parent), &ask.how))?;
    set_leaf(writing, conversation, answer)?;
    remember(writing, (user, &ask.client_id), (message, answer))?;
    result(writing, user, (message, answer))
}

/// The message after which the new ones come.
fn parent(
    writing: &Writing<'_>,
    conversation: &Conversation,
    (position, has_message): (Position, bool),
) -> Result<Option<MessageSeq>, StoreError> {
    let find = |id| find_message(writing.connection, conversation.number, id);
    let parent = match position {
        Position::First => None,
        Position::AtLeaf => conversation.leaf.map(find).transpose()?,
        Position::After(id) => {
            let known = find(id)?;
            if has_message && known.role == Role::User {
                return Err(StoreError::NotAnAnswer);
            }
            Some(known)
        }
        Position::Beside(id) => {
            let beside = find(id)?;
            match (has_message, beside.role) {
                (true, Role::Assistant) => return Err(StoreError::NotAUserMessage),
                (false, Role::User) => return Err(StoreError::NotAnAnswer),
                (false, Role::Assistant) if beside.state.is_running() => {
                    return Err(StoreError::AnswerRunning);
                }
                _ => {}
            }
            return Ok(beside.parent);
        }
    };
    match parent {
        // What would the model be told?
        Some(parent) if parent.state.is_running() => Err(StoreError::AnswerRunning),
        Some(Known { role: Role::Assistant, .. }) if !has_message => {
            Err(StoreError::NotAUserMessage)
        }
        None if !has_message => Err(StoreError::UnknownMessage),
        parent => Ok(parent.map(|parent| parent.seq)),
    }
}

fn check_how(limits: &Limits, how: &How) -> Result<(), StoreError> {
    if let Some(model) = &how.model {
        check_bytes("model", model, limits.name_bytes)?;
    }
    check_parameters(limits, how.parameters.as_ref())
}

/// Checks that a conversation may have this many more messages.
pub(crate) fn check_room(
    writing: &Writing<'_>,
    conversation: ConversationNumber,
    more: usize,
) -> Result<(), StoreError> {
    let count: i64 = writing
        .connection
        .prepare_cached("SELECT count(*) FROM messages WHERE conversation = ?1")?
        .query_row([conversation], |row| row.get(0))?;
    let limit = writing.limits.conversation_messages;
    match usize::try_from(count).is_ok_and(|count| count.saturating_add(more) <= limit) {
        true => Ok(()),
        false => Err(StoreError::TooMany { what: "messages in the conversation", limit }),
    }
}

fn add_message(
    writing: &Writing<'_>,
    (user, conversation): (UserId, ConversationNumber),
    (parent, text): (Option<MessageSeq>, &str),
) -> Result<MessageSeq, StoreError> {
    writing
        .connection
        .prepare_cached(
            "INSERT INTO messages
               (id, conversation, parent, role, state, text, thinking, tokens, created_ms)
             VALUES (?1, ?2, ?3, 'user', 'complete', ?4, '', x'', ?5)",
        )?
        .execute(params![MessageId::random(), conversation, parent, text, writing.now_ms])?;
    let seq = MessageSeq(writing.connection.last_insert_rowid());
    index::add_message(writing, (user, seq), text)?;
    Ok(seq)
}

fn add_answer(
    writing: &Writing<'_>,
    conversation: ConversationNumber,
    (parent, how): (Option<MessageSeq>, &How),
) -> Result<MessageSeq, StoreError> {
    writing
        .connection
        .prepare_cached(
            "INSERT INTO messages (id, conversation, parent, role, state, text, thinking, tokens,
                                   model, parameters, seed, created_ms)
             VALUES (?1, ?2, ?3, 'assistant', 'waiting', '', '', x'', ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            MessageId::random(),
            conversation,
            parent,
            how.model,
            to_json(how.parameters.as_ref()),
            how.seed.map(u64::cast_signed),
            writing.now_ms,
        ])?;
    Ok(MessageSeq(writing.connection.last_insert_rowid()))
}

/// Makes a message the end of the current branch, and its conversation the first of the list.
fn set_leaf(
    writing: &Writing<'_>,
    conversation: ConversationNumber,
    leaf: MessageSeq,
) -> Result<(), StoreError> {
    writing
        .connection
        .prepare_cached(
            "UPDATE conversations SET leaf = ?2, updated_ms = ?3,
               touched = 1 + (SELECT max(touched) FROM conversations)
             WHERE number = ?1",
        )?
        .execute(params![conversation, leaf, writing.now_ms])?;
    Ok(())
}

fn remember(
    writing: &Writing<'_>,
    (user, client_id): (UserId, &str),
    (message, answer): (Option<MessageSeq>, MessageSeq),
) -> Result<(), StoreError> {
    writing
        .connection
        .prepare_cached(
            "INSERT INTO requests (user, client_id, message, answer) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![user, client_id, message, answer])?;
    Ok(())
}

/// What a request with this client id has stored, if there was one.
fn first_result(
    writing: &Writing<'_>,
    user: UserId,
    client_id: &str,
) -> Result<Option<Asked>, StoreError> {
    check_bytes("client_id", client_id, writing.limits.client_id_bytes)?;
    if client_id.is_empty() {
        let (expected, found) = ("at least one byte", "none".into());
        return Err(StoreError::Invalid { field: "client_id", expected, found });
    }
    let found = writing
        .connection
        .prepare_cached("SELECT message, answer FROM requests WHERE user = ?1 AND client_id = ?2")?
        .query_row((user, client_id), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some(found) = found else { return Ok(None) };
    Ok(Some(Asked { duplicate: true, ..result(writing, user, found)? }))
}

fn result(
    writing: &Writing<'_>,
    user: UserId,
    (message, answer): (Option<MessageSeq>, MessageSeq),
) -> Result<Asked, StoreError> {
    let connection = writing.connection;
    let conversation: ConversationId = connection
        .prepare_cached(
            "SELECT c.id FROM messages m JOIN conversations c ON c.number = m.conversation
             WHERE m.seq = ?1",
        )?
        .query_row([answer], |row| row.get(0))?;
    Ok(Asked {
        conversation: find_conversation(connection, user, conversation)?,
        message: message.map(|seq| by_seq(connection, seq)).transpose()?,
        answer: by_seq(connection, answer)?,
        duplicate: false,
    })
}

fn continue_answer(
    writing: &Writing<'_>,
    user: UserId,
    request: &Continue,
) -> Result<Asked, StoreError> {
    if let Some(first) = first_result(writing, user, &request.client_id)? {
        return Ok(first);
    }
    check_how(writing.limits, &request.how)?;
    let connection = writing.connection;
    let conversation = find_conversation(connection, user, request.conversation)?;
    let known = find_message(connection, conversation.number, request.answer)?;
    if known.role != Role::Assistant {
        return Err(StoreError::NotAnAnswer);
    }
    match known.state {
        State::Waiting | State::Writing => return Err(StoreError::AnswerRunning),
        State::Complete => return Err(StoreError::CannotContinue { state: known.state }),
        State::Length | State::Stopped | State::Interrupted | State::Failed => {}
    }
    index::remove_message(writing, (user, known.seq))?;
    reopen(writing, known.seq, &request.how)?;
    set_leaf(writing, conversation.number, newest_below(connection, known.seq)?)?;
    remember(writing, (user, &request.client_id), (None, known.seq))?;
    result(writing, user, (None, known.seq))
}

fn reopen(writing: &Writing<'_>, answer: MessageSeq, how: &How) -> Result<(), StoreError> {
    writing
        .connection
        .prepare_cached(
            "UPDATE messages SET state = 'waiting', reason = NULL, error_code = NULL,
               error_message = NULL, usage = NULL, timings = NULL, model = coalesce(?2, model),
               parameters = coalesce(?3, parameters), seed = coalesce(?4, seed)
             WHERE seq = ?1",
        )?
        .execute(params![
            answer,
            how.model,
            to_json(how.parameters.as_ref()),
            how.seed.map(u64::cast_signed),
        ])?;
    Ok(())
}

/// The end of the branch that goes on from a message with the newest message each time.
pub(crate) fn newest_below(
    connection: &Connection,
    message: MessageSeq,
) -> Result<MessageSeq, StoreError> {
    let mut newest_child =
        connection.prepare_cached("SELECT max(seq) FROM messages WHERE parent = ?1")?;
    let mut leaf = message;
    while let Some(child) = newest_child.query_row([leaf], |row| row.get(0))? {
        leaf = child;
    }
    Ok(leaf)
}
