//! How weights lie in memory: groups of 16 rows, one row per 32-bit lane.
//!
//! A group holds the whole depth of its 16 rows. For each block of 32 inputs a quantised group has
//! eight *quads* of four inputs; a quad is 64 bytes, four for each row, which is what one
//! instruction multiplies by four activations. The scales follow all quads of the group, so that
//! both parts are read in 64-byte lines from aligned addresses.
//!
//! | kept as | weights of a group | then |
//! | --- | --- | --- |
//! | F32, F16, BF16 | `[depth][16 rows]` numbers | |
//! | Q8_0 | `[block][8 quads][16 rows][4]` bytes, each weight + 128 | `[block][16 rows]` f16 scales |
//! | Q4_0 | `[block][4][16 rows][4]` bytes: quad 2i in the low nibbles of byte line i, quad 2i + 1 in the high ones, each weight + 8 | `[block][16 rows]` f16 scales |
//!
//! Weights are unsigned because the instruction wants one unsigned factor; the excess is taken off
//! as a start value that each block of activations carries. Rows beyond the last are zeroes.
//!
//! A new kept format: its variant here, its tile in each instruction set's `tiles.rs`, its line in
//! `matmul.rs`, its row in the tests.

use bytemuck::AnyBitPattern;
use half::{bf16, f16};

use crate::blocks::{BlockType, dequantise, quantise};
use crate::input_block::{BLOCK_LEN, InputBlock};
use crate::numbers::Number;
use crate::{LANES, Lanes};

/// How many inputs one lane holds as bytes.
const QUAD: usize = 4;
/// Quads of a block.
const QUADS: usize = BLOCK_LEN / QUAD;
/// The bytes of one quad for all rows of a group.
pub(crate) type Line = [u8; LANES * QUAD];
/// One scale for each row of a group.
pub(crate) type Scales = [f16; LANES];

/// What a file's weights are kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    F32,
    F16,
    Bf16,
    Q8_0,
    Q4_0,
}

/// Sixteen rows with scales; `B` is what one block of them is.
#[derive(Clone, Copy)]
pub(crate) struct ScaledGroup<'a, B> {
    pub(crate) blocks: &'a [B],
    pub(crate) scales: &'a [Scales],
}

/// A block of 32 inputs of sixteen rows in Q8_0.
pub(crate) type ByteBlock = [Line; QUADS];
/// The same in Q4_0.
pub(crate) type NibbleBlock = [Line; QUADS / 2];

/// A block of quads. Kernels are generic over it and unpack it by its [`Quads`].
pub(crate) trait QuadBlock: AnyBitPattern {
    /// The same lines, with their format as a value.
    fn quads(&self) -> Quads<'_>;

    /// Where the integer sum of a token starts, to make up for unsigned weights.
    fn start(input: &InputBlock) -> i32;

    /// One weight without its scale.
    fn weight(&self, lane: usize, input: usize) -> i32;
}

/// The lines of a block of a known format.
pub(crate) enum Quads<'a> {
    Bytes(&'a ByteBlock),
    Nibbles(&'a NibbleBlock),
}

impl QuadBlock for ByteBlock {
    #[inline(always)]
    fn quads(&self) -> Quads<'_> {
        Quads::Bytes(self)
    }

    #[inline(always)]
    fn start(input: &InputBlock) -> i32 {
        input.byte_start
    }

    fn weight(&self, lane: usize, input: usize) -> i32 {
        i32::from(self[input / QUAD][lane * QUAD + input % QUAD]) - 128
    }
}

impl QuadBlock for NibbleBlock {
    #[inline(always)]
    fn quads(&self) -> Quads<'_> {
        Quads::Nibbles(self)
    }

    #[inline(always)]
    fn start(input: &InputBlock) -> i32 {
        input.nibble_start
    }

    fn weight(&self, lane: usize, input: usize) -> i32 {
        let quad = input / QUAD;
        let byte = self[quad / 2][lane * QUAD + input % QUAD];
        i32::from(if quad.is_multiple_of(2) { byte & 0x0f } else { byte >> 4 }) - 8
    }
}

