//! As many products or bytes as the instructions can make or read, to measure by.

use std::arch::x86_64::*;
use std::hint::black_box;

use super::math::load_line;
use crate::ceilings::CHAINS;

/// Pairs are multiplied as floats.
pub(crate) use self::float_products as pair_products;

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn int8_products(steps: usize) -> usize {
    let mut sums = [_mm512_setzero_si512(); CHAINS];
    let (x, y) = (black_box(_mm512_set1_epi8(3)), black_box(_mm512_set1_epi8(1)));
    for _ in 0..steps {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, x, y);
        }
    }
    black_box(sums);
    steps * CHAINS * 64
}

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn float_products(steps: usize) -> usize {
    let mut sums = [_mm512_setzero_ps(); CHAINS];
    let (x, y) = (black_box(_mm512_set1_ps(0.5)), black_box(_mm512_set1_ps(1.5)));
    for _ in 0..steps {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, x, y);
        }
    }
    black_box(sums);
    steps * CHAINS * 16
}

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn read(bytes: &[u8]) {
    const AHEAD_BYTES: usize = 4096;
    let mut sums = [_mm512_setzero_si512(); 8];
    for lines in bytes.as_chunks::<512>().0 {
        for (sum, line) in sums.iter_mut().zip(lines.as_chunks::<64>().0) {
            _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().wrapping_add(AHEAD_BYTES).cast());
            *sum = _mm512_xor_si512(*sum, load_line(line));
        }
    }
    black_box(sums);
}
