//! The tokens of texts and conversations, without an answer.

use crate::backend::for_engine::{extras_for_engine, failure_of, messages_for_engine};
use banter_engine::engine::{Engine, Refusal};
use banter_engine::text::{self, TemplateExtras, TokenId};
use banter_seam::{Conversation, Failure, Fit, Message};
use std::slice::from_ref;

pub(super) fn numbers(tokens: Vec<TokenId>) -> Vec<u32> {
    tokens.into_iter().map(|token| token.0).collect()
}

/// The text that tokens spell.
///
/// Errors: an id has no token.
pub(super) fn spell(engine: &Engine, tokens: &[u32]) -> Result<String, Failure> {
    let tokens: Vec<TokenId> = tokens.iter().copied().map(TokenId).collect();
    let text = engine.text();
    match tokens.iter().position(|token| !text.has_token(*token)) {
        None => Ok(text.shown(&tokens)),
        Some(index) => Err(Failure::InvalidParameter {
            field: format!("tokens[{index}]"),
            expected: "the id of a token".into(),
            found: tokens[index].0.to_string(),
        }),
    }
}

/// The tokens of a whole conversation up to where the answer begins.
pub(super) fn prompt_tokens(
    engine: &Engine,
    conversation: Conversation,
) -> Result<Vec<u32>, Failure> {
    let Conversation { messages, tools, template_options, .. } = conversation;
    let extras = extras_for_engine(&tools, template_options);
    let tokens = engine.conversation_tokens(&messages_for_engine(messages), &extras);
    tokens.map(numbers).map_err(failure_of)
}

/// How many tokens of the context a conversation takes beside an answer of `max_tokens`.
pub(super) fn fit(
    engine: &Engine,
    messages: Vec<Message>,
    max_tokens: usize,
) -> Result<Fit, Failure> {
    let messages = messages_for_engine(messages);
    let prompt = engine
        .fit(&messages, &TemplateExtras::default(), Some(max_tokens))
        .map_err(|refusal| failure_beside(engine, refusal, without_system(&messages)))?;
    Ok(Fit {
        tokens: prompt.ids.len(),
        context_tokens: engine.info().room_tokens(),
        dropped_messages: prompt.dropped_messages,
    })
}

/// The newest message, if the conversation begins with a system message.
pub(super) fn without_system(messages: &[text::Message]) -> Option<text::Message> {
    let (first, newest) = (messages.first()?, messages.last()?);
    (first.role == text::Role::System && messages.len() > 1).then(|| newest.clone())
}

/// What the client is told. `newest` is the newest message, if a system message is before it.
pub(super) fn failure_beside(
    engine: &Engine,
    refusal: Refusal,
    newest: Option<text::Message>,
) -> Failure {
    match (refusal, newest) {
        (Refusal::TooLong { tokens, limit }, Some(newest))
            if engine.fit(from_ref(&newest), &TemplateExtras::default(), None).is_ok() =>
        {
            Failure::TooLongWithSystem { tokens, limit }
        }
        (refusal, _) => failure_of(refusal),
    }
}
