//! A flag that asks a running generation to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks one generation to stop; looked at between two layers of the forward pass.
///
/// Clones share the flag. Once raised it stays raised.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// A flag that is not raised.
    pub fn new() -> StopFlag {
        StopFlag::default()
    }

    /// Asks the generation to stop.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether anyone asked.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
