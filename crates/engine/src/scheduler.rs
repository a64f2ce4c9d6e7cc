//! Which tokens the next step computes.
//!
//! Pure bookkeeping: sequences and blocks go in, a plan comes out, no model and no clock. There is
//! no prefill phase and no decode phase. A sequence has tokens, of which the first so many are
//! computed; a step computes some of the others. The step that computes the last one yields logits,
//! from which one token more is chosen, and so on.
//!
//! Order of a step: [`Scheduler::admit`], [`Scheduler::make_room`], perhaps [`Scheduler::try_guesses`],
//! [`Scheduler::plan`], compute, [`Scheduler::settle`] for each span that was computed,
//! [`Scheduler::finish`] for each sequence that ended.
//!
//! Invariants, checked after every step of the tests:
//! - Who waits is admitted in turns: whose tenant has the fewest before it, and of those who came
//!   first. Sequences run in order of admission; those that gave up their blocks are the next to run.
//! - Every running sequence gets a row in every step of [`Scheduler::plan`], unless an older one computes the
//!   very tokens it needs next; the oldest is never sent back to wait. Lengths are finite, so nobody starves.
//! - A block is free, kept, or leased by running sequences; those that several lease are computed.
//!   Only `Running::release` gives back.
//! - A step has at most [`SchedulerLimits::step_tokens`] rows.
//! - Guesses take nothing from anyone: no row that a sequence would have, no block of another's.
//!
//! Absent on purpose: fairness in anything but turns: whoever runs gets as much as others.

use std::collections::{HashMap, VecDeque};

use crate::faults::{self, Fault};
use crate::kv_cache::chain::{BlockName, Chain};
use crate::kv_cache::{BLOCK_TOKENS, BlockCache, BlockId, Lease, LeasedPath, blocks_for};
use crate::origin::{Origin, Tenant};
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
    /// Rows of a step that compute guesses. At the limit others are not tried.
    pub guessed_rows: usize,
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
    pub origin: Origin,
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
    /// After how many of the rows, the last ones, a token is chosen: none in the middle of a prompt, one
    /// at its end, and all rows of an answer, of which those behind the first are guesses.
    pub sampled: usize,
}

impl PlannedSpan {
    /// Whether it is one token of an answer, and guesses of those behind it.
    pub fn is_of_answer(&self) -> bool {
        self.sampled == self.rows
    }
}

/// How many rows of prompts a step takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptRows {
    /// Where prompts go on in later steps.
    pub most: usize,
    /// Where all of them end.
    pub to_the_end: usize,
}

impl PromptRows {
    /// How many of the rows that `prompts` prompts miss, where a step has room for so many.
    fn of(self, missing: usize, prompts: usize, room: usize) -> usize {
        let ends = missing <= self.to_the_end.min(room);
        let wanted = if ends { missing } else { self.most };
        wanted.max(MIN_PROMPT_ROWS).max(prompts).min(room)
    }
}

/// What the runner needs to compute a span.
#[derive(Clone, Copy, Debug)]
pub struct SpanInput<'a> {
    /// Blocks of the sequence, from position 0.
    pub blocks: &'a [BlockId],
    /// Tokens of the span's rows.
    pub tokens: &'a [TokenId],
}

/// What a draft model needs to guess what follows a sequence.
#[derive(Clone, Copy, Debug)]
pub struct DraftInput<'a> {
    /// Blocks of the sequence, from position 0, with room for guesses.
    pub blocks: &'a [BlockId],
    /// All its tokens.
    pub tokens: &'a [TokenId],
    /// How many of them the model has computed, from the first on; never all.
    pub known: usize,
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
    /// Those never admitted, in order of arrival.
    waiting: Vec<Sequence>,
    /// Those that gave up their blocks, in order of admission.
    returned: VecDeque<Sequence>,
    /// In order of admission.
    running: Vec<Running>,
    /// What was found out about whoever is next to be admitted and did not fit: the next step need not
    /// look at all its tokens again.
    next_up: Option<(SequenceId, LeasedPath)>,
    /// The sequence that something is being done for, if it is for one: a panic is its own.
    at_work: Option<SequenceId>,
    last_id: Option<SequenceId>,
}

