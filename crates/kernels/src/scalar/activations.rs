//! Rounding activations to 8 bits.

use crate::input_block::{BLOCK_LEN, InputBlock, SMALLEST_MAXIMUM};

/// Rounds one token's values into every `stride`-th of `blocks`, as `input.rs` describes.
pub(crate) fn quantise(values: &[[f32; BLOCK_LEN]], blocks: &mut [InputBlock], stride: usize) {
    for (values, block) in values.iter().zip(blocks.iter_mut().step_by(stride)) {
        *block = quantise_block(values);
    }
}

fn quantise_block(values: &[f32; BLOCK_LEN]) -> InputBlock {
    // Without the sign, the bits of floats are ordered as integers, and what is not a number comes
    // after infinity.
    let maximum_bits = values.iter().map(|value| value.abs().to_bits()).max().expect("32 values");
    let maximum = f32::from_bits(maximum_bits);
    if maximum < SMALLEST_MAXIMUM {
        return InputBlock::default();
    }
    let factor = 127.0 / maximum;
    let integers = values.map(|value| {
        let scaled = value * factor;
        // As comparisons: what is not a number becomes -127.
        let scaled = if scaled > -127.0 { scaled } else { -127.0 };
        let scaled = if scaled < 127.0 { scaled } else { 127.0 };
        scaled.round_ties_even() as i8
    });
    InputBlock::new(&integers, maximum / 127.0)
}
