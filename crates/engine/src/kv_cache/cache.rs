//! The blocks there are: free, in use, or kept for whoever begins with the same tokens.
//!
//! What is kept is a tree. A node is a block whose tokens are computed in all layers; its parent
//! holds the tokens before them. A sequence that begins as an earlier one did finds the nodes on its
//! way and leases them; several lease one node at once, and nobody writes into it. Tokens themselves
//! are compared, so a hit is never a mistake. What nobody leases is let go when blocks are needed,
//! least recently used first, and a node's children before it.
//!
//! The end of a sequence seldom fills a block. It is kept too, and whoever goes on from there takes the
//! block out of the tree and fills it up.
//!
//! A node belongs to the conversation that used it last. Forgetting a conversation removes its
//! nodes; one that another conversation goes on from becomes the other's, which begins with the
//! same tokens.
//!
//! Absent on purpose: hashes of prefixes. They would save comparing what is compared anyway.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::BLOCK_TOKENS;
use super::chain::{BlockName, Chain};
use super::disk::Unsaved;
use crate::faults::{self, Fault};
use crate::origin::{ConversationId, Origin, Tenant};
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
    nodes: HashMap<NodeId, Node>,
    /// Nodes of whole blocks, by what they are found by.
    by_tokens: HashMap<Key, NodeId>,
    /// Nodes of less than a block, by what they follow. Nobody leases them.
    ends: HashMap<(Option<NodeId>, Tenant), Vec<NodeId>>,
    /// Nodes that nobody leases, least recently used first.
    idle: BTreeMap<u64, NodeId>,
    /// Nodes that somebody has given back and that may be kept on disk. Some may be gone.
    given_back: VecDeque<NodeId>,
    /// Whether anybody takes from `given_back`.
    has_disk: bool,
    next_node: u64,
    next_turn: u64,
    /// How often a whole block was looked for.
    #[cfg(test)]
    lookups: std::cell::Cell<usize>,
}

/// The blocks of one sequence, in order of position: first nodes, then blocks of its own.
///
/// They go back through [`BlockCache::release`] only; dropping a lease that still has blocks would
/// lose them, and panics.
#[derive(Debug)]
pub struct Lease {
    origin: Origin,
    /// Tokens from the first on that the operator shares with everyone.
    shared_tokens: usize,
    /// Nobody has sent it yet: it must leave nothing on disk.
    is_draft: bool,
    /// Tokens from the first on whose keys and values a draft model has in these blocks.
    known_to_model: usize,
    nodes: Vec<NodeId>,
    blocks: Vec<BlockId>,
}

/// How far a sequence without blocks would go along those that others lease; it leases nothing itself.
#[derive(Debug)]
pub struct LeasedPath(Lease);

/// The number of a node, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct NodeId(u64);

/// What a node of a whole block is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// None at the beginning of a conversation.
    parent: Option<NodeId>,
    /// None where the operator shares the tokens.
    tenant: Option<Tenant>,
    tokens: [TokenId; BLOCK_TOKENS],
}

#[derive(Debug)]
struct Node {
    place: Place,
    block: BlockId,
    /// Sequences that lease it.
    leases: usize,
    /// Its place in `idle` while there are none.
    turn: u64,
    /// Nodes that follow it.
    children: usize,
    /// The conversation that used it last, if the caller named it.
    conversation: Option<ConversationId>,
    /// What it is called on disk, once somebody asked.
    name: Option<BlockName>,
    /// Whether its block holds a draft model's keys and values too.
    is_known_to_model: bool,
}

