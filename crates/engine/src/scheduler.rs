//! Which tokens the next step computes.
//!
//! Pure bookkeeping: sequences and blocks go in, a plan comes out, no model and no clock. There is
//! no prefill phase and no decode phase. A sequence has tokens, of which the first so many are
//! computed; a step computes some of the others. The step that computes the last one yields logits,
//! from which one token more is chosen, and so on.
//!
//! Order of a step: [`Scheduler::admit`], [`Scheduler::plan`], compute, [`Scheduler::settle`] for
//! each span that was computed, [`Scheduler::finish`] for each sequence that ended.
//!
//! Invariants, checked after every step of the tests:
//! - Sequences run and wait in order of arrival, and whoever runs came before whoever waits.
//! - Every running sequence gets a row in every step, unless an older one computes the very tokens
//!   it needs next; the oldest is never sent back to wait. Lengths are finite, so nobody starves.
//! - A block is free, kept, or leased by running sequences; those that several lease are computed.
//!   Only `Running::release` gives back.
//! - A step has at most [`SchedulerLimits::step_tokens`] rows.
//!
//! Absent on purpose: fairness between people, drafts.

use std::collections::VecDeque;

use crate::kv_cache::{BLOCK_TOKENS, BlockCache, BlockId, Lease, Tenant, blocks_for};
use crate::text::TokenId;

/// The number of a sequence; a later arrival has a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(pub u64);

/// What a scheduler may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulerLimits {
    /// Blocks of the cache. At the limit the youngest sequence gives up its own and waits.
    pub total_blocks: usize,
    /// Sequences that run at once. At the limit later ones wait.
    pub max_sequences: usize,
    /// Rows of a step. At the limit prompts go on in the next step.
    pub step_tokens: usize,
}

/// A sequence to be computed.
#[derive(Clone, Debug)]
pub struct NewSequence {
    /// Its number, higher than any before.
    pub id: SequenceId,
    /// Tokens to begin with, at least one.
    pub prompt: Vec<TokenId>,
    /// Tokens that may be added, at least one.
    pub max_tokens: usize,
    /// Whose it is.
    pub tenant: Tenant,
    /// Tokens from the first on that the operator shares with every tenant.
    pub shared_tokens: usize,
}

/// A sequence whose prompt and answer need more blocks than there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sequence: expected at most {total_blocks} blocks, found {needed_blocks}")]
pub struct CannotFit {
    /// Blocks it would need.
    pub needed_blocks: usize,
    /// Blocks there are.
    pub total_blocks: usize,
}

/// Rows of one sequence that a step computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedSpan {
    /// Whose rows.
    pub id: SequenceId,
    /// Position of the first row.
    pub first_position: usize,
    /// How many rows.
    pub rows: usize,
    /// Whether the last row is the sequence's last token, so that the next one can be chosen.
    pub samples: bool,
}

/// What the runner needs to compute a span.
#[derive(Clone, Copy, Debug)]
pub struct SpanInput<'a> {
    /// Blocks of the sequence, from position 0.
    pub blocks: &'a [BlockId],
    /// Tokens of the span's rows.
    pub tokens: &'a [TokenId],
}

/// What a finished sequence leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// All its tokens, prompt and answer.
    pub tokens: Vec<TokenId>,
    /// Blocks that are free again.
    pub blocks_freed: usize,
}

/// Decides what each step computes.
#[derive(Debug)]
pub struct Scheduler {
    limits: SchedulerLimits,
    cache: BlockCache,
    waiting: VecDeque<Sequence>,
    running: Vec<Running>,
}

/// A sequence without blocks.
#[derive(Debug)]
struct Sequence {
    id: SequenceId,
    tokens: Vec<TokenId>,
    /// Prompt and the longest answer together.
    longest: usize,
    tenant: Tenant,
    shared_tokens: usize,
    /// Tokens that were found in the cache before any was computed for it; none before it ran.
    cached_tokens: Option<usize>,
}

/// A sequence with blocks, of which some tokens are computed.
#[derive(Debug)]
struct Running {
    sequence: Sequence,
    lease: Lease,
    computed: usize,
}

/// Answer tokens that an admission reserves blocks for, so that a sequence just admitted is not
/// the first to give up its blocks again.
const RESERVED_ANSWER_TOKENS: usize = 64;

/// The fewest rows of prompts in a step: fewer cost nearly the same, because the weights are read
/// for one row as for sixteen.
pub const MIN_PROMPT_ROWS: usize = 16;

impl SchedulerLimits {
    /// Whether a sequence can ever be computed.
    ///
    /// Errors: the blocks it would need, if that is more than there are.
    pub fn check_fits(&self, prompt_tokens: usize, max_tokens: usize) -> Result<(), CannotFit> {
        let needed_blocks = blocks_for(prompt_tokens.saturating_add(max_tokens));
        if needed_blocks <= self.total_blocks {
            return Ok(());
        }
        Err(CannotFit { needed_blocks, total_blocks: self.total_blocks })
    }
}

