//! The answer of one sequence, from the first place in the queue to its end.

use std::time::Instant;

use super::continuation::{AnswerSoFar, ShownText};
use super::generation::{Delivery, Event, FinishReason, Finished, Timings, Usage};
use super::inbox::QueuePermit;
use super::pace::{AnswerWork, milliseconds};
use crate::StopFlag;
use crate::faults::{self, Fault};
use crate::origin::Origin;
use crate::sampler::{Logprobs, SampleError, SampleScratch, Sampler, Seen, TokenRows};
use crate::speculation::{Guesser, Guesses, MAX_GUESSES};
use crate::structure::{Guide, StructureError, TokenMask};
use crate::text::{StopOutcome, StopStrings, Text, TextDecoder, TokenId};

/// A request on its way to the engine's thread.
#[derive(Debug)]
pub struct NewAnswer {
    /// The tokens before the answer.
    pub prompt: Vec<TokenId>,
    pub so_far: AnswerSoFar,
    pub max_tokens: usize,
    pub origin: Origin,
    pub shared_tokens: usize,
    pub sampler: Sampler,
    pub guide: Option<Guide>,
    /// Whether log-probabilities are told, and how many for each token.
    pub logprobs: Option<usize>,
    /// Declared before `delivery`, so that it is dropped before the end is told.
    pub permit: QueuePermit,
    pub delivery: Delivery,
    pub submitted_at: Instant,
}

/// Why no token was chosen.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError {
    /// Logits that allow no choice.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// A structure that took too much to follow.
    #[error(transparent)]
    Structure(#[from] StructureError),
    /// The mask thread panicked.
    #[error("structure: the tokens that may come next could not be found")]
    NoMask,
}

/// The token after a row.
#[derive(Debug)]
pub struct ChosenToken {
    pub id: TokenId,
    /// How likely the model found it, if that is told.
    pub logprobs: Option<Logprobs>,
}

/// A sequence's tokens becoming text, and everything that is told about them.
#[derive(Debug)]
pub struct Answer {
    origin: Origin,
    /// Its conversation was forgotten while it was written.
    is_forgotten: bool,
    sampler: Sampler,
    guesser: Guesser,
    is_structured: bool,
    /// `None` while the mask thread has it, and for answers that are not structured.
    guide: Option<Guide>,
    /// One mask per sampled row of this step; `None` for answers that are not structured.
    masks: Option<Result<Vec<TokenMask>, StructureError>>,
    decoder: TextDecoder,
    stop_strings: StopStrings,
    /// The one that has ended it.
    stop_string: Option<String>,
    /// Until the first admission. Declared before `delivery`, as in [`NewAnswer`].
    permit: Option<QueuePermit>,
    delivery: Delivery,
    shown: ShownText,
    /// Whether log-probabilities are told, and how many for each token.
    logprobs: Option<usize>,
    /// Tokens since the last delta.
    undelivered: Vec<TokenId>,
    /// How likely the model found them, if that is told.
    undelivered_logprobs: Vec<Logprobs>,
    /// Where the answer begins among the tokens of its sequence.
    first_position: usize,
    /// Tokens to compute before the first new one: the prompt, and the answer so far.
    prompt_tokens: usize,
    prompt_done: usize,
    cached_tokens: usize,
    max_tokens: usize,
    /// New tokens, the end token included.
    completion_tokens: usize,
    /// Steps after the first token: fewer than tokens if guesses were accepted.
    steps: usize,
    position: usize,
    submitted_at: Instant,
    admitted_at: Option<Instant>,
    first_token_at: Option<Instant>,
    last_token_at: Option<Instant>,
    last_step_at: Option<Instant>,
}

impl Answer {
    /// An answer that waits, and the tokens to compute before its next one.
    pub fn new(new: NewAnswer) -> (Answer, Vec<TokenId>) {
        let AnswerSoFar { tokens, decoder, stop_strings, shown } = new.so_far;
        let first_position = new.prompt.len();
        let mut prompt = new.prompt;
        prompt.extend(tokens);
        let answer = Answer {
            origin: new.origin,
            is_forgotten: false,
            sampler: new.sampler,
            guesser: Guesser::default(),
            is_structured: new.guide.is_some(),
            guide: new.guide,
            masks: None,
            decoder,
            stop_strings,
            stop_string: None,
            delivery: new.delivery,
            permit: Some(new.permit),
            shown,
            logprobs: new.logprobs,
            undelivered: Vec::new(),
            undelivered_logprobs: Vec::new(),
            first_position,
            prompt_tokens: prompt.len(),
            prompt_done: 0,
            cached_tokens: 0,
            max_tokens: new.max_tokens,
            completion_tokens: 0,
            steps: 0,
            position: usize::MAX,
            submitted_at: new.submitted_at,
            admitted_at: None,
            first_token_at: None,
            last_token_at: None,
            last_step_at: None,
        };
        (answer, prompt)
    }

