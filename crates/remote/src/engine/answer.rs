//! One answer of an engine, as it comes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::Response;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::breaker::{Breaker, Failure};
use super::chunk::{Chunk, Timings, Usage};
use super::error::EngineError;
use super::sse::EventReader;

/// An engine that has said why the answer has ended may say this long what it has taken.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// A longer answer is no answer: engines are told how many tokens it may have.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What happens to an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A piece of its text, never empty.
    Piece(String),
    /// The end; nothing follows.
    End(End),
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Why.
    pub reason: EndReason,
    /// What it took.
    pub usage: AnswerUsage,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The model came to its end.
    Done,
    /// It has as many tokens as it may have.
    Length,
    /// It was stopped.
    Stopped,
    /// The engine or the way to it failed.
    Failed(EngineError),
}

/// What an answer took, as far as the engine says it; the times are measured here.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AnswerUsage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the prompt that the engine had in its cache.
    pub cached_tokens: usize,
    /// Tokens of the answer; where the engine does not count them, its pieces.
    pub completion_tokens: usize,
    /// From the request to the first piece.
    pub first_token_ms: Option<f32>,
    /// Speed after the first piece.
    pub tokens_per_second: Option<f32>,
    /// From the stop until the connection was given up.
    pub halt_ms: Option<f32>,
}

/// An answer that is being written. Dropping it closes the connection, which stops the engine.
pub struct Answer {
    /// Gone once the answer has ended or was stopped.
    body: Mutex<Option<BoxStream<'static, reqwest::Result<Vec<u8>>>>>,
    reader: EventReader,
    ready: VecDeque<Step>,
    phase: Phase,
    tally: Tally,
    halt_ms: Mutex<Option<f32>>,
    breaker: Arc<Breaker>,
    dropped_messages: usize,
    /// The turn at an engine that breaks off one answer for another; held until the end.
    turn: Option<OwnedSemaphorePermit>,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Writing,
    /// The engine has said why it ended; what it took may still follow.
    Ending {
        reason: EndReason,
        until: Instant,
    },
    Over,
}

/// What has been counted and measured so far.
struct Tally {
    asked: Instant,
    first: Option<Instant>,
    last: Instant,
    pieces: usize,
    bytes: usize,
    usage: Option<Usage>,
    timings: Option<Timings>,
}

