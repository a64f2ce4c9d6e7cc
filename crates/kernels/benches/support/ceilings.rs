//! What the machine can do at most, measured: products of its instructions on registers alone, and
//! reading memory.

use std::alloc::Layout;
use std::hint::black_box;

use banter_kernels::Pool;

use super::seconds;

/// How many accumulators run side by side: more than latency × throughput of any instruction here.
const CHAINS: usize = 12;
const STEPS: usize = 200_000;

/// Int8 products per nanosecond (10⁹ a second) on all threads of a pool.
pub fn int8_products(pool: &Pool) -> f64 {
    let per_step = match pool.isa().name() {
        #[cfg(target_arch = "x86_64")]
        "avx512-vnni" => return rate(pool, 64, x86::vnni_chains_512),
        #[cfg(target_arch = "x86_64")]
        "avx512-vnni-256" => return rate(pool, 32, x86::vnni_chains_evex),
        #[cfg(target_arch = "x86_64")]
        "avx-vnni" => return rate(pool, 32, x86::vnni_chains_vex),
        #[cfg(target_arch = "x86_64")]
        "avx2" => return rate(pool, 32, x86::maddubs_chains),
        _ => 1,
    };
    rate(pool, per_step, scalar_chains)
}

/// Float multiply-adds per nanosecond on all threads of a pool.
pub fn float_products(pool: &Pool) -> f64 {
    match pool.isa().name() {
        #[cfg(target_arch = "x86_64")]
        "avx512-vnni" => rate(pool, 16, x86::fma_chains_512),
        #[cfg(target_arch = "x86_64")]
        "avx2" | "avx512-vnni-256" | "avx-vnni" => rate(pool, 8, x86::fma_chains_256),
        _ => rate(pool, 1, scalar_chains),
    }
}

/// GB/s of reading memory far larger than the caches on all threads of a pool.
pub fn memory_reads(pool: &Pool) -> f64 {
    const PIECE: usize = 256 << 10;
    // One measurement reads little enough to go undisturbed, each another part of the whole.
    const WINDOW: usize = 32 << 20;
    let bytes = huge_pages(512 << 20);
    let mut windows = bytes.chunks_exact(WINDOW).cycle();
    let read: fn(&[u8]) = match pool.isa().name() {
        #[cfg(target_arch = "x86_64")]
        "avx512-vnni" => x86::read_512,
        _ => |bytes| {
            let sum =
                bytes.as_chunks().0.iter().fold(0, |sum, word| sum ^ u64::from_ne_bytes(*word));
            black_box(sum);
        },
    };
    let time = seconds(|| {
        let window = windows.next().expect("it never ends");
        pool.run(WINDOW / PIECE, &|piece| read(&window[piece * PIECE..][..PIECE]));
    });
    WINDOW as f64 / time / 1e9
}

/// Memory like that of the weights, never given back: a benchmark ends soon.
fn huge_pages(bytes: usize) -> &'static [u8] {
    let layout = Layout::from_size_align(bytes, 2 << 20).expect("a power of two");
    // SAFETY: the layout is not empty; the advice concerns only what was just allocated, which is
    // written whole before it is read.
    unsafe {
        let start = std::alloc::alloc(layout);
        assert!(!start.is_null(), "memory for the benchmark");
        #[cfg(target_os = "linux")]
        libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE);
        start.write_bytes(1, bytes);
        std::slice::from_raw_parts(start, bytes)
    }
}

/// Runs the chains on every thread at once.
fn rate(pool: &Pool, lanes: usize, chains: fn()) -> f64 {
    // More pieces than threads, so that a thread that wakes late costs little.
    let pieces = pool.threads() * 8;
    let time = seconds(|| pool.run(pieces, &|_| chains()));
    (pieces * STEPS * CHAINS * lanes) as f64 / time / 1e9
}

