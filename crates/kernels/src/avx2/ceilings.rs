//! As many products or bytes as the instructions can make or read, to measure by.

use std::arch::x86_64::*;
use std::hint::black_box;

use super::math::load_bytes;
use crate::ceilings::CHAINS;

/// Pairs are multiplied as floats.
pub(crate) use self::float_products as pair_products;

/// Pairs of products are added in 16 bits, as for weights of 4 bits.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn int8_products(steps: usize) -> usize {
    let mut sums = [_mm256_set1_epi8(3); CHAINS];
    let weights = black_box(_mm256_set1_epi8(1));
    for _ in 0..steps {
        for sum in &mut sums {
            // Each product depends on the one before, or they would be made once for all sums.
            *sum = _mm256_add_epi16(*sum, _mm256_maddubs_epi16(*sum, weights));
        }
    }
    black_box(sums);
    steps * CHAINS * 32
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn float_products(steps: usize) -> usize {
    let mut sums = [_mm256_setzero_ps(); CHAINS];
    let (x, y) = (black_box(_mm256_set1_ps(0.5)), black_box(_mm256_set1_ps(1.5)));
    for _ in 0..steps {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, x, y);
        }
    }
    black_box(sums);
    steps * CHAINS * 8
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn read(bytes: &[u8]) {
    const AHEAD_BYTES: usize = 4096;
    let mut sums = [_mm256_setzero_si256(); 8];
    for lines in bytes.as_chunks::<256>().0 {
        for (sum, half) in sums.iter_mut().zip(lines.as_chunks::<32>().0) {
            _mm_prefetch::<_MM_HINT_T0>(half.as_ptr().wrapping_add(AHEAD_BYTES).cast());
            *sum = _mm256_xor_si256(*sum, load_bytes(half));
        }
    }
    black_box(sums);
}
