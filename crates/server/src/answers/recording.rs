//! Keeps a stored answer while it is written.
//!
//! A delta is kept in memory that outlives the process before anybody sees it, and is made durable
//! a moment later: so a killed server loses nothing that somebody has seen, and a power cut loses a
//! quarter of a second. If the store cannot write, the answer goes on without it, and what is
//! missing is written as soon as that is possible again.

use super::live::LiveAnswer;
use super::log::{Ended, Interruption};
use banter_seam::{EndReason, FinishReason};
use banter_store::{
    AnswerError, Ending, Ends, Growth, MessageSeq, Reason, Reply, State, Store, StoreError,
    Timings, Usage,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Text becomes durable after this time at the latest, beside the time that the disk takes.
const SAVE_INTERVAL: Duration = Duration::from_millis(200);
/// If too many answers are being kept at this moment, it is tried again after this time.
const BUSY_PAUSE: Duration = Duration::from_millis(2);
/// If an end could not be stored, it is tried again after this time.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// What is stored of an answer.
pub(super) struct Recording {
    store: Arc<Store>,
    answer: MessageSeq,
    /// How much of the answer is durable.
    durable: Ends,
    /// How much of the answer outlives the process.
    kept: Ends,
    /// The part that is being made durable.
    saving: Option<Reply<Ends>>,
    /// When the next part is due.
    due: Option<Instant>,
    /// The store has failed, and the log says so.
    has_failed: bool,
}

impl Recording {
    pub(super) fn new(store: Arc<Store>, answer: MessageSeq, stored: Ends) -> Recording {
        let (durable, kept) = (stored, stored);
        Recording { store, answer, durable, kept, saving: None, due: None, has_failed: false }
    }

    /// The longest answer that can be stored, in bytes.
    pub(super) fn max_bytes(&self) -> usize {
        self.store.limits().answer_bytes
    }

    /// Keeps a part of the answer that nobody has seen yet.
    pub(super) async fn keep(&mut self, text: &str, thinking: &str, tokens: &[u32]) {
        let growth = Growth {
            at: self.kept,
            text: text.to_owned(),
            thinking: thinking.to_owned(),
            tokens: tokens.to_vec(),
        };
        self.kept = growth.ends();
        let mut kept = self.store.append_live(self.answer, growth.clone()).await;
        while kept == Err(StoreError::Busy) {
            tokio::time::sleep(BUSY_PAUSE).await;
            kept = self.store.append_live(self.answer, growth.clone()).await;
        }
        self.note(kept.err());
        self.due.get_or_insert_with(|| Instant::now() + SAVE_INTERVAL);
    }

    /// Makes durable what is due. Never ready; the future may be dropped at any time.
    pub(super) async fn go_on(&mut self, answer: &LiveAnswer) {
        loop {
            if let Some(saving) = &mut self.saving {
                let saved = saving.await;
                self.saving = None;
                match saved {
                    Ok(ends) => self.durable = ends,
                    Err(error) => self.note(Some(error)),
                }
                // What has come since then, or what could not be written.
                if self.durable != answer.ends() {
                    self.due = Some(Instant::now() + SAVE_INTERVAL);
                }
                continue;
            }
            match self.due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
            self.due = None;
            let growth = answer.growth_since(self.durable);
            self.saving = Some(self.store.save_progress(self.answer, growth));
        }
    }

    /// Stores the end of the answer. Returns it if that fails and is worth trying again.
    pub(super) async fn finish(
        mut self,
        answer: &LiveAnswer,
        ended: &Ended,
    ) -> Option<UnstoredEnd> {
        let mut ending = ending(ended, answer.growth_since(self.durable));
        if let Some(error) = &mut ending.error {
            let most = self.store.limits().error_bytes;
            error.message.truncate(error.message.floor_char_boundary(most));
        }
        match self.store.finish_answer(self.answer, ending.clone()).await {
            Ok(_) => None,
            Err(error) if is_worth_trying_again(&error) => {
                self.note(Some(error));
                Some(UnstoredEnd { store: self.store, answer: self.answer, ending })
            }
            Err(error) => {
                self.note(Some(error));
                // An answer that is stored as running would be waited for until the server ends.
                let bare = Ending { rest: Growth::default(), ..ending };
                self.note(self.store.finish_answer(self.answer, bare).await.err());
                None
            }
        }
    }

    /// Logs the first failure of the store.
    fn note(&mut self, error: Option<StoreError>) {
        if let Some(error) = error
            && !std::mem::replace(&mut self.has_failed, true)
        {
            warn!(%error, "an answer could not be stored; it goes on, and is stored later if possible");
        }
    }
}

/// The end of an answer that could not be stored.
pub(super) struct UnstoredEnd {
    store: Arc<Store>,
    answer: MessageSeq,
    ending: Ending,
}

impl UnstoredEnd {
    /// Tries until it is stored, or the answer is gone; when the server ends, once more.
    pub(super) async fn store(self, shutdown: &CancellationToken) {
        loop {
            let is_last = tokio::time::timeout(RETRY_INTERVAL, shutdown.cancelled()).await.is_ok();
            let finished = self.store.finish_answer(self.answer, self.ending.clone()).await;
            match finished {
                Err(error) if is_worth_trying_again(&error) && !is_last => {}
                _ => return,
            }
        }
    }
}

fn is_worth_trying_again(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Busy | StoreError::Full | StoreError::Timeout | StoreError::Failed { .. }
    )
}

/// The end of an answer as it is stored.
fn ending(ended: &Ended, rest: Growth) -> Ending {
    let (usage, timings) = (ended.finished.usage, ended.finished.timings);
    let (state, reason) = state_of(ended);
    let error = match &ended.finished.reason {
        FinishReason::Failed(failure) => {
            Some(AnswerError { code: failure.code().into(), message: failure.to_string() })
        }
        FinishReason::Ended(_) => None,
    };
    let count = |tokens: Option<usize>| tokens.map(|tokens| tokens as u64);
    Ending {
        rest,
        state,
        reason,
        error,
        usage: Some(Usage {
            prompt_tokens: count(usage.prompt_tokens),
            cached_tokens: count(usage.cached_tokens),
            completion_tokens: count(usage.completion_tokens),
        }),
        timings: Some(Timings {
            first_token_ms: timings.first_token_ms.map(f64::from),
            tokens_per_second: timings.tokens_per_second.map(f64::from),
            halt_ms: timings.halt_ms.map(f64::from),
        }),
        seed: ended.seed,
    }
}

/// The state and the reason of an answer that has ended.
fn state_of(ended: &Ended) -> (State, Reason) {
    let reason = match (&ended.finished.reason, ended.interruption) {
        (FinishReason::Failed(_), _) => return (State::Failed, Reason::Failed),
        (FinishReason::Ended(reason), interruption) => (*reason, interruption),
    };
    match reason {
        (EndReason::Stopped, Some(Interruption::Disconnected)) => {
            (State::Interrupted, Reason::Disconnected)
        }
        (EndReason::Stopped, Some(Interruption::Shutdown)) => {
            (State::Interrupted, Reason::Shutdown)
        }
        (EndReason::Stopped, None) => (State::Stopped, Reason::Stopped),
        (EndReason::End, _) => (State::Complete, Reason::End),
        (EndReason::StopString, _) => (State::Complete, Reason::StopString),
        (EndReason::Length, _) => (State::Length, Reason::Length),
        (EndReason::Filtered, _) => (State::Failed, Reason::Filtered),
        (EndReason::Unavailable, _) => (State::Failed, Reason::Unavailable),
    }
}
