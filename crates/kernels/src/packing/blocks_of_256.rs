//! Formats in which eight blocks of 32 share a 16-bit scale and have small integers of their own
//! that multiply it.
//!
//! Codes lie as in the file, four bytes of each row side by side. There, blocks that lie far apart
//! share bytes, so that a block's codes are at one shift: `lines`, from the line it names, in the
//! tables below. Scales are taken out of the file's bits and are bytes here.
//!
//! | format | lower bits | upper bits |
//! | --- | --- | --- |
//! | Q2_K, Q3_K | four blocks share 8 lines | all blocks share 8 lines, one bit each (Q3_K) |
//! | Q4_K, Q5_K | two blocks share 8 lines | all blocks share 8 lines, one bit each (Q5_K) |
//! | Q6_K | blocks i and i + 2 of four share 8 lines | four blocks share 8 lines, two bits each |

use bytemuck::{Pod, Zeroable};

use super::blocks_of_32::{Q4_1, Q5_1};
use super::format::{Bits, Format, Scale, put_words, scale_at};
use super::{Line, Scales, Unpacked};
use crate::blocks::{BlockType, q3_k_scale, scale_and_minimum};
use crate::input_block::{InputBlock, SUM_START_BITS};
use crate::lanes::LANES;

/// Lines that a run of 32 bytes of each row takes.
const RUN: usize = 8;

/// Two bits: four blocks share a run.
#[inline(always)]
fn two_bits<const N: usize>(lines: &[Line; N], block: usize, quad: usize) -> Bits<'_> {
    Bits { line: &lines[block / 4 * RUN + quad], shift: block as u32 % 4 * 2 }
}

/// Four bits: two blocks share a run.
#[inline(always)]
fn four_bits(lines: &[Line; 4 * RUN], block: usize, quad: usize) -> Bits<'_> {
    Bits { line: &lines[block / 2 * RUN + quad], shift: block as u32 % 2 * 4 }
}

/// One bit: all blocks share a run.
#[inline(always)]
fn one_bit(lines: &[Line; RUN], block: usize, quad: usize) -> Bits<'_> {
    Bits { line: &lines[quad], shift: block as u32 }
}

/// Scales of the groups of 16, each a signed byte.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct SignedScales {
    d: Scales,
    /// [group]
    by: [[i8; LANES]; 16],
}

impl SignedScales {
    #[inline(always)]
    fn group(&self, block: usize, group: usize) -> Scale<'_> {
        Scale::Signed(&self.d, &self.by[2 * block + group])
    }
}

/// Scales and minimums of the blocks, each a byte.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct BlockScales {
    d: Scales,
    d_minimum: Scales,
    /// [block]
    by: [[u8; LANES]; 8],
    /// [block]
    minimums: [[u8; LANES]; 8],
}

impl BlockScales {
    #[inline(always)]
    fn scale(&self, block: usize) -> Scale<'_> {
        Scale::Unsigned(&self.d, &self.by[block])
    }

    #[inline(always)]
    fn minimum(&self, block: usize) -> Option<Scale<'_>> {
        Some(Scale::Unsigned(&self.d_minimum, &self.minimums[block]))
    }

    /// Takes the head of a Q4_K or Q5_K block: two 16-bit scales, then 6-bit integers.
    fn put(&mut self, head: &[u8], lane: usize) {
        self.d[lane] = scale_at(head);
        self.d_minimum[lane] = scale_at(&head[2..]);
        for block in 0..8 {
            let (scale, minimum) = scale_and_minimum(&head[4..16], block);
            self.by[block][lane] = scale;
            self.minimums[block][lane] = minimum;
        }
    }
}

/// Scales and minimums of the groups of 16, halves of one byte.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct NibbleScales {
    d: Scales,
    d_minimum: Scales,
    /// [group], the scale in the lower half
    by: [[u8; LANES]; 16],
}

