//! Answers that are being written, in a database that is never synced.
//!
//! A delta is kept here before any client sees it. Keeping it costs some microseconds, because
//! nothing waits for the disk: what was kept survives the end of the process, but not the end of
//! the machine. Every 250 ms the server saves an answer's new text in the main database, which
//! survives both. When the store is opened, [`merge`] puts the newest text into the main database.

pub(crate) mod merge;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use flume::{Receiver, RecvTimeoutError, Sender, TrySendError};
use rusqlite::{Connection, params};

use crate::StoreError;
use crate::growth::{Ends, Growth, tokens_to_bytes};
use crate::ids::MessageSeq;
use crate::reply::{Reply, ReplySender};
use crate::schema::{self, Access, LIVE_APPLICATION_ID, LIVE_TABLES};

/// Tasks that are written together.
const GROUP_TASKS: usize = 256;

/// At this limit the oldest deleted answers are dropped from what is known of them.
const MOST_ERASED: usize = 100_000;

/// The log is emptied when there was nothing to do for this long.
const IDLE: Duration = Duration::from_secs(2);

/// What the thread is asked to do.
pub(crate) enum LiveTask {
    /// To keep a piece of an answer.
    Append(MessageSeq, Growth, ReplySender<()>),
    /// To drop what the main database has.
    Saved(MessageSeq, Ends),
    /// To drop all of some answers.
    Forget(Vec<MessageSeq>),
    /// To drop all of some answers so that no byte of them stays, and to say when it is done.
    Erase(Vec<MessageSeq>, Sender<()>),
}

/// Gives tasks to the thread.
#[derive(Clone)]
pub(crate) struct LiveQueue(pub Sender<LiveTask>);

impl LiveQueue {
    /// Keeps a piece of an answer.
    pub(crate) fn append(&self, answer: MessageSeq, growth: Growth) -> Reply<()> {
        let (sender, reply) = Reply::coming();
        match self.0.try_send(LiveTask::Append(answer, growth, sender)) {
            Ok(()) => reply,
            Err(TrySendError::Full(_)) => Reply::failed(StoreError::Busy),
            Err(TrySendError::Disconnected(_)) => Reply::failed(StoreError::Closed),
        }
    }

    pub(crate) fn saved(&self, answer: MessageSeq, ends: Ends) {
        self.tell(LiveTask::Saved(answer, ends));
    }

    pub(crate) fn forget(&self, answers: Vec<MessageSeq>) {
        self.tell(LiveTask::Forget(answers));
    }

    /// Blocks until no byte of the answers is left.
    pub(crate) fn erase(&self, answers: Vec<MessageSeq>) {
        let (done, is_done) = flume::bounded(1);
        self.tell(LiveTask::Erase(answers, done));
        let _ = is_done.recv();
    }

    /// Waits if the channel is full: the thread never waits for anybody.
    fn tell(&self, task: LiveTask) {
        if self.0.send(task).is_err() {
            tracing::warn!("the thread for live answers is gone");
        }
    }
}

/// Opens `live.db`; `None` is one in memory. Makes its table if there is none.
pub(crate) fn open(path: Option<&PathBuf>) -> rusqlite::Result<Connection> {
    let connection = schema::connect(path.map(PathBuf::as_path), Access::Unsynced)?;
    schema::set_up(&connection, Access::Unsynced)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        let set_id = format!("PRAGMA application_id = {LIVE_APPLICATION_ID};");
        connection.execute_batch(&format!("BEGIN; {LIVE_TABLES} {set_id} COMMIT;"))?;
    }
    Ok(connection)
}

/// Owns the connection to `live.db`.
pub(crate) struct Live {
    connection: Connection,
    log_used: bool,
    /// Answers of which nothing is kept any more: one may still be written when it is deleted.
    erased: BTreeSet<MessageSeq>,
    /// Those of them that could not be erased, because the disk is full.
    unerased: Vec<MessageSeq>,
}

