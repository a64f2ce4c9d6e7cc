//! The engine without its arithmetic: what happens around each forward pass.
//!
//! ```text
//!  begin_step ── end ── admit ── guess ── plan
//!  begin_masks ───────────────────────────────► mask thread
//!  spans ─────────────────────────────────────► forward pass
//!  end_masks ◄──────────────────────────────── mask thread
//!  take, for each span ── choose tokens ── deliver text ── settle, or end
//!  measure_step
//! ```
//!
//! The loop in `thread` calls these in order and passes in the clock.
//!
//! - `ending`: how answers end: stopped, too late, complete, or because something broke.
//! - `guessing`: which guesses a step tries, and what the draft model adds.
//! - `persistence`: what goes to the disk and what comes from it.
//! - `tasks`: the task of each sequence: an answer, an embedding or a draft.

mod ending;
mod guessing;
mod persistence;
mod tasks;

use std::sync::Arc;
use std::time::{Duration, Instant};

use self::tasks::{Task, Tasks};
use super::answer::{Answer, ChooseError, NewAnswer};
use super::draft_model::DraftModel;
use super::drafts::{DraftTokens, Drafts, NewDraft};
use super::embedding::{EmbedError, NewEmbedding};
use super::generation::FinishReason;
use super::inbox::Meant;
use super::pace::{Pace, StepMix, StepRows};
use super::status::Status;
use crate::StopFlag;
use crate::faults::{self, Fault};
use crate::kv_cache::disk::Disk;
use crate::model::{Span, SpanOutcome, Wanted};
use crate::sampler::{SampleScratch, TokenRows};
use crate::scheduler::{
    NewSequence, PlannedSpan, Purpose, Scheduler, SchedulerLimits, SequenceId, SpanKind,
};
use crate::structure::{Guide, StructureError, TokenMask};
use crate::text::{Text, TokenId};

/// Finds which tokens may come next in one structured answer, while the step is computed.
pub struct MaskJob {
    id: SequenceId,
    guide: Guide,
    guesses: Vec<TokenId>,
    found: Option<Result<Vec<TokenMask>, StructureError>>,
}

impl MaskJob {
    /// Finds them.
    pub fn run(&mut self) {
        self.found = Some(self.guide.masks(&self.guesses));
    }
}

/// How long an answer may stand still before it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From its arrival to its admission.
    pub queue: Duration,
    /// After it was preempted, until it is computed again.
    pub step: Duration,
    /// Between two words, because of others' prompts.
    pub gap: Duration,
}

