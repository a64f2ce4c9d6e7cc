//! One answer that is being written for one socket: its start, its events, its time limits, its log
//! lines.

use super::protocol::{Ending, ReadyMessage};
use super::{Client, PageKind};
use crate::backend::Readiness;
use crate::shared::Shared;
use crate::shares::Reservation;
use banter_seam::{Event, Failure, FinishReason, Finished, Generation};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::{Span, debug, info, info_span, warn};

/// A message that can be answered, with its part of the memory for waiting messages.
type AdmittedMessage = ReadyMessage<Reservation>;

pub(super) struct Running {
    shared: Arc<Shared>,
    state: State,
    stopped: bool,
    clock: Clock,
    span: Span,
    /// The number of deltas so far.
    deltas: usize,
    /// It has halted, and the log has its line.
    is_over: bool,
}

enum State {
    /// It waits for the backend, or for a permit as a page opened from disk.
    Starting(BoxFuture<'static, Result<Started, Failure>>),
    Answering(Started),
    /// It was stopped before the backend took it.
    Withdrawn,
}

struct Started {
    generation: Box<dyn Generation>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// When to give up.
struct Clock {
    queue_timeout: Duration,
    step_timeout: Duration,
    deadline: Instant,
    has_begun: bool,
}

/// What a generation did.
pub(super) enum Outcome {
    /// The backend has taken the message and has left out this many of the oldest messages.
    Begun { dropped_messages: usize },
    /// Progress that the client does not see.
    Progress,
    /// A delta of what the model thinks before it answers.
    Thinking(String),
    /// A delta of the answer.
    Delta(String),
    /// It has halted, for this reason.
    Finished(Ending),
}

impl Running {
    pub(super) fn start(shared: &Arc<Shared>, client: Client, message: AdmittedMessage) -> Running {
        let id = shared.next_generation_id();
        let span = info_span!("generation", id, messages = message.ask.messages.len());
        let queue_timeout = shared.config.queue_timeout;
        let clock = Clock {
            queue_timeout,
            step_timeout: shared.config.step_timeout,
            deadline: Instant::now() + queue_timeout,
            has_begun: false,
        };
        let state = State::Starting(begin(shared.clone(), client, message).boxed());
        let shared = shared.clone();
        Running { shared, state, stopped: false, clock, span, deltas: 0, is_over: false }
    }

    /// The next outcome. The future may be dropped without losing anything.
    pub(super) async fn next_outcome(&mut self) -> Outcome {
        let outcome = self.next_unlogged().await;
        match &outcome {
            Outcome::Finished(_) => self.is_over = true,
            Outcome::Delta(_) => self.deltas += 1,
            Outcome::Begun { .. } | Outcome::Progress | Outcome::Thinking(_) => {}
        }
        outcome
    }

    async fn next_unlogged(&mut self) -> Outcome {
        let event = match &mut self.state {
            State::Starting(starting) => match starting.await {
                Ok(started) => return self.started(started),
                Err(failure) => {
                    self.log_refusal(&failure);
                    return Outcome::Finished(Ending::Fault(failure.into()));
                }
            },
            State::Answering(started) => started.generation.next_event().await,
            State::Withdrawn => {
                debug!(parent: &self.span, "stopped before it began");
                return Outcome::Finished(Ending::STOPPED);
            }
        };
        self.clock.moved(event.as_ref());
        match event {
            Some(Event::Queued { .. } | Event::Prefill { .. } | Event::Alive) => Outcome::Progress,
            Some(Event::Thinking(delta)) => Outcome::Thinking(delta),
            Some(Event::Delta { text, .. }) => Outcome::Delta(text),
            Some(Event::Finished(finished)) => Outcome::Finished(self.finished(finished)),
            None => {
                warn!(parent: &self.span, "the backend dropped the generation");
                let reason = "the engine lost the answer; send the message again".into();
                Outcome::Finished(Ending::Fault(Failure::Internal { reason }.into()))
            }
        }
    }

    /// A client can cause any number of refusals, so the log lines about them are throttled.
    fn log_refusal(&self, failure: &Failure) {
        if let Some(suppressed) = self.shared.log_throttles.refused_answer.admit() {
            info!(parent: &self.span, reason = failure.code(), suppressed, "refused");
        }
    }

    fn started(&mut self, started: Started) -> Outcome {
        let dropped_messages = started.generation.dropped_messages();
        if dropped_messages > 0 {
            let dropped = dropped_messages;
            info!(parent: &self.span, dropped, "the history does not fit the context, so its oldest messages are left out");
        }
        self.state = State::Answering(started);
        Outcome::Begun { dropped_messages }
    }

