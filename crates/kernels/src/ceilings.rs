//! What the machine can do at most, measured: products of an instruction set on registers alone,
//! and reading memory.
//!
//! Machines are shared and differ, so a speed is reported beside its ceiling from the same minute.

use std::time::{Duration, Instant};

use crate::isa::dispatch;
use crate::memory::{AllocError, Memory};
use crate::pool::Pool;

/// In what pages memory lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageSize {
    /// The processor's own, 4 KiB on x86-64: what a program gets that asks for nothing.
    Small,
    /// 2 MiB where the system grants them: what weights lie in.
    Huge,
}

/// How often a second something was done, in many runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Of the median run: compare medians of other work with this.
    pub median: f64,
    /// Of the shortest run: what the machine can do when nothing else runs on it.
    pub best: f64,
}

/// How many independent sums run side by side: more than latency × throughput of any instruction
/// here, and few enough for sixteen registers.
pub(crate) const CHAINS: usize = 12;
/// How often each sum is added to in one piece: some tens of microseconds.
const STEPS: usize = 10_000;
/// How many pieces one measurement has for each thread, so that one that wakes late costs little.
const PIECES_PER_THREAD: usize = 16;

/// Memory far beyond the caches.
const MEMORY_BYTES: usize = 512 << 20;
/// What one measurement reads: little enough to go undisturbed, each another part of the whole.
const WINDOW_BYTES: usize = 64 << 20;
const PIECE_BYTES: usize = 256 << 10;

/// Multiply-adds of 8-bit integers a second, on all threads of a pool.
///
/// What the pool's instruction set has for them, as the kernels use it, without loads and scales.
pub fn int8_products_per_second(pool: &Pool) -> Rate {
    products_per_second(pool, &|| dispatch!(pool.isa(), ceilings::int8_products(STEPS)))
}

/// Multiply-adds of 32-bit floats a second, on all threads of a pool.
pub fn float_products_per_second(pool: &Pool) -> Rate {
    products_per_second(pool, &|| dispatch!(pool.isa(), ceilings::float_products(STEPS)))
}

/// Multiply-adds of BF16 pairs a second, on all threads of a pool; a pair counts as two. Where the
/// instruction set has no instruction for pairs, the rate of floats.
pub fn pair_products_per_second(pool: &Pool) -> Rate {
    products_per_second(pool, &|| dispatch!(pool.isa(), ceilings::pair_products(STEPS)))
}

/// Bytes a second of reading memory far larger than the caches, on all threads of a pool.
///
/// Errors: half a gigabyte is not there.
pub fn read_bytes_per_second(pool: &Pool, pages: PageSize) -> Result<Rate, AllocError> {
    let mut memory = match pages {
        PageSize::Small => Memory::zeroed_in_small_pages(MEMORY_BYTES)?,
        PageSize::Huge => Memory::zeroed(MEMORY_BYTES)?,
    };
    memory.fill(1);
    let mut windows = memory.chunks_exact(WINDOW_BYTES).cycle();
    Ok(rate(WINDOW_BYTES, || {
        let window = windows.next().expect("the windows go round");
        pool.run(WINDOW_BYTES / PIECE_BYTES, &|piece| {
            let bytes = &window[piece * PIECE_BYTES..][..PIECE_BYTES];
            dispatch!(pool.isa(), ceilings::read(bytes));
        });
    }))
}

fn products_per_second(pool: &Pool, work: &(dyn Fn() -> usize + Sync)) -> Rate {
    let pieces = pool.threads() * PIECES_PER_THREAD;
    let products = work() * pieces;
    rate(products, || {
        pool.run(pieces, &|_| {
            work();
        });
    })
}

/// How often a second something is done that a run does `count` times.
fn rate(count: usize, mut run: impl FnMut()) -> Rate {
    const LEAST_RUNS: usize = 5;
    const AT_LEAST: Duration = Duration::from_millis(400);
    run();
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < LEAST_RUNS || begun.elapsed() < AT_LEAST {
        let start = Instant::now();
        run();
        times.push(start.elapsed());
    }
    times.sort();
    let rate = |time: Duration| count as f64 / time.as_secs_f64();
    Rate { median: rate(times[times.len() / 2]), best: rate(times[0]) }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::isa::Isa;

    #[test]
    fn every_instruction_set_says_how_many_products_it_made() {
        for isa in Isa::available() {
            for products in [
                dispatch!(isa, ceilings::int8_products(3)),
                dispatch!(isa, ceilings::float_products(3)),
                dispatch!(isa, ceilings::pair_products(3)),
            ] {
                assert!(products.is_multiple_of(3 * CHAINS) && products > 0, "{isa:?}");
            }
            dispatch!(isa, ceilings::read(&[1; 5000]));
        }
    }

    #[test]
    fn ceilings_are_measured_on_all_threads() {
        let pool = Pool::new(Isa::best(), NonZeroUsize::new(2).expect("two"));
        let products = products_per_second(&pool, &|| 7);
        assert!(
            products.median > 0.0 && products.best >= products.median && products.best.is_finite()
        );
    }
}
