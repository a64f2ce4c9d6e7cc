//! Blocks on disk: conversations are found again after a restart, or after their memory was needed.
//!
//! ```text
//!  engine's thread                          disk's thread
//!   Disk ── commands: save, touch, load ──►  files, answers
//!        ◄─ replies: saved, loaded, removed ─
//! ```
//!
//! The engine's thread never waits for the disk's. Blocks are found by [names](super::block_name);
//! their tokens are compared too. If anything goes wrong on disk, the block is as good as absent,
//! and is computed.
//!
//! - [`Disk`] below: the engine's end. `commands`: what it has told the thread.
//! - `thread`: the other end.
//! - `files`: the folder, its size, the format of a block's file.
//! - `answers`: the tokens of answers, so that histories have the same tokens after a restart.
//! - `owner`: how files name tenants and conversations.
//!
//! Limits:
//! - [`DiskConfig::max_bytes`]: the least recently used blocks are removed, and the older answers.
//! - `SAVING_BLOCKS` on their way to the disk: further blocks stay unsaved until there is room.
//! - `LOADED_BLOCKS` that the engine has not taken yet: the thread waits.
//! - Everything else that the thread has not taken yet: see `commands`.

mod answers;
mod commands;
mod files;
mod owner;
mod thread;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use flume::{Receiver, RecvTimeoutError};

use super::block_name::{BlockName, BlockNamer};
use super::{BLOCK_TOKENS, BlockId};
use crate::StopFlag;
use crate::model_file::ModelFile;
use crate::origin::Origin;
use crate::text::TokenId;

pub use answers::KeptAnswer;

use commands::{Commands, Load};

/// Where blocks are kept, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskConfig {
    /// A folder for nothing else.
    pub folder: PathBuf,
    /// At the limit the least recently used blocks are removed.
    pub max_bytes: u64,
}

/// What the content of blocks depends on besides their tokens.
#[derive(Debug)]
pub struct Identity {
    /// The model; its bytes are hashed.
    pub model: Arc<ModelFile>,
    /// How it is computed: type of the cache, types of weights, instruction set.
    pub computed: String,
}

/// A block with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub name: BlockName,
    /// The block before it.
    pub parent: Option<BlockName>,
    /// Its owner; none if the operator shares it.
    pub owner: Option<Origin>,
    /// Its tokens.
    pub tokens: [TokenId; BLOCK_TOKENS],
    /// Keys and values in all layers.
    pub payload: Vec<u8>,
}

/// A block in memory that may be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsaved {
    /// Its name.
    pub name: BlockName,
    /// The block before it.
    pub parent: Option<BlockName>,
    /// Its owner; none if the operator shares it.
    pub owner: Option<Origin>,
    /// Its tokens.
    pub tokens: [TokenId; BLOCK_TOKENS],
    /// Where its keys and values are.
    pub block: BlockId,
}

/// What the thread tells the engine.
#[derive(Debug)]
pub enum Reply {
    /// There is nothing to wait for: the folder is empty, or another engine uses it.
    Later,
    /// The folder is open.
    Opened {
        /// Makes the names of blocks.
        namer: BlockNamer,
        /// Blocks that are there.
        names: Vec<BlockName>,
        /// Answers of this model, the newest first.
        answers: Vec<KeptAnswer>,
    },
    /// A block was written, or could not be.
    Saved {
        /// Its name.
        name: BlockName,
        /// Whether it is there now.
        is_there: bool,
        /// Blocks that were removed to make room for it.
        removed: Vec<BlockName>,
    },
    /// Blocks are gone.
    Removed(Vec<BlockName>),
    /// The next block of a fetch.
    Loaded {
        /// Which fetch.
        fetch: u64,
        /// The block.
        block: Stored,
    },
    /// There are no more blocks of a fetch.
    FetchEnded {
        /// Which.
        fetch: u64,
    },
}

/// The engine's end.
pub struct Disk {
    commands: Arc<Commands>,
    replies: Option<Receiver<Reply>>,
    /// None until the folder is open.
    namer: Option<BlockNamer>,
    names: HashSet<BlockName>,
    /// Blocks on their way to the disk.
    saving: HashSet<BlockName>,
    /// A reply that [`Disk::wait`] has received.
    next: Option<Reply>,
    thread: Option<JoinHandle<()>>,
    /// Raised when the thread is to end.
    end: StopFlag,
}

/// Blocks on their way to the disk.
const SAVING_BLOCKS: usize = 64;

/// Blocks read from disk that the engine has not taken yet.
const LOADED_BLOCKS: usize = 8;

/// Must be raised whenever the same tokens get other keys and values than before.
const NUMERICS_VERSION: u32 = 2;

