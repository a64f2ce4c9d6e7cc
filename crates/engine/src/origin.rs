//! Whose tokens they are.

/// Whose conversations they are. Tenants share nothing but what the operator shares with everyone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(pub u64);

/// The number of a conversation, chosen by the caller and unique within a tenant. What was computed
/// under a number can be forgotten under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConversationId(pub u64);

/// Where tokens come from: a tenant, and the conversation if the caller names one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whose they are.
    pub tenant: Tenant,
    /// In which conversation. Without one, only forgetting the whole tenant finds them.
    pub conversation: Option<ConversationId>,
}

impl Origin {
    /// Whether this is what is meant: a conversation by its number, or everything of its tenant.
    pub fn is_within(&self, meant: &Origin) -> bool {
        self.tenant == meant.tenant
            && (meant.conversation.is_none() || self.conversation == meant.conversation)
    }
}

impl From<Tenant> for Origin {
    fn from(tenant: Tenant) -> Origin {
        Origin { tenant, conversation: None }
    }
}