impl Live {
    pub(crate) fn new(connection: Connection) -> Live {
        let (erased, unerased) = (BTreeSet::new(), Vec::new());
        Live { connection, log_used: true, erased, unerased }
    }

    /// Works until all senders of `tasks` are gone.
    pub(crate) fn run(mut self, tasks: Receiver<LiveTask>) {
        loop {
            let first = match self.log_used || !self.unerased.is_empty() {
                true => tasks.recv_timeout(IDLE),
                false => tasks.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match first {
                Ok(task) => {
                    let rest = tasks.try_iter().take(GROUP_TASKS - 1);
                    let group = std::iter::once(task).chain(rest).collect();
                    self.write(group);
                }
                Err(RecvTimeoutError::Timeout) if !self.unerased.is_empty() => {
                    self.write(Vec::new());
                }
                Err(RecvTimeoutError::Timeout) => self.empty_log(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.empty_log();
    }

    fn write(&mut self, group: Vec<LiveTask>) {
        let had_unerased = !self.unerased.is_empty();
        for task in &group {
            if let LiveTask::Erase(answers, _) = task {
                self.unerased.extend_from_slice(answers);
                self.erased.extend(answers);
            }
        }
        while self.erased.len() > MOST_ERASED {
            self.erased.pop_first();
        }
        let result = self.try_write(&group).map_err(StoreError::from);
        if let Err(error) = &result {
            tracing::warn!(%error, "live answers can't be kept");
            if !self.connection.is_autocommit() {
                let _ = self.connection.execute_batch("ROLLBACK");
            }
        }
        self.log_used = true;
        let erases = had_unerased || !self.unerased.is_empty();
        if result.is_ok() {
            self.unerased.clear();
        }
        if erases {
            self.empty_log();
        }
        for task in group {
            match task {
                LiveTask::Append(_, _, reply) => _ = reply.send(result.clone()),
                LiveTask::Erase(_, done) => _ = done.send(()),
                LiveTask::Saved(..) | LiveTask::Forget(_) => {}
            }
        }
    }

    fn try_write(&self, group: &[LiveTask]) -> rusqlite::Result<()> {
        let run = |sql| self.connection.prepare_cached(sql)?.execute([]);
        run("BEGIN IMMEDIATE")?;
        forget(&self.connection, &self.unerased)?;
        for task in group {
            match task {
                LiveTask::Append(answer, growth, _) if !self.erased.contains(answer) => {
                    append(&self.connection, *answer, growth)?;
                }
                LiveTask::Append(..) | LiveTask::Erase(..) => {}
                LiveTask::Saved(answer, ends) => drop_saved(&self.connection, *answer, *ends)?,
                LiveTask::Forget(answers) => forget(&self.connection, answers)?,
            }
        }
        run("COMMIT").map(|_| ())
    }

    fn empty_log(&mut self) {
        if let Err(error) = schema::empty_log(&self.connection) {
            tracing::warn!(%error, "the log of live answers can't be emptied");
        }
        self.log_used = false;
    }
}

fn append(connection: &Connection, answer: MessageSeq, growth: &Growth) -> rusqlite::Result<()> {
    let ends = growth.ends();
    connection
        .prepare_cached(
            "INSERT INTO live (answer, text, thinking, tokens, text_end, thinking_end, tokens_end)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            answer,
            growth.text,
            growth.thinking,
            tokens_to_bytes(&growth.tokens),
            ends.text as i64,
            ends.thinking as i64,
            ends.tokens as i64,
        ])?;
    Ok(())
}

fn drop_saved(connection: &Connection, answer: MessageSeq, ends: Ends) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM live WHERE answer = ?1
             AND text_end <= ?2 AND thinking_end <= ?3 AND tokens_end <= ?4",
        )?
        .execute(params![answer, ends.text as i64, ends.thinking as i64, ends.tokens as i64])?;
    Ok(())
}

fn forget(connection: &Connection, answers: &[MessageSeq]) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM live WHERE answer = ?1")?;
    for answer in answers {
        delete.execute([answer])?;
    }
    Ok(())
}