impl Answer {
    pub(super) fn new(
        response: Response,
        asked: Instant,
        dropped_messages: usize,
        breaker: Arc<Breaker>,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Answer {
        let body = response.bytes_stream().map(|piece| piece.map(Vec::from)).boxed();
        Answer {
            body: Mutex::new(Some(body)),
            reader: EventReader::default(),
            ready: VecDeque::new(),
            phase: Phase::Writing,
            tally: Tally {
                asked,
                first: None,
                last: asked,
                pieces: 0,
                bytes: 0,
                usage: None,
                timings: None,
            },
            halt_ms: Mutex::new(None),
            breaker,
            dropped_messages,
            turn,
        }
    }

    /// How many of the oldest messages the engine was not told because they do not fit.
    pub fn dropped_messages(&self) -> usize {
        self.dropped_messages
    }

    /// Closes the connection now. [`Step::End`] still follows, and no other piece before it.
    pub fn stop(&self) {
        let begun = Instant::now();
        let body = self.body.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if body.is_some() {
            drop(body);
            let halt = begun.elapsed().as_secs_f32() * 1e3;
            *self.halt_ms.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(halt);
        }
    }

    /// The next step; `None` after [`Step::End`]. The future may be dropped without losing one.
    pub async fn next(&mut self) -> Option<Step> {
        loop {
            if self.was_stopped() {
                self.ready.clear();
                self.end(EndReason::Stopped);
            }
            if let Some(step) = self.ready.pop_front() {
                return Some(step);
            }
            let until = match &self.phase {
                Phase::Over => return None,
                Phase::Ending { until, .. } => Some(*until),
                Phase::Writing => None,
            };
            let body = self.body.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
            let body = body.as_mut().expect("an answer that has not ended has a body");
            let read = match until {
                Some(until) => timeout_at(until, body.next()).await.unwrap_or(None),
                None => body.next().await,
            };
            let is_over = !matches!(read, Some(Ok(_)));
            let taken = match read {
                Some(Ok(bytes)) => self.reader.push(&bytes).map_err(EngineError::from),
                Some(Err(error)) => Err(EngineError::of_connection(&error)),
                None => self.reader.end().map_err(EngineError::from),
            };
            self.take_events();
            match taken {
                Err(error) => self.fail(error),
                Ok(()) if is_over => self.close(),
                Ok(()) => {}
            }
        }
    }

    fn was_stopped(&self) -> bool {
        let body = self.body.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        body.is_none() && self.phase != Phase::Over
    }

    fn take_events(&mut self) {
        while self.phase != Phase::Over {
            let Some(event) = self.reader.pop() else { return };
            match event.trim() {
                "" => {}
                "[DONE]" if self.turn.is_some() => self.close_with(broken_off()),
                "[DONE]" => self.close_with(EndReason::Done),
                json => match serde_json::from_str::<Chunk>(json) {
                    Ok(chunk) => self.take(chunk),
                    Err(error) => {
                        // The kind of error only: the rest may repeat the answer.
                        let kind = error.classify();
                        let what = format!("an event that is no chunk of an answer ({kind:?})");
                        self.fail(EngineError::Strange(what));
                    }
                },
            }
        }
    }

    fn take(&mut self, chunk: Chunk) {
        if let Some(error) = &chunk.error {
            return self.fail(EngineError::of_stream(error));
        }
        self.tally.usage = chunk.usage.or(self.tally.usage);
        self.tally.timings = chunk.timings.or(self.tally.timings);
        let (text, finish_reason) = chunk.into_first();
        if !text.is_empty() && self.phase == Phase::Writing {
            self.tally.piece(text.len());
            if self.tally.bytes > MAX_ANSWER_BYTES {
                let what = format!("an answer of more than {MAX_ANSWER_BYTES} bytes");
                return self.fail(EngineError::Strange(what));
            }
            self.ready.push_back(Step::Piece(text));
        }
        if let Some(reason) = finish_reason.filter(|_| self.phase == Phase::Writing) {
            let reason = match reason.as_str() {
                "length" => EndReason::Length,
                "abort" | "error" => {
                    let failed = EngineError::Failed(format!("it says {reason}"));
                    return self.fail(failed);
                }
                _ => EndReason::Done,
            };
            self.phase = Phase::Ending { reason, until: Instant::now() + LAST_WORDS };
        }
    }

    /// The stream has ended.
    fn close(&mut self) {
        let what = "the connection closed in the middle of the answer".to_owned();
        self.close_with(EndReason::Failed(EngineError::Connection(what)));
    }

    /// The answer is over: for the reason that the engine has given, or else for this one.
    fn close_with(&mut self, otherwise: EndReason) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Over => {}
            Phase::Ending { reason, .. } => self.end(reason),
            Phase::Writing => self.end(otherwise),
        }
    }

    /// What broke after the engine has given its reason breaks nothing.
    fn fail(&mut self, error: EngineError) {
        self.close_with(EndReason::Failed(error));
    }

    fn end(&mut self, reason: EndReason) {
        self.phase = Phase::Over;
        self.turn = None;
        *self.body.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
        match &reason {
            EndReason::Failed(EngineError::Connection(_)) => {
                self.breaker.failed(Failure::Connection);
            }
            EndReason::Failed(_) => self.breaker.failed(Failure::Answer),
            EndReason::Done | EndReason::Length => self.breaker.succeeded(),
            // It says nothing about the engine.
            EndReason::Stopped => {}
        }
        let halt_ms = *self.halt_ms.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        let usage = AnswerUsage { halt_ms, ..self.tally.usage() };
        self.ready.push_back(Step::End(End { reason, usage }));
    }
}

/// An engine that takes one request at a time ended an answer without saying why.
fn broken_off() -> EndReason {
    let words = "it broke the answer off, as it does when another client asks it something";
    EndReason::Failed(EngineError::Failed(words.to_owned()))
}

impl Tally {
    fn piece(&mut self, bytes: usize) {
        self.last = Instant::now();
        self.first.get_or_insert(self.last);
        self.pieces += 1;
        self.bytes += bytes;
    }

    fn usage(&self) -> AnswerUsage {
        let timings = self.timings;
        let cached = timings.and_then(|timings| timings.cache_n).unwrap_or(0);
        let prompt = timings.and_then(|timings| timings.prompt_n).map(|computed| computed + cached);
        let counted = self.usage.and_then(|usage| usage.completion_tokens);
        let counted = counted.or_else(|| timings?.predicted_n);
        let completion_tokens = counted.unwrap_or(self.pieces);
        let milliseconds = |since: Instant| (since - self.asked).as_secs_f32() * 1e3;
        let measured = self.first.filter(|_| completion_tokens > 1).and_then(|first| {
            let seconds = (self.last - first).as_secs_f32();
            (seconds > 0.0).then(|| (completion_tokens - 1) as f32 / seconds)
        });
        let stated = timings.and_then(|timings| timings.predicted_per_second);
        AnswerUsage {
            prompt_tokens: self.usage.and_then(|usage| usage.prompt_tokens).or(prompt).unwrap_or(0),
            cached_tokens: self.usage.and_then(|usage| usage.cached_tokens()).unwrap_or(cached),
            completion_tokens,
            first_token_ms: self.first.map(milliseconds),
            tokens_per_second: stated.map(|speed| speed as f32).or(measured),
            halt_ms: None,
        }
    }
}
