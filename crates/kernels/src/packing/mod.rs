//! How weights lie in memory: in panels of 16 rows, one row for each 32-bit lane.
//!
//! A *panel* holds the whole depth of its 16 rows, as *units* one after the other. A unit is one
//! quantised block (32 or 256 inputs) of every row: its codes, then its scales. Codes lie in
//! *lines* of 64 bytes: four bytes of each row. A *quad* is the codes of four inputs: some bits of
//! every byte of a line, or of two lines.
//!
//! ```text
//! matrix   [rows, depth]     panel 0: rows 0 to 15    panel 1: rows 16 to 31    …
//!
//! panel    unit 0            unit 1            unit 2            …        along the depth
//!          codes | scales    codes | scales    codes | scales
//!
//! codes    line 0            line 1            line 2            line 3          (Q4_0: 4 lines)
//!          lower nibbles:    inputs 4 to 7     inputs 8 to 11    inputs 12 to 15
//!          inputs 0 to 3
//!          upper nibbles:    inputs 20 to 23   inputs 24 to 27   inputs 28 to 31
//!          inputs 16 to 19
//!
//! line     row 0        row 1        row 2        …   row 15                    64 bytes
//!          4 bytes      4 bytes      4 bytes          4 bytes
//!
//! scales   row 0        row 1        row 2        …   row 15               16 times an f16
//! ```
//!
//! One shift and one mask turn a line into a quad of sixteen rows, which one instruction multiplies
//! by four activations and adds to sixteen sums. Scales stand behind the codes of their own unit,
//! so that memory is read as one stream: when all scales of a panel stood behind all its codes, one
//! token waited for them half of the time.
//!
//! Codes are unsigned because the instruction wants one unsigned factor; the excess is taken off by
//! a start value that each block of activations carries. Rows beyond the last are zeroes. Bits keep
//! their number, except that the 6-bit scales of formats with blocks of 256 become bytes.
//!
//! Reading order:
//! - `format`: what a kernel knows of a quantised format.
//! - `blocks_of_32`, `blocks_of_256`, `integers`: the formats.
//! - `unpacked`: a part of a panel unpacked, for many tokens.
//! - [`Panel`] below: sixteen rows in any format.
//!
//! A new format: its [`Format`] in one of the three files, its lines in this one, its row in the
//! tests.

pub(crate) mod blocks_of_256;
pub(crate) mod blocks_of_32;
mod format;
pub(crate) mod integers;
mod unpacked;

use half::{bf16, f16};

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) use self::format::has_quad;
pub(crate) use self::format::{Bits, Format, Quantised, Scale, weight};
pub(crate) use self::unpacked::{
    UNPACKED_BLOCKS, Unpacked, UnpackedBuffer, UnpackedCodes, UnpackedScales, UnpackedUnit,
};
use crate::blocks::BlockType;
use crate::input_block::BLOCK_LEN;
use crate::lanes::{LANES, Lanes};
use crate::numbers::{Bf16Pair, Number};

/// How many inputs one lane holds as bytes.
pub(crate) const QUAD: usize = 4;
/// Four bytes of every row of a panel.
pub(crate) type Line = [u8; LANES * QUAD];
/// One scale for each row of a panel.
pub(crate) type Scales = [f16; LANES];

