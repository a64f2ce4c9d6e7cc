//! What kernels know of a quantised format: where the codes and scales of a block are.

use std::marker::PhantomData;
use std::ops::Range;

use bytemuck::Pod;
use half::f16;

#[cfg(doc)]
use super::unpacked::Unpacked;
use super::{Line, QUAD, Scales, UnpackedCodes, UnpackedScales};
use crate::blocks::BlockType;
#[cfg(doc)]
use crate::input_block::SUM_START;
use crate::input_block::{BLOCK_LEN, InputBlock, SUM_START_BITS};
use crate::lanes::{LANES, Lanes};
use crate::prefetch::{Cache, ask_ahead};

/// A quantised format, as sixteen rows of it lie in memory.
///
/// A *unit* is what shares scales in the file: one block of 32 inputs, or eight. A weight is
/// `scale × (code − ZERO) − minimum`. A code's lower bits and its upper ones lie apart, each below
/// a mask in some byte.
pub(crate) trait Format: Copy {
    /// The codes of a unit.
    type Codes: Pod;
    /// The scales of a unit.
    type Scales: Pod;
    /// Its blocks unpacked: [`Unpacked`] of itself, or of another format that is the same by then,
    /// which spares the compiler a kernel.
    type Unpacked: Format<Codes = UnpackedCodes, Scales = UnpackedScales>;
    /// What the file calls a row's part of a unit: a block of its own format.
    const KIND: BlockType;
    /// How many blocks of 32 a unit has.
    const BLOCKS: usize = Self::KIND.block_len() / BLOCK_LEN;
    /// How many scales a block of 32 inputs has: one, or two. A *scale group* is the inputs that
    /// share one: 32, or 16.
    const SCALES_PER_BLOCK: usize = 1;
    /// How many lower bits a code has.
    const LOW_BITS: u32;
    /// How many upper bits a code has.
    const HIGH_BITS: u32 = 0;
    /// The largest code.
    const MOST: i32 = (1 << (Self::LOW_BITS + Self::HIGH_BITS)) - 1;
    /// The code of a weight 0.
    const ZERO: i32 = 0;
    /// Whether [`Format::minimum`] says anything.
    const HAS_MINIMUMS: bool = false;
    /// Whether weights come from memory, and not from a cache that they were unpacked into.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "x86-64 alone asks ahead"))]
    const STREAMS: bool = true;

    /// The lower bits of four inputs of all rows.
    fn low(codes: &Self::Codes, block: usize, quad: usize) -> Bits<'_>;

    /// The upper bits of four inputs of all rows.
    fn high(_codes: &Self::Codes, _block: usize, _quad: usize) -> Bits<'_> {
        unreachable!("a format with upper bits says where they are")
    }

    /// What the codes of a scale group are multiplied by: of at most 19 bits, as [`SUM_START`]
    /// wants.
    fn scale(scales: &Self::Scales, block: usize, group: usize) -> Scale<'_>;

    /// What is subtracted from the weights of a scale group.
    fn minimum(_scales: &Self::Scales, _block: usize, _group: usize) -> Option<Scale<'_>> {
        None
    }

    /// Where the sum of a scale group's codes times these activations starts: [`SUM_START_BITS`],
    /// less [`Format::ZERO`] times the sum of the activations.
    fn start(_input: &InputBlock, _group: usize) -> i32 {
        SUM_START_BITS
    }

    /// Puts a block of a file's row into one lane.
    fn pack(block: &[u8], lane: usize, codes: &mut Self::Codes, scales: &mut Self::Scales);
}

/// Some bits of four inputs of sixteen rows: in every byte of a line, so far up.
#[derive(Clone, Copy)]
pub(crate) struct Bits<'a> {
    pub(crate) line: &'a Line,
    pub(crate) shift: u32,
}

/// Sixteen scales, one for each row.
#[derive(Clone, Copy)]
pub(crate) enum Scale<'a> {
    /// As they are.
    Plain(&'a Scales),
    /// As they are.
    Float(&'a Lanes),
    /// Each times an integer.
    Unsigned(&'a Scales, &'a [u8; LANES]),
    /// Each times an integer.
    Signed(&'a Scales, &'a [i8; LANES]),
    /// Each times the lower half of a byte.
    LowNibble(&'a Scales, &'a [u8; LANES]),
    /// Each times the upper half of a byte.
    HighNibble(&'a Scales, &'a [u8; LANES]),
}

impl Scale<'_> {
    /// The scale of one row. Products are exact: 11 bits times at most 8.
    pub(crate) fn of(self, lane: usize) -> f32 {
        match self {
            Scale::Plain(scales) => scales[lane].to_f32(),
            Scale::Float(scales) => scales[lane],
            Scale::Unsigned(scales, by) => scales[lane].to_f32() * f32::from(by[lane]),
            Scale::Signed(scales, by) => scales[lane].to_f32() * f32::from(by[lane]),
            Scale::LowNibble(scales, by) => scales[lane].to_f32() * f32::from(by[lane] & 0x0f),
            Scale::HighNibble(scales, by) => scales[lane].to_f32() * f32::from(by[lane] >> 4),
        }
    }
}

