//! How many rows each sequence has in a step.
//!
//! ```text
//!  one step:  │ d │ d g g │ d │ p p p p p p p p │ p p p p p │
//!               A     B     C         D              E
//!  d: the one missing token of a sequence that decodes   g: guesses behind it
//!  p: some of the missing tokens of a prompt             A is the oldest, E the youngest
//! ```

use super::{NewSequence, Purpose, ROWS_FOR_PROMPTS, Running, Scheduler, SequenceId};
use crate::faults::{self, Fault};
use crate::kv_cache::{BLOCK_TOKENS, BlockId, Lease, blocks_for};
use crate::text::TokenId;

/// Rows of one sequence that a step computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedSpan {
    /// Whose rows.
    pub id: SequenceId,
    /// Position of the first row.
    pub first_position: usize,
    /// How many rows.
    pub rows: usize,
    /// What they are.
    pub kind: SpanKind,
}

/// What the rows of a span are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Tokens of a prompt that does not end with them.
    Prefill,
    /// The last tokens of a prompt: the answer's first token is chosen after them.
    EndOfPrefill,
    /// The last token of an answer, and guesses behind it: a token is chosen after each.
    Decode,
    /// Tokens of an embedding's text.
    Embed,
}

impl PlannedSpan {
    /// Whether it is the last token of an answer, and guesses behind it.
    pub fn is_decode(&self) -> bool {
        self.kind == SpanKind::Decode
    }

    /// A token is chosen after each of this many rows, the last ones.
    pub fn sampled(&self) -> usize {
        match self.kind {
            SpanKind::Prefill | SpanKind::Embed => 0,
            SpanKind::EndOfPrefill => 1,
            SpanKind::Decode => self.rows,
        }
    }
}

/// How many rows of prompts a step may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefillBudget {
    /// If prompts go on in later steps.
    pub rows: usize,
    /// If this completes every prompt.
    pub rows_to_finish: usize,
}

/// The fewest rows of prompts in a step: fewer cost nearly the same, because the weights are read
/// for one row as for four.
pub const MIN_PROMPT_ROWS: usize = 4;

impl PrefillBudget {
    /// Rows to plan, given the rows still missing, the number of prompts and the room left.
    fn take(self, missing: usize, prompts: usize, room: usize) -> usize {
        let finishes = missing <= self.rows_to_finish.min(room);
        let wanted = if finishes { missing } else { self.rows };
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
pub struct DraftModelInput<'a> {
    /// Blocks of the sequence, from position 0, with room for guesses.
    pub blocks: &'a [BlockId],
    /// All its tokens.
    pub tokens: &'a [TokenId],
    /// How many of the first tokens the model has computed; never all.
    pub computed: usize,
}

impl Scheduler {
    /// Fills `plan` with the rows of the next step: the one missing row of each sequence that
    /// decodes, its guesses, and the rows that `budget` allows of the others, in equal shares. What
    /// a short prompt leaves of its share goes to the oldest.
    ///
    /// A sequence whose next tokens an older one computes gets no row, and adopts them when they
    /// are there.
    pub fn plan(&mut self, budget: PrefillBudget, plan: &mut Vec<PlannedSpan>) {
        plan.clear();
        faults::pass(Fault::Plan);
        let planned: Vec<usize> =
            (0..self.running.len()).filter(|index| !self.waits_for_older(*index)).collect();
        let of_prompts = planned.iter().map(|index| &self.running[*index]);
        let of_prompts: Vec<usize> =
            of_prompts.filter(|running| !running.decodes()).map(Running::missing).collect();
        let prompts = of_prompts.len();
        let room = self.limits.step_tokens - self.decode_rows();
        let mut left = budget.take(of_prompts.into_iter().sum(), prompts, room);
        // A long prompt must not keep a short one that came later from its first word.
        let share = left / prompts.max(1);
        for running in planned.iter().map(|index| &self.running[*index]) {
            if running.decodes() {
                plan.push(running.decode_span());
                continue;
            }
            let rows = running.missing().min(share).min(left);
            left -= rows;
            plan.push(running.prefill_span(rows));
        }
        self.hand_out_rest(left, plan);
    }

