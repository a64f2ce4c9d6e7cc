//! The engine without its arithmetic: what happens around each forward pass.
//!
//! A step: [`Core::begin_step`] ends what was stopped or waited too long, admits and plans;
//! someone computes [`Core::spans`]; [`Core::take`] samples, delivers and settles span by span;
//! [`Core::measure_step`] learns how fast that was. The clock comes in with every call.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::{Answer, ChooseError, NewAnswer};
use super::draft_model::DraftModel;
use super::drafts::{Drafts, NewDraft};
use super::generation::FinishReason;
use super::pace::{Company, Pace, StepRows, milliseconds};
use super::status::Status;
use super::thread::{Compute, Phase};
use crate::StopFlag;
use crate::faults::{self, Fault};
use crate::kv_cache::disk::Disk;
use crate::model::{Span, SpanOutcome};
use crate::sampler::{SampleScratch, TokenRows};
use crate::scheduler::{NewSequence, PlannedSpan, Scheduler, SchedulerLimits, SequenceId};
use crate::structure::{Guide, StructureError, TokenMask};
use crate::text::{Text, TokenId};

/// What may come next in an answer with a form, to be found while the step is computed.
pub struct Masking {
    id: SequenceId,
    guide: Guide,
    guesses: Vec<TokenId>,
    found: Option<Result<Vec<TokenMask>, StructureError>>,
}

impl Masking {
    /// Finds it.
    pub fn run(&mut self) {
        self.found = Some(self.guide.masks(&self.guesses));
    }
}

/// How long an answer may stand still before it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From its arrival to its admission.
    pub queue: Duration,
    /// After giving up its blocks, until it has them again and is computed.
    pub step: Duration,
    /// Between two words, because of others' prompts.
    pub gap: Duration,
}

/// Sequences, their answers, and the order of a step.
pub struct Core {
    pub(super) scheduler: Scheduler,
    pub(super) answers: HashMap<SequenceId, Answer>,
    next_id: u64,
    plan: Vec<PlannedSpan>,
    pub(super) ids: Vec<SequenceId>,
    chosen: Vec<TokenId>,
    /// Structures on their way to the mask thread or back. They are kept here so that a panic in
    /// between does not lose them.
    masking: Vec<Masking>,
    pub(super) rows: TokenRows,
    pub(super) scratch: SampleScratch,
    pub(super) pace: Pace,
    patience: Patience,
    pub(super) drafts: Drafts,
    pub(super) disk: Option<Disk>,
    /// Ends the step of a draft.
    draft_stop: StopFlag,
    pub(super) text: Arc<Text>,
    pub(super) status: Arc<Status>,
}

impl Core {
    /// An engine without sequences.
    pub fn new(
        limits: SchedulerLimits,
        patience: Patience,
        text: Arc<Text>,
        rows: TokenRows,
        scratch: SampleScratch,
        status: Arc<Status>,
    ) -> Core {
        Core {
            scheduler: Scheduler::new(limits),
            answers: HashMap::new(),
            next_id: 0,
            plan: Vec::new(),
            ids: Vec::new(),
            chosen: Vec::new(),
            masking: Vec::new(),
            rows,
            scratch,
            pace: Pace::new(patience.gap),
            patience,
            drafts: Drafts::default(),
            disk: None,
            draft_stop: StopFlag::new(),
            text,
            status,
        }
    }

    /// Takes in a request that has its place in the queue.
    pub fn submit(&mut self, new: NewAnswer, now: Instant) {
        let id = SequenceId(self.next_id);
        self.next_id += 1;
        let (max_tokens, origin, shared_tokens) = (new.max_tokens, new.origin, new.shared_tokens);
        let (answer, prompt) = Answer::new(new);
        let (used, wasted) = self.drafts.serve(origin.tenant, &prompt);
        self.status.add_drafted(0, used, wasted);
        let new = NewSequence { id, prompt, max_tokens, origin, shared_tokens };
        self.scheduler.work_for(Some(id));
        match self.scheduler.submit(new) {
            Ok(()) => {
                faults::pass(Fault::Submit);
                self.fetch(id, answer.stop_flag());
                self.answers.insert(id, answer);
            }
            Err(refused) => {
                answer.end(FinishReason::Failed(refused.to_string()), now, |_| ());
            }
        }
        self.scheduler.work_for(None);
    }