    /// Its tenant and conversation.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Notes that its conversation is forgotten: nothing of it may be kept at its end.
    pub fn forget(&mut self) {
        self.is_forgotten = true;
    }

    /// Whether its conversation was forgotten.
    pub fn is_forgotten(&self) -> bool {
        self.is_forgotten
    }

    /// Raised when the answer was stopped.
    pub fn stop_flag(&self) -> &StopFlag {
        self.delivery.stop_flag()
    }

    /// Guesses what follows `tokens`, prompt and answer so far: what the structure demands, or what
    /// the text repeats.
    pub fn guess(&mut self, tokens: &[TokenId]) -> Guesses {
        let forced = self.guide.as_mut().map(|guide| guide.forced(MAX_GUESSES)).unwrap_or_default();
        if !forced.is_empty() {
            return Guesses { chance: self.guesser.forced_chance(), tokens: forced };
        }
        let tokens = self.guesser.guess(tokens);
        Guesses { chance: self.guesser.chance(), tokens }
    }

    /// Whether a draft model should guess: there are no better guesses, and any token may come.
    pub fn wants_draft_model(&self) -> bool {
        !self.is_structured && self.guesser.is_unsure()
    }

    /// How likely a guess of the draft model is accepted if those before it were.
    pub fn draft_model_chance(&self) -> f64 {
        self.guesser.draft_model_chance()
    }

    /// The guesses of this step are the draft model's.
    pub fn use_draft_model(&mut self) {
        self.guesser.use_draft_model();
    }

    /// Draws a token from a draft model's logits as it would from the model's own; none if they
    /// allow no choice.
    pub fn draw(
        &self,
        logits: &mut [f32],
        position: usize,
        rows: &TokenRows,
        scratch: &mut SampleScratch,
    ) -> Option<TokenId> {
        self.sampler.sample(logits, position, rows, None, scratch).ok()
    }

    /// Learns how many of the guesses that were tried were accepted.
    pub fn learn(&mut self, tried: usize, accepted: usize) {
        self.guesser.learn(tried, accepted);
    }

    /// The guide of a structured answer; it must come back with [`Answer::set_masks`].
    pub fn take_guide(&mut self) -> Option<Guide> {
        self.masks = None;
        self.guide.take()
    }

    /// Takes the guide back, with one mask per sampled row of the step.
    pub fn set_masks(&mut self, guide: Guide, masks: Result<Vec<TokenMask>, StructureError>) {
        self.guide = Some(guide);
        self.masks = Some(masks);
    }

    /// Chooses the token after a row of the step, at `position` of the sequence.
    ///
    /// Errors: logits that allow no choice, or a structure that took too much.
    pub fn choose(
        &self,
        row: usize,
        logits: &mut [f32],
        position: usize,
        rows: &TokenRows,
        scratch: &mut SampleScratch,
    ) -> Result<ChosenToken, ChooseError> {
        let mask = match &self.masks {
            None if self.is_structured => return Err(ChooseError::NoMask),
            None => None,
            Some(Err(error)) => return Err(error.clone().into()),
            Some(Ok(masks)) => Some(masks.get(row).ok_or(ChooseError::NoMask)?),
        };
        let wanted = self.logprobs.map(|top| Seen::of(logits, rows, top, scratch)).transpose()?;
        let id = self.sampler.sample(logits, position, rows, mask, scratch)?;
        Ok(ChosenToken { id, logprobs: wanted.map(|seen| seen.chosen(id, scratch)) })
    }

    /// Whether it ran at least once.
    pub fn was_admitted(&self) -> bool {
        self.admitted_at.is_some()
    }

    /// When a step last computed something for it, or when it came.
    pub fn idle_since(&self) -> Instant {
        self.last_step_at.or(self.admitted_at).unwrap_or(self.submitted_at)
    }

    /// Tokens of its prompt, and of the answer so far if it goes on with one.
    pub fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    /// Where the answer begins among the tokens of its sequence.
    pub fn first_position(&self) -> usize {
        self.first_position
    }

    /// How much was computed for it.
    pub fn work(&self) -> AnswerWork {
        let prompt_rows = self.prompt_done.saturating_sub(self.cached_tokens);
        AnswerWork { prompt_rows, steps: self.steps }
    }

    /// Tells its place in the queue if that came nearer; otherwise what could not be told before.
    pub fn tell_position(&mut self, position: usize, estimate_ms: Option<u64>) {
        if position < self.position && !self.was_admitted() {
            self.position = position;
            self.delivery.progress(Event::Queued { position, estimate_ms });
        } else {
            self.delivery.retry_progress();
        }
    }

    /// It has blocks now, in which `cached` tokens are computed. A preempted sequence comes here
    /// again.
    pub fn admit(&mut self, cached: usize, now: Instant) {
        if self.admitted_at.is_none() {
            self.admitted_at = Some(now);
            self.permit = None;
            (self.cached_tokens, self.prompt_done) = (cached, cached);
            self.tell_prefill();
        }
    }

