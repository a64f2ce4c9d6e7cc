//! Q2_K, Q3_K, Q4_K, Q5_K, Q6_K: 256 values in groups of 16 or 32. A group has a small integer
//! scale (and sometimes a minimum) that multiplies the block's 16-bit one.
//!
//! | type | groups | bytes of a block, in order | value |
//! | --- | --- | --- | --- |
//! | Q2_K | 16 of 16 | 16 groups, 64 codes, d, dmin | d·scale·q − dmin·minimum |
//! | Q3_K | 16 of 16 | 32 high bits, 64 codes, 12 scales, d | d·(scale − 32)·(q − 4) |
//! | Q4_K | 8 of 32 | d, dmin, 12 groups, 128 nibbles | d·scale·q − dmin·minimum |
//! | Q5_K | 8 of 32 | d, dmin, 12 groups, 32 high bits, 128 nibbles | d·scale·q − dmin·minimum |
//! | Q6_K | 16 of 16 | 128 nibbles, 64 high codes, 16 scales, d | d·scale·(q − 32) |
//!
//! Counts are bytes. Scale and minimum of a group are 4 bits each in Q2_K and 6 bits in Q4_K and
//! Q5_K; a scale is 6 bits in Q3_K and an i8 in Q6_K. Codes are 2 bits.
//!
//! The codes of far apart values share a byte so that one load and a shift yield 32 neighbours;
//! the `*_place` functions say where the code of value `index` lies.

use super::{inverse, read_f16, write_f16};

/// Values in a block.
pub(super) const LEN: usize = 256;

/// Where some bits of a code lie: in which byte, and how far up.
struct Place {
    byte: usize,
    shift: usize,
}

/// 2-bit codes: 128 values share 32 bytes, 32 neighbours at the same shift.
fn two_bit_place(index: usize) -> Place {
    Place { byte: index / 128 * 32 + index % 32, shift: index % 128 / 32 * 2 }
}

/// Nibbles of Q4_K and Q5_K: 64 values share 32 bytes.
fn nibble_place(index: usize) -> Place {
    Place { byte: index / 64 * 32 + index % 32, shift: index % 64 / 32 * 4 }
}

/// Nibbles of Q6_K: 128 values share 64 bytes.
fn wide_nibble_place(index: usize) -> Place {
    Place { byte: index / 128 * 64 + index % 64, shift: index % 128 / 64 * 4 }
}

/// Single high bits: all 256 values share 32 bytes.
fn high_bit_place(index: usize) -> Place {
    Place { byte: index % 32, shift: index / 32 }
}

impl Place {
    fn read(self, bytes: &[u8], mask: u8) -> u8 {
        (bytes[self.byte] >> self.shift) & mask
    }

    /// Sets the bits of `code` that `mask` keeps; the byte starts as zero.
    fn write(self, bytes: &mut [u8], mask: u8, code: u8) {
        bytes[self.byte] |= (code & mask) << self.shift;
    }
}

pub(super) fn dequantise_q2_k(block: &[u8], values: &mut [f32]) {
    let (groups, codes) = (&block[..16], &block[16..80]);
    let (d, d_minimum) = (read_f16(&block[80..]), read_f16(&block[82..]));
    for (index, value) in values.iter_mut().enumerate() {
        let group = groups[index / 16];
        let scale = d * f32::from(group & 0x0f);
        let minimum = d_minimum * f32::from(group >> 4);
        let quant = two_bit_place(index).read(codes, 3);
        *value = scale * f32::from(quant) - minimum;
    }
}

pub(super) fn quantise_q2_k(values: &[f32], block: &mut [u8]) {
    block.fill(0);
    let groups = GroupRanges::<16>::fit(values, 3.0);
    let d = write_f16(groups.largest_scale() / 15.0, &mut block[80..]);
    let d_minimum = write_f16(groups.largest_minimum() / 15.0, &mut block[82..]);
    for (group, values) in values.chunks_exact(16).enumerate() {
        let scale = nearest(groups.scales[group], d, 15);
        let minimum = nearest(groups.minimums[group], d_minimum, 15);
        block[group] = scale | minimum << 4;
        let (step, offset) = (d * f32::from(scale), d_minimum * f32::from(minimum));
        for (index, value) in values.iter().enumerate() {
            let quant = nearest(value + offset, step, 3);
            two_bit_place(group * 16 + index).write(&mut block[16..80], 3, quant);
        }
    }
}