    fn finished(&self, finished: Finished) -> Ending {
        let (usage, timings) = (finished.usage, finished.timings);
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
        match finished.reason {
            FinishReason::Failed(failure) => {
                warn!(parent: &self.span, %failure, "the answer failed");
                Ending::Fault(failure.into())
            }
            FinishReason::Ended(reason) => Ending::End { reason, tokens: usage.completion_tokens },
        }
    }

    /// Asks the generation to halt. Its time limit starts anew; when it has passed, the messages
    /// behind are refused.
    pub(super) fn stop(&mut self) {
        match &self.state {
            State::Answering(started) => started.generation.stop(),
            // Dropping the future withdraws the request.
            State::Starting(_) | State::Withdrawn => self.state = State::Withdrawn,
        }
        self.stopped = true;
        self.clock.deadline = Instant::now() + self.clock.queue_timeout;
    }

    /// The client takes frames again. While it took none, the generation was not asked for events,
    /// so it is not to blame for the pause: its time limit starts anew.
    pub(super) fn go_on(&mut self) {
        let patience = match self.clock.has_begun && !self.stopped {
            true => self.clock.step_timeout,
            false => self.clock.queue_timeout,
        };
        self.clock.deadline = self.clock.deadline.max(Instant::now() + patience);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    pub(super) fn deadline(&self) -> Instant {
        self.clock.deadline
    }

    /// What the client is told when the deadline has passed.
    pub(super) fn timeout(&self) -> Failure {
        if self.clock.has_begun && !self.stopped {
            let seconds = self.clock.step_timeout.as_secs();
            Failure::Timeout { seconds, while_doing: Failure::WITHOUT_A_STEP }
        } else {
            let seconds = self.clock.queue_timeout.as_secs();
            Failure::Timeout { seconds, while_doing: Failure::IN_THE_QUEUE }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            let deltas = self.deltas;
            info!(parent: &self.span, reason = "socket closed", deltas, "ended unfinished");
        }
    }
}

impl Clock {
    fn moved(&mut self, event: Option<&Event>) {
        if matches!(event, Some(Event::Queued { .. })) {
            return;
        }
        self.has_begun = true;
        let next = Instant::now() + self.step_timeout;
        self.deadline = match event {
            // Another engine may send a sign of life at once and then compute in silence. The time
            // until the first word is not shortened by that.
            Some(Event::Prefill { .. } | Event::Alive) => self.deadline.max(next),
            _ => next,
        };
    }
}

async fn begin(
    shared: Arc<Shared>,
    client: Client,
    message: AdmittedMessage,
) -> Result<Started, Failure> {
    let backend = match shared.slot.readiness() {
        Readiness::Loaded(backend) => backend,
        Readiness::Loading(progress) => {
            let reason = format!(
                "the model is still loading ({:.0} %); try again in a moment",
                progress * 100.0
            );
            return Err(Failure::Busy { reason, position: 0, estimate_ms: None });
        }
        Readiness::Unreachable(_) => {
            let reason =
                "the engine that computes for this server cannot be reached; try again in a moment"
                    .into();
            return Err(Failure::Busy { reason, position: 0, estimate_ms: None });
        }
    };
    let permit = match client.page {
        PageKind::Ordinary => None,
        PageKind::File => {
            let permits = shared.file_page_permits.clone();
            Some(permits.acquire_owned().await.expect("the semaphore is never closed"))
        }
    };
    let mut request = message.ask.into_request(client.principal.asker());
    request.messages = shared.config.conversation(request.messages);
    let generation = backend.generate(Box::new(request)).await?;
    drop(message.memory);
    Ok(Started { generation, _permit: permit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_sign_of_life_takes_nothing_from_the_time_until_the_first_word() {
        let (queue_timeout, step_timeout) = (Duration::from_secs(120), Duration::from_secs(60));
        let begun = Instant::now();
        let deadline = begun + queue_timeout;
        let mut clock = Clock { queue_timeout, step_timeout, deadline, has_begun: false };
        let mut moved = |event: Event| {
            clock.moved(Some(&event));
            (clock.deadline - begun).as_secs()
        };
        let delta = || Event::Delta { text: "word".to_owned(), tokens: Vec::new() };
        assert_eq!(moved(Event::Alive), 120);
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(moved(Event::Alive), 160);
        assert_eq!(moved(delta()), 160);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(moved(delta()), 170);
    }
}