/// Two bits with minimums.
#[derive(Clone, Copy)]
pub(crate) struct Q2K;

impl Format for Q2K {
    type Codes = [Line; 2 * RUN];
    type Scales = NibbleScales;
    type Unpacked = Unpacked<Q2K>;
    const KIND: BlockType = BlockType::Q2K;
    const SCALES_PER_BLOCK: usize = 2;
    const LOW_BITS: u32 = 2;
    const HAS_MINIMUMS: bool = true;

    #[inline(always)]
    fn low(codes: &[Line; 2 * RUN], block: usize, quad: usize) -> Bits<'_> {
        two_bits(codes, block, quad)
    }

    #[inline(always)]
    fn scale(scales: &NibbleScales, block: usize, group: usize) -> Scale<'_> {
        Scale::LowNibble(&scales.d, &scales.by[2 * block + group])
    }

    #[inline(always)]
    fn minimum(scales: &NibbleScales, block: usize, group: usize) -> Option<Scale<'_>> {
        Some(Scale::HighNibble(&scales.d_minimum, &scales.by[2 * block + group]))
    }

    fn pack(block: &[u8], lane: usize, codes: &mut [Line; 2 * RUN], scales: &mut NibbleScales) {
        put_words(&block[16..80], lane, codes);
        scales.d[lane] = scale_at(&block[80..]);
        scales.d_minimum[lane] = scale_at(&block[82..]);
        scales.by.iter_mut().zip(&block[..16]).for_each(|(by, group)| by[lane] = *group);
    }
}

/// The codes of Q3_K.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Threes {
    low: [Line; 2 * RUN],
    high: [Line; RUN],
}

/// Three bits, each weight + 4.
#[derive(Clone, Copy)]
pub(crate) struct Q3K;

impl Format for Q3K {
    type Codes = Threes;
    type Scales = SignedScales;
    type Unpacked = Unpacked<Q3K>;
    const KIND: BlockType = BlockType::Q3K;
    const SCALES_PER_BLOCK: usize = 2;
    const LOW_BITS: u32 = 2;
    const HIGH_BITS: u32 = 1;
    const ZERO: i32 = 4;

    #[inline(always)]
    fn low(codes: &Threes, block: usize, quad: usize) -> Bits<'_> {
        two_bits(&codes.low, block, quad)
    }

    #[inline(always)]
    fn high(codes: &Threes, block: usize, quad: usize) -> Bits<'_> {
        one_bit(&codes.high, block, quad)
    }

    #[inline(always)]
    fn scale(scales: &SignedScales, block: usize, group: usize) -> Scale<'_> {
        scales.group(block, group)
    }

    #[inline(always)]
    fn start(input: &InputBlock, group: usize) -> i32 {
        // A multiple of 32, so that the shift is exact.
        SUM_START_BITS + ((input.half_starts[group] - SUM_START_BITS) >> 3)
    }

    fn pack(block: &[u8], lane: usize, codes: &mut Threes, scales: &mut SignedScales) {
        put_words(&block[..32], lane, &mut codes.high);
        put_words(&block[32..96], lane, &mut codes.low);
        scales.d[lane] = scale_at(&block[108..]);
        for (group, by) in scales.by.iter_mut().enumerate() {
            by[lane] = q3_k_scale(&block[96..108], group).cast_signed() - 32;
        }
    }
}

/// Four bits with minimums.
#[derive(Clone, Copy)]
pub(crate) struct Q4K;

impl Format for Q4K {
    type Codes = [Line; 4 * RUN];
    type Scales = BlockScales;
    type Unpacked = Unpacked<Q4_1>;
    const KIND: BlockType = BlockType::Q4K;
    const LOW_BITS: u32 = 4;
    const HAS_MINIMUMS: bool = true;