/// Sixteen rows of a quantised format.
#[derive(Clone, Copy)]
pub(crate) struct Quantised<'a, F: Format> {
    /// Whole units.
    bytes: &'a [u8],
    format: PhantomData<F>,
}

impl<'a, F: Format> Quantised<'a, F> {
    /// The bytes of a unit: codes, then scales.
    pub(super) const UNIT_BYTES: usize = size_of::<F::Codes>() + size_of::<F::Scales>();

    /// Sees a panel's bytes as what they are.
    pub(super) fn of(bytes: &'a [u8], depth: usize) -> Quantised<'a, F> {
        Quantised::of_units(&bytes[..depth / (F::BLOCKS * BLOCK_LEN) * Self::UNIT_BYTES])
    }

    /// Sees bytes as units.
    pub(super) fn of_units(bytes: &'a [u8]) -> Quantised<'a, F> {
        Quantised { bytes, format: PhantomData }
    }

    /// Codes and scales of each unit.
    #[inline(always)]
    pub(crate) fn units(&self) -> impl Iterator<Item = (&'a F::Codes, &'a F::Scales)> + use<'a, F> {
        self.bytes.chunks_exact(Self::UNIT_BYTES).map(|unit| {
            let (codes, scales) = unit.split_at(size_of::<F::Codes>());
            (bytemuck::from_bytes(codes), bytemuck::from_bytes(scales))
        })
    }

    /// Some of the blocks, which are whole units.
    pub(crate) fn part(&self, blocks: Range<usize>) -> Quantised<'a, F> {
        let start = |block: usize| block / F::BLOCKS * Self::UNIT_BYTES;
        Quantised::of_units(&self.bytes[start(blocks.start)..start(blocks.end)])
    }

    /// Asks for what will be wanted after a unit: a block's share of it.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "x86-64 alone asks ahead"))]
    #[inline(always)]
    pub(crate) fn ask_ahead(codes: &F::Codes, block: usize, cache: Cache) {
        let share = Self::UNIT_BYTES / F::BLOCKS;
        ask_ahead(std::ptr::from_ref(codes).wrapping_byte_add(block * share), share, cache);
    }

    /// Reads one row back as numbers.
    pub(super) fn row(&self, lane: usize, values: &mut [f32]) {
        let blocks = self.units().flat_map(|unit| (0..F::BLOCKS).map(move |block| (unit, block)));
        for (((codes, scales), block), values) in blocks.zip(values.chunks_exact_mut(BLOCK_LEN)) {
            let group_len = BLOCK_LEN / F::SCALES_PER_BLOCK;
            for (index, value) in values.iter_mut().enumerate() {
                let group = index / group_len;
                let scale = F::scale(scales, block, group).of(lane);
                *value = weight::<F>(codes, block, lane, index) as f32 * scale;
                if let Some(minimum) = F::minimum(scales, block, group) {
                    *value -= minimum.of(lane);
                }
            }
        }
    }
}

/// Whether a quad's weights have the scale of this group.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) const fn has_quad<F: Format>(group: usize, quad: usize) -> bool {
    quad * F::SCALES_PER_BLOCK / 8 == group
}

/// One weight without scale and minimum.
pub(crate) fn weight<F: Format>(codes: &F::Codes, block: usize, lane: usize, input: usize) -> i32 {
    let read = |bits: Bits<'_>, count: u32| {
        let byte = bits.line[lane * QUAD + input % QUAD];
        (i32::from(byte) >> bits.shift) & ((1 << count) - 1)
    };
    let low = read(F::low(codes, block, input / QUAD), F::LOW_BITS);
    let high = match F::HIGH_BITS {
        0 => 0,
        count => read(F::high(codes, block, input / QUAD), count),
    };
    (low | high << F::LOW_BITS) - F::ZERO
}

/// Packs up to sixteen whole rows of a file into one zeroed panel.
pub(super) fn pack_rows<F: Format>(rows: &[u8], panel: &mut [u8], row_bytes: usize) {
    let block_bytes = F::KIND.block_bytes();
    let units = panel.chunks_exact_mut(Quantised::<F>::UNIT_BYTES);
    for (unit, bytes) in units.take(row_bytes / block_bytes).enumerate() {
        let (codes, scales) = bytes.split_at_mut(size_of::<F::Codes>());
        let codes: &mut F::Codes = bytemuck::from_bytes_mut(codes);
        let scales: &mut F::Scales = bytemuck::from_bytes_mut(scales);
        for (lane, row) in rows.chunks_exact(row_bytes).enumerate() {
            F::pack(&row[unit * block_bytes..][..block_bytes], lane, codes, scales);
        }
    }
}

/// Puts each four bytes into one lane of the next line.
pub(super) fn put_words(bytes: &[u8], lane: usize, lines: &mut [Line]) {
    for (word, line) in bytes.as_chunks::<QUAD>().0.iter().zip(lines) {
        line[lane * QUAD..][..QUAD].copy_from_slice(word);
    }
}

/// The little-endian 16-bit float at the start of `bytes`; NaN for an infinity, of which kernels
/// would make an infinity or NaN by how they come to a sum (see [`SUM_START`]).
pub(super) fn scale_at(bytes: &[u8]) -> f16 {
    let scale = f16::from_le_bytes([bytes[0], bytes[1]]);
    if scale.is_infinite() { f16::NAN } else { scale }
}
