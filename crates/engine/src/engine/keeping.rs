//! Between memory and disk: what is saved, and what is fetched before a sequence begins.

use std::time::Duration;

use super::core::Core;
use super::thread::Compute;
use crate::StopFlag;
use crate::faults::{self, Fault};
use crate::kv_cache::disk::{Disk, KeptAnswer, Reply, Stored};
use crate::origin::Origin;
use crate::scheduler::SequenceId;
use crate::text::TokenId;

/// Blocks copied from or to memory between two steps: less than a millisecond's worth.
const BLOCKS_A_TURN: usize = 8;

/// Blocks of which the disk is told between two steps that they were used.
const USES_A_TURN: usize = 64;

/// How long an engine that opens waits for its folder, if something is there to be found. To hash
/// a model that is not known there yet takes a second for one or two GB.
const LONGEST_OPENING: Duration = Duration::from_secs(10);

/// How long a thread with nothing else to do waits for the disk.
const DISK_WAIT: Duration = Duration::from_millis(5);

impl Core {
    /// Asks for what the disk has of a sequence's beginning.
    pub(super) fn fetch(&mut self, id: SequenceId, stop: &StopFlag) {
        let Some(disk) = &self.disk else { return };
        let Some(chain) = disk.chain() else { return };
        let mut names = self.scheduler.begin_fetch(id, chain);
        let there = names.iter().take_while(|name| disk.has(**name)).count();
        names.truncate(there);
        if names.is_empty() || !disk.load(id.0, names, stop.clone()) {
            self.scheduler.end_fetch(id);
        }
    }

    /// Takes what the disk has to say, and copies some of what it brings and of what it is to keep.
    pub fn keep<C: Compute>(&mut self, compute: &mut C) {
        if self.disk.is_some() {
            faults::pass(Fault::Keep);
        }
        self.take_replies(compute);
        self.save_some(compute);
        if self.disk.as_ref().is_some_and(|disk| !disk.is_alive()) {
            self.end_keeping();
        }
    }

    /// Waits until the first request would find what is on disk, but not long.
    pub fn wait_for_folder(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        disk.wait(LONGEST_OPENING);
        if let Some(Reply::Opened { answers, .. }) = disk.reply() {
            self.take_opened(&answers);
        }
    }

    /// Forgets what callers have asked for.
    pub fn take_forgets(&mut self) {
        for meant in self.status.take_forgets() {
            self.forget(&meant);
        }
    }

    /// Forgets a conversation, or a whole tenant, in memory and on disk. An answer that is being
    /// written goes on; what is in use for it is forgotten at its end.
    pub fn forget(&mut self, meant: &Origin) {
        for answer in self.answers.values_mut() {
            if answer.origin().is_within(meant) {
                answer.forget();
            }
        }
        let wasted = self.drafts.forget(meant);
        self.status.add_drafted(0, 0, wasted);
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

    /// Whether there is anything to wait for but the disk.
    pub fn waits_for_disk(&self) -> bool {
        self.scheduler.is_fetching()
    }

    /// Waits a little for the disk.
    pub fn wait_for_disk(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.wait(DISK_WAIT);
        }
    }

    /// Whether something is on its way to the disk, or ought to be.
    pub fn is_saving(&mut self) -> bool {
        let saving = self.disk.as_ref().is_some_and(|disk| disk.saving() > 0);
        saving || (self.disk.is_some() && self.scheduler.cache().has_given_back())
    }

    fn take_replies<C: Compute>(&mut self, compute: &mut C) {
        let mut copied = 0;
        while copied < BLOCKS_A_TURN
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

    fn take_loaded<C: Compute>(&mut self, id: SequenceId, block: &Stored, compute: &mut C) {
        let place = self.scheduler.fetched_block(id, &block.tokens);
        match place {
            Some(place) if compute.write_block(place, &block.payload) => {
                self.scheduler.settle_fetched(id);
                self.status.add_fetched_block();
            }
            // Blocks after this one would have no beginning.
            _ => {
                self.scheduler.end_fetch(id);
            }
        }
    }

    fn save_some<C: Compute>(&mut self, compute: &mut C) {
        let Some(disk) = &mut self.disk else { return };
        let Some(chain) = disk.chain().cloned() else { return };
        let (mut copied, mut used) = (0, 0);
        while copied < BLOCKS_A_TURN && used < USES_A_TURN && disk.has_room() {
            let Some(unsaved) = self.scheduler.cache().next_given_back(&chain) else { return };
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
    pub(super) fn end_keeping(&mut self) {
        self.disk = None;
        self.scheduler.cache().set_disk(false);
        self.scheduler.end_fetches();
    }
}
