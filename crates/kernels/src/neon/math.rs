//! Loads and stores, the exponential function, and sums over lanes.

use std::arch::aarch64::*;
use std::arch::asm;

use crate::lanes::{LANES, Lanes};
use crate::numbers::{Bf16Pair, Number, NumberLanes};
use crate::scalar::math as scalar;
use crate::scalar::math::{
    EXP_COEFFICIENTS, EXP_LEAST, EXP_MOST, LN_2_HIGH, LN_2_LOW, WEIGHT_LEAST,
};

/// What one register holds.
pub(super) const PART: usize = 4;
/// How many registers hold sixteen lanes.
pub(super) const PARTS: usize = LANES / PART;

#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn load(part: &[f32; PART]) -> float32x4_t {
    // SAFETY: four floats are readable; the load wants no alignment.
    unsafe { vld1q_f32(part.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn store(part: &mut [f32; PART], values: float32x4_t) {
    // SAFETY: four floats are writable; the store wants no alignment.
    unsafe { vst1q_f32(part.as_mut_ptr(), values) }
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn load_bytes(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: sixteen bytes are readable; the load wants no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn store_bytes(place: &mut [u8; 16], bytes: uint8x16_t) {
    // SAFETY: sixteen bytes are writable; the store wants no alignment.
    unsafe { vst1q_u8(place.as_mut_ptr(), bytes) }
}

/// Loads four bytes as integers.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn load_integers(bytes: [u8; PART]) -> int32x4_t {
    let lanes = vcreate_u8(u64::from(u32::from_le_bytes(bytes)));
    vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(lanes))))
}

/// Loads four signed bytes as integers.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn load_signed_integers(bytes: [i8; PART]) -> int32x4_t {
    let bits = u32::from_le_bytes(bytes.map(i8::cast_unsigned));
    vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(u64::from(bits)))))
}

/// Loads up to four values; the other lanes are zero.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn load_some(values: &[f32]) -> float32x4_t {
    match values.first_chunk() {
        Some(part) => load(part),
        None => {
            let mut part = [0.0; PART];
            part[..values.len()].copy_from_slice(values);
            load(&part)
        }
    }
}

/// Stores as many lanes as there are places, up to four.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn store_some(places: &mut [f32], values: float32x4_t) {
    match places.first_chunk_mut() {
        Some(part) => store(part, values),
        None => {
            let mut part = [0.0; PART];
            store(&mut part, values);
            places.copy_from_slice(&part[..places.len()]);
        }
    }
}

/// All bits set in the first `count` lanes.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn mask(count: usize) -> uint32x4_t {
    let lanes = [0, 1, 2, 3];
    // SAFETY: four integers are readable.
    let lanes = unsafe { vld1q_u32(lanes.as_ptr()) };
    vcltq_u32(lanes, vdupq_n_u32(count.min(PART) as u32))
}

/// The larger of two, lane by lane: the second where neither is.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn greater(first: float32x4_t, second: float32x4_t) -> float32x4_t {
    vbslq_f32(vcgtq_f32(first, second), first, second)
}

/// The smaller of two, lane by lane: the second where neither is.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn lesser(first: float32x4_t, second: float32x4_t) -> float32x4_t {
    vbslq_f32(vcltq_f32(first, second), first, second)
}

/// Loads four of sixteen numbers of whatever format as floats.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn load_part<const INDEX: usize, T: Number>(numbers: &[T; LANES]) -> float32x4_t {
    match T::lanes(numbers) {
        NumberLanes::F32(lanes) => load(&parts(lanes)[INDEX]),
        NumberLanes::F16(lanes) => f16_to_f32(parts(lanes)[INDEX].map(half::f16::to_bits)),
        NumberLanes::Bf16(lanes) => {
            let bits = parts(lanes)[INDEX].map(half::bf16::to_bits);
            // SAFETY: four 16-bit integers are readable.
            let bits = unsafe { vld1_u16(bits.as_ptr()) };
            vreinterpretq_f32_u32(vshll_n_u16::<16>(bits))
        }
        NumberLanes::I8(lanes) => vcvtq_f32_s32(load_signed_integers(parts(lanes)[INDEX])),
    }
}

