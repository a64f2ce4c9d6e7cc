//! One answer of an engine, while it comes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use banter_seam::{EndReason, Logprobs, Timings, Usage};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::body::BodyReader;
use super::breaker::Breaker;
use super::calls::{AfterCall, CallPiece, CallRules, Calls};
use super::chunk::{self, Chunk, Said, TextField};
use super::error::EngineError;
use super::finish::Finish;
use super::history::LeastTokens;
use super::sse::EventError;
use super::words::{Words, printable};

/// How long an engine that has ended the answer may take to send its token counts.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// A longer answer is an error, because engines are told how many tokens an answer may have.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// An engine that says fewer tokens of a prompt than this counts only those that it had to compute.
const FEWEST_PROMPT_TOKENS: usize = 32;

/// What happens to an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Bytes without text came: the engine is alive.
    Alive,
    /// A delta of what the model thinks before it answers, never empty.
    Thinking(String),
    /// A delta of the answer. Its text is empty only if there are log-probabilities.
    Delta {
        /// Whole characters.
        text: String,
        /// Of the delta's tokens, if the request wants them.
        logprobs: Vec<Logprobs>,
    },
    /// The answer calls a function.
    Call {
        /// The name of the call, which no other call of the answer has.
        id: String,
        /// The name of the function.
        name: String,
    },
    /// A delta of the arguments of the newest call, never empty.
    Arguments(String),
    /// The end. Nothing follows.
    End(End),
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Why.
    pub reason: Ending,
    /// The stop string that it would have contained, if the engine says it.
    pub stop_string: Option<String>,
    /// Its tokens, as far as the engine says them.
    pub usage: Usage,
    /// Its times. The speed is what the engine says, or computed from its token counts.
    pub timings: Timings,
    /// The engine has read only a part of the conversation and did not say so.
    pub silent_cut: Option<SilentCut>,
}

/// A conversation that an engine has cut without saying so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SilentCut {
    /// The tokens that the engine has read.
    pub read_tokens: usize,
    /// The conversation has at least this many.
    pub least_tokens: usize,
}

/// Why an answer ended; an error if the engine, or the connection to it, failed.
pub type Ending = Result<EndReason, EngineError>;

/// An answer that is being written. Dropping it closes the connection, and that stops the engine.
pub struct Answer {
    /// `None` once the answer has ended or was stopped.
    body: Mutex<Option<BoxStream<'static, reqwest::Result<Vec<u8>>>>>,
    content_type: String,
    reader: BodyReader,
    ready: VecDeque<Step>,
    phase: Phase,
    /// The field of the first text or call. What is in other fields repeats it.
    field: Option<TextField>,
    /// All text came as one message that does not say that more follows.
    is_whole: bool,
    has_text: bool,
    has_thought: bool,
    has_logprobs: bool,
    stop_string: Option<String>,
    /// `None` if the request offers no functions.
    calls: Option<Calls>,
    tally: Tally,
    halt_ms: Mutex<Option<f32>>,
    breaker: Arc<Breaker>,
    asked: Asked,
}

/// The request of an answer.
pub(super) struct Asked {
    /// When it was sent.
    pub(super) at: Instant,
    /// How many of the oldest messages were left out.
    pub(super) dropped_messages: usize,
    /// The lower bound of the prompt's tokens.
    pub(super) least: LeastTokens,
    /// Of how many of the likeliest tokens log-probabilities are wanted, if any are.
    pub(super) logprobs: Option<usize>,
    pub(super) stop_strings: Vec<String>,
    /// The rules for calls; `None` if the request offers no functions.
    pub(super) calls: Option<CallRules>,
    /// The permit for an engine that serves only one request at a time; held until the end.
    pub(super) slot: Option<OwnedSemaphorePermit>,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Writing,
    /// The engine has said why it ended. Its token counts may still follow.
    Ending {
        reason: Ending,
        until: Instant,
    },
    Over,
}

/// What has been counted and measured so far.
struct Tally {
    asked: Instant,
    first: Option<Instant>,
    last: Instant,
    bytes: usize,
    usage: Option<chunk::Usage>,
    timings: Option<chunk::Timings>,
}

