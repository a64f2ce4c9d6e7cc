//! Sixteen rows by up to sixteen tokens, over the whole depth.
//!
//! Shapes: float inputs [depth][tokens], block inputs [depth / 32][tokens], `sums` [tokens][16].

use crate::input_block::{BLOCK_LEN, InputBlock};
use crate::lanes::{LANES, Lanes};
use crate::numbers::{Bf16Pair, Number};
use crate::packing::{Format, QUAD, Quantised, UnpackedBuffer, weight};

/// Float weights: products are added first to last.
pub(crate) fn floats<T: Number>(weights: &[[T; LANES]], input: &[f32], sums: &mut [Lanes]) {
    sums.fill([0.0; LANES]);
    for (weights, input) in weights.iter().zip(input.chunks_exact(sums.len())) {
        for lane in 0..LANES {
            let weight = weights[lane].to_f32();
            for (sums, value) in sums.iter_mut().zip(input) {
                sums[lane] = weight.mul_add(*value, sums[lane]);
            }
        }
    }
}

/// Weights in pairs: products are added first to last.
pub(crate) fn pairs(weights: &[[Bf16Pair; LANES]], input: &[Bf16Pair], sums: &mut [Lanes]) {
    sums.fill([0.0; LANES]);
    for (weights, input) in weights.iter().zip(input.chunks_exact(sums.len())) {
        for lane in 0..LANES {
            for (sums, values) in sums.iter_mut().zip(input) {
                for (weight, value) in weights[lane].numbers().into_iter().zip(values.numbers()) {
                    sums[lane] = weight.mul_add(value, sums[lane]);
                }
            }
        }
    }
}

/// Unpacks blocks: a byte for every code, a float for every scale.
pub(crate) fn unpack<F: Format>(weights: Quantised<'_, F>, unpacked: &mut UnpackedBuffer) {
    let blocks = weights.units().flat_map(|unit| (0..F::BLOCKS).map(move |block| (unit, block)));
    for (((codes, scales), block), unpacked) in blocks.zip(&mut unpacked.units) {
        for (input, lane) in (0..BLOCK_LEN).flat_map(|i| (0..LANES).map(move |lane| (i, lane))) {
            let code = weight::<F>(codes, block, lane, input) + F::ZERO;
            unpacked.codes[input / QUAD][lane * QUAD + input % QUAD] = code as u8;
        }
        for (group, lane) in
            (0..F::SCALES_PER_BLOCK).flat_map(|g| (0..LANES).map(move |lane| (g, lane)))
        {
            unpacked.scales.scales[group][lane] = F::scale(scales, block, group).of(lane);
            let minimum = F::minimum(scales, block, group);
            assert_eq!(minimum.is_some(), F::HAS_MINIMUMS, "a format says whether it has minimums");
            if let Some(minimum) = minimum {
                unpacked.scales.minimums[group][lane] = minimum.of(lane);
            }
        }
    }
}

/// Adds the products with quantised weights to `sums`. Sums are exact within a scale group; the
/// scale groups of a block are added first to last, then the blocks.
pub(crate) fn blocks<F: Format>(
    weights: Quantised<'_, F>,
    input: &[InputBlock],
    sums: &mut [Lanes],
) {
    let blocks = weights.units().flat_map(|unit| (0..F::BLOCKS).map(move |block| (unit, block)));
    for (((codes, scales), block), input) in blocks.zip(input.chunks_exact(sums.len())) {
        for lane in 0..LANES {
            let weights = std::array::from_fn(|index| weight::<F>(codes, block, lane, index));
            for (sums, input) in sums.iter_mut().zip(input) {
                add_block::<F>(&weights, (scales, block), lane, input, &mut sums[lane]);
            }
        }
    }
}

/// Adds a row's product with one block of activations.
fn add_block<F: Format>(
    weights: &[i32; BLOCK_LEN],
    (scales, block): (&F::Scales, usize),
    lane: usize,
    input: &InputBlock,
    total: &mut f32,
) {
    let group_len = BLOCK_LEN / F::SCALES_PER_BLOCK;
    let mut scaled = 0.0;
    for (group, weights) in weights.chunks_exact(group_len).enumerate() {
        let products = weights.iter().zip(group * group_len..).map(|(w, i)| w * input.integer(i));
        let (sum, scale) = (products.sum::<i32>() as f32, F::scale(scales, block, group).of(lane));
        scaled = sum.mul_add(scale, scaled);
    }
    *total = scaled.mul_add(input.scale, *total);
    for group in 0..F::SCALES_PER_BLOCK {
        if let Some(minimum) = F::minimum(scales, block, group) {
            *total = (-minimum.of(lane)).mul_add(input.sum_of(F::SCALES_PER_BLOCK, group), *total);
        }
    }
}
