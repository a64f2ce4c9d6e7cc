//! AVX2 and the dot product of bytes in 256 bits.
//!
//! There are two encodings of that instruction: processors with AVX-VNNI have `vex`, those with
//! AVX-512 `evex`. Everything else is AVX2's, and so is the kernel around the instruction.

macro_rules! vnni_tiles {
    ($features:literal, $dot_product:ident) => {
        pub(crate) use crate::avx2::{activations, attention, elementwise};

        pub(crate) mod ceilings {
            use std::arch::x86_64::*;
            use std::hint::black_box;

            pub(crate) use crate::avx2::ceilings::{float_products, pair_products, read};
            use crate::ceilings::CHAINS;

            #[target_feature(enable = $features)]
            pub(crate) fn int8_products(steps: usize) -> usize {
                let mut sums = [_mm256_setzero_si256(); CHAINS];
                let (x, y) = (black_box(_mm256_set1_epi8(3)), black_box(_mm256_set1_epi8(1)));
                for _ in 0..steps {
                    for sum in &mut sums {
                        *sum = $dot_product(*sum, x, y);
                    }
                }
                black_box(sums);
                steps * CHAINS * 32
            }
        }

        pub(crate) mod tiles {
            use std::arch::x86_64::*;

            use crate::avx2::math::keep_in_register;
            use crate::avx2::tiles::{Block, Halves, block_kernels, load_all, store_all, to_float};
            pub(crate) use crate::avx2::tiles::{floats, pairs, unpack};
            use crate::input_block::{InputBlock, SUM_START};
            use crate::lanes::Lanes;
            use crate::packing::{Format, Quantised, has_quad};
            use crate::prefetch::Cache;
            use crate::strips::with_widths;
            use crate::unrolled::unrolled;

            block_kernels!($features, group_sums, has_start);

            /// Sums are started for nothing: the instruction adds to them.
            const fn has_start<F: Format>() -> bool {
                true
            }

            /// Exact sums of a scale group, without its scale, times activations.
            #[inline]
            #[target_feature(enable = $features)]
            fn group_sums<const TOKENS: usize, const GROUP: usize, F: Format>(
                block: &Block<'_, F>,
                input: &[InputBlock; TOKENS],
            ) -> [[__m256i; 2]; TOKENS] {
                let mut sums = [[_mm256_setzero_si256(); 2]; TOKENS];
                for token in 0..TOKENS {
                    sums[token] = [_mm256_set1_epi32(F::start(&input[token], GROUP)); 2];
                }
                unrolled!(QUAD in 0..8 => if has_quad::<F>(GROUP, QUAD) {
                    for half in 0..2 {
                        let codes = block.quad(QUAD, half);
                        for token in 0..TOKENS {
                            let four = _mm256_set1_epi32(input[token].quads[QUAD]);
                            let sum = $dot_product(sums[token][half], codes, four);
                            sums[token][half] = keep_in_register(sum);
                        }
                    }
                });
                sums
            }
        }
    };
}

/// The encoding of AVX-VNNI.
pub(crate) mod vex {
    vnni_tiles!("avx2,fma,f16c,avxvnni", _mm256_dpbusd_avx_epi32);
}

/// The encoding of AVX-512: how this kernel is tested where there is no AVX-VNNI.
pub(crate) mod evex {
    vnni_tiles!("avx2,fma,f16c,avx512vl,avx512vnni", _mm256_dpbusd_epi32);
}
