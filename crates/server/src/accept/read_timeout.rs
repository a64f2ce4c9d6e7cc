//! Fails a read when a request's head, or the next request of a kept connection, takes too long.
//!
//! hyper has one timer for both, which starts when it begins to wait for a head. With it a kept
//! connection would be closed after the short time that a head may take, and clients that reuse
//! connections would find theirs closed. So hyper's timer is off, and both times are watched here:
//!
//! ```text
//! connect ── Head ──► Answering ──► Idle ── first byte ──► Head ──► …
//!            5 s      no timer      90 s                   5 s
//! ```

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Sleep;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It waits for the first head, or for the rest of a head.
    Head,
    /// A request is being answered. Its body and its response have limits of their own.
    Answering,
    /// It is kept open after a response, and no byte of a further request has come.
    Idle,
}

/// The phase of one connection: the service sets it, the reads look at it.
#[derive(Clone)]
pub(super) struct Phases {
    current: Arc<Mutex<Current>>,
}

struct Current {
    phase: Phase,
    /// Counts the changes, so that the timer of an earlier head is not used for this one.
    changes: u64,
    /// The task that waits for bytes without a timer. hyper asks for bytes once and is then woken
    /// by bytes only, so a phase that has a timer must wake it, or the timer would never start.
    waiting: Option<Waker>,
}

impl Phases {
    pub(super) fn new() -> Phases {
        let current = Current { phase: Phase::Head, changes: 0, waiting: None };
        Phases { current: Arc::new(Mutex::new(current)) }
    }

    /// A request's head is complete.
    pub(super) fn answering(&self) {
        self.change(Phase::Answering);
    }

    /// The last byte of the response has been handed to the network.
    pub(super) fn idle(&self) {
        self.change(Phase::Idle);
    }

    /// Whether the connection waits for a head or for the rest of one.
    pub(super) fn is_reading_a_head(&self) -> bool {
        self.now().0 == Phase::Head
    }

    /// Bytes have come.
    fn has_read(&self) {
        if self.now().0 == Phase::Idle {
            self.change(Phase::Head);
        }
    }

    fn change(&self, phase: Phase) {
        let mut current = self.lock();
        current.phase = phase;
        current.changes += 1;
        if let Some(waiting) = current.waiting.take() {
            waiting.wake();
        }
    }

    fn now(&self) -> (Phase, u64) {
        let current = self.lock();
        (current.phase, current.changes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadLimits {
    /// To send a head.
    pub(super) head: Duration,
    /// To send the first byte of the next request.
    pub(super) idle: Duration,
}

/// The clock of a connection's reads.
pub(super) struct ReadTimeout {
    phases: Phases,
    limits: ReadLimits,
    /// Runs while a read waits in a phase that has a limit; with the number of that phase.
    timer: Option<(u64, Pin<Box<Sleep>>)>,
}

impl ReadTimeout {
    pub(super) fn new(phases: Phases, limits: ReadLimits) -> ReadTimeout {
        ReadTimeout { phases, limits, timer: None }
    }

    /// Bytes have come.
    pub(super) fn has_read(&self) {
        self.phases.has_read();
    }

    /// A read waits: fails it with `TimedOut` when the limit of the phase has passed.
    pub(super) fn watch(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (phase, change) = self.phases.now();
        let limit = match phase {
            Phase::Head => self.limits.head,
            Phase::Idle => self.limits.idle,
            Phase::Answering => {
                self.timer = None;
                self.phases.lock().waiting = Some(context.waker().clone());
                return Poll::Pending;
            }
        };
        if self.timer.as_ref().is_none_or(|(of, _)| *of != change) {
            self.timer = Some((change, Box::pin(tokio::time::sleep(limit))));
        }
        let (_, timer) = self.timer.as_mut().expect("set above");
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accept::timed_io::TimedIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::time::{Instant, sleep};

    const LIMITS: ReadLimits =
        ReadLimits { head: Duration::from_secs(5), idle: Duration::from_secs(75) };
    const SECOND: Duration = Duration::from_secs(1);

    struct Connection {
        ours: TimedIo<DuplexStream>,
        theirs: DuplexStream,
        phases: Phases,
    }

    fn connection() -> Connection {
        let (ours, theirs) = tokio::io::duplex(64);
        let phases = Phases::new();
        let reads = ReadTimeout::new(phases.clone(), LIMITS);
        Connection { ours: TimedIo::new(ours, reads, 2 * LIMITS.idle), theirs, phases }
    }

    impl Connection {
        async fn sends(&mut self, bytes: &[u8]) {
            self.theirs.write_all(bytes).await.expect("an open connection");
        }

        async fn reads(&mut self, bytes: &[u8]) {
            self.sends(bytes).await;
            let mut read = vec![0; bytes.len()];
            self.ours.read_exact(&mut read).await.expect("in time");
        }

        /// How long a read waits before it fails.
        async fn gives_up_after(&mut self) -> Duration {
            let start = Instant::now();
            let error = self.ours.read_u8().await.expect_err("nothing comes");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            start.elapsed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_has_the_time_of_a_head() {
        assert_eq!(connection().gives_up_after().await, LIMITS.head);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_of_a_head_gain_it_no_time() {
        let mut connection = connection();
        for _ in 0..4 {
            let waits = tokio::time::timeout(SECOND, connection.ours.read_u8()).await;
            assert!(waits.is_err(), "nothing was sent");
            connection.reads(b"G").await;
        }
        assert_eq!(connection.gives_up_after().await, SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kept_connection_idles_longer_and_its_next_head_has_the_time_of_a_head() {
        let mut connection = connection();
        for _ in 0..3 {
            connection.reads(b"G").await;
            connection.phases.answering();
            // An answer may take longer than both; hyper looks for the end of the connection.
            let waits = tokio::time::timeout(2 * LIMITS.idle, connection.ours.read_u8()).await;
            assert!(waits.is_err(), "an answer has no limit here");
            connection.phases.idle();
            let waits = tokio::time::timeout(LIMITS.idle - SECOND, connection.ours.read_u8());
            assert!(waits.await.is_err(), "it is kept");
        }
        connection.reads(b"G").await;
        assert_eq!(connection.gives_up_after().await, LIMITS.head);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_began_with_an_answer_ends_with_the_time_of_an_idle_connection() {
        let mut connection = connection();
        connection.reads(b"G").await;
        connection.phases.answering();
        let (phases, start) = (connection.phases.clone(), Instant::now());
        tokio::spawn(async move {
            sleep(SECOND).await;
            phases.idle();
        });
        let error = connection.ours.read_u8().await.expect_err("nothing comes");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), SECOND + LIMITS.idle);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_ends_in_its_own_time() {
        let mut connection = connection();
        connection.reads(b"G").await;
        connection.phases.answering();
        sleep(SECOND).await;
        connection.phases.idle();
        assert_eq!(connection.gives_up_after().await, LIMITS.idle);
    }
}
