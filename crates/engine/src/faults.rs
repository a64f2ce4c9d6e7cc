//! Places where tests let the engine's thread break on purpose; outside of tests passing them does nothing.

/// A place where something may break: what was just done, or is about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A request was put into the books, its answer was not.
    Submit,
    /// Blocks are fetched or saved.
    Keep,
    /// A block that came from disk is taken in.
    TakeLoaded,
    /// A sequence that was stopped or waited too long ends.
    End,
    /// A sequence was taken from those who wait and has some blocks, but does not run yet.
    Admit,
    /// A sequence takes over what others have computed.
    CatchUp,
    /// A sequence gives up its blocks.
    GiveUp,
    /// An answer guesses.
    Guess,
    /// Rows are handed out.
    Plan,
    /// Some answers' forms are away, others' are not.
    BeginMasks,
    /// What was found of forms is there, and not given back yet.
    EndMasks,
    /// Text is delivered.
    Deliver,
    /// A span's tokens are in the books, its blocks are not.
    Settle,
    /// A node of the cache is leased, and nobody knows by whom.
    Lease,
    /// Blocks are on their way back.
    Release,
}

#[cfg(test)]
thread_local! {
    static ARMED: std::cell::Cell<Option<(Fault, usize)>> = const { std::cell::Cell::new(None) };
}

/// Lets this thread break when it has passed a place so many times; once.
#[cfg(test)]
pub(crate) fn break_at(fault: Fault, after: usize) {
    ARMED.set(Some((fault, after)));
}

/// Whether it has broken since; from now on it does not break any more.
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
