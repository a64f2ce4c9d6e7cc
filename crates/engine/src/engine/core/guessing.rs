//! Which guesses a step tries.
//!
//! Each answer guesses from its own text. If those guesses are weak, a draft model is asked: one
//! pass gives one more token of every sequence that has room for it.
//!
//! ```text
//!             pass 1   pass 2   pass 3
//!  A, room 3    g        g        g        a draft model reads what it has not computed yet
//!  B, room 1    g        -        -        before it guesses (C), a few tokens at a time
//!  C, room 3  (reads)  (reads)    g
//! ```

use std::time::Instant;

use super::Core;
use crate::engine::draft_model::DraftModel;
use crate::faults::{self, Fault};
use crate::model::{Plan, Span, SpanOutcome, Wanted};
use crate::scheduler::SequenceId;
use crate::speculation::{Guesses, MAX_GUESSES};
use crate::text::TokenId;

/// A sequence that a draft model is asked for.
struct Asked {
    /// Its index among all that guess.
    index: usize,
    id: SequenceId,
    /// How many guesses it may have. Once no more can be found, as many as it has.
    room: usize,
    guesses: Vec<TokenId>,
}

/// What a pass reads of one sequence.
struct Reading {
    /// Its index among those that are asked.
    index: usize,
    first_position: usize,
    tokens: Vec<TokenId>,
    /// Whether the model has computed all tokens then, so that the next can be drawn.
    is_all: bool,
}

/// Tokens that the draft model reads before one step, at most: what it has not computed yet must
/// not keep answers waiting.
const READ_AT_ONCE: usize = 64;

impl Asked {
    fn has_room(&self) -> bool {
        self.guesses.len() < self.room
    }

    /// It keeps the guesses it has and gets no more.
    fn close(&mut self) {
        self.room = self.guesses.len();
    }
}

impl Core {
    /// Tries guesses if that seems to be faster. Only if all running sequences decode: a step with
    /// prompts takes long enough already.
    pub(super) fn guess(
        &mut self,
        draft_model: Option<&mut DraftModel>,
        clock: &dyn Fn() -> Instant,
    ) {
        let most = self.scheduler.limits().guessed_rows;
        self.decoding.clear();
        self.decoding.extend(self.scheduler.decoding());
        let singles = self.decoding.len();
        if most == 0 || singles < self.scheduler.running().len() {
            return;
        }
        let guess = |id: &SequenceId| {
            self.scheduler.work_for(Some(*id));
            faults::pass(Fault::Guess);
            let answer = self.tasks.answer_mut(*id);
            answer.guess(self.scheduler.tokens(*id))
        };
        let mut guesses: Vec<Guesses> = self.decoding.iter().map(guess).collect();
        self.scheduler.work_for(None);
        if let Some(draft_model) = draft_model.filter(|model| !model.is_broken()) {
            self.ask(draft_model, &mut guesses, clock);
        }
        let chances: Vec<(f64, usize)> =
            guesses.iter().map(|guesses| (guesses.chance, guesses.tokens.len())).collect();
        let counts = self.pace.policy().counts(&chances, singles, most);
        for ((id, guesses), count) in self.decoding.iter().zip(guesses).zip(counts) {
            self.scheduler.work_for(Some(*id));
            if count > 0 {
                self.scheduler.try_guesses(*id, &guesses.tokens[..count]);
            }
        }
        self.scheduler.work_for(None);
    }

    /// Lets a draft model guess for those in `decoding` whose own guesses are weak. `guesses` are
    /// those of all.
    fn ask(
        &mut self,
        model: &mut DraftModel,
        guesses: &mut [Guesses],
        clock: &dyn Fn() -> Instant,
    ) {
        let mut asked = self.asked();
        while asked.iter().any(Asked::has_room) {
            let began = clock();
            let active = asked.iter().filter(|asked| asked.has_room()).count();
            let Some(rows) = self.pass(model, &mut asked) else { return };
            // A pass that reads many tokens of a sequence takes longer than a usual one. Two are
            // usual: after a step in which all guesses were accepted, the last guess is still to be
            // read, and so is the token that was chosen behind it.
            if rows <= 2 * active {
                self.pace.draft_model_passed(clock().saturating_duration_since(began));
            }
        }
        for Asked { index, id, guesses: tokens, .. } in asked {
            if !tokens.is_empty() {
                let answer = self.tasks.answer_mut(id);
                answer.use_draft_model();
                guesses[index] = Guesses { chance: answer.draft_model_chance(), tokens };
            }
        }
    }

