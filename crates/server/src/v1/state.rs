//! What the sockets of this language have of the server.

use crate::access::{Access, Principal};
use crate::answers::Keep;
use crate::backend::{BackendSlot, Readiness, model_info};
use crate::conversations::Conversations;
use crate::shares::SharedBudget;
use banter_protocol::conversations::Title;
use banter_protocol::v1::server::{OnDisconnect, SocketLimits, Welcome};
use banter_protocol::v1::{ClientId, Tag};
use std::sync::Arc;
use std::time::Duration;

/// More conversations than this cannot be followed at the same time.
pub(super) const MAX_OPEN_CONVERSATIONS: usize = 64;
/// The language, on one server.
pub(crate) struct V1 {
    pub(crate) conversations: Conversations,
    pub(crate) access: Arc<Access>,
    pub(crate) slot: BackendSlot,
    /// Memory for events that wait, in bytes.
    pub(crate) queue_budget: SharedBudget,
    /// The longest frame of a client, in bytes.
    pub(crate) max_message_bytes: usize,
    /// How long the last frames may take when the socket is closed.
    pub(crate) close_timeout: Duration,
    /// A name of this run of the server.
    pub(crate) epoch: String,
}

impl V1 {
    /// The greeting of a client.
    pub(super) fn welcome(&self, principal: Principal) -> Welcome {
        let backend = match self.slot.readiness() {
            Readiness::Loaded(backend) => Some(backend),
            Readiness::Loading(_) | Readiness::Unreachable(_) => None,
        };
        let settings = self.conversations.settings();
        let (on_disconnect, grace_ms) = match settings.keep {
            Keep::ToTheEnd => (OnDisconnect::Finish, None),
            Keep::WHILE_FOLLOWED => (OnDisconnect::Stop, None),
            Keep::For(grace) => (OnDisconnect::Grace, u64::try_from(grace.as_millis()).ok()),
        };
        let info = backend.as_ref().map(|backend| backend.info());
        Welcome {
            version: env!("CARGO_PKG_VERSION").into(),
            epoch: self.epoch.clone(),
            user: principal.short_name(),
            model: info.map(model_info),
            context_tokens: info.and_then(|info| info.context_tokens).map(|tokens| tokens as u64),
            limits: SocketLimits {
                message_bytes: self.max_message_bytes as u64,
                client_id_bytes: ClientId::MAX_BYTES as u64,
                tag_bytes: Tag::MAX_BYTES as u64,
                title_bytes: Title::MAX_BYTES as u64,
                open_conversations: MAX_OPEN_CONVERSATIONS as u64,
            },
            stores: settings.stores,
            on_disconnect,
            grace_ms,
        }
    }
}
