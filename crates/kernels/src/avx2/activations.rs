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
    let (eights, _) = values.as_chunks::<8>();
    let without_sign = _mm256_set1_epi32(i32::MAX);
    let mut most = _mm256_setzero_si256();
    for eight in eights {
        let bits = _mm256_and_si256(_mm256_castps_si256(load(eight)), without_sign);
        most = _mm256_max_epi32(most, bits);
    }
    let maximum_bits = integers(most).into_iter().max().expect("eight integers");
    let maximum = f32::from_bits(maximum_bits.cast_unsigned());
    if maximum < SMALLEST_MAXIMUM {
        return InputBlock::default();
    }
    let factor = _mm256_set1_ps(127.0 / maximum);
    let mut bytes = [0; BLOCK_LEN];
    for (bytes, eight) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(eights) {
        *bytes = integers(round(load(eight), factor)).map(|integer| integer as i8);
    }
    InputBlock::new(&bytes, maximum / 127.0)
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
