//! All blocks: free, in use, or kept for the next sequence that begins with the same tokens.
//!
//! What is kept is a tree. A node is a block whose tokens are computed in all layers; its parent
//! holds the tokens before them:
//!
//! ```text
//!              ┌ "…how do I" ── "boil an egg" ─ "? " (tail)
//!  "system: …" ┤
//!              └ "…what is a" ─ "lease of a b" ┬ "lock" (tail)
//!                                              └ "ook?" (tail)
//! ```
//!
//! A new sequence walks down along its own tokens and leases the nodes it passes, so it need not
//! compute them. Any number of sequences lease one node, and nobody writes into it. Tokens
//! themselves are compared, so a hit is never a mistake. A tail is the end of a sequence, less than
//! a block; the next sequence that goes on from there takes it out of the tree and fills it up.
//!
//! ```text
//!  free ──grow──► own block ──settle──► node in use ──release──► idle node
//!   ▲                                        ▲                    │    │
//!   │                                        └────── adopt ───────┘    │
//!   └──────────────────────── evict, forget ──────────────────────────┘
//! ```
//!
//! Idle nodes are evicted when blocks are needed: the least recently used first, and a node's
//! children before it.
//!
//! A node belongs to the conversation that used it last. Forgetting a conversation removes its
//! nodes. A node that another conversation goes on from becomes the other's instead, because that
//! one begins with the same tokens.
//!
//! Absent on purpose: hashes of prefixes. They would save comparing what is compared anyway.

mod lease;
mod tree;

use std::collections::{HashMap, HashSet, VecDeque};

pub use lease::{Lease, LeasedPath};

use self::lease::adoptable;
use self::tree::{Content, Key, NodeId, Tree};
use super::BLOCK_TOKENS;
use super::block_name::{BlockName, BlockNamer};
use super::disk::Unsaved;
use crate::faults::{self, Fault};
use crate::origin::{ConversationId, Origin};
use crate::text::TokenId;

/// The number of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub u32);

/// The cache has fewer blocks to give than were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBlocks;

/// Hands out blocks, keeps what was computed, and takes blocks back.
#[derive(Debug)]
pub struct BlockCache {
    total_blocks: usize,
    free: Vec<BlockId>,
    tree: Tree,
    /// Nodes that were released and may be saved on disk. Some may be gone.
    released: VecDeque<NodeId>,
    /// Whether anybody takes from `released`.
    has_disk: bool,
}

impl BlockCache {
    /// A cache of `total_blocks` free blocks.
    ///
    /// Panics if their numbers do not fit 32 bits.
    pub fn new(total_blocks: usize) -> BlockCache {
        let count = u32::try_from(total_blocks).expect("a cache has fewer blocks than 2³²");
        BlockCache {
            total_blocks,
            // Blocks are handed out from the end, so the lowest numbers go first.
            free: (0..count).rev().map(BlockId).collect(),
            tree: Tree::default(),
            released: VecDeque::new(),
            has_disk: false,
        }
    }

    /// Blocks that no sequence leases: the free ones, and those that can be evicted.
    pub fn available_blocks(&self) -> usize {
        self.free.len() + self.tree.idle.len()
    }

    /// All blocks.
    pub fn total_blocks(&self) -> usize {
        self.total_blocks
    }

    /// Leases what is kept of `tokens` behind the first `computed`. Says how many are computed
    /// then: never all of them.
    ///
    /// Whole blocks are looked for only where `computed` ends one.
    pub fn adopt(&mut self, lease: &mut Lease, tokens: &[TokenId], computed: usize) -> usize {
        if !lease.has_nodes_only(computed) {
            return computed;
        }
        let computed = self.adopt_blocks(lease, tokens);
        let rest = adoptable(tokens).get(computed..).unwrap_or_default();
        let Some((tail, common)) = self.longest_tail(lease, rest) else { return computed };
        if lease.draft_model_len == computed && self.tree.nodes[&tail].has_draft_model {
            lease.draft_model_len += common;
        }
        let block = self.tree.unlink(tail);
        self.set_next_block(lease, block);
        computed + common
    }

