//! Blocks on disk: conversations that are found again after a restart, or after others needed their
//! memory.
//!
//! A thread of its own reads and writes; the engine's thread sends to it and never waits. What is on
//! disk is found by names ([`chain`](super::chain)) that stand for the model, the way it is computed,
//! the tenant and all tokens; the tokens themselves are compared besides. Whatever goes wrong on disk is
//! a block that is not there.
//!
//! - [`Disk`] below: the engine's end; `commands`: what it has told the thread.
//! - `files`: the folder, its size, what a file looks like.
//! - `answers`: the tokens of answers, so that histories are cut as before; `owner`: whose things
//!   are.
//! - `thread`: the other end.
//!
//! Limits:
//! - [`DiskConfig::max_bytes`]: then the least recently used blocks go, and the older answers.
//! - `SAVING_BLOCKS` on their way to the disk: then others stay unsaved until there is room.
//! - `LOADED_BLOCKS` read that the engine has not taken yet: then the thread waits.
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

use super::chain::{BlockName, Chain};
use super::{BLOCK_TOKENS, BlockId};
use crate::StopFlag;
use crate::model_file::ModelFile;
use crate::origin::Origin;
use crate::text::TokenId;

pub use answers::KeptAnswer;

use commands::{Commands, Load};

/// Where blocks are kept, and how much of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskConfig {
    /// A folder of its own.
    pub folder: PathBuf,
    /// At the limit the least recently used blocks go.
    pub max_bytes: u64,
}

/// What blocks depend on beside their tokens.
#[derive(Debug)]
pub struct Identity {
    /// Its bytes are hashed.
    pub model: Arc<ModelFile>,
    /// How it is computed with: type of the cache, weights' types, instruction set.
    pub computed: String,
}

/// A block with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub name: BlockName,
    /// The block before it.
    pub parent: Option<BlockName>,
    /// Whose it is; nobody's if the operator shares it.
    pub owner: Option<Origin>,
    /// Its tokens.
    pub tokens: [TokenId; BLOCK_TOKENS],
    /// Keys and values in all layers.
    pub payload: Vec<u8>,
}

/// A block in memory that may be kept on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsaved {
    /// Its name.
    pub name: BlockName,
    /// The block before it.
    pub parent: Option<BlockName>,
    /// Whose it is; nobody's if the operator shares it.
    pub owner: Option<Origin>,
    /// Its tokens.
    pub tokens: [TokenId; BLOCK_TOKENS],
    /// Where its keys and values are.
    pub block: BlockId,
}

/// What the thread tells the engine.
#[derive(Debug)]
pub enum Reply {
    /// Nothing is there that is worth waiting for: the folder is empty, or another engine uses it.
    Later,
    /// The folder is open: these blocks are there, and this is how names are made.
    Opened {
        /// Makes names.
        chain: Chain,
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
        /// Blocks that went for it.
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
    chain: Option<Chain>,
    names: HashSet<BlockName>,
    /// Blocks on their way to the disk.
    saving: HashSet<BlockName>,
    /// A reply that was waited for.
    next: Option<Reply>,
    thread: Option<JoinHandle<()>>,
    /// Raised when the thread is to end.
    end: StopFlag,
}

/// Blocks on their way to the disk.
const SAVING_BLOCKS: usize = 64;

/// Blocks read from disk that the engine has not taken yet.
const LOADED_BLOCKS: usize = 8;

/// Raised whenever the same tokens would get other keys and values than before.
const NUMERICS_VERSION: u32 = 2;

impl Disk {
    /// Starts the thread, which opens the folder by and by.
    ///
    /// Errors: no thread.
    pub fn start(config: DiskConfig, identity: Identity) -> std::io::Result<Disk> {
        let commands = Arc::new(Commands::default());
        let (sender, replies) = flume::bounded(LOADED_BLOCKS);
        let end = StopFlag::new();
        let work =
            thread::Work { config, commands: commands.clone(), replies: sender, end: end.clone() };
        let name = "kv-disk".to_owned();
        let thread = std::thread::Builder::new().name(name).spawn(move || work.run(identity))?;
        Ok(Disk {
            commands,
            replies: Some(replies),
            chain: None,
            names: HashSet::new(),
            saving: HashSet::new(),
            next: None,
            thread: Some(thread),
            end,
        })
    }

    /// Makes names, once the folder is open.
    pub fn chain(&self) -> Option<&Chain> {
        self.chain.as_ref()
    }

    /// Whether a block is there or on its way, as far as is known.
    pub fn has(&self, name: BlockName) -> bool {
        self.names.contains(&name) || self.saving.contains(&name)
    }

    /// How many blocks are there, as far as is known.
    pub fn blocks(&self) -> usize {
        self.names.len()
    }

    /// Whether another block may be sent to the disk.
    pub fn has_room(&self) -> bool {
        self.chain.is_some() && self.saving.len() < SAVING_BLOCKS
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

    /// The next reply that is there.
    pub fn reply(&mut self) -> Option<Reply> {
        let received = |replies: &Receiver<Reply>| replies.try_recv().ok();
        let reply = self.next.take().or_else(|| self.replies.as_ref().and_then(received))?;
        match &reply {
            Reply::Opened { chain, names, .. } => {
                self.chain = Some(chain.clone());
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

    /// Waits until there is a reply, but no longer than that.
    pub fn wait(&mut self, longest: Duration) {
        if self.next.is_some() {
            return;
        }
        let Some(replies) = &self.replies else { return };
        match replies.recv_timeout(longest) {
            Ok(reply) => self.next = Some(reply),
            Err(RecvTimeoutError::Timeout) => {}
            // The thread has given up; everybody else goes on.
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
