//! The tree of computed blocks: what is found, who leases it, and what may be evicted.

use std::collections::{BTreeMap, HashMap};

use super::{BLOCK_TOKENS, BlockId, Lease};
use crate::kv_cache::block_name::{BlockName, BlockNamer};
use crate::origin::{ConversationId, Origin, Tenant};
use crate::text::TokenId;

/// The number of a node, never used twice; a child's is higher than its parent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NodeId(u64);

/// What a node of a whole block is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// None at the beginning of a conversation.
    pub parent: Option<NodeId>,
    /// None where the operator shares the tokens.
    pub tenant: Option<Tenant>,
    pub tokens: [TokenId; BLOCK_TOKENS],
}

/// What a node's block holds, and what it is found by.
#[derive(Debug)]
pub(super) enum Content {
    /// A whole block.
    Whole(Key),
    /// The last tokens of a sequence, less than a block. Nobody leases it.
    Tail { parent: Option<NodeId>, tenant: Tenant, tokens: Vec<TokenId> },
}

#[derive(Debug)]
pub(super) struct Node {
    pub content: Content,
    pub block: BlockId,
    /// Sequences that lease it.
    pub leases: usize,
    /// Its key in `idle` while there are none.
    pub last_used: u64,
    /// Nodes that follow it.
    pub children: usize,
    /// The conversation that used it last, if the caller named one.
    pub conversation: Option<ConversationId>,
    /// Its name on disk, once somebody asked for it.
    name: Option<BlockName>,
    /// Whether its block holds a draft model's keys and values too.
    pub has_draft_model: bool,
}

/// All nodes.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub nodes: HashMap<NodeId, Node>,
    by_tokens: HashMap<Key, NodeId>,
    /// Tails, by what they follow.
    tails: HashMap<(Option<NodeId>, Tenant), Vec<NodeId>>,
    /// Nodes that nobody leases, least recently used first.
    pub idle: BTreeMap<u64, NodeId>,
    next_node: u64,
    next_use: u64,
    /// How often a whole block was looked for.
    #[cfg(test)]
    lookups: std::cell::Cell<usize>,
}

impl Tree {
    /// The node of a whole block, if it is kept.
    pub fn find(&self, key: Option<Key>) -> Option<NodeId> {
        #[cfg(test)]
        self.lookups.set(self.lookups.get() + 1);
        self.get(&key?)
    }

    /// The same for a block that was just computed.
    pub fn get(&self, key: &Key) -> Option<NodeId> {
        self.by_tokens.get(key).copied()
    }

