//! What the outside may know of the thread without asking it: how busy it is, and that it moves.
//!
//! The thread writes, everybody reads.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::drafts::DraftTokens;
use super::inbox::Inbox;
use crate::Pulse;
use crate::sync::{AtomicU64, AtomicUsize};

/// Whether the engine's thread moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// It began a layer of a step or looked into its inbox less than [`LONGEST_SILENCE`] ago.
    pub is_alive: bool,
    /// How long ago that was.
    pub silent_for: Duration,
}

/// After this long without a sign the thread counts as stuck. A whole step is sized to take half a
/// second, and each of its layers is a sign.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(8);

/// How busy the engine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Blocks of the cache that nobody owns.
    pub free_blocks: usize,
    /// Blocks of the cache.
    pub total_blocks: usize,
    /// Sequences that have blocks.
    pub running: usize,
    /// Requests not yet admitted.
    pub waiting: usize,
    /// How long a request that comes now would wait, in milliseconds, if that is known.
    pub wait_estimate_ms: Option<u64>,
    /// Layers that began for a sequence after its stop flag was raised, in all.
    pub layers_after_stop: u64,
    /// Guesses that were computed, in all.
    pub guesses: u64,
    /// Guesses that were accepted, in all.
    pub guesses_accepted: u64,
    /// Tokens of prompts that were computed for answers, in all.
    pub prompt_tokens: u64,
    /// Tokens of prompts that were found computed already.
    pub cached_tokens: u64,
    /// Tokens computed for drafts, in all.
    pub drafts_computed: u64,
    /// Of these, tokens that a request then began with.
    pub drafts_used: u64,
    /// Of these, tokens that no longer fitted what was typed.
    pub drafts_wasted: u64,
    /// Steps with so many rows of prompts that their answers came late.
    pub slow_steps: u64,
    /// What a step of one row of an answer seems to take now; prompts and guesses are paced by it.
    /// Zero before anything was measured.
    pub step_level: Duration,
    /// How many sizes of steps without prompts were measured lately.
    pub tried_sizes: usize,
    /// Blocks that are on disk.
    pub disk_blocks: usize,
    /// Blocks that came from there, in all.
    pub fetched_blocks: u64,
    /// Steps that were computed, in all.
    pub steps: u64,
    /// Time they took to end, admit and plan.
    pub planning: Duration,
    /// Time of their forward passes.
    pub computing: Duration,
    /// Time they took to sample, to turn tokens into text and to tell.
    pub delivering: Duration,
}

/// Where the time of a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepTimes {
    /// Ending, admitting, planning.
    pub planning: Duration,
    /// The forward pass.
    pub computing: Duration,
    /// Sampling, turning tokens into text, telling.
    pub delivering: Duration,
}

/// Shared by the thread and the handle.
#[derive(Debug)]
pub struct Status {
    inbox: Arc<Inbox>,
    total_blocks: usize,
    running: AtomicUsize,
    free_blocks: AtomicUsize,
    layers_after_stop: AtomicU64,
    guesses: AtomicU64,
    guesses_accepted: AtomicU64,
    prompt_tokens: AtomicU64,
    cached_tokens: AtomicU64,
    drafts_computed: AtomicU64,
    drafts_used: AtomicU64,
    drafts_wasted: AtomicU64,
    slow_steps: AtomicU64,
    step_level_ns: AtomicU64,
    tried_sizes: AtomicUsize,
    /// One more than there are; 0 until the folder is open.
    disk_blocks: AtomicUsize,
    fetched_blocks: AtomicU64,
    steps: AtomicU64,
    planning_ns: AtomicU64,
    computing_ns: AtomicU64,
    delivering_ns: AtomicU64,
    pulse: Pulse,
}

impl Status {
    /// The status of a thread that is about to start.
    pub fn new(queue_limit: usize, total_blocks: usize, now: Instant) -> Status {
        Status {
            inbox: Arc::new(Inbox::new(queue_limit)),
            total_blocks,
            running: AtomicUsize::new(0),
            free_blocks: AtomicUsize::new(total_blocks),
            layers_after_stop: AtomicU64::new(0),
            guesses: AtomicU64::new(0),
            guesses_accepted: AtomicU64::new(0),
            prompt_tokens: AtomicU64::new(0),
            cached_tokens: AtomicU64::new(0),
            drafts_computed: AtomicU64::new(0),
            drafts_used: AtomicU64::new(0),
            drafts_wasted: AtomicU64::new(0),
            slow_steps: AtomicU64::new(0),
            step_level_ns: AtomicU64::new(0),
            tried_sizes: AtomicUsize::new(0),
            disk_blocks: AtomicUsize::new(0),
            fetched_blocks: AtomicU64::new(0),
            steps: AtomicU64::new(0),
            planning_ns: AtomicU64::new(0),
            computing_ns: AtomicU64::new(0),
            delivering_ns: AtomicU64::new(0),
            pulse: Pulse::new(now),
        }
    }

    /// How the outside reaches the thread.
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// Publishes what the thread knows.
    pub fn publish(&self, running: usize, free_blocks: usize, estimate_ms: Option<u64>) {
        self.running.store(running, Ordering::Relaxed);
        self.free_blocks.store(free_blocks, Ordering::Relaxed);
        self.inbox.set_estimate(estimate_ms);
    }

