//! Formats whose blocks of 32 have scales of their own. Where codes have five bits, byte i of a
//! row's four holds the fifth bits of inputs i, i + 4, i + 8 … from its lowest bit up, so that one
//! shift brings those of four inputs into place.

use bytemuck::{Pod, Zeroable};

use super::format::{Bits, Format, Scale, put_words, scale_at};
use super::{Line, Scales, Unpacked};
use crate::blocks::BlockType;
use crate::input_block::{InputBlock, SUM_START_BITS};

/// Bytes, each weight + 128.
#[derive(Clone, Copy)]
pub(crate) struct Q8_0;

impl Format for Q8_0 {
    type Codes = [Line; 8];
    type Scales = Scales;
    type Unpacked = Unpacked<Q8_0>;
    const KIND: BlockType = BlockType::Q8_0;
    const LOW_BITS: u32 = 8;
    const ZERO: i32 = 128;

    #[inline(always)]
    fn low(codes: &[Line; 8], _block: usize, quad: usize) -> Bits<'_> {
        Bits { line: &codes[quad], shift: 0 }
    }

    #[inline(always)]
    fn scale(scales: &Scales, _block: usize, _group: usize) -> Scale<'_> {
        Scale::Plain(scales)
    }

    #[inline(always)]
    fn start(input: &InputBlock, _group: usize) -> i32 {
        input.byte_start
    }

    fn pack(block: &[u8], lane: usize, codes: &mut [Line; 8], scales: &mut Scales) {
        scales[lane] = scale_at(block);
        let mut bytes = [0; 32];
        for (byte, weight) in bytes.iter_mut().zip(&block[2..]) {
            // Adding 128 to a signed byte flips its top bit.
            *byte = weight ^ 0x80;
        }
        put_words(&bytes, lane, codes);
    }
}

/// The lower bits of a code, where 32 nibbles lie in four lines as in the file: the first sixteen
/// inputs in the lower halves of bytes.
#[inline(always)]
fn nibbles(lines: &[Line; 4], quad: usize) -> Bits<'_> {
    Bits { line: &lines[quad % 4], shift: quad as u32 / 4 * 4 }
}

/// Nibbles, each weight + 8.
#[derive(Clone, Copy)]
pub(crate) struct Q4_0;

impl Format for Q4_0 {
    type Codes = [Line; 4];
    type Scales = Scales;
    type Unpacked = Unpacked<Q4_0>;
    const KIND: BlockType = BlockType::Q4_0;
    const LOW_BITS: u32 = 4;
    const ZERO: i32 = 8;

    #[inline(always)]
    fn low(codes: &[Line; 4], _block: usize, quad: usize) -> Bits<'_> {
        nibbles(codes, quad)
    }

    #[inline(always)]
    fn scale(scales: &Scales, _block: usize, _group: usize) -> Scale<'_> {
        Scale::Plain(scales)
    }

    #[inline(always)]
    fn start(input: &InputBlock, _group: usize) -> i32 {
        input.nibble_start
    }

    fn pack(block: &[u8], lane: usize, codes: &mut [Line; 4], scales: &mut Scales) {
        scales[lane] = scale_at(block);
        put_words(&block[2..], lane, codes);
    }
}

/// Nibbles with a minimum. The file adds it; here it is subtracted, as in every other format.
#[derive(Clone, Copy)]
pub(crate) struct Q4_1;

impl Format for Q4_1 {
    type Codes = [Line; 4];
    /// Scales, then minimums.
    type Scales = [Scales; 2];
    type Unpacked = Unpacked<Q4_1>;
    const KIND: BlockType = BlockType::Q4_1;
    const LOW_BITS: u32 = 4;
    const HAS_MINIMUMS: bool = true;

    #[inline(always)]
    fn low(codes: &[Line; 4], _block: usize, quad: usize) -> Bits<'_> {
        nibbles(codes, quad)
    }

    #[inline(always)]
    fn scale(scales: &[Scales; 2], _block: usize, _group: usize) -> Scale<'_> {
        Scale::Plain(&scales[0])
    }

    #[inline(always)]
    fn minimum(scales: &[Scales; 2], _block: usize, _group: usize) -> Option<Scale<'_>> {
        Some(Scale::Plain(&scales[1]))
    }

    fn pack(block: &[u8], lane: usize, codes: &mut [Line; 4], scales: &mut [Scales; 2]) {
        scales[0][lane] = scale_at(block);
        scales[1][lane] = -scale_at(&block[2..]);
        put_words(&block[4..], lane, codes);
    }
}

