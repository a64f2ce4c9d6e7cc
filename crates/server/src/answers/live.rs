//! An answer that is being written, and those who read along.

use super::log::{AnswerLog, Ended, Glance, Interruption, Offsets, Position, Update};
use banter_store::{Ends, Growth};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long an answer goes on when nobody follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// For this long. Whoever follows it within that time lets it go on.
    For(Duration),
    /// To its end.
    ToTheEnd,
}

impl Keep {
    /// Not at all.
    pub(crate) const WHILE_FOLLOWED: Keep = Keep::For(Duration::ZERO);
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
    pub(super) fn new(keep: Keep, log: AnswerLog) -> LiveAnswer {
        LiveAnswer {
            keep,
            log: Mutex::new(log),
            changes: watch::Sender::new(()),
            followers: watch::Sender::new(0),
            stop: CancellationToken::new(),
        }
    }

    /// Asks the computation to halt. The answer ends when it has.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// A follower that reads on from these offsets; `None` if no character begins there.
    pub(crate) fn follow(self: &Arc<Self>, offsets: Offsets) -> Option<Follower> {
        let position = self.log().position_at(offsets)?;
        Some(Follower::new(self.clone(), position))
    }

    /// The texts so far, and a follower that reads on from there: the answer, and the thoughts
    /// before it.
    pub(crate) fn read(self: &Arc<Self>) -> ((String, String), Follower) {
        let log = self.log();
        let (text, thinking) = log.texts();
        let texts = (text.to_owned(), thinking.to_owned());
        let position = log.position_at(log.offsets()).expect("texts end between characters");
        drop(log);
        (texts, Follower::new(self.clone(), position))
    }

    /// The answer so far.
    pub(crate) fn text(&self) -> String {
        self.log().texts().0.to_owned()
    }

    /// Ready when the computation has halted. Waiting for this is not following the answer.
    pub(crate) async fn halted(&self) {
        let mut changes = self.changes.subscribe();
        while !self.log().has_halted() {
            changes.changed().await.expect("the sender lives as long as the answer");
        }
    }

    /// Ready when nothing more is stored of the answer.
    pub(crate) async fn settled(&self) {
        let mut changes = self.changes.subscribe();
        while !self.log().is_settled() {
            changes.changed().await.expect("the sender lives as long as the answer");
        }
    }

    /// How it ended, once it has.
    pub(crate) fn ended(&self) -> Option<Ended> {
        self.log().ended().cloned()
    }

    /// The ends of the texts so far.
    pub(crate) fn offsets(&self) -> Offsets {
        self.log().offsets()
    }

    /// How far it has come.
    pub(super) fn glance(&self) -> Glance {
        self.log().glance()
    }

    /// Whether somebody has asked for the halt.
    pub(super) fn is_stop_asked(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Bytes of everything that was written so far.
    pub(super) fn bytes(&self) -> usize {
        self.log().bytes()
    }

    /// Ready when somebody has asked for the halt.
    pub(super) async fn stop_asked(&self) {
        self.stop.cancelled().await;
    }

    /// Ready when nobody needs the answer any more.
    pub(super) async fn abandoned(&self) -> Interruption {
        let Keep::For(grace) = self.keep else { return std::future::pending().await };
        let mut followers = self.followers.subscribe();
        let lives = "the sender lives as long as the answer";
        loop {
            followers.wait_for(|count| *count == 0).await.expect(lives);
            let somebody_comes = followers.wait_for(|count| *count > 0);
            if tokio::time::timeout(grace, somebody_comes).await.is_err() {
                return Interruption::Disconnected;
            }
        }
    }

    /// Changes the log, and wakes those who follow.
    pub(super) fn write(&self, change: impl FnOnce(&mut AnswerLog)) {
        change(&mut self.log());
        self.changes.send_replace(());
    }

    /// The ends of the texts and the tokens so far.
    pub(super) fn ends(&self) -> Ends {
        self.log().ends()
    }

    /// What the answer has grown by since it had these ends.
    pub(super) fn growth_since(&self, ends: Ends) -> Growth {
        self.log().growth_since(ends)
    }

    fn log(&self) -> MutexGuard<'_, AnswerLog> {
        self.log.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Follower {
    fn new(answer: Arc<LiveAnswer>, position: Position) -> Follower {
        answer.followers.send_modify(|count| *count += 1);
        let changes = answer.changes.subscribe();
        Follower { answer, changes, position }
    }

    /// The answer that it follows.
    pub(crate) fn answer(&self) -> &Arc<LiveAnswer> {
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
