//! Worker threads that run one job at a time, in pieces.
//!
//! A job is a number of pieces and a function of the piece's index. The caller takes part and the
//! workers help: pieces are claimed from one counter, so a worker that the system pre-empts delays
//! one piece and not the job, and a worker that wakes late finds no piece and delays nobody.
//! Between jobs workers spin for as long as two kernels of a step are apart, then park.
//!
//! Which thread runs a piece decides no result: kernels split rows, heads and tokens, never a sum.

mod gate;
mod sync;

use std::any::Any;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::isa::Isa;
use gate::Gate;

/// Threads to run kernels on, and the instruction set they use.
pub struct Pool {
    isa: Isa,
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// What the caller and the workers both see.
struct Shared {
    gate: Gate,
    /// A job is running. A job that is started meanwhile runs on its caller alone.
    busy: AtomicBool,
    /// The next piece that nobody has claimed.
    next_piece: AtomicUsize,
    /// Asked before each piece whether jobs end early.
    cancel: Mutex<Option<Cancel>>,
    /// The first panic of the running job.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// Polled before each piece of a job; once it returns true, the remaining pieces are skipped.
pub type Cancel = Arc<dyn Fn() -> bool + Send + Sync>;

/// How much nicer than the rest of the process workers are, so that sockets and the page stay
/// quick when every core computes.
const WORKER_NICENESS: i32 = 2;

impl Pool {
    /// Starts `threads - 1` workers; the caller of [`Pool::run`] is the remaining thread.
    ///
    /// If the system refuses a thread, the pool works with the threads that it got.
    pub fn new(isa: Isa, threads: NonZeroUsize) -> Pool {
        let shared = Arc::new(Shared {
            gate: Gate::new(),
            busy: AtomicBool::new(false),
            next_piece: AtomicUsize::new(0),
            cancel: Mutex::new(None),
            panic: Mutex::new(None),
        });
        let workers = (1..threads.get()).map_while(|index| start_worker(index, &shared).ok());
        Pool { isa, workers: workers.collect(), shared }
    }

    /// The instruction set every kernel uses on this pool.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// How many threads run a job, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// From now on `cancel` can end jobs early; without one, jobs always run to their end. The
    /// results of a job that was cancelled are worthless, and so is what follows from them.
    pub fn cancel_when(&self, cancel: Option<Cancel>) {
        *self.shared.cancel.lock().unwrap_or_else(PoisonError::into_inner) = cancel;
    }

    /// Runs `work(piece)` once for every piece in `0..pieces`. Returns when all are done, or
    /// skipped as [`Pool::cancel_when`] says.
    ///
    /// Pieces run in any order, on the caller and the workers. A job that is started while another
    /// one runs on the same pool (from inside a piece, or from another thread) runs on its caller
    /// alone.
    ///
    /// Panics if a piece panicked, with the first panic; pieces that have not begun are then
    /// skipped.
    pub fn run(&self, pieces: usize, work: &(dyn Fn(usize) + Sync)) {
        let cancel = self.shared.cancel.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_cancelled = || cancel.as_ref().is_some_and(|cancel| cancel());
        let alone = pieces <= 1 || self.workers.is_empty();
        if alone || self.shared.busy.swap(true, Ordering::Acquire) {
            (0..pieces).take_while(|_| !is_cancelled()).for_each(work);
            return;
        }
        self.shared.next_piece.store(0, Ordering::Relaxed);
        let piece_loop = || self.shared.run_pieces(pieces, work, &is_cancelled);
        self.shared.gate.run(&piece_loop);
        let panic = self.shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.shared.busy.store(false, Ordering::Release);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.gate.close();
        for worker in self.workers.drain(..) {
            worker.join().expect("workers catch the panics of their pieces");
        }
    }
}

impl Shared {
    /// Claims and runs pieces until none is left or the job is cancelled. Never unwinds: a panic is
    /// kept for the caller.
    fn run_pieces(
        &self,
        pieces: usize,
        work: &(dyn Fn(usize) + Sync),
        is_cancelled: &(dyn Fn() -> bool + Sync),
    ) {
        loop {
            let piece = self.next_piece.fetch_add(1, Ordering::Relaxed);
            if piece >= pieces {
                return;
            }
            let run_piece = || {
                let go_on = !is_cancelled();
                if go_on {
                    work(piece);
                }
                go_on
            };
            // What a panicking piece left half done is the caller's, who unwinds as well.
            let outcome = catch_unwind(AssertUnwindSafe(run_piece));
            if matches!(outcome, Ok(false)) {
                self.next_piece.store(pieces, Ordering::Relaxed);
            }
            if let Err(panic) = outcome {
                self.next_piece.store(pieces, Ordering::Relaxed);
                self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
            }
        }
    }
}

fn start_worker(index: usize, shared: &Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new().name(format!("kernels-{index}")).spawn(move || {
        be_nicer();
        shared.gate.serve();
    })
}

/// Lowers the calling thread's priority where the system allows it.
fn be_nicer() {
    // On Linux the priority belongs to the thread; elsewhere this would slow the whole process.
    #[cfg(target_os = "linux")]
    // SAFETY: both calls read and write only the calling thread's own priority; a refusal changes
    // nothing.
    unsafe {
        let niceness = libc::getpriority(libc::PRIO_PROCESS, 0);
        libc::setpriority(libc::PRIO_PROCESS, 0, niceness.saturating_add(WORKER_NICENESS));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = WORKER_NICENESS;
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod interleavings;
