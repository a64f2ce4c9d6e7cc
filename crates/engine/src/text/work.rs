//! How much the code in this folder has worked on this thread. Tests use it to see that the work
//! grows with the text and not with its square, which a clock could not say for certain.

use std::cell::Cell;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Bytes of text that were turned into tokens.
    pub(super) encoded_bytes: usize,
    /// How often a character was looked at while a text was cut into pieces.
    pub(super) looks: usize,
}

thread_local! {
    static WORK: Cell<Work> = const { Cell::new(Work { encoded_bytes: 0, looks: 0 }) };
}

/// What `task` does.
pub(super) fn of(task: impl FnOnce()) -> Work {
    WORK.set(Work::default());
    task();
    WORK.get()
}

pub(super) fn count_encoded(bytes: usize) {
    let work = WORK.get();
    WORK.set(Work { encoded_bytes: work.encoded_bytes + bytes, ..work });
}

pub(super) fn count_look() {
    let work = WORK.get();
    WORK.set(Work { looks: work.looks + 1, ..work });
}
