//! Rounding activations to 8 bits.

use std::arch::x86_64::*;

use super::math::load;
use crate::input_block::{BLOCK_LEN, InputBlock, SMALLEST_MAXIMUM};

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn quantise(values: &[[f32; BLOCK_LEN]], blocks: &mut [InputBlock], stride: usize) {
    for (values, block) in values.iter().zip(blocks.iter_mut().step_by(stride)) {
        *block = quantise_block(values);
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn quantise_block(values: &[f32; BLOCK_LEN]) -> InputBlock {
    let [first, second, third, last] = values.as_chunks().0 else {
        unreachable!("32 values are four times eight")
    };
    let values = [load(first), load(second), load(third), load(last)];
    let without_sign = _mm256_set1_epi32(i32::MAX);
    let mut most = _mm256_setzero_si256();
    for eight in values {
        most = _mm256_max_epi32(most, _mm256_and_si256(_mm256_castps_si256(eight), without_sign));
    }
    let maximum = f32::from_bits(largest(most).cast_unsigned());
    if maximum < SMALLEST_MAXIMUM {
        return InputBlock::default();
    }
    let factor = _mm256_set1_ps(127.0 / maximum);
    let [a, b, c, d] = values.map(|eight| round(eight, factor));
    let sums = two_sums(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
    // Packing goes on within 128 bits: four integers of each, twice.
    let bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    let in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    let quads = integers(_mm256_permutevar8x32_epi32(bytes, in_order));
    InputBlock::with_sums(quads, maximum / 127.0, sums)
}

/// The largest of eight integers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn largest(lanes: __m256i) -> i32 {
    let four = _mm_max_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256::<1>(lanes));
    let two = _mm_max_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
    _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
}

/// Eight integers added up, twice.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn two_sums(first: __m256i, last: __m256i) -> [i32; 2] {
    let pairs = _mm256_hadd_epi32(first, last);
    let fours = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs));
    let both = _mm_hadd_epi32(fours, fours);
    [_mm_cvtsi128_si32(both), _mm_extract_epi32::<1>(both)]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn round(values: __m256, factor: __m256) -> __m256i {
    let scaled = _mm256_mul_ps(values, factor);
    // The second operand wins where one is not a number.
    let scaled = _mm256_max_ps(scaled, _mm256_set1_ps(-127.0));
    let scaled = _mm256_min_ps(scaled, _mm256_set1_ps(127.0));
    _mm256_cvtps_epi32(scaled)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn integers(lanes: __m256i) -> [i32; 8] {
    let mut array = [0; 8];
    // SAFETY: eight integers are writable; the store wants no alignment.
    unsafe { _mm256_storeu_si256(array.as_mut_ptr().cast(), lanes) };
    array
}