    /// The same with whole blocks alone, for a lease that has nothing else yet.
    pub fn adopt_blocks(&mut self, lease: &mut Lease, tokens: &[TokenId]) -> usize {
        let adoptable = adoptable(tokens);
        let mut computed = lease.settled_tokens();
        while let Some(node) = self.tree.find(lease.key(adoptable, computed)) {
            let block = self.tree.acquire(node);
            self.set_next_block(lease, block);
            lease.nodes.push(node);
            if lease.draft_model_len == computed && self.tree.nodes[&node].has_draft_model {
                lease.draft_model_len += BLOCK_TOKENS;
            }
            computed += BLOCK_TOKENS;
        }
        computed
    }

    /// How many of the blocks that a sequence would adopt are leased by others already. They take
    /// none of those available.
    ///
    /// `path` remembers how far this was true before, so that asking at every step costs little.
    /// These blocks are the first of the sequence, because a lease of one is a lease of all before
    /// it.
    pub fn leased_by_others(&self, path: &mut LeasedPath, tokens: &[TokenId]) -> usize {
        let LeasedPath(way) = path;
        while way.nodes.last().is_some_and(|last| !self.tree.is_leased(*last)) {
            way.nodes.pop();
        }
        let adoptable = adoptable(tokens);
        while let Some(next) = self
            .tree
            .find(way.key(adoptable, way.settled_tokens()))
            .filter(|next| self.tree.is_leased(*next))
        {
            way.nodes.push(next);
        }
        way.nodes.len()
    }

    /// Lengthens a lease to at least `blocks` blocks, evicting idle ones if need be. Changes
    /// nothing if there are too few.
    ///
    /// Errors: there are too few.
    pub fn grow(&mut self, lease: &mut Lease, blocks: usize) -> Result<(), OutOfBlocks> {
        let missing = blocks.saturating_sub(lease.blocks.len());
        if missing > self.available_blocks() {
            return Err(OutOfBlocks);
        }
        for _ in 0..missing {
            let block = self.free.pop().unwrap_or_else(|| self.tree.evict());
            lease.blocks.push(block);
        }
        Ok(())
    }

    /// Lets others find the whole blocks of the first `computed` tokens. Only now may anyone rely
    /// on what a step wrote.
    ///
    /// If another sequence has computed the same meanwhile, its block replaces this one's, which
    /// holds the same bits.
    pub fn settle(&mut self, lease: &mut Lease, tokens: &[TokenId], computed: usize) {
        while let Some(key) = lease.key(&tokens[..computed], lease.settled_tokens()) {
            let node = match self.tree.get(&key) {
                Some(node) => self.settle_as(node, lease),
                None => self.settle_new(key, lease),
            };
            lease.nodes.push(node);
        }
    }

    /// The lease's next block is computed, and is in the tree already.
    fn settle_as(&mut self, node: NodeId, lease: &mut Lease) -> NodeId {
        let block = self.tree.acquire(node);
        faults::pass(Fault::Lease);
        self.set_next_block(lease, block);
        if !self.tree.nodes[&node].has_draft_model {
            lease.truncate_draft_model(lease.settled_tokens());
        }
        node
    }

    /// The lease's next block is computed, and is not in the tree yet.
    fn settle_new(&mut self, key: Key, lease: &mut Lease) -> NodeId {
        let block = lease.blocks[lease.nodes.len()];
        let node = self.tree.insert(Content::Whole(key), block, lease.origin);
        self.tree.acquire(node);
        faults::pass(Fault::Lease);
        let end = lease.settled_tokens() + BLOCK_TOKENS;
        self.tree.set_has_draft_model(node, lease.draft_model_len >= end);
        node
    }

