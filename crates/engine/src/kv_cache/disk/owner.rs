//! How files name an owner: a kind (u32: 0 the operator, 1 a tenant, 2 a tenant's conversation),
//! the tenant (u64) and the conversation (u64), little-endian.

use crate::origin::{ConversationId, Origin, Tenant};

pub(super) const OWNER_BYTES: usize = 4 + 8 + 8;

const OPERATOR: u32 = 0;
const TENANT: u32 = 1;
const CONVERSATION: u32 = 2;

pub(super) fn owner_bytes(owner: Option<Origin>) -> [u8; OWNER_BYTES] {
    let (kind, tenant, conversation) = match owner {
        None => (OPERATOR, 0, 0),
        Some(Origin { tenant, conversation: None }) => (TENANT, tenant.0, 0),
        Some(Origin { tenant, conversation: Some(id) }) => (CONVERSATION, tenant.0, id.0),
    };
    let mut bytes = [0; OWNER_BYTES];
    bytes[..4].copy_from_slice(&kind.to_le_bytes());
    bytes[4..12].copy_from_slice(&tenant.to_le_bytes());
    bytes[12..].copy_from_slice(&conversation.to_le_bytes());
    bytes
}

/// The outer option is none if the bytes name no owner.
#[allow(clippy::option_option, reason = "none is an owner too: the operator")]
pub(super) fn parse_owner(bytes: &[u8; OWNER_BYTES]) -> Option<Option<Origin>> {
    let (kind, rest) = bytes.split_first_chunk::<4>()?;
    let (tenant, rest) = rest.split_first_chunk::<8>()?;
    let conversation = rest.first_chunk::<8>()?;
    let tenant = Tenant(u64::from_le_bytes(*tenant));
    let conversation = ConversationId(u64::from_le_bytes(*conversation));
    match u32::from_le_bytes(*kind) {
        OPERATOR => Some(None),
        TENANT => Some(Some(tenant.into())),
        CONVERSATION => Some(Some(Origin { tenant, conversation: Some(conversation) })),
        _ => None,
    }
}