/// Where a node is in the tree.
#[derive(Debug)]
enum Place {
    Whole(Key),
    End { parent: Option<NodeId>, tenant: Tenant, tokens: Vec<TokenId> },
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
            nodes: HashMap::new(),
            by_tokens: HashMap::new(),
            ends: HashMap::new(),
            idle: BTreeMap::new(),
            given_back: VecDeque::new(),
            has_disk: false,
            next_node: 0,
            next_turn: 0,
            #[cfg(test)]
            lookups: std::cell::Cell::new(0),
        }
    }

    /// Blocks that no sequence leases: those that are free, and those that can be let go.
    pub fn available_blocks(&self) -> usize {
        self.free.len() + self.idle.len()
    }

    /// All blocks.
    pub fn total_blocks(&self) -> usize {
        self.total_blocks
    }

    /// Leases what is kept of `tokens` behind the first `computed`, and says how many are computed
    /// then: never all of them.
    ///
    /// Whole blocks are looked for only where `computed` ends one.
    pub fn adopt(&mut self, lease: &mut Lease, tokens: &[TokenId], computed: usize) -> usize {
        if !lease.has_nodes_only(computed) {
            return computed;
        }
        let computed = self.adopt_blocks(lease, tokens);
        let rest = useful(tokens).get(computed..).unwrap_or_default();
        let Some((end, common)) = self.longest_end(lease, rest) else { return computed };
        if lease.known_to_model == computed && self.nodes[&end].is_known_to_model {
            lease.known_to_model += common;
        }
        let block = self.remove(end);
        self.put(lease, block);
        computed + common
    }

    /// The same with whole blocks alone, for a lease that has nothing else yet.
    pub fn adopt_blocks(&mut self, lease: &mut Lease, tokens: &[TokenId]) -> usize {
        let useful = useful(tokens);
        let mut computed = lease.settled_tokens();
        while let Some(node) = self.find(lease.key(useful, computed)) {
            let block = self.take(node);
            self.put(lease, block);
            lease.nodes.push(node);
            if lease.known_to_model == computed && self.nodes[&node].is_known_to_model {
                lease.known_to_model += BLOCK_TOKENS;
            }
            computed += BLOCK_TOKENS;
        }
        computed
    }

    /// How many of the blocks that a sequence would adopt others lease already, so that they take none
    /// of those available.
    ///
    /// `path` is the way there as far as it was found before, so that asking again and again costs
    /// little: those blocks are the first of a sequence, because who leases one leases all before it.
    pub fn leased_by_others(&self, path: &mut LeasedPath, tokens: &[TokenId]) -> usize {
        let is_leased = |id: &NodeId| self.nodes.get(id).is_some_and(|node| node.leases > 0);
        let LeasedPath(way) = path;
        while way.nodes.last().is_some_and(|last| !is_leased(last)) {
            way.nodes.pop();
        }
        let useful = useful(tokens);
        while let Some(next) =
            self.find(way.key(useful, way.settled_tokens())).filter(|next| is_leased(next))
        {
            way.nodes.push(next);
        }
        way.nodes.len()
    }

    /// Lengthens a lease to at least `blocks` blocks, letting go of what nobody leases if need be, or
    /// changes nothing if there are too few.
    ///
    /// Errors: there are too few.
    pub fn grow(&mut self, lease: &mut Lease, blocks: usize) -> Result<(), OutOfBlocks> {
        let missing = blocks.saturating_sub(lease.blocks.len());
        if missing > self.available_blocks() {
            return Err(OutOfBlocks);
        }
        for _ in 0..missing {
            let block = self.free.pop().unwrap_or_else(|| self.let_go());
            lease.blocks.push(block);
        }
        Ok(())
    }

    /// Lets others find the whole blocks of the first `computed` tokens. Only now may anyone rely on
    /// what a step wrote.
    ///
    /// Where another sequence has computed the same meanwhile, its block takes the place of this
    /// one's, which holds the same bits.
    pub fn settle(&mut self, lease: &mut Lease, tokens: &[TokenId], computed: usize) {
        while let Some(key) = lease.key(&tokens[..computed], lease.nodes.len() * BLOCK_TOKENS) {
            let index = lease.nodes.len();
            let node = match self.by_tokens.get(&key).copied() {
                Some(node) => {
                    let block = self.take(node);
                    faults::pass(Fault::Lease);
                    self.put(lease, block);
                    if !self.nodes[&node].is_known_to_model {
                        lease.known_to_model = lease.known_to_model.min(index * BLOCK_TOKENS);
                    }
                    node
                }
                None => {
                    let node = self.insert(Place::Whole(key), lease.blocks[index], lease.origin);
                    self.by_tokens.insert(key, node);
                    self.take(node);
                    faults::pass(Fault::Lease);
                    let is_known = lease.known_to_model >= (index + 1) * BLOCK_TOKENS;
                    self.set_known_to_model(node, is_known);
                    node
                }
            };
            lease.nodes.push(node);
        }
    }

    /// Takes note that a draft model's keys and values of the first `tokens` tokens are in a lease's blocks.
    pub fn know_to_model(&mut self, lease: &mut Lease, tokens: usize) {
        lease.known_to_model = tokens;
        for node in lease.nodes.iter().take(tokens / BLOCK_TOKENS) {
            self.set_known_to_model(*node, true);
        }
    }

    /// Takes back a lease. What is computed of its tokens is kept for others; says how many of its
    /// blocks nobody leases any longer.
    pub fn release(&mut self, mut lease: Lease, tokens: &[TokenId], computed: usize) -> usize {
        self.settle(&mut lease, tokens, computed);
        let before = self.available_blocks();
        let mut own = lease.blocks.split_off(lease.nodes.len());
        let rest = &tokens[lease.nodes.len() * BLOCK_TOKENS..computed];
        if !rest.is_empty() {
            let block = own.remove(0);
            self.keep_end(&lease, rest, block);
        }
        // From the last to the first, so that the next owner gets them in the same order.
        self.free.extend(own.into_iter().rev());
        // A parent comes after its children, so that it is let go after them.
        let first_given_back = self.given_back.len();
        for node in std::mem::take(&mut lease.nodes).into_iter().rev() {
            self.give_back(node, &lease);
            faults::pass(Fault::Release);
        }
        // Parents are kept before their children, which are found behind them only.
        self.given_back.make_contiguous()[first_given_back..].reverse();
        lease.blocks.clear();
        self.available_blocks() - before
    }

    /// Whether leases can be what they say: their first blocks are those of nodes, and no block is in two
    /// of them otherwise.
    pub fn are_sound(&self, leases: &[&Lease]) -> bool {
        let mut own = HashSet::new();
        let is_node = |(id, block): (&NodeId, &BlockId)| {
            self.nodes.get(id).is_some_and(|node| node.block == *block)
        };
        let of_nodes: HashSet<&BlockId> =
            leases.iter().flat_map(|lease| &lease.blocks[..lease.nodes.len()]).collect();
        leases.iter().all(|lease| {
            let mut behind = lease.blocks[lease.nodes.len()..].iter();
            lease.nodes.iter().zip(&lease.blocks).all(is_node)
                && behind.all(|block| !of_nodes.contains(block) && own.insert(*block))
        })
    }

    /// Makes the books right after a panic in the middle of a change: nothing is believed but `leases`,
    /// which are all there are and sound. What nobody leases is no longer kept.
    pub fn mend(&mut self, leases: &[&Lease]) {
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
            // Whoever leases a node leases all before it.
            if let Some(node) = self.nodes.get_mut(&parent) {
                node.children += 1;
            }
        }
        self.by_tokens.retain(|_, id| counts.contains_key(id));
        self.ends.clear();
        self.idle.clear();
        self.given_back.clear();
        let taken: HashSet<BlockId> =
            leases.iter().flat_map(|lease| lease.blocks.clone()).collect();
        let all = (0..self.total_blocks as u32).rev().map(BlockId);
        self.free = all.filter(|block| !taken.contains(block)).collect();
    }

    /// Whether [`BlockCache::next_given_back`] is asked from now on.
    pub fn set_disk(&mut self, has_disk: bool) {
        self.has_disk = has_disk;
        self.given_back.clear();
    }

    /// Whether anything was given back since it was asked last.
    pub fn has_given_back(&self) -> bool {
        !self.given_back.is_empty()
    }

    /// The next whole block that somebody has given back.
    pub fn next_given_back(&mut self, chain: &Chain) -> Option<Unsaved> {
        loop {
            let id = self.given_back.pop_front()?;
            if !self.nodes.contains_key(&id) {
                continue;
            }
            let name = self.name(id, chain);
            let parent = self.parent(id).map(|parent| self.name(parent, chain));
            let node = &self.nodes[&id];
            let Place::Whole(Key { tokens, .. }) = node.place else { continue };
            let (owner, block) = (node.owner(), node.block);
            return Some(Unsaved { name, parent, owner, tokens, block });
        }
    }

    /// Names of the whole blocks of `tokens` that follow those a lease has, as far as they could be
    /// adopted.
    pub fn missing_names(
        &mut self,
        lease: &Lease,
        tokens: &[TokenId],
        chain: &Chain,
    ) -> Vec<BlockName> {
        let mut parent = lease.nodes.last().copied().map(|last| self.name(last, chain));
        let start = lease.nodes.len() * BLOCK_TOKENS;
        let blocks = useful(tokens).get(start..).unwrap_or_default().as_chunks().0;
        let names = blocks.iter().enumerate().map(|(index, tokens)| {
            let tenant = lease.tenant_at(start + index * BLOCK_TOKENS);
            let name = chain.name(parent, tenant, tokens);
            parent = Some(name);
            name
        });
        names.collect()
    }

    /// Forgets what belongs to a conversation, or to a whole tenant. What somebody leases stays,
    /// and so does what comes before a node that stays: that becomes the property of its
    /// conversation.
    pub fn forget(&mut self, meant: &Origin) {
        let mut ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        // Children have higher numbers than their parents, so they are looked at first.
        ids.sort_unstable_by(|a, b| b.cmp(a));
        let mut heirs: HashMap<NodeId, Option<ConversationId>> = HashMap::new();
        for id in ids {
            let node = self.nodes.get_mut(&id).expect("nobody has removed it");
            if node.owner().is_some_and(|owner| owner.is_within(meant)) {
                if node.leases == 0 && node.children == 0 {
                    let block = self.remove(id);
                    self.free.push(block);
                    continue;
                }
                if let Some(heir) = heirs.get(&id) {
                    node.conversation = *heir;
                }
            }
            let conversation = node.conversation;
            if let Some(parent) = self.parent(id) {
                heirs.insert(parent, conversation);
            }
        }
    }

    /// What a whole block is called outside of memory.
    fn name(&mut self, id: NodeId, chain: &Chain) -> BlockName {
        // From the first ancestor that has a name on, so that a long conversation needs no deep stack.
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
            let Place::Whole(key) = &self.nodes[&id].place else {
                unreachable!("the end of a conversation has no name");
            };
            let name = chain.name(parent, key.tenant, &key.tokens);
            self.nodes.get_mut(&id).expect("it was just found").name = Some(name);
        }
        self.nodes[&id].name.expect("it was just given one")
    }

    fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.nodes[&id].parent()
    }

    /// The node of a whole block, if it is kept.
    fn find(&self, key: Option<Key>) -> Option<NodeId> {
        #[cfg(test)]
        self.lookups.set(self.lookups.get() + 1);
        self.by_tokens.get(&key?).copied()
    }

    /// Puts a block of the tree where a lease has its next own one, or has none yet.
    fn put(&mut self, lease: &mut Lease, block: BlockId) {
        match lease.blocks.get_mut(lease.nodes.len()) {
            Some(place) => self.free.push(std::mem::replace(place, block)),
            None => lease.blocks.push(block),
        }
    }

    /// One more sequence leases a node.
    fn take(&mut self, id: NodeId) -> BlockId {
        let node = self.nodes.get_mut(&id).expect("a node that is found exists");
        if node.leases == 0 {
            self.idle.remove(&node.turn);
        }
        node.leases += 1;
        node.block
    }

    /// One sequence less does.
    fn give_back(&mut self, id: NodeId, lease: &Lease) {
        let turn = self.turn();
        let node = self.nodes.get_mut(&id).expect("a leased node exists");
        node.leases -= 1;
        node.conversation = lease.origin.conversation;
        if node.leases == 0 {
            node.turn = turn;
            self.idle.insert(turn, id);
        }
        // While the disk does not come along, what is given back next is left out.
        if self.has_disk && !lease.is_draft && self.given_back.len() < self.total_blocks {
            self.given_back.push_back(id);
        }
    }

    /// A node that nobody leases yet.
    fn insert(&mut self, place: Place, block: BlockId, origin: Origin) -> NodeId {
        let id = NodeId(self.next_node);
        self.next_node += 1;
        let turn = self.turn();
        let node = Node {
            place,
            block,
            leases: 0,
            turn,
            children: 0,
            conversation: origin.conversation,
            name: None,
            is_known_to_model: false,
        };
        if let Some(parent) = node.parent() {
            self.nodes
                .get_mut(&parent)
                .expect("a parent stays as long as its children")
                .children += 1;
        }
        self.nodes.insert(id, node);
        self.idle.insert(turn, id);
        id
    }

    /// Takes a node that nobody leases out of the tree.
    fn remove(&mut self, id: NodeId) -> BlockId {
        let node = self.nodes.remove(&id).expect("a node that is found exists");
        assert_eq!(node.leases, 0, "a leased node is in use");
        assert_eq!(node.children, 0, "a node with children is needed to find them");
        self.idle.remove(&node.turn);
        if let Some(parent) = node.parent() {
            self.nodes
                .get_mut(&parent)
                .expect("a parent stays as long as its children")
                .children -= 1;
        }
        match node.place {
            Place::Whole(key) => {
                self.by_tokens.remove(&key);
            }
            Place::End { parent, tenant, .. } => {
                let siblings = self.ends.get_mut(&(parent, tenant)).expect("an end is listed");
                siblings.retain(|sibling| *sibling != id);
                if siblings.is_empty() {
                    self.ends.remove(&(parent, tenant));
                }
            }
        }
        node.block
    }

    /// Lets go of what was used least recently.
    fn let_go(&mut self) -> BlockId {
        let (_, &id) = self.idle.first_key_value().expect("the blocks were counted");
        self.remove(id)
    }

    /// The end that has the most tokens in common with `tokens`, and how many.
    fn longest_end(&self, lease: &Lease, tokens: &[TokenId]) -> Option<(NodeId, usize)> {
        let ends = self.ends.get(&(lease.nodes.last().copied(), lease.origin.tenant))?;
        let common = |id: &NodeId| {
            let end = self.end_tokens(*id);
            end.iter().zip(tokens).take_while(|(a, b)| a == b).count()
        };
        let longest = ends.iter().map(|id| (*id, common(id))).max_by_key(|(_, common)| *common);
        longest.filter(|(_, common)| *common > 0)
    }

    fn end_tokens(&self, id: NodeId) -> &[TokenId] {
        match &self.nodes[&id].place {
            Place::End { tokens, .. } => tokens,
            Place::Whole(key) => &key.tokens,
        }
    }

    /// Keeps the end of a sequence, unless a longer one that begins so is kept; one that this begins
    /// with is let go.
    fn keep_end(&mut self, lease: &Lease, tokens: &[TokenId], block: BlockId) {
        let (parent, tenant) = (lease.nodes.last().copied(), lease.origin.tenant);
        let ends = self.ends.get(&(parent, tenant)).cloned().unwrap_or_default();
        if ends.iter().any(|id| self.end_tokens(*id).starts_with(tokens)) {
            self.free.push(block);
            return;
        }
        for id in ends {
            if tokens.starts_with(self.end_tokens(id)) {
                let block = self.remove(id);
                self.free.push(block);
            }
        }
        let place = Place::End { parent, tenant, tokens: tokens.to_vec() };
        let id = self.insert(place, block, lease.origin);
        let end = lease.nodes.len() * BLOCK_TOKENS + tokens.len();
        self.set_known_to_model(id, lease.known_to_model >= end);
        self.ends.entry((parent, tenant)).or_default().push(id);
    }

    fn set_known_to_model(&mut self, id: NodeId, is_known: bool) {
        self.nodes.get_mut(&id).expect("it was just found").is_known_to_model = is_known;
    }

    fn turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }
}

