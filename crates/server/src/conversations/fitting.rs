//! Messages that are being typed: how they fit in the model's context.

use super::state::{Conversations, Owner};
use super::typed::{Preview, Typed};
use super::wire::SameId;
use banter_protocol::conversations::ContextFit;
use banter_protocol::v1::V1Error;
use banter_seam::{Backend, Failure};

impl Conversations {
    /// Returns the event `context` that would come if the message were sent now.
    ///
    /// An empty message is counted like any other, because the next short message will leave out
    /// the same messages.
    pub(crate) async fn fit(
        &self,
        owner: Owner,
        typed: Typed,
        backend: &dyn Backend,
    ) -> Result<ContextFit, V1Error> {
        let Preview { messages, mut stored, max_tokens, .. } = self.preview(owner, typed).await?;
        let max_tokens = usize::try_from(max_tokens).unwrap_or(usize::MAX);
        let (prompt_tokens, dropped_messages) = match backend.fit(messages, max_tokens).await {
            Ok(Some(fit)) => (Some(fit.tokens), fit.dropped_messages),
            Ok(None) => (None, 0),
            // It would be refused, but a person who types wants to see by how much it is too long.
            Err(Failure::TooLong { tokens, .. } | Failure::TooLongWithSystem { tokens, .. }) => {
                (Some(tokens), stored.len())
            }
            Err(failure) => return Err(failure.into()),
        };
        stored.truncate(dropped_messages);
        Ok(ContextFit {
            left_out: stored.into_iter().map(SameId::other).collect(),
            prompt_tokens: prompt_tokens.map(|tokens| tokens as u64),
            context_tokens: backend.info().context_tokens.map(|tokens| tokens as u64),
        })
    }
}