fn scalar_chains() {
    let mut sums = [0_i32; CHAINS];
    for step in 0..STEPS {
        for sum in &mut sums {
            *sum = black_box(*sum).wrapping_add(black_box(step as i32).wrapping_mul(3));
        }
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    use super::{CHAINS, STEPS};

    /// Dot products of bytes in registers of some width.
    macro_rules! vnni_chains {
        ($name:ident, $features:literal, $zero:ident, $set:ident, $dot_product:ident) => {
            pub fn $name() {
                #[target_feature(enable = $features)]
                fn chains() {
                    let mut sums = [$zero(); CHAINS];
                    let (x, y) = (black_box($set(3)), black_box($set(1)));
                    for _ in 0..STEPS {
                        for sum in &mut sums {
                            *sum = $dot_product(*sum, x, y);
                        }
                    }
                    black_box(sums);
                }
                // SAFETY: called only for a pool whose instruction set was detected.
                unsafe { chains() }
            }
        };
    }
    vnni_chains!(
        vnni_chains_512,
        "avx512vnni",
        _mm512_setzero_si512,
        _mm512_set1_epi8,
        _mm512_dpbusd_epi32
    );
    vnni_chains!(
        vnni_chains_evex,
        "avx512vnni,avx512vl",
        _mm256_setzero_si256,
        _mm256_set1_epi8,
        _mm256_dpbusd_epi32
    );
    vnni_chains!(
        vnni_chains_vex,
        "avxvnni",
        _mm256_setzero_si256,
        _mm256_set1_epi8,
        _mm256_dpbusd_avx_epi32
    );

    pub fn read_512(bytes: &[u8]) {
        #[target_feature(enable = "avx512f")]
        fn read(bytes: &[u8]) {
            let mut sums = [_mm512_setzero_si512(); 8];
            for lines in bytes.as_chunks::<512>().0 {
                for (sum, line) in sums.iter_mut().zip(lines.as_chunks::<64>().0) {
                    let address = line.as_ptr();
                    _mm_prefetch::<_MM_HINT_T0>(address.wrapping_add(4096).cast());
                    // SAFETY: 64 bytes are readable; the load wants no alignment.
                    let line = unsafe { _mm512_loadu_si512(address.cast()) };
                    *sum = _mm512_xor_si512(*sum, line);
                }
            }
            black_box(sums);
        }
        // SAFETY: called only for a pool whose instruction set was detected.
        unsafe { read(bytes) }
    }

    pub fn maddubs_chains() {
        #[target_feature(enable = "avx2")]
        fn chains() {
            let mut sums = [_mm256_setzero_si256(); CHAINS];
            let (x, y) = (_mm256_set1_epi8(3), _mm256_set1_epi8(1));
            let ones = black_box(_mm256_set1_epi16(1));
            for _ in 0..STEPS {
                for sum in &mut sums {
                    let pairs = _mm256_maddubs_epi16(black_box(x), y);
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
                }
            }
            black_box(sums);
        }
        // SAFETY: called only for a pool whose instruction set was detected.
        unsafe { chains() }
    }

    pub fn fma_chains_512() {
        #[target_feature(enable = "avx512f")]
        fn chains() {
            let mut sums = [_mm512_setzero_ps(); CHAINS];
            let (x, y) = (black_box(_mm512_set1_ps(0.5)), black_box(_mm512_set1_ps(1.5)));
            for _ in 0..STEPS {
                for sum in &mut sums {
                    *sum = _mm512_fmadd_ps(*sum, x, y);
                }
            }
            black_box(sums);
        }
        // SAFETY: called only for a pool whose instruction set was detected.
        unsafe { chains() }
    }

    pub fn fma_chains_256() {
        #[target_feature(enable = "avx2,fma")]
        fn chains() {
            let mut sums = [_mm256_setzero_ps(); CHAINS];
            let (x, y) = (black_box(_mm256_set1_ps(0.5)), black_box(_mm256_set1_ps(1.5)));
            for _ in 0..STEPS {
                for sum in &mut sums {
                    *sum = _mm256_fmadd_ps(*sum, x, y);
                }
            }
            black_box(sums);
        }
        // SAFETY: called only for a pool whose instruction set was detected.
        unsafe { chains() }
    }
}