    /// A step has computed its tokens up to `computed`, and `cached` tokens were there already.
    pub fn stepped(&mut self, computed: usize, cached: usize, now: Instant) {
        self.last_step_at = Some(now);
        self.steps += usize::from(self.completion_tokens > 0);
        self.cached_tokens = cached.min(self.prompt_tokens);
        let done = computed.min(self.prompt_tokens);
        if done > self.prompt_done && self.completion_tokens == 0 {
            self.prompt_done = done;
            self.tell_prefill();
        } else {
            self.delivery.retry_progress();
        }
    }

    /// Takes the next token. Says whether the answer ends with it, and why.
    pub fn take(&mut self, chosen: ChosenToken, text: &Text, now: Instant) -> Option<FinishReason> {
        let token = chosen.id;
        self.completion_tokens += 1;
        self.first_token_at.get_or_insert(now);
        self.last_token_at = Some(now);
        if text.is_end(token) {
            return Some(FinishReason::EndToken);
        }
        self.sampler.accept(token);
        self.undelivered.push(token);
        self.undelivered_logprobs.extend(chosen.logprobs);
        let decoded = self.decoder.push(text, token);
        match self.stop_strings.push(decoded) {
            StopOutcome::Show(delta) => self.deliver(&delta),
            StopOutcome::Stop { text, string } => {
                self.deliver(&text);
                self.stop_string = Some(string);
                return Some(FinishReason::StopString);
            }
        }
        match self.guide.as_mut().map(|guide| guide.take(token)) {
            Some(Ok(true)) => return Some(FinishReason::EndToken),
            Some(Err(error)) => return Some(FinishReason::Failed(error.to_string())),
            Some(Ok(false)) | None => {}
        }
        (self.completion_tokens == self.max_tokens).then_some(FinishReason::Length)
    }

    /// Ends the answer. If it was not cut short, text that was held back is delivered first, and in
    /// any case the tokens that no delta has told yet.
    ///
    /// `remember` is given all text that was shown before the end is told, because the next turn
    /// may come at once.
    pub fn end(mut self, reason: FinishReason, now: Instant, remember: impl FnOnce(&str)) {
        if let Some(held_back) = self.held_back(&reason) {
            self.deliver(&held_back);
        }
        if !self.undelivered.is_empty() {
            self.tell(String::new());
        }
        let usage = Usage {
            prompt_tokens: self.prompt_tokens,
            cached_tokens: self.cached_tokens,
            completion_tokens: self.completion_tokens,
        };
        let timings = self.timings(&reason, now);
        if !self.shown.text().is_empty() {
            remember(self.shown.text());
        }
        self.permit = None;
        self.delivery.finish(Finished { reason, stop_string: self.stop_string, usage, timings });
    }

    fn tell_prefill(&mut self) {
        let (done, total) = (self.prompt_done, self.prompt_tokens);
        self.delivery.progress(Event::Prefill { done, total, cached: self.cached_tokens });
    }

    fn deliver(&mut self, released: &str) {
        faults::pass(Fault::Deliver);
        let delta = self.shown.release(released);
        if !delta.is_empty() {
            self.tell(delta);
        }
    }

    fn tell(&mut self, text: String) {
        let tokens = std::mem::take(&mut self.undelivered);
        self.delivery.delta(text, tokens, std::mem::take(&mut self.undelivered_logprobs));
    }

    /// Text that was held back and is shown at an end for this reason.
    ///
    /// Text that might have become a stop string is shown. Bytes that might have become a character
    /// are shown as U+FFFD if the model has ended the answer. At the greatest length they are left
    /// out, because the answer may go on and complete the character.
    fn held_back(&mut self, reason: &FinishReason) -> Option<String> {
        match reason {
            FinishReason::EndToken => Some(self.stop_strings.finish() + self.decoder.finish()),
            FinishReason::Length => Some(self.stop_strings.finish()),
            _ => None,
        }
    }

    fn timings(&self, reason: &FinishReason, now: Instant) -> Timings {
        let since_submitted = |at: Instant| milliseconds(at - self.submitted_at) as f32;
        let tokens_per_second = match (self.first_token_at, self.last_token_at) {
            (Some(first), Some(last)) if last > first => {
                let seconds = (last - first).as_secs_f64();
                Some(((self.completion_tokens - 1) as f64 / seconds) as f32)
            }
            _ => None,
        };
        let raised_at = self.stop_flag().raised_at().filter(|_| *reason == FinishReason::Stopped);
        Timings {
            queue_ms: since_submitted(self.admitted_at.unwrap_or(now)),
            first_token_ms: self.first_token_at.map(since_submitted),
            tokens_per_second,
            halt_ms: raised_at.map(|at| milliseconds(now.saturating_duration_since(at)) as f32),
        }
    }
}
