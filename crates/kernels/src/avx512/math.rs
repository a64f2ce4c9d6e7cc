//! Loads and stores, the exponential function, and sums over lanes.

use std::arch::x86_64::*;

use crate::lanes::{LANES, Lanes};
use crate::numbers::{Bf16Pair, Number, NumberLanes};
use crate::scalar::math as scalar;
use crate::scalar::math::{
    EXP_COEFFICIENTS, EXP_LEAST, EXP_MOST, LN_2_HIGH, LN_2_LOW, WEIGHT_LEAST,
};

#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn load(lanes: &Lanes) -> __m512 {
    // SAFETY: sixteen floats are readable; the load wants no alignment.
    unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn store(lanes: &mut Lanes, values: __m512) {
    // SAFETY: sixteen floats are writable; the store wants no alignment.
    unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), values) }
}

#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn load_line(line: &[u8; 64]) -> __m512i {
    // SAFETY: 64 bytes are readable; the load wants no alignment.
    unsafe { _mm512_loadu_si512(line.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn store_line(line: &mut [u8; 64], bytes: __m512i) {
    // SAFETY: 64 bytes are writable; the store wants no alignment.
    unsafe { _mm512_storeu_si512(line.as_mut_ptr().cast(), bytes) }
}

/// Makes the compiler compute a value here and hold it in a register.
///
/// Left to itself it moves the products of one token between those of another until the sums of a
/// tile no longer fit into the 32 registers.
#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn keep_in_register(mut value: __m512i) -> __m512i {
    // SAFETY: there are no instructions in it.
    unsafe {
        std::arch::asm!("/* {0} */", inout(zmm_reg) value, options(nomem, nostack, preserves_flags));
    }
    value
}

/// Loads sixteen bytes as integers.
#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn load_bytes(bytes: &[u8; LANES]) -> __m512i {
    // SAFETY: sixteen bytes are readable; the load wants no alignment.
    _mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

/// Loads sixteen signed bytes as integers.
#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn load_signed_bytes(bytes: &[i8; LANES]) -> __m512i {
    // SAFETY: as above.
    _mm512_cvtepi8_epi32(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

/// Loads up to sixteen values; the other lanes are zero.
#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn load_some(values: &[f32]) -> __m512 {
    // SAFETY: the mask keeps the load within the slice.
    unsafe { _mm512_maskz_loadu_ps(mask(values.len()), values.as_ptr()) }
}

/// Stores as many lanes as there are places, up to sixteen.
#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn store_some(places: &mut [f32], values: __m512) {
    // SAFETY: the mask keeps the store within the slice.
    unsafe { _mm512_mask_storeu_ps(places.as_mut_ptr(), mask(places.len()), values) }
}

/// The first `count` lanes of sixteen.
pub(super) fn mask(count: usize) -> __mmask16 {
    if count >= LANES { !0 } else { (1 << count) - 1 }
}

/// Loads sixteen numbers of whatever format as floats.
#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn load_numbers<T: Number>(numbers: &[T; LANES]) -> __m512 {
    match T::lanes(numbers) {
        NumberLanes::F32(lanes) => load(lanes),
        NumberLanes::F16(lanes) => {
            // SAFETY: sixteen 16-bit numbers are readable; the load wants no alignment.
            let bits = unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) };
            _mm512_cvtph_ps(bits)
        }
        NumberLanes::Bf16(lanes) => {
            // SAFETY: as above.
            let bits = unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) };
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits)))
        }
        NumberLanes::I8(lanes) => _mm512_cvtepi32_ps(load_signed_bytes(lanes)),
    }
}

/// Loads sixteen pairs as they are.
#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn load_pairs(pairs: &[Bf16Pair; LANES]) -> __m512i {
    // SAFETY: sixteen pairs are 64 readable bytes; the load wants no alignment.
    unsafe { _mm512_loadu_si512(pairs.as_ptr().cast()) }
}

/// `exp` of `scalar/math.rs`, sixteen at once.
#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn exp(x: __m512) -> __m512 {
    // The second operand wins where one is not a number.
    let x = _mm512_max_ps(_mm512_set1_ps(EXP_LEAST), x);
    let x = _mm512_min_ps(_mm512_set1_ps(EXP_MOST), x);
    let power = _mm512_mul_ps(x, _mm512_set1_ps(std::f32::consts::LOG2_E));
    let power = _mm512_roundscale_ps::<_MM_FROUND_TO_NEAREST_INT>(power);
    let rest = _mm512_fnmadd_ps(power, _mm512_set1_ps(LN_2_HIGH), x);
    let rest = _mm512_fnmadd_ps(power, _mm512_set1_ps(LN_2_LOW), rest);
    let mut sum = _mm512_set1_ps(EXP_COEFFICIENTS[0]);
    for coefficient in &EXP_COEFFICIENTS[1..] {
        sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(*coefficient));
    }
    let exponent = _mm512_slli_epi32::<23>(_mm512_cvtps_epi32(power));
    _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(sum), exponent))
}

/// `softmax_weight` of `scalar/math.rs`, sixteen at once.
#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn softmax_weight(x: __m512) -> __m512 {
    let is_small = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, _mm512_set1_ps(WEIGHT_LEAST));
    _mm512_maskz_mov_ps(!is_small, exp(x))
}

/// `silu` of `scalar/math.rs`, sixteen at once.
#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn silu(x: __m512) -> __m512 {
    let is_small = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, _mm512_set1_ps(WEIGHT_LEAST));
    let divisor = _mm512_add_ps(_mm512_set1_ps(1.0), exp(_mm512_xor_ps(x, _mm512_set1_ps(-0.0))));
    let infinite = _mm512_set1_ps(f32::INFINITY);
    _mm512_div_ps(x, _mm512_mask_mov_ps(divisor, is_small, infinite))
}

#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn sum_lanes(lanes: __m512) -> f32 {
    let mut array = [0.0; LANES];
    store(&mut array, lanes);
    scalar::sum_lanes(array)
}
