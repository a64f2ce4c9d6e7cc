//! What the benchmarks share: the machine's ceilings, pools, random inputs, one line per figure.
//!
//! A figure stands beside a ceiling measured in the same run on the same threads: this machine may
//! be shared, and a rate alone says nothing.

#![allow(dead_code, reason = "every benchmark uses a part of it")]

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use banter_kernels::ceilings::{PageSize, read_bytes_per_second};
use banter_kernels::{BlockType, Isa, Matrix, Pool};

/// The pools to measure: the best instruction set on 1, 2, 4 … threads, up to all.
///
/// `BANTER_BENCH_ISA` measures another set, `BANTER_BENCH_THREADS` one number of threads only.
pub fn pools() -> Vec<Pool> {
    let isa = std::env::var("BANTER_BENCH_ISA")
        .map_or(Isa::best(), |name| Isa::named(&name).unwrap_or_else(|error| panic!("{error}")));
    let all = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let counts: Vec<usize> = match std::env::var("BANTER_BENCH_THREADS") {
        Ok(count) => vec![count.parse().expect("BANTER_BENCH_THREADS is a number")],
        Err(_) => {
            (0..).map(|power| 1 << power).take_while(|&count| count < all).chain([all]).collect()
        }
    };
    let pool = |count| Pool::new(isa, NonZeroUsize::new(count).expect("at least one thread"));
    counts.into_iter().map(pool).collect()
}

/// Whether this run is to measure: `cargo bench` says so, `cargo test` only wants to see it start.
pub fn is_asked_to_measure() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The shortest of many runs, in seconds: what the machine can do when nobody disturbs it.
pub fn seconds(mut work: impl FnMut()) -> f64 {
    work();
    let begun = Instant::now();
    let mut shortest = f64::INFINITY;
    let mut runs = 0;
    while runs < 5 || begun.elapsed() < Duration::from_millis(400) {
        let start = Instant::now();
        work();
        shortest = shortest.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    shortest
}

/// GB/s of reading memory like that of the weights.
pub fn read_ceiling(pool: &Pool) -> f64 {
    read_bytes_per_second(pool, PageSize::Huge).expect("memory for the benchmark").best / 1e9
}

/// Prints one figure beside its ceiling.
pub fn report(what: &str, pool: &Pool, rate: f64, unit: &str, ceiling: f64) {
    let (isa, threads) = (pool.isa().name(), pool.threads());
    let part = 100.0 * rate / ceiling;
    println!(
        "{what:<44} {isa:<12} {threads:>2} threads {rate:>8.1} {unit} of {ceiling:>7.1} = {part:>5.1} %"
    );
}

/// Reproducible numbers in -1..1 (a linear congruential generator: only speed is measured).
pub fn numbers(count: usize) -> Vec<f32> {
    let mut state = 1_u64;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// A matrix of some plausible weights.
pub fn weights(pool: &Pool, kind: BlockType, rows: usize, depth: usize) -> Matrix {
    let row_bytes = kind.row_bytes(depth).expect("a depth of whole blocks");
    let mut row = vec![0; row_bytes];
    banter_kernels::quantise(kind, &numbers(depth), &mut row);
    let matrix = Matrix::load::<Infallible>(pool, kind, rows, depth, &|_, buffer| {
        buffer.chunks_exact_mut(row_bytes).for_each(|bytes| bytes.copy_from_slice(&row));
        Ok(())
    });
    matrix.expect("memory for the matrix")
}
