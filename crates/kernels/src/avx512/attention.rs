//! The inner loops of attention, over one piece of positions.

use std::arch::x86_64::*;
use std::ops::Range;

use super::math::{
    load, load_numbers, load_some, mask, softmax_weight, store, store_some, sum_lanes,
};
use super::tiles::with_width;
use crate::address::{Column, in_one_register};
use crate::attention::{HeadValues, PieceSoftmax, PieceWeights};
use crate::kv::{BLOCK_TOKENS, KvBlock};
use crate::lanes::LANES;
use crate::numbers::Number;

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn scores<T: Number>(
    blocks: &[KvBlock<'_, T>],
    queries: &[f32],
    weights: &mut [PieceWeights],
) {
    with_width!(weights.len(), scores_of::<_>(blocks, queries, weights));
}

#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
fn scores_of<const QUERIES: usize, T: Number>(
    blocks: &[KvBlock<'_, T>],
    queries: &[f32],
    weights: &mut [PieceWeights],
) {
    let (queries, _) = queries.as_chunks::<QUERIES>();
    for (index, block) in blocks.iter().enumerate() {
        let mut scores = [_mm512_setzero_ps(); QUERIES];
        // Blocks lie anywhere, so only we know what is read next: the keys of the block after this
        // one, and when all scores are done the values of them all.
        let next = blocks.get(index + 1).unwrap_or(block);
        let coming = next.keys.iter().zip(block.values);
        for ((keys, queries), (next_keys, values)) in block.keys.iter().zip(queries).zip(coming) {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(next_keys).cast());
            _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(values).cast());
            let keys = load_numbers(keys);
            let queries = in_one_register(queries);
            for query in 0..QUERIES {
                let value = _mm512_set1_ps(queries[query]);
                scores[query] = _mm512_fmadd_ps(keys, value, scores[query]);
            }
        }
        for (weights, scores) in weights.iter_mut().zip(scores) {
            store(&mut weights.as_chunks_mut().0[index], scores);
        }
    }
}

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn softmax(scores: &mut [f32], scale: f32) -> PieceSoftmax {
    let scale = _mm512_set1_ps(scale);
    let mut maximums = _mm512_set1_ps(f32::NEG_INFINITY);
    for scores in scores.chunks_mut(LANES) {
        let scaled = _mm512_mul_ps(load_some(scores), scale);
        store_some(scores, scaled);
        // Passes over what is not a number, as the comparison in `scalar/` does.
        maximums = _mm512_mask_max_ps(maximums, mask(scores.len()), scaled, maximums);
    }
    let mut array = [0.0; LANES];
    store(&mut array, maximums);
    let maximum =
        array.iter().fold(f32::NEG_INFINITY, |most, &one| if one > most { one } else { most });
    let mut sums = _mm512_setzero_ps();
    for scores in scores.chunks_mut(LANES) {
        let weights = softmax_weight(_mm512_sub_ps(load_some(scores), _mm512_set1_ps(maximum)));
        store_some(scores, weights);
        sums = _mm512_mask_add_ps(sums, mask(scores.len()), sums, weights);
    }
    PieceSoftmax { maximum, sum: sum_lanes(sums) }
}

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn weighted_sum<T: Number>(
    blocks: &[KvBlock<'_, T>],
    positions: Range<usize>,
    weights: &[PieceWeights],
    sums: &mut [HeadValues],
) {
    with_width!(weights.len(), weighted_sum_of::<_>(blocks, &positions, weights, sums));
}

#[inline]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
fn weighted_sum_of<const QUERIES: usize, T: Number>(
    blocks: &[KvBlock<'_, T>],
    positions: &Range<usize>,
    weights: &[PieceWeights],
    sums: &mut [HeadValues],
) {
    let weights: &[PieceWeights; QUERIES] = weights.try_into().expect("the width matched");
    let sums: &mut [HeadValues; QUERIES] = sums.try_into().expect("sums for every query");
    let strips = blocks.first().map_or(0, |block| block.values.len() / BLOCK_TOKENS);
    for strip in 0..strips {
        let mut totals = [_mm512_setzero_ps(); QUERIES];
        for query in 0..QUERIES {
            totals[query] = load(&sums[query].as_chunks().0[strip]);
        }
        for (index, slots) in slots_of(positions) {
            let values = &blocks[index].values[strip..];
            for slot in slots {
                let values = load_numbers(&values[slot * strips]);
                let weights = Column::of(weights, index * BLOCK_TOKENS + slot);
                for (query, total) in totals.iter_mut().enumerate() {
                    let weight = _mm512_set1_ps(weights.row(query));
                    *total = _mm512_fmadd_ps(weight, values, *total);
                }
            }
        }
        for query in 0..QUERIES {
            store(&mut sums[query].as_chunks_mut().0[strip], totals[query]);
        }
    }
}

/// The blocks of a piece that hold these positions, each with the slots that do.
fn slots_of(positions: &Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
    let (start, end) = (positions.start, positions.end);
    (start / BLOCK_TOKENS..end.div_ceil(BLOCK_TOKENS)).map(move |block| {
        let first_position = block * BLOCK_TOKENS;
        let first = start.saturating_sub(first_position);
        (block, first..BLOCK_TOKENS.min(end - first_position))
    })
}

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn combine(total: &mut [f32], old_factor: f32, piece: &[f32], new_factor: f32) {
    let (old_factor, new_factor) = (_mm512_set1_ps(old_factor), _mm512_set1_ps(new_factor));
    for (total, piece) in total.chunks_mut(LANES).zip(piece.chunks(LANES)) {
        let old = _mm512_mul_ps(load_some(total), old_factor);
        store_some(total, _mm512_fmadd_ps(load_some(piece), new_factor, old));
    }
}
