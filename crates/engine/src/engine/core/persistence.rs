//! Between memory and disk: which blocks are saved, and which are fetched before a sequence begins.
//!
//! The disk has a thread of its own, and the engine never waits for it in a step. Between two steps
//! a few blocks are copied in each direction:
//!
//! ```text
//!  released blocks ──save, or touch if they are there──► disk
//!  a new sequence  ──load what memory lacks────────────► disk
//!  its lease       ◄─loaded, one block after another──── disk
//! ```

use std::time::Duration;

use super::Core;
use crate::StopFlag;
use crate::engine::drafts::DraftTokens;
use crate::faults::{self, Fault};
use crate::kv_cache::disk::{Disk, KeptAnswer, Reply, Stored};
use crate::model::Compute;
use crate::origin::Origin;
use crate::scheduler::SequenceId;
use crate::text::TokenId;

/// Blocks copied in each direction between two steps; they take less than a millisecond.
const BLOCKS_PER_ITERATION: usize = 8;

/// Uses of blocks that the disk is told of between two steps.
const USES_PER_ITERATION: usize = 64;

/// How long an engine that opens waits for its folder, if something is in it. Hashing a model that
/// is not known there yet takes a second for one or two GB.
const LONGEST_OPENING: Duration = Duration::from_secs(10);

/// How long the engine's thread waits for the disk when it has nothing else to do.
const DISK_WAIT: Duration = Duration::from_millis(5);

impl Core {
    /// Keeps blocks on disk from now on.
    pub fn set_disk(&mut self, disk: Disk) {
        self.scheduler.cache().connect_disk();
        self.disk = Some(disk);
    }

    /// Asks for what the disk has of a sequence's beginning.
    pub(super) fn fetch(&mut self, id: SequenceId, stop: &StopFlag) {
        let Some(disk) = &self.disk else { return };
        let Some(namer) = disk.namer() else { return };
        let mut names = self.scheduler.begin_fetch(id, namer);
        let there = names.iter().take_while(|name| disk.has(**name)).count();
        names.truncate(there);
        if names.is_empty() || !disk.load(id.0, names, stop.clone()) {
            self.scheduler.end_fetch(id);
        }
    }

    /// Takes the disk's replies, and copies some of the blocks that it brings and of those that it
    /// is to keep.
    pub fn sync_disk(&mut self, compute: &mut dyn Compute) {
        if self.disk.is_some() {
            faults::pass(Fault::SyncDisk);
        }
        self.take_replies(compute);
        self.save_some(compute);
        if self.disk.as_ref().is_some_and(|disk| !disk.is_alive()) {
            self.disconnect_disk();
        }
    }

    /// Waits until the first request would find what is on disk, for [`LONGEST_OPENING`] at most.
    pub fn wait_for_folder(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        disk.wait(LONGEST_OPENING);
        if let Some(Reply::Opened { answers, .. }) = disk.reply() {
            self.take_opened(&answers);
        }
    }

    /// Forgets what callers have asked for.
    pub fn take_forgets(&mut self) {
        for (meant, call) in self.status.inbox().take_forgets() {
            self.forget(&meant);
            self.forgotten.insert(meant, call);
        }
    }

    /// Whether something that is taken in now was forgotten after it was sent: after the first
    /// `forgets_before` calls.
    pub(super) fn was_forgotten(&self, origin: &Origin, forgets_before: u64) -> bool {
        let mut forgotten = self.forgotten.iter();
        forgotten.any(|(meant, call)| *call > forgets_before && origin.is_within(meant))
    }

    /// The inbox is empty: what comes from now on is sent after everything was forgotten.
    pub fn end_arrivals(&mut self) {
        self.forgotten.clear();
    }

    /// Forgets a conversation, or a whole tenant, in memory and on disk. An answer that is being
    /// written goes on; what it uses is forgotten at its end.
    pub fn forget(&mut self, meant: &Origin) {
        for answer in self.tasks.answers_mut() {
            if answer.origin().is_within(meant) {
                answer.forget();
            }
        }
        let wasted = self.drafts.forget(meant);
        self.status.add_drafts(DraftTokens { wasted, ..DraftTokens::default() });
        self.text.forget_answers(meant);
        self.scheduler.cache().forget(meant);
        if let Some(disk) = &mut self.disk {
            disk.forget(*meant);
        }
    }

