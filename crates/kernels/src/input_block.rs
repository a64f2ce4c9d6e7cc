//! A block of activations in 8 bits, as weights of quantised types are multiplied by.
//!
//! It has the scale `max |x| / 127` in f32; each value is `x * (127 / max |x|)`,
//! rounded to the nearest integer, ties to even, and held to ±127 (never −128, so that a sign can
//! be flipped). A block whose largest value is below 10⁻³⁶ is all zeroes. A value
//! that is not a number makes the scale, and so every output, not a number: nothing is hidden.

/// How many inputs share a scale in the quantised formats.
pub(crate) const BLOCK_LEN: usize = 32;

/// 127 / this is still a finite number; activations this small are no signal.
pub(crate) const SMALLEST_MAXIMUM: f32 = 1e-36;

/// 32 activations of one token.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub(crate) struct InputBlock {
    /// Four signed bytes each, the first in the lowest bits.
    pub(crate) quads: [i32; BLOCK_LEN / 4],
    /// What one step of the integers is worth.
    pub(crate) scale: f32,
    /// −128 × the sum of the integers: where a sum over weights that are 128 too large starts.
    pub(crate) byte_start: i32,
    /// −8 × the sum of the integers: where a sum over weights that are 8 too large starts.
    pub(crate) nibble_start: i32,
}

impl InputBlock {
    /// A block of these integers.
    pub(crate) fn new(integers: &[i8; BLOCK_LEN], scale: f32) -> InputBlock {
        let sum: i32 = integers.iter().map(|&integer| i32::from(integer)).sum();
        let mut quads = [0; BLOCK_LEN / 4];
        for (quad, four) in quads.iter_mut().zip(integers.as_chunks::<4>().0) {
            *quad = i32::from_le_bytes(four.map(i8::cast_unsigned));
        }
        InputBlock { quads, scale, byte_start: -128 * sum, nibble_start: -8 * sum }
    }

    /// One of the 32 integers.
    pub(crate) fn integer(&self, index: usize) -> i32 {
        i32::from(self.quads[index / 4].to_le_bytes()[index % 4].cast_signed())
    }
}
