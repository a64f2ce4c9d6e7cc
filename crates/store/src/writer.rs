//! The thread that writes.
//!
//! ```text
//! calls ──► bounded channel ──► group ──► BEGIN
//!                                          SAVEPOINT, call 1, RELEASE      a call that fails is
//!                                          SAVEPOINT, call 2, ROLLBACK TO  undone alone
//!                                          COMMIT, synced
//!                               replies ◄──
//! ```
//!
//! Calls that wait are committed together, because syncing costs more than writing. A reply is sent
//! only after the commit. If the commit fails and certainly nothing was stored, each call of the
//! group is tried once more alone. If the disk failed, it is unknown what is stored: the calls
//! fail, and the connection is opened again and checked before the next group.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flume::{Receiver, RecvTimeoutError};
use rusqlite::Connection;

use crate::StoreError;
use crate::config::{Clock, Limits};
use crate::faults::{Fault, Faults};
use crate::folder::remove_copies;
use crate::growth::Ends;
use crate::ids::MessageSeq;
use crate::live::LiveQueue;
use crate::readers::ReadJob;
use crate::reply::ReplySender;
use crate::schema::{self, Access};

/// Calls that are committed together. More would make the first of them wait too long.
const GROUP_CALLS: usize = 64;

/// The log is emptied when there was nothing to write for this long.
const IDLE: Duration = Duration::from_secs(1);

/// How often emptying the log is tried after a deletion. Each try waits for readers.
const EMPTY_TRIES: usize = 4;

/// If that was in vain, it is tried again after this time, between two groups.
const EMPTY_AGAIN: Duration = Duration::from_secs(1);

/// What a call works with while it writes.
pub(crate) struct Writing<'a> {
    pub connection: &'a Connection,
    pub limits: &'a Limits,
    pub now_ms: i64,
    effects: &'a RefCell<Effects>,
}

/// Writes in the transaction that is open, outside of the writer's thread: while the store is
/// opened.
pub(crate) fn write_while_opening<T>(
    connection: &Connection,
    (limits, now_ms): (&Limits, i64),
    work: impl FnOnce(&Writing<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let effects = RefCell::default();
    work(&Writing { connection, limits, now_ms, effects: &effects })
}

impl Writing<'_> {
    /// Nothing of what was deleted may stay in the folder, not even in a log or a copy.
    pub(crate) fn erase(&self, answers: impl IntoIterator<Item = MessageSeq>) {
        let mut effects = self.effects.borrow_mut();
        effects.erase = true;
        effects.erased.extend(answers);
    }

    /// The answer is finished: its live text is not needed any more.
    pub(crate) fn forget_live(&self, answer: MessageSeq) {
        self.effects.borrow_mut().finished.push(answer);
    }

    /// The answer is durable up to here: its live text before that is not needed any more.
    pub(crate) fn saved_live(&self, answer: MessageSeq, ends: Ends) {
        self.effects.borrow_mut().saved.push((answer, ends));
    }
}

/// What has to be done once a call is committed.
#[derive(Debug, Default)]
struct Effects {
    erase: bool,
    erased: Vec<MessageSeq>,
    finished: Vec<MessageSeq>,
    saved: Vec<(MessageSeq, Ends)>,
}

impl Effects {
    fn add(&mut self, mut other: Effects) {
        self.erase |= other.erase;
        self.erased.append(&mut other.erased);
        self.finished.append(&mut other.finished);
        self.saved.append(&mut other.saved);
    }
}

/// A call that writes. It may run more than once, but its effects are committed once.
pub(crate) trait WriteJob: Send {
    /// Runs and keeps the result.
    fn run(&mut self, writing: &Writing<'_>) -> Result<(), StoreError>;

    /// Replaces the result.
    fn fail(&mut self, error: StoreError);

    /// Sends the result.
    fn reply(self: Box<Self>);
}

/// A [`WriteJob`] made of a function.
pub(crate) struct WriteCall<T, F> {
    pub work: F,
    pub result: Result<T, StoreError>,
    pub reply: ReplySender<T>,
}

impl<T, F> WriteJob for WriteCall<T, F>
where
    T: Send + 'static,
    F: FnMut(&Writing<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, writing: &Writing<'_>) -> Result<(), StoreError> {
        self.result = (self.work)(writing);
        self.result.as_ref().map(|_| ()).map_err(StoreError::clone)
    }

