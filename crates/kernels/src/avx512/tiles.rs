//! Sixteen rows by up to sixteen tokens, over the whole depth.
//!
//! The number of tokens is a constant of each kernel, so that the sums of a tile stay in registers:
//! sixteen of them, eight of weights, and the scales leave seven of the 32 free.

use std::arch::asm;
use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::mem::offset_of;

use super::math::{
    keep_in_register, load, load_bytes, load_line, load_numbers, load_pairs, load_signed_bytes,
    store, store_line,
};
use crate::address::{in_one_register, now_in_one_register};
use crate::input_block::{InputBlock, SUM_START};
use crate::lanes::{LANES, Lanes};
use crate::numbers::{Bf16Pair, Number};
use crate::packing::{Bits, Format, Quantised, Scale, UnpackedBuffer, UnpackedUnit, has_quad};
use crate::prefetch::{Cache, ask_ahead};
use crate::unrolled::unrolled;

/// Calls the kernel whose constant is `$width`.
macro_rules! with_width {
    ($width:expr, $kernel:ident $(::<$type:ty>)? ( $($argument:expr),* )) => {
        match $width {
            1 => $kernel::<1 $(, $type)?>($($argument),*),
            2 => $kernel::<2 $(, $type)?>($($argument),*),
            3 => $kernel::<3 $(, $type)?>($($argument),*),
            4 => $kernel::<4 $(, $type)?>($($argument),*),
            5 => $kernel::<5 $(, $type)?>($($argument),*),
            6 => $kernel::<6 $(, $type)?>($($argument),*),
            7 => $kernel::<7 $(, $type)?>($($argument),*),
            8 => $kernel::<8 $(, $type)?>($($argument),*),
            9 => $kernel::<9 $(, $type)?>($($argument),*),
            10 => $kernel::<10 $(, $type)?>($($argument),*),
            11 => $kernel::<11 $(, $type)?>($($argument),*),
            12 => $kernel::<12 $(, $type)?>($($argument),*),
            13 => $kernel::<13 $(, $type)?>($($argument),*),
            14 => $kernel::<14 $(, $type)?>($($argument),*),
            15 => $kernel::<15 $(, $type)?>($($argument),*),
            16 => $kernel::<16 $(, $type)?>($($argument),*),
            width => unreachable!("tiles are 1 to 16 wide, not {width}"),
        }
    };
}
pub(super) use with_width;

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn floats<T: Number>(weights: &[[T; LANES]], input: &[f32], sums: &mut [Lanes]) {
    with_width!(sums.len(), floats_of::<_>(weights, input, sums));
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
        ask_ahead(weights, size_of_val(weights), Cache::First);
        let weights = load_numbers(weights);
        let input = in_one_register(input);
        for token in 0..TOKENS {
            let value = _mm512_set1_ps(input[token]);
            totals[token] = _mm512_fmadd_ps(weights, value, totals[token]);
        }
    }
    store_all(sums, totals);
}