impl Answer {
    pub(super) fn new(response: Response, asked: Asked, breaker: Arc<Breaker>) -> Answer {
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.map(|kind| String::from_utf8_lossy(kind.as_bytes()));
        let content_type = printable(&content_type.unwrap_or_default());
        let body = response.bytes_stream().map(|piece| piece.map(Vec::from)).boxed();
        Answer {
            body: Mutex::new(Some(body)),
            content_type,
            reader: BodyReader::default(),
            ready: VecDeque::new(),
            phase: Phase::Writing,
            field: None,
            is_whole: false,
            has_text: false,
            has_thought: false,
            has_logprobs: false,
            stop_string: None,
            calls: asked.calls.map(Calls::new),
            tally: Tally {
                asked: asked.at,
                first: None,
                last: asked.at,
                bytes: 0,
                usage: None,
                timings: None,
            },
            halt_ms: Mutex::new(None),
            breaker,
            asked,
        }
    }

    /// How many of the oldest messages were left out because they do not fit.
    pub fn dropped_messages(&self) -> usize {
        self.asked.dropped_messages
    }

    /// Closes the connection now. [`Step::End`] follows, without another delta before it.
    pub fn stop(&self) {
        let begun = Instant::now();
        let body = self.body.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if body.is_some() {
            drop(body);
            let halt = begun.elapsed().as_secs_f32() * 1e3;
            *self.halt_ms.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(halt);
        }
    }