    /// The same for a step without prompts, which measures what decoding takes alone.
    pub fn plan_decode(&self, plan: &mut Vec<PlannedSpan>) {
        plan.clear();
        let decoding = self.running.iter().filter(|running| running.decodes());
        plan.extend(decoding.map(Running::decode_span));
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

    /// Plans a step that computes some tokens of a draft. The draft's sequence ends with the step,
    /// whatever comes of it. None if all is computed or no block is available.
    ///
    /// Panics if anybody runs or waits: a draft takes nothing from anyone.
    pub fn plan_draft(
        &mut self,
        new: NewSequence,
        budget: PrefillBudget,
        plan: &mut Vec<PlannedSpan>,
    ) -> Option<()> {
        plan.clear();
        let waiting = self.waiting.len() + self.preempted.len();
        assert!(self.running.is_empty() && waiting == 0, "somebody has work to do");
        self.at_work = Some(new.id);
        self.submit(new).ok()?;
        let sequence = self.waiting.pop().expect("it was just submitted");
        let mut lease = Lease::of_draft(sequence.origin, sequence.shared_tokens);
        let computed = self.cache.adopt(&mut lease, &sequence.tokens, 0);
        let missing = sequence.tokens.len() - computed;
        let rows = budget.take(missing, 1, self.limits.step_tokens).min(missing);
        if self.cache.grow(&mut lease, blocks_for(computed + rows)).is_err() {
            self.cache.release(lease, &sequence.tokens, computed);
            return None;
        }
        let (id, first_position) = (sequence.id, computed);
        self.running.push(Running { sequence, lease, computed, tried: Vec::new() });
        plan.push(PlannedSpan { id, first_position, rows, kind: SpanKind::Prefill });
        Some(())
    }

    /// What a draft model needs to guess what follows a sequence that misses just one token.
    pub fn draft_model_input(&self, id: SequenceId) -> DraftModelInput<'_> {
        let Running { sequence, lease, .. } = &self.running[self.index_of(id)];
        let (blocks, computed) = (lease.blocks(), lease.draft_model_len());
        DraftModelInput { blocks, tokens: &sequence.tokens, computed }
    }

    /// Notes that a draft model has computed the first `tokens` tokens of a sequence and of the
    /// guesses behind it.
    pub fn set_draft_model_len(&mut self, id: SequenceId, tokens: usize) {
        let index = self.index_of(id);
        self.cache.set_draft_model_len(&mut self.running[index].lease, tokens);
    }

    /// How many of `wanted` guesses behind a sequence's last token may be tried; they have blocks
    /// then.
    pub fn room_for_guesses(&mut self, id: SequenceId, wanted: usize) -> usize {
        let tried: usize = self.running.iter().map(Running::guesses).sum();
        let rows = self.running.len() + ROWS_FOR_PROMPTS;
        let room = self.limits.step_tokens.saturating_sub(rows).min(self.limits.guessed_rows);
        let room = room.saturating_sub(tried);
        let index = self.index_of(id);
        let Running { sequence, lease, .. } = &mut self.running[index];
        // Each accepted guess is a token, and one more is chosen behind the last.
        let useful = sequence.longest - sequence.tokens.len() - 1;
        let count = wanted.min(room).min(useful);
        match self.cache.grow(lease, blocks_for(sequence.tokens.len() + count)) {
            Ok(()) => count,
            Err(_) => count.min(lease.blocks().len() * BLOCK_TOKENS - sequence.tokens.len()),
        }
    }

    /// Lets the next step compute guesses behind a sequence's last token, which must be all that is
    /// missing of it. Says how many, which may be fewer than were given.
    pub fn try_guesses(&mut self, id: SequenceId, guesses: &[TokenId]) -> usize {
        let count = self.room_for_guesses(id, guesses.len());
        let index = self.index_of(id);
        let running = &mut self.running[index];
        assert!(running.decodes() && running.tried.is_empty(), "{id:?} is guessed once");
        if count > 0 {
            running.tried.extend(running.sequence.tokens.last());
            running.tried.extend_from_slice(&guesses[..count]);
        }
        count
    }

    /// Whether an older sequence computes the very tokens that this one needs next.
    pub(super) fn waits_for_older(&self, index: usize) -> bool {
        let behind = &self.running[index];
        behind.sequence.purpose == Purpose::Answer
            && behind.missing() > 1
            && behind.computed.is_multiple_of(BLOCK_TOKENS)
            && self.running[..index].iter().any(|ahead| {
                let tokens = &ahead.sequence.tokens;
                let is_shared = ahead.sequence.purpose == Purpose::Answer;
                is_shared && ahead.lease.is_ahead(tokens, &behind.lease, &behind.sequence.tokens)
            })
    }

    /// Gives rows that the shares left over to the prompts in the plan, the oldest first.
    fn hand_out_rest(&self, mut left: usize, plan: &mut [PlannedSpan]) {
        for span in plan {
            if left == 0 {
                return;
            }
            let running = &self.running[self.index_of(span.id)];
            if span.is_decode() {
                continue;
            }
            let more = (running.missing() - span.rows).min(left);
            left -= more;
            *span = running.prefill_span(span.rows + more);
        }
    }
}

impl Running {
    /// The next `rows` tokens of a prompt, or of an embedding's text.
    fn prefill_span(&self, rows: usize) -> PlannedSpan {
        let kind = match self.sequence.purpose {
            Purpose::Embedding => SpanKind::Embed,
            Purpose::Answer if rows == self.missing() => SpanKind::EndOfPrefill,
            Purpose::Answer => SpanKind::Prefill,
        };
        PlannedSpan { id: self.sequence.id, first_position: self.computed, rows, kind }
    }

    /// The last token, and the guesses behind it.
    fn decode_span(&self) -> PlannedSpan {
        let (rows, kind) = (1 + self.guesses(), SpanKind::Decode);
        PlannedSpan { id: self.sequence.id, first_position: self.computed, rows, kind }
    }
}