impl Scheduler {
    /// A scheduler without sequences.
    ///
    /// Panics unless a step has room for a row of every sequence and a piece of a prompt.
    pub fn new(limits: SchedulerLimits) -> Scheduler {
        assert!(limits.max_sequences > 0, "at least one sequence can run");
        assert!(
            limits.step_tokens >= limits.max_sequences + MIN_PROMPT_ROWS,
            "{limits:?} leaves no room for a prompt beside the answers"
        );
        Scheduler {
            limits,
            cache: BlockCache::new(limits.total_blocks),
            waiting: VecDeque::new(),
            running: Vec::with_capacity(limits.max_sequences),
        }
    }

    /// Lets a sequence wait for its admission.
    ///
    /// Errors: it can never fit.
    /// Panics if it has no prompt, may add nothing, or is numbered out of turn.
    pub fn submit(&mut self, new: NewSequence) -> Result<(), CannotFit> {
        assert!(
            !new.prompt.is_empty() && new.max_tokens > 0,
            "a sequence has something to compute"
        );
        let last = self.waiting.back().or(self.running.last().map(|running| &running.sequence));
        assert!(last.is_none_or(|last| last.id < new.id), "{:?} is numbered out of turn", new.id);
        self.limits.check_fits(new.prompt.len(), new.max_tokens)?;
        let longest = new.prompt.len() + new.max_tokens;
        let mut tokens = new.prompt;
        tokens.reserve_exact(new.max_tokens);
        let (tenant, shared_tokens) = (new.tenant, new.shared_tokens);
        let sequence =
            Sequence { id: new.id, tokens, longest, tenant, shared_tokens, cached_tokens: None };
        self.waiting.push_back(sequence);
        Ok(())
    }

    /// Gives blocks to those who wait, in order of arrival, while there are enough, and adds them
    /// to `admitted`; a sequence that had to give up its blocks is admitted again. What the cache keeps
    /// of their tokens they do not compute.
    pub fn admit(&mut self, admitted: &mut Vec<SequenceId>) {
        while self.running.len() < self.limits.max_sequences
            && let Some(first) = self.waiting.front()
        {
            let reserved = (first.tokens.len() + RESERVED_ANSWER_TOKENS).min(first.longest);
            let mut lease = Lease::new(first.tenant, first.shared_tokens);
            let computed = self.cache.adopt(&mut lease, &first.tokens, 0);
            if self.cache.grow(&mut lease, blocks_for(reserved)).is_err() {
                self.cache.release(lease, &first.tokens, computed);
                return;
            }
            let mut sequence = self.waiting.pop_front().expect("the front was just looked at");
            sequence.cached_tokens.get_or_insert(computed);
            admitted.push(sequence.id);
            self.running.push(Running { sequence, lease, computed });
        }
    }

    /// Fills `plan` with the rows of the next step: the one missing row of each sequence that is
    /// otherwise computed, and up to `prompt_rows` rows of the others in equal shares; what a short
    /// one leaves goes to the oldest. Whoever needs tokens next that an older one computes gets none,
    /// and has them when they are there.
    ///
    /// When blocks run out, the youngest sequences give up theirs and wait.
    pub fn plan(&mut self, prompt_rows: usize, plan: &mut Vec<PlannedSpan>) {
        plan.clear();
        self.catch_up();
        self.grow_or_give_up();
        let planned: Vec<usize> =
            (0..self.running.len()).filter(|index| !self.waits_for_older(*index)).collect();
        let is_single = |index: &&usize| self.running[**index].missing() == 1;
        let single_rows = planned.iter().filter(is_single).count();
        let prompts = planned.len() - single_rows;
        let room = self.limits.step_tokens - single_rows;
        let mut left = prompt_rows.max(MIN_PROMPT_ROWS).max(prompts).min(room);
        // A long prompt must not keep a short one that came later from its first word.
        let share = left / prompts.max(1);
        for running in planned.iter().map(|index| &self.running[*index]) {
            let rows = match running.missing() {
                1 => 1,
                missing => missing.min(share).min(left),
            };
            left -= if running.missing() == 1 { 0 } else { rows };
            plan.push(running.span(rows));
        }
        self.hand_out_rest(left, plan);
    }

