//! Signs of life of a thread, for others to look at.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::sync::AtomicU64;

/// When a thread moved last. Clones are the same pulse.
#[derive(Clone, Debug)]
pub struct Pulse {
    started_at: Instant,
    last_beat_ms: Arc<AtomicU64>,
}

impl Pulse {
    /// The pulse of a thread that moves now.
    pub fn new(now: Instant) -> Pulse {
        Pulse { started_at: now, last_beat_ms: Arc::new(AtomicU64::new(0)) }
    }

    /// The thread moves.
    pub fn beat(&self, now: Instant) {
        self.last_beat_ms.store(self.since_start_ms(now), Ordering::Release);
    }

    /// For how long it has not moved.
    pub fn silent_for(&self, now: Instant) -> Duration {
        let last_beat_ms = self.last_beat_ms.load(Ordering::Acquire);
        Duration::from_millis(self.since_start_ms(now).saturating_sub(last_beat_ms))
    }

    fn since_start_ms(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.started_at);
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse::new(Instant::now())
    }
}