impl Disk {
    /// Starts the thread, which then opens the folder.
    ///
    /// Errors: no thread.
    pub fn start(config: DiskConfig, identity: Identity) -> std::io::Result<Disk> {
        let commands = Arc::new(Commands::default());
        let (sender, replies) = flume::bounded(LOADED_BLOCKS);
        let end = StopFlag::new();
        let disk_thread = thread::DiskThread {
            config,
            commands: commands.clone(),
            replies: sender,
            end: end.clone(),
        };
        let name = "kv-disk".to_owned();
        let thread =
            std::thread::Builder::new().name(name).spawn(move || disk_thread.run(identity))?;
        Ok(Disk {
            commands,
            replies: Some(replies),
            namer: None,
            names: HashSet::new(),
            saving: HashSet::new(),
            next: None,
            thread: Some(thread),
            end,
        })
    }

    /// Makes the names of blocks; none before the folder is open.
    pub fn namer(&self) -> Option<&BlockNamer> {
        self.namer.as_ref()
    }

    /// Whether a block is on disk or on its way, as the last reply says.
    pub fn has(&self, name: BlockName) -> bool {
        self.names.contains(&name) || self.saving.contains(&name)
    }

    /// How many blocks are on disk, as the last reply says.
    pub fn blocks(&self) -> usize {
        self.names.len()
    }

    /// Whether another block may be sent to the disk.
    pub fn has_room(&self) -> bool {
        self.namer.is_some() && self.saving.len() < SAVING_BLOCKS
    }

    /// Blocks on their way to the disk.
    pub fn saving(&self) -> usize {
        self.saving.len()
    }

    /// Sends a block to the disk.
    ///
    /// Panics if there is no room: see [`Disk::has_room`].
    pub fn save(&mut self, block: Stored) {
        assert!(self.has_room(), "saves are bounded");
        self.saving.insert(block.name);
        self.commands.save(block);
    }

    /// Notes that a block that is there was used, unless the thread is far behind.
    pub fn touch(&self, name: BlockName) {
        self.commands.touch(name);
    }

    /// Keeps the tokens of an answer, unless the thread is far behind.
    pub fn keep(&self, answer: KeptAnswer) {
        self.commands.keep(answer);
    }

    /// Asks for blocks that follow each other; they come as [`Reply::Loaded`], then
    /// [`Reply::FetchEnded`]. False if the thread is far behind: then none will come.
    pub fn load(&self, fetch: u64, names: Vec<BlockName>, stop: StopFlag) -> bool {
        self.commands.load(Load { fetch, names, stop })
    }

    /// Removes what belongs to a conversation, or to a whole tenant; if the folder is not open yet,
    /// as soon as it is. It is never lost, however far behind the thread is.
    pub fn forget(&mut self, meant: Origin) {
        for name in self.commands.forget(meant) {
            self.saving.remove(&name);
        }
    }

    /// The next reply, if there is one.
    pub fn reply(&mut self) -> Option<Reply> {
        let received = |replies: &Receiver<Reply>| replies.try_recv().ok();
        let reply = self.next.take().or_else(|| self.replies.as_ref().and_then(received))?;
        match &reply {
            Reply::Opened { namer, names, .. } => {
                self.namer = Some(namer.clone());
                self.names.extend(names);
            }
            Reply::Saved { name, is_there, removed } => {
                self.saving.remove(name);
                self.names.extend(is_there.then_some(name));
                self.forget_names(removed);
            }
            Reply::Removed(removed) => self.forget_names(removed),
            Reply::Later | Reply::Loaded { .. } | Reply::FetchEnded { .. } => {}
        }
        Some(reply)
    }

    /// Waits until there is a reply, for `longest` at most.
    pub fn wait(&mut self, longest: Duration) {
        if self.next.is_some() {
            return;
        }
        let Some(replies) = &self.replies else { return };
        match replies.recv_timeout(longest) {
            Ok(reply) => self.next = Some(reply),
            Err(RecvTimeoutError::Timeout) => {}
            // The thread has given up; the engine goes on without it.
            Err(RecvTimeoutError::Disconnected) => self.replies = None,
        }
    }

    /// Whether the thread can still answer.
    pub fn is_alive(&self) -> bool {
        self.replies
            .as_ref()
            .is_some_and(|replies| !replies.is_disconnected() || !replies.is_empty())
    }

    /// Whether no more commands wait for the thread than ever may.
    #[cfg(test)]
    pub fn is_bounded(&self) -> bool {
        self.commands.len() <= commands::MAX_COMMANDS
    }

    fn forget_names(&mut self, names: &[BlockName]) {
        for name in names {
            self.names.remove(name);
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.end.raise();
        self.replies = None;
        self.commands.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the disk cache's thread had panicked");
        }
    }
}
