//! The gate under `loom`: every order in which threads can come through it.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p banter-kernels --lib interleavings`

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::gate::Gate;

/// Runs a model with few pre-emptions, which find nearly everything and end.
fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

/// A leader runs `jobs` jobs beside `workers` workers, each of which claims pieces as the pool's
/// do.
fn run(workers: usize, jobs: usize, pieces: usize) {
    let gate = Arc::new(Gate::new());
    let served: Vec<_> = (0..workers)
        .map(|_| {
            let gate = gate.clone();
            thread::spawn(move || gate.serve())
        })
        .collect();
    for _ in 0..jobs {
        // On the leader's stack, as the pool's: a worker that read it after the end would be
        // caught.
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        gate.run(&|| {
            while next.fetch_add(1, Ordering::Relaxed) < pieces {
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
        assert_eq!(done.load(Ordering::Relaxed), pieces, "every piece once, and all at the end");
    }
    gate.close();
    served.into_iter().for_each(|worker| worker.join().expect("a worker ends"));
}

#[test]
fn one_worker_and_two_jobs() {
    model(|| run(1, 2, 2));
}

#[test]
fn two_workers_and_one_job() {
    model(|| run(2, 1, 1));
}

#[test]
fn a_gate_without_jobs_lets_its_workers_go() {
    model(|| run(2, 0, 0));
}