    /// Keeps blocks on disk from now on.
    pub fn set_disk(&mut self, disk: Disk) {
        self.scheduler.cache().set_disk(true);
        self.disk = Some(disk);
    }

    /// Takes in what somebody is typing.
    pub fn put_draft(&mut self, new: NewDraft) {
        let wasted = self.drafts.put(new);
        self.status.add_drafted(0, 0, wasted);
    }

    /// The flag that ends the next step if a draft is computed in it.
    pub fn set_draft_stop(&mut self, stop: StopFlag) {
        self.draft_stop = stop;
    }

    /// Whether there is nothing to compute.
    pub fn is_idle(&self) -> bool {
        self.answers.is_empty() && self.drafts.next().is_none()
    }

    /// Ends what must end, admits what can begin, and decides what the step computes.
    ///
    /// Drafts are computed only where there are no answers.
    pub fn begin_step<C: Compute>(
        &mut self,
        now: Instant,
        model: Option<&mut DraftModel<C>>,
        clock: &dyn Fn() -> Instant,
    ) {
        self.end_what_is_due(now);
        if self.answers.is_empty() {
            self.begin_draft();
            return;
        }
        self.ids.clear();
        self.scheduler.admit(&mut self.ids);
        self.tell_admitted(now);
        self.tell_positions();
        self.scheduler.make_room();
        self.guess(model, clock);
        self.plan_step();
        self.publish();
    }

    /// Tells those who run for the first time, some of them perhaps since a step that broke.
    fn tell_admitted(&mut self, now: Instant) {
        self.ids.clear();
        self.ids.extend(self.scheduler.running());
        for id in &self.ids {
            self.scheduler.work_for(Some(*id));
            let answer = self.answers.get_mut(id).expect("every sequence has an answer");
            if !answer.was_admitted() {
                let cached = self.scheduler.cached_tokens(*id);
                self.status.add_prompt(answer.prompt_tokens(), cached.min(answer.prompt_tokens()));
                answer.admit(cached, now);
            }
        }
        self.scheduler.work_for(None);
    }

