//! Between memory and disk: what is saved, and what is fetched before a sequence begins.

use std::time::Duration;

use super::core::Core;
use super::thread::Compute;
use crate::StopFlag;
use crate::kv_cache::disk::{Disk, Reply, Stored};
use crate::kv_cache::{GivenBack, Lease, Tenant};
use crate::scheduler::SequenceId;
use crate::text::TokenId;

/// Blocks copied from or to memory between two steps: less than a millisecond's worth.
const BLOCKS_A_TURN: usize = 8;

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
        if names.is_empty() {
            self.scheduler.end_fetch(id);
        } else {
            disk.load(id.0, names, stop.clone());
        }
    }

    /// Takes what the disk has to say, and copies some of what it brings and of what it is to keep.
    pub fn keep<C: Compute>(&mut self, compute: &mut C) {
        self.take_replies(compute);
        self.save_some(compute);
        if self.disk.as_ref().is_some_and(|disk| !disk.is_alive()) {
            self.end_keeping();
        }
    }

    /// Forgets a conversation, in memory and on disk.
    pub fn forget(&mut self, tenant: Tenant, shared_tokens: usize, tokens: &[TokenId]) {
        if let Some(disk) = &self.disk
            && let Some(chain) = disk.chain()
        {
            let lease = Lease::new(tenant, shared_tokens);
            let cache = self.scheduler.cache();
            let mut names = cache.missing_names(&lease, &[tokens, &[TokenId(0)]].concat(), chain);
            names.reverse();
            disk.forget(names);
        }
        self.scheduler.cache().forget(tenant, shared_tokens, tokens);
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
                    self.take_loaded(SequenceId(fetch), &block, compute);
                }
                Reply::FetchEnded { fetch } => {
                    self.scheduler.end_fetch(SequenceId(fetch));
                }
                Reply::Opened { .. } | Reply::Saved { .. } | Reply::Removed(_) => {
                    let blocks = self.disk.as_ref().map_or(0, Disk::blocks);
                    self.status.set_disk_blocks(blocks);
                }
            }
        }
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
        let mut copied = 0;
        while copied < BLOCKS_A_TURN && disk.has_room() {
            match self.scheduler.cache().next_given_back(&chain) {
                None => return,
                Some(GivenBack::Saved(name)) => disk.touch(name),
                Some(GivenBack::Unsaved(unsaved)) if disk.has(unsaved.name) => {
                    disk.touch(unsaved.name);
                }
                Some(GivenBack::Unsaved(unsaved)) => {
                    copied += 1;
                    disk.save(Stored {
                        name: unsaved.name,
                        parent: unsaved.parent,
                        tokens: unsaved.tokens,
                        payload: compute.read_block(unsaved.block),
                    });
                }
            }
        }
    }

    /// The disk's thread has given up.
    fn end_keeping(&mut self) {
        self.disk = None;
        self.scheduler.cache().set_disk(false);
        self.scheduler.end_fetches();
    }
}
