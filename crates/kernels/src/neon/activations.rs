//! Rounding activations to 8 bits.

use std::arch::aarch64::*;

use super::math::{PART, greater, lesser, load};
use crate::input_block::{BLOCK_LEN, InputBlock, SMALLEST_MAXIMUM};

#[target_feature(enable = "neon,dotprod")]
pub(crate) fn quantise(values: &[[f32; BLOCK_LEN]], blocks: &mut [InputBlock], stride: usize) {
    for (values, block) in values.iter().zip(blocks.iter_mut().step_by(stride)) {
        *block = quantise_block(values);
    }
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
fn quantise_block(values: &[f32; BLOCK_LEN]) -> InputBlock {
    let (parts, _) = values.as_chunks::<PART>();
    let mut most = vdupq_n_u32(0);
    for part in parts {
        let bits = vreinterpretq_u32_f32(vabsq_f32(load(part)));
        most = vmaxq_u32(most, bits);
    }
    let maximum = f32::from_bits(vmaxvq_u32(most));
    if maximum < SMALLEST_MAXIMUM {
        return InputBlock::default();
    }
    let factor = vdupq_n_f32(127.0 / maximum);
    let mut bytes = [0; BLOCK_LEN];
    for (bytes, part) in bytes.as_chunks_mut::<PART>().0.iter_mut().zip(parts) {
        let scaled = vmulq_f32(load(part), factor);
        // The second operand wins where one is not a number.
        let scaled = greater(scaled, vdupq_n_f32(-127.0));
        let scaled = lesser(scaled, vdupq_n_f32(127.0));
        let mut integers = [0; PART];
        // SAFETY: four integers are writable; the store wants no alignment.
        unsafe { vst1q_s32(integers.as_mut_ptr(), vcvtnq_s32_f32(scaled)) };
        *bytes = integers.map(|integer: i32| integer as i8);
    }
    InputBlock::new(&bytes, maximum / 127.0)
}
