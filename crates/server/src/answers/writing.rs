//! The task that writes one answer: its start, its events, its time limits, its log lines.

use super::clock::Clock;
use super::common::Common;
use super::live::LiveAnswer;
use super::log::{AnswerLog, Begun, CallBegun, Ended, Interruption, Waiting};
use super::pace::Pace;
use super::recording::{Recording, UnstoredEnd};
use super::request::Question;
use crate::metrics::OneAnswer;
use crate::quotas::Spending;
use crate::shares::Reservation;
use banter_seam::{EndReason, Event, Failure, FinishReason, Finished, Generation, Usage};
use banter_store::MessageId;
use futures_util::future::BoxFuture;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{Instrument, Span, debug, info, warn};

/// One answer while it is written.
pub(super) struct Writing {
    common: Arc<Common>,
    answer: Arc<LiveAnswer>,
    recording: Option<Recording>,
    state: State,
    clock: Clock,
    pace: Pace,
    /// `None` if nobody waits for the answer.
    metrics: Option<OneAnswer>,
    /// The computation was asked to halt.
    is_stopped: bool,
    /// Why the server has asked for that, if it was the server.
    interruption: Option<Interruption>,
    seed: Option<u64>,
    /// The end, once it is known.
    end: Option<Finished>,
    /// The end, if it could not be stored.
    unstored: Option<UnstoredEnd>,
}

enum State {
    /// It waits for the backend, or for a permit.
    Starting(BoxFuture<'static, Result<Started, Failure>>),
    Answering(Started),
}

/// An answer that the backend has begun.
pub(super) struct Started {
    generation: Box<dyn Generation>,
    stored: Vec<MessageId>,
    context_tokens: Option<usize>,
    /// What it takes of its key's quota, if that has one.
    spending: Option<Spending>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// What an answer needs to start.
pub(super) struct Start {
    pub(super) question: BoxFuture<'static, Result<Question, Failure>>,
    pub(super) permits: Option<Arc<Semaphore>>,
    pub(super) memory: Option<Reservation>,
    /// Whether it is taken from its key's quota: nobody has asked for a title.
    pub(super) is_counted: bool,
}

/// What happens next.
enum Happening {
    Started(Started),
    Refused(Failure),
    Event(Event),
    /// The backend has ended before the answer.
    Lost,
}

/// Pieces of an answer that come together. At most one of the texts is not empty.
#[derive(Default)]
struct Written {
    text: String,
    /// Of the thoughts before the answer.
    thought: String,
    /// Of the arguments of the newest call.
    arguments: String,
    tokens: Vec<u32>,
}

impl Written {
    fn bytes(&self) -> usize {
        self.text.len() + self.thought.len() + self.arguments.len()
    }

    /// Cuts off what is beyond `room`. An answer that is cut here keeps no tokens for the cut text,
    /// so it is not continued.
    fn cut(&mut self, room: usize) {
        for text in [&mut self.text, &mut self.thought, &mut self.arguments] {
            text.truncate(text.floor_char_boundary(room));
        }
        self.tokens.clear();
    }
}

/// Whether the task goes on.
#[derive(PartialEq, Eq)]
enum Progress {
    GoesOn,
    HasHalted,
}

/// Starts an answer.
pub(super) async fn start(common: Arc<Common>, start: Start) -> Result<Started, Failure> {
    let backend = common.backend()?;
    let permit = match start.permits {
        Some(permits) => {
            Some(permits.acquire_owned().await.expect("the semaphore is never closed"))
        }
        None => None,
    };
    let Question { request, stored } = start.question.await?;
    let spending = match start.is_counted {
        true => common.quotas.begin(request.asker.share)?,
        false => None,
    };
    let generation = backend.generate(Box::new(request)).await?;
    drop(start.memory);
    let context_tokens = backend.info().context_tokens;
    Ok(Started { generation, stored, context_tokens, spending, _permit: permit })
}

impl Writing {
    pub(super) fn new(
        common: Arc<Common>,
        answer: Arc<LiveAnswer>,
        starting: BoxFuture<'static, Result<Started, Failure>>,
        recording: Option<Recording>,
        metrics: Option<OneAnswer>,
    ) -> Writing {
        Writing {
            clock: Clock::new(common.limits),
            pace: Pace::begin(),
            common,
            answer,
            recording,
            metrics,
            state: State::Starting(starting),
            is_stopped: false,
            interruption: None,
            seed: None,
            end: None,
            unstored: None,
        }
    }

    /// Writes until the computation has halted and the end is stored.
    pub(super) async fn run(self, span: Span) {
        let (answer, shutdown) = (self.answer.clone(), self.common.shutdown.clone());
        let unstored = self.write_to_the_end().instrument(span).await;
        answer.write(AnswerLog::halt);
        if let Some(unstored) = unstored {
            unstored.store(&shutdown).await;
        }
        answer.write(AnswerLog::settle);
    }

