//! The task that writes one answer: its start, its events, its time limits, its log lines.

use super::clock::Clock;
use super::log::AnswerLog;
use super::{AnswerRequest, Answers, LiveAnswer};
use banter_seam::{EndReason, Event, Failure, FinishReason, Finished, Generation};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{Span, debug, info, warn};

/// One answer while it is written.
pub(super) struct Writing {
    answers: Answers,
    answer: Arc<LiveAnswer>,
    state: State,
    clock: Clock,
    /// The computation was asked to halt.
    is_stopped: bool,
    /// The number of deltas so far.
    deltas: usize,
    span: Span,
}

enum State {
    /// It waits for the backend, or for a permit.
    Starting(BoxFuture<'static, Result<Started, Failure>>),
    Answering(Started),
}

struct Started {
    generation: Box<dyn Generation>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// What happens next.
enum Happening {
    Started(Started),
    Refused(Failure),
    Event(Event),
    /// The backend has ended before the answer.
    Lost,
}

/// Whether the task goes on.
#[derive(PartialEq, Eq)]
enum Progress {
    GoesOn,
    HasHalted,
}

impl Writing {
    pub(super) fn new(
        answers: Answers,
        answer: Arc<LiveAnswer>,
        request: AnswerRequest,
        span: Span,
    ) -> Writing {
        let clock = Clock::new(answers.inner.limits);
        let state = State::Starting(start(answers.clone(), request).boxed());
        Writing { answers, answer, state, clock, is_stopped: false, deltas: 0, span }
    }

    /// Writes until the computation has halted, or nobody needs the answer any more. Dropping the
    /// generation then stops the computation.
    pub(super) async fn run(mut self) {
        let answer = self.answer.clone();
        let mut progress = Progress::GoesOn;
        while progress == Progress::GoesOn {
            let deadline = self.clock.deadline();
            progress = tokio::select! {
                biased;
                () = answer.stop_asked(), if !self.is_stopped => self.stop(),
                happening = self.state.next() => self.take(happening),
                () = answer.abandoned() => {
                    let deltas = self.deltas;
                    info!(parent: &self.span, reason = "socket closed", deltas, "ended unfinished");
                    return;
                }
                () = tokio::time::sleep_until(deadline) => self.give_up(),
            };
        }
        answer.write(|log| log.halt());
    }

    /// Asks the computation to halt. A request that the backend has not taken yet is withdrawn.
    fn stop(&mut self) -> Progress {
        self.is_stopped = true;
        self.clock.wait_for_the_halt();
        match &self.state {
            State::Answering(started) => {
                started.generation.stop();
                Progress::GoesOn
            }
            State::Starting(_) => {
                debug!(parent: &self.span, "stopped before it began");
                self.end_here(FinishReason::Ended(EndReason::Stopped));
                Progress::HasHalted
            }
        }
    }

    /// There was no progress for too long. The answer ends, and the computation is asked to halt.
    /// If it was asked before and has not halted, those who wait for that are told.
    fn give_up(&mut self) -> Progress {
        let failure = self.clock.timeout();
        if self.is_stopped {
            self.clock.wait_for_the_halt();
            self.answer.write(|log| log.count_overdue());
            return Progress::GoesOn;
        }
        self.fail(failure);
        self.stop()
    }

    fn fail(&self, failure: Failure) {
        self.end_here(FinishReason::Failed(failure));
    }

    fn end_here(&self, reason: FinishReason) {
        self.answer.write(|log| log.end_here(reason));
    }

    fn take(&mut self, happening: Happening) -> Progress {
        match happening {
            Happening::Started(started) => self.started(started),
            Happening::Refused(failure) => {
                self.log_refusal(&failure);
                self.fail(failure);
                return Progress::HasHalted;
            }
            Happening::Event(event) => return self.take_event(event),
            Happening::Lost => {
                warn!(parent: &self.span, "the backend dropped the generation");
                let reason = "the engine lost the answer; send the message again".into();
                self.fail(Failure::Internal { reason });
                return Progress::HasHalted;
            }
        }
        Progress::GoesOn
    }

    fn started(&mut self, started: Started) {
        let dropped_messages = started.generation.dropped_messages();
        if dropped_messages > 0 {
            let dropped = dropped_messages;
            info!(parent: &self.span, dropped, "the history does not fit the context, so its oldest messages are left out");
        }
        self.state = State::Answering(started);
        self.answer.write(|log| log.begin(dropped_messages));
    }

    fn take_event(&mut self, event: Event) -> Progress {
        if !self.is_stopped {
            self.clock.moved(&event);
        }
        match event {
            Event::Queued { .. } | Event::Prefill { .. } | Event::Alive => {}
            Event::Thinking(thought) => {
                return self.write(&thought, AnswerLog::think);
            }
            Event::Delta { text, .. } => {
                self.deltas += 1;
                return self.write(&text, AnswerLog::write);
            }
            Event::Finished(finished) => {
                self.log_end(&finished);
                self.answer.write(|log| log.end(finished));
                return Progress::HasHalted;
            }
        }
        Progress::GoesOn
    }

    /// Writes a piece of text, or the part of it that the answer may still have.
    fn write(&mut self, piece: &str, write: fn(&mut AnswerLog, &str)) -> Progress {
        let room = self.answers.inner.limits.bytes.saturating_sub(self.answer.bytes());
        let fitting = &piece[..piece.floor_char_boundary(room)];
        self.answer.write(|log| write(log, fitting));
        if fitting.len() == piece.len() || self.is_stopped {
            return Progress::GoesOn;
        }
        warn!(parent: &self.span, "the answer is as long as it may be");
        self.end_here(FinishReason::Ended(EndReason::Length));
        self.stop()
    }

    /// A client can cause any number of refusals, so the log lines about them are throttled.
    fn log_refusal(&self, failure: &Failure) {
        if let Some(suppressed) = self.answers.inner.refusals_logged.admit() {
            info!(parent: &self.span, reason = failure.code(), suppressed, "refused");
        }
    }

    fn log_end(&self, finished: &Finished) {
        let (usage, timings) = (&finished.usage, &finished.timings);
        info!(
            parent: &self.span,
            reason = finished.reason.name(),
            prompt_tokens = usage.prompt_tokens,
            cached_tokens = usage.cached_tokens,
            completion_tokens = usage.completion_tokens,
            first_token_ms = timings.first_token_ms,
            tokens_per_second = timings.tokens_per_second,
            halt_ms = timings.halt_ms,
            "finished"
        );
        if let FinishReason::Failed(failure) = &finished.reason {
            warn!(parent: &self.span, %failure, "the answer failed");
        }
    }
}

impl State {
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

async fn start(answers: Answers, request: AnswerRequest) -> Result<Started, Failure> {
    let AnswerRequest { request, permits, memory } = request;
    let backend = answers.backend()?;
    let permit = match permits {
        Some(permits) => {
            Some(permits.acquire_owned().await.expect("the semaphore is never closed"))
        }
        None => None,
    };
    let generation = backend.generate(Box::new(request)).await?;
    drop(memory);
    Ok(Started { generation, _permit: permit })
}
