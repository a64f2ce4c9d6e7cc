//! Rounding activations to 8 bits.

use std::arch::x86_64::*;

use super::math::load;
use crate::input_block::{BLOCK_LEN, InputBlock, SMALLEST_MAXIMUM};

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn quantise(values: &[[f32; BLOCK_LEN]], blocks: &mut [InputBlock], stride: usize) {
    for (values, block) in values.iter().zip(blocks.iter_mut().step_by(stride)) {
        *block = quantise_block(values);
    }
}

#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
fn quantise_block(values: &[f32; BLOCK_LEN]) -> InputBlock {
    let [low, high] = values.as_chunks().0 else { unreachable!("32 values are twice sixteen") };
    let (low, high) = (load(low), load(high));
    let without_sign = _mm512_set1_epi32(i32::MAX);
    let low_bits = _mm512_and_si512(_mm512_castps_si512(low), without_sign);
    let high_bits = _mm512_and_si512(_mm512_castps_si512(high), without_sign);
    let maximum_bits = _mm512_reduce_max_epu32(_mm512_max_epu32(low_bits, high_bits));
    let maximum = f32::from_bits(maximum_bits);
    if maximum < SMALLEST_MAXIMUM {
        return InputBlock::default();
    }
    let factor = _mm512_set1_ps(127.0 / maximum);
    let (low, high) = (round(low, factor), round(high, factor));
    let sums = [_mm512_reduce_add_epi32(low), _mm512_reduce_add_epi32(high)];
    let bytes = _mm256_set_m128i(_mm512_cvtepi32_epi8(high), _mm512_cvtepi32_epi8(low));
    let mut quads = [0; BLOCK_LEN / 4];
    // SAFETY: eight integers are 32 writable bytes; the store wants no alignment.
    unsafe { _mm256_storeu_si256(quads.as_mut_ptr().cast(), bytes) };
    InputBlock::with_sums(quads, maximum / 127.0, sums)
}

#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
fn round(values: __m512, factor: __m512) -> __m512i {
    let scaled = _mm512_mul_ps(values, factor);
    // The second operand wins where one is not a number.
    let scaled = _mm512_max_ps(scaled, _mm512_set1_ps(-127.0));
    let scaled = _mm512_min_ps(scaled, _mm512_set1_ps(127.0));
    _mm512_cvtps_epi32(scaled)
}
