//! Stores conversations from files.

use rusqlite::params;

use super::{ImportedConversation, ImportedMessage};
use crate::asking;
use crate::config::{Limits, check_bytes, check_count};
use crate::conversations::{self, NewConversation, check_parameters};
use crate::growth::tokens_to_bytes;
use crate::ids::{ConversationNumber, MessageId, MessageSeq, UserId};
use crate::message::{Conversation, Parameters, Reason, Role, State};
use crate::reply::Reply;
use crate::rows::{find_conversation, to_json};
use crate::search::index;
use crate::writer::Writing;
use crate::{Store, StoreError};

impl Store {
    /// Stores a conversation from a file, in one transaction. It and its messages get new ids. An
    /// answer that was being written is interrupted.
    ///
    /// A long conversation is not found by a search until [`Store::show_in_search`] has been called
    /// for it until nothing is left to do.
    pub fn import_conversation(
        &self,
        user: UserId,
        imported: ImportedConversation,
    ) -> Reply<Conversation> {
        self.write(move |writing| store(writing, user, &imported))
    }
}

fn store(
    writing: &Writing<'_>,
    user: UserId,
    imported: &ImportedConversation,
) -> Result<Conversation, StoreError> {
    // A title that is too long is no reason to leave a conversation out.
    let title = index::first_bytes(&imported.title, writing.limits.title_bytes);
    let new = NewConversation {
        title: Some((title.to_owned(), imported.title_source)),
        system: imported.system.clone(),
        parameters: parameters(writing.limits, imported.parameters.as_deref())?,
    };
    let made = conversations::create(writing, user, &new)?;
    asking::check_room(writing, made.number, imported.messages.len())?;
    let bytes: usize = imported.messages.iter().map(|message| message.text.len()).sum();
    let is_long = bytes > index::PART_BYTES;
    let mut seqs: Vec<MessageSeq> = Vec::with_capacity(imported.messages.len());
    for message in &imported.messages {
        check(writing.limits, message)?;
        let parent = message.parent.map(|parent| stored(&seqs, parent)).transpose()?;
        let parameters = parameters(writing.limits, message.parameters.as_deref())?;
        let seq = add(writing, made.number, (parent, message, parameters))?;
        match is_long {
            true => index::put_off(writing, seq)?,
            false => index::add_message(writing, (user, seq), &message.text)?,
        }
        seqs.push(seq);
    }
    let leaf = imported.leaf.map(|leaf| stored(&seqs, leaf)).transpose()?;
    let time = |ms: Option<u64>| ms.and_then(|ms| i64::try_from(ms).ok());
    writing.connection.execute(
        "UPDATE conversations SET leaf = ?2, pinned = ?3, archived = ?4,
           created_ms = coalesce(?5, created_ms), updated_ms = coalesce(?6, updated_ms)
         WHERE number = ?1",
        params![
            made.number,
            leaf,
            imported.pinned,
            imported.archived,
            time(imported.created_ms),
            time(imported.updated_ms),
        ],
    )?;
    find_conversation(writing.connection, user, made.id)
}

fn stored(seqs: &[MessageSeq], index: usize) -> Result<MessageSeq, StoreError> {
    seqs.get(index).copied().ok_or(StoreError::UnknownMessage)
}

fn check(limits: &Limits, message: &ImportedMessage) -> Result<(), StoreError> {
    check_bytes("text", &message.text, limits.answer_bytes)?;
    check_bytes("thinking", &message.thinking, limits.answer_bytes)?;
    check_count("tokens", message.tokens.len(), (limits.answer_tokens, "tokens"))?;
    if let Some(model) = &message.model {
        check_bytes("model", model, limits.name_bytes)?;
    }
    if let Some(error) = &message.error {
        check_bytes("error code", &error.code, limits.name_bytes)?;
        check_bytes("error message", &error.message, limits.error_bytes)?;
    }
    Ok(())
}

/// Reads parameters, and checks their length.
fn parameters(limits: &Limits, text: Option<&str>) -> Result<Option<Parameters>, StoreError> {
    let Some(text) = text else { return Ok(None) };
    check_bytes("parameters", text, limits.parameters_bytes)?;
    let parameters = serde_json::from_str(text).map_err(|error| StoreError::Invalid {
        field: "parameters",
        expected: "an object of JSON",
        found: format!("something else, at column {}", error.column()),
    })?;
    check_parameters(limits, Some(&parameters))?;
    Ok(Some(parameters))
}

/// The state in which a message is stored. Nobody goes on with an answer that was being written.
fn state(message: &ImportedMessage) -> State {
    if message.state.is_running() { State::Interrupted } else { message.state }
}

/// Why a message ended. Every finished answer has a reason, because clients wait for it; files of
/// other programs have none.
fn reason(message: &ImportedMessage) -> Option<Reason> {
    if message.role == Role::User {
        return message.reason;
    }
    match (message.state, message.reason) {
        // As for the answers that a process leaves behind.
        (State::Waiting | State::Writing, _) => Some(Reason::Crashed),
        (_, Some(reason)) => Some(reason),
        (State::Complete, None) => Some(Reason::End),
        (State::Length, None) => Some(Reason::Length),
        (State::Stopped, None) => Some(Reason::Stopped),
        (State::Interrupted, None) => Some(Reason::Crashed),
        (State::Failed, None) => Some(Reason::Failed),
    }
}

fn add(
    writing: &Writing<'_>,
    conversation: ConversationNumber,
    (parent, message, parameters): (Option<MessageSeq>, &ImportedMessage, Option<Parameters>),
) -> Result<MessageSeq, StoreError> {
    let state = state(message);
    let error = message.error.as_ref();
    let created_ms = message.created_ms.and_then(|ms| i64::try_from(ms).ok());
    writing
        .connection
        .prepare_cached(
            "INSERT INTO messages (id, conversation, parent, role, state, text, thinking, tokens,
               model, parameters, seed, reason, error_code, error_message, usage, timings,
               created_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )?
        .execute(params![
            MessageId::random(),
            conversation,
            parent,
            message.role,
            state,
            message.text,
            message.thinking,
            tokens_to_bytes(&message.tokens),
            message.model,
            to_json(parameters.as_ref()),
            message.seed.map(u64::cast_signed),
            reason(message),
            error.map(|error| &error.code),
            error.map(|error| &error.message),
            to_json(message.usage.as_ref()),
            to_json(message.timings.as_ref()),
            created_ms.unwrap_or(writing.now_ms),
        ])?;
    Ok(MessageSeq(writing.connection.last_insert_rowid()))
}
