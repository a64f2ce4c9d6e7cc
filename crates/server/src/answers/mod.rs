//! Answers while they are written.
//!
//! An answer is a text that only grows. A task of its own writes it: it owns the generation,
//! watches the clock and writes the log lines. Whoever wants to read along holds a [`Follower`],
//! which is a position in that text and no queue: fifty readers are fifty numbers, a slow reader
//! reads more at once, and nobody waits for anybody.
//!
//! - `log`: the text, and what else is known about the answer.
//! - `live`: an answer that others share, its followers, and its stop.
//! - `clock`: when to give up.
//! - `writing`: the task.

mod clock;
mod live;
mod log;
#[cfg(test)]
mod tests;
mod writing;

pub(crate) use live::{Follower, Keep, LiveAnswer};
pub(crate) use log::Update;

use crate::backend::{BackendSlot, Readiness};
use crate::log_throttle::LogThrottle;
use crate::shares::Reservation;
use banter_seam::{Backend, Failure, GenerateRequest};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
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
    /// What the backend is asked.
    pub(crate) request: GenerateRequest,
    /// Permits of which the answer needs one until it has ended.
    pub(crate) permits: Option<Arc<Semaphore>>,
    /// The memory of the request. It goes back when the backend has taken the request.
    pub(crate) memory: Reservation,
}

impl Answers {
    pub(crate) fn new(slot: BackendSlot, limits: AnswerLimits) -> Answers {
        let inner = Inner {
            slot,
            limits,
            tasks: TaskTracker::new(),
            refusals_logged: LogThrottle::new(),
            count: AtomicU64::new(0),
        };
        Answers { inner: Arc::new(inner) }
    }

    /// Starts an answer, and returns its first follower.
    pub(crate) fn start(&self, request: AnswerRequest, keep: Keep) -> Follower {
        let id = self.inner.count.fetch_add(1, Ordering::Relaxed) + 1;
        let span = info_span!("generation", id, messages = request.request.messages.len());
        let answer = Arc::new(LiveAnswer::new(keep));
        let follower = Follower::at_the_beginning(answer.clone());
        let writing = Writing::new(self.clone(), answer, request, span);
        self.inner.tasks.spawn(writing.run());
        follower
    }

    /// Ready when no answer is being written any more. Whoever calls this sees to it that they all
    /// end.
    pub(crate) async fn all_ended(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// The backend that makes the next answer.
    fn backend(&self) -> Result<Arc<dyn Backend>, Failure> {
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