impl Node {
    fn parent(&self) -> Option<NodeId> {
        match &self.place {
            Place::Whole(key) => key.parent,
            Place::End { parent, .. } => *parent,
        }
    }

    /// Whose it is; nobody's if the operator shares it.
    fn owner(&self) -> Option<Origin> {
        let tenant = match &self.place {
            Place::Whole(key) => key.tenant,
            Place::End { tenant, .. } => Some(*tenant),
        };
        tenant.map(|tenant| Origin { tenant, conversation: self.conversation })
    }
}

impl LeasedPath {
    /// The beginning of the path of a tenant's sequence, of whose tokens the operator shares the first
    /// `shared_tokens` with everyone.
    pub fn new(origin: Origin, shared_tokens: usize) -> LeasedPath {
        LeasedPath(Lease::new(origin, shared_tokens))
    }
}

impl Lease {
    /// A lease of nothing yet. Of its tokens, the first `shared_tokens` are the operator's, who shares
    /// them with everyone.
    pub fn new(origin: Origin, shared_tokens: usize) -> Lease {
        let (nodes, blocks) = (Vec::new(), Vec::new());
        let (is_draft, known_to_model) = (false, 0);
        Lease { origin, shared_tokens, is_draft, known_to_model, nodes, blocks }
    }

    /// The same for what nobody has sent yet: what it computes is kept in memory only.
    pub fn of_draft(origin: Origin, shared_tokens: usize) -> Lease {
        let mut lease = Lease::new(origin, shared_tokens);
        lease.is_draft = true;
        lease
    }

