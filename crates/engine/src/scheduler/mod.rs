//! Which tokens the next step computes.
//!
//! Pure bookkeeping: sequences and blocks go in, a plan comes out, no model and no clock. There is
//! no prefill phase and no decode phase. A sequence is a list of tokens, and a number of them is
//! computed:
//!
//! ```text
//!  tokens    [ t t t t t t t t t t t t ]
//!  computed  ├─────────────────┤
//!                               ├─────┤ missing: a step computes some of these
//! ```
//!
//! The step that computes the last token yields logits. A token is chosen from them and added to
//! the list, and so on. *Prefill* and *decode* only say how many tokens are missing: several, or
//! the last one.
//!
//! - `admission`: who gets blocks next, and who gives them up.
//! - `plan`: how many rows each sequence has in a step, guesses too.
//! - `fetch`: waiting for blocks from disk.
//! - `recovery`: correct bookkeeping after a panic.
//!
//! Order of a step: [`Scheduler::admit`], [`Scheduler::make_room`], perhaps
//! [`Scheduler::try_guesses`], [`Scheduler::plan`], compute, [`Scheduler::settle`] for each span
//! that was computed, [`Scheduler::finish`] for each sequence that ended.
//!
//! Invariants, checked after every step of the tests:
//! - Admission is fair by tenant: the next request belongs to the tenant with the fewest requests
//!   running or ahead of it; ties go to the earliest. Sequences run in order of admission. A
//!   preempted sequence runs again before any request that never ran.
//! - Every running sequence gets a row in every step of [`Scheduler::plan`], unless an older one
//!   computes the very tokens it needs next. The oldest answer is never preempted. Lengths are
//!   finite, so no answer starves.
//! - A block is free, kept, or leased by running sequences. A block that several lease is computed.
//!   Only `Running::release` gives blocks back.
//! - A step has at most [`SchedulerLimits::step_tokens`] rows.
//! - Guesses take nothing from anyone: no row that a sequence would have, no block of another's.
//! - Embeddings have places of their own to run in. They take no block that an answer waits for,
//!   and are preempted before any answer.
//!
//! Absent on purpose: priorities. Every running sequence gets as much as the others.

mod admission;
mod fetch;
mod plan;
mod recovery;

use std::collections::VecDeque;

use crate::faults::{self, Fault};
use crate::kv_cache::{BlockCache, Lease, LeasedPath, blocks_for};
use crate::origin::Origin;
use crate::text::TokenId;
pub use plan::{DraftModelInput, MIN_PROMPT_ROWS, PlannedSpan, PrefillBudget, SpanInput, SpanKind};

/// The number of a sequence; a later arrival has a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(pub u64);

/// What a scheduler may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulerLimits {
    /// Blocks of the cache. At the limit the youngest sequence is preempted.
    pub total_blocks: usize,
    /// Answers that run at once. At the limit later ones wait.
    pub max_sequences: usize,
    /// Rows of a step. At the limit prompts go on in the next step.
    pub step_tokens: usize,
    /// Rows of a step that compute guesses. At the limit further guesses are not tried.
    pub guessed_rows: usize,
}

/// The use of a sequence, which decides whether it gets longer and whether it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Tokens are added to it, one after another.
    Answer,
    /// The model's view of each of its tokens is read. So every token is computed, whatever the
    /// cache has, and nothing of it is kept for others.
    Embedding,
}

/// A sequence to be computed.
#[derive(Clone, Debug)]
pub struct NewSequence {
    /// Its number, higher than any before.
    pub id: SequenceId,
    /// Tokens to begin with, at least one.
    pub prompt: Vec<TokenId>,
    /// Its use.
    pub purpose: Purpose,
    /// Tokens that may be added: to an answer at least one, to others none.
    pub max_tokens: usize,
    /// Whose it is.
    pub origin: Origin,
    /// The operator shares this many of the first tokens with every tenant.
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
    /// Sequences never admitted, in order of arrival.
    waiting: Vec<Sequence>,
    /// Preempted sequences, in order of admission.
    preempted: VecDeque<Sequence>,
    /// In order of admission.
    running: Vec<Running>,
    /// The next sequence to be admitted, which did not fit, and how much of it others lease: the
    /// next step need not look at all its tokens again.
    next_up: Option<(SequenceId, LeasedPath)>,
    /// The one sequence that something is being done for: if that panics, only this one ends.
    at_work: Option<SequenceId>,
    last_id: Option<SequenceId>,
}