    pub fn is_leased(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.leases > 0)
    }

    pub fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.nodes[&id].parent()
    }

    pub fn set_has_draft_model(&mut self, id: NodeId, has_draft_model: bool) {
        self.nodes.get_mut(&id).expect("it was just found").has_draft_model = has_draft_model;
    }

    /// One more sequence leases a node; says which block it is.
    pub fn acquire(&mut self, id: NodeId) -> BlockId {
        let node = self.nodes.get_mut(&id).expect("a node that is found exists");
        if node.leases == 0 {
            self.idle.remove(&node.last_used);
        }
        node.leases += 1;
        node.block
    }

    /// One sequence less leases a node, which belongs to that one's conversation from now on.
    pub fn release(&mut self, id: NodeId, lease: &Lease) {
        let now = self.use_stamp();
        let node = self.nodes.get_mut(&id).expect("a leased node exists");
        node.leases -= 1;
        node.conversation = lease.origin.conversation;
        if node.leases == 0 {
            node.last_used = now;
            self.idle.insert(now, id);
        }
    }

    /// Adds a node that nobody leases yet.
    pub fn insert(&mut self, content: Content, block: BlockId, origin: Origin) -> NodeId {
        let id = NodeId(self.next_node);
        self.next_node += 1;
        let last_used = self.use_stamp();
        match &content {
            Content::Whole(key) => {
                self.by_tokens.insert(*key, id);
            }
            Content::Tail { parent, tenant, .. } => {
                self.tails.entry((*parent, *tenant)).or_default().push(id);
            }
        }
        let node = Node {
            content,
            block,
            leases: 0,
            last_used,
            children: 0,
            conversation: origin.conversation,
            name: None,
            has_draft_model: false,
        };
        if let Some(parent) = node.parent() {
            self.existing_parent(parent).children += 1;
        }
        self.nodes.insert(id, node);
        self.idle.insert(last_used, id);
        id
    }

    /// Removes a node that nobody leases and nothing follows; says which block is free now.
    pub fn unlink(&mut self, id: NodeId) -> BlockId {
        let node = self.nodes.remove(&id).expect("a node that is found exists");
        assert_eq!(node.leases, 0, "a leased node is in use");
        assert_eq!(node.children, 0, "a node with children is needed to find them");
        self.idle.remove(&node.last_used);
        if let Some(parent) = node.parent() {
            self.existing_parent(parent).children -= 1;
        }
        match node.content {
            Content::Whole(key) => {
                self.by_tokens.remove(&key);
            }
            Content::Tail { parent, tenant, .. } => {
                let siblings = self.tails.get_mut(&(parent, tenant)).expect("a tail is listed");
                siblings.retain(|sibling| *sibling != id);
                if siblings.is_empty() {
                    self.tails.remove(&(parent, tenant));
                }
            }
        }
        node.block
    }

    /// Removes the node that was used least recently; says which block is free now.
    pub fn evict(&mut self) -> BlockId {
        let (_, &id) = self.idle.first_key_value().expect("the blocks were counted");
        self.unlink(id)
    }

    /// Tails behind the blocks of a lease.
    pub fn tails_behind(&self, lease: &Lease) -> &[NodeId] {
        let place = (lease.nodes.last().copied(), lease.origin.tenant);
        self.tails.get(&place).map_or(&[], Vec::as_slice)
    }

    /// The tokens of a node.
    pub fn tokens(&self, id: NodeId) -> &[TokenId] {
        match &self.nodes[&id].content {
            Content::Tail { tokens, .. } => tokens,
            Content::Whole(key) => &key.tokens,
        }
    }

    /// The name of a whole block on disk.
    pub fn name(&mut self, id: NodeId, namer: &BlockNamer) -> BlockName {
        // A loop and not a recursion: a long conversation would need a deep stack.
        let mut nameless = vec![id];
        while let Some(parent) = self.parent(nameless[nameless.len() - 1])
            && self.nodes[&parent].name.is_none()
        {
            nameless.push(parent);
        }
        for id in nameless.into_iter().rev() {
            if self.nodes[&id].name.is_some() {
                continue;
            }
            let parent = self.parent(id).and_then(|parent| self.nodes[&parent].name);
            let Content::Whole(key) = &self.nodes[&id].content else {
                unreachable!("a tail has no name");
            };
            let name = namer.name(parent, key.tenant, &key.tokens);
            self.nodes.get_mut(&id).expect("it was just found").name = Some(name);
        }
        self.nodes[&id].name.expect("it was just given one")
    }

    /// Rebuilds everything from the leases there are; what nobody leases is dropped.
    pub fn rebuild(&mut self, leases: &[&Lease]) {
        let mut counts: HashMap<NodeId, usize> = HashMap::new();
        let leased = leases.iter().flat_map(|lease| &lease.nodes);
        leased.for_each(|id| *counts.entry(*id).or_default() += 1);
        self.nodes.retain(|id, node| {
            node.leases = counts.get(id).copied().unwrap_or_default();
            node.children = 0;
            node.leases > 0
        });
        let parents: Vec<NodeId> = self.nodes.values().filter_map(Node::parent).collect();
        for parent in parents {
            // A lease of a node is a lease of all nodes before it.
            if let Some(node) = self.nodes.get_mut(&parent) {
                node.children += 1;
            }
        }
        self.by_tokens.retain(|_, id| counts.contains_key(id));
        self.tails.clear();
        self.idle.clear();
    }

    fn existing_parent(&mut self, parent: NodeId) -> &mut Node {
        self.nodes.get_mut(&parent).expect("a parent stays as long as its children")
    }

    /// A number that is higher at every call: the least recently used node has the lowest.
    fn use_stamp(&mut self) -> u64 {
        self.next_use += 1;
        self.next_use
    }
}

impl Node {
    pub fn parent(&self) -> Option<NodeId> {
        match &self.content {
            Content::Whole(key) => key.parent,
            Content::Tail { parent, .. } => *parent,
        }
    }

    /// Its owner; none if the operator shares it.
    pub fn owner(&self) -> Option<Origin> {
        let tenant = match &self.content {
            Content::Whole(key) => key.tenant,
            Content::Tail { tenant, .. } => Some(*tenant),
        };
        tenant.map(|tenant| Origin { tenant, conversation: self.conversation })
    }
}

#[cfg(test)]
impl Tree {
    /// How often a whole block was looked for, in all.
    pub fn lookups(&self) -> usize {
        self.lookups.get()
    }

    /// How often anything was used, in all.
    pub fn uses(&self) -> u64 {
        self.next_use
    }

    /// Asserts that every node can be found and counts are right, if these are all leases there
    /// are.
    pub fn check(&self, leases: &[&Lease]) {
        for (id, node) in &self.nodes {
            let leased = leases.iter().filter(|lease| lease.nodes.contains(id)).count();
            assert_eq!(node.leases, leased, "{id:?} counts who leases it");
            let is_idle = self.idle.get(&node.last_used) == Some(id);
            assert_eq!(is_idle, leased == 0, "{id:?} can be evicted");
            let parent = match &node.content {
                Content::Whole(key) => {
                    assert_eq!(self.by_tokens.get(key), Some(id), "{id:?} is found");
                    key.parent
                }
                Content::Tail { parent, tenant, tokens } => {
                    assert!(self.tails[&(*parent, *tenant)].contains(id), "{id:?} is found");
                    assert!(!tokens.is_empty() && tokens.len() < BLOCK_TOKENS);
                    *parent
                }
            };
            let children = self.nodes.values().filter(|child| child.parent() == Some(*id)).count();
            assert_eq!(node.children, children, "{id:?} counts its children");
            let parent = parent.map(|parent| &self.nodes[&parent]);
            assert!(
                parent.is_none_or(|parent| parent.leases > 0 || parent.last_used > node.last_used)
            );
        }
        let is_whole = |node: &&Node| matches!(node.content, Content::Whole(_));
        let whole = self.nodes.values().filter(is_whole).count();
        assert_eq!(self.by_tokens.len(), whole, "only what exists is found");
        let tails = self.tails.values().map(Vec::len).sum::<usize>();
        assert_eq!(whole + tails, self.nodes.len(), "only what exists is found");
    }
}
