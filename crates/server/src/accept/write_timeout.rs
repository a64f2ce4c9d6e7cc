//! Fails a write that has made no progress for a while.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// The clock of a connection's writes. Any progress starts it anew, so a slow reader is not cut
/// off.
pub(super) struct WriteTimeout {
    timeout: Duration,
    /// Runs while the network takes nothing.
    blocked: Option<Pin<Box<Sleep>>>,
}

impl WriteTimeout {
    pub(super) fn new(timeout: Duration) -> WriteTimeout {
        WriteTimeout { timeout, blocked: None }
    }

    /// The outcome of a write; `TimedOut` instead of `Pending` when the network has taken nothing
    /// for the whole timeout.
    pub(super) fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.blocked = None;
            return written;
        }
        let deadline = Instant::now() + self.timeout;
        let blocked =
            self.blocked.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        match blocked.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accept::read_timeout::{Phases, ReadLimits, ReadTimeout};
    use crate::accept::timed_io::TimedIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let timeout = Duration::from_secs(40);
        let (ours, mut theirs) = tokio::io::duplex(64);
        let reads = ReadTimeout::new(Phases::new(), ReadLimits { head: timeout, idle: timeout });
        let mut io = TimedIo::new(ours, reads, timeout);
        io.write_all(&[0; 64]).await.expect("fits the buffer");
        let slow = async {
            tokio::time::sleep(timeout - Duration::from_secs(1)).await;
            theirs.read_exact(&mut [0; 1]).await.expect("one byte");
            tokio::time::sleep(timeout - Duration::from_secs(1)).await;
            theirs.read_exact(&mut [0; 1]).await.expect("another");
        };
        let (written, ()) = tokio::join!(io.write_all(&[0; 2]), slow);
        written.expect("progress before each timeout");
        let stalled = io.write_all(&[0; 1]).await.expect_err("nobody reads");
        assert_eq!(stalled.kind(), io::ErrorKind::TimedOut);
    }
}
