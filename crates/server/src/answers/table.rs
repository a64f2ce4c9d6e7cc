//! The answers that wait or are written, for administrators.

use super::live::LiveAnswer;
use super::log::Glance;
use super::request::Urgency;
use banter_seam::ShareId;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// All of them, by number.
#[derive(Default)]
pub(super) struct AnswerTable {
    count: AtomicU64,
    rows: Mutex<BTreeMap<u64, Row>>,
}

struct Row {
    answer: Arc<LiveAnswer>,
    share: ShareId,
    urgency: Urgency,
    asked: Instant,
}

/// An answer as an administrator sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listed {
    pub(crate) id: u64,
    pub(crate) share: ShareId,
    pub(crate) urgency: Urgency,
    pub(crate) age: Duration,
    pub(crate) is_stopped: bool,
    pub(crate) glance: Glance,
}

/// Takes its answer out of the table when it is dropped.
pub(super) struct Entry {
    table: Arc<AnswerTable>,
    pub(super) id: u64,
}

impl AnswerTable {
    /// Adds an answer until the returned value is dropped.
    pub(super) fn add(
        self: &Arc<Self>,
        answer: Arc<LiveAnswer>,
        share: ShareId,
        urgency: Urgency,
    ) -> Entry {
        let id = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        self.rows().insert(id, Row { answer, share, urgency, asked: Instant::now() });
        Entry { table: self.clone(), id }
    }

    /// All answers, the oldest first.
    pub(super) fn list(&self) -> Vec<Listed> {
        let rows = self.rows();
        let listed = |(&id, row): (&u64, &Row)| Listed {
            id,
            share: row.share,
            urgency: row.urgency,
            age: row.asked.elapsed(),
            is_stopped: row.answer.is_stop_asked(),
            glance: row.answer.glance(),
        };
        rows.iter().map(listed).collect()
    }

    /// Stops an answer; false if there is none of this number.
    pub(super) fn stop(&self, id: u64) -> bool {
        let rows = self.rows();
        let row = rows.get(&id);
        if let Some(row) = row {
            row.answer.stop();
        }
        row.is_some()
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<u64, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.table.rows().remove(&self.id);
    }
}