    #[inline(always)]
    fn low(codes: &[Line; 4 * RUN], block: usize, quad: usize) -> Bits<'_> {
        four_bits(codes, block, quad)
    }

    #[inline(always)]
    fn scale(scales: &BlockScales, block: usize, _group: usize) -> Scale<'_> {
        scales.scale(block)
    }

    #[inline(always)]
    fn minimum(scales: &BlockScales, block: usize, _group: usize) -> Option<Scale<'_>> {
        scales.minimum(block)
    }

    fn pack(block: &[u8], lane: usize, codes: &mut [Line; 4 * RUN], scales: &mut BlockScales) {
        scales.put(block, lane);
        put_words(&block[16..], lane, codes);
    }
}

/// The codes of Q5_K.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Fives {
    low: [Line; 4 * RUN],
    high: [Line; RUN],
}

/// Five bits with minimums.
#[derive(Clone, Copy)]
pub(crate) struct Q5K;

impl Format for Q5K {
    type Codes = Fives;
    type Scales = BlockScales;
    type Unpacked = Unpacked<Q5_1>;
    const KIND: BlockType = BlockType::Q5K;
    const LOW_BITS: u32 = 4;
    const HAS_MINIMUMS: bool = true;
    const HIGH_BITS: u32 = 1;

    #[inline(always)]
    fn low(codes: &Fives, block: usize, quad: usize) -> Bits<'_> {
        four_bits(&codes.low, block, quad)
    }

    #[inline(always)]
    fn high(codes: &Fives, block: usize, quad: usize) -> Bits<'_> {
        one_bit(&codes.high, block, quad)
    }

    #[inline(always)]
    fn scale(scales: &BlockScales, block: usize, _group: usize) -> Scale<'_> {
        scales.scale(block)
    }

    #[inline(always)]
    fn minimum(scales: &BlockScales, block: usize, _group: usize) -> Option<Scale<'_>> {
        scales.minimum(block)
    }

    fn pack(block: &[u8], lane: usize, codes: &mut Fives, scales: &mut BlockScales) {
        scales.put(block, lane);
        put_words(&block[16..48], lane, &mut codes.high);
        put_words(&block[48..], lane, &mut codes.low);
    }
}

/// The codes of Q6_K.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Sixes {
    low: [Line; 4 * RUN],
    high: [Line; 2 * RUN],
}

/// Six bits, each weight + 32.
#[derive(Clone, Copy)]
pub(crate) struct Q6K;

impl Format for Q6K {
    type Codes = Sixes;
    type Scales = SignedScales;
    type Unpacked = Unpacked<Q6K>;
    const KIND: BlockType = BlockType::Q6K;
    const SCALES_PER_BLOCK: usize = 2;
    const LOW_BITS: u32 = 4;
    const HIGH_BITS: u32 = 2;
    const ZERO: i32 = 32;

    #[inline(always)]
    fn low(codes: &Sixes, block: usize, quad: usize) -> Bits<'_> {
        let run = block / 4 * 2 + block % 2;
        Bits { line: &codes.low[run * RUN + quad], shift: block as u32 % 4 / 2 * 4 }
    }

    #[inline(always)]
    fn high(codes: &Sixes, block: usize, quad: usize) -> Bits<'_> {
        two_bits(&codes.high, block, quad)
    }

    #[inline(always)]
    fn scale(scales: &SignedScales, block: usize, group: usize) -> Scale<'_> {
        scales.group(block, group)
    }

    #[inline(always)]
    fn start(input: &InputBlock, group: usize) -> i32 {
        input.half_starts[group]
    }

    fn pack(block: &[u8], lane: usize, codes: &mut Sixes, scales: &mut SignedScales) {
        put_words(&block[..128], lane, &mut codes.low);
        put_words(&block[128..192], lane, &mut codes.high);
        for (by, scale) in scales.by.iter_mut().zip(&block[192..208]) {
            by[lane] = scale.cast_signed();
        }
        scales.d[lane] = scale_at(&block[208..]);
    }
}
