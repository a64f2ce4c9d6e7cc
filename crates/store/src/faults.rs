//! Places where tests let the store fail or its process die. Outside of tests they do nothing.

/// A place where something may break, named by what is about to happen or has just happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A group of calls is about to be committed.
    BeforeCommit,
    /// A group of calls is committed, its callers don't know it yet.
    AfterCommit,
    /// The write-ahead log is about to be emptied.
    Checkpoint,
    /// A statement of a migration is about to run.
    MigrateStatement,
    /// The writer's connection is about to be opened again.
    Reopen,
    /// A conversation's rows are deleted, their bytes may still be in the log.
    Deleted,
}

/// What is to happen at which places.
#[cfg(not(test))]
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(());

#[cfg(not(test))]
impl Faults {
    /// Passes a place.
    #[inline(always)]
    pub(crate) fn pass(&self, _fault: Fault) -> rusqlite::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(crate) use armed::{Action, Faults};

#[cfg(test)]
mod armed {
    use std::sync::{Arc, Mutex, PoisonError};

    use rusqlite::ffi;

    use super::Fault;

    /// What happens at a place.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Action {
        /// The process dies as if it were killed.
        Kill,
        /// SQLite's result is this code.
        Fail(i32),
    }

    #[derive(Debug)]
    struct Armed {
        fault: Fault,
        action: Action,
        passes_before: usize,
        times: usize,
    }

    /// What is to happen at which places.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Faults(Arc<Mutex<Vec<Armed>>>);

    impl Faults {
        /// Lets `action` happen at `fault`, `times` times, after it was passed `passes_before`
        /// times.
        pub(crate) fn arm(
            &self,
            fault: Fault,
            action: Action,
            (passes_before, times): (usize, usize),
        ) {
            let mut armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            armed.push(Armed { fault, action, passes_before, times });
        }

        /// How often armed actions have yet to happen.
        pub(crate) fn left(&self) -> usize {
            let armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            armed.iter().map(|armed| armed.times).sum()
        }

        /// Passes a place.
        pub(crate) fn pass(&self, fault: Fault) -> rusqlite::Result<()> {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(armed) = all.iter_mut().find(|armed| armed.fault == fault && armed.times > 0)
            else {
                return Ok(());
            };
            if armed.passes_before > 0 {
                armed.passes_before -= 1;
                return Ok(());
            }
            armed.times -= 1;
            match armed.action {
                Action::Kill => die(),
                Action::Fail(code) => {
                    Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
                }
            }
        }
    }

    fn die() -> ! {
        let us = rustix::process::getpid();
        let _ = rustix::process::kill_process(us, rustix::process::Signal::KILL);
        unreachable!("SIGKILL ends the process")
    }
}