    /// Returns the end if it could not be stored.
    async fn write_to_the_end(mut self) -> Option<UnstoredEnd> {
        let (answer, shutdown) = (self.answer.clone(), self.common.shutdown.clone());
        // One wait for the whole answer: otherwise the grace time would begin again at every word.
        let mut abandoned = pin!(answer.abandoned());
        let mut progress = Progress::GoesOn;
        while progress == Progress::GoesOn {
            let deadline = self.clock.deadline();
            progress = tokio::select! {
                biased;
                () = answer.stop_asked(), if !self.is_stopped => self.stop().await,
                () = shutdown.cancelled(), if !self.is_stopped => {
                    self.interrupt(Interruption::Shutdown).await
                }
                // Before what happens: a backend that always has a word would never be stopped.
                why = &mut abandoned, if !self.is_stopped => self.interrupt(why).await,
                // Likewise, its words would never be saved.
                () = save(&mut self.recording, &answer) => Progress::GoesOn,
                happening = self.state.next() => self.take(happening).await,
                () = tokio::time::sleep_until(deadline) => self.give_up().await,
            };
        }
        if let Some(metrics) = &mut self.metrics {
            metrics.halted();
        }
        self.unstored
    }

    async fn interrupt(&mut self, interruption: Interruption) -> Progress {
        self.interruption = Some(interruption);
        self.stop().await
    }

    /// Asks the computation to halt. A request that the backend has not taken yet is withdrawn.
    async fn stop(&mut self) -> Progress {
        self.is_stopped = true;
        if let Some(metrics) = &mut self.metrics {
            metrics.stop();
        }
        self.clock.wait_for_the_halt();
        match &self.state {
            State::Answering(started) => {
                started.generation.stop();
                Progress::GoesOn
            }
            State::Starting(_) => {
                debug!("stopped before it began");
                self.end(Ended::here(FinishReason::Ended(EndReason::Stopped))).await;
                Progress::HasHalted
            }
        }
    }

    /// There was no progress for too long. The answer ends, and the computation is asked to halt.
    /// If it was asked before and has not halted, those who wait for that are told.
    async fn give_up(&mut self) -> Progress {
        let failure = self.clock.timeout();
        if !self.is_stopped {
            self.fail(failure).await;
            return self.stop().await;
        }
        self.clock.wait_for_the_halt();
        self.answer.write(AnswerLog::count_overdue);
        if self.interruption.is_none() && !self.common.shutdown.is_cancelled() {
            return Progress::GoesOn;
        }
        // A server that ends, and an answer that nobody follows, wait no longer.
        self.end(Ended::here(FinishReason::Ended(EndReason::Stopped))).await;
        Progress::HasHalted
    }

    async fn fail(&mut self, failure: Failure) {
        self.end(Ended::here(FinishReason::Failed(failure))).await;
    }

    /// Ends the answer, unless it has ended already: it is stored, and then those who follow are
    /// told.
    async fn end(&mut self, finished: Finished) {
        if self.end.is_some() {
            return;
        }
        if let Some(metrics) = &mut self.metrics {
            let reason = self.interruption.map_or(finished.reason.name(), Interruption::name);
            let model = self.common.backend().ok().map(|backend| backend.info().name.clone());
            metrics.end(reason, &finished, model);
        }
        self.end = Some(finished.clone());
        let ended = Ended {
            finished,
            interruption: self.interruption,
            seed: self.seed,
            offsets: self.answer.offsets(),
        };
        if let Some(recording) = self.recording.take() {
            self.unstored = recording.finish(&self.answer, &ended).await;
        }
        self.answer.write(|log| log.end(ended));
    }

    async fn take(&mut self, happening: Happening) -> Progress {
        match happening {
            Happening::Started(started) => {
                self.started(started);
                Progress::GoesOn
            }
            Happening::Event(event) => self.take_event(event).await,
            Happening::Refused(failure) => {
                self.log_refusal(&failure);
                self.fail(failure).await;
                Progress::HasHalted
            }
            Happening::Lost => {
                warn!("the backend dropped the generation");
                let reason = "the engine lost the answer; send the message again".into();
                self.fail(Failure::Internal { reason }).await;
                Progress::HasHalted
            }
        }
    }

    fn started(&mut self, mut started: Started) {
        let dropped_messages = started.generation.dropped_messages();
        if dropped_messages > 0 {
            let dropped = dropped_messages;
            info!(
                dropped,
                "the history does not fit the context, so its oldest messages are left out"
            );
        }
        self.seed = started.generation.seed();
        let mut left_out = std::mem::take(&mut started.stored);
        left_out.truncate(dropped_messages);
        let begun = Begun {
            dropped_messages,
            left_out,
            prompt_tokens: started.generation.prompt_tokens(),
            context_tokens: started.context_tokens,
        };
        self.state = State::Answering(started);
        self.answer.write(|log| log.begin(begun));
    }