    /// The blocks, in order of position.
    pub fn blocks(&self) -> &[BlockId] {
        &self.blocks
    }

    /// Tokens from the first on that a draft model knows.
    pub fn known_to_model(&self) -> usize {
        self.known_to_model
    }

    /// What a draft model knows behind the first `tokens` tokens is no longer true.
    pub fn forget_of_model(&mut self, tokens: usize) {
        self.known_to_model = self.known_to_model.min(tokens);
    }

    /// Gives up its blocks without giving them back: [`BlockCache::mend`] finds them.
    pub fn write_off(mut self) {
        self.blocks.clear();
    }

    /// Tokens of its blocks that others can find.
    pub fn settled_tokens(&self) -> usize {
        self.nodes.len() * BLOCK_TOKENS
    }

    /// Whether the sequence of this lease and these tokens computes the block that `behind` can adopt
    /// next: all before that is the same, and so are the block's tokens.
    pub fn is_ahead(&self, tokens: &[TokenId], behind: &Lease, behind_tokens: &[TokenId]) -> bool {
        let done = behind.nodes.len();
        let has_the_same = self.nodes.get(..done) == Some(&behind.nodes);
        let wanted = behind.key(useful(behind_tokens), done * BLOCK_TOKENS);
        has_the_same
            && wanted.is_some()
            && self.key_after(behind.nodes.last().copied(), tokens, done * BLOCK_TOKENS) == wanted
    }

    /// Whether the first `computed` tokens are whole blocks that are in the tree.
    fn has_nodes_only(&self, computed: usize) -> bool {
        computed == self.nodes.len() * BLOCK_TOKENS
    }

    /// What the block of the tokens from `start` on is found by, if it is whole.
    fn key(&self, tokens: &[TokenId], start: usize) -> Option<Key> {
        self.key_after(self.nodes.last().copied(), tokens, start)
    }

    fn key_after(&self, parent: Option<NodeId>, tokens: &[TokenId], start: usize) -> Option<Key> {
        let tokens = *tokens.get(start..)?.first_chunk()?;
        Some(Key { parent, tenant: self.tenant_at(start), tokens })
    }

    /// Whose the block of the tokens from `start` on is: nobody's if the operator shares it.
    fn tenant_at(&self, start: usize) -> Option<Tenant> {
        let is_shared = start + BLOCK_TOKENS <= self.shared_tokens;
        (!is_shared).then_some(self.origin.tenant)
    }
}

/// What may be adopted of a sequence's tokens: logits come from computing the last one.
fn useful(tokens: &[TokenId]) -> &[TokenId] {
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

#[cfg(test)]
mod tests;
