//! The number formats that weights and pages are held in.

use bytemuck::{Pod, Zeroable};
use half::{bf16, f16};

use crate::lanes::{LANES, Lanes};

/// A number format. Kernels are generic over it and load sixteen at once by its [`NumberLanes`].
pub(crate) trait Number: Pod {
    fn to_f32(self) -> f32;

    /// The same numbers, with their format as a value.
    fn lanes(numbers: &[Self; LANES]) -> NumberLanes<'_>;
}

/// Sixteen numbers of a known format.
pub(crate) enum NumberLanes<'a> {
    F32(&'a Lanes),
    F16(&'a [f16; LANES]),
    Bf16(&'a [bf16; LANES]),
    I8(&'a [i8; LANES]),
}

impl Number for f32 {
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn lanes(numbers: &Lanes) -> NumberLanes<'_> {
        NumberLanes::F32(numbers)
    }
}

impl Number for f16 {
    fn to_f32(self) -> f32 {
        self.to_f32()
    }

    #[inline(always)]
    fn lanes(numbers: &[f16; LANES]) -> NumberLanes<'_> {
        NumberLanes::F16(numbers)
    }
}

impl Number for bf16 {
    fn to_f32(self) -> f32 {
        self.to_f32()
    }

    #[inline(always)]
    fn lanes(numbers: &[bf16; LANES]) -> NumberLanes<'_> {
        NumberLanes::Bf16(numbers)
    }
}

impl Number for i8 {
    fn to_f32(self) -> f32 {
        f32::from(self)
    }

    #[inline(always)]
    fn lanes(numbers: &[i8; LANES]) -> NumberLanes<'_> {
        NumberLanes::I8(numbers)
    }
}

/// Two BF16 numbers in one lane.
///
/// The first has the upper half, because that is the one that the instruction for such pairs
/// multiplies and adds first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct Bf16Pair(u32);

impl Bf16Pair {
    /// Rounds two numbers.
    pub(crate) fn rounded(first: f32, second: f32) -> Bf16Pair {
        Bf16Pair::new(bf16::from_f32(first), bf16::from_f32(second))
    }

    pub(crate) fn new(first: bf16, second: bf16) -> Bf16Pair {
        Bf16Pair(u32::from(first.to_bits()) << 16 | u32::from(second.to_bits()))
    }

    pub(crate) fn numbers(self) -> [f32; 2] {
        [f32::from_bits(self.0 & 0xffff_0000), f32::from_bits(self.0 << 16)]
    }

    /// The bits of both, for kernels that multiply them as they are.
    pub(crate) fn bits(self) -> i32 {
        self.0.cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_holds_two_rounded_numbers_in_order() {
        let pair = Bf16Pair::rounded(1.0 + 1.0 / 512.0, -3.0);
        assert_eq!(pair.numbers(), [1.0, -3.0], "half a step above an even number is rounded down");
        assert_eq!(pair.bits().cast_unsigned(), 0x3f80_c040);
    }
}