/// A sequence without blocks.
#[derive(Debug)]
struct Sequence {
    id: SequenceId,
    purpose: Purpose,
    tokens: Vec<TokenId>,
    /// Prompt and the longest answer together.
    longest: usize,
    origin: Origin,
    shared_tokens: usize,
    /// Tokens that were found in the cache and never computed for it; none before it ran.
    cached_tokens: Option<usize>,
    /// What has come from disk of its tokens so far, while it waits for more.
    fetched: Option<Lease>,
}

/// A sequence with blocks.
#[derive(Debug)]
struct Running {
    sequence: Sequence,
    lease: Lease,
    computed: usize,
    /// The last token and the guesses behind it, while a step tries some.
    tried: Vec<TokenId>,
}

/// Rows of a step that answers and their guesses leave to prompts.
pub const ROWS_FOR_PROMPTS: usize = 16;

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
            limits.step_tokens >= limits.max_sequences + ROWS_FOR_PROMPTS,
            "{limits:?} leaves no room for a prompt beside the answers"
        );
        Scheduler {
            limits,
            cache: BlockCache::new(limits.total_blocks),
            waiting: Vec::new(),
            preempted: VecDeque::new(),
            running: Vec::with_capacity(limits.max_sequences),
            next_up: None,
            at_work: None,
            last_id: None,
        }
    }

    /// Lets a sequence wait for its admission.
    ///
    /// Errors: it can never fit.
    /// Panics if it has no prompt, may add nothing, or its number is not the highest.
    pub fn submit(&mut self, new: NewSequence) -> Result<(), CannotFit> {
        assert!(!new.prompt.is_empty(), "a sequence has something to compute");
        assert_eq!(new.max_tokens > 0, new.purpose == Purpose::Answer, "only answers get longer");
        assert!(Some(new.id) > self.last_id, "{:?} is not the highest number", new.id);
        self.last_id = Some(new.id);
        self.limits.check_fits(new.prompt.len(), new.max_tokens)?;
        let longest = new.prompt.len() + new.max_tokens;
        let mut tokens = new.prompt;
        tokens.reserve_exact(new.max_tokens);
        let (origin, shared_tokens) = (new.origin, new.shared_tokens);
        self.waiting.push(Sequence {
            id: new.id,
            purpose: new.purpose,
            tokens,
            longest,
            origin,
            shared_tokens,
            cached_tokens: None,
            fetched: None,
        });
        Ok(())
    }

    /// From now on something is done for one sequence, or for none in particular.
    pub fn work_for(&mut self, id: Option<SequenceId>) {
        self.at_work = id;
    }

    /// The sequence that something is being done for, or was when it panicked.
    pub fn at_work(&self) -> Option<SequenceId> {
        self.at_work
    }

    /// Notes that `span` is computed in all layers, and the tokens chosen after it: none, one, or
    /// if guesses were tried, the accepted ones and one more.
    ///
    /// Only from here on may anyone rely on what the step wrote into the blocks.
    pub fn settle(&mut self, span: &PlannedSpan, chosen: &[TokenId]) {
        let index = self.index_of(span.id);
        let Running { sequence, lease, computed, tried } = &mut self.running[index];
        assert_eq!(*computed, span.first_position, "{:?} settles in order", span.id);
        assert!(chosen.len() <= span.sampled(), "tokens are chosen where logits are");
        assert!(sequence.tokens.len() + chosen.len() <= sequence.longest, "no room was planned");
        let accepted = &chosen[..chosen.len().saturating_sub(1)];
        let guesses = tried.get(1..).unwrap_or_default();
        assert!(guesses.starts_with(accepted), "a token was accepted that was no guess");
        *computed += if span.is_decode() { 1 + accepted.len() } else { span.rows };
        tried.clear();
        sequence.tokens.extend_from_slice(chosen);
        faults::pass(Fault::Settle);
        if sequence.purpose == Purpose::Embedding {
            return;
        }
        lease.truncate_draft_model(*computed);
        self.cache.settle(lease, &sequence.tokens, *computed);
    }

    /// Ends a sequence, wherever it is, and gives back its blocks. What was computed is kept for
    /// others as long as there is room.
    ///
    /// Panics if there is no such sequence: each ends once.
    pub fn finish(&mut self, id: SequenceId) -> Ended {
        let is_it = |sequence: &Sequence| sequence.id == id;
        if let Some(index) = self.waiting.iter().position(is_it) {
            let blocks_freed = self.end_fetch(id);
            return Ended { tokens: self.waiting.remove(index).tokens, blocks_freed };
        }
        if let Some(index) = self.preempted.iter().position(is_it) {
            let sequence = self.preempted.remove(index).expect("the index was just found");
            return Ended { tokens: sequence.tokens, blocks_freed: 0 };
        }
        let index = self.index_of(id);
        let released = self.running.remove(index).release(&mut self.cache);
        Ended { tokens: released.sequence.tokens, blocks_freed: released.blocks }
    }

    /// Sequences that wait: those of each purpose in the order in which they will be admitted if
    /// nobody else comes.
    pub fn waiting(&self) -> impl Iterator<Item = SequenceId> {
        let order = |purpose| self.order_of_waiting(purpose).into_iter();
        let never_ran = order(Purpose::Answer).chain(order(Purpose::Embedding));
        let never_ran = never_ran.map(|index| &self.waiting[index]);
        self.preempted.iter().chain(never_ran).map(|sequence| sequence.id)
    }

    /// How many of one purpose wait.
    pub fn waiting_count(&self, purpose: Purpose) -> usize {
        let waiting = self.preempted.iter().chain(&self.waiting);
        waiting.filter(|sequence| sequence.purpose == purpose).count()
    }

    /// How many of one purpose run.
    pub fn running_count(&self, purpose: Purpose) -> usize {
        self.running.iter().filter(|running| running.sequence.purpose == purpose).count()
    }

    /// Sequences that run, in order of admission.
    pub fn running(&self) -> impl ExactSizeIterator<Item = SequenceId> {
        self.running.iter().map(|running| running.sequence.id)
    }

    /// Tokens of a running sequence that it did not have to compute.
    pub fn cached_tokens(&self, id: SequenceId) -> usize {
        self.running[self.index_of(id)].sequence.cached_tokens.unwrap_or_default()
    }

    /// Answers that miss just one token, in order of admission: someone waits for the next word.
    pub fn decoding(&self) -> impl Iterator<Item = SequenceId> {
        let decoding = self.running.iter().filter(|running| running.decodes());
        decoding.map(|running| running.sequence.id)
    }

    /// Rows of the next step that are theirs, guesses too.
    pub fn decode_rows(&self) -> usize {
        self.decoding().count() + self.running.iter().map(Running::guesses).sum::<usize>()
    }

    /// The tokens of a running sequence, prompt and answer so far.
    pub fn tokens(&self, id: SequenceId) -> &[TokenId] {
        &self.running[self.index_of(id)].sequence.tokens
    }

    /// Blocks that no sequence leases.
    pub fn free_blocks(&self) -> usize {
        self.cache.available_blocks()
    }

    /// The blocks, for saving and forgetting them.
    pub fn cache(&mut self) -> &mut BlockCache {
        &mut self.cache
    }

    /// What this scheduler may use.
    pub fn limits(&self) -> &SchedulerLimits {
        &self.limits
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
        let kept = match self.sequence.purpose {
            Purpose::Answer => self.computed,
            Purpose::Embedding => 0,
        };
        let blocks = cache.release(self.lease, &self.sequence.tokens, kept);
        Released { sequence: self.sequence, blocks }
    }

    /// Tokens still to compute: at least one, because a settled last token adds one or ends the
    /// sequence.
    fn missing(&self) -> usize {
        self.sequence.tokens.len() - self.computed
    }

    /// Whether someone waits for the next word, of which a step computes just one row.
    fn decodes(&self) -> bool {
        self.sequence.purpose == Purpose::Answer && self.missing() == 1
    }

    /// Guesses that the next step tries.
    fn guesses(&self) -> usize {
        self.tried.len().saturating_sub(1)
    }
}

#[cfg(test)]
pub(crate) mod tests;
