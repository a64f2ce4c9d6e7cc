//! Messages that are being typed: the model computes ahead what their answers will need.

use super::asking::branch_end;
use super::history::History;
use super::state::{Conversations, Owner};
use super::wire;
use banter_protocol::v1;
use banter_seam::{self as seam, ConversationNumber, DraftRequest};
use banter_store::{Conversation, ConversationId, Message, Position};

/// Where a message will come.
pub(crate) enum DraftPlace {
    /// In a new conversation, with this system prompt.
    NewConversation { system: Option<String> },
    /// In a conversation that is there.
    In(ConversationId, Position),
}

impl Conversations {
    /// Lets the model compute ahead. A draft promises nothing, so whatever goes wrong is left for
    /// the message itself to report. A newer draft with the same key replaces this one.
    pub(crate) async fn draft(&self, owner: Owner, (place, text): (DraftPlace, String), key: u64) {
        let Ok(backend) = self.inner.answers.backend() else { return };
        let settings = &self.inner.settings;
        let (mut messages, parameters, conversation) = match place {
            DraftPlace::NewConversation { system } => {
                let system = system.or_else(|| settings.system_prompt.clone());
                let system = system.filter(|text| !text.is_empty()).map(seam::Message::system);
                (system.into_iter().collect(), v1::Parameters::default(), None)
            }
            DraftPlace::In(id, position) => {
                let Some((conversation, branch)) = self.branch(owner, id, position).await else {
                    return;
                };
                let number = ConversationNumber(conversation.number.get());
                let parameters = wire::parameters(conversation.parameters.as_ref());
                let history = History::new(&conversation, branch, settings);
                (history.messages, parameters, Some(number))
            }
        };
        messages.push(seam::Message::user(text));
        backend.draft(DraftRequest {
            messages,
            max_tokens: parameters.into_seam().max_tokens,
            asker: owner.asker,
            conversation,
            key,
        });
    }

    /// A conversation, and the messages after which a new one would come.
    async fn branch(
        &self,
        owner: Owner,
        id: ConversationId,
        position: Position,
    ) -> Option<(Conversation, Vec<Message>)> {
        let store = &self.inner.store;
        let conversation = store.conversation(owner.user, id).await.ok()?;
        let branch = match branch_end(&conversation, position) {
            None => Vec::new(),
            Some(end) => store.path(owner.user, id, end).await.ok()?,
        };
        Some((conversation, branch))
    }
}