/// The kernel of weights in pairs, from a function that adds the products of sixteen pairs.
macro_rules! pair_kernel {
    ($features:literal, $add_products:ident) => {
        #[target_feature(enable = $features)]
        pub(crate) fn pairs(weights: &[[Bf16Pair; LANES]], input: &[Bf16Pair], sums: &mut [Lanes]) {
            with_width!(sums.len(), pairs_of(weights, input, sums));
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn pairs_of<const TOKENS: usize>(
            weights: &[[Bf16Pair; LANES]],
            input: &[Bf16Pair],
            sums: &mut [Lanes],
        ) {
            let mut totals = [_mm512_setzero_ps(); TOKENS];
            for (weights, input) in weights.iter().zip(input.as_chunks::<TOKENS>().0) {
                ask_ahead(weights, size_of_val(weights), Cache::First);
                let weights = load_pairs(weights);
                let input = in_one_register(input);
                for token in 0..TOKENS {
                    totals[token] = $add_products(totals[token], weights, input[token]);
                }
            }
            store_all(sums, totals);
        }
    };
}
pub(super) use pair_kernel;

pair_kernel!("avx512bw,avx512dq,avx512vl,avx512vnni", add_pairs_as_floats);

#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
fn add_pairs_as_floats(sum: __m512, weights: __m512i, values: Bf16Pair) -> __m512 {
    let [first, second] = values.numbers().map(|value| _mm512_set1_ps(value));
    let upper = _mm512_and_si512(weights, _mm512_set1_epi32(0xffff_0000_u32.cast_signed()));
    let sum = _mm512_fmadd_ps(_mm512_castsi512_ps(upper), first, sum);
    let lower = _mm512_slli_epi32::<16>(weights);
    _mm512_fmadd_ps(_mm512_castsi512_ps(lower), second, sum)
}

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn blocks<F: Format>(
    weights: Quantised<'_, F>,
    input: &[InputBlock],
    sums: &mut [Lanes],
) {
    with_width!(sums.len(), blocks_of::<_>(weights, input, sums));
}

#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
fn blocks_of<const TOKENS: usize, F: Format>(
    weights: Quantised<'_, F>,
    input: &[InputBlock],
    sums: &mut [Lanes],
) {
    let sums: &mut [Lanes; TOKENS] = sums.try_into().expect("sums for every token");
    let mut totals = [_mm512_setzero_ps(); TOKENS];
    for token in 0..TOKENS {
        totals[token] = load(&sums[token]);
    }
    let inputs = input.as_chunks::<TOKENS>().0.chunks_exact(F::BLOCKS);
    for ((codes, scales), inputs) in weights.units().zip(inputs) {
        for (block, input) in inputs.iter().enumerate() {
            if F::STREAMS {
                Quantised::<F>::ask_ahead(codes, block, Cache::Second);
            }
            let weights = Block::<F>::load(codes, scales, block);
            let input = in_one_register(input);
            // Without loops, because sums stay in registers only where their index is a constant.
            let (pairs, rest) = input.as_chunks::<2>();
            unrolled!(PAIR in 0..8 => if PAIR < TOKENS / 2 {
                let totals = totals[PAIR * 2..].first_chunk_mut().expect("two sums");
                weights.add_products::<2>(&pairs[PAIR], totals);
            });
            if let Some(last) = rest.first_chunk() {
                let total = totals.last_chunk_mut().expect("one sum");
                weights.add_products::<1>(last, total);
            }
        }
    }
    store_all(sums, totals);
}

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn unpack<F: Format>(weights: Quantised<'_, F>, unpacked: &mut UnpackedBuffer) {
    let mut places = unpacked.units.iter_mut();
    for (codes, scales) in weights.units() {
        for (block, place) in (0..F::BLOCKS).zip(&mut places) {
            Quantised::<F>::ask_ahead(codes, block, Cache::Second);
            Block::<F>::load(codes, scales, block).store(place);
        }
    }
}

/// A block of 32 inputs of sixteen rows, ready to be multiplied.
struct Block<F> {
    quads: [__m512i; 8],
    /// One for each scale group; the second is not used if there is one.
    scales: [__m512; 2],
    /// What makes a scaled sum that started with [`SUM_START`] one that started with nothing.
    offset: __m512,
    minimums: Option<[__m512; 2]>,
    format: PhantomData<F>,
}

impl<F: Format> Block<F> {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
    fn load(codes: &F::Codes, scales: &F::Scales, block: usize) -> Block<F> {
        let mut quads = [_mm512_setzero_si512(); 8];
        for (index, quad) in quads.iter_mut().enumerate() {
            *quad = load_bits(F::low(codes, block, index), F::LOW_BITS, 0);
            if F::HIGH_BITS > 0 {
                let high = load_bits(F::high(codes, block, index), F::HIGH_BITS, F::LOW_BITS);
                *quad = _mm512_or_si512(*quad, high);
            }
        }
        // Scales lie behind the codes. Compilers like to read them first, but the processor
        // prefetches best if memory is read in order: one token of Q4_K took 5 % longer otherwise
        // (Zen 4).
        let scales = if F::STREAMS { read_after(&mut quads, scales) } else { scales };
        let last = F::SCALES_PER_BLOCK - 1;
        let scale = |group| F::scale(scales, block, group);
        let minimum = |group| F::minimum(scales, block, group);
        let scales = [load_scale(scale(0)), load_scale(scale(last))];
        Block {
            quads,
            scales,
            offset: _mm512_mul_ps(scales[0], _mm512_set1_ps(-SUM_START)),
            minimums: match (minimum(0), minimum(last)) {
                (Some(first), Some(last)) => Some([load_scale(first), load_scale(last)]),
                _ => None,
            },
            format: PhantomData,
        }
    }

    /// Writes the block where it is found as `Unpacked` weights.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
    fn store(&self, place: &mut UnpackedUnit) {
        let UnpackedUnit { codes, scales } = place;
        for (line, quad) in codes.iter_mut().zip(self.quads) {
            store_line(line, quad);
        }
        for (place, scale) in scales.scales[..F::SCALES_PER_BLOCK].iter_mut().zip(self.scales) {
            store(place, scale);
        }
        if let Some(minimums) = self.minimums {
            for (place, minimum) in scales.minimums[..F::SCALES_PER_BLOCK].iter_mut().zip(minimums)
            {
                store(place, minimum);
            }
        }
    }

    /// Adds the products with some tokens' activations.
    ///
    /// Two tokens go side by side: each sum waits for the one before it, and the processor looks
    /// ahead over only so many instructions.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
    fn add_products<const TOKENS: usize>(
        &self,
        input: &[InputBlock; TOKENS],
        totals: &mut [__m512; TOKENS],
    ) {
        let mut scaled = [self.offset; TOKENS];
        unrolled!(GROUP in 0..2 => if GROUP < F::SCALES_PER_BLOCK {
            let sums = self.group_sums::<TOKENS, GROUP>(input);
            for token in 0..TOKENS {
                let mut sum = _mm512_castsi512_ps(sums[token]);
                if GROUP != 0 {
                    // The offset is for one start.
                    sum = _mm512_sub_ps(sum, _mm512_set1_ps(SUM_START));
                }
                scaled[token] = _mm512_fmadd_ps(sum, self.scales[GROUP], scaled[token]);
            }
        });
        for token in 0..TOKENS {
            let scale = _mm512_set1_ps(input[token].scale);
            let mut total = _mm512_fmadd_ps(scaled[token], scale, totals[token]);
            if let Some(minimums) = &self.minimums {
                for (group, minimum) in minimums[..F::SCALES_PER_BLOCK].iter().enumerate() {
                    let sum = _mm512_set1_ps(input[token].sum_of(F::SCALES_PER_BLOCK, group));
                    total = _mm512_fnmadd_ps(*minimum, sum, total);
                }
            }
            totals[token] = _mm512_castsi512_ps(keep_in_register(_mm512_castps_si512(total)));
        }
    }

    /// Exact sums of a scale group, without its scale, times activations; they start with
    /// [`SUM_START`].
    #[inline]
    #[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
    fn group_sums<const TOKENS: usize, const GROUP: usize>(
        &self,
        input: &[InputBlock; TOKENS],
    ) -> [__m512i; TOKENS] {
        let mut sums = [_mm512_setzero_si512(); TOKENS];
        for token in 0..TOKENS {
            sums[token] = _mm512_set1_epi32(F::start(&input[token], GROUP));
        }
        unrolled!(QUAD in 0..8 => if has_quad::<F>(GROUP, QUAD) {
            unrolled!(TOKEN in 0..2 => if TOKEN < TOKENS {
                sums[TOKEN] = add_quad::<TOKENS, TOKEN, QUAD>(sums[TOKEN], self.quads[QUAD], input);
            });
        });
        sums
    }
}

/// Adds the products of a quad with four activations of one token to the token's sums.
///
/// This is written as an instruction that reads the activations from memory, for two reasons. From
/// the intrinsic the compiler made more instructions for every second token, 279 instead of 214 for
/// a block of Q4_0 and sixteen tokens: it loaded two quads at once into a general register, split
/// them by shifts and broadcast each. And it moved the products of one token between those of
/// another, until the sums no longer fitted into the registers.
#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
fn add_quad<const TOKENS: usize, const TOKEN: usize, const QUAD: usize>(
    mut sums: __m512i,
    quad: __m512i,
    input: &[InputBlock; TOKENS],
) -> __m512i {
    assert!(TOKEN < TOKENS && QUAD < 8, "a quad of the input");
    // SAFETY: reads four bytes of an input block, which is borrowed; the proof of the instruction
    // set says that the instruction is there.
    unsafe {
        asm!(
            "vpdpbusd {sums}, {quad}, dword ptr [{input} + {offset}]{{1to16}}",
            sums = inout(zmm_reg) sums,
            quad = in(zmm_reg) quad,
            input = in(reg) input.as_ptr(),
            offset = const TOKEN * size_of::<InputBlock>() + offset_of!(InputBlock, quads) + QUAD * 4,
            options(readonly, nostack, preserves_flags)
        );
    }
    sums
}

/// The same reference, which the compiler can use only after it has the quads.
#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
fn read_after<'a, T>(quads: &mut [__m512i; 8], value: &'a T) -> &'a T {
    for quad in quads {
        *quad = keep_in_register(*quad);
    }
    now_in_one_register(value)
}

