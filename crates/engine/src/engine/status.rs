//! What the outside may know of the thread without asking it.
//!
//! The thread writes, everybody reads; only the number of those who wait is written by both sides,
//! because a request must be refused before it reaches the thread, the flag that ends a draft's
//! step is raised by whoever asks for an answer, and what is to be forgotten must not wait for room
//! in the inbox.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::StopFlag;
use crate::origin::Origin;
use crate::sync::{AtomicU64, AtomicUsize, Mutex};

/// Whether the engine's thread moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// It ended a step or looked into its inbox less than [`LONGEST_SILENCE`] ago.
    pub is_alive: bool,
    /// How long ago that was.
    pub silent_for: Duration,
}

/// After this long without a sign the thread counts as stuck. A step is sized to take half a
/// second; the first, whose size nothing was measured for, may take some on a slow machine.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(30);

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
    /// Layers that began for a sequence after its stop flag was raised, in all.
    pub layers_after_stop: u64,
    /// Tokens that were guessed and computed, in all.
    pub guesses: u64,
    /// Those of them that the answers went on with.
    pub guesses_held: u64,
    /// Tokens of prompts that were computed for answers, in all.
    pub prompt_tokens: u64,
    /// Tokens of prompts that were found computed already.
    pub cached_tokens: u64,
    /// Tokens computed for drafts, in all.
    pub drafted: u64,
    /// Those of them that a request then began with.
    pub drafts_used: u64,
    /// Those of them that no longer fit what was typed.
    pub drafts_wasted: u64,
    /// Pauses between two words of an answer, in all: up to each of [`GAP_BOUNDS`], and longer ones.
    pub gaps: [u64; GAP_BOUNDS.len() + 1],
    /// How long they were together.
    pub gap_sum: Duration,
    /// Steps with more rows of prompts than their answers can bear.
    pub slow_steps: u64,
    /// What a step of one row of an answer seems to take now, the level by which prompts and guesses are
    /// paced; zero before anything was measured.
    pub step_level: Duration,
    /// How many sizes of steps of answers were tried lately, so that what they take is known.
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

/// How pauses between two words are told apart.
pub const GAP_BOUNDS: [Duration; 7] = [
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1_600),
];

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
    started_at: Instant,
    queue_limit: usize,
    total_blocks: usize,
    waiting: AtomicUsize,
    running: AtomicUsize,
    free_blocks: AtomicUsize,
    layers_after_stop: AtomicU64,
    guesses: AtomicU64,
    guesses_held: AtomicU64,
    prompt_tokens: AtomicU64,
    cached_tokens: AtomicU64,
    drafted: AtomicU64,
    drafts_used: AtomicU64,
    drafts_wasted: AtomicU64,
    /// Errands on their way to the thread.
    errands: AtomicUsize,
    /// Raised to end the step of a draft.
    draft_stop: Mutex<StopFlag>,
    /// What the thread forgets before it takes in another request.
    forgets: Mutex<HashSet<Origin>>,
    gaps: [AtomicU64; GAP_BOUNDS.len() + 1],
    gap_sum_ns: AtomicU64,
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
    /// [`UNKNOWN`] as long as it is not known.
    estimate_ms: AtomicU64,
    last_beat_ms: AtomicU64,
}

/// A place in the queue, from a request's arrival until it is admitted or ends; dropping it gives
/// it back.
#[derive(Debug)]
pub struct QueuePlace(Arc<Status>);