    async fn take_event(&mut self, event: Event) -> Progress {
        if !self.is_stopped {
            self.clock.moved(&event);
        }
        self.pace.saw(&event);
        if let Some(metrics) = &mut self.metrics {
            metrics.saw(&event);
        }
        match event {
            Event::Alive => {}
            Event::Queued { ahead, estimate_ms } => {
                self.answer.write(|log| log.wait_for(Waiting::Queued { ahead, estimate_ms }));
            }
            Event::Prefill { done, total, cached } => {
                self.answer.write(|log| log.wait_for(Waiting::Prefill { done, total, cached }));
            }
            Event::Thinking(thought) => {
                return self.write(Written { thought, ..Written::default() }).await;
            }
            Event::Delta { text, tokens, logprobs } => {
                if !logprobs.is_empty() && self.end.is_none() {
                    self.answer.write(|log| log.tell_logprobs(logprobs));
                }
                return self.write(Written { text, tokens, ..Written::default() }).await;
            }
            Event::Call { id, name } => {
                if self.end.is_none() {
                    self.answer.write(|log| log.call(CallBegun { id, name }));
                }
            }
            Event::Arguments(arguments) => {
                return self.write(Written { arguments, ..Written::default() }).await;
            }
            Event::Finished(mut finished) => {
                self.pace.complete(&mut finished);
                log_end(&finished, self.interruption);
                self.state.spend(&finished.usage);
                self.end(finished).await;
                return Progress::HasHalted;
            }
        }
        Progress::GoesOn
    }

    /// Writes pieces of the answer, or the parts that still fit.
    async fn write(&mut self, mut written: Written) -> Progress {
        // What comes after the end was not seen by anybody, and is not stored either.
        if self.end.is_some() {
            return Progress::GoesOn;
        }
        let room = self.max_bytes().saturating_sub(self.answer.bytes());
        let fits = written.bytes() <= room;
        if !fits {
            written.cut(room);
        }
        let Written { text, thought, arguments, tokens } = written;
        if let Some(recording) = &mut self.recording {
            recording.keep(&text, &thought, &tokens).await;
        }
        self.answer.write(|log| {
            log.think(&thought);
            log.write(&text, &tokens);
            log.add_arguments(&arguments);
        });
        // Followers go first: otherwise a quick model's words would reach them all at once.
        tokio::task::yield_now().await;
        if fits || self.is_stopped {
            return Progress::GoesOn;
        }
        warn!("the answer is as long as it may be");
        self.end(Ended::here(FinishReason::Ended(EndReason::Length))).await;
        self.stop().await
    }

    /// The longest answer, with the thoughts before it: as long as it may be, and as can be stored.
    fn max_bytes(&self) -> usize {
        let limit = self.common.limits.bytes;
        self.recording.as_ref().map_or(limit, |recording| limit.min(recording.max_bytes()))
    }

    /// A client can cause any number of refusals, so the log lines about them are throttled.
    fn log_refusal(&self, failure: &Failure) {
        if let Some(suppressed) = self.common.refusals_logged.admit() {
            info!(reason = failure.code(), suppressed, "refused");
        }
    }
}

/// Makes durable what is due. Never ready; the future may be dropped at any time.
async fn save(recording: &mut Option<Recording>, answer: &LiveAnswer) {
    match recording {
        Some(recording) => recording.go_on(answer).await,
        None => std::future::pending().await,
    }
}

fn log_end(finished: &Finished, interruption: Option<Interruption>) {
    let (usage, timings) = (&finished.usage, &finished.timings);
    info!(
        reason = interruption.map_or(finished.reason.name(), Interruption::name),
        prompt_tokens = usage.prompt_tokens,
        cached_tokens = usage.cached_tokens,
        completion_tokens = usage.completion_tokens,
        first_token_ms = timings.first_token_ms.map(in_tenths),
        tokens_per_second = timings.tokens_per_second.map(in_tenths),
        halt_ms = timings.halt_ms.map(in_tenths),
        "finished"
    );
    if let FinishReason::Failed(failure) = &finished.reason {
        warn!(%failure, "the answer failed");
    }
}

/// A figure as people read it. All digits of a log line would pretend to know microseconds.
fn in_tenths(figure: f32) -> f64 {
    (f64::from(figure) * 10.0).round() / 10.0
}

impl State {
    /// Takes the tokens of an answer that has ended from its key's quota.
    fn spend(&self, usage: &Usage) {
        if let State::Answering(Started { spending: Some(spending), .. }) = self {
            spending.spend(usage);
        }
    }

    /// What happens next. The future may be dropped without losing anything.
    async fn next(&mut self) -> Happening {
        match self {
            State::Starting(starting) => match starting.await {
                Ok(started) => Happening::Started(started),
                Err(failure) => Happening::Refused(failure),
            },
            State::Answering(started) => match started.generation.next_event().await {
                Some(event) => Happening::Event(event),
                None => Happening::Lost,
            },
        }
    }
}
