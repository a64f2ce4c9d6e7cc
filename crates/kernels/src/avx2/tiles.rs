//! Sixteen rows by up to sixteen tokens, over the whole depth.
//!
//! A tile goes through in strips of four tokens, because two registers a token for sixteen rows
//! make eight sums, which leaves half of the sixteen registers for everything else.

use std::arch::x86_64::*;

use super::math::{halves_mut, load_bytes, load_half, store};
use crate::input_block::InputBlock;
use crate::numbers::Number;
use crate::packing::{ByteBlock, Line, NibbleBlock, QuadBlock, Quads, ScaledGroup};
use crate::{LANES, Lanes};

/// The most tokens or queries that go together.
pub(super) const MOST: usize = 4;

/// Calls the kernel once for every strip of up to [`MOST`], with the strip's width as its constant
/// and the strip's start as its last argument.
macro_rules! with_widths {
    ($width:expr, $kernel:ident ( $($argument:expr),* )) => {
        let width = $width;
        for start in (0..width).step_by(MOST) {
            match MOST.min(width - start) {
                1 => $kernel::<1, _>($($argument),*, start),
                2 => $kernel::<2, _>($($argument),*, start),
                3 => $kernel::<3, _>($($argument),*, start),
                _ => $kernel::<4, _>($($argument),*, start),
            }
        }
    };
}
pub(super) use with_widths;

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn floats<T: Number>(weights: &[[T; LANES]], input: &[f32], sums: &mut [Lanes]) {
    with_widths!(sums.len(), floats_of(weights, input, sums));
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
        let weights = [load_half::<0, T>(weights), load_half::<1, T>(weights)];
        for token in 0..TOKENS {
            let value = _mm256_set1_ps(input[token]);
            totals[token][0] = _mm256_fmadd_ps(weights[0], value, totals[token][0]);
            totals[token][1] = _mm256_fmadd_ps(weights[1], value, totals[token][1]);
        }
    }
    store_all(&mut sums[first..], totals);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn blocks<B: QuadBlock>(
    weights: ScaledGroup<'_, B>,
    input: &[InputBlock],
    sums: &mut [Lanes],
) {
    with_widths!(sums.len(), blocks_of(weights, input, sums));
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn blocks_of<const TOKENS: usize, B: QuadBlock>(
    weights: ScaledGroup<'_, B>,
    input: &[InputBlock],
    sums: &mut [Lanes],
    first: usize,
) {
    let mut totals = [[_mm256_setzero_ps(); 2]; TOKENS];
    let blocks = weights.blocks.iter().zip(weights.scales);
    for ((block, scales), input) in blocks.zip(input.chunks_exact(sums.len())) {
        let input = input[first..].first_chunk().expect("so many tokens are left");
        let scales = [load_half::<0, _>(scales), load_half::<1, _>(scales)];
        let block_sums = match block.quads() {
            Quads::Bytes(lines) => {
                [byte_sums::<TOKENS, 0>(lines, input), byte_sums::<TOKENS, 1>(lines, input)]
            }
            Quads::Nibbles(lines) => {
                [nibble_sums::<TOKENS, 0>(lines, input), nibble_sums::<TOKENS, 1>(lines, input)]
            }
        };
        for token in 0..TOKENS {
            for half in 0..2 {
                let scale = _mm256_mul_ps(scales[half], _mm256_set1_ps(input[token].scale));
                let sum = _mm256_cvtepi32_ps(block_sums[half][token]);
                totals[token][half] = _mm256_fmadd_ps(sum, scale, totals[token][half]);
            }
        }
    }
    store_all(&mut sums[first..], totals);
}

/// Exact sums of a Q8_0 block for eight of its rows.
///
/// The instruction multiplies unsigned by signed bytes and saturates pairs of products at 16 bits.
/// Weights + 128 would saturate; the sign of a weight given to the activation instead does not:
/// 2 × 128 × 127 is below 32,768, because activations are held to ±127.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn byte_sums<const TOKENS: usize, const HALF: usize>(
    lines: &ByteBlock,
    input: &[InputBlock; TOKENS],
) -> [__m256i; TOKENS] {
    let (excess, ones) = (_mm256_set1_epi8(i8::MIN), _mm256_set1_epi16(1));
    let mut sums = [_mm256_setzero_si256(); TOKENS];
    for (quad, line) in lines.iter().enumerate() {
        let weights = _mm256_xor_si256(load_bytes(half_line::<HALF>(line)), excess);
        let sizes = _mm256_abs_epi8(weights);
        for token in 0..TOKENS {
            let four = _mm256_set1_epi32(input[token].quads[quad]);
            let pairs = _mm256_maddubs_epi16(sizes, _mm256_sign_epi8(four, weights));
            sums[token] = _mm256_add_epi32(sums[token], _mm256_madd_epi16(pairs, ones));
        }
    }
    sums
}

/// Exact sums of a Q4_0 block for eight of its rows.
///
/// A pair of products is at most 2 × 15 × 127, so even the eight pairs of a whole block that meet in
/// one 16-bit lane do not overflow it.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn nibble_sums<const TOKENS: usize, const HALF: usize>(
    lines: &NibbleBlock,
    input: &[InputBlock; TOKENS],
) -> [__m256i; TOKENS] {
    let (low, ones) = (_mm256_set1_epi8(0x0f), _mm256_set1_epi16(1));
    let mut pairs = [_mm256_setzero_si256(); TOKENS];
    for (index, line) in lines.iter().enumerate() {
        let line = load_bytes(half_line::<HALF>(line));
        let even = _mm256_and_si256(line, low);
        let odd = _mm256_and_si256(_mm256_srli_epi16::<4>(line), low);
        for token in 0..TOKENS {
            let quads = &input[token].quads;
            let even_four = _mm256_set1_epi32(quads[2 * index]);
            let odd_four = _mm256_set1_epi32(quads[2 * index + 1]);
            pairs[token] = _mm256_add_epi16(pairs[token], _mm256_maddubs_epi16(even, even_four));
            pairs[token] = _mm256_add_epi16(pairs[token], _mm256_maddubs_epi16(odd, odd_four));
        }
    }
    let mut sums = [_mm256_setzero_si256(); TOKENS];
    for token in 0..TOKENS {
        let start = _mm256_set1_epi32(input[token].nibble_start);
        sums[token] = _mm256_add_epi32(start, _mm256_madd_epi16(pairs[token], ones));
    }
    sums
}

/// Eight rows of a line.
#[inline(always)]
fn half_line<const HALF: usize>(line: &Line) -> &[u8; 32] {
    &line.as_chunks().0[HALF]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn store_all<const TOKENS: usize>(sums: &mut [Lanes], totals: [[__m256; 2]; TOKENS]) {
    for (sums, totals) in sums.iter_mut().zip(totals) {
        for (place, total) in halves_mut(sums).iter_mut().zip(totals) {
            store(place, total);
        }
    }
}
