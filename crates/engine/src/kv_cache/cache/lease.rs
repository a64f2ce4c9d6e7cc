//! The blocks of one sequence.

use super::tree::{Key, NodeId};
use super::{BLOCK_TOKENS, BlockId};
use crate::origin::{Origin, Tenant};
use crate::text::TokenId;

/// The blocks of one sequence, in order of position: first blocks of the tree, then blocks of its
/// own.
///
/// They go back through [`BlockCache::release`](super::BlockCache::release) only. Dropping a lease
/// that still has blocks would lose them, and panics.
#[derive(Debug)]
pub struct Lease {
    pub(super) origin: Origin,
    /// The operator shares this many of the first tokens with everyone.
    shared_tokens: usize,
    /// Nobody has sent it yet: it must leave nothing on disk.
    pub(super) is_draft: bool,
    /// A draft model's keys and values of this many of the first tokens are in these blocks.
    pub(super) draft_model_len: usize,
    pub(super) nodes: Vec<NodeId>,
    pub(super) blocks: Vec<BlockId>,
}

/// How far a sequence without blocks would go along those that others lease. It leases nothing
/// itself.
#[derive(Debug)]
pub struct LeasedPath(pub(super) Lease);

impl LeasedPath {
    /// The beginning of a path; the arguments are those of [`Lease::new`].
    pub fn new(origin: Origin, shared_tokens: usize) -> LeasedPath {
        LeasedPath(Lease::new(origin, shared_tokens))
    }
}

impl Lease {
    /// A lease of nothing yet. The operator shares the first `shared_tokens` tokens with everyone.
    pub fn new(origin: Origin, shared_tokens: usize) -> Lease {
        let (nodes, blocks) = (Vec::new(), Vec::new());
        let (is_draft, draft_model_len) = (false, 0);
        Lease { origin, shared_tokens, is_draft, draft_model_len, nodes, blocks }
    }

    /// The same for a message that nobody has sent yet: what is computed of it stays in memory.
    pub fn of_draft(origin: Origin, shared_tokens: usize) -> Lease {
        let mut lease = Lease::new(origin, shared_tokens);
        lease.is_draft = true;
        lease
    }

    /// The blocks, in order of position.
    pub fn blocks(&self) -> &[BlockId] {
        &self.blocks
    }

    /// How many of the first tokens a draft model has computed.
    pub fn draft_model_len(&self) -> usize {
        self.draft_model_len
    }

    /// What a draft model has computed behind the first `tokens` tokens is no longer true.
    pub fn truncate_draft_model(&mut self, tokens: usize) {
        self.draft_model_len = self.draft_model_len.min(tokens);
    }

    /// Gives up the blocks without releasing them:
    /// [`BlockCache::rebuild`](super::BlockCache::rebuild) finds them.
    pub fn write_off(mut self) {
        self.blocks.clear();
    }

    /// Tokens in blocks that others can find.
    pub fn settled_tokens(&self) -> usize {
        self.nodes.len() * BLOCK_TOKENS
    }

    /// Whether the sequence of this lease and these tokens computes the block that `behind` can
    /// adopt next: all tokens before it are the same, and so are the block's.
    pub fn is_ahead(&self, tokens: &[TokenId], behind: &Lease, behind_tokens: &[TokenId]) -> bool {
        let done = behind.nodes.len();
        let has_the_same = self.nodes.get(..done) == Some(&behind.nodes);
        let wanted = behind.key(adoptable(behind_tokens), done * BLOCK_TOKENS);
        has_the_same
            && wanted.is_some()
            && self.key_after(behind.nodes.last().copied(), tokens, done * BLOCK_TOKENS) == wanted
    }

    /// Whether the first `computed` tokens are whole blocks of the tree.
    pub(super) fn has_nodes_only(&self, computed: usize) -> bool {
        computed == self.nodes.len() * BLOCK_TOKENS
    }

    /// The key of the block that begins with the token at `start`, if it is whole.
    pub(super) fn key(&self, tokens: &[TokenId], start: usize) -> Option<Key> {
        self.key_after(self.nodes.last().copied(), tokens, start)
    }

    fn key_after(&self, parent: Option<NodeId>, tokens: &[TokenId], start: usize) -> Option<Key> {
        let tokens = *tokens.get(start..)?.first_chunk()?;
        Some(Key { parent, tenant: self.tenant_at(start), tokens })
    }

    /// The owner of the block that begins with the token at `start`; none if the operator shares
    /// it.
    pub(super) fn tenant_at(&self, start: usize) -> Option<Tenant> {
        let is_shared = start + BLOCK_TOKENS <= self.shared_tokens;
        (!is_shared).then_some(self.origin.tenant)
    }
}

/// The tokens of a sequence that may be adopted: all but the last, because logits come from
/// computing that one.
pub(super) fn adoptable(tokens: &[TokenId]) -> &[TokenId] {
    &tokens[..tokens.len().saturating_sub(1)]
}

impl Drop for Lease {
    fn drop(&mut self) {
        // While another panic unwinds, a second one would end the process and hide the first.
        if !std::thread::panicking() {
            assert!(self.blocks.is_empty(), "a lease was dropped with its blocks");
        }
    }
}