    /// Remembers the tokens of an answer, in memory and on disk.
    pub(super) fn remember(&self, origin: Origin, text: &str, chosen: &[TokenId]) {
        if let Some(ids) = self.text.remember_answer(origin, text, chosen)
            && let Some(disk) = &self.disk
        {
            disk.keep(KeptAnswer { origin, ids });
        }
    }

    /// Whether a sequence waits for blocks from disk.
    pub fn waits_for_disk(&self) -> bool {
        self.scheduler.is_fetching()
    }

    /// Waits a little for a reply of the disk.
    pub fn wait_for_disk(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.wait(DISK_WAIT);
        }
    }

    /// Whether blocks are on their way to the disk, or ought to be.
    pub fn is_saving(&mut self) -> bool {
        let saving = self.disk.as_ref().is_some_and(|disk| disk.saving() > 0);
        saving || (self.disk.is_some() && self.scheduler.cache().has_released())
    }

    fn take_replies(&mut self, compute: &mut dyn Compute) {
        let mut copied = 0;
        while copied < BLOCKS_PER_ITERATION
            && let Some(reply) = self.disk.as_mut().and_then(Disk::reply)
        {
            match reply {
                Reply::Loaded { fetch, block } => {
                    copied += 1;
                    self.scheduler.work_for(Some(SequenceId(fetch)));
                    faults::pass(Fault::TakeLoaded);
                    self.take_loaded(SequenceId(fetch), &block, compute);
                    self.scheduler.work_for(None);
                }
                Reply::FetchEnded { fetch } => {
                    self.scheduler.end_fetch(SequenceId(fetch));
                }
                Reply::Opened { answers, .. } => {
                    self.take_opened(&answers);
                    let blocks = self.disk.as_ref().map_or(0, Disk::blocks);
                    tracing::info!(blocks, "conversations are kept on disk");
                }
                Reply::Saved { .. } | Reply::Removed(_) => self.count_disk_blocks(),
                Reply::Later => {}
            }
        }
    }

    /// The folder is open: from now on requests find what is in it.
    fn take_opened(&self, answers: &[KeptAnswer]) {
        for KeptAnswer { origin, ids } in answers {
            self.text.restore_answer(*origin, ids);
        }
        self.count_disk_blocks();
    }

    fn count_disk_blocks(&self) {
        self.status.set_disk_blocks(self.disk.as_ref().map_or(0, Disk::blocks));
    }

    fn take_loaded(&mut self, id: SequenceId, block: &Stored, compute: &mut dyn Compute) {
        match self.scheduler.fetched_block(id, &block.tokens) {
            Some(free) if compute.write_block(free, &block.payload) => {
                self.scheduler.settle_fetched(id);
                self.status.add_fetched_block();
            }
            // Without this block the sequence cannot use those behind it.
            _ => {
                self.scheduler.end_fetch(id);
            }
        }
    }

    fn save_some(&mut self, compute: &mut dyn Compute) {
        let Some(disk) = &mut self.disk else { return };
        let Some(namer) = disk.namer().cloned() else { return };
        let (mut copied, mut used) = (0, 0);
        while copied < BLOCKS_PER_ITERATION && used < USES_PER_ITERATION && disk.has_room() {
            let Some(unsaved) = self.scheduler.cache().next_released(&namer) else { return };
            if disk.has(unsaved.name) {
                used += 1;
                disk.touch(unsaved.name);
                continue;
            }
            copied += 1;
            disk.save(Stored {
                name: unsaved.name,
                parent: unsaved.parent,
                owner: unsaved.owner,
                tokens: unsaved.tokens,
                payload: compute.read_block(unsaved.block),
            });
        }
    }

    /// Nothing is kept on disk any more: its thread has given up, or something broke.
    pub fn disconnect_disk(&mut self) {
        self.disk = None;
        self.scheduler.cache().disconnect_disk();
        self.scheduler.end_fetches();
    }
}
