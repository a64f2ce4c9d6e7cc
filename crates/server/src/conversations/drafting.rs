//! Messages that are being typed: the model computes ahead what their answers will need.

use super::state::{Conversations, Owner};
use super::typed::{Preview, Typed};
use banter_seam::DraftRequest;

impl Conversations {
    /// Lets the model compute ahead. A draft promises nothing, so whatever goes wrong is left for
    /// the message itself to report. A newer draft with the same key replaces this one.
    pub(crate) async fn draft(&self, owner: Owner, typed: Typed, key: u64) {
        let Ok(backend) = self.inner.answers.backend() else { return };
        let Ok(preview) = self.preview(owner, typed).await else { return };
        let Preview { messages, max_tokens, conversation, .. } = preview;
        backend.draft(DraftRequest { messages, max_tokens, asker: owner.asker, conversation, key });
    }
}
