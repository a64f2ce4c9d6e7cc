//! The gate through which workers enter the running job.
//!
//! The leader opens the gate with a job, takes part in it, shuts the gate, and waits until the
//! workers that went in have come out. A worker that never went in is not waited for. All of this
//! is one word: the job's number, whether the gate is open, and how many workers are inside.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
#[cfg(not(loom))]
use std::time::{Duration, Instant};

use super::sync::{AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard, Slot, in_one_order};

/// A job: called by the leader and by every worker that goes in. It must not unwind.
type Job<'a> = &'a (dyn Fn() + Sync);

pub(super) struct Gate {
    state: AtomicU64,
    /// The job behind the open gate.
    job: Slot<Option<Job<'static>>>,
    /// How many threads wait on `changed`; asked before taking the lock to wake them.
    sleepers: AtomicUsize,
    lock: Mutex<()>,
    changed: Condvar,
}

// SAFETY: `job` is written only by the leader while the gate is shut and nobody is inside, and read
// only by workers inside; both are ordered by `state`.
unsafe impl Sync for Gate {}

/// The low bits of the state count the workers inside.
const INSIDE: u64 = (1 << 16) - 1;
/// The gate is open: workers may go in.
const OPEN: u64 = 1 << 16;
/// No further job will come.
const CLOSED: u64 = 1 << 17;
/// The rest counts jobs, so that a worker does not go into the same one twice.
const NUMBER_SHIFT: u32 = 18;

/// How long a thread spins before it parks. Two kernels of a step are a few microseconds apart and
/// waking a parked thread takes about fifty, so spinning as long as a wake-up costs is never more
/// than twice the best choice.
#[cfg(not(loom))]
const SPIN: Duration = Duration::from_micros(50);

impl Gate {
    pub(super) fn new() -> Gate {
        Gate {
            state: AtomicU64::new(0),
            job: Slot::new(None),
            sleepers: AtomicUsize::new(0),
            lock: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    /// Runs `job` on the caller and on every worker that comes while the caller is at it; returns
    /// when all of them have left. Only one thread may be the leader at a time.
    pub(super) fn run(&self, job: Job<'_>) {
        // SAFETY: only the lifetime changes. The reference is dropped from the slot, and every
        // worker that read it has left, before this function returns; `job` does not unwind.
        let job: Job<'static> = unsafe { std::mem::transmute::<Job<'_>, Job<'static>>(job) };
        let before = self.state.load(Ordering::Relaxed);
        assert_eq!(before & (OPEN | CLOSED | INSIDE), 0, "one job at a time");
        // SAFETY: the gate is shut and nobody is inside, so nobody reads the slot.
        self.job.with_mut(|slot| unsafe { *slot = Some(job) });
        let number = (before >> NUMBER_SHIFT) + 1;
        self.state.store((number << NUMBER_SHIFT) | OPEN, Ordering::SeqCst);
        self.wake();
        let leaving = LeaveLast(self);
        job();
        drop(leaving);
    }

    /// Serves as a worker until the gate is closed for good.
    pub(super) fn serve(&self) {
        let mut last_number = 0;
        loop {
            let is_news = |state: u64| {
                state & CLOSED != 0 || (state & OPEN != 0 && state >> NUMBER_SHIFT != last_number)
            };
            let state = self.wait_until(&is_news);
            if state & CLOSED != 0 {
                return;
            }
            let entered = state + 1;
            if self
                .state
                .compare_exchange(state, entered, Ordering::Acquire, Ordering::Relaxed)
                .is_err()
            {
                continue;
            }
            last_number = state >> NUMBER_SHIFT;
            // SAFETY: this worker is inside, so the leader neither writes the slot nor returns.
            let job = self.job.with(|slot| unsafe { *slot });
            job.expect("an open gate has a job")();
            let left = self.state.fetch_sub(1, Ordering::SeqCst) - 1;
            if left & OPEN == 0 && left & INSIDE == 0 {
                self.wake();
            }
        }
    }

    /// Tells the workers that no further job will come. Only when no job runs.
    pub(super) fn close(&self) {
        self.state.fetch_or(CLOSED, Ordering::SeqCst);
        self.wake();
    }

    /// Waits until `accept` holds of the state, which it returns: spins, then sleeps.
    fn wait_until(&self, accept: &dyn Fn(u64) -> bool) -> u64 {
        #[cfg(not(loom))]
        if let Some(state) = self.spin_until(accept) {
            return state;
        }
        let mut guard = self.locked();
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        in_one_order();
        let state = loop {
            // After announcing the sleeper: whoever changes the state later sees the announcement,
            // and takes the lock to wake, which this thread holds until it really waits.
            let state = self.state.load(Ordering::SeqCst);
            if accept(state) {
                break state;
            }
            guard = self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        };
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        state
    }

    /// Spins for a while.
    #[cfg(not(loom))]
    fn spin_until(&self, accept: &dyn Fn(u64) -> bool) -> Option<u64> {
        let begun = Instant::now();
        while begun.elapsed() < SPIN {
            for _ in 0..32 {
                let state = self.state.load(Ordering::Acquire);
                if accept(state) {
                    return Some(state);
                }
                std::hint::spin_loop();
            }
        }
        None
    }

    fn wake(&self) {
        in_one_order();
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            let _guard = self.locked();
            self.changed.notify_all();
        }
    }

    /// How many threads sleep at the gate.
    #[cfg(all(test, not(loom)))]
    pub(super) fn sleeper_count(&self) -> usize {
        self.sleepers.load(Ordering::SeqCst)
    }

    fn locked(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shuts the gate and waits for the workers inside; in a destructor, so that no way out of
/// [`Gate::run`] leaves a worker with a reference to a job that is gone.
struct LeaveLast<'a>(&'a Gate);

impl Drop for LeaveLast<'_> {
    fn drop(&mut self) {
        let gate = self.0;
        gate.state.fetch_and(!OPEN, Ordering::SeqCst);
        gate.wait_until(&|state| state & INSIDE == 0);
        // SAFETY: the gate is shut and nobody is inside, so nobody reads the slot.
        gate.job.with_mut(|slot| unsafe { *slot = None });
    }
}
