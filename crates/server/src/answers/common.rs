//! What the answers of one server have in common.

use super::clock::AnswerLimits;
use super::table::AnswerTable;
use crate::backend::{BackendSlot, Readiness};
use crate::log_throttle::LogThrottle;
use crate::metrics::AnswerMetrics;
use crate::quotas::Quotas;
use banter_seam::{Backend, Failure};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the answers of one server share.
pub(super) struct Common {
    pub(super) slot: BackendSlot,
    pub(super) limits: AnswerLimits,
    pub(super) quotas: Quotas,
    pub(super) metrics: AnswerMetrics,
    pub(super) tasks: TaskTracker,
    /// Cancelled when the server ends.
    pub(super) shutdown: CancellationToken,
    /// Answers for which somebody waits.
    waited_for: watch::Sender<usize>,
    pub(super) refusals_logged: LogThrottle,
    pub(super) table: Arc<AnswerTable>,
}

impl Common {
    pub(super) fn new(
        slot: BackendSlot,
        limits: AnswerLimits,
        quotas: Quotas,
        metrics: AnswerMetrics,
    ) -> Common {
        Common {
            slot,
            limits,
            quotas,
            metrics,
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            waited_for: watch::Sender::new(0),
            refusals_logged: LogThrottle::new(),
            table: Arc::default(),
        }
    }

    /// Ready when nobody has waited for an answer for this long.
    pub(super) async fn idle_for(&self, time: Duration) {
        loop {
            let mut waited_for = self.waited_for.subscribe();
            let lives = "the sender lives as long as the answers";
            waited_for.wait_for(|count| *count == 0).await.expect(lives);
            if tokio::time::timeout(time, self.busy()).await.is_err() {
                return;
            }
        }
    }

    /// Ready when somebody waits for an answer.
    pub(super) async fn busy(&self) {
        let mut waited_for = self.waited_for.subscribe();
        let somebody = waited_for.wait_for(|count| *count > 0).await;
        somebody.expect("the sender lives as long as the answers");
    }

    /// The backend that makes the next answer.
    pub(super) fn backend(&self) -> Result<Arc<dyn Backend>, Failure> {
        let reason = match self.slot.readiness() {
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
pub(super) struct WaitedFor(Arc<Common>);

impl WaitedFor {
    pub(super) fn new(common: Arc<Common>) -> WaitedFor {
        common.waited_for.send_modify(|count| *count += 1);
        WaitedFor(common)
    }
}

impl Drop for WaitedFor {
    fn drop(&mut self) {
        self.0.waited_for.send_modify(|count| *count -= 1);
    }
}
