//! A small model of the same tokens that guesses what the large one will say.
//!
//! Its keys and values are in pages of their own with the same blocks: a lease says up to which token
//! it knows a sequence, and what it does not know it reads before it guesses. It draws with each answer's own
//! sampler, so that where both models think alike they also draw alike.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::core::Core;
use super::thread::Compute;
use crate::model::{Plan, Span, SpanOutcome};
use crate::scheduler::SequenceId;
use crate::speculation::MAX_GUESSES;
use crate::text::TokenId;

/// The small model.
pub struct DraftModel<C> {
    compute: C,
    is_broken: bool,
}

/// A sequence while it is guessed.
struct Guessed {
    /// Its place among all that guess.
    index: usize,
    id: SequenceId,
    /// How many guesses it may have; as many as it has once no more can be found.
    room: usize,
    guesses: Vec<TokenId>,
}

/// What a pass reads of one sequence.
struct Reading {
    /// Its place among those that are asked.
    place: usize,
    first_position: usize,
    tokens: Vec<TokenId>,
    /// Whether the model knows all tokens then, so that the next can be drawn.
    is_all: bool,
}

/// Tokens that the small model reads before one step, at most: what it does not know yet must not keep
/// answers waiting.
const READ_AT_ONCE: usize = 64;

impl<C: Compute> DraftModel<C> {
    /// A model that knows nothing yet.
    pub fn new(compute: C) -> DraftModel<C> {
        DraftModel { compute, is_broken: false }
    }

    /// Lets the model compute, unless it breaks: from then on it is not asked any more.
    fn unless_it_breaks<T>(&mut self, compute: impl FnOnce(&mut C) -> T) -> Option<T> {
        let computed = catch_unwind(AssertUnwindSafe(|| compute(&mut self.compute)));
        if computed.is_err() {
            tracing::error!("the draft model has broken down; answers go on without it");
            self.is_broken = true;
        }
        computed.ok()
    }
}

impl Guessed {
    fn has_room(&self) -> bool {
        self.guesses.len() < self.room
    }

    /// It keeps the guesses it has and gets no more.
    fn close(&mut self) {
        self.room = self.guesses.len();
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
        let mut asked = self.asked_of();
        while asked.iter().any(Guessed::has_room) {
            let began = clock();
            let active = asked.iter().filter(|guessed| guessed.has_room()).count();
            let Some(rows) = self.pass(model, &mut asked) else { return };
            // One that reads what the model did not know yet takes longer.
            if rows == active {
                self.pace.drafted(clock().saturating_duration_since(began));
            }
        }
        for Guessed { index, id, guesses: guessed, .. } in asked {
            if !guessed.is_empty() {
                let answer = self.answers.get_mut(&id).expect("every sequence has an answer");
                answer.take_drafted();
                guesses[index] = (answer.chance_of_drafted(), guessed);
            }
        }
    }

    /// The sequences that a model is asked for, with room for as many guesses as are worthwhile.
    fn asked_of(&mut self) -> Vec<Guessed> {
        let ids = self.ids.iter().copied().enumerate();
        let weak: Vec<(usize, SequenceId)> =
            ids.filter(|(_, id)| self.answers[id].wants_model()).collect();
        let chances: Vec<f64> =
            weak.iter().map(|(_, id)| self.answers[id].chance_of_drafted()).collect();
        let most = self.scheduler.limits().guessed_rows / weak.len().max(1);
        let most = most.min(MAX_GUESSES);
        let length = self.pace.policy().draft_length(&chances, self.ids.len(), most);
        let asked = |(index, id)| {
            let room = self.scheduler.room_for_guesses(id, length);
            Guessed { index, id, room, guesses: Vec::new() }
        };
        weak.into_iter().map(asked).collect()
    }

    /// One token more of every sequence that has room for it, once the model knows all before. Says how
    /// many rows that took; none if the model broke. Sequences that it does not know far enough, or
    /// that were stopped, get no more.
    fn pass<C: Compute>(
        &mut self,
        model: &mut DraftModel<C>,
        asked: &mut [Guessed],
    ) -> Option<usize> {
        let readings = self.readings(asked);
        let spans: Vec<Span<'_>> = readings
            .iter()
            .map(|reading| {
                let id = asked[reading.place].id;
                Span {
                    blocks: self.scheduler.draft_input(id).blocks,
                    first_position: reading.first_position,
                    tokens: &reading.tokens,
                    sampled: usize::from(reading.is_all),
                    stop: self.answers[&id].stop_flag(),
                }
            })
            .collect();
        let rows = spans.iter().map(|span| span.tokens.len()).sum();
        let plan = Plan { spans: &spans };
        let outcomes = model.unless_it_breaks(|compute| compute.forward(&plan).spans)?;
        drop(spans);
        for (span, (reading, outcome)) in readings.iter().zip(outcomes).enumerate() {
            let guessed = &mut asked[reading.place];
            let mut drawn = None;
            if outcome == SpanOutcome::Done {
                let known = reading.first_position + reading.tokens.len();
                self.scheduler.set_known_to_model(guessed.id, known);
                let (answer, rows) = (&self.answers[&guessed.id], &self.rows);
                let scratch = &mut self.scratch;
                drawn = model.unless_it_breaks(|compute| {
                    let logits = compute.logits(span).filter(|_| reading.is_all)?;
                    answer.draw(logits, known, rows, scratch)
                })?;
            }
            match drawn {
                Some(token) => guessed.guesses.push(token),
                None => guessed.close(),
            }
        }
        Some(rows)
    }

    /// What the model reads next of those that have room; those of which it may read nothing get no more.
    fn readings(&self, asked: &mut [Guessed]) -> Vec<Reading> {
        let most = READ_AT_ONCE.min(self.scheduler.limits().step_tokens);
        let mut left = most.max(asked.len());
        let mut readings = Vec::new();
        for (place, guessed) in asked.iter_mut().enumerate().filter(|(_, one)| one.has_room()) {
            let input = self.scheduler.draft_input(guessed.id);
            let all = input.tokens.iter().chain(&guessed.guesses);
            let missing = input.tokens.len() + guessed.guesses.len() - input.known;
            let rows = missing.min(left);
            left -= rows;
            if rows == 0 {
                guessed.close();
                continue;
            }
            let (first_position, is_all) = (input.known, rows == missing);
            let tokens = all.skip(input.known).take(rows).copied().collect();
            readings.push(Reading { place, first_position, tokens, is_all });
        }
        readings
    }
}