/// Sixteen rows, in whichever way they are kept.
#[derive(Clone, Copy)]
pub(crate) enum Group<'a> {
    F32(&'a [Lanes]),
    F16(&'a [[f16; LANES]]),
    Bf16(&'a [[bf16; LANES]]),
    Q8_0(ScaledGroup<'a, ByteBlock>),
    Q4_0(ScaledGroup<'a, NibbleBlock>),
}

impl Packing {
    /// What weights of `kind` are kept as: themselves where there is a kernel, else 8 bits.
    pub(crate) fn of(kind: BlockType) -> Packing {
        match kind {
            BlockType::F32 => Packing::F32,
            BlockType::F16 => Packing::F16,
            BlockType::Bf16 => Packing::Bf16,
            BlockType::Q4_0 => Packing::Q4_0,
            _ => Packing::Q8_0,
        }
    }

    /// The file format whose bytes [`Packing::pack`] takes.
    fn file_kind(self) -> BlockType {
        match self {
            Packing::F32 => BlockType::F32,
            Packing::F16 => BlockType::F16,
            Packing::Bf16 => BlockType::Bf16,
            Packing::Q8_0 => BlockType::Q8_0,
            Packing::Q4_0 => BlockType::Q4_0,
        }
    }

    /// The bytes of one group, a multiple of 64, or `None` where they do not fit in memory.
    pub(crate) fn group_bytes(self, depth: usize) -> Option<usize> {
        let blocks = depth / BLOCK_LEN;
        let bytes = match self {
            Packing::F32 => depth.checked_mul(LANES * 4),
            Packing::F16 | Packing::Bf16 => depth.checked_mul(LANES * 2),
            Packing::Q8_0 => blocks.checked_mul(QUADS * size_of::<Line>() + size_of::<Scales>()),
            Packing::Q4_0 => {
                blocks.checked_mul(QUADS / 2 * size_of::<Line>() + size_of::<Scales>())
            }
        };
        bytes?.checked_next_multiple_of(size_of::<Line>())
    }

    /// Sees a group's bytes as what they are.
    pub(crate) fn group(self, bytes: &[u8], depth: usize) -> Group<'_> {
        let blocks = depth / BLOCK_LEN;
        match self {
            Packing::F32 => Group::F32(bytemuck::cast_slice(&bytes[..depth * LANES * 4])),
            Packing::F16 => Group::F16(bytemuck::cast_slice(&bytes[..depth * LANES * 2])),
            Packing::Bf16 => Group::Bf16(bytemuck::cast_slice(&bytes[..depth * LANES * 2])),
            Packing::Q8_0 => Group::Q8_0(ScaledGroup::of(bytes, blocks)),
            Packing::Q4_0 => Group::Q4_0(ScaledGroup::of(bytes, blocks)),
        }
    }

    /// Packs up to 16 whole rows of a file in format `kind` into one zeroed group.
    pub(crate) fn pack(self, kind: BlockType, rows: &[u8], depth: usize, group: &mut [u8]) {
        let row_bytes = kind.row_bytes(depth).expect("the depth was checked before reading");
        if row_bytes == 0 {
            return;
        }
        let mut converted = Vec::new();
        for (lane, row) in rows.chunks_exact(row_bytes).enumerate() {
            if kind == self.file_kind() {
                self.pack_row(row, lane, depth, group);
            } else {
                convert(kind, row, depth, self.file_kind(), &mut converted);
                self.pack_row(&converted, lane, depth, group);
            }
        }
    }

    fn pack_row(self, row: &[u8], lane: usize, depth: usize, group: &mut [u8]) {
        match self {
            Packing::F32 => spread::<4>(row, lane, group),
            Packing::F16 | Packing::Bf16 => spread::<2>(row, lane, group),
            Packing::Q8_0 => pack_bytes(row, lane, depth, group),
            Packing::Q4_0 => pack_nibbles(row, lane, depth, group),
        }
    }
}

/// Rewrites a row of one format in another.
fn convert(from: BlockType, row: &[u8], depth: usize, to: BlockType, converted: &mut Vec<u8>) {
    let mut values = vec![0.0; depth];
    dequantise(from, row, &mut values);
    converted.resize(to.row_bytes(depth).expect("32 divides every longer block"), 0);
    quantise(to, &values, converted);
}

/// Writes a row's numbers of `N` little-endian bytes into one lane.
fn spread<const N: usize>(row: &[u8], lane: usize, group: &mut [u8]) {
    let (numbers, _) = row.as_chunks::<N>();
    let (places, _) = group.as_chunks_mut::<N>();
    for (number, place) in numbers.iter().zip(places[lane..].iter_mut().step_by(LANES)) {
        *place = *number;
        if cfg!(target_endian = "big") {
            place.reverse();
        }
    }
}

/// A Q8_0 block of a file: an f16 scale, then 32 signed bytes.
const BYTE_BLOCK: usize = 2 + BLOCK_LEN;

fn pack_bytes(row: &[u8], lane: usize, depth: usize, group: &mut [u8]) {
    let (quads, scales) = group.split_at_mut(depth / BLOCK_LEN * QUADS * size_of::<Line>());
    let quads: &mut [ByteBlock] = bytemuck::cast_slice_mut(quads);
    let (blocks, _) = row.as_chunks::<BYTE_BLOCK>();
    for (index, (block, quads)) in blocks.iter().zip(quads).enumerate() {
        put_scale(block, index, lane, scales);
        for (quad, line) in block[2..].as_chunks::<QUAD>().0.iter().zip(quads) {
            // Adding 128 to a signed byte flips its top bit.
            line[lane * QUAD..][..QUAD].copy_from_slice(&quad.map(|byte| byte ^ 0x80));
        }
    }
}

/// A Q4_0 block of a file: an f16 scale, then 16 bytes; byte i holds weight i in its low and
/// weight i + 16 in its high nibble, both + 8.
const NIBBLE_BLOCK: usize = 2 + BLOCK_LEN / 2;

fn pack_nibbles(row: &[u8], lane: usize, depth: usize, group: &mut [u8]) {
    let (quads, scales) = group.split_at_mut(depth / BLOCK_LEN * QUADS / 2 * size_of::<Line>());
    let quads: &mut [NibbleBlock] = bytemuck::cast_slice_mut(quads);
    let (blocks, _) = row.as_chunks::<NIBBLE_BLOCK>();
    for (index, (block, quads)) in blocks.iter().zip(quads).enumerate() {
        put_scale(block, index, lane, scales);
        let packed = &block[2..];
        let weight = |input: usize| match input < BLOCK_LEN / 2 {
            true => packed[input] & 0x0f,
            false => packed[input - BLOCK_LEN / 2] >> 4,
        };
        for (pair, line) in quads.iter_mut().enumerate() {
            for i in 0..QUAD {
                let low = weight(pair * 2 * QUAD + i);
                let high = weight((pair * 2 + 1) * QUAD + i);
                line[lane * QUAD + i] = low | high << 4;
            }
        }
    }
}

fn put_scale(block: &[u8], index: usize, lane: usize, scales: &mut [u8]) {
    let bits = u16::from_le_bytes([block[0], block[1]]);
    let place = (index * LANES + lane) * 2;
    scales[place..place + 2].copy_from_slice(&bits.to_ne_bytes());
}

impl Group<'_> {
    /// Reads one row back as numbers.
    pub(crate) fn row(&self, lane: usize, values: &mut [f32]) {
        match self {
            Group::F32(weights) => read(weights, lane, values),
            Group::F16(weights) => read(weights, lane, values),
            Group::Bf16(weights) => read(weights, lane, values),
            Group::Q8_0(group) => group.row(lane, values),
            Group::Q4_0(group) => group.row(lane, values),
        }
    }
}

fn read<T: Number>(weights: &[[T; LANES]], lane: usize, values: &mut [f32]) {
    for (value, weights) in values.iter_mut().zip(weights) {
        *value = weights[lane].to_f32();
    }
}

impl<'a, B: QuadBlock> ScaledGroup<'a, B> {
    fn of(bytes: &'a [u8], block_count: usize) -> ScaledGroup<'a, B> {
        let (blocks, rest) = bytes.split_at(block_count * size_of::<B>());
        let scales = &rest[..block_count * size_of::<Scales>()];
        ScaledGroup { blocks: bytemuck::cast_slice(blocks), scales: bytemuck::cast_slice(scales) }
    }

    fn row(&self, lane: usize, values: &mut [f32]) {
        let blocks = self.blocks.iter().zip(self.scales);
        for ((block, scales), values) in blocks.zip(values.chunks_exact_mut(BLOCK_LEN)) {
            let scale = scales[lane].to_f32();
            for (input, value) in values.iter_mut().enumerate() {
                *value = block.weight(lane, input) as f32 * scale;
            }
        }
    }
}
