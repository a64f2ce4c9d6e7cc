//! A backend that counts everything it is asked for.

use crate::backend::ScriptedBackend;
use banter_seam::{
    Backend, BackendInfo, Conversation, ConversationNumber, DraftRequest, EmbedRequest, Embeddings,
    Failure, Fit, GenerateRequest, Generation, Health, Message, Tenant,
};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A scripted backend behind a count. All that costs work or changes something is counted when it
/// is asked for, whether anything comes of it or not.
#[derive(Default)]
pub(super) struct Watched {
    scripted: ScriptedBackend,
    asked: Asked,
}

/// How often a backend was asked for something.
#[derive(Clone, Default)]
pub(super) struct Asked(Arc<AtomicUsize>);

impl Asked {
    pub(super) fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn once_more(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Watched {
    pub(super) fn asked(&self) -> Asked {
        self.asked.clone()
    }
}

impl Backend for Watched {
    fn info(&self) -> &BackendInfo {
        self.scripted.info()
    }

    fn health(&self) -> Health {
        self.scripted.health()
    }

    fn generate(
        &self,
        request: Box<GenerateRequest>,
    ) -> BoxFuture<'static, Result<Box<dyn Generation>, Failure>> {
        self.asked.once_more();
        self.scripted.generate(request)
    }

    fn draft(&self, draft: DraftRequest) {
        self.asked.once_more();
        self.scripted.draft(draft);
    }

    fn forget(&self, tenant: Tenant, conversation: Option<ConversationNumber>) {
        self.asked.once_more();
        self.scripted.forget(tenant, conversation);
    }

    fn tokenize(&self, text: String) -> BoxFuture<'static, Result<Option<Vec<u32>>, Failure>> {
        self.asked.once_more();
        self.scripted.tokenize(text)
    }

    fn detokenize(&self, tokens: Vec<u32>) -> BoxFuture<'static, Result<Option<String>, Failure>> {
        self.asked.once_more();
        self.scripted.detokenize(tokens)
    }

    fn prompt_tokens(
        &self,
        conversation: Conversation,
    ) -> BoxFuture<'static, Result<Option<Vec<u32>>, Failure>> {
        self.asked.once_more();
        self.scripted.prompt_tokens(conversation)
    }

    fn embed(
        &self,
        request: EmbedRequest,
    ) -> BoxFuture<'static, Result<Option<Embeddings>, Failure>> {
        self.asked.once_more();
        self.scripted.embed(request)
    }

    fn fit(
        &self,
        messages: Vec<Message>,
        max_tokens: usize,
    ) -> BoxFuture<'static, Result<Option<Fit>, Failure>> {
        self.asked.once_more();
        self.scripted.fit(messages, max_tokens)
    }
}
