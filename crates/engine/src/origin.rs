//! Whose tokens they are.

/// Whose conversations they are. Tenants share only what the operator shares with everyone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(pub u64);

/// The number of a conversation, chosen by the caller and unique within a tenant. A conversation
/// can be forgotten by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConversationId(pub u64);

/// Where tokens come from: a tenant, and the conversation if the caller names one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whose they are.
    pub tenant: Tenant,
    /// In which conversation. Without one, they are forgotten only with the whole tenant.
    pub conversation: Option<ConversationId>,
}

impl Origin {
    /// Whether `meant` covers this: the same conversation, or the whole tenant.
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
