//! One answer being written: what comes back, and how it ends.

use flume::{Receiver, Sender, TrySendError};

use crate::StopFlag;
use crate::sampler::Logprobs;
use crate::text::TokenId;

/// What happens to an answer, in order; exactly one [`Event::Finished`] ends it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It waits; sent again when the position changes. Some may be left out.
    Queued {
        /// Its place among those that wait, counted from 1; never rises.
        position: usize,
        /// How long it will wait; may rise. None before an answer has ended.
        estimate_ms: Option<u64>,
    },
    /// Its prompt is being computed. Some may be left out.
    Prefill {
        /// Prompt tokens computed so far.
        done: usize,
        /// Prompt tokens in all.
        total: usize,
        /// Prompt tokens that were found computed already.
        cached: usize,
    },
    /// More of the answer.
    ///
    /// Each token is told once and in order, except the token that ends the answer. What could
    /// become a stop string and characters that are not complete are held back. So the text of all
    /// tokens so far begins with the text so far, and the two are always enough for a
    /// [`Continuation`](super::Continuation).
    Delta {
        /// Whole characters. Empty at most once: in the last event before [`Event::Finished`], if
        /// there are tokens whose text is still held back.
        text: String,
        /// The tokens since the delta before.
        tokens: Vec<TokenId>,
        /// How likely the model found each of them; empty if the request does not want it.
        logprobs: Vec<Logprobs>,
    },
    /// The end.
    Finished(Finished),
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// Why.
    pub reason: FinishReason,
    /// The stop string that it would have contained.
    pub stop_string: Option<String>,
    /// What it took.
    pub usage: Usage,
    /// How long it took.
    pub timings: Timings,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it.
    EndToken,
    /// It would have contained a stop string.
    StopString,
    /// It has as many tokens as it may.
    Length,
    /// Someone stopped it, or nobody listens any more.
    Stopped,
    /// It waited as long as a request may.
    QueueTimeout,
    /// It was preempted, and no step computed anything for it for too long.
    StepTimeout,
    /// Something broke; says what.
    Failed(String),
}

/// Tokens of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, and of the answer so far if the request has gone on with one.
    pub prompt_tokens: usize,
    /// Those of them that were found computed already.
    pub cached_tokens: usize,
    /// Tokens sampled for this request, the end token included.
    pub completion_tokens: usize,
}

/// Times of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// From the request to its admission, or to its end if it was never admitted.
    pub queue_ms: f32,
    /// From the request to its first token, if there was one.
    pub first_token_ms: Option<f32>,
    /// Speed after the first token, if there were at least two.
    pub tokens_per_second: Option<f32>,
    /// If it was stopped: from the raised stop flag until nothing was computed for the answer and
    /// it had no block any more.
    pub halt_ms: Option<f32>,
}

/// One answer being written. Dropping it stops the answer.
#[derive(Debug)]
pub struct Generation {
    events: Receiver<Event>,
    stop: StopFlag,
    facts: GenerationFacts,
    finished: bool,
}

/// What is known of an answer before it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GenerationFacts {
    /// Messages of the history that did not fit and were left out.
    pub dropped_messages: usize,
    /// Tokens of the prompt, and of the answer so far.
    pub prompt_tokens: usize,
    /// New tokens the answer may have, which also bounds its deltas.
    pub max_tokens: usize,
    /// The seed of the answer.
    pub seed: u64,
}

/// The engine's end of a [`Generation`].
///
/// No call waits. Dropping it without [`Delivery::finish`] makes the generation end as failed.
#[derive(Debug)]
pub(super) struct Delivery {
    events: Sender<Event>,
    stop: StopFlag,
    progress: Option<Event>,
}

/// Room in addition to one delta per token: for what was held back until the end, one progress
/// event, and the end.
const EVENTS_BESIDE_TOKENS: usize = 3;

impl Delivery {
    /// A generation and the end that writes it; raising `all` stops it too.
    pub fn new(facts: GenerationFacts, all: &StopFlag) -> (Delivery, Generation) {
        let (sender, receiver) = flume::bounded(facts.max_tokens + EVENTS_BESIDE_TOKENS);
        let stop = all.below();
        let generation =
            Generation { events: receiver, stop: stop.clone(), facts, finished: false };
        (Delivery { events: sender, stop, progress: None }, generation)
    }