    /// The sequences that a model is asked for, with room for as many guesses as are worthwhile.
    fn asked(&mut self) -> Vec<Asked> {
        let ids = self.decoding.iter().copied().enumerate();
        let weak: Vec<(usize, SequenceId)> =
            ids.filter(|(_, id)| self.tasks.answer(*id).wants_draft_model()).collect();
        let chances: Vec<f64> =
            weak.iter().map(|(_, id)| self.tasks.answer(*id).draft_model_chance()).collect();
        let most = self.scheduler.limits().guessed_rows / weak.len().max(1);
        let most = most.min(MAX_GUESSES);
        let length = self.pace.policy().draft_length(&chances, self.decoding.len(), most);
        let asked = |(index, id)| {
            let room = self.scheduler.room_for_guesses(id, length);
            Asked { index, id, room, guesses: Vec::new() }
        };
        weak.into_iter().map(asked).collect()
    }

    /// Guesses one more token of every sequence that has room for it and whose tokens the model has
    /// all computed by then. Says how many rows that took; none if the model broke. A sequence that
    /// cannot be read or was stopped gets no more guesses.
    fn pass(&mut self, model: &mut DraftModel, asked: &mut [Asked]) -> Option<usize> {
        let readings = self.readings(asked);
        let spans: Vec<Span<'_>> = readings
            .iter()
            .map(|reading| {
                let id = asked[reading.index].id;
                Span {
                    blocks: self.scheduler.draft_model_input(id).blocks,
                    first_position: reading.first_position,
                    tokens: &reading.tokens,
                    wanted: Wanted::logits(usize::from(reading.is_all)),
                    stop: self.tasks.answer(id).stop_flag(),
                }
            })
            .collect();
        let rows = spans.iter().map(|span| span.tokens.len()).sum();
        let plan = Plan { spans: &spans };
        let outcomes = model.unless_it_breaks(|compute| compute.forward(&plan).spans)?;
        drop(spans);
        for (span, (reading, outcome)) in readings.iter().zip(outcomes).enumerate() {
            let asked = &mut asked[reading.index];
            let mut drawn = None;
            if outcome == SpanOutcome::Done {
                let computed = reading.first_position + reading.tokens.len();
                self.scheduler.set_draft_model_len(asked.id, computed);
                let (answer, token_rows) = (self.tasks.answer(asked.id), &self.token_rows);
                let scratch = &mut self.scratch;
                drawn = model.unless_it_breaks(|compute| {
                    let logits = compute.logits(span).filter(|_| reading.is_all)?;
                    answer.draw(logits, computed, token_rows, scratch)
                })?;
            }
            match drawn {
                Some(token) => asked.guesses.push(token),
                None => asked.close(),
            }
        }
        Some(rows)
    }

    /// What the model reads next of the sequences that have room. Those for which
    /// [`READ_AT_ONCE`] leaves nothing get no more guesses.
    fn readings(&self, asked: &mut [Asked]) -> Vec<Reading> {
        let most = READ_AT_ONCE.min(self.scheduler.limits().step_tokens);
        let mut left = most.max(asked.len());
        let mut readings = Vec::new();
        for (index, asked) in asked.iter_mut().enumerate().filter(|(_, asked)| asked.has_room()) {
            let input = self.scheduler.draft_model_input(asked.id);
            let all = input.tokens.iter().chain(&asked.guesses);
            let missing = input.tokens.len() + asked.guesses.len() - input.computed;
            let rows = missing.min(left);
            left -= rows;
            if rows == 0 {
                asked.close();
                continue;
            }
            let (first_position, is_all) = (input.computed, rows == missing);
            let tokens = all.skip(input.computed).take(rows).copied().collect();
            readings.push(Reading { index, first_position, tokens, is_all });
        }
        readings
    }
}
