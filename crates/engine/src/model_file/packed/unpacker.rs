//! One packed tensor in memory, and its rows as blocks.
//!
//! Words run along the inputs or across rows, so the bytes of one row are spread over the whole
//! tensor. Therefore a tensor is read as a whole, on all threads, and dropped before the next one
//! is read. The largest tensor of a 7B model in 8 bits takes 68 MB.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use banter_kernels::blocks::BlockType;
use banter_kernels::{InputOrder, Pool};
use half::{bf16, f16};

use super::super::bytes::Bytes;
use super::super::error::{Fault, ModelFileError};
use super::super::tensors::{Region, TensorInfo};
use super::words::{CodeBits, Packing, Words};
use super::{GroupIndex, PackedTensor, order};

/// How many bytes a thread reads at a time.
const PIECE_BYTES: usize = 1 << 20;
/// How many rows are unpacked together. The words of neighbouring rows lie side by side, but the
/// next input's words are in another page of memory. With fewer rows, most of the time would be
/// spent on address translation.
const ROWS: usize = 64;
/// The values of the longest block.
const MAX_BLOCK_LEN: usize = 128;
/// The bytes of a block before its codes: a scale and a zero.
const HEAD_BYTES: usize = 3;

/// A packed tensor in memory.
pub(in super::super) struct Unpacker {
    packing: Packing,
    kind: BlockType,
    depth: usize,
    rows: usize,
    group_len: usize,
    qweight: Words,
    qzeros: Words,
    /// [groups][rows]
    scales: Vec<f16>,
    order: Option<InputOrder>,
}

impl Unpacker {
    /// Reads a tensor.
    ///
    /// Errors: the file became unreadable or shorter, groups are wrong, a scale is too large for
    /// F16, or there is too little memory.
    pub fn read(
        info: &TensorInfo,
        packed: &PackedTensor,
        parts: &[Bytes],
        pool: &Pool,
    ) -> Result<Unpacker, ModelFileError> {
        let TensorInfo { stored: kind, rows, depth, .. } = *info;
        let PackedTensor { packing, group_len, .. } = *packed;
        let groups = depth / group_len;
        let read = |region: &Region, bytes: usize| read(&parts[region.part], region, bytes, pool);
        let words = |region: &Region, [lines, columns]: [usize; 2]| {
            Ok::<_, ModelFileError>(Words::new(read(region, lines * columns * 4)?, columns))
        };
        let scales = read(&packed.scales, groups * rows * 2)?;
        let scales = to_f16(packed, &scales)
            .map_err(|fault| fault.in_file(parts[packed.scales.part].name()))?;
        let order = match &packed.g_idx {
            None => None,
            Some(index) => {
                let bytes = read(&index.region, depth * index.kind.bytes())?;
                order_of(packed, index, &bytes)
                    .map_err(|fault| fault.in_file(parts[index.region.part].name()))?
            }
        };
        Ok(Unpacker {
            packing,
            kind,
            depth,
            rows,
            group_len,
            qweight: words(&packed.qweight, packing.code_shape(depth, rows))?,
            qzeros: words(&packed.qzeros, packing.zero_shape(groups, rows))?,
            scales,
            order,
        })
    }

    /// The order of the columns in the rows that [`Unpacker::write_rows`] writes.
    pub fn order(&self) -> Option<&InputOrder> {
        self.order.as_ref()
    }

    /// Writes rows as blocks. `bytes` has exactly their length.
    pub fn write_rows(&self, rows: Range<usize>, bytes: &mut [u8]) {
        let row_bytes = self.kind.row_bytes(self.depth).expect("groups are whole blocks");
        let chunks = bytes.chunks_mut((ROWS * row_bytes).max(1));
        for (first_row, chunk) in rows.step_by(ROWS).zip(chunks) {
            for block in 0..self.depth / self.kind.block_len() {
                let mut blocks: Vec<&mut [u8]> = chunk
                    .chunks_exact_mut(row_bytes)
                    .map(|row| {
                        &mut row[block * self.kind.block_bytes()..][..self.kind.block_bytes()]
                    })
                    .collect();
                self.write_heads(block, first_row, &mut blocks);
                self.write_codes(block, first_row, &mut blocks);
            }
        }
    }

