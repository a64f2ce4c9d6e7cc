//! Places where tests let the engine's thread panic on purpose. Outside of tests they do nothing.

/// A place where something may break, named by what was just done or is about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The scheduler has a request, its answer is not kept yet.
    Submit,
    /// Blocks are exchanged with the disk.
    SyncDisk,
    /// A block that came from disk is taken in.
    TakeLoaded,
    /// A sequence that was stopped or waited too long ends.
    End,
    /// A sequence no longer waits and has some blocks, but does not run yet.
    Admit,
    /// A sequence adopts what others have computed.
    CatchUp,
    /// A sequence is preempted.
    Preempt,
    /// An answer guesses.
    Guess,
    /// Rows are handed out.
    Plan,
    /// Some answers' guides are with the mask thread, others' are not.
    BeginMasks,
    /// Masks are found, and not all answers have theirs yet.
    EndMasks,
    /// Text is delivered.
    Deliver,
    /// A span's tokens are settled, its blocks are not.
    Settle,
    /// A node of the cache counts a lease that does not have it yet.
    Lease,
    /// Some blocks of a lease are released, others are not.
    Release,
}

#[cfg(test)]
thread_local! {
    static ARMED: std::cell::Cell<Option<(Fault, usize)>> = const { std::cell::Cell::new(None) };
}

/// Lets this thread panic, once, when it has passed a place this many times.
#[cfg(test)]
pub(crate) fn break_at(fault: Fault, after: usize) {
    ARMED.set(Some((fault, after)));
}

/// Whether it has panicked since. From now on it does not any more.
#[cfg(test)]
pub(crate) fn has_broken() -> bool {
    ARMED.take().is_none()
}

/// Passes a place.
#[cfg(test)]
pub(crate) fn pass(fault: Fault) {
    match ARMED.get() {
        Some((armed, 0)) if armed == fault => {
            ARMED.set(None);
            panic!("broken on purpose at {fault:?}");
        }
        Some((armed, left)) if armed == fault => ARMED.set(Some((armed, left - 1))),
        _ => {}
    }
}

/// Passes a place.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn pass(_fault: Fault) {}