impl Drop for QueuePlace {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Something on its way to the thread; dropping it makes room for another.
#[derive(Debug)]
pub struct ErrandPlace(Arc<Status>);

impl Drop for ErrandPlace {
    fn drop(&mut self) {
        self.0.errands.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What the thread may be told at once beside requests: drafts, of which another is left out as the
/// next key press brings a better one, and that something is to be forgotten, which it sees in any
/// case when it takes in the next.
pub const ERRANDS: usize = 16;

/// Conversations that may wait to be forgotten. At the limit their tenants are forgotten as a
/// whole: too much is computed again, but nothing stays that should not.
const FORGETS: usize = 1_024;

/// Stands for an estimate that there is none of: a wait of half a billion years.
const UNKNOWN: u64 = u64::MAX;

/// The queue has no place left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull {
    /// The place a request would have had.
    pub position: usize,
    /// How long it would have waited, if that is known.
    pub estimate_ms: Option<u64>,
}

impl Status {
    /// The status of a thread that is about to start.
    pub fn new(queue_limit: usize, total_blocks: usize, now: Instant) -> Status {
        Status {
            started_at: now,
            queue_limit,
            total_blocks,
            waiting: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            free_blocks: AtomicUsize::new(total_blocks),
            layers_after_stop: AtomicU64::new(0),
            guesses: AtomicU64::new(0),
            guesses_held: AtomicU64::new(0),
            prompt_tokens: AtomicU64::new(0),
            cached_tokens: AtomicU64::new(0),
            drafted: AtomicU64::new(0),
            drafts_used: AtomicU64::new(0),
            drafts_wasted: AtomicU64::new(0),
            errands: AtomicUsize::new(0),
            draft_stop: Mutex::new(StopFlag::new()),
            forgets: Mutex::new(HashSet::new()),
            gaps: Default::default(),
            gap_sum_ns: AtomicU64::new(0),
            slow_steps: AtomicU64::new(0),
            step_level_ns: AtomicU64::new(0),
            tried_sizes: AtomicUsize::new(0),
            disk_blocks: AtomicUsize::new(0),
            fetched_blocks: AtomicU64::new(0),
            steps: AtomicU64::new(0),
            planning_ns: AtomicU64::new(0),
            computing_ns: AtomicU64::new(0),
            delivering_ns: AtomicU64::new(0),
            estimate_ms: AtomicU64::new(UNKNOWN),
            last_beat_ms: AtomicU64::new(0),
        }
    }

    /// Takes a place in the queue.
    pub fn join_queue(self: &Arc<Status>) -> Result<QueuePlace, QueueFull> {
        let join = |waiting: usize| (waiting < self.queue_limit).then_some(waiting + 1);
        match self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, join) {
            Ok(_) => Ok(QueuePlace(self.clone())),
            Err(waiting) => Err(QueueFull {
                position: waiting + 1,
                estimate_ms: Some(self.estimate_ms.load(Ordering::Relaxed))
                    .filter(|estimate_ms| *estimate_ms != UNKNOWN),
            }),
        }
    }

