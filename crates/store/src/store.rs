//! The store: its threads, and how calls reach them.
//!
//! The calls themselves are methods of [`Store`] in the modules of what they are about:
//! `conversations.rs`, `messages.rs`, `asking.rs`, `answers.rs`, `users.rs`, `search`, `backup.rs`.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use flume::{Sender, TrySendError};

use crate::StoreError;
use crate::config::{Limits, Place, StoreConfig};
use crate::error::OpenError;
use crate::folder::Folder;
use crate::live::LiveQueue;
use crate::open::{self, Opened};
use crate::readers::{ReadCall, ReadJob, ReadMode, Reader, Reading};
use crate::reply::Reply;
use crate::writer::{Task, WriteCall, Writer, Writing};

/// Conversations, messages, users, keys and sessions that last.
///
/// A call returns a [`Reply`] at once and never blocks; threads of the store do the work. Calls
/// that write take effect in the order in which they were made. A call that reads sees all calls
/// whose replies have come.
///
/// Every call names the user for whom it is made; what belongs to another user is unknown to it.
///
/// Dropping the store waits for the calls that were made, and closes it. That blocks, so in async
/// code drop it on a thread that may block.
pub struct Store {
    // All threads end when their senders are gone; see `drop`.
    writer: Option<Sender<Task>>,
    readers: Option<Sender<Box<dyn ReadJob>>>,
    live: Option<LiveQueue>,
    reader_threads: Vec<JoinHandle<()>>,
    writer_thread: Option<JoinHandle<bool>>,
    live_thread: Option<JoinHandle<()>>,
    folder: Option<Folder>,
    limits: Arc<Limits>,
    interrupted: usize,
}

impl Store {
    /// Opens the store, and makes it if there is none.
    ///
    /// Answers that were being written when the last process ended become interrupted, with all
    /// text that was kept of them. A damaged database is never replaced: see [`set_aside`].
    ///
    /// [`set_aside`]: crate::set_aside
    ///
    /// # Errors
    /// The folder can't be used, or the database in it; the message says what to do.
    pub fn open(config: StoreConfig) -> Result<Self, OpenError> {
        let opened = open::open(&config)?;
        Self::start(&config, opened).map_err(|reason| {
            let folder = match config.place {
                Place::Folder(folder) => folder,
                Place::Memory => ":memory:".into(),
            };
            OpenError::Other { folder, reason }
        })
    }

    fn start(config: &StoreConfig, opened: Opened) -> Result<Self, String> {
        let limits = Arc::new(config.limits.clone());
        let Opened { folder, writer, readers, live, interrupted } = opened;
        let (live_sender, live_tasks) = flume::bounded(config.waiting_calls);
        let live_queue = LiveQueue(live_sender);
        let writer = Writer {
            connection: Some(writer),
            path: folder.as_ref().map(Folder::database),
            limits: Arc::clone(&limits),
            clock: config.clock.clone(),
            faults: config.faults.clone(),
            live: live_queue.clone(),
            log_used: folder.is_some(),
            log_unclean: false,
            log_tried: Instant::now(),
        };
        let (task_sender, tasks) = flume::bounded(config.waiting_calls);
        let (read_sender, reads) = flume::bounded(config.waiting_calls);
        // From here on the threads are the store's: if one can't be started, dropping it ends them.
        let mut store = Self {
            writer: Some(task_sender),
            readers: (!readers.is_empty()).then_some(read_sender),
            live: Some(live_queue),
            reader_threads: Vec::new(),
            writer_thread: None,
            live_thread: None,
            folder,
            limits: Arc::clone(&limits),
            interrupted,
        };
        store.live_thread = Some(spawn("store-live", move || live.run(live_tasks))?);
        store.writer_thread = Some(spawn("store-writer", move || writer.run(tasks))?);
        for connection in readers {
            let reader = Reader::new(connection, Arc::clone(&limits), config.read_timeout)
                .map_err(|error| error.to_string())?;
            let reads = reads.clone();
            store.reader_threads.push(spawn("store-reader", move || reader.run(reads))?);
        }
        Ok(store)
    }

    /// The longest texts and the largest numbers.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether what is stored outlives the process.
    pub fn is_durable(&self) -> bool {
        self.folder.is_some()
    }

    /// How many answers were interrupted by the end of the last process.
    pub fn interrupted_answers(&self) -> usize {
        self.interrupted
    }

    /// Lets the writer's thread do `work`, which may run more than once.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Writing<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Reply<T> {
        let (reply, coming) = Reply::coming();
        let result = Err(StoreError::Closed);
        self.send_to_writer(Task::Write(Box::new(WriteCall { work, result, reply })), coming)
    }

    /// Lets a thread that reads do `work`, in one transaction.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reading<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Reply<T> {
        self.read_as(ReadMode::Snapshot, work)
    }

    pub(crate) fn read_as<T: Send + 'static>(
        &self,
        mode: ReadMode,
        work: impl FnOnce(&Reading<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Reply<T> {
        let (reply, coming) = Reply::coming();
        let job: Box<dyn ReadJob> = Box::new(ReadCall { work, mode, reply });
        let Some(readers) = &self.readers else {
            return self.send_to_writer(Task::Read(job), coming);
        };
        match readers.try_send(job) {
            Ok(()) => coming,
            Err(error) => Reply::failed(refused(&error)),
        }
    }

    fn send_to_writer<T: Send + 'static>(&self, task: Task, coming: Reply<T>) -> Reply<T> {
        let Some(writer) = &self.writer else { return Reply::failed(StoreError::Closed) };
        match writer.try_send(task) {
            Ok(()) => coming,
            Err(error) => Reply::failed(refused(&error)),
        }
    }

    pub(crate) fn live(&self) -> Option<&LiveQueue> {
        self.live.as_ref()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Readers first: the writer's connection is the last one to close and empties the log. The
        // live thread outlives the writer, which sends to it.
        self.readers = None;
        let readers_ended = std::mem::take(&mut self.reader_threads)
            .into_iter()
            .all(|thread| thread.join().is_ok());
        if let Some(folder) = &self.folder {
            let _ = folder.mark_between();
        }
        self.writer = None;
        let is_clean =
            self.writer_thread.take().is_some_and(|thread| thread.join().unwrap_or(false));
        self.live = None;
        let live_ended = self.live_thread.take().is_some_and(|thread| thread.join().is_ok());
        if let Some(folder) = &self.folder
            && is_clean
            && readers_ended
            && live_ended
        {
            folder.mark_clean();
        }
    }
}

fn refused<T>(error: &TrySendError<T>) -> StoreError {
    match error {
        TrySendError::Full(_) => StoreError::Busy,
        TrySendError::Disconnected(_) => StoreError::Closed,
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, String> {
    thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map_err(|error| format!("a thread can't be started: {error}"))
}