    /// The next step; `None` after [`Step::End`]. The future may be dropped; no step is lost.
    pub async fn next(&mut self) -> Option<Step> {
        if self.was_stopped() {
            self.ready.clear();
            self.end(Ok(EndReason::Stopped));
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
        self.take_bytes(read);
        Some(self.ready.pop_front().unwrap_or(Step::Alive))
    }

    fn was_stopped(&self) -> bool {
        let body = self.body.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        body.is_none() && self.phase != Phase::Over
    }

    /// Takes what was read of the body: bytes, an error, or its end.
    fn take_bytes(&mut self, read: Option<reqwest::Result<Vec<u8>>>) {
        let is_over = !matches!(read, Some(Ok(_)));
        let taken = match read {
            Some(Ok(bytes)) => {
                self.breaker.succeeded();
                self.reader.push(&bytes).map_err(|error| self.unreadable(error))
            }
            Some(Err(error)) => Err(EngineError::of_connection(&error)),
            None => self.reader.end().map_err(|error| self.unreadable(error)),
        };
        self.take_events();
        match taken {
            Err(error) => self.fail(error),
            Ok(()) if is_over => self.close(),
            Ok(()) => {}
        }
    }

    /// The error for a body that cannot be read on.
    fn unreadable(&self, error: EventError) -> EngineError {
        if error != EventError::NoEvents {
            return error.into();
        }
        let found = Words::read(self.reader.beginning()).text;
        let kind = &self.content_type;
        let found = if found.is_empty() { "nothing".to_owned() } else { format!("{found:?}") };
        EngineError::Unexpected(format!(
            "expected a stream of events or JSON, found {found} (content type {kind:?})"
        ))
    }

    fn take_events(&mut self) {
        while self.phase != Phase::Over {
            let event = match self.reader.pop() {
                Ok(Some(event)) => event,
                Ok(None) => return,
                Err(error) => return self.fail(error.into()),
            };
            match Said::read(&event) {
                Said::Nothing => {}
                Said::Chunk(chunk) => self.take(*chunk),
                Said::Over if self.asked.slot.is_some() => self.close_with(broken_off()),
                Said::Over => self.close_with(self.reason_of(Finish::Done)),
                Said::Unreadable => {
                    // Its content is not shown, because it may repeat the answer.
                    let what = "an event that is no chunk of an answer".to_owned();
                    self.fail(EngineError::Unexpected(what));
                }
            }
        }
    }

    fn take(&mut self, chunk: Chunk) {
        if let Some(words) = chunk.error {
            return self.fail(EngineError::of_stream(words));
        }
        self.tally.usage = chunk.usage.or(self.tally.usage);
        self.tally.timings = chunk.timings.or(self.tally.timings);
        if self.phase != Phase::Writing {
            return;
        }
        let is_answer = chunk.thinking.is_empty() && chunk.calls.is_empty();
        if !chunk.thinking.is_empty() {
            self.has_thought = true;
            self.tally.piece(chunk.thinking.len());
            self.ready.push_back(Step::Thinking(chunk.thinking));
        }
        let is_first = self.field.is_none();
        if let Some(field) = chunk.field
            && *self.field.get_or_insert(field) == field
        {
            self.is_whole = is_first && field == TextField::Message && !chunk.goes_on;
            self.say(chunk.text, chunk.logprobs);
            match self.take_calls(chunk.calls) {
                Ok(AfterCall::GoesOn) => {}
                // Whatever follows is not wanted, and the engine need not write it.
                Ok(AfterCall::Ends) => return self.close_with(Ok(EndReason::End)),
                Err(error) => return self.fail(error),
            }
        } else if chunk.field.is_none() && is_answer {
            // Engines hold back a part of a character, but not its token.
            self.say(String::new(), chunk.logprobs);
        }
        if self.tally.bytes > MAX_ANSWER_BYTES {
            let what = format!("an answer of more than {MAX_ANSWER_BYTES} bytes");
            return self.fail(EngineError::Unexpected(what));
        }
        if let Some(finish) = chunk.finish {
            let is_asked = |stop: &String| self.asked.stop_strings.contains(stop);
            self.stop_string = chunk.stop_string.filter(is_asked);
            let reason = self.reason_of(finish);
            self.phase = Phase::Ending { reason, until: Instant::now() + LAST_WORDS };
        }
    }

    fn say(&mut self, text: String, mut logprobs: Vec<Logprobs>) {
        match self.asked.logprobs {
            None => logprobs.clear(),
            Some(likeliest) => logprobs.iter_mut().for_each(|at| at.top.truncate(likeliest)),
        }
        if text.is_empty() && logprobs.is_empty() {
            return;
        }
        self.has_text |= !text.is_empty();
        self.has_logprobs |= !logprobs.is_empty();
        self.tally.piece(text.len());
        self.ready.push_back(Step::Delta { text, logprobs });
    }

    /// Calls in an answer that may have none are left out: some engines invent them.
    fn take_calls(&mut self, pieces: Vec<CallPiece>) -> Result<AfterCall, EngineError> {
        let Some(calls) = &mut self.calls else { return Ok(AfterCall::GoesOn) };
        for piece in pieces {
            self.tally.piece(piece.bytes());
            if calls.take(piece, &mut self.ready)? == AfterCall::Ends {
                return Ok(AfterCall::Ends);
            }
        }
        Ok(AfterCall::GoesOn)
    }

    fn reason_of(&self, finish: Finish) -> Ending {
        let has_called = self.calls.as_ref().is_some_and(|calls| !calls.are_none());
        let has_text = self.has_text || has_called;
        match finish {
            Finish::Done | Finish::Called(_) if self.lacks_logprobs() => {
                Err(ignored("it has sent no log-probabilities, although they were asked for"))
            }
            Finish::Done if self.calls.as_ref().is_some_and(Calls::are_missing) => {
                Err(ignored("it has called no function, although a call was asked for"))
            }
            Finish::Called(_) if has_called => Ok(EndReason::End),
            Finish::Called(word) => Err(ended_with(&word)),
            Finish::Done if !has_text && self.has_thought => {
                let words = "it thought, and then ended without an answer".to_owned();
                Err(EngineError::Failed(words))
            }
            Finish::Done if self.stop_string.is_some() => Ok(EndReason::StopString),
            Finish::Done => Ok(EndReason::End),
            Finish::Length if !has_text => Err(EngineError::UsedUp),
            Finish::Length => Ok(EndReason::Length),
            Finish::Filtered => Ok(EndReason::Filtered),
            Finish::Unavailable => Ok(EndReason::Unavailable),
            Finish::Failed(word) => Err(ended_with(&word)),
        }
    }

    /// The engine has ignored that they are wanted.
    fn lacks_logprobs(&self) -> bool {
        self.asked.logprobs.is_some() && self.has_text && !self.has_logprobs
    }

    /// The body has ended.
    fn close(&mut self) {
        // A whole message needs no reason for its end.
        if self.is_whole {
            return self.close_with(Ok(EndReason::End));
        }
        let what = "the connection closed in the middle of the answer".to_owned();
        self.close_with(Err(EngineError::Broken(what)));
    }

    /// Ends the answer with the reason that the engine has given, or else with this one.
    fn close_with(&mut self, otherwise: Ending) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Over => {}
            Phase::Ending { reason, .. } => self.end(reason),
            Phase::Writing => self.end(otherwise),
        }
    }

    /// An error after the engine has given its reason does not matter.
    fn fail(&mut self, error: EngineError) {
        self.close_with(Err(error));
    }

    fn end(&mut self, reason: Ending) {
        self.phase = Phase::Over;
        if reason == Ok(EndReason::End) {
            self.ready.extend(self.calls.as_mut().and_then(Calls::close));
        }
        self.asked.slot = None;
        *self.body.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
        let halt_ms = *self.halt_ms.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (usage, timings) = self.tally.taken(halt_ms);
        let silent_cut = self.silent_cut();
        let reason = match (reason, silent_cut) {
            // Not even the whole newest message was read.
            (Ok(EndReason::End | EndReason::StopString | EndReason::Length), Some(cut))
                if cut.read_tokens < self.asked.least.newest =>
            {
                let (tokens, limit) = (Some(self.asked.least.newest), Some(cut.read_tokens));
                Err(EngineError::TooLong { tokens, limit })
            }
            (reason, _) => reason,
        };
        let stop_string = self.stop_string.take();
        self.ready.push_back(Step::End(End { reason, stop_string, usage, timings, silent_cut }));
    }

    /// Whether the engine says fewer tokens than the prompt must have.
    fn silent_cut(&self) -> Option<SilentCut> {
        let usage = self.tally.usage?;
        // Some gateways do not count tokens from the cache.
        if usage.cached_tokens.is_some_and(|cached| cached > 0) {
            return None;
        }
        let read_tokens = usage.prompt_tokens?;
        let least_tokens = self.asked.least.all;
        let is_cut = (FEWEST_PROMPT_TOKENS..least_tokens).contains(&read_tokens);
        is_cut.then_some(SilentCut { read_tokens, least_tokens })
    }
}