    /// Decides how many rows of whom the step has.
    fn plan_step(&mut self) {
        let answers = self.scheduler.answer_rows();
        if answers > 0 && self.pace.wants_answers_alone() {
            self.scheduler.plan_answers(&mut self.plan);
            return;
        }
        let company = if answers > 0 { Company::Answers(answers) } else { Company::Prompts };
        self.scheduler.plan(self.pace.prompt_rows(company), &mut self.plan);
        let of_prompts = self.plan.iter().filter(|span| !span.is_of_answer());
        let prompts: usize = of_prompts.map(|span| span.rows).sum();
        if answers > 0 && prompts > self.pace.bearable_rows(answers) {
            self.status.add_slow_step();
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
                sampled: planned.sampled,
                stop: self.answers.get(&planned.id).map_or(&self.draft_stop, Answer::stop_flag),
            }
        };
        self.plan.iter().map(span).collect()
    }

    /// What has to be found before tokens of forms can be chosen; see [`Core::end_masks`].
    pub fn begin_masks(&mut self) -> Vec<Masking> {
        for span in self.plan.iter().filter(|span| span.sampled > 0) {
            self.scheduler.work_for(Some(span.id));
            faults::pass(Fault::BeginMasks);
            let Some(answer) = self.answers.get_mut(&span.id) else { continue };
            if let Some(guide) = answer.take_guide() {
                let guesses = &self.scheduler.input(span).tokens[span.rows + 1 - span.sampled..];
                let (id, guesses) = (span.id, guesses.to_vec());
                self.masking.push(Masking { id, guide, guesses, found: None });
            }
        }
        self.scheduler.work_for(None);
        std::mem::take(&mut self.masking)
    }

    /// Takes what was found.
    pub fn end_masks(&mut self, masking: Vec<Masking>) {
        self.masking.extend(masking);
        while let Some(last) = self.masking.last() {
            self.scheduler.work_for(Some(last.id));
            faults::pass(Fault::EndMasks);
            let last = self.masking.pop();
            let Some(Masking { id, guide, found, .. }) = last else { break };
            // One that ended because something broke needs its form no more.
            if let Some(answer) = self.answers.get_mut(&id) {
                answer.set_masks(guide, found.unwrap_or_else(|| Ok(Vec::new())));
            }
        }
        self.scheduler.work_for(None);
    }

    /// Takes what became of a span: a token of it, the end of it, or nothing but progress.
    ///
    /// `logits` are those of its sampled rows: `[sampled, vocabulary_rows]`.
    pub fn take(
        &mut self,
        index: usize,
        outcome: SpanOutcome,
        logits: Option<&mut [f32]>,
        now: Instant,
    ) {
        let span = self.plan[index];
        self.scheduler.work_for(Some(span.id));
        let Some(answer) = self.answers.get_mut(&span.id) else {
            self.end_draft(&span, outcome);
            return;
        };
        if let SpanOutcome::Stopped { layers_after_stop, .. } = outcome {
            self.status.add_layers_after_stop(layers_after_stop);
        }
        if answer.stop_flag().is_raised() {
            self.end(span.id, FinishReason::Stopped, now);
            return;
        }
        let computed = span.first_position + span.rows;
        answer.stepped(computed, self.scheduler.cached_tokens(span.id), now);
        if span.sampled == 0 {
            self.scheduler.settle(&span, &[]);
            return;
        }
        let logits = logits.expect("the runner keeps the logits of every sampled row");
        match self.choose(&span, logits, now) {
            Ok(end) => {
                self.scheduler.settle(&span, &self.chosen);
                if let Some(reason) = end {
                    self.end(span.id, reason, now);
                }
            }
            Err(error) => self.end(span.id, FinishReason::Failed(error.to_string()), now),
        }
    }

    /// Chooses a token after each sampled row, until one is not the one that was guessed; leaves them in
    /// `chosen`. Says whether the answer ends with the last of them, and why.
    fn choose(
        &mut self,
        span: &PlannedSpan,
        logits: &mut [f32],
        now: Instant,
    ) -> Result<Option<FinishReason>, ChooseError> {
        let answer = self.answers.get_mut(&span.id).expect("every sequence has an answer");
        let guesses = &self.scheduler.input(span).tokens[span.rows - span.sampled + 1..];
        let first_position = span.first_position + span.rows - guesses.len();
        let vocabulary_rows = logits.len() / span.sampled;
        if let Some(before) = answer.last_token_at() {
            self.status.add_gap(now.saturating_duration_since(before));
        }
        self.chosen.clear();
        let mut end = None;
        for (index, logits) in logits.chunks_exact_mut(vocabulary_rows).enumerate() {
            let position = first_position + index;
            let token = answer.choose(index, logits, position, &self.rows, &mut self.scratch)?;
            self.chosen.push(token);
            end = answer.take(token, &self.text, now);
            if end.is_some() || guesses.get(index) != Some(&token) {
                break;
            }
        }
        let held = self.chosen.len() - 1;
        answer.learn(guesses.len(), held);
        self.status.add_guesses(guesses.len(), held);
        Ok(end)
    }

    /// Tries guesses if that seems to be faster: where everyone who runs waits for the next word, for a
    /// step with prompts is long enough already.
    fn guess<C: Compute>(
        &mut self,
        model: Option<&mut DraftModel<C>>,
        clock: &dyn Fn() -> Instant,
    ) {
        let most = self.scheduler.limits().guessed_rows;
        self.ids.clear();
        self.ids.extend(self.scheduler.answering());
        let singles = self.ids.len();
        if most == 0 || singles < self.scheduler.running().len() {
            return;
        }
        let guess = |id: &SequenceId| {
            self.scheduler.work_for(Some(*id));
            faults::pass(Fault::Guess);
            let answer = self.answers.get_mut(id).expect("every sequence has an answer");
            answer.guess(self.scheduler.tokens(*id))
        };
        let mut guesses: Vec<(f64, Vec<TokenId>)> = self.ids.iter().map(guess).collect();
        self.scheduler.work_for(None);
        if let Some(model) = model {
            self.ask_model(model, &mut guesses, clock);
        }
        let chances: Vec<(f64, usize)> =
            guesses.iter().map(|(chance, tokens)| (*chance, tokens.len())).collect();
        let counts = self.pace.policy().counts(&chances, singles, most);
        for ((id, (_, tokens)), count) in self.ids.iter().zip(guesses).zip(counts) {
            self.scheduler.work_for(Some(*id));
            if count > 0 {
                self.scheduler.try_guesses(*id, &tokens[..count]);
            }
        }
        self.scheduler.work_for(None);
    }

    /// Plans a step of the next draft, if there is one.
    fn begin_draft(&mut self) {
        self.plan.clear();
        let Some(draft) = self.drafts.next() else { return };
        let new = NewSequence {
            id: SequenceId(self.next_id),
            prompt: draft.tokens.clone(),
            max_tokens: 1,
            origin: draft.origin,
            shared_tokens: draft.shared_tokens,
        };
        self.next_id += 1;
        let rows = self.pace.prompt_rows(Company::Prompts);
        if self.scheduler.plan_draft(new, rows, &mut self.plan).is_none() {
            self.drafts.give_up();
        }
    }

    /// What a step computed of a draft stays in the cache, if it was computed to the end of all layers.
    fn end_draft(&mut self, span: &PlannedSpan, outcome: SpanOutcome) {
        if outcome == SpanOutcome::Done {
            self.scheduler.settle(span, &[]);
            let done = span.first_position + span.rows;
            self.drafts.computed(span.first_position, done);
            self.status.add_drafted(span.rows, 0, 0);
        }
        self.scheduler.finish(span.id);
        self.publish();
    }

    /// Takes the time of a forward pass that was computed to its end.
    pub fn measure_step(&mut self, took: Duration) {
        let mut rows = StepRows::default();
        for span in &self.plan {
            if span.is_of_answer() {
                rows.answers += 1;
                rows.guesses += span.rows - 1;
            } else {
                rows.prompts += span.rows;
            }
        }
        self.pace.stepped(rows, took);
        let costs = self.pace.policy().costs();
        let level_ms = costs.step_ms(1).unwrap_or_default();
        self.status.set_step_costs(Duration::from_secs_f64(level_ms / 1e3), costs.sizes());
    }

    /// Ends every sequence of the step that has not ended yet, because its forward pass broke.
    pub fn fail_step(&mut self, now: Instant) {
        for index in 0..self.plan.len() {
            let id = self.plan[index].id;
            if self.answers.contains_key(&id) {
                self.end(id, broken(), now);
            } else if self.scheduler.running().any(|running| running == id) {
                self.scheduler.finish(id);
                self.drafts.give_up();
            }
        }
    }

    /// Whether something is being done for one sequence.
    pub fn is_for_one(&self) -> bool {
        self.scheduler.at_work().is_some()
    }

    /// What is done from now on is for no sequence in particular.
    pub fn work_for_nobody(&mut self) {
        self.scheduler.work_for(None);
    }

    /// Ends the sequence that something was being done for when it broke, or in a step all that run if it
    /// was for none in particular.
    ///
    /// Books that were left in the middle of a change are made right, so that the others go on.
    pub fn end_broken(&mut self, now: Instant, phase: Phase) {
        let ended: Vec<SequenceId> = match (self.scheduler.at_work(), phase) {
            (Some(id), _) => vec![id],
            (None, Phase::Step) => self.scheduler.running().collect(),
            (None, Phase::Arrivals | Phase::Keeping) => Vec::new(),
        };
        let (known, waiting) = (self.everyone(), self.scheduler.waiting().collect::<Vec<_>>());
        let without_answer = known.iter().copied().filter(|id| !self.answers.contains_key(id));
        let without_books = self.answers.keys().copied().filter(|id| !known.contains(id));
        let lost: Vec<SequenceId> = without_answer.chain(without_books).collect();
        for id in ended.into_iter().chain(lost) {
            self.scheduler.write_off(id);
            match self.answers.remove(&id) {
                // If even that breaks, dropping it tells the end.
                Some(answer) => drop(catch_unwind(AssertUnwindSafe(|| {
                    answer.end(broken(), now, |_| ());
                }))),
                None if waiting.contains(&id) => {}
                None => self.drafts.give_up(),
            }
        }
        self.scheduler.mend();
        self.publish();
    }

    /// Leaves a step in the middle: whoever runs is planned anew.
    pub fn leave_step(&mut self) {
        self.plan.clear();
        self.scheduler.leave_step();
    }

    /// Ends everything that runs or waits, for one reason.
    pub fn end_all(&mut self, reason: &FinishReason, now: Instant) {
        for id in self.everyone() {
            self.end(id, reason.clone(), now);
        }
        self.publish();
    }

    /// Ends what was stopped, and what waited longer than it may. Whoever runs does not wait: it
    /// gets a row in every step.
    fn end_what_is_due(&mut self, now: Instant) {
        let running = self.scheduler.running().map(|id| (id, None));
        let waiting = self.scheduler.waiting().map(|id| (id, self.timeout(id, now)));
        let due = running.chain(waiting).filter_map(|(id, timeout)| {
            let is_stopped = self.answers[&id].stop_flag().is_raised();
            let reason = is_stopped.then_some(FinishReason::Stopped).or(timeout)?;
            Some((id, reason))
        });
        for (id, reason) in due.collect::<Vec<_>>() {
            self.end(id, reason, now);
        }
    }

    fn timeout(&self, waiting: SequenceId, now: Instant) -> Option<FinishReason> {
        let answer = &self.answers[&waiting];
        let (patience, reason) = match answer.was_admitted() {
            false => (self.patience.queue, FinishReason::QueueTimeout),
            true => (self.patience.step, FinishReason::StepTimeout),
        };
        let idle_for = now.saturating_duration_since(answer.idle_since());
        (idle_for >= patience).then_some(reason)
    }

    fn tell_positions(&mut self) {
        let at_once = self.scheduler.running().len();
        let waiting: Vec<SequenceId> = self.scheduler.waiting().collect();
        for (ahead, id) in waiting.into_iter().enumerate() {
            self.scheduler.work_for(Some(id));
            let position = ahead + 1;
            let estimate_ms = self.pace.wait_ms(position, at_once);
            let answer = self.answers.get_mut(&id).expect("every sequence has an answer");
            answer.tell_position(position, estimate_ms);
        }
        self.scheduler.work_for(None);
    }

    /// Ends a sequence: first its blocks are free, then its end is told.
    fn end(&mut self, id: SequenceId, reason: FinishReason, now: Instant) {
        self.scheduler.work_for(Some(id));
        let ended = self.scheduler.finish(id);
        faults::pass(Fault::End);
        let answer = self.answers.remove(&id).expect("every sequence has an answer");
        let is_complete = matches!(
            reason,
            FinishReason::EndToken | FinishReason::StopString | FinishReason::Length
        );
        if answer.was_admitted() && is_complete {
            self.pace.answered(answer.work());
        }
        self.publish();
        let answer_ids = &ended.tokens[answer.prompt_tokens()..];
        let halt_ms = answer
            .stop_flag()
            .raised_at()
            .map(|at| milliseconds(now.saturating_duration_since(at)));
        tracing::debug!(
            generation = id.0,
            ?reason,
            prompt_tokens = answer.prompt_tokens(),
            answer_tokens = answer_ids.len(),
            blocks_freed = ended.blocks_freed,
            halt_ms,
            "generation finished"
        );
        let (origin, is_forgotten) = (answer.origin(), answer.is_forgotten());
        answer.end(reason, now, |text| {
            if !is_forgotten {
                self.remember(origin, text, answer_ids);
            }
        });
        if is_forgotten {
            self.forget(&origin);
        }
        self.scheduler.work_for(None);
    }

    fn publish(&self) {
        let running = self.scheduler.running().len();
        let next_position = self.scheduler.waiting_count() + 1;
        let estimate_ms = self.pace.wait_ms(next_position, running);
        self.status.publish(running, self.scheduler.free_blocks(), estimate_ms);
    }

    fn everyone(&self) -> Vec<SequenceId> {
        self.scheduler.running().chain(self.scheduler.waiting()).collect()
    }
}

fn broken() -> FinishReason {
    FinishReason::Failed("something broke while this answer was computed".to_owned())
}