/// The rows that the runner has computed for a span.
pub enum Output<'a> {
    /// `[sampled, vocabulary_rows]`
    Logits(&'a mut [f32]),
    /// `[rows, hidden]`
    Hidden(&'a [f32]),
}

/// Sequences, their tasks, and the order of a step.
pub struct Core {
    pub(super) scheduler: Scheduler,
    tasks: Tasks,
    next_id: u64,
    plan: Vec<PlannedSpan>,
    /// Working memory of [`Core::begin_step`].
    ids: Vec<SequenceId>,
    /// The sequences that guess in this step.
    decoding: Vec<SequenceId>,
    /// The tokens chosen for the span that is being taken.
    chosen: Vec<TokenId>,
    /// Jobs on their way to the mask thread or back. They are kept here so that a panic in between
    /// does not lose them.
    mask_jobs: Vec<MaskJob>,
    token_rows: TokenRows,
    scratch: SampleScratch,
    pub(super) pace: Pace,
    patience: Patience,
    drafts: Drafts,
    /// Forgotten since the inbox was last seen empty: arrivals may have been sent before that.
    forgotten: Meant,
    pub(super) disk: Option<Disk>,
    /// Ends the step of a draft.
    draft_stop: StopFlag,
    text: Arc<Text>,
    status: Arc<Status>,
}

impl Core {
    /// An engine without sequences.
    pub fn new(
        limits: SchedulerLimits,
        patience: Patience,
        text: Arc<Text>,
        token_rows: TokenRows,
        scratch: SampleScratch,
        status: Arc<Status>,
    ) -> Core {
        Core {
            scheduler: Scheduler::new(limits),
            tasks: Tasks::default(),
            next_id: 0,
            plan: Vec::new(),
            ids: Vec::new(),
            decoding: Vec::new(),
            chosen: Vec::new(),
            mask_jobs: Vec::new(),
            token_rows,
            scratch,
            pace: Pace::new(patience.gap),
            patience,
            drafts: Drafts::default(),
            forgotten: Meant::new(),
            disk: None,
            draft_stop: StopFlag::new(),
            text,
            status,
        }
    }

    /// Takes in a request that has its permit for the queue.
    pub fn submit(&mut self, new: NewAnswer, now: Instant) {
        let id = self.new_id();
        let (max_tokens, origin, shared_tokens) = (new.max_tokens, new.origin, new.shared_tokens);
        let is_forgotten = self.was_forgotten(&origin, new.permit.forgets_before());
        let (mut answer, prompt) = Answer::new(new);
        if is_forgotten {
            answer.forget();
        }
        self.status.add_drafts(self.drafts.serve(origin.tenant, &prompt));
        let purpose = Purpose::Answer;
        let new = NewSequence { id, prompt, purpose, max_tokens, origin, shared_tokens };
        self.scheduler.work_for(Some(id));
        match self.scheduler.submit(new) {
            Ok(()) => {
                faults::pass(Fault::Submit);
                self.fetch(id, answer.stop_flag());
                self.tasks.insert(id, Task::Answer(Box::new(answer)));
            }
            Err(refused) => {
                answer.end(FinishReason::Failed(refused.to_string()), now, |_| ());
            }
        }
        self.scheduler.work_for(None);
    }

    /// Takes in a text that has its permit to become an embedding.
    pub fn submit_embedding(&mut self, new: NewEmbedding) {
        let id = self.new_id();
        let NewEmbedding { tokens: prompt, tenant, embedding } = new;
        let (purpose, max_tokens, shared_tokens) = (Purpose::Embedding, 0, 0);
        let origin = tenant.into();
        let new = NewSequence { id, prompt, purpose, max_tokens, origin, shared_tokens };
        self.scheduler.work_for(Some(id));
        match self.scheduler.submit(new) {
            Ok(()) => self.tasks.insert(id, Task::Embedding(embedding)),
            Err(refused) => embedding.fail(EmbedError::Failed(refused.to_string())),
        }
        self.scheduler.work_for(None);
    }

    /// Takes in what somebody is typing.
    pub fn put_draft(&mut self, new: NewDraft) {
        if self.was_forgotten(&new.origin, new.permit.forgets_before()) {
            return;
        }
        let wasted = self.drafts.put(new);
        self.status.add_drafts(DraftTokens { wasted, ..DraftTokens::default() });
    }

    /// Sets the flag that ends the next step if it computes a draft.
    pub fn set_draft_stop(&mut self, stop: StopFlag) {
        self.draft_stop = stop;
    }

    /// Whether there is nothing to compute.
    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.drafts.next().is_none()
    }

    /// Ends what must end, admits what can begin, and decides what the step computes.
    ///
    /// Drafts are computed only if there is nothing else to do.
    pub fn begin_step(
        &mut self,
        now: Instant,
        draft_model: Option<&mut DraftModel>,
        clock: &dyn Fn() -> Instant,
    ) {
        self.end_what_is_due(now);
        if self.tasks.is_empty() {
            self.begin_draft();
            return;
        }
        self.ids.clear();
        self.scheduler.admit(&mut self.ids);
        self.tell_admitted(now);
        self.tell_positions();
        self.scheduler.make_room();
        self.guess(draft_model, clock);
        self.plan_step();
        self.publish();
    }

    /// Tells answers that run for the first time. Some may run since a step that broke before it
    /// could tell them.
    fn tell_admitted(&mut self, now: Instant) {
        self.ids.clear();
        self.ids.extend(self.scheduler.running());
        for id in &self.ids {
            self.scheduler.work_for(Some(*id));
            match self.tasks.of_mut(*id) {
                Task::Answer(answer) if !answer.was_admitted() => {
                    let cached = self.scheduler.cached_tokens(*id);
                    let prompt_tokens = answer.prompt_tokens();
                    self.status.add_prompt(prompt_tokens, cached.min(prompt_tokens));
                    answer.admit(cached, now);
                }
                Task::Embedding(embedding) => embedding.admit(now),
                Task::Answer(_) | Task::Draft(_) => {}
            }
        }
        self.scheduler.work_for(None);
    }

    /// Tells waiting answers their place in the queue.
    fn tell_positions(&mut self) {
        let at_once = self.scheduler.running_count(Purpose::Answer);
        let waiting: Vec<SequenceId> = self.scheduler.waiting().collect();
        let mut position = 0;
        for id in waiting {
            self.scheduler.work_for(Some(id));
            let Task::Answer(answer) = self.tasks.of_mut(id) else { continue };
            position += 1;
            answer.tell_position(position, self.pace.wait_ms(position, at_once));
        }
        self.scheduler.work_for(None);
    }

    /// Decides how many rows each sequence has in the step.
    fn plan_step(&mut self) {
        let decode = self.scheduler.decode_rows();
        if decode > 0 && self.pace.wants_decode_alone() {
            self.scheduler.plan_decode(&mut self.plan);
            return;
        }
        let mix = StepMix::with_decode(decode);
        self.scheduler.plan(self.pace.prefill_budget(mix), &mut self.plan);
        let prompts = self.plan.iter().filter(|span| !span.is_decode());
        let prefill: usize = prompts.map(|span| span.rows).sum();
        if decode > 0 && prefill > self.pace.bearable_rows(decode) {
            self.status.add_slow_step();
        }
    }

    /// Plans a step of the next draft, if there is one.
    fn begin_draft(&mut self) {
        self.plan.clear();
        let id = self.new_id();
        let Some(draft) = self.drafts.next() else { return };
        let new = NewSequence {
            id,
            prompt: draft.tokens.clone(),
            purpose: Purpose::Answer,
            max_tokens: 1,
            origin: draft.origin,
            shared_tokens: draft.shared_tokens,
        };
        let budget = self.pace.prefill_budget(StepMix::PrefillOnly);
        self.tasks.insert(id, Task::Draft(self.draft_stop.clone()));
        if self.scheduler.plan_draft(new, budget, &mut self.plan).is_none() {
            self.tasks.remove(id);
            self.drafts.give_up();
        }
    }

    /// What the step computes, for the runner.
    pub fn spans(&self) -> Vec<Span<'_>> {
        let span = |planned: &PlannedSpan| {
            let input = self.scheduler.input(planned);
            Span {
                blocks: input.blocks,
                first_position: planned.first_position,
                tokens: input.tokens,
                wanted: match planned.kind {
                    SpanKind::Embed => Wanted::Hidden,
                    _ => Wanted::logits(planned.sampled()),
                },
                stop: self.tasks.of(planned.id).stop_flag(),
            }
        };
        self.plan.iter().map(span).collect()
    }

    /// Jobs for the mask thread: tokens of structured answers cannot be chosen before they are
    /// done. [`Core::end_masks`] takes them back.
    pub fn begin_masks(&mut self) -> Vec<MaskJob> {
        for span in self.plan.iter().filter(|span| span.sampled() > 0) {
            self.scheduler.work_for(Some(span.id));
            faults::pass(Fault::BeginMasks);
            if let Some(guide) = self.tasks.answer_mut(span.id).take_guide() {
                let guesses = &self.scheduler.input(span).tokens[span.rows + 1 - span.sampled()..];
                let (id, guesses) = (span.id, guesses.to_vec());
                self.mask_jobs.push(MaskJob { id, guide, guesses, found: None });
            }
        }
        self.scheduler.work_for(None);
        std::mem::take(&mut self.mask_jobs)
    }

    /// Takes jobs back from the mask thread.
    pub fn end_masks(&mut self, jobs: Vec<MaskJob>) {
        self.mask_jobs.extend(jobs);
        while let Some(last) = self.mask_jobs.last() {
            self.scheduler.work_for(Some(last.id));
            faults::pass(Fault::EndMasks);
            let last = self.mask_jobs.pop();
            let Some(MaskJob { id, guide, found, .. }) = last else { break };
            // An answer that ended because something broke needs its guide no more.
            if self.tasks.has(id) {
                let answer = self.tasks.answer_mut(id);
                answer.set_masks(guide, found.unwrap_or_else(|| Ok(Vec::new())));
            }
        }
        self.scheduler.work_for(None);
    }

    /// Whether hidden rows of a span are wanted, and not logits.
    pub fn wants_hidden(&self, index: usize) -> bool {
        self.plan[index].kind == SpanKind::Embed
    }

    /// Takes the outcome of a span: a token of it, the end of it, or nothing but progress.
    pub fn take(
        &mut self,
        index: usize,
        outcome: SpanOutcome,
        output: Option<Output<'_>>,
        now: Instant,
    ) {
        let span = self.plan[index];
        self.scheduler.work_for(Some(span.id));
        let task = self.tasks.of_mut(span.id);
        if let Task::Draft(_) = task {
            self.end_draft(&span, outcome);
            return;
        }
        if let SpanOutcome::Stopped { layers_after_stop, .. } = outcome {
            self.status.add_layers_after_stop(layers_after_stop);
        }
        if task.stop_flag().is_raised() {
            self.end(span.id, FinishReason::Stopped, now);
            return;
        }
        match (task, output) {
            (Task::Embedding(embedding), Some(Output::Hidden(hidden))) => {
                let is_last = embedding.take(span.first_position, span.rows, hidden, now);
                self.scheduler.settle(&span, &[]);
                if is_last {
                    self.end_embedding(span.id);
                }
            }
            (Task::Answer(answer), output) => {
                let computed = span.first_position + span.rows;
                answer.stepped(computed, self.scheduler.cached_tokens(span.id), now);
                match output {
                    _ if span.sampled() == 0 => self.scheduler.settle(&span, &[]),
                    Some(Output::Logits(logits)) => self.take_logits(&span, logits, now),
                    _ => unreachable!("the runner keeps the logits of every sampled row"),
                }
            }
            _ => unreachable!("the runner keeps the rows of every embedding"),
        }
    }

    /// Takes the logits of an answer's sampled rows.
    fn take_logits(&mut self, span: &PlannedSpan, logits: &mut [f32], now: Instant) {
        match self.choose(span, logits, now) {
            Ok(end) => {
                self.scheduler.settle(span, &self.chosen);
                if let Some(reason) = end {
                    self.end(span.id, reason, now);
                }
            }
            Err(error) => self.end(span.id, FinishReason::Failed(error.to_string()), now),
        }
    }

    /// Chooses a token after each sampled row, until one is not the one that was guessed. Leaves
    /// them in `chosen`. Says whether the answer ends with the last of them, and why.
    fn choose(
        &mut self,
        span: &PlannedSpan,
        logits: &mut [f32],
        now: Instant,
    ) -> Result<Option<FinishReason>, ChooseError> {
        let answer = self.tasks.answer_mut(span.id);
        let sampled = span.sampled();
        let guesses = &self.scheduler.input(span).tokens[span.rows - sampled + 1..];
        let first_position = span.first_position + span.rows - guesses.len();
        let vocabulary_rows = logits.len() / sampled;
        self.chosen.clear();
        let mut end = None;
        for (index, logits) in logits.chunks_exact_mut(vocabulary_rows).enumerate() {
            let position = first_position + index;
            let chosen =
                answer.choose(index, logits, position, &self.token_rows, &mut self.scratch)?;
            let token = chosen.id;
            self.chosen.push(token);
            end = answer.take(chosen, &self.text, now);
            // Rows behind a wrong guess were computed from a token that the answer does not have.
            if end.is_some() || guesses.get(index) != Some(&token) {
                break;
            }
        }
        let accepted = self.chosen.len() - 1;
        answer.learn(guesses.len(), accepted);
        self.status.add_guesses(guesses.len(), accepted);
        Ok(end)
    }

    /// Notes the time of a forward pass that was computed to its end.
    pub fn measure_step(&mut self, took: Duration) {
        let mut rows = StepRows::default();
        for span in &self.plan {
            if span.is_decode() {
                rows.decode += 1;
                rows.guesses += span.rows - 1;
            } else {
                rows.prefill += span.rows;
            }
        }
        self.pace.stepped(rows, took);
        let costs = self.pace.policy().costs();
        let level_ms = costs.step_ms(1).unwrap_or_default();
        self.status.set_step_costs(Duration::from_secs_f64(level_ms / 1e3), costs.sizes());
    }

    fn publish(&self) {
        let running = self.scheduler.running_count(Purpose::Answer);
        let next_position = self.scheduler.waiting_count(Purpose::Answer) + 1;
        let estimate_ms = self.pace.wait_ms(next_position, running);
        self.status.publish(running, self.scheduler.free_blocks(), estimate_ms);
    }

    fn everyone(&self) -> Vec<SequenceId> {
        self.scheduler.running().chain(self.scheduler.waiting()).collect()
    }

    fn new_id(&mut self) -> SequenceId {
        let id = SequenceId(self.next_id);
        self.next_id += 1;
        id
    }
}
