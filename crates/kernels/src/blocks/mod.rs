//! Stored block formats: how model files keep weights, and what the bytes mean.
//!
//! A row of weights is a run of blocks; a block holds a fixed number of values in a fixed number of
//! bytes, little-endian, and decodes without its neighbours. [`dequantise`] is the definition of
//! correct: every kernel is tested against it.
//!
//! Reading order:
//! - [`BlockType`] below: names and sizes.
//! - `floats`: F32, F16, BF16, and BF16 in pairs.
//! - `blocks_of_32`: Q8_0, Q4_0, Q4_1, Q5_0, Q5_1.
//! - `blocks_of_256`: Q2_K to Q6_K.
//! - `integers`: Int4 and Int8, what the engine makes of packed folders (GPTQ, AWQ).
//!
//! A new block format: its variant and sizes here, its two functions in the file of its block
//! length, its random blocks in `tools/golden/blocks/`.
//!
//! Source: GGUF specification; the `gguf` Python package decodes the same bytes in the tests.
//! Blocks of `integers` and pairs of BF16 are in no file: they are how rows are handed to the
//! kernels.

mod blocks_of_256;
mod blocks_of_32;
mod floats;
mod integers;

#[cfg(test)]
mod tests;

pub(crate) use self::blocks_of_256::{q3_k_scale, scale_and_minimum};

/// A way of storing weights, as model files name it, or as packed folders are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockType {
    /// 32-bit float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// The upper half of a 32-bit float.
    Bf16,
    /// 8-bit integers with one scale per 32.
    Q8_0,
    /// 4-bit integers around zero with one scale per 32.
    Q4_0,
    /// 4-bit integers with one scale and one minimum per 32.
    Q4_1,
    /// 5-bit integers around zero with one scale per 32.
    Q5_0,
    /// 5-bit integers with one scale and one minimum per 32.
    Q5_1,
    /// 2-bit integers with 4-bit scales and minimums per 16, in blocks of 256.
    Q2K,
    /// 3-bit integers around zero with 6-bit scales per 16, in blocks of 256.
    Q3K,
    /// 4-bit integers with 6-bit scales and minimums per 32, in blocks of 256.
    Q4K,
    /// 5-bit integers with 6-bit scales and minimums per 32, in blocks of 256.
    Q5K,
    /// 6-bit integers around zero with 8-bit scales per 16, in blocks of 256.
    Q6K,
    /// 4-bit integers with one scale and one integer zero per 32.
    Int4By32,
    /// 4-bit integers with one scale and one integer zero per 64.
    Int4By64,
    /// 4-bit integers with one scale and one integer zero per 128.
    Int4By128,
    /// 8-bit integers with one scale and one integer zero per 32.
    Int8By32,
    /// 8-bit integers with one scale and one integer zero per 64.
    Int8By64,
    /// 8-bit integers with one scale and one integer zero per 128.
    Int8By128,
    /// BF16 in pairs, to be multiplied by activations that are rounded to BF16 too.
    Bf16Dot,
}

impl BlockType {
    /// Every type there is.
    pub const ALL: [BlockType; 20] = [
        BlockType::F32,
        BlockType::F16,
        BlockType::Bf16,
        BlockType::Q8_0,
        BlockType::Q4_0,
        BlockType::Q4_1,
        BlockType::Q5_0,
        BlockType::Q5_1,
        BlockType::Q2K,
        BlockType::Q3K,
        BlockType::Q4K,
        BlockType::Q5K,
        BlockType::Q6K,
        BlockType::Int4By32,
        BlockType::Int4By64,
        BlockType::Int4By128,
        BlockType::Int8By32,
        BlockType::Int8By64,
        BlockType::Int8By128,
        BlockType::Bf16Dot,
    ];