/// The codes of a block in five bits.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Fives {
    nibbles: [Line; 4],
    fifths: [Line; 1],
}

impl Fives {
    #[inline(always)]
    fn fifth(&self, quad: usize) -> Bits<'_> {
        Bits { line: &self.fifths[0], shift: quad as u32 }
    }

    /// Takes 32 fifth bits, one input after the other, and sixteen pairs of nibbles.
    fn put(&mut self, fifths: &[u8], nibbles: &[u8], lane: usize) {
        put_words(nibbles, lane, &mut self.nibbles);
        let bits = u32::from_le_bytes([fifths[0], fifths[1], fifths[2], fifths[3]]);
        put_words(&transpose(bits).to_le_bytes(), lane, &mut self.fifths);
    }
}

/// Moves bit 4q + i to bit 8i + q.
fn transpose(bits: u32) -> u32 {
    (0..4).fold(0, |word, i| {
        // Every fourth bit from bit i on, brought together in a byte.
        let spread = bits >> i & 0x1111_1111;
        let pairs = (spread | spread >> 3) & 0x0303_0303;
        let fours = (pairs | pairs >> 6) & 0x000f_000f;
        let byte = (fours | fours >> 12) & 0xff;
        word | byte << (8 * i)
    })
}

/// Five bits, each weight + 16.
#[derive(Clone, Copy)]
pub(crate) struct Q5_0;

impl Format for Q5_0 {
    type Codes = Fives;
    type Scales = Scales;
    type Unpacked = Unpacked<Q5_0>;
    const KIND: BlockType = BlockType::Q5_0;
    const LOW_BITS: u32 = 4;
    const HIGH_BITS: u32 = 1;
    const ZERO: i32 = 16;

    #[inline(always)]
    fn low(codes: &Fives, _block: usize, quad: usize) -> Bits<'_> {
        nibbles(&codes.nibbles, quad)
    }

    #[inline(always)]
    fn high(codes: &Fives, _block: usize, quad: usize) -> Bits<'_> {
        codes.fifth(quad)
    }

    #[inline(always)]
    fn scale(scales: &Scales, _block: usize, _group: usize) -> Scale<'_> {
        Scale::Plain(scales)
    }

    #[inline(always)]
    fn start(input: &InputBlock, _group: usize) -> i32 {
        SUM_START_BITS + 2 * (input.nibble_start - SUM_START_BITS)
    }

    fn pack(block: &[u8], lane: usize, codes: &mut Fives, scales: &mut Scales) {
        scales[lane] = scale_at(block);
        codes.put(&block[2..6], &block[6..], lane);
    }
}

/// Five bits with a minimum, subtracted as in Q4_1.
#[derive(Clone, Copy)]
pub(crate) struct Q5_1;

impl Format for Q5_1 {
    type Codes = Fives;
    /// Scales, then minimums.
    type Scales = [Scales; 2];
    type Unpacked = Unpacked<Q5_1>;
    const KIND: BlockType = BlockType::Q5_1;
    const LOW_BITS: u32 = 4;
    const HAS_MINIMUMS: bool = true;
    const HIGH_BITS: u32 = 1;

    #[inline(always)]
    fn low(codes: &Fives, _block: usize, quad: usize) -> Bits<'_> {
        nibbles(&codes.nibbles, quad)
    }

    #[inline(always)]
    fn high(codes: &Fives, _block: usize, quad: usize) -> Bits<'_> {
        codes.fifth(quad)
    }

    #[inline(always)]
    fn scale(scales: &[Scales; 2], _block: usize, _group: usize) -> Scale<'_> {
        Scale::Plain(&scales[0])
    }

    #[inline(always)]
    fn minimum(scales: &[Scales; 2], _block: usize, _group: usize) -> Option<Scale<'_>> {
        Some(Scale::Plain(&scales[1]))
    }

    fn pack(block: &[u8], lane: usize, codes: &mut Fives, scales: &mut [Scales; 2]) {
        scales[0][lane] = scale_at(block);
        scales[1][lane] = -scale_at(&block[2..]);
        codes.put(&block[4..8], &block[8..], lane);
    }
}

#[cfg(test)]
mod tests {
    use super::transpose;

    #[test]
    fn every_fifth_bit_goes_to_its_place() {
        for quad in 0..8 {
            for i in 0..4 {
                assert_eq!(transpose(1 << (4 * quad + i)), 1 << (8 * i + quad), "{quad}, {i}");
            }
        }
    }
}
