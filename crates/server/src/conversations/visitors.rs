//! Visitors of other sites' pages: what the operator has chosen for them, and they may not.
//!
//! A visitor has no system prompt and no parameters of their own: a page that anybody can open
//! must not be a way to use the model for something else. The operator's system prompt is a part of
//! the key and not of the conversation, because clients are told all of a conversation.

use super::asking::{MessagePlace, Request, What};
use super::state::{Conversations, Owner};
use crate::access::Made;
use banter_protocol::v1::{ErrorCode, V1Error};
use banter_seam::Failure;
use banter_store::{Conversation, SecretHash};
use std::sync::Arc;

impl Conversations {
    /// Refuses what a visitor may not choose.
    ///
    /// Errors: `invalid_parameter`, or `unauthorized` if the visitor's key lets in no more.
    pub(super) fn check_visitor(&self, owner: Owner, request: &Request) -> Result<(), V1Error> {
        let Some(key) = owner.visits_with else { return Ok(()) };
        self.key_of_visitor(key)?;
        let brings_system = matches!(
            &request.what,
            What::Message { place: MessagePlace::NewConversation { system: Some(_) }, .. }
        );
        let wrong = [
            ("system", brings_system, "a text"),
            ("parameters", !request.parameters.is_empty(), "some"),
        ];
        match wrong.into_iter().find(|(_, is_wrong, _)| *is_wrong) {
            Some((field, _, found)) => Err(refused(field, found)),
            None => Ok(()),
        }
    }

    /// The system prompt of a conversation: that of the visitor's key, or else its own.
    ///
    /// Errors: the visitor's key lets in no more.
    pub(super) fn system_prompt(
        &self,
        owner: Owner,
        conversation: &Conversation,
    ) -> Result<Option<String>, V1Error> {
        match owner.visits_with {
            Some(key) => Ok(self.key_of_visitor(key)?.system().map(str::to_owned)),
            None => Ok(conversation.system.clone()),
        }
    }

    fn key_of_visitor(&self, key: SecretHash) -> Result<Arc<Made>, V1Error> {
        self.inner.keys.for_visitors(key).ok_or_else(|| ErrorCode::Unauthorized.into())
    }
}

fn refused(field: &str, found: &str) -> V1Error {
    let expected = "none, because the operator of the server decides for visitors";
    let (field, expected, found) = (field.into(), expected.into(), found.into());
    Failure::InvalidParameter { field, expected, found }.into()
}
