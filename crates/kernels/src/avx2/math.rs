//! Loads and stores, the exponential function, and sums over lanes.

use std::arch::x86_64::*;

use crate::lanes::{LANES, Lanes};
use crate::numbers::{Bf16Pair, Number, NumberLanes};
use crate::scalar::math as scalar;
use crate::scalar::math::{
    EXP_COEFFICIENTS, EXP_LEAST, EXP_MOST, LN_2_HIGH, LN_2_LOW, WEIGHT_LEAST,
};

/// What one register holds.
pub(super) const HALF: usize = LANES / 2;

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn load(half: &[f32; HALF]) -> __m256 {
    // SAFETY: eight floats are readable; the load wants no alignment.
    unsafe { _mm256_loadu_ps(half.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn store(half: &mut [f32; HALF], values: __m256) {
    // SAFETY: eight floats are writable; the store wants no alignment.
    unsafe { _mm256_storeu_ps(half.as_mut_ptr(), values) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn load_bytes(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are readable; the load wants no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn store_bytes(place: &mut [u8; 32], bytes: __m256i) {
    // SAFETY: 32 bytes are writable; the store wants no alignment.
    unsafe { _mm256_storeu_si256(place.as_mut_ptr().cast(), bytes) }
}

/// Makes the compiler compute a value here and hold it in a register.
///
/// Left to itself it reorders the unrolled loops of a tile until their sums no longer fit into the
/// sixteen registers; that cost a fifth of the speed.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn keep_in_register(mut value: __m256i) -> __m256i {
    // SAFETY: there are no instructions in it.
    unsafe {
        std::arch::asm!("/* {0} */", inout(ymm_reg) value, options(nomem, nostack, preserves_flags));
    }
    value
}

/// Loads eight bytes as integers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn load_integers(bytes: &[u8; HALF]) -> __m256i {
    // SAFETY: eight bytes are readable; the load wants no alignment.
    _mm256_cvtepu8_epi32(unsafe { _mm_loadl_epi64(bytes.as_ptr().cast()) })
}

/// Loads eight signed bytes as integers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn load_signed_integers(bytes: &[i8; HALF]) -> __m256i {
    // SAFETY: as above.
    _mm256_cvtepi8_epi32(unsafe { _mm_loadl_epi64(bytes.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_bits<T: Number>(numbers: &[T; HALF]) -> __m128i {
    const { assert!(size_of::<T>() == 2) };
    // SAFETY: eight 16-bit numbers are readable; the load wants no alignment.
    unsafe { _mm_loadu_si128(numbers.as_ptr().cast()) }
}

/// Loads eight of sixteen pairs as floats: the first of each, and the second.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn load_pairs(pairs: &[Bf16Pair; LANES], half: usize) -> [__m256; 2] {
    let pairs: &[Bf16Pair; HALF] = &pairs.as_chunks().0[half];
    // SAFETY: eight pairs are 32 readable bytes; the load wants no alignment.
    let bits = unsafe { _mm256_loadu_si256(pairs.as_ptr().cast()) };
    let first = _mm256_and_si256(bits, _mm256_set1_epi32(0xffff_0000_u32.cast_signed()));
    let second = _mm256_slli_epi32::<16>(bits);
    [_mm256_castsi256_ps(first), _mm256_castsi256_ps(second)]
}

/// Loads up to eight values; the other lanes are zero.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn load_some(values: &[f32]) -> __m256 {
    match values.first_chunk() {
        Some(half) => load(half),
        None => {
            let mut half = [0.0; HALF];
            half[..values.len()].copy_from_slice(values);
            load(&half)
        }
    }
}

/// Stores as many lanes as there are places, up to eight.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn store_some(places: &mut [f32], values: __m256) {
    match places.first_chunk_mut() {
        Some(half) => store(half, values),
        None => {
            let mut half = [0.0; HALF];
            store(&mut half, values);
            places.copy_from_slice(&half[..places.len()]);
        }
    }
}

/// All bits set in the first `count` lanes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn mask(count: usize) -> __m256 {
    let count = i32::try_from(count.min(HALF)).expect("at most eight");
    let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(count), lanes))
}

/// Loads eight of sixteen numbers of whatever format as floats: the first or the second half.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn load_half<T: Number>(numbers: &[T; LANES], half: usize) -> __m256 {
    match T::lanes(numbers) {
        NumberLanes::F32(lanes) => load(&halves(lanes)[half]),
        NumberLanes::F16(lanes) => _mm256_cvtph_ps(load_bits(&halves(lanes)[half])),
        NumberLanes::Bf16(lanes) => {
            let bits = _mm256_cvtepu16_epi32(load_bits(&halves(lanes)[half]));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))
        }
        NumberLanes::I8(lanes) => _mm256_cvtepi32_ps(load_signed_integers(&halves(lanes)[half])),
    }
}

/// Sixteen as two times eight.
#[inline(always)]
pub(super) fn halves<T>(lanes: &[T; LANES]) -> &[[T; HALF]; 2] {
    lanes.as_chunks().0.try_into().expect("sixteen are twice eight")
}

/// Sixteen as two times eight.
#[inline(always)]
pub(crate) fn halves_mut<T>(lanes: &mut [T; LANES]) -> &mut [[T; HALF]; 2] {
    lanes.as_chunks_mut().0.try_into().expect("sixteen are twice eight")
}

/// `exp` of `scalar/math.rs`, eight at once.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn exp(x: __m256) -> __m256 {
    // The second operand wins where one is not a number.
    let x = _mm256_max_ps(_mm256_set1_ps(EXP_LEAST), x);
    let x = _mm256_min_ps(_mm256_set1_ps(EXP_MOST), x);
    let power = _mm256_mul_ps(x, _mm256_set1_ps(std::f32::consts::LOG2_E));
    let power = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(power);
    let rest = _mm256_fnmadd_ps(power, _mm256_set1_ps(LN_2_HIGH), x);
    let rest = _mm256_fnmadd_ps(power, _mm256_set1_ps(LN_2_LOW), rest);
    let mut sum = _mm256_set1_ps(EXP_COEFFICIENTS[0]);
    for coefficient in &EXP_COEFFICIENTS[1..] {
        sum = _mm256_fmadd_ps(sum, rest, _mm256_set1_ps(*coefficient));
    }
    let exponent = _mm256_slli_epi32::<23>(_mm256_cvtps_epi32(power));
    _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(sum), exponent))
}

/// `softmax_weight` of `scalar/math.rs`, eight at once.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn softmax_weight(x: __m256) -> __m256 {
    let is_small = _mm256_cmp_ps::<_CMP_LT_OQ>(x, _mm256_set1_ps(WEIGHT_LEAST));
    _mm256_andnot_ps(is_small, exp(x))
}

/// `silu` of `scalar/math.rs`, eight at once.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn silu(x: __m256) -> __m256 {
    let is_small = _mm256_cmp_ps::<_CMP_LT_OQ>(x, _mm256_set1_ps(WEIGHT_LEAST));
    let divisor = _mm256_add_ps(_mm256_set1_ps(1.0), exp(_mm256_xor_ps(x, _mm256_set1_ps(-0.0))));
    _mm256_div_ps(x, _mm256_blendv_ps(divisor, _mm256_set1_ps(f32::INFINITY), is_small))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn sum_lanes(halves: [__m256; 2]) -> f32 {
    let mut array: Lanes = [0.0; LANES];
    for (place, half) in halves_mut(&mut array).iter_mut().zip(halves) {
        store(place, half);
    }
    scalar::sum_lanes(array)
}
