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

/// Where sums of products start: with this number, or rather with its bits. Floats from 2²³ on are
/// integers up to 2²⁴, so what is added to the bits is added to the number, and a sum of integers
/// is read as a float without a conversion. Sums stay below 2²².
///
/// That much more is taken off while the sum is scaled: `sum × scale − SUM_START × scale` is
/// rounded once where products and sums are fused, and `SUM_START × scale` not at all, because a
/// scale has at most 19 bits. It is never infinite either: packing makes NaN of that.
pub(crate) const SUM_START: f32 = 12_582_912.0;
/// The bits of [`SUM_START`].
pub(crate) const SUM_START_BITS: i32 = SUM_START.to_bits().cast_signed();

/// 32 activations of one token, and their sums in the forms that kernels want to read at once.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct InputBlock {
    /// Four signed bytes each, the first in the lowest bits.
    pub(crate) quads: [i32; BLOCK_LEN / 4],
    /// What one step of the integers is worth.
    pub(crate) scale: f32,
    /// [`SUM_START_BITS`] − 128 × the sum of the integers: where a sum over weights that are 128
    /// too large starts.
    pub(crate) byte_start: i32,
    /// The same for weights that are 8 too large.
    pub(crate) nibble_start: i32,
    /// The same for weights that are 32 too large, over the first and the last sixteen integers.
    pub(crate) half_starts: [i32; 2],
    /// The sum of the integers, in units of the activations.
    pub(crate) sum: f32,
    /// The same of the first and of the last sixteen.
    pub(crate) half_sums: [f32; 2],
}

impl Default for InputBlock {
    /// A block of zeroes.
    #[inline(always)]
    fn default() -> InputBlock {
        InputBlock::with_sums([0; BLOCK_LEN / 4], 0.0, [0, 0])
    }
}

impl InputBlock {
    /// A block of these integers.
    pub(crate) fn new(integers: &[i8; BLOCK_LEN], scale: f32) -> InputBlock {
        let sum = |half: &[i8]| half.iter().map(|&integer| i32::from(integer)).sum();
        let (first, last) = integers.split_at(BLOCK_LEN / 2);
        let mut quads = [0; BLOCK_LEN / 4];
        for (quad, four) in quads.iter_mut().zip(integers.as_chunks::<4>().0) {
            *quad = i32::from_le_bytes(four.map(i8::cast_unsigned));
        }
        InputBlock::with_sums(quads, scale, [sum(first), sum(last)])
    }

    /// A block whose integers have these sums in its first and in its last half.
    #[inline(always)]
    pub(crate) fn with_sums(
        quads: [i32; BLOCK_LEN / 4],
        scale: f32,
        [first, last]: [i32; 2],
    ) -> InputBlock {
        let sum = first + last;
        InputBlock {
            quads,
            scale,
            byte_start: SUM_START_BITS - 128 * sum,
            nibble_start: SUM_START_BITS - 8 * sum,
            half_starts: [SUM_START_BITS - 32 * first, SUM_START_BITS - 32 * last],
            sum: scale * sum as f32,
            half_sums: [scale * first as f32, scale * last as f32],
        }
    }

    /// The sum of the activations in one of a block's one or two scale groups.
    #[inline(always)]
    pub(crate) fn sum_of(&self, groups: usize, group: usize) -> f32 {
        if groups == 1 { self.sum } else { self.half_sums[group] }
    }

    /// One of the 32 integers.
    pub(crate) fn integer(&self, index: usize) -> i32 {
        i32::from(self.quads[index / 4].to_le_bytes()[index % 4].cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    #[test]
    fn a_sum_that_starts_with_its_own_number_is_scaled_as_one_that_starts_with_nothing() {
        let scales = (0..=u16::MAX).map(f16::from_bits).filter(|scale| scale.is_finite());
        for (scale, by) in scales.zip((-128..=255).cycle()) {
            let scale = scale.to_f32() * by as f32;
            // The largest product of 32 codes and activations, one in the middle, one that is none.
            for sum in [32 * 128 * 127, -31_337, 0] {
                let started = f32::from_bits((SUM_START_BITS + sum).cast_unsigned());
                let scaled = started.mul_add(scale, -SUM_START * scale);
                assert_eq!(scaled, sum as f32 * scale, "{sum} × {scale:e}");
            }
        }
    }
}