    /// Raised when the generation was stopped or dropped.
    pub fn stop_flag(&self) -> &StopFlag {
        &self.stop
    }

    /// Passes on a piece of the answer.
    ///
    /// Panics if it has neither text nor tokens, or on more deltas than one per token and one for
    /// the end.
    pub fn delta(&mut self, text: String, tokens: Vec<TokenId>, logprobs: Vec<Logprobs>) {
        assert!(!(text.is_empty() && tokens.is_empty()), "a delta carries text or tokens");
        self.progress = None;
        self.send(Event::Delta { text, tokens, logprobs });
    }

    /// Passes on progress if everything before was taken. Otherwise keeps it for
    /// [`Delivery::retry_progress`], in place of any older progress.
    pub fn progress(&mut self, event: Event) {
        self.progress = Some(event);
        self.retry_progress();
    }

    /// Passes on a kept progress event if everything before was taken.
    pub fn retry_progress(&mut self) {
        if self.events.is_empty()
            && let Some(event) = self.progress.take()
        {
            self.send(event);
        }
    }

    /// Passes on the end.
    pub fn finish(self, finished: Finished) {
        self.send(Event::Finished(finished));
    }

    /// What is sent to a dropped generation is lost: dropping it has raised the stop flag.
    fn send(&self, event: Event) {
        let sent = self.events.try_send(event);
        assert!(
            !matches!(sent, Err(TrySendError::Full(_))),
            "the channel has room for one delta per token and for the end"
        );
    }
}

impl Generation {
    /// Asks the answer to end; its [`Event::Finished`] still comes.
    pub fn stop(&self) {
        self.stop.raise();
    }

    /// The flag behind [`Generation::stop`], for code that does not own the generation.
    pub fn stopper(&self) -> StopFlag {
        self.stop.clone()
    }

    /// Waits for the next event; `None` after [`Event::Finished`].
    pub async fn next(&mut self) -> Option<Event> {
        if self.finished {
            return None;
        }
        let received = self.events.recv_async().await.ok();
        Some(self.passed_on(received))
    }

    /// As [`Generation::next`], for threads outside any runtime.
    pub fn next_blocking(&mut self) -> Option<Event> {
        if self.finished {
            return None;
        }
        let received = self.events.recv().ok();
        Some(self.passed_on(received))
    }

    /// Messages of the history that did not fit and were left out, oldest first.
    pub fn dropped_messages(&self) -> usize {
        self.facts.dropped_messages
    }

    /// Tokens of the prompt, and of the answer so far if the request goes on with one.
    pub fn prompt_tokens(&self) -> usize {
        self.facts.prompt_tokens
    }

    /// New tokens the answer may have.
    pub fn max_tokens(&self) -> usize {
        self.facts.max_tokens
    }

    /// The seed of the answer, drawn if the request had none.
    pub fn seed(&self) -> u64 {
        self.facts.seed
    }

    /// The events that are there already.
    #[cfg(test)]
    pub(super) fn take_ready(&mut self) -> Vec<Event> {
        self.events.drain().collect()
    }

