//! Lists, searches, titles, pins, exports and imports.

use super::state::{Conversations, Owner};
use super::titles::first_words;
use super::wire::{self, SameId, v1_error};
use banter_protocol::conversations::{ConversationPatch, NewConversation};
use banter_protocol::v1::server::Change;
use banter_protocol::v1::{self, V1Error};
use banter_store::exchange::ImportedConversation;
use banter_store::{
    self as store, ConversationChange, ConversationId, ListQuery, Role, SearchQuery, SearchResult,
    TitleSource, Tree,
};

impl Conversations {
    /// A page of the list, and where the next one begins.
    pub(crate) async fn list(
        &self,
        owner: Owner,
        query: ListQuery,
    ) -> Result<(Vec<v1::Conversation>, Option<String>), V1Error> {
        let page =
            self.inner.store.list_conversations(owner.user, query).await.map_err(v1_error)?;
        let conversations = page.conversations.iter().map(wire::conversation).collect();
        Ok((conversations, page.next.map(|next| next.to_string())))
    }

    /// The ids of all conversations of a user, in the order of the list.
    pub(crate) async fn ids(&self, owner: Owner) -> Result<Vec<ConversationId>, V1Error> {
        self.inner.store.conversation_ids(owner.user).await.map_err(v1_error)
    }

    /// Messages and titles with these words.
    pub(crate) async fn search(
        &self,
        owner: Owner,
        query: SearchQuery,
    ) -> Result<SearchResult, V1Error> {
        self.inner.store.search(owner.user, query).await.map_err(v1_error)
    }

    /// Makes a conversation without messages.
    pub(crate) async fn create(
        &self,
        owner: Owner,
        new: NewConversation,
    ) -> Result<v1::Conversation, V1Error> {
        let title = new.title.map(|title| (title.into_string(), TitleSource::Person));
        let parameters = wire::stored_parameters(&new.parameters);
        let new = store::NewConversation { title, system: new.system, parameters };
        let conversations = self.clone();
        self.to_the_end(async move {
            let store = &conversations.inner.store;
            let made = store.create_conversation(owner.user, new).await.map_err(v1_error)?;
            conversations.tell_changed(owner, &made, Change::Created);
            Ok(wire::conversation(&made))
        })
        .await
    }

    /// Changes a conversation.
    pub(crate) async fn change(
        &self,
        owner: Owner,
        id: ConversationId,
        patch: ConversationPatch,
    ) -> Result<v1::Conversation, V1Error> {
        let title = patch.title.change().map(|title| match title {
            Some(title) => (title.into_string(), TitleSource::Person),
            None => (String::new(), TitleSource::Person),
        });
        let change = ConversationChange {
            title,
            pinned: patch.pinned,
            archived: patch.archived,
            system: patch.system.change(),
            parameters: patch
                .parameters
                .change()
                .map(|parameters| parameters.and_then(|given| wire::stored_parameters(&given))),
            leaf: patch.leaf.map(SameId::other),
        };
        let conversations = self.clone();
        self.to_the_end(async move {
            let store = &conversations.inner.store;
            let _turn = conversations.inner.order.turn(id).await;
            let changed =
                store.change_conversation(owner.user, id, change).await.map_err(v1_error)?;
            conversations.tell_changed(owner, &changed, Change::Updated);
            Ok(wire::conversation(&changed))
        })
        .await
    }

    /// A conversation with all that is stored of it.
    pub(crate) async fn tree(&self, owner: Owner, id: ConversationId) -> Result<Tree, V1Error> {
        self.inner.store.tree(owner.user, id).await.map_err(v1_error)
    }

    /// Adds a conversation that was read from a file. Returns how many messages it has.
    pub(crate) async fn import(
        &self,
        owner: Owner,
        mut imported: ImportedConversation,
    ) -> Result<usize, V1Error> {
        let first = imported.messages.iter().find(|message| message.role == Role::User);
        if imported.title_source == TitleSource::None
            && let Some((title, source)) = first.and_then(|first| first_words(&first.text))
        {
            (imported.title, imported.title_source) = (title, source);
        }
        let conversations = self.clone();
        let messages = imported.messages.len();
        self.to_the_end(async move {
            let store = &conversations.inner.store;
            let added = store.import_conversation(owner.user, imported).await.map_err(v1_error)?;
            conversations.tell_changed(owner, &added, Change::Created);
            // In parts, because nobody else can write meanwhile. It may be deleted in between.
            while let Ok(true) = store.show_in_search(owner.user, added.id).await {}
            Ok(messages)
        })
        .await
    }
}
