//! Answers while they are written.
//!
//! An answer is a text that only grows. A task of its own writes it: it owns the generation,
//! watches the clock and writes the log lines. A reader holds a [`Follower`], which is a
//! position in that text and no queue: fifty readers are fifty numbers, a slow reader reads more
//! at once, and the computation waits for no reader.
//!
//! - `request`: what is asked for.
//! - `log`: the text, and what else is known about the answer.
//! - `live`: an answer that others share, its followers, and its stop.
//! - `clock`: when to give up.
//! - `pace`: its times, for backends that do not measure them.
//! - `recording`: how a stored answer is kept.
//! - `table`: which there are, for administrators.
//! - `common`: what the answers of one server have in common.
//! - `writing`: the task.

mod clock;
mod common;
mod live;
mod log;
mod pace;
mod recording;
mod request;
mod table;
#[cfg(test)]
mod tests;
mod writing;

pub(crate) use clock::AnswerLimits;
pub(crate) use live::{Follower, Keep, LiveAnswer};
pub(crate) use log::{Begun, CallBegun, Ended, Interruption, Offsets, Update, Waiting};
pub(crate) use request::{AnswerRequest, Place, Question, Urgency};
pub(crate) use table::Listed;

use crate::backend::BackendSlot;
use crate::metrics::AnswerMetrics;
use crate::quotas::Quotas;
use banter_seam::{Backend, Failure};
use banter_store::MessageSeq;
use common::{Common, WaitedFor};
use futures_util::FutureExt;
use log::AnswerLog;
use recording::Recording;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::info_span;
use writing::Writing;

/// Starts answers. Clones start answers of the same server.
#[derive(Clone)]
pub(crate) struct Answers {
    common: Arc<Common>,
}

impl Answers {
    pub(crate) fn new(
        slot: BackendSlot,
        limits: AnswerLimits,
        quotas: Quotas,
        metrics: AnswerMetrics,
    ) -> Answers {
        Answers { common: Arc::new(Common::new(slot, limits, quotas, metrics)) }
    }

    /// Starts an answer, and returns its first follower, which reads from the end of what there is
    /// of the answer.
    pub(crate) fn start(&self, request: AnswerRequest) -> Follower {
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
        let entry = self.common.table.add(answer.clone(), request.share, request.urgency);
        let span = info_span!("generation", id = entry.id);
        let waits = request.urgency == Urgency::Now;
        let starting = writing::start(
            self.common.clone(),
            writing::Start {
                question: request.question,
                permits: request.permits,
                memory: request.memory,
                is_counted: waits,
            },
        );
        let metrics = waits.then(|| self.common.metrics.begin(entry.id, request.trace));
        let writing =
            Writing::new(self.common.clone(), answer, starting.boxed(), recording, metrics);
        let waited_for = waits.then(|| WaitedFor::new(self.common.clone()));
        self.common.tasks.spawn(async move {
            writing.run(span).await;
            drop((waited_for, entry));
        });
        follower
    }

    /// The answers that wait or are written, the oldest first.
    pub(crate) fn list(&self) -> Vec<Listed> {
        self.common.table.list()
    }

    /// Stops an answer by its number; false if there is none.
    pub(crate) fn stop(&self, id: u64) -> bool {
        self.common.table.stop(id)
    }

    /// Stops all answers because the server ends, and is ready when they have ended.
    pub(crate) async fn shut_down(&self) {
        self.common.shutdown.cancel();
        self.common.tasks.close();
        self.common.tasks.wait().await;
    }

    /// Cancelled when the server ends.
    pub(crate) fn shutdown(&self) -> CancellationToken {
        self.common.shutdown.clone()
    }

    /// Ready when nobody has waited for an answer for this long.
    pub(crate) async fn idle_for(&self, time: Duration) {
        self.common.idle_for(time).await;
    }

    /// Ready when somebody waits for an answer.
    pub(crate) async fn busy(&self) {
        self.common.busy().await;
    }

    /// The backend that makes the next answer.
    pub(crate) fn backend(&self) -> Result<Arc<dyn Backend>, Failure> {
        self.common.backend()
    }
}