/// An engine that serves only one request at a time ended an answer without a reason.
fn broken_off() -> Ending {
    let words = "it broke the answer off, as it does when another client asks it something";
    Err(EngineError::Failed(words.to_owned()))
}

/// The engine has done as if it were not asked for something.
fn ignored(words: &str) -> EngineError {
    EngineError::Failed(words.to_owned())
}

fn ended_with(word: &str) -> EngineError {
    EngineError::Failed(format!("it ended the answer with {word:?}"))
}

impl Tally {
    fn piece(&mut self, bytes: usize) {
        self.last = Instant::now();
        self.first.get_or_insert(self.last);
        self.bytes += bytes;
    }

    /// Tokens and times of the answer. `halt_ms` is the time from the stop until the connection was
    /// closed.
    fn taken(&self, halt_ms: Option<f32>) -> (Usage, Timings) {
        let timings = self.timings;
        let cached = timings.and_then(|timings| timings.cache_n);
        let computed = timings.and_then(|timings| timings.prompt_n);
        let prompt = computed.map(|computed| computed + cached.unwrap_or(0));
        let counted = self.usage.and_then(|usage| usage.completion_tokens);
        let completion_tokens = counted.or_else(|| timings?.predicted_n);
        let milliseconds = |since: Instant| (since - self.asked).as_secs_f32() * 1e3;
        let measured = self.first.zip(completion_tokens).and_then(|(first, tokens)| {
            let seconds = (self.last - first).as_secs_f32();
            (tokens > 1 && seconds > 0.0).then(|| (tokens - 1) as f32 / seconds)
        });
        let stated = timings.and_then(|timings| timings.predicted_per_second);
        let usage = Usage {
            prompt_tokens: self.usage.and_then(|usage| usage.prompt_tokens).or(prompt),
            cached_tokens: self.usage.and_then(|usage| usage.cached_tokens).or(cached),
            completion_tokens,
        };
        let timings = Timings {
            first_token_ms: self.first.map(milliseconds),
            tokens_per_second: stated.map(|speed| speed as f32).or(measured),
            halt_ms,
        };
        (usage, timings)
    }
}