    /// Adds layers that began after a stop.
    pub fn add_layers_after_stop(&self, layers: usize) {
        self.layers_after_stop.fetch_add(layers as u64, Ordering::Relaxed);
    }

    /// Adds guesses that were computed, and how many of them were accepted.
    pub fn add_guesses(&self, guesses: usize, accepted: usize) {
        self.guesses.fetch_add(guesses as u64, Ordering::Relaxed);
        self.guesses_accepted.fetch_add(accepted as u64, Ordering::Relaxed);
    }

    /// Adds an answer that began: tokens of its prompt, and those of them that were there.
    pub fn add_prompt(&self, tokens: usize, cached: usize) {
        self.prompt_tokens.fetch_add((tokens - cached) as u64, Ordering::Relaxed);
        self.cached_tokens.fetch_add(cached as u64, Ordering::Relaxed);
    }

    /// Says how many blocks are on disk, where the folder is open.
    pub fn set_disk_blocks(&self, blocks: usize) {
        self.disk_blocks.store(blocks + 1, Ordering::Relaxed);
    }

    /// How many blocks are on disk; none where no folder is open.
    pub fn disk_blocks(&self) -> Option<usize> {
        self.disk_blocks.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Adds a block that came from disk.
    pub fn add_fetched_block(&self) {
        self.fetched_blocks.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds tokens of drafts.
    pub fn add_drafts(&self, tokens: DraftTokens) {
        self.drafts_computed.fetch_add(tokens.computed as u64, Ordering::Relaxed);
        self.drafts_used.fetch_add(tokens.used as u64, Ordering::Relaxed);
        self.drafts_wasted.fetch_add(tokens.wasted as u64, Ordering::Relaxed);
    }

    /// Adds a step with so many rows of prompts that its answers come late.
    pub fn add_slow_step(&self) {
        self.slow_steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Says what a step of one row seems to take, and how many sizes of steps are known.
    pub fn set_step_costs(&self, level: Duration, sizes: usize) {
        self.step_level_ns.store(nanoseconds(level), Ordering::Relaxed);
        self.tried_sizes.store(sizes, Ordering::Relaxed);
    }

    /// Adds a step.
    pub fn add_step(&self, times: StepTimes) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        add_time(&self.planning_ns, times.planning);
        add_time(&self.computing_ns, times.computing);
        add_time(&self.delivering_ns, times.delivering);
    }

    /// The pulse of the thread.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Whether the thread moved lately.
    pub fn heartbeat(&self, now: Instant) -> Heartbeat {
        let silent_for = self.pulse.silent_for(now);
        Heartbeat { is_alive: silent_for < LONGEST_SILENCE, silent_for }
    }

    /// How busy the thread is.
    pub fn counters(&self) -> Counters {
        Counters {
            free_blocks: self.free_blocks.load(Ordering::Relaxed),
            total_blocks: self.total_blocks,
            running: self.running.load(Ordering::Relaxed),
            waiting: self.inbox.waiting(),
            wait_estimate_ms: self.inbox.estimate_ms(),
            layers_after_stop: self.layers_after_stop.load(Ordering::Relaxed),
            guesses: self.guesses.load(Ordering::Relaxed),
            guesses_accepted: self.guesses_accepted.load(Ordering::Relaxed),
            prompt_tokens: self.prompt_tokens.load(Ordering::Relaxed),
            cached_tokens: self.cached_tokens.load(Ordering::Relaxed),
            drafts_computed: self.drafts_computed.load(Ordering::Relaxed),
            drafts_used: self.drafts_used.load(Ordering::Relaxed),
            drafts_wasted: self.drafts_wasted.load(Ordering::Relaxed),
            slow_steps: self.slow_steps.load(Ordering::Relaxed),
            step_level: Duration::from_nanos(self.step_level_ns.load(Ordering::Relaxed)),
            tried_sizes: self.tried_sizes.load(Ordering::Relaxed),
            disk_blocks: self.disk_blocks().unwrap_or_default(),
            fetched_blocks: self.fetched_blocks.load(Ordering::Relaxed),
            steps: self.steps.load(Ordering::Relaxed),
            planning: Duration::from_nanos(self.planning_ns.load(Ordering::Relaxed)),
            computing: Duration::from_nanos(self.computing_ns.load(Ordering::Relaxed)),
            delivering: Duration::from_nanos(self.delivering_ns.load(Ordering::Relaxed)),
        }
    }
}

fn add_time(sum: &AtomicU64, time: Duration) {
    sum.fetch_add(nanoseconds(time), Ordering::Relaxed);
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_thread_counts_as_stuck_after_a_while() {
        let start = Instant::now();
        let status = Status::new(1, 1, start);
        status.pulse().beat(start + Duration::from_secs(5));
        let alive = status.heartbeat(start + Duration::from_secs(5) + LONGEST_SILENCE / 2);
        assert_eq!(alive, Heartbeat { is_alive: true, silent_for: LONGEST_SILENCE / 2 });
        let stuck = status.heartbeat(start + Duration::from_secs(5) + LONGEST_SILENCE);
        assert!(!stuck.is_alive);
    }
}
