//! Throttles log lines that a client can trigger.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Lines of one kind per window.
const LINES: u32 = 4;
const WINDOW: Duration = Duration::from_secs(60);

/// Lets a few lines of one kind through per minute, and counts the others.
pub(crate) struct LogThrottle {
    state: Mutex<State>,
}

struct State {
    window_start: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

impl LogThrottle {
    pub(crate) const fn new() -> LogThrottle {
        LogThrottle { state: Mutex::new(State { window_start: None, lines: 0, suppressed: 0 }) }
    }

    /// Whether a line may be written now. If so, it returns how many lines were suppressed before
    /// it.
    pub(crate) fn admit(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let now = Instant::now();
        if state.window_start.is_none_or(|start| now.duration_since(start) >= WINDOW) {
            state.window_start = Some(now);
            state.lines = 0;
        }
        if state.lines == LINES {
            state.suppressed += 1;
            return None;
        }
        state.lines += 1;
        Some(std::mem::take(&mut state.suppressed))
    }
}

/// Lets one line through in the life of the process.
#[derive(Default)]
pub(crate) struct LogOnce {
    is_written: AtomicBool,
}

impl LogOnce {
    /// Whether the line is to be written now.
    pub(crate) fn is_first(&self) -> bool {
        !self.is_written.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_a_few_lines_per_window_and_a_count() {
        let gate = LogThrottle::new();
        let admitted = (0..1_000).filter(|_| gate.admit().is_some()).count();
        assert_eq!(admitted, LINES as usize);
        tokio::time::advance(WINDOW).await;
        assert_eq!(gate.admit(), Some(1_000 - u64::from(LINES)));
        assert_eq!(gate.admit(), Some(0));
    }
}