    /// How many values one block holds.
    pub const fn block_len(self) -> usize {
        match self {
            BlockType::F32 | BlockType::F16 | BlockType::Bf16 => 1,
            BlockType::Bf16Dot => 2,
            BlockType::Q8_0
            | BlockType::Q4_0
            | BlockType::Q4_1
            | BlockType::Q5_0
            | BlockType::Q5_1 => blocks_of_32::LEN,
            BlockType::Q2K | BlockType::Q3K | BlockType::Q4K | BlockType::Q5K | BlockType::Q6K => {
                blocks_of_256::LEN
            }
            BlockType::Int4By32 | BlockType::Int8By32 => 32,
            BlockType::Int4By64 | BlockType::Int8By64 => 64,
            BlockType::Int4By128 | BlockType::Int8By128 => 128,
        }
    }

    /// How many bytes one block takes.
    pub const fn block_bytes(self) -> usize {
        match self {
            BlockType::F32 | BlockType::Bf16Dot => 4,
            BlockType::F16 | BlockType::Bf16 => 2,
            BlockType::Q8_0 => 34,
            BlockType::Q4_0 => 18,
            BlockType::Q4_1 => 20,
            BlockType::Q5_0 => 22,
            BlockType::Q5_1 => 24,
            BlockType::Q2K => 84,
            BlockType::Q3K => 110,
            BlockType::Q4K => 144,
            BlockType::Q5K => 176,
            BlockType::Q6K => 210,
            BlockType::Int4By32 | BlockType::Int4By64 | BlockType::Int4By128 => {
                integers::HEAD_BYTES + self.block_len() / 2
            }
            BlockType::Int8By32 | BlockType::Int8By64 | BlockType::Int8By128 => {
                integers::HEAD_BYTES + self.block_len()
            }
        }
    }

    /// How many bytes a row of `depth` values takes, or `None` where `depth` is not a whole number
    /// of blocks or the size does not fit in memory.
    pub const fn row_bytes(self, depth: usize) -> Option<usize> {
        if !depth.is_multiple_of(self.block_len()) {
            return None;
        }
        (depth / self.block_len()).checked_mul(self.block_bytes())
    }

    /// Whether values share scales, so that a stored value is an integer times something.
    pub const fn is_quantised(self) -> bool {
        !matches!(self, BlockType::F32 | BlockType::F16 | BlockType::Bf16 | BlockType::Bf16Dot)
    }

    /// The name model files and their makers use; of what is in no file, one like them.
    pub const fn name(self) -> &'static str {
        match self {
            BlockType::F32 => "F32",
            BlockType::F16 => "F16",
            BlockType::Bf16 => "BF16",
            BlockType::Q8_0 => "Q8_0",
            BlockType::Q4_0 => "Q4_0",
            BlockType::Q4_1 => "Q4_1",
            BlockType::Q5_0 => "Q5_0",
            BlockType::Q5_1 => "Q5_1",
            BlockType::Q2K => "Q2_K",
            BlockType::Q3K => "Q3_K",
            BlockType::Q4K => "Q4_K",
            BlockType::Q5K => "Q5_K",
            BlockType::Q6K => "Q6_K",
            BlockType::Int4By32 => "Int4_32",
            BlockType::Int4By64 => "Int4_64",
            BlockType::Int4By128 => "Int4_128",
            BlockType::Int8By32 => "Int8_32",
            BlockType::Int8By64 => "Int8_64",
            BlockType::Int8By128 => "Int8_128",
            BlockType::Bf16Dot => "BF16_DOT",
        }
    }
}

