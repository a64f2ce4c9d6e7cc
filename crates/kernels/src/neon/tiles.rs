//! Sixteen rows by up to sixteen tokens, over the whole depth.
//!
//! A tile goes through in strips of four tokens: four registers a token for sixteen rows make
//! sixteen sums, which leaves half of the 32 registers for everything else.

use std::arch::aarch64::*;

use super::math::{
    PARTS, add_dot_products, load_bytes, load_integers, load_pairs, load_part,
    load_signed_integers, parts, parts_mut, store, store_bytes,
};
use crate::input_block::{InputBlock, SUM_START, SUM_START_BITS};
use crate::lanes::{LANES, Lanes};
use crate::numbers::{Bf16Pair, Number};
use crate::packing::{Bits, Format, Quantised, Scale, UnpackedBuffer, UnpackedUnit, has_quad};
use crate::strips::with_widths;
use crate::unrolled::unrolled;

#[target_feature(enable = "neon,dotprod")]
pub(crate) fn floats<T: Number>(weights: &[[T; LANES]], input: &[f32], sums: &mut [Lanes]) {
    with_widths!(sums.len(), floats_of::<_>(weights, input, sums));
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
fn floats_of<const TOKENS: usize, T: Number>(
    weights: &[[T; LANES]],
    input: &[f32],
    sums: &mut [Lanes],
    first: usize,
) {
    let mut totals = [[vdupq_n_f32(0.0); PARTS]; TOKENS];
    for (weights, input) in weights.iter().zip(input.chunks_exact(sums.len())) {
        let input: &[f32; TOKENS] = input[first..].first_chunk().expect("so many tokens are left");
        let weights = [
            load_part::<0, T>(weights),
            load_part::<1, T>(weights),
            load_part::<2, T>(weights),
            load_part::<3, T>(weights),
        ];
        for token in 0..TOKENS {
            let value = vdupq_n_f32(input[token]);
            for (total, weights) in totals[token].iter_mut().zip(weights) {
                *total = vfmaq_f32(*total, weights, value);
            }
        }
    }
    store_all(&mut sums[first..], totals);
}

#[target_feature(enable = "neon,dotprod")]
pub(crate) fn pairs(weights: &[[Bf16Pair; LANES]], input: &[Bf16Pair], sums: &mut [Lanes]) {
    with_widths!(sums.len(), pairs_of(weights, input, sums));
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
fn pairs_of<const TOKENS: usize>(
    weights: &[[Bf16Pair; LANES]],
    input: &[Bf16Pair],
    sums: &mut [Lanes],
    first: usize,
) {
    let mut totals = [[vdupq_n_f32(0.0); PARTS]; TOKENS];
    for (weights, input) in weights.iter().zip(input.chunks_exact(sums.len())) {
        let input: &[Bf16Pair; TOKENS] =
            input[first..].first_chunk().expect("so many tokens are left");
        let weights = weights.as_chunks().0;
        for (part, weights) in weights.iter().enumerate() {
            let weights = load_pairs(weights);
            for token in 0..TOKENS {
                for (weights, value) in weights.into_iter().zip(input[token].numbers()) {
                    let total = totals[token][part];
                    totals[token][part] = vfmaq_f32(total, weights, vdupq_n_f32(value));
                }
            }
        }
    }
    store_all(&mut sums[first..], totals);
}

#[target_feature(enable = "neon,dotprod")]
pub(crate) fn blocks<F: Format>(
    weights: Quantised<'_, F>,
    input: &[InputBlock],
    sums: &mut [Lanes],
) {
    with_widths!(sums.len(), blocks_of::<_>(weights, input, sums));
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
fn blocks_of<const TOKENS: usize, F: Format>(
    weights: Quantised<'_, F>,
    input: &[InputBlock],
    sums: &mut [Lanes],
    first: usize,
) {
    let mut totals = load_all::<TOKENS>(&sums[first..]);
    for ((codes, scales), inputs) in weights.units().zip(input.chunks_exact(F::BLOCKS * sums.len()))
    {
        for (block, input) in inputs.chunks_exact(sums.len()).enumerate() {
            let input = input[first..].first_chunk().expect("so many tokens are left");
            let block = Block::<F> { codes, scales, block };
            block.add_products::<TOKENS, 0>(input, &mut totals);
            block.add_products::<TOKENS, 1>(input, &mut totals);
            block.add_products::<TOKENS, 2>(input, &mut totals);
            block.add_products::<TOKENS, 3>(input, &mut totals);
        }
    }
    store_all(&mut sums[first..], totals);
}

#[target_feature(enable = "neon,dotprod")]
pub(crate) fn unpack<F: Format>(weights: Quantised<'_, F>, unpacked: &mut UnpackedBuffer) {
    let mut places = unpacked.units.iter_mut();
    for (codes, scales) in weights.units() {
        for (block, place) in (0..F::BLOCKS).zip(&mut places) {
            let block = Block::<F> { codes, scales, block };
            block.store::<0>(place);
            block.store::<1>(place);
            block.store::<2>(place);
            block.store::<3>(place);
        }
    }
}

/// A block of 32 inputs of sixteen rows.
struct Block<'a, F: Format> {
    codes: &'a F::Codes,
    scales: &'a F::Scales,
    block: usize,
}

impl<F: Format> Block<'_, F> {
    /// Adds the products of four rows with some tokens' activations.
    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    fn add_products<const TOKENS: usize, const PART: usize>(
        &self,
        input: &[InputBlock; TOKENS],
        totals: &mut [[float32x4_t; PARTS]; TOKENS],
    ) {
        let mut scaled = [vdupq_n_f32(0.0); TOKENS];
        unrolled!(GROUP in 0..2 => if GROUP < F::SCALES_PER_BLOCK {
            let scale = load_scale::<PART>(F::scale(self.scales, self.block, GROUP));
            let offset = vmulq_f32(scale, vdupq_n_f32(-SUM_START));
            let sums = self.group_sums::<TOKENS, PART, GROUP>(input);
            for token in 0..TOKENS {
                let sum = vreinterpretq_f32_s32(sums[token]);
                scaled[token] = match GROUP {
                    0 => vfmaq_f32(offset, sum, scale),
                    _ => {
                        let sum = vsubq_f32(sum, vdupq_n_f32(SUM_START));
                        vfmaq_f32(scaled[token], sum, scale)
                    }
                };
            }
        });
        for token in 0..TOKENS {
            let scale = vdupq_n_f32(input[token].scale);
            totals[token][PART] = vfmaq_f32(totals[token][PART], scaled[token], scale);
        }
        for group in 0..F::SCALES_PER_BLOCK {
            let Some(minimum) = F::minimum(self.scales, self.block, group) else { break };
            let minimum = load_scale::<PART>(minimum);
            for token in 0..TOKENS {
                let sum = vdupq_n_f32(input[token].sum_of(F::SCALES_PER_BLOCK, group));
                totals[token][PART] = vfmsq_f32(totals[token][PART], minimum, sum);
            }
        }
    }

    /// Exact sums of four rows of a scale group, without their scale, times activations, and the
    /// bits of [`SUM_START`].
    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    fn group_sums<const TOKENS: usize, const PART: usize, const GROUP: usize>(
        &self,
        input: &[InputBlock; TOKENS],
    ) -> [int32x4_t; TOKENS] {
        let mut sums = [vdupq_n_s32(SUM_START_BITS); TOKENS];
        if !is_signed::<F>() {
            for token in 0..TOKENS {
                sums[token] = vdupq_n_s32(F::start(&input[token], GROUP));
            }
        }
        unrolled!(QUAD in 0..8 => if has_quad::<F>(GROUP, QUAD) {
            let codes = self.quad::<PART>(QUAD);
            for token in 0..TOKENS {
                let four = vreinterpretq_s8_s32(vdupq_n_s32(input[token].quads[QUAD]));
                sums[token] = add_dot_products(sums[token], codes, four);
            }
        });
        sums
    }

    /// The codes of four inputs of four rows, which are signed bytes here: all but bytes are small
    /// enough to be, and bytes become weights.
    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    fn quad<const PART: usize>(&self, quad: usize) -> int8x16_t {
        let codes = self.codes::<PART>(quad);
        let bytes = if is_signed::<F>() { veorq_u8(codes, vdupq_n_u8(0x80)) } else { codes };
        vreinterpretq_s8_u8(bytes)
    }

    /// The codes of four inputs of four rows.
    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    fn codes<const PART: usize>(&self, quad: usize) -> uint8x16_t {
        let low = load_bits::<PART>(F::low(self.codes, self.block, quad), F::LOW_BITS, 0);
        if F::HIGH_BITS == 0 {
            return low;
        }
        let high = F::high(self.codes, self.block, quad);
        vorrq_u8(low, load_bits::<PART>(high, F::HIGH_BITS, F::LOW_BITS))
    }

    /// Writes four rows where they are found as `Unpacked` weights.
    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    fn store<const PART: usize>(&self, place: &mut UnpackedUnit) {
        let UnpackedUnit { codes, scales } = place;
        unrolled!(QUAD in 0..8 => {
            store_bytes(&mut codes[QUAD].as_chunks_mut().0[PART], self.codes::<PART>(QUAD));
        });
        for group in 0..F::SCALES_PER_BLOCK {
            let scale = load_scale::<PART>(F::scale(self.scales, self.block, group));
            store(&mut parts_mut(&mut scales.scales[group])[PART], scale);
            if let Some(minimum) = F::minimum(self.scales, self.block, group) {
                let minimum = load_scale::<PART>(minimum);
                store(&mut parts_mut(&mut scales.minimums[group])[PART], minimum);
            }
        }
    }
}

/// Whether codes are too large for signed bytes.
const fn is_signed<F: Format>() -> bool {
    F::MOST == 255
}

/// Some bits of four rows of a line, moved to where the lowest of them has value 2 to the `place`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn load_bits<const PART: usize>(bits: Bits<'_>, count: u32, place: u32) -> uint8x16_t {
    let line = load_bytes(&bits.line.as_chunks().0[PART]);
    if count == 8 {
        return line;
    }
    // A negative count shifts down.
    let shift = place.cast_signed() - bits.shift.cast_signed();
    let placed = vshlq_u8(line, vdupq_n_s8(shift as i8));
    vandq_u8(placed, vdupq_n_u8(((1 << count) - 1) << place))
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
fn load_scale<const PART: usize>(scale: Scale<'_>) -> float32x4_t {
    let (scales, by) = match scale {
        Scale::Plain(scales) => return load_part::<PART, _>(scales),
        Scale::Float(scales) => return load_part::<PART, _>(scales),
        Scale::Unsigned(scales, by) => (scales, load_integers(parts(by)[PART])),
        Scale::Signed(scales, by) => (scales, load_signed_integers(parts(by)[PART])),
        Scale::LowNibble(scales, by) => {
            (scales, load_integers(parts(by)[PART].map(|byte| byte & 0x0f)))
        }
        Scale::HighNibble(scales, by) => {
            (scales, load_integers(parts(by)[PART].map(|byte| byte >> 4)))
        }
    };
    vmulq_f32(load_part::<PART, _>(scales), vcvtq_f32_s32(by))
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
fn load_all<const TOKENS: usize>(sums: &[Lanes]) -> [[float32x4_t; PARTS]; TOKENS] {
    let mut totals = [[vdupq_n_f32(0.0); PARTS]; TOKENS];
    for (totals, sums) in totals.iter_mut().zip(sums) {
        *totals = [
            load_part::<0, _>(sums),
            load_part::<1, _>(sums),
            load_part::<2, _>(sums),
            load_part::<3, _>(sums),
        ];
    }
    totals
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
fn store_all<const TOKENS: usize>(sums: &mut [Lanes], totals: [[float32x4_t; PARTS]; TOKENS]) {
    for (sums, totals) in sums.iter_mut().zip(totals) {
        for (place, total) in parts_mut(sums).iter_mut().zip(totals) {
            store(place, total);
        }
    }
}