/// Loads four pairs as floats: the first of each, and the second.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn load_pairs(pairs: &[Bf16Pair; PART]) -> [float32x4_t; 2] {
    // SAFETY: four pairs are sixteen readable bytes.
    let bits = unsafe { vld1q_u32(pairs.as_ptr().cast()) };
    let first = vandq_u32(bits, vdupq_n_u32(0xffff_0000));
    [vreinterpretq_f32_u32(first), vreinterpretq_f32_u32(vshlq_n_u32::<16>(bits))]
}

/// 16-bit floats as 32-bit ones.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn f16_to_f32(bits: [u16; PART]) -> float32x4_t {
    // SAFETY: four 16-bit integers are readable.
    let bits = unsafe { vld1_u16(bits.as_ptr()) };
    let floats: float32x4_t;
    // SAFETY: the instruction reads one register and writes another; it is part of NEON.
    unsafe {
        asm!(
            "fcvtl {floats:v}.4s, {bits:v}.4h",
            floats = lateout(vreg) floats,
            bits = in(vreg) bits,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    floats
}

/// Adds to each of four sums the products of four pairs of signed bytes.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn add_dot_products(
    sums: int32x4_t,
    weights: int8x16_t,
    activations: int8x16_t,
) -> int32x4_t {
    let mut sums = sums;
    // SAFETY: the instruction reads and writes only these registers; the features of this function
    // say that it is there.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {weights:v}.16b, {activations:v}.16b",
            sums = inout(vreg) sums,
            weights = in(vreg) weights,
            activations = in(vreg) activations,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Sixteen as four times four.
#[inline(always)]
pub(super) fn parts<T>(lanes: &[T; LANES]) -> &[[T; PART]; PARTS] {
    lanes.as_chunks().0.try_into().expect("sixteen are four times four")
}

/// Sixteen as four times four.
#[inline(always)]
pub(super) fn parts_mut<T>(lanes: &mut [T; LANES]) -> &mut [[T; PART]; PARTS] {
    lanes.as_chunks_mut().0.try_into().expect("sixteen are four times four")
}

/// `exp` of `scalar/math.rs`, four at once.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn exp(x: float32x4_t) -> float32x4_t {
    // What is not a number is neither greater nor lesser, and stays.
    let x = greater(vdupq_n_f32(EXP_LEAST), x);
    let x = lesser(vdupq_n_f32(EXP_MOST), x);
    let power = vrndnq_f32(vmulq_f32(x, vdupq_n_f32(std::f32::consts::LOG2_E)));
    let rest = vfmsq_f32(x, power, vdupq_n_f32(LN_2_HIGH));
    let rest = vfmsq_f32(rest, power, vdupq_n_f32(LN_2_LOW));
    let mut sum = vdupq_n_f32(EXP_COEFFICIENTS[0]);
    for coefficient in &EXP_COEFFICIENTS[1..] {
        sum = vfmaq_f32(vdupq_n_f32(*coefficient), sum, rest);
    }
    let exponent = vshlq_n_s32::<23>(vcvtnq_s32_f32(power));
    vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(sum), exponent))
}

/// `softmax_weight` of `scalar/math.rs`, four at once.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn softmax_weight(x: float32x4_t) -> float32x4_t {
    let is_small = vcltq_f32(x, vdupq_n_f32(WEIGHT_LEAST));
    vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(exp(x)), is_small))
}

/// `silu` of `scalar/math.rs`, four at once.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn silu(x: float32x4_t) -> float32x4_t {
    let is_small = vcltq_f32(x, vdupq_n_f32(WEIGHT_LEAST));
    let divisor = vaddq_f32(vdupq_n_f32(1.0), exp(vnegq_f32(x)));
    vdivq_f32(x, vbslq_f32(is_small, vdupq_n_f32(f32::INFINITY), divisor))
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn sum_lanes(sums: [float32x4_t; PARTS]) -> f32 {
    let mut array: Lanes = [0.0; LANES];
    for (place, part) in parts_mut(&mut array).iter_mut().zip(sums) {
        store(place, part);
    }
    scalar::sum_lanes(array)
}
