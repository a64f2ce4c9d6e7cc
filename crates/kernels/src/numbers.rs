//! The number formats that weights and pages are held in.

use bytemuck::AnyBitPattern;
use half::{bf16, f16};

use crate::{LANES, Lanes};

/// A number format. Kernels are generic over it and load sixteen at once by its [`NumberLanes`].
pub(crate) trait Number: AnyBitPattern {
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