    /// What the runner needs to compute `span` of the current plan.
    pub fn input(&self, span: &PlannedSpan) -> SpanInput<'_> {
        let running = &self.running[self.index_of(span.id)];
        let last = span.first_position + span.rows;
        SpanInput {
            blocks: running.lease.blocks(),
            tokens: &running.sequence.tokens[span.first_position..last],
        }
    }

    /// Takes note that `span` is computed in all layers, and of the token chosen after it.
    ///
    /// Only from here on may anyone rely on what the step wrote into the blocks.
    pub fn settle(&mut self, span: &PlannedSpan, token: Option<TokenId>) {
        let index = self.index_of(span.id);
        let running = &mut self.running[index];
        assert_eq!(running.computed, span.first_position, "{:?} settles in order", span.id);
        running.computed += span.rows;
        self.cache.settle(&mut running.lease, &running.sequence.tokens, running.computed);
        if let Some(token) = token {
            assert!(span.samples, "only the logits of the last token yield a token");
            assert!(
                running.sequence.tokens.len() < running.sequence.longest,
                "no room was planned"
            );
            running.sequence.tokens.push(token);
        }
    }

    /// Ends a sequence, wherever it is, and gives back its blocks; what was computed is kept for others
    /// as long as there is room.
    ///
    /// Panics if there is no such sequence: each ends once.
    pub fn finish(&mut self, id: SequenceId) -> Ended {
        if let Some(index) = self.waiting.iter().position(|sequence| sequence.id == id) {
            let sequence = self.waiting.remove(index).expect("the index was just found");
            return Ended { tokens: sequence.tokens, blocks_freed: 0 };
        }
        let index = self.index_of(id);
        let released = self.running.remove(index).release(&mut self.cache);
        Ended { tokens: released.sequence.tokens, blocks_freed: released.blocks }
    }

    /// Those who wait, in order.
    pub fn waiting(&self) -> impl ExactSizeIterator<Item = SequenceId> {
        self.waiting.iter().map(|sequence| sequence.id)
    }

    /// Those who run, in order of arrival.
    pub fn running(&self) -> impl ExactSizeIterator<Item = SequenceId> {
        self.running.iter().map(|running| running.sequence.id)
    }

    /// Tokens of a running sequence that it did not have to compute.
    pub fn cached_tokens(&self, id: SequenceId) -> usize {
        self.running[self.index_of(id)].sequence.cached_tokens.unwrap_or_default()
    }

    /// Whether a running sequence lacks just one token: someone waits for the next word.
    pub fn has_single_rows(&self) -> bool {
        self.running.iter().any(|running| running.missing() == 1)
    }

    /// Blocks that no sequence leases.
    pub fn free_blocks(&self) -> usize {
        self.cache.available_blocks()
    }

    /// What this scheduler may use.
    pub fn limits(&self) -> &SchedulerLimits {
        &self.limits
    }

    /// Gives every running sequence what others have computed of its next tokens meanwhile.
    fn catch_up(&mut self) {
        for Running { sequence, lease, computed } in &mut self.running {
            let before = *computed;
            *computed = self.cache.adopt(lease, &sequence.tokens, before);
            if let Some(cached) = &mut sequence.cached_tokens
                && *cached == before
            {
                *cached = *computed;
            }
        }
    }

    /// Whether an older sequence computes the very tokens that this one needs next.
    fn waits_for_older(&self, index: usize) -> bool {
        let behind = &self.running[index];
        behind.missing() > 1
            && behind.computed.is_multiple_of(BLOCK_TOKENS)
            && self.running[..index].iter().any(|ahead| {
                let tokens = &ahead.sequence.tokens;
                ahead.lease.is_ahead(tokens, &behind.lease, &behind.sequence.tokens)
            })
    }

    /// Makes sure that every running sequence has blocks for all its tokens, the oldest first.
    fn grow_or_give_up(&mut self) {
        let mut index = 0;
        while index < self.running.len() {
            let running = &mut self.running[index];
            let needed = blocks_for(running.sequence.tokens.len());
            if self.cache.grow(&mut running.lease, needed).is_ok() {
                index += 1;
                continue;
            }
            assert!(self.running.len() > 1, "a sequence that was admitted fits alone");
            let youngest = self.running.pop().expect("the list is not empty");
            self.waiting.push_front(youngest.release(&mut self.cache).sequence);
        }
    }

    /// Gives rows that the shares left over to the prompts in the plan, the oldest first.
    fn hand_out_rest(&self, mut left: usize, plan: &mut [PlannedSpan]) {
        for span in plan {
            if left == 0 {
                return;
            }
            let running = &self.running[self.index_of(span.id)];
            let more = (running.missing() - span.rows).min(left);
            left -= more;
            *span = running.span(span.rows + more);
        }
    }

    fn index_of(&self, id: SequenceId) -> usize {
        let found = self.running.iter().position(|running| running.sequence.id == id);
        found.unwrap_or_else(|| panic!("{id:?} is not running"))
    }
}

/// A sequence that no longer has blocks.
struct Released {
    sequence: Sequence,
    blocks: usize,
}

impl Running {
    /// The one way by which blocks go back.
    fn release(self, cache: &mut BlockCache) -> Released {
        let blocks = cache.release(self.lease, &self.sequence.tokens, self.computed);
        Released { sequence: self.sequence, blocks }
    }

    /// Tokens still to compute: at least one, as every settled last token adds one or ends it.
    fn missing(&self) -> usize {
        self.sequence.tokens.len() - self.computed
    }

    fn span(&self, rows: usize) -> PlannedSpan {
        PlannedSpan {
            id: self.sequence.id,
            first_position: self.computed,
            rows,
            samples: rows == self.missing(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
