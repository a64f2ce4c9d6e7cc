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
    use crate::numbers::Bf16Pair;

    #[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")]
    pub(crate) fn pair_products(steps: usize) -> usize {
        let mut sums = [_mm512_setzero_ps(); CHAINS];
        let (x, y) = (black_box(_mm512_set1_epi32(0x3f00_3f00)), black_box(Bf16Pair::default()));
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = super::tiles::add_pairs(*sum, x, y);
            }
        }
        black_box(sums);
        steps * CHAINS * 32
    }
}

pub(crate) mod tiles {
    use std::arch::x86_64::*;

    use crate::address::in_one_register;
    use crate::avx512::math::load_pairs;
    pub(crate) use crate::avx512::tiles::{blocks, floats, unpack};
    use crate::avx512::tiles::{pair_kernel, store_all, with_width};
    use crate::lanes::{LANES, Lanes};
    use crate::numbers::Bf16Pair;
    use crate::prefetch::{Cache, ask_ahead};

    pair_kernel!("avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16", add_pairs);

    #[inline]
    #[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")]
    pub(super) fn add_pairs(sum: __m512, weights: __m512i, values: Bf16Pair) -> __m512 {
        let values = _mm512_set1_epi32(values.bits());
        _mm512_dpbf16_ps(sum, as_pairs(weights), as_pairs(values))
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")]
    fn as_pairs(bits: __m512i) -> __m512bh {
        // SAFETY: both types are 512 bits, any of which are numbers.
        unsafe { std::mem::transmute::<__m512i, __m512bh>(bits) }
    }
}
