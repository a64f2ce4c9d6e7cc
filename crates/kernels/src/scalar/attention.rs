//! The inner loops of attention, over one piece of positions.

use std::ops::Range;

use super::math::{softmax_weight, sum_lanes};
use crate::attention::{HeadValues, PieceSoftmax, PieceWeights};
use crate::kv::{BLOCK_TOKENS, KvBlock};
use crate::lanes::LANES;
use crate::numbers::Number;

/// Multiplies queries by keys: `weights[query][position]` becomes the raw score.
///
/// Shapes: `queries` [head_dim][queries].
pub(crate) fn scores<T: Number>(
    blocks: &[KvBlock<'_, T>],
    queries: &[f32],
    weights: &mut [PieceWeights],
) {
    let count = weights.len();
    for (index, block) in blocks.iter().enumerate() {
        for (query, weights) in weights.iter_mut().enumerate() {
            let scores = &mut weights[index * BLOCK_TOKENS..][..BLOCK_TOKENS];
            scores.fill(0.0);
            for (keys, values) in block.keys.iter().zip(queries.chunks_exact(count)) {
                for (score, key) in scores.iter_mut().zip(keys) {
                    *score = key.to_f32().mul_add(values[query], *score);
                }
            }
        }
    }
}

/// Turns raw scores into weights.
pub(crate) fn softmax(scores: &mut [f32], scale: f32) -> PieceSoftmax {
    let mut maximum = f32::NEG_INFINITY;
    for score in scores.iter_mut() {
        *score *= scale;
        maximum = if *score > maximum { *score } else { maximum };
    }
    let mut sums = [0.0; LANES];
    for (position, score) in scores.iter_mut().enumerate() {
        *score = softmax_weight(*score - maximum);
        sums[position % LANES] += *score;
    }
    PieceSoftmax { maximum, sum: sum_lanes(sums) }
}

/// Adds the values at `positions`, weighted: `sums[query]` grows by `weight * value`, position by
/// position.
pub(crate) fn weighted_sum<T: Number>(
    blocks: &[KvBlock<'_, T>],
    positions: Range<usize>,
    weights: &[PieceWeights],
    sums: &mut [HeadValues],
) {
    for position in positions {
        let block = &blocks[position / BLOCK_TOKENS];
        let dims = block.values.len() / BLOCK_TOKENS * LANES;
        let values = block.values.as_flattened();
        let values = &values[position % BLOCK_TOKENS * dims..][..dims];
        for (weights, sums) in weights.iter().zip(sums.iter_mut()) {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = weights[position].mul_add(value.to_f32(), *sum);
            }
        }
    }
}

/// Brings the sums so far and a piece's sums to one maximum and adds them.
pub(crate) fn combine(total: &mut [f32], old_factor: f32, piece: &[f32], new_factor: f32) {
    for (total, piece) in total.iter_mut().zip(piece) {
        *total = piece.mul_add(new_factor, *total * old_factor);
    }
}
