//! Sixteen rows by up to sixteen tokens, over the whole depth.
//!
//! A tile goes through in strips of four tokens: two registers a token for sixteen rows make eight
//! sums, which leaves half of the sixteen registers for everything else.

use std::arch::x86_64::*;

use super::math::{
    halves, halves_mut, keep_in_register, load, load_bytes, load_half, load_integers, load_pairs,
    load_signed_integers, store, store_bytes,
};
use crate::input_block::{InputBlock, SUM_START};
use crate::lanes::{LANES, Lanes};
use crate::numbers::{Bf16Pair, Number};
use crate::packing::{Bits, Format, Quantised, Scale, UnpackedBuffer, UnpackedUnit, has_quad};
use crate::prefetch::{Cache, ask_ahead};
use crate::strips::with_widths;
use crate::unrolled::unrolled;

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn floats<T: Number>(weights: &[[T; LANES]], input: &[f32], sums: &mut [Lanes]) {
    with_widths!(sums.len(), floats_of::<_>(weights, input, sums));
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn floats_of<const TOKENS: usize, T: Number>(
    weights: &[[T; LANES]],
    input: &[f32],
    sums: &mut [Lanes],
    first: usize,
) {
    let mut totals = [[_mm256_setzero_ps(); 2]; TOKENS];
    for (weights, input) in weights.iter().zip(input.chunks_exact(sums.len())) {
        let input: &[f32; TOKENS] = input[first..].first_chunk().expect("so many tokens are left");
        if first == 0 {
            ask_ahead(weights, size_of_val(weights), Cache::First);
        }
        let weights = [load_half(weights, 0), load_half(weights, 1)];
        for token in 0..TOKENS {
            let value = _mm256_set1_ps(input[token]);
            totals[token][0] = _mm256_fmadd_ps(weights[0], value, totals[token][0]);
            totals[token][1] = _mm256_fmadd_ps(weights[1], value, totals[token][1]);
        }
    }
    store_all(&mut sums[first..], totals);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn pairs(weights: &[[Bf16Pair; LANES]], input: &[Bf16Pair], sums: &mut [Lanes]) {
    with_widths!(sums.len(), pairs_of(weights, input, sums));
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn pairs_of<const TOKENS: usize>(
    weights: &[[Bf16Pair; LANES]],
    input: &[Bf16Pair],
    sums: &mut [Lanes],
    first: usize,
) {
    let mut totals = [[_mm256_setzero_ps(); 2]; TOKENS];
    for (weights, input) in weights.iter().zip(input.chunks_exact(sums.len())) {
        let input: &[Bf16Pair; TOKENS] =
            input[first..].first_chunk().expect("so many tokens are left");
        if first == 0 {
            ask_ahead(weights, size_of_val(weights), Cache::First);
        }
        let weights = [load_pairs(weights, 0), load_pairs(weights, 1)];
        for token in 0..TOKENS {
            let values = input[token].numbers();
            for number in 0..2 {
                let value = _mm256_set1_ps(values[number]);
                for half in 0..2 {
                    let total = totals[token][half];
                    totals[token][half] = _mm256_fmadd_ps(weights[half][number], value, total);
                }
            }
        }
    }
    store_all(&mut sums[first..], totals);
}

/// The kernel of quantised weights, for features that are at least AVX2's, from a function that
/// sums the products of a scale group with some tokens, and one that says whether those sums start
/// with [`SUM_START`] or with nothing.
macro_rules! block_kernels {
    ($features:literal, $group_sums:ident, $has_start:ident) => {
        #[target_feature(enable = $features)]
        pub(crate) fn blocks<F: Format>(
            weights: Quantised<'_, F>,
            input: &[InputBlock],
            sums: &mut [Lanes],
        ) {
            with_widths!(sums.len(), blocks_of::<_>(weights, input, sums));
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn blocks_of<const TOKENS: usize, F: Format>(
            weights: Quantised<'_, F>,
            input: &[InputBlock],
            sums: &mut [Lanes],
            first: usize,
        ) {
            let mut totals = load_all::<TOKENS>(&sums[first..]);
            for ((codes, scales), inputs) in
                weights.units().zip(input.chunks_exact(F::BLOCKS * sums.len()))
            {
                for (block, input) in inputs.chunks_exact(sums.len()).enumerate() {
                    let input = input[first..].first_chunk().expect("so many tokens are left");
                    if F::STREAMS && first == 0 {
                        Quantised::<F>::ask_ahead(codes, block, Cache::First);
                    }
                    let block = Block::<F> { codes, scales, block };
                    add_products(&block, input, &mut totals);
                }
            }
            store_all(&mut sums[first..], totals);
        }

        /// Adds the products of a block with some tokens' activations.
        #[inline]
        #[target_feature(enable = $features)]
        fn add_products<const TOKENS: usize, F: Format>(
            block: &Block<'_, F>,
            input: &[InputBlock; TOKENS],
            totals: &mut [Halves; TOKENS],
        ) {
            let mut scaled = [[_mm256_setzero_ps(); 2]; TOKENS];
            unrolled!(GROUP in 0..2 => if GROUP < F::SCALES_PER_BLOCK {
                let sums = $group_sums::<TOKENS, GROUP, F>(block, input);
                for half in 0..2 {
                    let scale = block.scale(GROUP, half);
                    let offset = _mm256_mul_ps(scale, _mm256_set1_ps(-SUM_START));
                    for token in 0..TOKENS {
                        let sum = sums[token][half];
                        let float = to_float(sum, $has_start::<F>());
                        scaled[token][half] = match GROUP {
                            0 if F::SCALES_PER_BLOCK == 1 && $has_start::<F>() => {
                                _mm256_fmadd_ps(_mm256_castsi256_ps(sum), scale, offset)
                            }
                            0 => _mm256_mul_ps(float, scale),
                            _ => _mm256_fmadd_ps(float, scale, scaled[token][half]),
                        };
                    }
                }
            });
            for token in 0..TOKENS {
                let scale = _mm256_set1_ps(input[token].scale);
                for half in 0..2 {
                    let total = totals[token][half];
                    totals[token][half] = _mm256_fmadd_ps(scaled[token][half], scale, total);
                }
            }
            for group in 0..F::SCALES_PER_BLOCK {
                for half in 0..2 {
                    let Some(minimum) = block.minimum(group, half) else { return };
                    for token in 0..TOKENS {
                        let sum = _mm256_set1_ps(input[token].sum_of(F::SCALES_PER_BLOCK, group));
                        let total = totals[token][half];
                        totals[token][half] = _mm256_fnmadd_ps(minimum, sum, total);
                    }
                }
            }
        }
    };
}
pub(crate) use block_kernels;

block_kernels!("avx2,fma,f16c", pair_sums, has_start);

/// One token's sixteen sums.
pub(crate) type Halves = [__m256; 2];

/// A block of 32 inputs of sixteen rows.
pub(crate) struct Block<'a, F: Format> {
    pub(crate) codes: &'a F::Codes,
    pub(crate) scales: &'a F::Scales,
    pub(crate) block: usize,
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn unpack<F: Format>(weights: Quantised<'_, F>, unpacked: &mut UnpackedBuffer) {
    let mut places = unpacked.units.iter_mut();
    for (codes, scales) in weights.units() {
        for (block, place) in (0..F::BLOCKS).zip(&mut places) {
            Quantised::<F>::ask_ahead(codes, block, Cache::First);
            let block = Block::<F> { codes, scales, block };
            block.store(0, place);
            block.store(1, place);
        }
    }
}

/// Exact sums of a scale group, without its scale, times activations.
///
/// The instruction multiplies unsigned by signed bytes and saturates pairs of products at 16 bits.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn pair_sums<const TOKENS: usize, const GROUP: usize, F: Format>(
    block: &Block<'_, F>,
    input: &[InputBlock; TOKENS],
) -> [[__m256i; 2]; TOKENS] {
    let ones = _mm256_set1_epi16(1);
    let mut sums = [[_mm256_setzero_si256(); 2]; TOKENS];
    let mut pairs = [[_mm256_setzero_si256(); 2]; TOKENS];
    unrolled!(QUAD in 0..8 => if has_quad::<F>(GROUP, QUAD) {
        let count = QUAD % (8 / F::SCALES_PER_BLOCK) + 1;
        let ends_pairs = count.is_multiple_of(safe_quads::<F>()) || count == 8 / F::SCALES_PER_BLOCK;
        for half in 0..2 {
            let codes = block.quad(QUAD, half);
            let weights = _mm256_xor_si256(codes, _mm256_set1_epi8(i8::MIN));
            for token in 0..TOKENS {
                let four = _mm256_set1_epi32(input[token].quads[QUAD]);
                let products = match is_signed::<F>() {
                    true => {
                        let sizes = _mm256_abs_epi8(weights);
                        _mm256_maddubs_epi16(sizes, _mm256_sign_epi8(four, weights))
                    }
                    false => _mm256_maddubs_epi16(codes, four),
                };
                let pair = _mm256_add_epi16(pairs[token][half], products);
                if ends_pairs {
                    let sum = sums[token][half];
                    sums[token][half] = keep_in_register(_mm256_add_epi32(sum, _mm256_madd_epi16(pair, ones)));
                    pairs[token][half] = _mm256_setzero_si256();
                } else {
                    pairs[token][half] = keep_in_register(pair);
                }
            }
        }
    });
    if has_start::<F>() {
        for token in 0..TOKENS {
            let start = _mm256_set1_epi32(F::start(&input[token], GROUP));
            for sum in &mut sums[token] {
                *sum = _mm256_add_epi32(*sum, start);
            }
        }
    }
    sums
}

impl<F: Format> Block<'_, F> {
    /// Writes eight rows where they are found as `Unpacked` weights.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn store(&self, half: usize, place: &mut UnpackedUnit) {
        unrolled!(QUAD in 0..8 => {
            store_bytes(&mut place.codes[QUAD].as_chunks_mut().0[half], self.quad(QUAD, half));
        });
        for group in 0..F::SCALES_PER_BLOCK {
            store(&mut halves_mut(&mut place.scales.scales[group])[half], self.scale(group, half));
            if let Some(minimum) = self.minimum(group, half) {
                store(&mut halves_mut(&mut place.scales.minimums[group])[half], minimum);
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(crate) fn scale(&self, group: usize, half: usize) -> __m256 {
        load_scale(F::scale(self.scales, self.block, group), half)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(crate) fn minimum(&self, group: usize, half: usize) -> Option<__m256> {
        F::minimum(self.scales, self.block, group).map(|minimum| load_scale(minimum, half))
    }

    /// The codes of four inputs of eight rows.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(crate) fn quad(&self, quad: usize, half: usize) -> __m256i {
        let low = load_bits(F::low(self.codes, self.block, quad), half, F::LOW_BITS, 0);
        if F::HIGH_BITS == 0 {
            return low;
        }
        let high = F::high(self.codes, self.block, quad);
        _mm256_or_si256(low, load_bits(high, half, F::HIGH_BITS, F::LOW_BITS))
    }
}

/// Whether codes are too large for the instruction that saturates.
///
/// Then the size of a weight is multiplied, and its sign given to the activation: 2 × 128 × 127 is
/// below 32,768, because activations are held to ±127.
const fn is_signed<F: Format>() -> bool {
    F::MOST == 255
}

/// Whether anything is added to the sums of codes. [`SUM_START`] comes with it, and spares the
/// conversion; alone it would be an addition for a conversion.
const fn has_start<F: Format>() -> bool {
    F::ZERO != 0 && !is_signed::<F>()
}

/// A sum as a float, whether or not it started with `SUM_START`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn to_float(sum: __m256i, has_start: bool) -> __m256 {
    match has_start {
        true => _mm256_sub_ps(_mm256_castsi256_ps(sum), _mm256_set1_ps(SUM_START)),
        false => _mm256_cvtepi32_ps(sum),
    }
}

/// How many quads' pairs of products can be added up in 16 bits.
const fn safe_quads<F: Format>() -> usize {
    let largest = if is_signed::<F>() { 128 } else { F::MOST };
    i16::MAX as usize / (2 * largest as usize * 127)
}

/// Some bits of eight rows of a line, moved to where the lowest of them has value 2 to the `place`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_bits(bits: Bits<'_>, half: usize, count: u32, place: u32) -> __m256i {
    let line = load_bytes(&bits.line.as_chunks().0[half]);
    if count == 8 {
        return line;
    }
    let shifted = _mm256_srlv_epi32(line, _mm256_set1_epi32(bits.shift.cast_signed()));
    let placed = _mm256_sllv_epi32(shifted, _mm256_set1_epi32(place.cast_signed()));
    let mask = ((1_u8 << count) - 1) << place;
    _mm256_and_si256(placed, _mm256_set1_epi8(mask.cast_signed()))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_scale(scale: Scale<'_>, half: usize) -> __m256 {
    let low = _mm256_set1_epi32(0x0f);
    let (scales, by) = match scale {
        Scale::Plain(scales) => return load_half(scales, half),
        Scale::Float(scales) => return load(&halves(scales)[half]),
        Scale::Unsigned(scales, by) => (scales, load_integers(&halves(by)[half])),
        Scale::Signed(scales, by) => (scales, load_signed_integers(&halves(by)[half])),
        Scale::LowNibble(scales, by) => {
            (scales, _mm256_and_si256(load_integers(&halves(by)[half]), low))
        }
        Scale::HighNibble(scales, by) => {
            (scales, _mm256_srli_epi32::<4>(load_integers(&halves(by)[half])))
        }
    };
    _mm256_mul_ps(load_half(scales, half), _mm256_cvtepi32_ps(by))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn load_all<const TOKENS: usize>(sums: &[Lanes]) -> [Halves; TOKENS] {
    let mut totals = [[_mm256_setzero_ps(); 2]; TOKENS];
    for (totals, sums) in totals.iter_mut().zip(sums) {
        for (total, sums) in totals.iter_mut().zip(halves(sums)) {
            *total = load(sums);
        }
    }
    totals
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn store_all<const TOKENS: usize>(sums: &mut [Lanes], totals: [Halves; TOKENS]) {
    for (sums, totals) in sums.iter_mut().zip(totals) {
        for (place, total) in halves_mut(sums).iter_mut().zip(totals) {
            store(place, total);
        }
    }
}