    /// A channel that closes without an end means that the engine's thread is gone. The reader is
    /// still told exactly one end.
    fn passed_on(&mut self, received: Option<Event>) -> Event {
        let event = received.unwrap_or_else(|| {
            Event::Finished(Finished {
                reason: FinishReason::Failed("the engine has ended".to_owned()),
                stop_string: None,
                usage: Usage { prompt_tokens: self.facts.prompt_tokens, ..Usage::default() },
                timings: Timings::default(),
            })
        });
        self.finished = matches!(event, Event::Finished(_));
        event
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.stop.raise();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(position: usize) -> Event {
        Event::Queued { position, estimate_ms: None }
    }

    fn delta(text: &str) -> Event {
        Event::Delta { text: text.to_owned(), tokens: Vec::new(), logprobs: Vec::new() }
    }

    fn end() -> Finished {
        Finished {
            reason: FinishReason::EndToken,
            stop_string: None,
            usage: Usage::default(),
            timings: Timings::default(),
        }
    }

    #[test]
    fn progress_that_was_not_taken_is_replaced_by_newer_progress() {
        let (mut delivery, mut generation) =
            Delivery::new(GenerationFacts::default(), &StopFlag::new());
        for position in [3, 2, 1] {
            delivery.progress(queued(position));
        }
        assert_eq!(generation.next_blocking(), Some(queued(3)));
        delivery.retry_progress();
        assert_eq!(generation.next_blocking(), Some(queued(1)));
        delivery.finish(end());
        assert_eq!(generation.next_blocking(), Some(Event::Finished(end())));
        assert_eq!(generation.next_blocking(), None);
    }

    #[test]
    fn an_answer_of_the_longest_length_needs_no_reader() {
        let max_tokens = 5;
        let facts = GenerationFacts { max_tokens, ..GenerationFacts::default() };
        let (mut delivery, mut generation) = Delivery::new(facts, &StopFlag::new());
        delivery.progress(queued(1));
        let held_back_at_the_end = 1;
        for _ in 0..max_tokens + held_back_at_the_end {
            delivery.delta("a".to_owned(), Vec::new(), Vec::new());
        }
        delivery.finish(end());
        let events = std::iter::from_fn(|| generation.next_blocking()).count();
        assert_eq!(events, 1 + max_tokens + held_back_at_the_end + 1);
    }

    #[test]
    fn progress_never_follows_the_text_it_led_to() {
        let facts = GenerationFacts { max_tokens: 1, ..GenerationFacts::default() };
        let (mut delivery, mut generation) = Delivery::new(facts, &StopFlag::new());
        delivery.progress(queued(2));
        delivery.progress(queued(1));
        delivery.delta("a".to_owned(), Vec::new(), Vec::new());
        assert_eq!(generation.next_blocking(), Some(queued(2)));
        assert_eq!(generation.next_blocking(), Some(delta("a")));
        delivery.retry_progress();
        delivery.finish(end());
        assert_eq!(generation.next_blocking(), Some(Event::Finished(end())));
    }

    #[test]
    fn a_vanished_engine_is_told_once_as_a_failure() {
        let (delivery, mut generation) =
            Delivery::new(GenerationFacts::default(), &StopFlag::new());
        drop(delivery);
        let event = generation.next_blocking();
        assert!(
            matches!(
                &event,
                Some(Event::Finished(Finished { reason: FinishReason::Failed(_), .. }))
            ),
            "{event:?}"
        );
        assert_eq!(generation.next_blocking(), None);
    }

    #[test]
    fn dropping_a_generation_raises_its_flag() {
        let (delivery, generation) = Delivery::new(GenerationFacts::default(), &StopFlag::new());
        assert!(!delivery.stop_flag().is_raised());
        drop(generation);
        assert!(delivery.stop_flag().is_raised());
        delivery.finish(end());
    }

    #[test]
    fn waiting_for_an_event_may_be_given_up_without_losing_it() {
        use std::pin::pin;
        use std::task::{Context, Poll, Waker};

        let mut context = Context::from_waker(Waker::noop());
        let facts = GenerationFacts { max_tokens: 2, ..GenerationFacts::default() };
        let (mut delivery, mut generation) = Delivery::new(facts, &StopFlag::new());
        assert!(pin!(generation.next()).poll(&mut context).is_pending());
        delivery.delta("a".to_owned(), Vec::new(), Vec::new());
        {
            let mut given_up = pin!(generation.next());
            delivery.delta("b".to_owned(), Vec::new(), Vec::new());
            let first = given_up.as_mut().poll(&mut context);
            assert_eq!(first, Poll::Ready(Some(delta("a"))));
        }
        assert_eq!(generation.next_blocking(), Some(delta("b")));
        delivery.finish(end());
        let last = pin!(generation.next()).poll(&mut context);
        assert_eq!(last, Poll::Ready(Some(Event::Finished(end()))));
        assert_eq!(pin!(generation.next()).poll(&mut context), Poll::Ready(None));
    }
}
