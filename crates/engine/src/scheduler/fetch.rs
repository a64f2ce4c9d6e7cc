//! Waiting for blocks from disk: a sequence that waits for its admission waits for these first.

use super::{Scheduler, Sequence, SequenceId};
use crate::kv_cache::block_name::{BlockName, BlockNamer};
use crate::kv_cache::{BLOCK_TOKENS, BlockId, Lease};
use crate::text::TokenId;

impl Scheduler {
    /// Lets a waiting sequence wait for blocks from disk too. Names those that are missing in
    /// memory, in order; none if memory has all.
    ///
    /// Whole blocks alone count: the half-filled tail of a shorter conversation that begins the
    /// same way must not hide what the disk has.
    pub fn begin_fetch(&mut self, id: SequenceId, namer: &BlockNamer) -> Vec<BlockName> {
        let sequence = self.waiting.iter_mut().find(|sequence| sequence.id == id);
        let sequence = sequence.expect("it waits");
        let mut lease = Lease::new(sequence.origin, sequence.shared_tokens);
        let computed = self.cache.adopt_blocks(&mut lease, &sequence.tokens);
        let names = self.cache.missing_names(&lease, &sequence.tokens, namer);
        if !names.is_empty() {
            sequence.fetched = Some(lease);
            return names;
        }
        self.cache.release(lease, &sequence.tokens, computed);
        Vec::new()
    }

    /// A block for what has come from disk next. None if these are not the tokens that were asked
    /// for, the sequence no longer waits for them, or no block is available.
    pub fn fetched_block(&mut self, id: SequenceId, tokens: &[TokenId]) -> Option<BlockId> {
        let sequence = self.waiting.iter_mut().find(|sequence| sequence.id == id)?;
        let lease = sequence.fetched.as_mut()?;
        let start = lease.blocks().len() * BLOCK_TOKENS;
        if sequence.tokens.get(start..start + BLOCK_TOKENS) != Some(tokens) {
            return None;
        }
        self.cache.grow(lease, lease.blocks().len() + 1).ok()?;
        lease.blocks().last().copied()
    }

    /// The block of [`Scheduler::fetched_block`] is filled: others may find it.
    pub fn settle_fetched(&mut self, id: SequenceId) {
        let sequence = self.waiting.iter_mut().find(|sequence| sequence.id == id);
        let Some(Sequence { tokens, fetched: Some(lease), .. }) = sequence else { return };
        self.cache.settle(lease, tokens, lease.blocks().len() * BLOCK_TOKENS);
    }

    /// Nothing more comes from disk for a sequence. From now on it can be admitted, and finds what
    /// has come. Says how many blocks nobody leases any longer.
    pub fn end_fetch(&mut self, id: SequenceId) -> usize {
        let Some(sequence) = self.waiting.iter_mut().find(|sequence| sequence.id == id) else {
            return 0;
        };
        let Some(lease) = sequence.fetched.take() else { return 0 };
        let computed = lease.settled_tokens();
        self.cache.release(lease, &sequence.tokens, computed)
    }

    /// Nothing comes from disk any more, for anybody.
    pub fn end_fetches(&mut self) {
        let ids: Vec<SequenceId> = self.waiting.iter().map(|sequence| sequence.id).collect();
        for id in ids {
            self.end_fetch(id);
        }
    }

    /// Whether a sequence waits for blocks from disk.
    pub fn is_fetching(&self) -> bool {
        self.waiting.iter().any(|sequence| sequence.fetched.is_some())
    }
}