    /// Notes that a draft model's keys and values of the first `tokens` tokens are in the lease's
    /// blocks.
    pub fn set_draft_model_len(&mut self, lease: &mut Lease, tokens: usize) {
        lease.draft_model_len = tokens;
        for node in lease.nodes.iter().take(tokens / BLOCK_TOKENS) {
            self.tree.set_has_draft_model(*node, true);
        }
    }

    /// Takes back a lease. What is computed of its tokens is kept for others. Says how many of its
    /// blocks nobody leases any longer.
    pub fn release(&mut self, mut lease: Lease, tokens: &[TokenId], computed: usize) -> usize {
        self.settle(&mut lease, tokens, computed);
        let before = self.available_blocks();
        let mut own = lease.blocks.split_off(lease.nodes.len());
        let rest = &tokens[lease.settled_tokens()..computed];
        if !rest.is_empty() {
            let block = own.remove(0);
            self.keep_tail(&lease, rest, block);
        }
        // From the last to the first, so that the next owner gets them in the same order.
        self.free.extend(own.into_iter().rev());
        // A parent comes after its children, so that it is evicted after them.
        let first_released = self.released.len();
        for node in std::mem::take(&mut lease.nodes).into_iter().rev() {
            self.tree.release(node, &lease);
            // While the disk does not keep up, what is released next is left out.
            if self.has_disk && !lease.is_draft && self.released.len() < self.total_blocks {
                self.released.push_back(node);
            }
            faults::pass(Fault::Release);
        }
        // Parents are saved before their children, which are found only behind them.
        self.released.make_contiguous()[first_released..].reverse();
        lease.blocks.clear();
        self.available_blocks() - before
    }

    /// Whether leases can be what they say: their first blocks are those of their nodes, and no
    /// other block is in two of them.
    pub fn are_consistent(&self, leases: &[&Lease]) -> bool {
        let mut own = HashSet::new();
        let is_node = |(id, block): (&NodeId, &BlockId)| {
            self.tree.nodes.get(id).is_some_and(|node| node.block == *block)
        };
        let of_nodes: HashSet<&BlockId> =
            leases.iter().flat_map(|lease| &lease.blocks[..lease.nodes.len()]).collect();
        leases.iter().all(|lease| {
            let mut behind = lease.blocks[lease.nodes.len()..].iter();
            lease.nodes.iter().zip(&lease.blocks).all(is_node)
                && behind.all(|block| !of_nodes.contains(block) && own.insert(*block))
        })
    }

    /// Rebuilds the bookkeeping after a panic in the middle of a change, from `leases` alone, which
    /// are all there are and consistent. What nobody leases is no longer kept.
    pub fn rebuild(&mut self, leases: &[&Lease]) {
        self.tree.rebuild(leases);
        self.released.clear();
        let taken: HashSet<BlockId> =
            leases.iter().flat_map(|lease| lease.blocks.clone()).collect();
        let all = (0..self.total_blocks as u32).rev().map(BlockId);
        self.free = all.filter(|block| !taken.contains(block)).collect();
    }

    /// Somebody asks for [`BlockCache::next_released`] from now on.
    pub fn connect_disk(&mut self) {
        self.has_disk = true;
        self.released.clear();
    }

    /// Nobody does any more.
    pub fn disconnect_disk(&mut self) {
        self.has_disk = false;
        self.released.clear();
    }

    /// Whether anything was released since [`BlockCache::next_released`] was asked last.
    pub fn has_released(&self) -> bool {
        !self.released.is_empty()
    }

    /// The next whole block that was released.
    pub fn next_released(&mut self, namer: &BlockNamer) -> Option<Unsaved> {
        loop {
            let id = self.released.pop_front()?;
            if !self.tree.nodes.contains_key(&id) {
                continue;
            }
            let name = self.tree.name(id, namer);
            let parent = self.tree.parent(id).map(|parent| self.tree.name(parent, namer));
            let node = &self.tree.nodes[&id];
            let Content::Whole(Key { tokens, .. }) = node.content else { continue };
            let (owner, block) = (node.owner(), node.block);
            return Some(Unsaved { name, parent, owner, tokens, block });
        }
    }

