//! Sixteen rows by up to sixteen tokens, over the whole depth.
//!
//! The number of tokens is a constant of each kernel, so that the sums of a tile stay in registers:
//! sixteen of them, eight of weights, and the scales leave seven of the 32 free.

use std::arch::x86_64::*;

use super::math::{load_line, load_numbers, store};
use crate::input_block::InputBlock;
use crate::numbers::Number;
use crate::packing::{QuadBlock, Quads, ScaledGroup};
use crate::{LANES, Lanes};

/// Calls the kernel whose constant is `$width`.
macro_rules! with_width {
    ($width:expr, $kernel:ident ( $($argument:expr),* )) => {
        match $width {
            1 => $kernel::<1, _>($($argument),*),
            2 => $kernel::<2, _>($($argument),*),
            3 => $kernel::<3, _>($($argument),*),
            4 => $kernel::<4, _>($($argument),*),
            5 => $kernel::<5, _>($($argument),*),
            6 => $kernel::<6, _>($($argument),*),
            7 => $kernel::<7, _>($($argument),*),
            8 => $kernel::<8, _>($($argument),*),
            9 => $kernel::<9, _>($($argument),*),
            10 => $kernel::<10, _>($($argument),*),
            11 => $kernel::<11, _>($($argument),*),
            12 => $kernel::<12, _>($($argument),*),
            13 => $kernel::<13, _>($($argument),*),
            14 => $kernel::<14, _>($($argument),*),
            15 => $kernel::<15, _>($($argument),*),
            16 => $kernel::<16, _>($($argument),*),
            width => unreachable!("tiles are 1 to 16 wide, not {width}"),
        }
    };
}
pub(super) use with_width;

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn floats<T: Number>(weights: &[[T; LANES]], input: &[f32], sums: &mut [Lanes]) {
    with_width!(sums.len(), floats_of(weights, input, sums));
}

#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
fn floats_of<const TOKENS: usize, T: Number>(
    weights: &[[T; LANES]],
    input: &[f32],
    sums: &mut [Lanes],
) {
    let mut totals = [_mm512_setzero_ps(); TOKENS];
    for (weights, input) in weights.iter().zip(input.as_chunks::<TOKENS>().0) {
        prefetch_after(weights);
        let weights = load_numbers(weights);
        for token in 0..TOKENS {
            let value = _mm512_set1_ps(input[token]);
            totals[token] = _mm512_fmadd_ps(weights, value, totals[token]);
        }
    }
    store_all(sums, totals);
}

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn blocks<B: QuadBlock>(
    weights: ScaledGroup<'_, B>,
    input: &[InputBlock],
    sums: &mut [Lanes],
) {
    with_width!(sums.len(), blocks_of(weights, input, sums));
}

#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
fn blocks_of<const TOKENS: usize, B: QuadBlock>(
    weights: ScaledGroup<'_, B>,
    input: &[InputBlock],
    sums: &mut [Lanes],
) {
    let mut totals = [_mm512_setzero_ps(); TOKENS];
    let blocks = weights.blocks.iter().zip(weights.scales);
    for ((block, scales), input) in blocks.zip(input.as_chunks::<TOKENS>().0) {
        prefetch_after(block);
        let quads = unpack(block);
        let scales = load_numbers(scales);
        // Two loops, because the compiler unrolls only one that is this short, and only in an
        // unrolled one the sums stay in registers.
        for token in 0..TOKENS.min(UNROLLED) {
            totals[token] = add_block::<B>(&quads, scales, &input[token], totals[token]);
        }
        for token in UNROLLED..TOKENS {
            totals[token] = add_block::<B>(&quads, scales, &input[token], totals[token]);
        }
    }
    store_all(sums, totals);
}

/// How many tokens of a block the compiler can be trusted to unroll.
const UNROLLED: usize = 8;

/// Adds one block's product with one token.
#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
fn add_block<B: QuadBlock>(
    quads: &[__m512i; 8],
    scales: __m512,
    input: &InputBlock,
    total: __m512,
) -> __m512 {
    let mut sum = _mm512_set1_epi32(B::start(input));
    for (quad, four) in quads.iter().zip(input.quads) {
        sum = _mm512_dpbusd_epi32(sum, *quad, _mm512_set1_epi32(four));
    }
    let scale = _mm512_mul_ps(scales, _mm512_set1_ps(input.scale));
    _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, total)
}

/// How far ahead weights are asked for: at a page's end the processor's own prefetching stops.
const PREFETCH_BYTES: usize = 8192;

/// Asks for the memory that lies [`PREFETCH_BYTES`] after these weights, whatever it is.
#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
fn prefetch_after<T>(weights: &T) {
    let address = std::ptr::from_ref(weights).cast::<i8>().wrapping_add(PREFETCH_BYTES);
    for line in 0..size_of::<T>().div_ceil(64) {
        _mm_prefetch::<_MM_HINT_T0>(address.wrapping_add(line * 64));
    }
}

/// The eight quads of a block as unsigned bytes.
#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
fn unpack<B: QuadBlock>(block: &B) -> [__m512i; 8] {
    let mut quads = [_mm512_setzero_si512(); 8];
    match block.quads() {
        Quads::Bytes(lines) => {
            for (quad, line) in quads.iter_mut().zip(lines) {
                *quad = load_line(line);
            }
        }
        Quads::Nibbles(lines) => {
            let low = _mm512_set1_epi8(0x0f);
            for (pair, line) in quads.as_chunks_mut::<2>().0.iter_mut().zip(lines) {
                let line = load_line(line);
                pair[0] = _mm512_and_si512(line, low);
                pair[1] = _mm512_and_si512(_mm512_srli_epi16::<4>(line), low);
            }
        }
    }
    quads
}

#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
fn store_all<const TOKENS: usize>(sums: &mut [Lanes], totals: [__m512; TOKENS]) {
    for (sums, total) in sums.iter_mut().zip(totals) {
        store(sums, total);
    }
}