    fn fail(&mut self, error: StoreError) {
        self.result = Err(error);
    }

    fn reply(self: Box<Self>) {
        // Nobody waits for it any more: the call is done all the same.
        let _ = self.reply.send(self.result);
    }
}

/// What the writer's thread is asked to do.
pub(crate) enum Task {
    /// To write, together with others.
    Write(Box<dyn WriteJob>),
    /// To read, for a store in memory.
    Read(Box<dyn ReadJob>),
}

type Group = Vec<Box<dyn WriteJob>>;

/// Why a group was not committed.
enum GroupError {
    /// Nothing of it is stored.
    Undone(StoreError),
    /// It is unknown what is stored.
    Unknown(StoreError),
}

/// Owns the connection that writes.
pub(crate) struct Writer {
    pub connection: Option<Connection>,
    /// `None` if the store is in memory.
    pub path: Option<PathBuf>,
    pub limits: Arc<Limits>,
    pub clock: Clock,
    pub faults: Faults,
    pub live: LiveQueue,
    /// Whether the log may hold something.
    pub log_used: bool,
    /// Whether the log may hold something that was deleted.
    pub log_unclean: bool,
    /// When emptying the log was tried last.
    pub log_tried: Instant,
}

impl Writer {
    /// Works until all senders of `tasks` are gone. Returns whether the store was closed cleanly.
    pub(crate) fn run(mut self, tasks: Receiver<Task>) -> bool {
        let mut next = None;
        loop {
            let first = match next.take() {
                Some(task) => Ok(task),
                None if self.log_used => tasks.recv_timeout(IDLE),
                None => tasks.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match first {
                Ok(Task::Read(job)) => self.read(job),
                Ok(Task::Write(job)) => {
                    let group;
                    (group, next) = collect(job, &tasks);
                    self.commit(group);
                    if self.log_unclean && self.log_tried.elapsed() >= EMPTY_AGAIN {
                        self.empty_log();
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.empty_log(),
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
        }
    }

    fn read(&mut self, job: Box<dyn ReadJob>) {
        match &self.connection {
            Some(connection) => job.run_and_reply(connection, &self.limits),
            None => job.fail(StoreError::Closed),
        }
    }

    fn commit(&mut self, mut group: Group) {
        match self.try_commit(&mut group) {
            Ok(effects) => {
                self.settle(effects);
                group.into_iter().for_each(|job| job.reply());
            }
            Err(GroupError::Undone(_)) if group.len() > 1 => {
                group.into_iter().for_each(|job| self.commit(vec![job]));
            }
            Err(GroupError::Undone(error)) => fail_all(group, &error),
            Err(GroupError::Unknown(error)) => {
                tracing::error!(%error, "the store's disk failed; its database is opened again");
                self.connection = if self.path.is_some() { None } else { self.connection.take() };
                fail_all(group, &error);
            }
        }
    }

    fn try_commit(&mut self, group: &mut Group) -> Result<Effects, GroupError> {
        self.connect_again().map_err(GroupError::Undone)?;
        let connection = self.connection.as_ref().expect("it was opened above");
        let begin = connection.execute_batch("BEGIN IMMEDIATE");
        begin.map_err(|error| group_error(connection, error.into()))?;
        let mut effects = Effects::default();
        for job in group.iter_mut() {
            let (now_ms, own) = (self.clock.now_ms(), RefCell::default());
            let writing = Writing { connection, limits: &self.limits, now_ms, effects: &own };
            if run_in_savepoint(job.as_mut(), &writing)? {
                effects.add(own.into_inner());
            }
        }
        let faults = &self.faults;
        let commit = || {
            faults.pass(Fault::BeforeCommit)?;
            connection.execute_batch("COMMIT")?;
            // A commit whose result says nothing: as if the sync had failed after the write.
            faults.pass(Fault::AfterCommit)
        };
        commit().map_err(|error| group_error(connection, error.into()))?;
        self.log_used = true;
        Ok(effects)
    }

    /// Does what has to follow a commit, before its replies.
    fn settle(&mut self, effects: Effects) {
        for (answer, ends) in effects.saved {
            self.live.saved(answer, ends);
        }
        if !effects.finished.is_empty() {
            self.live.forget(effects.finished);
        }
        if !effects.erase {
            return;
        }
        if let Err(error) = self.faults.pass(Fault::Deleted) {
            tracing::warn!(%error, "what was deleted is still in the store's log");
        }
        self.log_unclean = true;
        for _ in 0..EMPTY_TRIES {
            self.empty_log();
            if !self.log_unclean {
                break;
            }
        }
        if self.log_unclean {
            tracing::warn!("what was deleted is still in the store's log; it is emptied later");
        }
        self.live.erase(effects.erased);
        if let Some(folder) = self.path.as_deref().and_then(|path| path.parent()) {
            remove_copies(folder);
        }
    }

    fn empty_log(&mut self) {
        self.log_tried = Instant::now();
        let Some(connection) = &self.connection else {
            self.log_used = false;
            return;
        };
        let emptied =
            self.faults.pass(Fault::Checkpoint).and_then(|()| schema::empty_log(connection));
        match emptied {
            Ok(true) => {
                self.log_used = false;
                self.log_unclean = false;
            }
            // A reader is in the way: there is a next time.
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "the store's log can't be emptied");
                // Tried again after the next write, or now if it holds what was deleted.
                self.log_used = self.log_unclean;
            }
        }
    }

    /// Opens and checks the connection again if it was given up.
    fn connect_again(&mut self) -> Result<(), StoreError> {
        let (None, Some(path)) = (&self.connection, &self.path) else { return Ok(()) };
        self.faults.pass(Fault::Reopen)?;
        let connection = schema::connect(Some(path), Access::Durable)?;
        schema::set_up(&connection, Access::Durable)?;
        if let Some(reason) = schema::find_damage(&connection)? {
            return Err(StoreError::Damaged { reason });
        }
        self.connection = Some(connection);
        self.log_used = true;
        tracing::info!("the store's database was opened again and is in order");
        Ok(())
    }

    fn close(mut self) -> bool {
        self.empty_log();
        match self.connection.take().map(Connection::close) {
            Some(Ok(())) => !self.log_used,
            Some(Err((_, error))) => {
                tracing::warn!(%error, "the store's database can't be closed");
                false
            }
            None => false,
        }
    }
}

/// The tasks that are committed together with `first`, and one that can't be.
fn collect(first: Box<dyn WriteJob>, tasks: &Receiver<Task>) -> (Group, Option<Task>) {
    let mut group = vec![first];
    while group.len() < GROUP_CALLS {
        match tasks.try_recv() {
            Ok(Task::Write(job)) => group.push(job),
            Ok(other) => return (group, Some(other)),
            Err(_) => break,
        }
    }
    (group, None)
}

fn fail_all(group: Group, error: &StoreError) {
    for mut job in group {
        job.fail(error.clone());
        job.reply();
    }
}

/// Runs a call and undoes it if it fails or panics. Returns whether it succeeded.
fn run_in_savepoint(job: &mut dyn WriteJob, writing: &Writing<'_>) -> Result<bool, GroupError> {
    let connection = writing.connection;
    let run_sql = |sql| {
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map_err(|error| group_error(connection, error.into()))
    };
    run_sql("SAVEPOINT call")?;
    let result = catch_unwind(AssertUnwindSafe(|| job.run(writing)));
    let result = result.unwrap_or_else(|_| {
        let error = StoreError::Internal { reason: "a call panicked".into() };
        job.fail(error.clone());
        Err(error)
    });
    match result {
        Ok(()) => run_sql("RELEASE call").map(|_| true),
        Err(error @ StoreError::Failed { .. }) => Err(group_error(connection, error)),
        // SQLite gave up the whole transaction, with the calls before this one.
        Err(error) if connection.is_autocommit() => Err(GroupError::Undone(error)),
        Err(_) => {
            run_sql("ROLLBACK TO call")?;
            run_sql("RELEASE call").map(|_| false)
        }
    }
}

/// Ends a group that failed, and says what is known about it.
fn group_error(connection: &Connection, error: StoreError) -> GroupError {
    let rolled_back = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
    match error {
        StoreError::Failed { .. } | StoreError::Damaged { .. } => GroupError::Unknown(error),
        _ if rolled_back => GroupError::Undone(error),
        _ => GroupError::Unknown(error),
    }
}
