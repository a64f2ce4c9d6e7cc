//! Int4 and Int8: 32, 64 or 128 unsigned codes that share a 16-bit scale and an integer zero.
//!
//! | type | bytes of a block | value |
//! | --- | --- | --- |
//! | Int4 | scale, zero, runs of 16 × (low nibble, high nibble) | scale × (q − 8 − zero) |
//! | Int8 | scale, zero, codes | scale × (q − 128 − zero) |
//!
//! The zero is a signed byte that counts from the middle of the codes, where most files have it. A
//! run of Int4 is 32 values: the first sixteen in the low nibbles.

use super::{inverse, read_f16, write_f16};

/// What stands before the codes: the scale, then the zero.
pub(super) const HEAD_BYTES: usize = 3;
/// The code that is the middle, as a number.
const INT4_MIDDLE: f32 = 8.0;
const INT8_MIDDLE: f32 = 128.0;
/// Values of a run of nibbles, and its bytes.
const RUN: usize = 32;
const RUN_BYTES: usize = RUN / 2;

pub(super) fn dequantise_int4(block: &[u8], values: &mut [f32]) {
    let (scale, minimum) = scale_and_minimum(block);
    let runs = block[HEAD_BYTES..].chunks_exact(RUN_BYTES);
    for (run, values) in runs.zip(values.chunks_exact_mut(RUN)) {
        for (index, value) in values.iter_mut().enumerate() {
            let code = run[index % RUN_BYTES] >> (index / RUN_BYTES * 4) & 0x0f;
            *value = (f32::from(code) - INT4_MIDDLE) * scale - minimum;
        }
    }
}

pub(super) fn quantise_int4(values: &[f32], block: &mut [u8]) {
    let codes = Codes::fit(values, 15.0, INT4_MIDDLE, block);
    let runs = block[HEAD_BYTES..].chunks_exact_mut(RUN_BYTES);
    for (run, values) in runs.zip(values.chunks_exact(RUN)) {
        for (index, byte) in run.iter_mut().enumerate() {
            *byte = codes.of(values[index]) | codes.of(values[index + RUN_BYTES]) << 4;
        }
    }
}

pub(super) fn dequantise_int8(block: &[u8], values: &mut [f32]) {
    let (scale, minimum) = scale_and_minimum(block);
    for (code, value) in block[HEAD_BYTES..].iter().zip(values) {
        *value = (f32::from(*code) - INT8_MIDDLE) * scale - minimum;
    }
}

pub(super) fn quantise_int8(values: &[f32], block: &mut [u8]) {
    let codes = Codes::fit(values, 255.0, INT8_MIDDLE, block);
    for (code, value) in block[HEAD_BYTES..].iter_mut().zip(values) {
        *code = codes.of(*value);
    }
}

/// Both products are exact, and so is their difference: 11 bits times at most 9.
fn scale_and_minimum(block: &[u8]) -> (f32, f32) {
    let scale = read_f16(block);
    (scale, scale * f32::from(block[2].cast_signed()))
}

/// How values become codes.
struct Codes {
    inverse_scale: f32,
    zero: f32,
    limit: f32,
}

impl Codes {
    /// Chooses scale and zero so that values and 0 are in reach, and writes them.
    fn fit(values: &[f32], limit: f32, middle: f32, block: &mut [u8]) -> Codes {
        let minimum = values.iter().copied().fold(0.0, f32::min);
        let maximum = values.iter().copied().fold(0.0, f32::max);
        let inverse_scale = inverse(write_f16((maximum - minimum) / limit, block));
        let zero = (-minimum * inverse_scale).round().clamp(0.0, limit);
        block[2] = ((zero - middle) as i8).cast_unsigned();
        Codes { inverse_scale, zero, limit }
    }

    fn of(&self, value: f32) -> u8 {
        (value * self.inverse_scale + self.zero).round().clamp(0.0, self.limit) as u8
    }
}