    /// Names of the whole blocks of `tokens` that follow those of a lease and could be adopted.
    pub fn missing_names(
        &mut self,
        lease: &Lease,
        tokens: &[TokenId],
        namer: &BlockNamer,
    ) -> Vec<BlockName> {
        let mut parent = lease.nodes.last().copied().map(|last| self.tree.name(last, namer));
        let start = lease.settled_tokens();
        let blocks = adoptable(tokens).get(start..).unwrap_or_default().as_chunks().0;
        let names = blocks.iter().enumerate().map(|(index, tokens)| {
            let tenant = lease.tenant_at(start + index * BLOCK_TOKENS);
            let name = namer.name(parent, tenant, tokens);
            parent = Some(name);
            name
        });
        names.collect()
    }

    /// Forgets what belongs to a conversation, or to a whole tenant. What somebody leases stays. A
    /// node before one that stays is needed to find it, and becomes the property of its
    /// conversation.
    pub fn forget(&mut self, meant: &Origin) {
        let mut ids: Vec<NodeId> = self.tree.nodes.keys().copied().collect();
        // Children have higher numbers than their parents, so they are looked at first.
        ids.sort_unstable_by(|a, b| b.cmp(a));
        let mut heirs: HashMap<NodeId, Option<ConversationId>> = HashMap::new();
        for id in ids {
            let node = self.tree.nodes.get_mut(&id).expect("nobody has removed it");
            if node.owner().is_some_and(|owner| owner.is_within(meant)) {
                if node.leases == 0 && node.children == 0 {
                    let block = self.tree.unlink(id);
                    self.free.push(block);
                    continue;
                }
                if let Some(heir) = heirs.get(&id) {
                    node.conversation = *heir;
                }
            }
            let conversation = node.conversation;
            if let Some(parent) = self.tree.parent(id) {
                heirs.insert(parent, conversation);
            }
        }
    }

    /// Sets the block behind a lease's nodes to one of the tree. A block of the lease's own that
    /// was there is free again.
    fn set_next_block(&mut self, lease: &mut Lease, block: BlockId) {
        match lease.blocks.get_mut(lease.nodes.len()) {
            Some(own) => self.free.push(std::mem::replace(own, block)),
            None => lease.blocks.push(block),
        }
    }

    /// The tail that begins with the most of `tokens`, and how many.
    fn longest_tail(&self, lease: &Lease, tokens: &[TokenId]) -> Option<(NodeId, usize)> {
        let common = |id: &NodeId| {
            let tail = self.tree.tokens(*id);
            tail.iter().zip(tokens).take_while(|(a, b)| a == b).count()
        };
        let tails = self.tree.tails_behind(lease).iter();
        let longest = tails.map(|id| (*id, common(id))).max_by_key(|(_, common)| *common);
        longest.filter(|(_, common)| *common > 0)
    }

    /// Keeps the tail of a sequence, unless a longer one that begins with it is kept. A shorter one
    /// that it begins with is removed.
    fn keep_tail(&mut self, lease: &Lease, tokens: &[TokenId], block: BlockId) {
        let tails = self.tree.tails_behind(lease).to_vec();
        if tails.iter().any(|id| self.tree.tokens(*id).starts_with(tokens)) {
            self.free.push(block);
            return;
        }
        for id in tails {
            if tokens.starts_with(self.tree.tokens(id)) {
                let block = self.tree.unlink(id);
                self.free.push(block);
            }
        }
        let (parent, tenant) = (lease.nodes.last().copied(), lease.origin.tenant);
        let content = Content::Tail { parent, tenant, tokens: tokens.to_vec() };
        let id = self.tree.insert(content, block, lease.origin);
        let end = lease.settled_tokens() + tokens.len();
        self.tree.set_has_draft_model(id, lease.draft_model_len >= end);
    }
}

#[cfg(test)]
mod tests;