    /// Publishes what the thread knows.
    pub fn publish(&self, running: usize, free_blocks: usize, estimate_ms: Option<u64>) {
        self.running.store(running, Ordering::Relaxed);
        self.free_blocks.store(free_blocks, Ordering::Relaxed);
        self.estimate_ms.store(estimate_ms.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// Adds layers that began after a stop.
    pub fn add_layers_after_stop(&self, layers: usize) {
        self.layers_after_stop.fetch_add(layers as u64, Ordering::Relaxed);
    }

    /// Adds guesses that were computed, and how many of them held.
    pub fn add_guesses(&self, guesses: usize, held: usize) {
        self.guesses.fetch_add(guesses as u64, Ordering::Relaxed);
        self.guesses_held.fetch_add(held as u64, Ordering::Relaxed);
    }

    /// Takes a place for something the thread is told beside requests; none if there is much already.
    pub fn join_errands(self: &Arc<Status>) -> Option<ErrandPlace> {
        let join = |errands: usize| (errands < ERRANDS).then_some(errands + 1);
        self.errands.fetch_update(Ordering::AcqRel, Ordering::Acquire, join).ok()?;
        Some(ErrandPlace(self.clone()))
    }

    /// Asks the thread to forget a conversation, or a whole tenant, before it takes in another
    /// request.
    pub fn add_forget(&self, meant: Origin) {
        let mut forgets = self.forgets.lock().unwrap_or_else(PoisonError::into_inner);
        forgets.insert(meant);
        if forgets.len() > FORGETS {
            *forgets = forgets.iter().map(|meant| meant.tenant.into()).collect();
        }
    }

    /// Takes what is to be forgotten.
    pub fn take_forgets(&self) -> HashSet<Origin> {
        std::mem::take(&mut *self.forgets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets [`Status::interrupt_draft`] raise this flag from now on.
    pub fn set_draft_stop(&self, stop: StopFlag) {
        *self.draft_stop.lock().unwrap_or_else(PoisonError::into_inner) = stop;
    }

    /// Puts what somebody asks for into the thread's inbox, as `send` does, and then ends the step of a draft,
    /// if one is computed. Whoever looks into the inbox after [`Status::set_draft_stop`] misses nothing.
    pub fn hand_in<E>(&self, send: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        send()?;
        self.interrupt_draft();
        Ok(())
    }

    /// Ends the step of a draft, if one is computed.
    pub fn interrupt_draft(&self) {
        self.draft_stop.lock().unwrap_or_else(PoisonError::into_inner).raise();
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

    /// Adds tokens computed for drafts, those that a request began with, and those that served nobody.
    pub fn add_drafted(&self, computed: usize, used: usize, wasted: usize) {
        self.drafted.fetch_add(computed as u64, Ordering::Relaxed);
        self.drafts_used.fetch_add(used as u64, Ordering::Relaxed);
        self.drafts_wasted.fetch_add(wasted as u64, Ordering::Relaxed);
    }

    /// Adds a pause between two words.
    pub fn add_gap(&self, gap: Duration) {
        let place = GAP_BOUNDS.partition_point(|bound| *bound < gap);
        self.gaps[place].fetch_add(1, Ordering::Relaxed);
        add_time(&self.gap_sum_ns, gap);
    }

    /// Adds a step with more rows of prompts than its answers can bear.
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

    /// The thread moves.
    pub fn beat(&self, now: Instant) {
        self.last_beat_ms.store(self.since_start_ms(now), Ordering::Release);
    }

    /// Whether the thread moved lately.
    pub fn heartbeat(&self, now: Instant) -> Heartbeat {
        let last_beat_ms = self.last_beat_ms.load(Ordering::Acquire);
        let silent_for =
            Duration::from_millis(self.since_start_ms(now).saturating_sub(last_beat_ms));
        Heartbeat { is_alive: silent_for < LONGEST_SILENCE, silent_for }
    }

    /// How busy the thread is.
    pub fn counters(&self) -> Counters {
        Counters {
            free_blocks: self.free_blocks.load(Ordering::Relaxed),
            total_blocks: self.total_blocks,
            running: self.running.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
            layers_after_stop: self.layers_after_stop.load(Ordering::Relaxed),
            guesses: self.guesses.load(Ordering::Relaxed),
            guesses_held: self.guesses_held.load(Ordering::Relaxed),
            prompt_tokens: self.prompt_tokens.load(Ordering::Relaxed),
            cached_tokens: self.cached_tokens.load(Ordering::Relaxed),
            drafted: self.drafted.load(Ordering::Relaxed),
            drafts_used: self.drafts_used.load(Ordering::Relaxed),
            drafts_wasted: self.drafts_wasted.load(Ordering::Relaxed),
            gaps: self.gaps.each_ref().map(|gaps| gaps.load(Ordering::Relaxed)),
            gap_sum: Duration::from_nanos(self.gap_sum_ns.load(Ordering::Relaxed)),
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

    fn since_start_ms(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.started_at);
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
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
    use crate::origin::{ConversationId, Tenant};

    #[test]
    fn the_queue_has_as_many_places_as_it_may() {
        let status = Arc::new(Status::new(2, 10, Instant::now()));
        status.publish(1, 3, Some(700));
        let first = status.join_queue().expect("two places are free");
        let _second = status.join_queue().expect("one place is free");
        let full = QueueFull { position: 3, estimate_ms: Some(700) };
        assert_eq!(status.join_queue().err(), Some(full));
        assert_eq!(status.counters().waiting, 2);
        drop(first);
        assert_eq!(status.counters().waiting, 1);
        status.join_queue().expect("one place is free again");
    }

    #[test]
    fn too_many_conversations_to_forget_become_their_tenants() {
        let status = Status::new(1, 1, Instant::now());
        let meant = |conversation| Origin {
            tenant: Tenant(conversation % 2),
            conversation: Some(ConversationId(conversation)),
        };
        (0..FORGETS as u64).for_each(|conversation| status.add_forget(meant(conversation)));
        assert_eq!(status.take_forgets().len(), FORGETS);
        assert!(status.take_forgets().is_empty(), "each is taken once");
        (0..=FORGETS as u64).for_each(|conversation| status.add_forget(meant(conversation)));
        let tenants: HashSet<Origin> = [Tenant(0).into(), Tenant(1).into()].into();
        assert_eq!(status.take_forgets(), tenants);
    }

    #[test]
    fn a_silent_thread_counts_as_stuck_after_a_while() {
        let start = Instant::now();
        let status = Status::new(1, 1, start);
        status.beat(start + Duration::from_secs(5));
        let alive = status.heartbeat(start + Duration::from_secs(5) + LONGEST_SILENCE / 2);
        assert_eq!(alive, Heartbeat { is_alive: true, silent_for: LONGEST_SILENCE / 2 });
        let stuck = status.heartbeat(start + Duration::from_secs(5) + LONGEST_SILENCE);
        assert!(!stuck.is_alive);
    }
}
