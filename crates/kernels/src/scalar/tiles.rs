//! Sixteen rows by up to sixteen tokens, over the whole depth.
//!
//! Shapes: float inputs [depth][tokens], block inputs [depth / 32][tokens], `sums` [tokens][16].

use half::{bf16, f16};

use crate::input::InputBlock;
use crate::packing::{BLOCK_LEN, ByteGroup, NibbleGroup};
use crate::{LANES, Lanes};

pub(crate) fn f32(weights: &[Lanes], input: &[f32], sums: &mut [Lanes]) {
    multiply_floats(weights, |weights, lane| weights[lane], input, sums);
}

pub(crate) fn f16(weights: &[[u16; LANES]], input: &[f32], sums: &mut [Lanes]) {
    multiply_floats(weights, |bits, lane| f16::from_bits(bits[lane]).to_f32(), input, sums);
}

pub(crate) fn bf16(weights: &[[u16; LANES]], input: &[f32], sums: &mut [Lanes]) {
    multiply_floats(weights, |bits, lane| bf16::from_bits(bits[lane]).to_f32(), input, sums);
}

fn multiply_floats<T>(
    weights: &[T],
    number: impl Fn(&T, usize) -> f32,
    input: &[f32],
    sums: &mut [Lanes],
) {
    sums.fill([0.0; LANES]);
    for (weights, input) in weights.iter().zip(input.chunks_exact(sums.len())) {
        for lane in 0..LANES {
            let weight = number(weights, lane);
            for (sums, value) in sums.iter_mut().zip(input) {
                sums[lane] = weight.mul_add(*value, sums[lane]);
            }
        }
    }
}

pub(crate) fn q8_0(weights: ByteGroup<'_>, input: &[InputBlock], sums: &mut [Lanes]) {
    let weight = |block, lane, input| weights.weight(block, lane, input);
    multiply_blocks(weights.scales, weight, input, sums);
}

pub(crate) fn q4_0(weights: NibbleGroup<'_>, input: &[InputBlock], sums: &mut [Lanes]) {
    let weight = |block, lane, input| weights.weight(block, lane, input);
    multiply_blocks(weights.scales, weight, input, sums);
}

fn multiply_blocks(
    scales: &[[u16; LANES]],
    weight: impl Fn(usize, usize, usize) -> i32,
    input: &[InputBlock],
    sums: &mut [Lanes],
) {
    sums.fill([0.0; LANES]);
    for (block, input) in input.chunks_exact(sums.len()).enumerate() {
        for lane in 0..LANES {
            let scale = f16::from_bits(scales[block][lane]).to_f32();
            let weights: [i32; BLOCK_LEN] = std::array::from_fn(|i| weight(block, lane, i));
            for (sums, input) in sums.iter_mut().zip(input) {
                let products = weights.iter().enumerate().map(|(i, w)| w * input.integer(i));
                let sum: i32 = products.sum();
                sums[lane] = (sum as f32).mul_add(scale * input.scale, sums[lane]);
            }
        }
    }
}
