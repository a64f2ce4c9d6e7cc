//! A flag that asks a running generation to stop.

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::sync::AtomicU64;

/// Asks one generation to stop. It is read between two layers of the forward pass, and inside them
/// if the step computes that generation alone.
///
/// Clones share the flag. Once raised it stays raised. It knows when it was raised, so that the end
/// of the generation can say how long the stop took.
#[derive(Clone, Debug, Default)]
pub struct StopFlag {
    own: Arc<RaisedAt>,
    above: Option<Arc<RaisedAt>>,
}

/// Nanoseconds since [`BEGINNING`]; 0 until it is raised.
#[derive(Debug, Default)]
struct RaisedAt(AtomicU64);

/// Before any flag was raised.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

impl RaisedAt {
    fn raise(&self) {
        let beginning = *BEGINNING;
        let now = u64::try_from(beginning.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // It succeeds for the first call only.
        let _ = self.0.compare_exchange(0, now.max(1), Ordering::AcqRel, Ordering::Acquire);
    }

    fn get(&self) -> Option<Instant> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            nanoseconds => Some(*BEGINNING + Duration::from_nanos(nanoseconds)),
        }
    }
}

impl StopFlag {
    /// A flag that is not raised.
    pub fn new() -> StopFlag {
        StopFlag::default()
    }

    /// A flag of its own that also counts as raised when this one is.
    ///
    /// Panics if this one is itself below another: there are two levels, all and one.
    pub fn below(&self) -> StopFlag {
        assert!(self.above.is_none(), "flags have two levels");
        StopFlag { own: Arc::default(), above: Some(self.own.clone()) }
    }

    /// Asks the generation to stop; only the first call counts.
    pub fn raise(&self) {
        self.own.raise();
    }

    /// Whether anyone asked.
    pub fn is_raised(&self) -> bool {
        self.own.get().is_some() || self.above.as_ref().is_some_and(|above| above.get().is_some())
    }

    /// When it was first asked, if it was.
    pub fn raised_at(&self) -> Option<Instant> {
        let above = self.above.as_ref().and_then(|above| above.get());
        self.own.get().into_iter().chain(above).min()
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

    #[test]
    fn a_flag_counts_as_raised_with_the_one_above_it_and_not_the_other_way_round() {
        let all = StopFlag::new();
        let (first, second) = (all.below(), all.below());
        first.raise();
        assert!(first.is_raised() && !second.is_raised() && !all.is_raised());
        let raised_first = first.raised_at();
        all.raise();
        assert!(second.is_raised());
        assert_eq!(second.raised_at(), all.raised_at());
        assert_eq!(first.raised_at(), raised_first);
    }
}
