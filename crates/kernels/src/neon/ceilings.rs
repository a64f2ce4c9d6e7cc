//! As many products or bytes as the instructions can make or read, to measure by.

use std::arch::aarch64::*;
use std::hint::black_box;

use super::math::{add_dot_products, load_bytes};
use crate::ceilings::CHAINS;

/// Pairs are multiplied as floats.
pub(crate) use self::float_products as pair_products;

#[target_feature(enable = "neon,dotprod")]
pub(crate) fn int8_products(steps: usize) -> usize {
    let mut sums = [vdupq_n_s32(0); CHAINS];
    let (x, y) = (black_box(vdupq_n_s8(3)), black_box(vdupq_n_s8(1)));
    for _ in 0..steps {
        for sum in &mut sums {
            *sum = add_dot_products(*sum, x, y);
        }
    }
    black_box(sums);
    steps * CHAINS * 16
}

#[target_feature(enable = "neon,dotprod")]
pub(crate) fn float_products(steps: usize) -> usize {
    let mut sums = [vdupq_n_f32(0.0); CHAINS];
    let (x, y) = (black_box(vdupq_n_f32(0.5)), black_box(vdupq_n_f32(1.5)));
    for _ in 0..steps {
        for sum in &mut sums {
            *sum = vfmaq_f32(*sum, x, y);
        }
    }
    black_box(sums);
    steps * CHAINS * 4
}

#[target_feature(enable = "neon,dotprod")]
pub(crate) fn read(bytes: &[u8]) {
    let mut sums = [vdupq_n_u8(0); 8];
    for lines in bytes.as_chunks::<128>().0 {
        for (sum, part) in sums.iter_mut().zip(lines.as_chunks::<16>().0) {
            *sum = veorq_u8(*sum, load_bytes(part));
        }
    }
    black_box(sums);
}
