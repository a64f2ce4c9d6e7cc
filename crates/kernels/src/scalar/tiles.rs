//! Sixteen rows by up to sixteen tokens, over the whole depth.
//!
//! Shapes: float inputs [depth][tokens], block inputs [depth / 32][tokens], `sums` [tokens][16].

use crate::input_block::{BLOCK_LEN, InputBlock};
use crate::numbers::Number;
use crate::packing::{QuadBlock, ScaledGroup};
use crate::{LANES, Lanes};

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

/// Quantised weights: sums are exact within a block, and blocks are added first to last.
pub(crate) fn blocks<B: QuadBlock>(
    weights: ScaledGroup<'_, B>,
    input: &[InputBlock],
    sums: &mut [Lanes],
) {
    sums.fill([0.0; LANES]);
    let blocks = weights.blocks.iter().zip(weights.scales);
    for ((block, scales), input) in blocks.zip(input.chunks_exact(sums.len())) {
        for lane in 0..LANES {
            let weights: [i32; BLOCK_LEN] = std::array::from_fn(|i| block.weight(lane, i));
            for (sums, input) in sums.iter_mut().zip(input) {
                let products = weights.iter().enumerate().map(|(i, w)| w * input.integer(i));
                let sum: i32 = products.sum();
                let scale = scales[lane].to_f32() * input.scale;
                sums[lane] = (sum as f32).mul_add(scale, sums[lane]);
            }
        }
    }
}
