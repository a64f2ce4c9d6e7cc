//! The threads that read.
//!
//! Each call reads in one transaction, so it sees one state of the store, and ends it at once: a
//! long one would keep the write-ahead log from being emptied.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flume::Receiver;
use rusqlite::Connection;

use crate::StoreError;
use crate::config::Limits;
use crate::reply::ReplySender;

/// SQLite asks after this many of its operations whether a read has taken too long: about 1 ms.
const OPERATIONS_BETWEEN_CHECKS: i32 = 20_000;

/// What a call works with while it reads.
pub(crate) struct Reading<'a> {
    pub connection: &'a Connection,
    pub limits: &'a Limits,
    /// When it has taken too long.
    deadline: Option<Instant>,
}

impl Reading<'_> {
    /// Fails if the call has taken too long. SQLite asks that only while it works itself.
    pub(crate) fn check_time(&self) -> Result<(), StoreError> {
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(StoreError::Timeout),
            _ => Ok(()),
        }
    }
}

/// A call that reads.
pub(crate) trait ReadJob: Send {
    fn run_until(
        self: Box<Self>,
        connection: &Connection,
        limits: &Limits,
        deadline: Option<Instant>,
    );

    /// Runs with as much time as it needs.
    fn run_and_reply(self: Box<Self>, connection: &Connection, limits: &Limits) {
        self.run_until(connection, limits, None);
    }

    fn fail(self: Box<Self>, error: StoreError);

    /// Whether the call has as much time as it needs.
    fn is_unhurried(&self) -> bool;
}

/// How a call reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadMode {
    /// In one transaction, which is interrupted when it takes too long.
    Snapshot,
    /// The call does as it likes, and takes its time.
    Unhurried,
}

/// A [`ReadJob`] made of a function.
pub(crate) struct ReadCall<T, F> {
    pub work: F,
    pub mode: ReadMode,
    pub reply: ReplySender<T>,
}

impl<T, F> ReadJob for ReadCall<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Reading<'_>) -> Result<T, StoreError> + Send,
{
    fn run_until(
        self: Box<Self>,
        connection: &Connection,
        limits: &Limits,
        deadline: Option<Instant>,
    ) {
        let Self { work, mode, reply } = *self;
        let reading = Reading { connection, limits, deadline };
        let run = AssertUnwindSafe(|| match mode {
            ReadMode::Snapshot => in_transaction(&reading, work),
            ReadMode::Unhurried => work(&reading),
        });
        let result = catch_unwind(run)
            .unwrap_or_else(|_| Err(StoreError::Internal { reason: "a call panicked".into() }));
        // A call that failed or panicked may have left its transaction open.
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
        let _ = reply.send(result);
    }

    fn fail(self: Box<Self>, error: StoreError) {
        let _ = self.reply.send(Err(error));
    }

    fn is_unhurried(&self) -> bool {
        self.mode == ReadMode::Unhurried
    }
}

fn in_transaction<T>(
    reading: &Reading<'_>,
    work: impl FnOnce(&Reading<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    reading.connection.execute_batch("BEGIN")?;
    let result = work(reading)?;
    reading.connection.execute_batch("COMMIT")?;
    Ok(result)
}

/// Owns a connection that reads.
pub(crate) struct Reader {
    connection: Connection,
    limits: Arc<Limits>,
    timeout: Duration,
    /// When the read that runs has taken too long, in milliseconds since `started`; 0 is never.
    deadline_ms: Arc<AtomicU64>,
    started: Instant,
}

impl Reader {
    pub(crate) fn new(
        mut connection: Connection,
        limits: Arc<Limits>,
        timeout: Duration,
    ) -> rusqlite::Result<Self> {
        let (deadline_ms, started) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let deadline = Arc::clone(&deadline_ms);
        let is_late = move || match deadline.load(Ordering::Relaxed) {
            0 => false,
            deadline => started.elapsed().as_millis() as u64 >= deadline,
        };
        connection.progress_handler(OPERATIONS_BETWEEN_CHECKS, Some(is_late))?;
        Ok(Self { connection, limits, timeout, deadline_ms, started })
    }

    /// Works until all senders of `jobs` are gone.
    pub(crate) fn run(self, jobs: Receiver<Box<dyn ReadJob>>) {
        for job in jobs {
            let (deadline, deadline_ms) = match job.is_unhurried() {
                true => (None, 0),
                false => (
                    Instant::now().checked_add(self.timeout),
                    (self.started.elapsed() + self.timeout).as_millis() as u64,
                ),
            };
            self.deadline_ms.store(deadline_ms, Ordering::Relaxed);
            job.run_until(&self.connection, &self.limits, deadline);
        }
    }
}
