//! F32, F16 and BF16: one value per block, or two.

use half::{bf16, f16};

pub(super) fn dequantise_f32(block: &[u8], values: &mut [f32]) {
    values[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
}

pub(super) fn quantise_f32(values: &[f32], block: &mut [u8]) {
    block.copy_from_slice(&values[0].to_le_bytes());
}

pub(super) fn dequantise_f16(block: &[u8], values: &mut [f32]) {
    values[0] = f16::from_le_bytes([block[0], block[1]]).to_f32();
}

pub(super) fn quantise_f16(values: &[f32], block: &mut [u8]) {
    block.copy_from_slice(&f16::from_f32(values[0]).to_le_bytes());
}

pub(super) fn dequantise_bf16(block: &[u8], values: &mut [f32]) {
    for (value, bytes) in values.iter_mut().zip(block.as_chunks().0) {
        *value = bf16::from_le_bytes(*bytes).to_f32();
    }
}

pub(super) fn quantise_bf16(values: &[f32], block: &mut [u8]) {
    for (value, bytes) in values.iter().zip(block.as_chunks_mut().0) {
        *bytes = bf16::from_f32(*value).to_le_bytes();
    }
}