/// Sixteen rows of a matrix, in any format.
#[derive(Clone, Copy)]
pub(crate) enum Panel<'a> {
    /// [depth]
    F32(&'a [Lanes]),
    /// [depth]
    F16(&'a [[f16; LANES]]),
    /// [depth]
    Bf16(&'a [[bf16; LANES]]),
    Q8_0(Quantised<'a, blocks_of_32::Q8_0>),
    Q4_0(Quantised<'a, blocks_of_32::Q4_0>),
    Q4_1(Quantised<'a, blocks_of_32::Q4_1>),
    Q5_0(Quantised<'a, blocks_of_32::Q5_0>),
    Q5_1(Quantised<'a, blocks_of_32::Q5_1>),
    Q2K(Quantised<'a, blocks_of_256::Q2K>),
    Q3K(Quantised<'a, blocks_of_256::Q3K>),
    Q4K(Quantised<'a, blocks_of_256::Q4K>),
    Q5K(Quantised<'a, blocks_of_256::Q5K>),
    Q6K(Quantised<'a, blocks_of_256::Q6K>),
    Int4By32(Quantised<'a, integers::Int4<4>>),
    Int4By64(Quantised<'a, integers::Int4<8>>),
    Int4By128(Quantised<'a, integers::Int4<16>>),
    Int8By32(Quantised<'a, integers::Int8<8>>),
    Int8By64(Quantised<'a, integers::Int8<16>>),
    Int8By128(Quantised<'a, integers::Int8<32>>),
    /// [depth / 2]
    Bf16Dot(&'a [[Bf16Pair; LANES]]),
}

/// Does one of three things with a [`Panel`]'s weights, whatever their type is.
macro_rules! with_panel {
    (
        $panel:expr,
        floats($floats:ident) => $do_floats:expr,
        pairs($pairs:ident) => $do_pairs:expr,
        quantised($quantised:ident) => $do_quantised:expr $(,)?
    ) => {
        match $panel {
            $crate::packing::Panel::F32($floats) => $do_floats,
            $crate::packing::Panel::F16($floats) => $do_floats,
            $crate::packing::Panel::Bf16($floats) => $do_floats,
            $crate::packing::Panel::Q8_0($quantised) => $do_quantised,
            $crate::packing::Panel::Q4_0($quantised) => $do_quantised,
            $crate::packing::Panel::Q4_1($quantised) => $do_quantised,
            $crate::packing::Panel::Q5_0($quantised) => $do_quantised,
            $crate::packing::Panel::Q5_1($quantised) => $do_quantised,
            $crate::packing::Panel::Q2K($quantised) => $do_quantised,
            $crate::packing::Panel::Q3K($quantised) => $do_quantised,
            $crate::packing::Panel::Q4K($quantised) => $do_quantised,
            $crate::packing::Panel::Q5K($quantised) => $do_quantised,
            $crate::packing::Panel::Q6K($quantised) => $do_quantised,
            $crate::packing::Panel::Int4By32($quantised) => $do_quantised,
            $crate::packing::Panel::Int4By64($quantised) => $do_quantised,
            $crate::packing::Panel::Int4By128($quantised) => $do_quantised,
            $crate::packing::Panel::Int8By32($quantised) => $do_quantised,
            $crate::packing::Panel::Int8By64($quantised) => $do_quantised,
            $crate::packing::Panel::Int8By128($quantised) => $do_quantised,
            $crate::packing::Panel::Bf16Dot($pairs) => $do_pairs,
        }
    };
}
pub(crate) use with_panel;

impl<'a> Panel<'a> {
    /// Sees a panel's bytes as what they are.
    pub(crate) fn of(kind: BlockType, bytes: &'a [u8], depth: usize) -> Panel<'a> {
        match kind {
            BlockType::F32 => Panel::F32(bytemuck::cast_slice(&bytes[..depth * LANES * 4])),
            BlockType::F16 => Panel::F16(bytemuck::cast_slice(&bytes[..depth * LANES * 2])),
            BlockType::Bf16 => Panel::Bf16(bytemuck::cast_slice(&bytes[..depth * LANES * 2])),
            BlockType::Q8_0 => Panel::Q8_0(Quantised::of(bytes, depth)),
            BlockType::Q4_0 => Panel::Q4_0(Quantised::of(bytes, depth)),
            BlockType::Q4_1 => Panel::Q4_1(Quantised::of(bytes, depth)),
            BlockType::Q5_0 => Panel::Q5_0(Quantised::of(bytes, depth)),
            BlockType::Q5_1 => Panel::Q5_1(Quantised::of(bytes, depth)),
            BlockType::Q2K => Panel::Q2K(Quantised::of(bytes, depth)),
            BlockType::Q3K => Panel::Q3K(Quantised::of(bytes, depth)),
            BlockType::Q4K => Panel::Q4K(Quantised::of(bytes, depth)),
            BlockType::Q5K => Panel::Q5K(Quantised::of(bytes, depth)),
            BlockType::Q6K => Panel::Q6K(Quantised::of(bytes, depth)),
            BlockType::Int4By32 => Panel::Int4By32(Quantised::of(bytes, depth)),
            BlockType::Int4By64 => Panel::Int4By64(Quantised::of(bytes, depth)),
            BlockType::Int4By128 => Panel::Int4By128(Quantised::of(bytes, depth)),
            BlockType::Int8By32 => Panel::Int8By32(Quantised::of(bytes, depth)),
            BlockType::Int8By64 => Panel::Int8By64(Quantised::of(bytes, depth)),
            BlockType::Int8By128 => Panel::Int8By128(Quantised::of(bytes, depth)),
            BlockType::Bf16Dot => Panel::Bf16Dot(bytemuck::cast_slice(&bytes[..depth * LANES * 2])),
        }
    }

    /// Reads one row back as numbers.
    pub(crate) fn row(self, lane: usize, values: &mut [f32]) {
        with_panel!(
            self,
            floats(weights) => read(weights, lane, values),
            pairs(weights) => read_pairs(weights, lane, values),
            quantised(weights) => weights.row(lane, values),
        );
    }
}

fn read<T: Number>(weights: &[[T; LANES]], lane: usize, values: &mut [f32]) {
    for (value, weights) in values.iter_mut().zip(weights) {
        *value = weights[lane].to_f32();
    }
}

fn read_pairs(weights: &[[Bf16Pair; LANES]], lane: usize, values: &mut [f32]) {
    for (values, weights) in values.as_chunks_mut().0.iter_mut().zip(weights) {
        *values = weights[lane].numbers();
    }
}

/// How large a panel of some format is, and how it is made.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    /// Inputs of a unit.
    unit_len: usize,
    /// Bytes of a unit of all rows, codes and scales.
    unit_bytes: usize,
    /// Whether a code is in one place and its scale alone in a block.
    pub(crate) unpacks_quickly: bool,
    pack: fn(&[u8], &mut [u8], usize),
}

impl Layout {
    /// The layout of weights that a file stores as `kind`.
    pub(crate) fn of(kind: BlockType) -> Layout {
        match kind {
            BlockType::F32 => Layout::floats::<4>(),
            BlockType::F16 | BlockType::Bf16 => Layout::floats::<2>(),
            BlockType::Q8_0 => Layout::quantised::<blocks_of_32::Q8_0>(),
            BlockType::Q4_0 => Layout::quantised::<blocks_of_32::Q4_0>(),
            BlockType::Q4_1 => Layout::quantised::<blocks_of_32::Q4_1>(),
            BlockType::Q5_0 => Layout::quantised::<blocks_of_32::Q5_0>(),
            BlockType::Q5_1 => Layout::quantised::<blocks_of_32::Q5_1>(),
            BlockType::Q2K => Layout::quantised::<blocks_of_256::Q2K>(),
            BlockType::Q3K => Layout::quantised::<blocks_of_256::Q3K>(),
            BlockType::Q4K => Layout::quantised::<blocks_of_256::Q4K>(),
            BlockType::Q5K => Layout::quantised::<blocks_of_256::Q5K>(),
            BlockType::Q6K => Layout::quantised::<blocks_of_256::Q6K>(),
            BlockType::Int4By32 => Layout::quantised::<integers::Int4<4>>(),
            BlockType::Int4By64 => Layout::quantised::<integers::Int4<8>>(),
            BlockType::Int4By128 => Layout::quantised::<integers::Int4<16>>(),
            BlockType::Int8By32 => Layout::quantised::<integers::Int8<8>>(),
            BlockType::Int8By64 => Layout::quantised::<integers::Int8<16>>(),
            BlockType::Int8By128 => Layout::quantised::<integers::Int8<32>>(),
            BlockType::Bf16Dot => Layout { unit_len: 2, pack: pack_pairs, ..Layout::floats::<4>() },
        }
    }

    fn floats<const BYTES: usize>() -> Layout {
        Layout {
            unit_len: 1,
            unit_bytes: LANES * BYTES,
            unpacks_quickly: true,
            pack: pack_floats::<BYTES>,
        }
    }

    fn quantised<F: Format>() -> Layout {
        Layout {
            unit_len: F::BLOCKS * BLOCK_LEN,
            unit_bytes: Quantised::<F>::UNIT_BYTES,
            unpacks_quickly: F::HIGH_BITS == 0 && F::SCALES_PER_BLOCK == 1,
            pack: format::pack_rows::<F>,
        }
    }

    /// The bytes of one panel, a multiple of 64, or `None` where they do not fit in memory.
    pub(crate) fn panel_bytes(&self, depth: usize) -> Option<usize> {
        let bytes = (depth / self.unit_len).checked_mul(self.unit_bytes)?;
        bytes.checked_next_multiple_of(size_of::<Line>())
    }

    /// Packs up to 16 whole rows of a file, of `row_bytes` each, into one zeroed panel.
    pub(crate) fn pack(&self, rows: &[u8], row_bytes: usize, panel: &mut [u8]) {
        if row_bytes > 0 {
            (self.pack)(rows, panel, row_bytes);
        }
    }
}

/// Puts rows of little-endian numbers of `BYTES` side by side.
fn pack_floats<const BYTES: usize>(rows: &[u8], panel: &mut [u8], row_bytes: usize) {
    let (places, _) = panel.as_chunks_mut::<BYTES>();
    for (lane, row) in rows.chunks_exact(row_bytes).enumerate() {
        let (numbers, _) = row.as_chunks::<BYTES>();
        for (number, place) in numbers.iter().zip(places[lane..].iter_mut().step_by(LANES)) {
            *place = *number;
            if cfg!(target_endian = "big") {
                place.reverse();
            }
        }
    }
}

/// Puts rows of little-endian BF16 side by side, two of a row in each lane.
fn pack_pairs(rows: &[u8], panel: &mut [u8], row_bytes: usize) {
    let lines: &mut [[Bf16Pair; LANES]] = bytemuck::cast_slice_mut(panel);
    for (lane, row) in rows.chunks_exact(row_bytes).enumerate() {
        for ([a, b, c, d], line) in row.as_chunks().0.iter().zip(lines.iter_mut()) {
            line[lane] =
                Bf16Pair::new(bf16::from_le_bytes([*a, *b]), bf16::from_le_bytes([*c, *d]));
        }
    }
}
