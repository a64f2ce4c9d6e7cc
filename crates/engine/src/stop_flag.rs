//! A flag that asks a running generation to stop.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Asks one generation to stop; looked at between two layers of the forward pass.
///
/// Clones share the flag. Once raised it stays raised, and it knows since when, so that the end of
/// the generation can say how long the stop took.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<OnceLock<Instant>>);

impl StopFlag {
    /// A flag that is not raised.
    pub fn new() -> StopFlag {
        StopFlag::default()
    }

    /// Asks the generation to stop; only the first call counts.
    pub fn raise(&self) {
        self.0.get_or_init(Instant::now);
    }

    /// Whether anyone asked.
    pub fn is_raised(&self) -> bool {
        self.0.get().is_some()
    }

    /// When it was first asked, if it was.
    pub fn raised_at(&self) -> Option<Instant> {
        self.0.get().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_raise_sets_the_time() {
        let flag = StopFlag::new();
        let clone = flag.clone();
        assert!(!flag.is_raised());
        clone.raise();
        let first = flag.raised_at();
        flag.raise();
        assert!(first.is_some());
        assert_eq!(flag.raised_at(), first);
    }
}
