//! The inner loops of attention, over one piece of positions.

use std::arch::aarch64::*;
use std::ops::Range;

use super::math::{
    PART, PARTS, greater, load, load_part, load_some, mask, parts, parts_mut, softmax_weight,
    store, store_some, sum_lanes,
};
use crate::attention::{HeadValues, PieceSoftmax, PieceWeights};
use crate::kv::{BLOCK_TOKENS, KvBlock};
use crate::lanes::{LANES, Lanes};
use crate::numbers::Number;
use crate::strips::with_widths;

#[target_feature(enable = "neon,dotprod")]
pub(crate) fn scores<T: Number>(
    blocks: &[KvBlock<'_, T>],
    queries: &[f32],
    weights: &mut [PieceWeights],
) {
    with_widths!(weights.len(), scores_of::<_>(blocks, queries, weights));
}

/// Scores of `QUERIES` queries, the first of which is `first`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn scores_of<const QUERIES: usize, T: Number>(
    blocks: &[KvBlock<'_, T>],
    queries: &[f32],
    weights: &mut [PieceWeights],
    first: usize,
) {
    let count = weights.len();
    for (index, block) in blocks.iter().enumerate() {
        let mut scores = [[vdupq_n_f32(0.0); PARTS]; QUERIES];
        for (keys, queries) in block.keys.iter().zip(queries.chunks_exact(count)) {
            let keys = load_lanes(keys);
            let queries: &[f32; QUERIES] =
                queries[first..].first_chunk().expect("so many queries are left");
            for query in 0..QUERIES {
                let value = vdupq_n_f32(queries[query]);
                for (score, key) in scores[query].iter_mut().zip(keys) {
                    *score = vfmaq_f32(*score, key, value);
                }
            }
        }
        for (weights, scores) in weights[first..].iter_mut().zip(scores) {
            let places: &mut [Lanes] = weights.as_chunks_mut().0;
            for (place, scores) in parts_mut(&mut places[index]).iter_mut().zip(scores) {
                store(place, scores);
            }
        }
    }
}

#[target_feature(enable = "neon,dotprod")]
pub(crate) fn softmax(scores: &mut [f32], scale: f32) -> PieceSoftmax {
    let scale = vdupq_n_f32(scale);
    let least = vdupq_n_f32(f32::NEG_INFINITY);
    let mut maximums = least;
    for scores in scores.chunks_mut(PART) {
        let scaled = vmulq_f32(load_some(scores), scale);
        store_some(scores, scaled);
        let seen = vbslq_f32(mask(scores.len()), scaled, least);
        // Passes over what is not a number, as the comparison in `scalar/` does.
        maximums = greater(seen, maximums);
    }
    let mut array = [0.0; PART];
    store(&mut array, maximums);
    let maximum =
        array.iter().fold(f32::NEG_INFINITY, |most, &one| if one > most { one } else { most });
    let mut sums = [vdupq_n_f32(0.0); PARTS];
    for scores in scores.chunks_mut(LANES) {
        for (sums, scores) in sums.iter_mut().zip(scores.chunks_mut(PART)) {
            let weights = softmax_weight(vsubq_f32(load_some(scores), vdupq_n_f32(maximum)));
            store_some(scores, weights);
            let counted = vandq_u32(vreinterpretq_u32_f32(weights), mask(scores.len()));
            *sums = vaddq_f32(*sums, vreinterpretq_f32_u32(counted));
        }
    }
    PieceSoftmax { maximum, sum: sum_lanes(sums) }
}

#[target_feature(enable = "neon,dotprod")]
pub(crate) fn weighted_sum<T: Number>(
    blocks: &[KvBlock<'_, T>],
    positions: Range<usize>,
    weights: &[PieceWeights],
    sums: &mut [HeadValues],
) {
    with_widths!(weights.len(), weighted_sum_of::<_>(blocks, &positions, weights, sums));
}

/// Sums of `QUERIES` queries, the first of which is `first`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn weighted_sum_of<const QUERIES: usize, T: Number>(
    blocks: &[KvBlock<'_, T>],
    positions: &Range<usize>,
    weights: &[PieceWeights],
    sums: &mut [HeadValues],
    first: usize,
) {
    let weights: &[PieceWeights; QUERIES] =
        weights[first..].first_chunk().expect("so many queries are left");
    let sums: &mut [HeadValues; QUERIES] =
        sums[first..].first_chunk_mut().expect("sums for every query");
    let strips = blocks.first().map_or(0, |block| block.values.len() / BLOCK_TOKENS);
    for strip in 0..strips {
        let mut totals = [[vdupq_n_f32(0.0); PARTS]; QUERIES];
        for query in 0..QUERIES {
            let lanes: &[Lanes] = sums[query].as_chunks().0;
            for (total, part) in totals[query].iter_mut().zip(parts(&lanes[strip])) {
                *total = load(part);
            }
        }
        for position in positions.clone() {
            let block = &blocks[position / BLOCK_TOKENS];
            let values = &block.values[position % BLOCK_TOKENS * strips + strip];
            let values = load_lanes(values);
            for query in 0..QUERIES {
                let weight = vdupq_n_f32(weights[query][position]);
                for (total, value) in totals[query].iter_mut().zip(values) {
                    *total = vfmaq_f32(*total, weight, value);
                }
            }
        }
        for query in 0..QUERIES {
            let lanes: &mut [Lanes] = sums[query].as_chunks_mut().0;
            for (part, total) in parts_mut(&mut lanes[strip]).iter_mut().zip(totals[query]) {
                store(part, total);
            }
        }
    }
}

#[target_feature(enable = "neon,dotprod")]
pub(crate) fn combine(total: &mut [f32], old_factor: f32, piece: &[f32], new_factor: f32) {
    let (old_factor, new_factor) = (vdupq_n_f32(old_factor), vdupq_n_f32(new_factor));
    for (total, piece) in total.chunks_mut(PART).zip(piece.chunks(PART)) {
        let old = vmulq_f32(load_some(total), old_factor);
        store_some(total, vfmaq_f32(old, load_some(piece), new_factor));
    }
}

/// Sixteen numbers as floats.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn load_lanes<T: Number>(numbers: &[T; LANES]) -> [float32x4_t; PARTS] {
    [
        load_part::<0, T>(numbers),
        load_part::<1, T>(numbers),
        load_part::<2, T>(numbers),
        load_part::<3, T>(numbers),
    ]
}