    /// Scale and zero of one block of neighbouring rows.
    fn write_heads(&self, block: usize, first_row: usize, blocks: &mut [&mut [u8]]) {
        let group = block * self.kind.block_len() / self.group_len;
        let middle = self.packing.bits().middle();
        for (row, block) in (first_row..).zip(blocks) {
            let scale = self.scales[group * self.rows + row];
            block[..2].copy_from_slice(&scale.to_le_bytes());
            // Relative to the middle, so that it fits into a signed byte.
            block[2] = self.packing.zero(&self.qzeros, group, row).wrapping_sub(middle);
        }
    }

    /// Codes of one block of neighbouring rows.
    fn write_codes(&self, block: usize, first_row: usize, blocks: &mut [&mut [u8]]) {
        let block_len = self.kind.block_len();
        let mut codes = [[0; ROWS]; MAX_BLOCK_LEN];
        for (place, codes) in (block * block_len..).zip(&mut codes[..block_len]) {
            let input = match &self.order {
                None => place,
                Some(order) => order.places()[place] as usize,
            };
            let codes = &mut codes[..blocks.len()];
            self.packing.read_codes(&self.qweight, input, first_row, codes);
        }
        for (row, block) in blocks.iter_mut().enumerate() {
            let bytes = block[HEAD_BYTES..].iter_mut().enumerate();
            match self.packing.bits() {
                // Runs of 32 codes: the first sixteen are in the lower halves of bytes.
                CodeBits::Four => bytes.for_each(|(index, byte)| {
                    let low = index / 16 * 32 + index % 16;
                    *byte = codes[low][row] | codes[low + 16][row] << 4;
                }),
                CodeBits::Eight => bytes.for_each(|(index, byte)| *byte = codes[index][row]),
            }
        }
    }
}

/// The order of the inputs that an index of groups gives.
fn order_of(
    packed: &PackedTensor,
    index: &GroupIndex,
    bytes: &[u8],
) -> Result<Option<InputOrder>, Fault> {
    let tensor = format!("{}.g_idx", packed.name);
    let groups: Vec<i128> = index.kind.decode(bytes).collect();
    match order::by_group(&tensor, &groups, packed.group_len) {
        Err(fault) if index.is_spare => {
            tracing::debug!(%fault, "passing over an index of groups, because groups are runs");
            Ok(None)
        }
        order => order,
    }
}

/// Converts scales to F16, which the kernels take. BF16 has a wider range than F16: a scale that is
/// too small for F16 becomes 0, and one that is too large is refused.
fn to_f16(packed: &PackedTensor, bytes: &[u8]) -> Result<Vec<f16>, Fault> {
    let (numbers, _) = bytes.as_chunks::<2>();
    if packed.scale_type == BlockType::F16 {
        return Ok(numbers.iter().map(|number| f16::from_le_bytes(*number)).collect());
    }
    let convert = |number: &[u8; 2]| {
        let wide = bf16::from_le_bytes(*number);
        let scale = f16::from_f32(wide.to_f32());
        if scale.is_infinite() && !wide.is_infinite() {
            let tensor = format!("{}.scales", packed.name);
            let expected = format!("scales up to {}", f16::MAX);
            return Err(Fault::tensor(&tensor, expected, wide.to_string()));
        }
        Ok(scale)
    };
    numbers.iter().map(convert).collect()
}

/// Reads a whole tensor, on all threads.
fn read(part: &Bytes, region: &Region, len: usize, pool: &Pool) -> Result<Vec<u8>, ModelFileError> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|error| {
        let fault = Fault::Io { action: "read", error: error.into() };
        fault.in_file(part.name())
    })?;
    bytes.resize(len, 0);
    let failure = Mutex::new(None);
    let pieces: Vec<Mutex<&mut [u8]>> = bytes.chunks_mut(PIECE_BYTES).map(Mutex::new).collect();
    pool.run(pieces.len(), &|index| {
        let mut piece = pieces[index].lock().unwrap_or_else(PoisonError::into_inner);
        let offset = region.offset + (index * PIECE_BYTES) as u64;
        if let Err(fault) = part.read_exact_at(offset, &mut piece) {
            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(fault) => Err(fault.in_file(part.name())),
        None => Ok(bytes),
    }
}
