//! AVX-512 with VNNI and the dot product of BF16 pairs; everything else is that of AVX-512.
//!
//! The instruction rounds after each of a pair's two products, the upper one first, as two fused
//! multiply-adds would, but takes what is below the smallest normal number for nothing.

pub(crate) use super::{activations, attention, elementwise};

pub(crate) mod ceilings {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    pub(crate) use crate::avx512::ceilings::{float_products, int8_products, read};
    use crate::ceilings::CHAINS;

    #[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")]
    pub(crate) fn pair_products(steps: usize) -> usize {
        let mut sums = [_mm512_setzero_ps(); CHAINS];
        let (x, y) = (black_box(_mm512_set1_epi32(0x3f00_3f00)), black_box(_mm512_set1_epi32(0)));
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = super::tiles::add_products(*sum, x, y);
            }
        }
        black_box(sums);
        steps * CHAINS * 32
    }
}

pub(crate) mod tiles {
    use std::arch::x86_64::*;
    use std::mem::transmute;

    use crate::avx512::math::load_pair_bits;
    pub(crate) use crate::avx512::tiles::{blocks, floats, widen};
    use crate::avx512::tiles::{store_all, with_width};
    use crate::numbers::Bf16Pair;
    use crate::prefetch::ask_ahead;
    use crate::{LANES, Lanes};

    #[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")]
    pub(crate) fn pairs(weights: &[[Bf16Pair; LANES]], input: &[Bf16Pair], sums: &mut [Lanes]) {
        with_width!(sums.len(), pairs_of(weights, input, sums));
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")]
    fn pairs_of<const TOKENS: usize>(
        weights: &[[Bf16Pair; LANES]],
        input: &[Bf16Pair],
        sums: &mut [Lanes],
    ) {
        let mut totals = [_mm512_setzero_ps(); TOKENS];
        for (weights, input) in weights.iter().zip(input.as_chunks::<TOKENS>().0) {
            ask_ahead(weights, size_of_val(weights));
            let weights = load_pair_bits(weights);
            for token in 0..TOKENS {
                let pair = _mm512_set1_epi32(input[token].bits());
                totals[token] = add_products(totals[token], weights, pair);
            }
        }
        store_all(sums, totals);
    }

    /// Adds both products of each lane's pairs.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")]
    pub(super) fn add_products(sum: __m512, x: __m512i, y: __m512i) -> __m512 {
        // SAFETY: both types are 512 bits, any of which are numbers.
        let (x, y) =
            unsafe { (transmute::<__m512i, __m512bh>(x), transmute::<__m512i, __m512bh>(y)) };
        _mm512_dpbf16_ps(sum, x, y)
    }
}
