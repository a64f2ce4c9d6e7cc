//! Deletions: of whole conversations, of messages with all that follows, and of single pairs.
//!
//! Answers that are deleted halt first. Others of the conversation go on.

use super::feed::News;
use super::state::{Conversations, Owner};
use super::wire::{self, SameId, v1_error};
use banter_protocol::conversations::Following;
use banter_protocol::v1::V1Error;
use banter_protocol::v1::server::{Change, Changed, RemovedPair};
use banter_seam::{ConversationNumber, Failure};
use banter_store::{ConversationId, MessageId, Role, StoreError, Tree};
use std::collections::HashSet;
use std::time::Duration;

/// How long a deletion waits for answers that are being written.
const HALT_TIMEOUT: Duration = Duration::from_secs(10);

/// The part of a conversation that is deleted.
#[derive(Clone, Copy)]
enum Extent {
    All,
    From(MessageId, Following),
}

impl Conversations {
    /// Deletes a conversation: what is stored of it, and what the engine has computed and kept.
    pub(crate) async fn delete(&self, owner: Owner, id: ConversationId) -> Result<(), V1Error> {
        let conversations = self.clone();
        self.to_the_end(async move {
            conversations.halt(owner, id, Extent::All).await?;
            let _turn = conversations.inner.order.turn(id).await;
            // Those that were begun while the others halted.
            conversations.halt(owner, id, Extent::All).await?;
            let store = &conversations.inner.store;
            // In parts, because nobody else can write meanwhile.
            while store.hide_from_search(owner.user, id).await.map_err(v1_error)? {}
            let number = store.delete_conversation(owner.user, id).await.map_err(v1_error)?;
            conversations.forget(owner, ConversationNumber(number.get()));
            let deleted = Changed {
                conversation: id.other(),
                change: Change::Deleted,
                summary: None,
                removed: None,
                removed_pair: None,
            };
            conversations.inner.feeds.tell(owner.user, id, News::Changed(Box::new(deleted)));
            Ok(())
        })
        .await
    }

    /// Deletes a message, and what follows it or only its answers.
    pub(crate) async fn delete_message(
        &self,
        owner: Owner,
        (id, message): (ConversationId, MessageId),
        following: Following,
    ) -> Result<(), V1Error> {
        let conversations = self.clone();
        self.to_the_end(async move {
            let extent = Extent::From(message, following);
            conversations.halt(owner, id, extent).await?;
            let _turn = conversations.inner.order.turn(id).await;
            conversations.halt(owner, id, extent).await?;
            let store = &conversations.inner.store;
            let (left, removed, removed_pair) = match following {
                Following::Delete => {
                    let left = store.delete_message(owner.user, id, message).await;
                    (left.map_err(v1_error)?, Some(message.other()), None)
                }
                Following::Keep => {
                    let deleted = store.delete_pair(owner.user, id, message).await;
                    let deleted = deleted.map_err(pair_error)?;
                    let pair = RemovedPair {
                        messages: deleted.messages.into_iter().map(SameId::other).collect(),
                        parent: deleted.parent.map(SameId::other),
                    };
                    (deleted.conversation, None, Some(pair))
                }
            };
            // The engine knows conversations, not messages: it forgets all of this one, and
            // computes what is left of it again.
            conversations.forget(owner, ConversationNumber(left.number.get()));
            let changed = Changed {
                conversation: id.other(),
                change: Change::Updated,
                summary: Some(wire::conversation(&left)),
                removed,
                removed_pair,
            };
            conversations.inner.feeds.tell(owner.user, id, News::Changed(Box::new(changed)));
            Ok(())
        })
        .await
    }

    /// Stops the answers that are being written and are going to be deleted, and waits until they
    /// have halted.
    async fn halt(&self, owner: Owner, id: ConversationId, extent: Extent) -> Result<(), V1Error> {
        let doomed = match extent {
            Extent::All => None,
            Extent::From(message, following) => {
                let tree = self.tree(owner, id).await?;
                Some(doomed(&tree, message, following).map_err(pair_error)?)
            }
        };
        let halting: Vec<_> = self
            .running()
            .iter()
            .filter(|(answer, running)| {
                running.user == owner.user
                    && running.conversation == id
                    && doomed.as_ref().is_none_or(|doomed| doomed.contains(answer))
            })
            .map(|(_, running)| running.live.clone())
            .collect();
        for live in &halting {
            live.stop();
        }
        for live in halting {
            // A deletion does not depend on the engine.
            let _ = tokio::time::timeout(HALT_TIMEOUT, live.halted()).await;
        }
        Ok(())
    }

    fn forget(&self, owner: Owner, number: ConversationNumber) {
        if let Ok(backend) = self.inner.answers.backend() {
            backend.forget(owner.asker.tenant, Some(number));
        }
    }
}

/// A message and the messages that are deleted with it. It follows the rule of the store, so that
/// nothing is stopped for a deletion that the store refuses.
fn doomed(
    tree: &Tree,
    root: MessageId,
    following: Following,
) -> Result<HashSet<MessageId>, StoreError> {
    let found = tree.messages.iter().find(|message| message.id == root);
    let role = found.ok_or(StoreError::UnknownMessage)?.role;
    if following == Following::Keep && role != Role::User {
        return Err(StoreError::NotAUserMessage);
    }
    let mut doomed = HashSet::from([root]);
    for message in &tree.messages {
        let goes = following == Following::Delete || message.role == Role::Assistant;
        if goes && message.parent.is_some_and(|parent| doomed.contains(&parent)) {
            doomed.insert(message.id);
        }
    }
    Ok(doomed)
}

/// Why a pair cannot be deleted.
fn pair_error(error: StoreError) -> V1Error {
    match error {
        StoreError::NotAUserMessage => Failure::InvalidParameter {
            field: "message".into(),
            expected: "the id of a user's message".into(),
            found: "the id of an answer".into(),
        }
        .into(),
        error => v1_error(error),
    }
}