impl std::fmt::Display for BlockType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Decodes stored blocks to `f32`.
///
/// Every value is computed with separate multiplications and additions in the order of the
/// specification, so the result is the same bit for bit on every machine.
/// Panics if `bytes` is not the size of `values` in `kind`.
pub fn dequantise(kind: BlockType, bytes: &[u8], values: &mut [f32]) {
    assert_sizes(kind, bytes, values);
    let decode_block = match kind {
        BlockType::F32 => floats::dequantise_f32,
        BlockType::F16 => floats::dequantise_f16,
        BlockType::Bf16 => floats::dequantise_bf16,
        BlockType::Q8_0 => blocks_of_32::dequantise_q8_0,
        BlockType::Q4_0 => blocks_of_32::dequantise_q4_0,
        BlockType::Q4_1 => blocks_of_32::dequantise_q4_1,
        BlockType::Q5_0 => blocks_of_32::dequantise_q5_0,
        BlockType::Q5_1 => blocks_of_32::dequantise_q5_1,
        BlockType::Q2K => blocks_of_256::dequantise_q2_k,
        BlockType::Q3K => blocks_of_256::dequantise_q3_k,
        BlockType::Q4K => blocks_of_256::dequantise_q4_k,
        BlockType::Q5K => blocks_of_256::dequantise_q5_k,
        BlockType::Q6K => blocks_of_256::dequantise_q6_k,
        BlockType::Int4By32 | BlockType::Int4By64 | BlockType::Int4By128 => {
            integers::dequantise_int4
        }
        BlockType::Int8By32 | BlockType::Int8By64 | BlockType::Int8By128 => {
            integers::dequantise_int8
        }
        BlockType::Bf16Dot => floats::dequantise_bf16,
    };
    let blocks = bytes.chunks_exact(kind.block_bytes());
    for (block, values) in blocks.zip(values.chunks_exact_mut(kind.block_len())) {
        decode_block(block, values);
    }
}

/// Encodes values as blocks, each value rounded to the nearest the block's scales can say.
///
/// Scales come from the largest value of a group, without a search for better ones: good enough for
/// tests and random models, not for publishing quantised models.
/// Panics if `bytes` is not the size of `values` in `kind`.
pub fn quantise(kind: BlockType, values: &[f32], bytes: &mut [u8]) {
    assert_sizes(kind, bytes, values);
    let encode_block = match kind {
        BlockType::F32 => floats::quantise_f32,
        BlockType::F16 => floats::quantise_f16,
        BlockType::Bf16 => floats::quantise_bf16,
        BlockType::Q8_0 => blocks_of_32::quantise_q8_0,
        BlockType::Q4_0 => blocks_of_32::quantise_q4_0,
        BlockType::Q4_1 => blocks_of_32::quantise_q4_1,
        BlockType::Q5_0 => blocks_of_32::quantise_q5_0,
        BlockType::Q5_1 => blocks_of_32::quantise_q5_1,
        BlockType::Q2K => blocks_of_256::quantise_q2_k,
        BlockType::Q3K => blocks_of_256::quantise_q3_k,
        BlockType::Q4K => blocks_of_256::quantise_q4_k,
        BlockType::Q5K => blocks_of_256::quantise_q5_k,
        BlockType::Q6K => blocks_of_256::quantise_q6_k,
        BlockType::Int4By32 | BlockType::Int4By64 | BlockType::Int4By128 => integers::quantise_int4,
        BlockType::Int8By32 | BlockType::Int8By64 | BlockType::Int8By128 => integers::quantise_int8,
        BlockType::Bf16Dot => floats::quantise_bf16,
    };
    let blocks = bytes.chunks_exact_mut(kind.block_bytes());
    for (block, values) in blocks.zip(values.chunks_exact(kind.block_len())) {
        encode_block(values, block);
    }
}

fn assert_sizes(kind: BlockType, bytes: &[u8], values: &[f32]) {
    assert_eq!(
        kind.row_bytes(values.len()),
        Some(bytes.len()),
        "{} bytes of {kind} do not hold {} values",
        bytes.len(),
        values.len(),
    );
}

/// Reads the little-endian 16-bit float at the start of `bytes`.
fn read_f16(bytes: &[u8]) -> f32 {
    half::f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

/// Writes `value` as a little-endian 16-bit float at the start of `bytes`, and returns what a
/// reader will find there.
fn write_f16(value: f32, bytes: &mut [u8]) -> f32 {
    let stored = half::f16::from_f32(value);
    bytes[..2].copy_from_slice(&stored.to_le_bytes());
    stored.to_f32()
}

/// 1 / `scale`, or 0 for a group of zeros.
fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}
