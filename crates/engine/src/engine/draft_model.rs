//! A small model of the same tokens that guesses what the large one will say.
//!
//! Its keys and values are in pages of their own with the same blocks: a lease says up to which token
//! it knows a sequence, and what it does not know it reads before it guesses. It draws with each answer's own
//! sampler, so that where both models think alike they also draw alike.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::core::Core;
use super::pace::milliseconds;
use super::thread::Compute;
use crate::model::{Plan, Span, SpanOutcome};
use crate::scheduler::SequenceId;
use crate::speculation::{MAX_GUESSES, worthwhile_length};
use crate::text::TokenId;

/// The small model and how fast it is.
pub struct DraftModel<C> {
    compute: C,
    /// What one token of every sequence takes.
    pass_ms: Option<f64>,
    is_broken: bool,
}

/// A sequence while it is guessed.
struct Guessed {
    /// Its place among all that guess.
    index: usize,
    id: SequenceId,
    /// How many guesses there is room for.
    room: usize,
    guesses: Vec<TokenId>,
}

/// Tokens that the small model reads before one step, at most: what it does not know yet must not keep
/// answers waiting.
const READ_AT_ONCE: usize = 64;

/// How much the newest measurement counts.
const NEWEST_WEIGHT: f64 = 0.3;

impl<C: Compute> DraftModel<C> {
    /// A model that knows nothing yet.
    pub fn new(compute: C) -> DraftModel<C> {
        DraftModel { compute, pass_ms: None, is_broken: false }
    }

    fn forward(&mut self, spans: &[Span<'_>]) -> Option<Vec<SpanOutcome>> {
        let plan = Plan { spans };
        let computed = catch_unwind(AssertUnwindSafe(|| self.compute.forward(&plan)));
        if computed.is_err() {
            tracing::error!("the draft model has broken down; answers go on without it");
            self.is_broken = true;
        }
        computed.ok().map(|forward| forward.spans)
    }

    fn measured(&mut self, took: Duration) {
        let newest = milliseconds(took);
        let blend = |mean: f64| mean + NEWEST_WEIGHT * (newest - mean);
        self.pass_ms = Some(self.pass_ms.map_or(newest, blend));
    }
}

impl Core {
    /// Lets a model guess for the sequences in `ids` whose own guesses are weak; `guesses` are those of all,
    /// with how likely each holds.
    pub(super) fn ask_model<C: Compute>(
        &mut self,
        model: &mut DraftModel<C>,
        guesses: &mut [(f64, Vec<TokenId>)],
        clock: &dyn Fn() -> Instant,
    ) {
        if model.is_broken {
            return;
        }
        let mut asked = self.asked_of(model);
        while asked.iter().any(|guessed| guessed.guesses.len() < guessed.room) {
            let began = clock();
            let Some(rows) = self.pass(model, &mut asked) else { return };
            if rows == asked.len() {
                model.measured(clock().saturating_duration_since(began));
            }
        }
        for Guessed { index, id, guesses: guessed, .. } in asked {
            let answer = self.answers.get_mut(&id).expect("every sequence has an answer");
            answer.take_drafted();
            guesses[index] = (answer.chance_of_drafted(), guessed);
        }
    }

    /// The sequences that a model is asked for, with room for as many guesses as are worthwhile.
    fn asked_of<C>(&mut self, model: &DraftModel<C>) -> Vec<Guessed> {
        let ids = self.ids.iter().copied().enumerate();
        let weak: Vec<(usize, SequenceId)> =
            ids.filter(|(_, id)| self.answers[id].wants_model()).collect();
        let chances: Vec<f64> =
            weak.iter().map(|(_, id)| self.answers[id].chance_of_drafted()).collect();
        let costs = self.pace.costs();
        let step_ms = |rows| costs.step_ms(rows).expect("something was measured");
        let most = self.scheduler.limits().guessed_rows / weak.len().max(1);
        let most = most.min(MAX_GUESSES);
        let length = worthwhile_length(&chances, self.ids.len(), most, model.pass_ms, step_ms);
        let asked = |(index, id)| {
            let room = self.scheduler.room_for_guesses(id, length);
            Guessed { index, id, room, guesses: Vec::new() }
        };
        weak.into_iter().map(asked).filter(|guessed| guessed.room > 0).collect()
    }

    /// One token more of every sequence that has room for it, once the model knows all before. Says how
    /// many rows that took; none if the model broke. Sequences that it does not know far enough, or
    /// that were stopped, go.
    fn pass<C: Compute>(
        &mut self,
        model: &mut DraftModel<C>,
        asked: &mut Vec<Guessed>,
    ) -> Option<usize> {
        asked.retain(|guessed| guessed.guesses.len() < guessed.room);
        let most = READ_AT_ONCE.min(self.scheduler.limits().step_tokens);
        let mut left = most.max(asked.len());
        let read = |guessed: &Guessed| {
            let input = self.scheduler.draft_input(guessed.id);
            let mut tokens = input.tokens.to_vec();
            tokens.extend_from_slice(&guessed.guesses);
            let missing = tokens.len() - input.known;
            let rows = missing.min(left);
            left -= rows;
            (input.known, tokens[input.known..input.known + rows].to_vec(), rows == missing)
        };
        let read: Vec<(usize, Vec<TokenId>, bool)> = asked.iter().map(read).collect();
        let spans = asked.iter().zip(&read).filter(|(_, (_, tokens, _))| !tokens.is_empty());
        let spans: Vec<Span<'_>> = spans
            .map(|(guessed, (first_position, tokens, is_all))| Span {
                blocks: self.scheduler.draft_input(guessed.id).blocks,
                first_position: *first_position,
                tokens,
                sampled: usize::from(*is_all),
                stop: self.answers[&guessed.id].stop_flag(),
            })
            .collect();
        let rows = spans.iter().map(|span| span.tokens.len()).sum();
        let outcomes = model.forward(&spans)?;
        drop(spans);
        let mut span = 0;
        let mut read = read.into_iter();
        asked.retain_mut(|guessed| {
            let (first_position, tokens, is_all) = read.next().expect("one for each");
            if tokens.is_empty() {
                return false;
            }
            let (outcome, logits) = (outcomes[span], model.compute.logits(span));
            span += 1;
            if outcome != SpanOutcome::Done {
                return false;
            }
            let known = first_position + tokens.len();
            self.scheduler.set_known_to_model(guessed.id, known);
            let Some(logits) = logits.filter(|_| is_all) else { return false };
            let answer = &self.answers[&guessed.id];
            let drawn = answer.draw(logits, known, &self.rows, &mut self.scratch);
            drawn.map(|token| guessed.guesses.push(token)).is_some()
        });
        Some(rows)
    }
}