pub(super) fn dequantise_q3_k(block: &[u8], values: &mut [f32]) {
    let (high_bits, codes, scales) = (&block[..32], &block[32..96], &block[96..108]);
    let d = read_f16(&block[108..]);
    for (index, value) in values.iter_mut().enumerate() {
        let scale = d * (f32::from(q3_k_scale(scales, index / 16)) - 32.0);
        let low = two_bit_place(index).read(codes, 3);
        let high = high_bit_place(index).read(high_bits, 1);
        *value = scale * (f32::from(low | high << 2) - 4.0);
    }
}

pub(super) fn quantise_q3_k(values: &[f32], block: &mut [u8]) {
    block.fill(0);
    let scales = signed_scales(values, 4.0);
    // The scale largest in size becomes −32, the one end the 6-bit code has alone.
    let d = write_f16(largest(&scales) / -32.0, &mut block[108..]);
    for (group, values) in values.chunks_exact(16).enumerate() {
        let scale = nearest_signed(scales[group], d, 32);
        write_q3_k_scale(&mut block[96..108], group, (scale + 32) as u8);
        let step = d * f32::from(scale);
        for (index, &value) in values.iter().enumerate() {
            let quant = (nearest_signed(value, step, 4) + 4) as u8;
            two_bit_place(group * 16 + index).write(&mut block[32..96], 3, quant);
            high_bit_place(group * 16 + index).write(&mut block[..32], 1, quant >> 2);
        }
    }
}

/// Scale `group` of Q3_K: four low bits in bytes 0 to 7, two high bits in bytes 8 to 11.
pub(crate) fn q3_k_scale(scales: &[u8], group: usize) -> u8 {
    let low = (scales[group % 8] >> (group / 8 * 4)) & 0x0f;
    let high = (scales[8 + group % 4] >> (group / 4 * 2)) & 3;
    low | high << 4
}

fn write_q3_k_scale(scales: &mut [u8], group: usize, scale: u8) {
    scales[group % 8] |= (scale & 0x0f) << (group / 8 * 4);
    scales[8 + group % 4] |= (scale >> 4) << (group / 4 * 2);
}

pub(super) fn dequantise_q4_k(block: &[u8], values: &mut [f32]) {
    let (d, d_minimum) = (read_f16(block), read_f16(&block[2..]));
    let (groups, nibbles) = (&block[4..16], &block[16..]);
    for (index, value) in values.iter_mut().enumerate() {
        let (scale, minimum) = scale_and_minimum(groups, index / 32);
        let quant = nibble_place(index).read(nibbles, 0x0f);
        *value = d * f32::from(scale) * f32::from(quant) - d_minimum * f32::from(minimum);
    }
}

pub(super) fn quantise_q4_k(values: &[f32], block: &mut [u8]) {
    block.fill(0);
    let (head, nibbles) = block.split_at_mut(16);
    quantise_with_minimums(values, head, 15, |index, quant| {
        nibble_place(index).write(nibbles, 0x0f, quant);
    });
}

pub(super) fn dequantise_q5_k(block: &[u8], values: &mut [f32]) {
    let (d, d_minimum) = (read_f16(block), read_f16(&block[2..]));
    let (groups, high_bits, nibbles) = (&block[4..16], &block[16..48], &block[48..]);
    for (index, value) in values.iter_mut().enumerate() {
        let (scale, minimum) = scale_and_minimum(groups, index / 32);
        let low = nibble_place(index).read(nibbles, 0x0f);
        let high = high_bit_place(index).read(high_bits, 1);
        let quant = low | high << 4;
        *value = d * f32::from(scale) * f32::from(quant) - d_minimum * f32::from(minimum);
    }
}

pub(super) fn quantise_q5_k(values: &[f32], block: &mut [u8]) {
    block.fill(0);
    let (head, codes) = block.split_at_mut(16);
    let (high_bits, nibbles) = codes.split_at_mut(32);
    quantise_with_minimums(values, head, 31, |index, quant| {
        nibble_place(index).write(nibbles, 0x0f, quant);
        high_bit_place(index).write(high_bits, 1, quant >> 4);
    });
}

/// Writes what Q4_K and Q5_K share, the scales and minimums in `head`, and hands the code of each
/// value to `write_code`.
fn quantise_with_minimums(
    values: &[f32],
    head: &mut [u8],
    code_limit: u8,
    mut write_code: impl FnMut(usize, u8),
) {
    let groups = GroupRanges::<8>::fit(values, f32::from(code_limit));
    let d = write_f16(groups.largest_scale() / 63.0, head);
    let d_minimum = write_f16(groups.largest_minimum() / 63.0, &mut head[2..]);
    for (group, values) in values.chunks_exact(32).enumerate() {
        let scale = nearest(groups.scales[group], d, 63);
        let minimum = nearest(groups.minimums[group], d_minimum, 63);
        write_scale_and_minimum(&mut head[4..16], group, scale, minimum);
        let (step, offset) = (d * f32::from(scale), d_minimum * f32::from(minimum));
        for (index, value) in values.iter().enumerate() {
            write_code(group * 32 + index, nearest(value + offset, step, code_limit));
        }
    }
}

