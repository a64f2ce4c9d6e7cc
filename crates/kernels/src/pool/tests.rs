use std::sync::atomic::AtomicU32;
use std::thread;

use super::*;

fn pool(threads: usize) -> Pool {
    Pool::new(Isa::scalar(), NonZeroUsize::new(threads).expect("not zero"))
}

#[test]
fn every_piece_runs_exactly_once() {
    for threads in 1..=4 {
        let pool = pool(threads);
        for pieces in [0, 1, 2, 3, 17, 1000] {
            let counts: Vec<AtomicU32> = (0..pieces).map(|_| AtomicU32::new(0)).collect();
            pool.run(pieces, &|piece| {
                counts[piece].fetch_add(1, Ordering::Relaxed);
            });
            let all_once = counts.iter().all(|count| count.load(Ordering::Relaxed) == 1);
            assert!(all_once, "{threads} threads, {pieces} pieces");
        }
    }
}

#[test]
fn many_short_jobs_see_the_writes_of_the_jobs_before() {
    let pool = pool(3);
    let sums: Vec<AtomicUsize> = (0..7).map(|_| AtomicUsize::new(0)).collect();
    const JOBS: usize = 20_000;
    for job in 0..JOBS {
        pool.run(sums.len(), &|piece| {
            // Relaxed and not an addition: correct only if a job happens after the one before.
            let seen = sums[piece].load(Ordering::Relaxed);
            assert_eq!(seen, job);
            sums[piece].store(seen + 1, Ordering::Relaxed);
        });
    }
    assert!(sums.iter().all(|sum| sum.load(Ordering::Relaxed) == JOBS));
}

#[test]
fn the_caller_returns_only_when_the_workers_are_done() {
    let pool = pool(2);
    let caller = thread::current().id();
    let both = std::sync::Barrier::new(2);
    for _ in 0..20 {
        let worker_done = AtomicBool::new(false);
        pool.run(2, &|_| {
            both.wait();
            if thread::current().id() != caller {
                (0..1000).for_each(|_| thread::yield_now());
                worker_done.store(true, Ordering::Relaxed);
            }
        });
        assert!(worker_done.into_inner());
    }
}

#[test]
fn workers_that_parked_wake_for_the_next_job() {
    let pool = pool(2);
    for _ in 0..3 {
        // Both pieces must run at the same time: each waits for the other.
        let arrived = std::sync::Barrier::new(2);
        pool.run(2, &|_| {
            arrived.wait();
        });
        while pool.shared.gate.sleeper_count() == 0 {
            thread::yield_now();
        }
    }
}

#[test]
fn a_panic_in_a_piece_reaches_the_caller_and_the_pool_goes_on() {
    for threads in 1..=3 {
        let pool = pool(threads);
        for bad_piece in [0, 5, 99] {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                pool.run(100, &|piece| assert_ne!(piece, bad_piece, "the bad piece"));
            }));
            let panic = outcome.expect_err("the piece panicked");
            let message = panic.downcast_ref::<String>().expect("assert_ne formats its message");
            assert!(message.contains("the bad piece"), "{threads} threads: {message}");
            let done = AtomicUsize::new(0);
            pool.run(10, &|_| {
                done.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(done.into_inner(), 10, "{threads} threads");
        }
    }
}

#[test]
fn a_job_started_inside_a_piece_runs() {
    let pool = pool(2);
    let done = AtomicUsize::new(0);
    pool.run(4, &|_| {
        pool.run(5, &|_| {
            done.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(done.into_inner(), 20);
}

#[test]
fn two_callers_share_a_pool() {
    let pool = pool(2);
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..500 {
                    pool.run(3, &|_| {
                        done.fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
        }
    });
    assert_eq!(done.into_inner(), 2 * 500 * 3);
}

#[test]
fn dropping_a_pool_ends_its_workers_parked_or_not() {
    for threads in 1..=4 {
        let pool = pool(threads);
        let shared = Arc::clone(&pool.shared);
        drop(pool);
        assert_eq!(Arc::strong_count(&shared), 1, "{threads} threads");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn workers_are_nicer_than_the_thread_that_made_the_pool() {
    // SAFETY: reads the calling thread's own priority.
    let niceness = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    const NICEST: i32 = 19;
    let pool = pool(2);
    let seen = Mutex::new(Vec::new());
    let both = std::sync::Barrier::new(2);
    pool.run(2, &|_| {
        both.wait();
        seen.lock().expect("no piece panics").push(niceness());
    });
    let mut seen = seen.into_inner().expect("no piece panics");
    seen.sort_unstable();
    assert_eq!(seen, [niceness(), (niceness() + WORKER_NICENESS).min(NICEST)]);
}

#[test]
fn a_job_is_left_when_it_is_asked_to_be() {
    for threads in 1..=3 {
        let pool = pool(threads);
        let done = Arc::new(AtomicUsize::new(0));
        let seen = done.clone();
        pool.cancel_when(Some(Arc::new(move || seen.load(Ordering::SeqCst) >= 5)));
        let run = |pieces| {
            pool.run(pieces, &|_| {
                done.fetch_add(1, Ordering::SeqCst);
            });
            done.load(Ordering::SeqCst)
        };
        let ran = run(1_000);
        assert!((5..5 + threads).contains(&ran), "{threads} threads: {ran} pieces");
        assert_eq!(run(1), ran, "later jobs are cancelled at once");
        pool.cancel_when(None);
        assert_eq!(run(1_000), ran + 1_000, "{threads} threads");
    }
}

#[test]
fn a_panic_of_whoever_asks_whether_to_cancel_reaches_the_caller() {
    for threads in 1..=2 {
        let pool = pool(threads);
        pool.cancel_when(Some(Arc::new(|| panic!("cannot say"))));
        let outcome = catch_unwind(AssertUnwindSafe(|| pool.run(10, &|_| ())));
        assert!(outcome.is_err(), "{threads} threads");
        pool.cancel_when(None);
        pool.run(10, &|_| ());
    }
}
