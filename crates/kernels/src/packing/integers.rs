//! Formats of codes with an integer zero: one scale and one zero for 32, 64 or 128 inputs.
//!
//! Codes are taken as so far from their middle, as in Q4_0 and Q8_0, and the zero is taken off as a
//! minimum: scale × zero, exact. Where a file has its zero in the middle, that is nothing.

use bytemuck::{Pod, Zeroable};

use super::format::{Bits, Format, Scale, put_words, scale_at};
use super::{Line, Scales, Unpacked};
use crate::blocks::BlockType;
use crate::input_block::InputBlock;
use crate::lanes::LANES;

/// The scale and the zero of a unit.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct ScaleAndZero {
    scale: Scales,
    /// From the middle of the codes.
    zero: [i8; LANES],
}

impl ScaleAndZero {
    #[inline(always)]
    fn minimum(&self) -> Option<Scale<'_>> {
        Some(Scale::Signed(&self.scale, &self.zero))
    }

    /// Takes the head of a block: the scale, then the zero.
    fn put(&mut self, head: &[u8], lane: usize) {
        self.scale[lane] = scale_at(head);
        self.zero[lane] = head[2].cast_signed();
    }
}

/// Nibbles, eight inputs of all rows in a line: 4 lines are 32 inputs.
#[derive(Clone, Copy)]
pub(crate) struct Int4<const LINES: usize>;

impl<const LINES: usize> Format for Int4<LINES> {
    type Codes = [Line; LINES];
    type Scales = ScaleAndZero;
    type Unpacked = Unpacked<Int4<4>>;
    const KIND: BlockType = match LINES {
        4 => BlockType::Int4By32,
        8 => BlockType::Int4By64,
        16 => BlockType::Int4By128,
        _ => panic!("a block has 32, 64 or 128 inputs"),
    };
    const HAS_MINIMUMS: bool = true;
    const LOW_BITS: u32 = 4;
    const ZERO: i32 = 8;

    #[inline(always)]
    fn low(codes: &[Line; LINES], block: usize, quad: usize) -> Bits<'_> {
        Bits { line: &codes[block * 4 + quad % 4], shift: quad as u32 / 4 * 4 }
    }

    #[inline(always)]
    fn scale(scales: &ScaleAndZero, _block: usize, _group: usize) -> Scale<'_> {
        Scale::Plain(&scales.scale)
    }

    #[inline(always)]
    fn minimum(scales: &ScaleAndZero, _block: usize, _group: usize) -> Option<Scale<'_>> {
        scales.minimum()
    }

    #[inline(always)]
    fn start(input: &InputBlock, _group: usize) -> i32 {
        input.nibble_start
    }

    fn pack(block: &[u8], lane: usize, codes: &mut [Line; LINES], scales: &mut ScaleAndZero) {
        scales.put(block, lane);
        put_words(&block[3..], lane, codes);
    }
}

/// Bytes, four inputs of all rows in a line: 8 lines are 32 inputs.
#[derive(Clone, Copy)]
pub(crate) struct Int8<const LINES: usize>;

impl<const LINES: usize> Format for Int8<LINES> {
    type Codes = [Line; LINES];
    type Scales = ScaleAndZero;
    type Unpacked = Unpacked<Int8<8>>;
    const KIND: BlockType = match LINES {
        8 => BlockType::Int8By32,
        16 => BlockType::Int8By64,
        32 => BlockType::Int8By128,
        _ => panic!("a block has 32, 64 or 128 inputs"),
    };
    const HAS_MINIMUMS: bool = true;
    const LOW_BITS: u32 = 8;
    const ZERO: i32 = 128;

    #[inline(always)]
    fn low(codes: &[Line; LINES], block: usize, quad: usize) -> Bits<'_> {
        Bits { line: &codes[block * 8 + quad], shift: 0 }
    }

    #[inline(always)]
    fn scale(scales: &ScaleAndZero, _block: usize, _group: usize) -> Scale<'_> {
        Scale::Plain(&scales.scale)
    }

    #[inline(always)]
    fn minimum(scales: &ScaleAndZero, _block: usize, _group: usize) -> Option<Scale<'_>> {
        scales.minimum()
    }

    #[inline(always)]
    fn start(input: &InputBlock, _group: usize) -> i32 {
        input.byte_start
    }

    fn pack(block: &[u8], lane: usize, codes: &mut [Line; LINES], scales: &mut ScaleAndZero) {
        scales.put(block, lane);
        put_words(&block[3..], lane, codes);
    }
}
