//! Answers while they are written.
//!
//! An answer is a text that only grows. A task of its own writes it: it owns the generation,
//! watches the clock and writes the log lines. A reader holds a [`Follower`], which is a
//! position in that text and no queue: fifty readers are fifty numbers, a slow reader reads more
//! at once, and the computation waits for no reader.
//!
//! - `log`: the text, and what else is known about the answer.
//! - `live`: an answer that others share, its followers, and its stop.
//! - `clock`: when to give up.
//! - `recording`: how a stored answer is kept.
//! - `writing`: the task.

mod clock;
mod live;
mod log;
mod recording;
#[cfg(test)]
mod tests;
mod writing;

pub(crate) use live::{Follower, Keep, LiveAnswer};
pub(crate) use log::{Begun, Ended, Interruption, Offsets, Update, Waiting};

use crate::backend::{BackendSlot, Readiness};
use crate::log_throttle::LogThrottle;
use crate::shares::Reservation;
use banter_seam::{Backend, Failure, GenerateRequest};
use banter_store::{Message, MessageId, MessageSeq, Store};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use log::AnswerLog;
use recording::Recording;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info_span;
use writing::Writing;

/// Starts answers. Clones start answers of the same server.
#[derive(Clone)]
pub(crate) struct Answers {
    inner: Arc<Inner>,
}

struct Inner {
    slot: BackendSlot,
    limits: AnswerLimits,
    tasks: TaskTracker,
    /// Cancelled when the server ends.
    shutdown: CancellationToken,
    /// Answers for which somebody waits.
    waited_for: watch::Sender<usize>,
    refusals_logged: LogThrottle,
    count: AtomicU64,
}

/// The limits of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerLimits {
    /// It must begin within this time.
    pub(crate) queue_timeout: Duration,
    /// Once it has begun, it must make progress within this time.
    pub(crate) step_timeout: Duration,
    /// Its bytes, with those of the thoughts before it.
    pub(crate) bytes: usize,
}

/// A request for an answer.
pub(crate) struct AnswerRequest {
    /// What the backend is asked, as soon as that is known.
    pub(crate) question: BoxFuture<'static, Result<Question, Failure>>,
    /// Permits of which the answer needs one until it has ended.
    pub(crate) permits: Option<Arc<Semaphore>>,
    /// The memory of the request. It goes back when the backend has taken the request.
    pub(crate) memory: Option<Reservation>,
    /// Where the answer is stored; `None` if it is not.
    pub(crate) place: Option<Place>,
    /// How long it goes on when nobody follows it.
    pub(crate) keep: Keep,
    pub(crate) urgency: Urgency,
}

/// When an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Somebody waits for it.
    Now,
    /// Nobody waits for it, so it must not slow down those for whom somebody does.
    WhenIdle,
}

/// What a backend is asked.
pub(crate) struct Question {
    pub(crate) request: GenerateRequest,
    /// The messages of the request that are stored, oldest first.
    pub(crate) stored: Vec<MessageId>,
}

/// Where an answer is stored.
pub(crate) struct Place {
    pub(crate) store: Arc<Store>,
    /// The answer as it is stored now: empty, or what there is of it if it goes on.
    pub(crate) answer: Message,
}

impl AnswerRequest {
    /// A request that is known already, for an answer that is not stored and that ends when nobody
    /// follows it.
    pub(crate) fn passing(request: GenerateRequest, memory: Reservation) -> AnswerRequest {
        let question = Question { request, stored: Vec::new() };
        AnswerRequest {
            question: std::future::ready(Ok(question)).boxed(),
            permits: None,
            memory: Some(memory),
            place: None,
            keep: Keep::WHILE_FOLLOWED,
            urgency: Urgency::Now,
        }
    }
}

impl Answers {
    pub(crate) fn new(slot: BackendSlot, limits: AnswerLimits) -> Answers {
        let inner = Inner {
            slot,
            limits,
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            waited_for: watch::Sender::new(0),
            refusals_logged: LogThrottle::new(),
            count: AtomicU64::new(0),
        };
        Answers { inner: Arc::new(inner) }
    }

    /// Starts an answer, and returns its first follower, which reads from the end of what there is
    /// of the answer.
    pub(crate) fn start(&self, request: AnswerRequest) -> Follower {
        let id = self.inner.count.fetch_add(1, Ordering::Relaxed) + 1;
        let span = info_span!("generation", id);
        let (log, recording) = match request.place {
            None => (AnswerLog::default(), None),
            Some(Place { store, answer }) => {
                let seq: MessageSeq = answer.seq;
                let log = AnswerLog::going_on(answer.text, answer.thinking, answer.tokens);
                let recording = Recording::new(store, seq, log.ends());
                (log, Some(recording))
            }
        };
        let answer = Arc::new(LiveAnswer::new(request.keep, log));
        let (_, follower) = answer.read();
        let starting = writing::start(
            self.clone(),
            writing::Start {
                question: request.question,
                permits: request.permits,
                memory: request.memory,
            },
        );
        let writing = Writing::new(self.clone(), answer, starting.boxed(), recording);
        let waits = request.urgency == Urgency::Now;
        let waited_for = waits.then(|| WaitedFor::new(self.clone()));
        self.inner.tasks.spawn(async move {
            writing.run(span).await;
            drop(waited_for);
        });
        follower
    }

    /// Stops all answers because the server ends, and is ready when they have ended.
    pub(crate) async fn shut_down(&self) {
        self.inner.shutdown.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// Cancelled when the server ends.
    pub(crate) fn shutdown(&self) -> CancellationToken {
        self.inner.shutdown.clone()
    }

    /// Ready when nobody has waited for an answer for this long.
    pub(crate) async fn idle_for(&self, time: Duration) {
        loop {
            let mut waited_for = self.inner.waited_for.subscribe();
            let lives = "the sender lives as long as the answers";
            waited_for.wait_for(|count| *count == 0).await.expect(lives);
            if tokio::time::timeout(time, self.busy()).await.is_err() {
                return;
            }
        }
    }

    /// Ready when somebody waits for an answer.
    pub(crate) async fn busy(&self) {
        let mut waited_for = self.inner.waited_for.subscribe();
        let somebody = waited_for.wait_for(|count| *count > 0).await;
        somebody.expect("the sender lives as long as the answers");
    }

    /// The backend that makes the next answer.
    pub(crate) fn backend(&self) -> Result<Arc<dyn Backend>, Failure> {
        let reason = match self.inner.slot.readiness() {
            Readiness::Loaded(backend) => return Ok(backend),
            Readiness::Loading(progress) => format!(
                "the model is still loading ({:.0} %); try again in a moment",
                progress * 100.0
            ),
            Readiness::Unreachable(_) => {
                "the engine that computes for this server cannot be reached; try again in a moment"
                    .into()
            }
        };
        Err(Failure::Busy { reason, position: 0, estimate_ms: None })
    }
}

/// Counts an answer for which somebody waits, as long as it lives.
struct WaitedFor(Answers);

impl WaitedFor {
    fn new(answers: Answers) -> WaitedFor {
        answers.inner.waited_for.send_modify(|count| *count += 1);
        WaitedFor(answers)
    }
}

impl Drop for WaitedFor {
    fn drop(&mut self) {
        self.0.inner.waited_for.send_modify(|count| *count -= 1);
    }
}
