//! How answers end: stopped, too late, complete, or because something broke.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::{Core, Task};
use crate::engine::answer::Answer;
use crate::engine::drafts::DraftTokens;
use crate::engine::embedding::EmbedError;
use crate::engine::generation::FinishReason;
use crate::engine::pace::milliseconds;
use crate::engine::thread::Phase;
use crate::faults::{self, Fault};
use crate::model::SpanOutcome;
use crate::scheduler::{Ended, PlannedSpan, SequenceId};

impl Core {
    /// Ends what was stopped, and what waited longer than it may. A running sequence does not wait:
    /// it gets a row in every step.
    pub(super) fn end_what_is_due(&mut self, now: Instant) {
        let running = self.scheduler.running().map(|id| (id, None));
        let waiting = self.scheduler.waiting().map(|id| (id, self.timeout(id, now)));
        let due = running.chain(waiting).filter_map(|(id, timeout)| {
            let is_stopped = self.tasks.of(id).stop_flag().is_raised();
            let reason = is_stopped.then_some(FinishReason::Stopped).or(timeout)?;
            Some((id, reason))
        });
        for (id, reason) in due.collect::<Vec<_>>() {
            self.end(id, reason, now);
        }
    }

    fn timeout(&self, waiting: SequenceId, now: Instant) -> Option<FinishReason> {
        let (was_admitted, idle_for) = match self.tasks.of(waiting) {
            Task::Answer(answer) => {
                (answer.was_admitted(), now.saturating_duration_since(answer.idle_since()))
            }
            Task::Embedding(embedding) => (embedding.was_admitted(), embedding.idle_for(now)),
            Task::Draft(_) => return None,
        };
        let (patience, reason) = match was_admitted {
            false => (self.patience.queue, FinishReason::QueueTimeout),
            true => (self.patience.step, FinishReason::StepTimeout),
        };
        (idle_for >= patience).then_some(reason)
    }

    /// Ends a sequence. Its blocks are free before its end is told, so that a reader of the end
    /// finds them free.
    pub(super) fn end(&mut self, id: SequenceId, reason: FinishReason, now: Instant) {
        self.scheduler.work_for(Some(id));
        let ended = self.scheduler.finish(id);
        faults::pass(Fault::End);
        match self.tasks.remove(id).expect("every sequence has a task") {
            Task::Answer(answer) => self.end_answer(id, *answer, &ended, reason, now),
            Task::Embedding(embedding) => {
                self.publish();
                embedding.fail(reason.into());
            }
            Task::Draft(_) => self.publish(),
        }
        self.scheduler.work_for(None);
    }

    fn end_answer(
        &mut self,
        id: SequenceId,
        answer: Answer,
        ended: &Ended,
        reason: FinishReason,
        now: Instant,
    ) {
        let is_complete = matches!(
            reason,
            FinishReason::EndToken | FinishReason::StopString | FinishReason::Length
        );
        if answer.was_admitted() && is_complete {
            self.pace.answered(answer.work());
        }
        self.publish();
        let answer_ids = &ended.tokens[answer.first_position()..];
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
    }

    /// Ends an embedding of which all rows were taken.
    pub(super) fn end_embedding(&mut self, id: SequenceId) {
        self.scheduler.finish(id);
        faults::pass(Fault::End);
        let task = self.tasks.remove(id);
        self.publish();
        if let Some(Task::Embedding(embedding)) = task {
            embedding.finish();
        }
        self.scheduler.work_for(None);
    }

    /// Ends everything that runs or waits, for one reason.
    pub fn end_all(&mut self, reason: &FinishReason, now: Instant) {
        for id in self.everyone() {
            self.end(id, reason.clone(), now);
        }
        self.publish();
    }

    /// Ends the step of a draft. What it computed stays in the cache if it was computed to the end
    /// of all layers.
    pub(super) fn end_draft(&mut self, span: &PlannedSpan, outcome: SpanOutcome) {
        if outcome == SpanOutcome::Done {
            self.scheduler.settle(span, &[]);
            let done = span.first_position + span.rows;
            self.drafts.computed(span.first_position, done);
            let computed = span.rows;
            self.status.add_drafts(DraftTokens { computed, ..DraftTokens::default() });
        }
        self.scheduler.finish(span.id);
        self.tasks.remove(span.id);
        self.publish();
    }

    /// Ends every sequence of the step that has not ended yet, because its forward pass broke.
    pub fn fail_step(&mut self, now: Instant) {
        for index in 0..self.plan.len() {
            let id = self.plan[index].id;
            if !self.tasks.has(id) {
                continue;
            }
            if matches!(self.tasks.of(id), Task::Draft(_)) {
                self.drafts.give_up();
            }
            self.end(id, broken(), now);
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

    /// Ends the sequence that something was being done for when it broke. If it was for none in
    /// particular, ends all that run if that was in a step, and none otherwise.
    ///
    /// Rebuilds the bookkeeping, which may have been left in the middle of a change, so that the
    /// others go on.
    pub fn end_broken(&mut self, now: Instant, phase: Phase) {
        let ended: Vec<SequenceId> = match (self.scheduler.at_work(), phase) {
            (Some(id), _) => vec![id],
            (None, Phase::Step) => self.scheduler.running().collect(),
            (None, Phase::Arrivals | Phase::Persistence) => Vec::new(),
        };
        let known = self.everyone();
        let without_task = known.iter().copied().filter(|id| !self.tasks.has(*id));
        let without_sequence = self.tasks.ids().filter(|id| !known.contains(id));
        let lost: Vec<SequenceId> = without_task.chain(without_sequence).collect();
        for id in ended.into_iter().chain(lost) {
            self.scheduler.write_off(id);
            match self.tasks.remove(id) {
                // If even that breaks, dropping the answer tells its end.
                Some(Task::Answer(answer)) => drop(catch_unwind(AssertUnwindSafe(|| {
                    answer.end(broken(), now, |_| ());
                }))),
                Some(Task::Embedding(embedding)) => embedding.fail(broken().into()),
                Some(Task::Draft(_)) => self.drafts.give_up(),
                None => {}
            }
        }
        self.scheduler.rebuild();
        self.publish();
    }

    /// Leaves a step in the middle: running sequences are planned anew.
    pub fn leave_step(&mut self) {
        self.plan.clear();
        self.scheduler.leave_step();
    }
}

impl From<FinishReason> for EmbedError {
    fn from(reason: FinishReason) -> EmbedError {
        match reason {
            FinishReason::QueueTimeout | FinishReason::StepTimeout => EmbedError::Timeout,
            FinishReason::Failed(what) => EmbedError::Failed(what),
            FinishReason::Stopped
            | FinishReason::EndToken
            | FinishReason::StopString
            | FinishReason::Length => EmbedError::Stopped,
        }
    }
}

fn broken() -> FinishReason {
    FinishReason::Failed("something broke while this was computed".to_owned())
}
