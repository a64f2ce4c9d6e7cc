//! An answer of our engine.

use super::shared::SharedEngine;
use crate::access::random_token;
use crate::shares;
use banter_engine::engine;
use banter_engine::sampler;
use banter_engine::text;
use banter_engine::tool_calls::{CallReader, Found};
use banter_seam::{
    EndReason, Event, Failure, FinishReason, Finished, Generation, Logprobs, Timings, TokenLogprob,
    Usage,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::time::Instant;
use tracing::error;

/// An answer of the engine while it is written.
pub(super) struct EngineGeneration {
    generation: engine::Generation,
    /// Finds calls of functions, if the answer may have some.
    calls: Option<CallReader>,
    /// What comes before the generation's next event.
    next: VecDeque<Event>,
    engine: SharedEngine,
    _reservation: shares::Reservation,
    /// When it last made progress, or was submitted.
    moved: Instant,
}

impl Generation for EngineGeneration {
    fn next_event(&mut self) -> BoxFuture<'_, Option<Event>> {
        async {
            if let Some(event) = self.next.pop_front() {
                return Some(event);
            }
            let event = match self.generation.next().await? {
                // A new position in the queue is no progress. The engine counts positions from 1.
                engine::Event::Queued { position, estimate_ms } => {
                    return Some(Event::Queued { ahead: position - 1, estimate_ms });
                }
                engine::Event::Prefill { done, total, cached } => {
                    Event::Prefill { done, total, cached }
                }
                engine::Event::Delta { text, tokens, logprobs } => {
                    let logprobs = self.logprobs(&tokens, logprobs);
                    let tokens = tokens.into_iter().map(|token| token.0).collect();
                    self.delta(text, tokens, logprobs)
                }
                engine::Event::Finished(finished) => {
                    let rest = self.calls.take().map(CallReader::finish).unwrap_or_default();
                    self.next.extend(rest.into_iter().map(event_of));
                    self.next.push_back(Event::Finished(self.finished(finished)));
                    self.next.pop_front()?
                }
            };
            self.moved = Instant::now();
            Some(event)
        }
        .boxed()
    }

    fn stop(&self) {
        self.generation.stop();
    }

    fn dropped_messages(&self) -> usize {
        self.generation.dropped_messages()
    }

    fn seed(&self) -> Option<u64> {
        Some(self.generation.seed())
    }

    fn prompt_tokens(&self) -> Option<usize> {
        Some(self.generation.prompt_tokens())
    }
}

impl EngineGeneration {
    /// `with_calls`: the answer may have calls of functions.
    pub(super) fn new(
        generation: engine::Generation,
        engine: SharedEngine,
        reservation: shares::Reservation,
        with_calls: bool,
    ) -> EngineGeneration {
        EngineGeneration {
            generation,
            calls: with_calls.then(CallReader::default),
            next: VecDeque::new(),
            engine,
            _reservation: reservation,
            moved: Instant::now(),
        }
    }

    /// The event of a delta. If a call begins in it, the events of the call come next.
    fn delta(&mut self, text: String, tokens: Vec<u32>, logprobs: Vec<Logprobs>) -> Event {
        let Some(calls) = &mut self.calls else { return Event::Delta { text, tokens, logprobs } };
        let mut found = VecDeque::from(calls.read(&text));
        let text = match found.pop_front() {
            Some(Found::Text(text)) => text,
            other => {
                other.into_iter().for_each(|other| found.push_front(other));
                String::new()
            }
        };
        self.next.extend(found.into_iter().map(event_of));
        Event::Delta { text, tokens, logprobs }
    }

    /// The log-probabilities of a delta's tokens, with the bytes of these.
    fn logprobs(
        &self,
        tokens: &[text::TokenId],
        logprobs: Vec<sampler::Logprobs>,
    ) -> Vec<Logprobs> {
        let of = |token, logprob| TokenLogprob {
            bytes: self.engine.text().shown_bytes(token).to_vec(),
            logprob,
        };
        let told = tokens.iter().zip(logprobs).map(|(token, found)| Logprobs {
            chosen: of(*token, found.chosen),
            top: found.top.into_iter().map(|top| of(top.token, top.logprob)).collect(),
        });
        told.collect()
    }

    fn finished(&self, finished: engine::Finished) -> Finished {
        let timeout = |while_doing| {
            let seconds = self.moved.elapsed().as_secs();
            FinishReason::Failed(Failure::Timeout { seconds, while_doing })
        };
        let reason = match finished.reason {
            engine::FinishReason::EndToken => FinishReason::Ended(EndReason::End),
            engine::FinishReason::StopString => FinishReason::Ended(EndReason::StopString),
            engine::FinishReason::Length => FinishReason::Ended(EndReason::Length),
            engine::FinishReason::Stopped => FinishReason::Ended(EndReason::Stopped),
            engine::FinishReason::QueueTimeout => timeout(Failure::IN_THE_QUEUE),
            engine::FinishReason::StepTimeout => timeout(Failure::WITHOUT_A_STEP),
            engine::FinishReason::Failed(reason) => {
                // The operator is told what broke, the client only that it broke.
                error!(?reason, "the engine failed");
                FinishReason::Failed(Failure::Internal {
                    reason: "the engine failed; the log has the details".into(),
                })
            }
        };
        let (usage, timings) = (finished.usage, finished.timings);
        let usage = Usage {
            prompt_tokens: Some(usage.prompt_tokens),
            cached_tokens: Some(usage.cached_tokens),
            completion_tokens: Some(usage.completion_tokens),
        };
        let timings = Timings {
            first_token_ms: timings.first_token_ms,
            tokens_per_second: timings.tokens_per_second,
            halt_ms: timings.halt_ms,
        };
        Finished { reason, stop_string: finished.stop_string, usage, timings }
    }
}

fn event_of(found: Found) -> Event {
    match found {
        Found::Text(text) => Event::Delta { text, tokens: Vec::new(), logprobs: Vec::new() },
        Found::Call(name) => Event::Call { id: format!("call_{}", random_token()), name },
        Found::Arguments(piece) => Event::Arguments(piece),
    }
}