/// Some bits of a line's bytes, moved to where the lowest of them has value 2 to the `place`.
#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
fn load_bits(bits: Bits<'_>, count: u32, place: u32) -> __m512i {
    let line = load_line(bits.line);
    if count == 8 {
        return line;
    }
    let shifted = _mm512_srlv_epi32(line, _mm512_set1_epi32(bits.shift.cast_signed()));
    let placed = _mm512_sllv_epi32(shifted, _mm512_set1_epi32(place.cast_signed()));
    let mask = ((1_u8 << count) - 1) << place;
    _mm512_and_si512(placed, _mm512_set1_epi8(mask.cast_signed()))
}

#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
fn load_scale(scale: Scale<'_>) -> __m512 {
    let low = _mm512_set1_epi32(0x0f);
    let (scales, by) = match scale {
        Scale::Plain(scales) => return load_numbers(scales),
        Scale::Float(scales) => return load(scales),
        Scale::Unsigned(scales, by) => (scales, load_bytes(by)),
        Scale::Signed(scales, by) => (scales, load_signed_bytes(by)),
        Scale::LowNibble(scales, by) => (scales, _mm512_and_si512(load_bytes(by), low)),
        Scale::HighNibble(scales, by) => (scales, _mm512_srli_epi32::<4>(load_bytes(by))),
    };
    _mm512_mul_ps(load_numbers(scales), _mm512_cvtepi32_ps(by))
}

#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn store_all<const TOKENS: usize>(sums: &mut [Lanes], totals: [__m512; TOKENS]) {
    for (sums, total) in sums.iter_mut().zip(totals) {
        store(sums, total);
    }
}
