//! An answer that is being written, and those who read along.

use super::log::{AnswerLog, Position, Update};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long an answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// As long as somebody follows it.
    WhileFollowed,
}

/// An answer that is being written. The task that writes it and its followers share it.
pub(crate) struct LiveAnswer {
    keep: Keep,
    log: Mutex<AnswerLog>,
    /// Changes with the log.
    changes: watch::Sender<()>,
    /// How many follow it.
    followers: watch::Sender<usize>,
    stop: CancellationToken,
}

/// Somebody who reads an answer: a position in it. Dropping it ends the reading.
pub(crate) struct Follower {
    answer: Arc<LiveAnswer>,
    changes: watch::Receiver<()>,
    position: Position,
}

impl LiveAnswer {
    pub(super) fn new(keep: Keep) -> LiveAnswer {
        LiveAnswer {
            keep,
            log: Mutex::default(),
            changes: watch::Sender::new(()),
            followers: watch::Sender::new(0),
            stop: CancellationToken::new(),
        }
    }

    /// Asks the computation to halt. The answer ends when it has.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Ready when somebody has asked for the halt.
    pub(super) async fn stop_asked(&self) {
        self.stop.cancelled().await;
    }

    /// Ready when nobody needs the answer any more.
    pub(super) async fn abandoned(&self) {
        match self.keep {
            Keep::WhileFollowed => {
                let mut followers = self.followers.subscribe();
                let nobody = followers.wait_for(|count| *count == 0).await;
                nobody.expect("the sender lives as long as the answer");
            }
        }
    }

    /// Changes the log, and wakes those who follow.
    pub(super) fn write(&self, change: impl FnOnce(&mut AnswerLog)) {
        change(&mut self.log());
        self.changes.send_replace(());
    }

    /// How long the answer is so far, with the thoughts before it.
    pub(super) fn bytes(&self) -> usize {
        self.log().bytes()
    }

    fn log(&self) -> MutexGuard<'_, AnswerLog> {
        self.log.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Follower {
    /// A follower that reads the answer from its first byte on.
    pub(super) fn at_the_beginning(answer: Arc<LiveAnswer>) -> Follower {
        answer.followers.send_modify(|count| *count += 1);
        let changes = answer.changes.subscribe();
        Follower { answer, changes, position: Position::default() }
    }

    /// The answer that it follows.
    pub(crate) fn answer(&self) -> &LiveAnswer {
        &self.answer
    }

    /// Waits for what comes next, and moves behind it. Never ready after [`Update::Halted`].
    ///
    /// The future may be dropped at any time; nothing is lost.
    pub(crate) async fn next(&mut self) -> Update {
        loop {
            // Before the log is looked at: a change after the look is noticed below.
            self.changes.mark_unchanged();
            if let Some(update) = self.answer.log().after(&mut self.position) {
                return update;
            }
            self.changes.changed().await.expect("the sender lives as long as the answer");
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.answer.followers.send_modify(|count| *count -= 1);
    }
}
