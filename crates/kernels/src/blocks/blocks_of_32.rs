//! Q8_0, Q4_0, Q4_1, Q5_0, Q5_1: 32 values that share one 16-bit scale, and sometimes a minimum.
//!
//! | type | bytes of a block | value |
//! | --- | --- | --- |
//! | Q8_0 | scale, 32 × i8 | scale × q |
//! | Q4_0 | scale, 16 × (low nibble, high nibble) | scale × (q − 8) |
//! | Q4_1 | scale, minimum, 16 nibble pairs | scale × q + minimum |
//! | Q5_0 | scale, 32 high bits, 16 nibble pairs | scale × (q − 16) |
//! | Q5_1 | scale, minimum, 32 high bits, 16 nibble pairs | scale × q + minimum |
//!
//! Values 0 to 15 are in the low nibbles, 16 to 31 in the high ones.

use super::{inverse, read_f16, write_f16};

/// Values in a block.
pub(super) const LEN: usize = 32;
const HALF: usize = LEN / 2;

pub(super) fn dequantise_q8_0(block: &[u8], values: &mut [f32]) {
    let (scale, quants) = (read_f16(block), &block[2..]);
    for (value, &quant) in values.iter_mut().zip(quants) {
        *value = f32::from(quant as i8) * scale;
    }
}

pub(super) fn quantise_q8_0(values: &[f32], block: &mut [u8]) {
    let scale = largest(values).abs() / 127.0;
    let inverse_scale = inverse(scale);
    write_f16(scale, block);
    for (quant, value) in block[2..].iter_mut().zip(values) {
        *quant = (value * inverse_scale).round() as i8 as u8;
    }
}

pub(super) fn dequantise_q4_0(block: &[u8], values: &mut [f32]) {
    let (scale, nibbles) = (read_f16(block), &block[2..]);
    for (value, quant) in values.iter_mut().zip(unpack(nibbles, 0)) {
        *value = scale * (f32::from(quant) - 8.0);
    }
}

pub(super) fn quantise_q4_0(values: &[f32], block: &mut [u8]) {
    // The value largest in size, with its sign, becomes exactly −8: the one end the code has alone.
    let scale = largest(values) / -8.0;
    let inverse_scale = inverse(scale);
    write_f16(scale, block);
    let quants = quants(values, |value| value * inverse_scale + 8.5, 15);
    pack(&quants, &mut block[2..]);
}

pub(super) fn dequantise_q4_1(block: &[u8], values: &mut [f32]) {
    let (scale, minimum, nibbles) = (read_f16(block), read_f16(&block[2..]), &block[4..]);
    for (value, quant) in values.iter_mut().zip(unpack(nibbles, 0)) {
        *value = scale * f32::from(quant) + minimum;
    }
}

pub(super) fn quantise_q4_1(values: &[f32], block: &mut [u8]) {
    let (minimum, maximum) = range(values);
    let scale = (maximum - minimum) / 15.0;
    let inverse_scale = inverse(scale);
    write_f16(scale, block);
    write_f16(minimum, &mut block[2..]);
    let quants = quants(values, |value| (value - minimum) * inverse_scale + 0.5, 15);
    pack(&quants, &mut block[4..]);
}

pub(super) fn dequantise_q5_0(block: &[u8], values: &mut [f32]) {
    let (scale, high_bits, nibbles) = (read_f16(block), read_u32(&block[2..]), &block[6..]);
    for (value, quant) in values.iter_mut().zip(unpack(nibbles, high_bits)) {
        *value = scale * (f32::from(quant) - 16.0);
    }
}

pub(super) fn quantise_q5_0(values: &[f32], block: &mut [u8]) {
    let scale = largest(values) / -16.0;
    let inverse_scale = inverse(scale);
    write_f16(scale, block);
    let quants = quants(values, |value| value * inverse_scale + 16.5, 31);
    block[2..6].copy_from_slice(&high_bits(&quants).to_le_bytes());
    pack(&quants, &mut block[6..]);
}

pub(super) fn dequantise_q5_1(block: &[u8], values: &mut [f32]) {
    let (scale, minimum) = (read_f16(block), read_f16(&block[2..]));
    let (high_bits, nibbles) = (read_u32(&block[4..]), &block[8..]);
    for (value, quant) in values.iter_mut().zip(unpack(nibbles, high_bits)) {
        *value = scale * f32::from(quant) + minimum;
    }
}

pub(super) fn quantise_q5_1(values: &[f32], block: &mut [u8]) {
    let (minimum, maximum) = range(values);
    let scale = (maximum - minimum) / 31.0;
    let inverse_scale = inverse(scale);
    write_f16(scale, block);
    write_f16(minimum, &mut block[2..]);
    let quants = quants(values, |value| (value - minimum) * inverse_scale + 0.5, 31);
    block[4..8].copy_from_slice(&high_bits(&quants).to_le_bytes());
    pack(&quants, &mut block[8..]);
}

/// The 32 integers of a block: a nibble each, with bit 4 from `high_bits`.
fn unpack(nibbles: &[u8], high_bits: u32) -> [u8; LEN] {
    std::array::from_fn(|index| {
        let byte = nibbles[index % HALF];
        let low = if index < HALF { byte & 0x0f } else { byte >> 4 };
        low | (((high_bits >> index) & 1) as u8) << 4
    })
}

fn pack(quants: &[u8; LEN], nibbles: &mut [u8]) {
    for (index, byte) in nibbles.iter_mut().enumerate() {
        *byte = (quants[index] & 0x0f) | (quants[index + HALF] & 0x0f) << 4;
    }
}

fn high_bits(quants: &[u8; LEN]) -> u32 {
    quants.iter().enumerate().fold(0, |bits, (index, quant)| bits | u32::from(quant >> 4) << index)
}

/// Rounds down what `code` says of each value, and keeps it within 0 to `limit`.
fn quants(values: &[f32], code: impl Fn(f32) -> f32, limit: u8) -> [u8; LEN] {
    std::array::from_fn(|index| (code(values[index]) as u8).min(limit))
}

fn read_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// The value largest in size, with its sign; the first of several.
fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most: f32, &value| if value.abs() > most.abs() { value } else { most })
}

fn range(values: &[f32]) -> (f32, f32) {
    let minimum = values.iter().copied().fold(f32::INFINITY, f32::min);
    let maximum = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (minimum, maximum)
}