/// A sequence without blocks.
#[derive(Debug)]
struct Sequence {
    id: SequenceId,
    tokens: Vec<TokenId>,
    /// Prompt and the longest answer together.
    longest: usize,
    origin: Origin,
    shared_tokens: usize,
    /// Tokens that were found in the cache before any was computed for it; none before it ran.
    cached_tokens: Option<usize>,
    /// What has come from disk of its tokens so far, while more is awaited.
    fetched: Option<Lease>,
}

/// A sequence with blocks, of which some tokens are computed.
#[derive(Debug)]
struct Running {
    sequence: Sequence,
    lease: Lease,
    computed: usize,
    /// The last token and guesses of those after it, while a step tries some.
    tried: Vec<TokenId>,
}

/// Answer tokens that an admission reserves blocks for, so that a sequence just admitted is not
/// the first to give up its blocks again.
const RESERVED_ANSWER_TOKENS: usize = 64;

/// The fewest rows of prompts in a step: fewer cost nearly the same, because the weights are read
/// for one row as for four.
pub const MIN_PROMPT_ROWS: usize = 4;

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
            returned: VecDeque::new(),
            running: Vec::with_capacity(limits.max_sequences),
            next_up: None,
            at_work: None,
            last_id: None,
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
        assert!(Some(new.id) > self.last_id, "{:?} is numbered out of turn", new.id);
        self.last_id = Some(new.id);
        self.limits.check_fits(new.prompt.len(), new.max_tokens)?;
        let longest = new.prompt.len() + new.max_tokens;
        let mut tokens = new.prompt;
        tokens.reserve_exact(new.max_tokens);
        let (origin, shared_tokens) = (new.origin, new.shared_tokens);
        let (cached_tokens, fetched) = (None, None);
        let sequence =
            Sequence { id: new.id, tokens, longest, origin, shared_tokens, cached_tokens, fetched };
        self.waiting.push(sequence);
        Ok(())
    }

    /// Gives blocks to those who wait, in their order, while there are enough, and adds them to
    /// `admitted`; a sequence that had to give up its blocks is admitted again. What the cache keeps of
    /// their tokens they do not compute.
    pub fn admit(&mut self, admitted: &mut Vec<SequenceId>) {
        while self.running.len() < self.limits.max_sequences {
            let ready = |index: &usize| self.waiting[*index].fetched.is_none();
            let next = self.order_of_waiting().into_iter().find(ready);
            let Some(first) = self.returned.front().or(next.map(|next| &self.waiting[next])) else {
                return;
            };
            let reserved = (first.tokens.len() + RESERVED_ANSWER_TOKENS).min(first.longest);
            let reserved = blocks_for(reserved);
            let path = match self.next_up.take() {
                Some((id, path)) if id == first.id => path,
                _ => LeasedPath::new(first.origin, first.shared_tokens),
            };
            let (_, path) = self.next_up.insert((first.id, path));
            let leased = self.cache.leased_by_others(path, &first.tokens);
            if reserved.saturating_sub(leased) > self.cache.available_blocks() {
                return;
            }
            let returned = self.returned.pop_front();
            let sequence = match (returned, next) {
                (Some(returned), _) => returned,
                (None, Some(next)) => self.waiting.remove(next),
                (None, None) => unreachable!("somebody was found to wait"),
            };
            admitted.push(sequence.id);
            self.at_work = Some(sequence.id);
            self.begin(sequence, reserved);
            self.at_work = None;
        }
    }

    /// Lets a sequence run that there are enough blocks for.
    fn begin(&mut self, mut sequence: Sequence, blocks: usize) {
        let mut lease = Lease::new(sequence.origin, sequence.shared_tokens);
        let computed = self.cache.adopt(&mut lease, &sequence.tokens, 0);
        faults::pass(Fault::Admit);
        sequence.cached_tokens.get_or_insert(computed);
        let grown = self.cache.grow(&mut lease, blocks);
        self.running.push(Running { sequence, lease, computed, tried: Vec::new() });
        grown.expect("the blocks were counted");
    }

    /// Indices of those never admitted, in order: first whose tenant has fewest sequences before it, that
    /// run, ran, or wait since longer; of equals who came first. Admitting the first changes nothing for
    /// the others.
    fn order_of_waiting(&self) -> Vec<usize> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let mut before: HashMap<Tenant, usize> = HashMap::new();
        let ran = self.running.iter().map(|running| &running.sequence).chain(&self.returned);
        ran.for_each(|sequence| *before.entry(sequence.origin.tenant).or_default() += 1);
        let key = |(index, sequence): (usize, &Sequence)| {
            let of_tenant = before.entry(sequence.origin.tenant).or_default();
            *of_tenant += 1;
            (*of_tenant, index)
        };
        let mut order: Vec<(usize, usize)> = self.waiting.iter().enumerate().map(key).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, index)| index).collect()
    }

    /// Gives every running sequence what others have computed of its next tokens meanwhile, and blocks
    /// for the rest.
    ///
    /// When blocks run out, the youngest sequences give up theirs and wait.
    pub fn make_room(&mut self) {
        self.catch_up();
        self.grow_or_give_up();
        self.at_work = None;
    }

    /// Something is done for a sequence from now on, or for nobody in particular.
    pub fn work_for(&mut self, id: Option<SequenceId>) {
        self.at_work = id;
    }

    /// For whom something was done when it broke.
    pub fn at_work(&self) -> Option<SequenceId> {
        self.at_work
    }

    /// Removes a sequence that a panic may have left in the middle of a change, wherever it is, if it is
    /// anywhere. [`Scheduler::mend`] must follow.
    pub fn write_off(&mut self, id: SequenceId) {
        let is_other = |sequence: &Sequence| sequence.id != id;
        for sequence in self.waiting.extract_if(.., |sequence| sequence.id == id) {
            sequence.fetched.into_iter().for_each(Lease::write_off);
        }
        self.returned.retain(is_other);
        for running in self.running.extract_if(.., |running| running.sequence.id == id) {
            running.lease.write_off();
        }
    }

    /// Leaves a step that was planned and will not be settled.
    pub fn leave_step(&mut self) {
        self.running.iter_mut().for_each(|running| running.tried.clear());
    }

    /// Makes the books right after a panic: what is known of blocks is found anew from who leases them.
    /// Where even those contradict each other everyone gives up its blocks and waits, or computes anew.
    pub fn mend(&mut self) {
        self.at_work = None;
        self.next_up = None;
        let (running, waiting) = (&self.running, &self.waiting);
        let fetched = waiting.iter().filter_map(|sequence| sequence.fetched.as_ref());
        let leases: Vec<&Lease> =
            running.iter().map(|running| &running.lease).chain(fetched).collect();
        if self.cache.are_sound(&leases) {
            self.cache.mend(&leases);
            return;
        }
        for sequence in &mut self.waiting {
            sequence.fetched.take().into_iter().for_each(Lease::write_off);
        }
        for Running { sequence, lease, .. } in self.running.drain(..).rev() {
            lease.write_off();
            self.returned.push_front(sequence);
        }
        self.cache.mend(&[]);
    }

    /// What a draft model needs to guess what follows a sequence that lacks just one token.
    pub fn draft_input(&self, id: SequenceId) -> DraftInput<'_> {
        let Running { sequence, lease, .. } = &self.running[self.index_of(id)];
        let (blocks, known) = (lease.blocks(), lease.known_to_model());
        DraftInput { blocks, tokens: &sequence.tokens, known }
    }

    /// Takes note that a draft model has computed the first `tokens` tokens of a sequence and of guesses
    /// behind it.
    pub fn set_known_to_model(&mut self, id: SequenceId, tokens: usize) {
        let index = self.index_of(id);
        self.cache.know_to_model(&mut self.running[index].lease, tokens);
    }

    /// How many of `wanted` guesses behind a sequence's last token may be tried, with blocks for them.
    pub fn room_for_guesses(&mut self, id: SequenceId, wanted: usize) -> usize {
        let tried: usize = self.running.iter().map(Running::guesses).sum();
        let rows = self.running.len() + ROWS_FOR_PROMPTS;
        let room = self.limits.guessed_rows.min(self.limits.step_tokens - rows) - tried;
        let index = self.index_of(id);
        let Running { sequence, lease, .. } = &mut self.running[index];
        // Each guess that holds is a token, and one more is chosen behind the last.
        let useful = sequence.longest - sequence.tokens.len() - 1;
        let count = wanted.min(room).min(useful);
        match self.cache.grow(lease, blocks_for(sequence.tokens.len() + count)) {
            Ok(()) => count,
            Err(_) => count.min(lease.blocks().len() * BLOCK_TOKENS - sequence.tokens.len()),
        }
    }

    /// Lets the next step compute guesses of the tokens behind a sequence's last one, which must be all
    /// that is missing of it; says how many, which may be fewer than there are.
    pub fn try_guesses(&mut self, id: SequenceId, guesses: &[TokenId]) -> usize {
        let count = self.room_for_guesses(id, guesses.len());
        let index = self.index_of(id);
        let running = &mut self.running[index];
        assert!(running.missing() == 1 && running.tried.is_empty(), "{id:?} is guessed once");
        if count > 0 {
            running.tried.extend(running.sequence.tokens.last());
            running.tried.extend_from_slice(&guesses[..count]);
        }
        count
    }

    /// Lets a sequence that waits for its admission wait for blocks from disk too: says which are missing
    /// in memory, by name, in order. None if memory has all.
    ///
    /// Whole blocks alone count: the half-filled end of a shorter conversation that begins the same
    /// way must not hide what the disk has.
    pub fn begin_fetch(&mut self, id: SequenceId, chain: &Chain) -> Vec<BlockName> {
        let sequence = self.waiting.iter_mut().find(|sequence| sequence.id == id);
        let sequence = sequence.expect("it waits");
        let mut lease = Lease::new(sequence.origin, sequence.shared_tokens);
        let computed = self.cache.adopt_blocks(&mut lease, &sequence.tokens);
        let names = self.cache.missing_names(&lease, &sequence.tokens, chain);
        if !names.is_empty() {
            sequence.fetched = Some(lease);
            return names;
        }
        self.cache.release(lease, &sequence.tokens, computed);
        Vec::new()
    }

    /// A block for what has come from disk next, if these are the tokens that were asked for, the
    /// sequence still waits for them, and there is a block.
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

    /// What was put into the block of [`Scheduler::fetched_block`] may be relied on.
    pub fn settle_fetched(&mut self, id: SequenceId) {
        let sequence = self.waiting.iter_mut().find(|sequence| sequence.id == id);
        let Some(Sequence { tokens, fetched: Some(lease), .. }) = sequence else { return };
        self.cache.settle(lease, tokens, lease.blocks().len() * BLOCK_TOKENS);
    }

    /// Nothing more comes from disk for a sequence: from now on it can be admitted, and finds what has
    /// come. Says how many blocks nobody leases any longer.
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

    /// Whether somebody waits for nothing but blocks from disk.
    pub fn is_fetching(&self) -> bool {
        self.waiting.iter().any(|sequence| sequence.fetched.is_some())
    }

    /// What is known of cached blocks, for whoever keeps them elsewhere.
    pub fn cache(&mut self) -> &mut BlockCache {
        &mut self.cache
    }

    /// Fills `plan` with the rows of the next step: the one missing row of each sequence that is
    /// otherwise computed, its guesses, and `prompt_rows` of the others in equal shares; what a short one
    /// leaves goes to the oldest. Whoever needs tokens next that an older one computes gets none, and
    /// has them when they are there.
    pub fn plan(&mut self, prompt_rows: PromptRows, plan: &mut Vec<PlannedSpan>) {
        plan.clear();
        faults::pass(Fault::Plan);
        let planned: Vec<usize> =
            (0..self.running.len()).filter(|index| !self.waits_for_older(*index)).collect();
        let missing = planned.iter().map(|index| self.running[*index].missing());
        let of_prompts: Vec<usize> = missing.filter(|missing| *missing > 1).collect();
        let prompts = of_prompts.len();
        let room = self.limits.step_tokens - self.answer_rows();
        let mut left = prompt_rows.of(of_prompts.into_iter().sum(), prompts, room);
        // A long prompt must not keep a short one that came later from its first word.
        let share = left / prompts.max(1);
        for running in planned.iter().map(|index| &self.running[*index]) {
            if running.missing() == 1 {
                plan.push(running.answer_span());
                continue;
            }
            let rows = running.missing().min(share).min(left);
            left -= rows;
            plan.push(running.prompt_span(rows));
        }
        self.hand_out_rest(left, plan);
    }

    /// The same for a step without prompts, which shows what answers take alone.
    pub fn plan_answers(&self, plan: &mut Vec<PlannedSpan>) {
        plan.clear();
        let answering = self.running.iter().filter(|running| running.missing() == 1);
        plan.extend(answering.map(Running::answer_span));
    }

    /// What the runner needs to compute `span` of the current plan.
    pub fn input(&self, span: &PlannedSpan) -> SpanInput<'_> {
        let running = &self.running[self.index_of(span.id)];
        let tokens = match running.tried.as_slice() {
            [] => &running.sequence.tokens[span.first_position..],
            tried => tried,
        };
        SpanInput { blocks: running.lease.blocks(), tokens: &tokens[..span.rows] }
    }

    /// Plans a step that computes `rows` tokens of a draft, which is nobody's sequence: it is
    /// finished when the step is, whatever came of it. None if all is computed or there are no blocks.
    ///
    /// Panics if anybody runs or waits: a draft takes nothing from anyone.
    pub fn plan_draft(
        &mut self,
        new: NewSequence,
        rows: PromptRows,
        plan: &mut Vec<PlannedSpan>,
    ) -> Option<()> {
        plan.clear();
        assert!(self.running.is_empty() && self.waiting_count() == 0, "somebody has work to do");
        self.at_work = Some(new.id);
        self.submit(new).ok()?;
        let sequence = self.waiting.pop().expect("it was just submitted");
        let mut lease = Lease::of_draft(sequence.origin, sequence.shared_tokens);
        let computed = self.cache.adopt(&mut lease, &sequence.tokens, 0);
        let missing = sequence.tokens.len() - computed;
        let rows = rows.of(missing, 1, self.limits.step_tokens).min(missing);
        if self.cache.grow(&mut lease, blocks_for(computed + rows)).is_err() {
            self.cache.release(lease, &sequence.tokens, computed);
            return None;
        }
        let (id, first_position) = (sequence.id, computed);
        self.running.push(Running { sequence, lease, computed, tried: Vec::new() });
        plan.push(PlannedSpan { id, first_position, rows, sampled: 0 });
        Some(())
    }

    /// Takes note that `span` is computed in all layers, and of the tokens chosen after it: none, one,
    /// or where guesses were tried, those that held and one more.
    ///
    /// Only from here on may anyone rely on what the step wrote into the blocks.
    pub fn settle(&mut self, span: &PlannedSpan, chosen: &[TokenId]) {
        let index = self.index_of(span.id);
        let Running { sequence, lease, computed, tried } = &mut self.running[index];
        assert_eq!(*computed, span.first_position, "{:?} settles in order", span.id);
        assert!(chosen.len() <= span.sampled, "tokens are chosen where logits are");
        assert!(sequence.tokens.len() + chosen.len() <= sequence.longest, "no room was planned");
        let held = &chosen[..chosen.len().saturating_sub(1)];
        assert!(tried.get(1..).unwrap_or_default().starts_with(held), "a guess did not hold");
        *computed += if span.is_of_answer() { 1 + held.len() } else { span.rows };
        tried.clear();
        sequence.tokens.extend_from_slice(chosen);
        faults::pass(Fault::Settle);
        lease.forget_of_model(*computed);
        self.cache.settle(lease, &sequence.tokens, *computed);
    }

    /// Ends a sequence, wherever it is, and gives back its blocks; what was computed is kept for others
    /// as long as there is room.
    ///
    /// Panics if there is no such sequence: each ends once.
    pub fn finish(&mut self, id: SequenceId) -> Ended {
        let is_it = |sequence: &Sequence| sequence.id == id;
        if let Some(index) = self.waiting.iter().position(is_it) {
            let blocks_freed = self.end_fetch(id);
            return Ended { tokens: self.waiting.remove(index).tokens, blocks_freed };
        }
        if let Some(index) = self.returned.iter().position(is_it) {
            let sequence = self.returned.remove(index).expect("the index was just found");
            return Ended { tokens: sequence.tokens, blocks_freed: 0 };
        }
        let index = self.index_of(id);
        let released = self.running.remove(index).release(&mut self.cache);
        Ended { tokens: released.sequence.tokens, blocks_freed: released.blocks }
    }

    /// Those who wait, in the order in which they will be admitted if nobody else comes.
    pub fn waiting(&self) -> impl Iterator<Item = SequenceId> {
        let never_ran = self.order_of_waiting().into_iter().map(|index| &self.waiting[index]);
        self.returned.iter().chain(never_ran).map(|sequence| sequence.id)
    }

    /// How many wait.
    pub fn waiting_count(&self) -> usize {
        self.returned.len() + self.waiting.len()
    }

    /// Those who run, in order of admission.
    pub fn running(&self) -> impl ExactSizeIterator<Item = SequenceId> {
        self.running.iter().map(|running| running.sequence.id)
    }

    /// Tokens of a running sequence that it did not have to compute.
    pub fn cached_tokens(&self, id: SequenceId) -> usize {
        self.running[self.index_of(id)].sequence.cached_tokens.unwrap_or_default()
    }

    /// Those who lack just one token, in order of admission: someone waits for the next word.
    pub fn answering(&self) -> impl Iterator<Item = SequenceId> {
        let answering = self.running.iter().filter(|running| running.missing() == 1);
        answering.map(|running| running.sequence.id)
    }

    /// Rows of the next step that are theirs, guesses too.
    pub fn answer_rows(&self) -> usize {
        self.answering().count() + self.running.iter().map(Running::guesses).sum::<usize>()
    }

    /// The tokens of a running sequence, prompt and answer so far.
    pub fn tokens(&self, id: SequenceId) -> &[TokenId] {
        &self.running[self.index_of(id)].sequence.tokens
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
        for Running { sequence, lease, computed, .. } in &mut self.running {
            self.at_work = Some(sequence.id);
            faults::pass(Fault::CatchUp);
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

    /// Makes sure that every running sequence has blocks for all its tokens, the oldest first: what others
    /// have fetched from disk goes for it, and then the youngest that run.
    fn grow_or_give_up(&mut self) {
        let mut index = 0;
        while index < self.running.len() {
            let running = &mut self.running[index];
            self.at_work = Some(running.sequence.id);
            let needed = blocks_for(running.sequence.tokens.len());
            if self.cache.grow(&mut running.lease, needed).is_ok() {
                index += 1;
                continue;
            }
            // Who only waits for blocks from disk gives them up before anyone who runs.
            let fetching = self.waiting.iter().rfind(|sequence| sequence.fetched.is_some());
            if let Some(id) = fetching.map(|sequence| sequence.id) {
                self.end_fetch(id);
                continue;
            }
            assert!(self.running.len() > 1, "a sequence that was admitted fits alone");
            let youngest = self.running.pop().expect("the list is not empty");
            self.at_work = Some(youngest.sequence.id);
            faults::pass(Fault::GiveUp);
            self.returned.push_front(youngest.release(&mut self.cache).sequence);
        }
    }

    /// Gives rows that the shares left over to the prompts in the plan, the oldest first.
    fn hand_out_rest(&self, mut left: usize, plan: &mut [PlannedSpan]) {
        for span in plan {
            if left == 0 {
                return;
            }
            let running = &self.running[self.index_of(span.id)];
            if span.is_of_answer() {
                continue;
            }
            let more = (running.missing() - span.rows).min(left);
            left -= more;
            *span = running.prompt_span(span.rows + more);
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

    /// Guesses that the next step tries.
    fn guesses(&self) -> usize {
        self.tried.len().saturating_sub(1)
    }

    /// Rows of a prompt.
    fn prompt_span(&self, rows: usize) -> PlannedSpan {
        let sampled = usize::from(rows == self.missing());
        PlannedSpan { id: self.sequence.id, first_position: self.computed, rows, sampled }
    }

    /// The last token, and the guesses behind it.
    fn answer_span(&self) -> PlannedSpan {
        let rows = 1 + self.guesses();
        PlannedSpan { id: self.sequence.id, first_position: self.computed, rows, sampled: rows }
    }
}

#[cfg(test)]
pub(crate) mod tests;