/// The 6-bit scale and minimum of `group` in Q4_K and Q5_K. Groups 0 to 3 have bytes of their own,
/// whose two upper bits hold the upper bits of groups 4 to 7.
pub(crate) fn scale_and_minimum(bytes: &[u8], group: usize) -> (u8, u8) {
    if group < 4 {
        return (bytes[group] & 0x3f, bytes[group + 4] & 0x3f);
    }
    let lower = bytes[group + 4];
    let scale = lower & 0x0f | bytes[group - 4] >> 6 << 4;
    let minimum = lower >> 4 | bytes[group] >> 6 << 4;
    (scale, minimum)
}

fn write_scale_and_minimum(bytes: &mut [u8], group: usize, scale: u8, minimum: u8) {
    if group < 4 {
        bytes[group] |= scale;
        bytes[group + 4] |= minimum;
    } else {
        bytes[group + 4] = scale & 0x0f | (minimum & 0x0f) << 4;
        bytes[group - 4] |= scale >> 4 << 6;
        bytes[group] |= minimum >> 4 << 6;
    }
}

pub(super) fn dequantise_q6_k(block: &[u8], values: &mut [f32]) {
    let (nibbles, high_codes, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let d = read_f16(&block[208..]);
    for (index, value) in values.iter_mut().enumerate() {
        let low = wide_nibble_place(index).read(nibbles, 0x0f);
        let high = two_bit_place(index).read(high_codes, 3);
        let scale = d * f32::from(scales[index / 16] as i8);
        *value = scale * (f32::from(low | high << 4) - 32.0);
    }
}

pub(super) fn quantise_q6_k(values: &[f32], block: &mut [u8]) {
    block.fill(0);
    let scales = signed_scales(values, 32.0);
    let d = write_f16(largest(&scales) / -128.0, &mut block[208..]);
    for (group, values) in values.chunks_exact(16).enumerate() {
        let scale = nearest_signed(scales[group], d, 128);
        block[192 + group] = scale as i8 as u8;
        let step = d * f32::from(scale);
        for (index, &value) in values.iter().enumerate() {
            let quant = (nearest_signed(value, step, 32) + 32) as u8;
            wide_nibble_place(group * 16 + index).write(&mut block[..128], 0x0f, quant);
            two_bit_place(group * 16 + index).write(&mut block[128..192], 3, quant >> 4);
        }
    }
}

/// What each group of a block needs: a step, and how far below zero it reaches.
struct GroupRanges<const GROUPS: usize> {
    scales: [f32; GROUPS],
    minimums: [f32; GROUPS],
}

impl<const GROUPS: usize> GroupRanges<GROUPS> {
    fn fit(values: &[f32], code_limit: f32) -> GroupRanges<GROUPS> {
        let mut ranges = GroupRanges { scales: [0.0; GROUPS], minimums: [0.0; GROUPS] };
        for (group, values) in values.chunks_exact(LEN / GROUPS).enumerate() {
            // A stored minimum is never positive, so zero always belongs to the range.
            let minimum = values.iter().copied().fold(0.0, f32::min);
            let maximum = values.iter().copied().fold(0.0, f32::max);
            ranges.scales[group] = (maximum - minimum) / code_limit;
            ranges.minimums[group] = -minimum;
        }
        ranges
    }

    fn largest_scale(&self) -> f32 {
        largest(&self.scales)
    }

    fn largest_minimum(&self) -> f32 {
        largest(&self.minimums)
    }
}

/// One scale per 16 values that maps the value largest in size to −`code_limit`.
fn signed_scales(values: &[f32], code_limit: f32) -> [f32; 16] {
    std::array::from_fn(|group| largest(&values[group * 16..][..16]) / -code_limit)
}

/// The value largest in size, with its sign; the first of several.
fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most: f32, &value| if value.abs() > most.abs() { value } else { most })
}

/// `value` in whole steps, from 0 to `limit`.
fn nearest(value: f32, step: f32, limit: u8) -> u8 {
    ((value * inverse(step)).round() as u8).min(limit)
}

/// `value` in whole steps, from −`size` to `size` − 1.
fn nearest_signed(value: f32, step: f32, size: i16) -> i16 {
    ((value * inverse(step)).round() as i16).clamp(-size, size - 1)
}
