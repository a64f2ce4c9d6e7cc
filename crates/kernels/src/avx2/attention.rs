//! The inner loops of attention, over one piece of positions.

use std::arch::x86_64::*;
use std::ops::Range;

use super::math::{
    HALF, halves, halves_mut, load, load_half, load_some, mask, softmax_weight, store, store_some,
    sum_lanes,
};
use crate::attention::{HeadValues, PieceSoftmax, PieceWeights};
use crate::kv::{BLOCK_TOKENS, KvBlock};
use crate::lanes::{LANES, Lanes};
use crate::numbers::Number;

/// The most queries whose sums fit into registers beside what they are multiplied by.
const MOST: usize = 6;

/// Positions whose values are in the first cache together: 16 KiB of 128 dims.
const NEAR_POSITIONS: usize = 4 * BLOCK_TOKENS;

/// Calls the kernel for strips of up to [`MOST`] queries, of widths as equal as can be, with the
/// strip's width as its constant and its start as its last argument.
macro_rules! with_even_widths {
    ($width:expr, $kernel:ident ( $($argument:expr),* )) => {
        let width = $width;
        let (mut start, mut strips) = (0, width.div_ceil(MOST));
        while start < width {
            let strip = (width - start).div_ceil(strips);
            match strip {
                1 => $kernel::<1, _>($($argument),*, start),
                2 => $kernel::<2, _>($($argument),*, start),
                3 => $kernel::<3, _>($($argument),*, start),
                4 => $kernel::<4, _>($($argument),*, start),
                5 => $kernel::<5, _>($($argument),*, start),
                _ => $kernel::<6, _>($($argument),*, start),
            }
            (start, strips) = (start + strip, strips - 1);
        }
    };
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn scores<T: Number>(
    blocks: &[KvBlock<'_, T>],
    queries: &[f32],
    weights: &mut [PieceWeights],
) {
    with_even_widths!(weights.len(), scores_of(blocks, queries, weights));
}

/// Scores of `QUERIES` queries, the first of which is `first`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn scores_of<const QUERIES: usize, T: Number>(
    blocks: &[KvBlock<'_, T>],
    queries: &[f32],
    weights: &mut [PieceWeights],
    first: usize,
) {
    let count = weights.len();
    for (index, block) in blocks.iter().enumerate() {
        let mut scores = [[_mm256_setzero_ps(); 2]; QUERIES];
        // Blocks lie anywhere, so only we know what is read next: the keys of the block after this
        // one, and when all scores are done the values of them all. Rows of a prompt, which are
        // several strips, find them in a cache.
        if count == QUERIES {
            let next = blocks.get(index + 1).unwrap_or(block);
            for (next_keys, values) in next.keys.iter().zip(block.values) {
                _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(next_keys).cast());
                _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(values).cast());
            }
        }
        for (keys, queries) in block.keys.iter().zip(queries.chunks_exact(count)) {
            let keys = [load_half(keys, 0), load_half(keys, 1)];
            let queries: &[f32; QUERIES] =
                queries[first..].first_chunk().expect("so many queries are left");
            for query in 0..QUERIES {
                let value = _mm256_set1_ps(queries[query]);
                scores[query][0] = _mm256_fmadd_ps(keys[0], value, scores[query][0]);
                scores[query][1] = _mm256_fmadd_ps(keys[1], value, scores[query][1]);
            }
        }
        for (weights, scores) in weights[first..].iter_mut().zip(scores) {
            let places: &mut [Lanes] = weights.as_chunks_mut().0;
            for (place, scores) in halves_mut(&mut places[index]).iter_mut().zip(scores) {
                store(place, scores);
            }
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn softmax(scores: &mut [f32], scale: f32) -> PieceSoftmax {
    let scale = _mm256_set1_ps(scale);
    let least = _mm256_set1_ps(f32::NEG_INFINITY);
    let mut maximums = least;
    for scores in scores.chunks_mut(HALF) {
        let scaled = _mm256_mul_ps(load_some(scores), scale);
        store_some(scores, scaled);
        let seen = _mm256_blendv_ps(least, scaled, mask(scores.len()));
        // Passes over what is not a number, as the comparison in `scalar/` does.
        maximums = _mm256_max_ps(seen, maximums);
    }
    let mut array = [0.0; HALF];
    store(&mut array, maximums);
    let maximum =
        array.iter().fold(f32::NEG_INFINITY, |most, &one| if one > most { one } else { most });
    let mut sums = [_mm256_setzero_ps(); 2];
    for scores in scores.chunks_mut(LANES) {
        for (sums, scores) in sums.iter_mut().zip(scores.chunks_mut(HALF)) {
            let weights = softmax_weight(_mm256_sub_ps(load_some(scores), _mm256_set1_ps(maximum)));
            store_some(scores, weights);
            *sums = _mm256_add_ps(*sums, _mm256_and_ps(weights, mask(scores.len())));
        }
    }
    PieceSoftmax { maximum, sum: sum_lanes(sums) }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn weighted_sum<T: Number>(
    blocks: &[KvBlock<'_, T>],
    positions: Range<usize>,
    weights: &[PieceWeights],
    sums: &mut [HeadValues],
) {
    with_even_widths!(weights.len(), weighted_sum_of(blocks, &positions, weights, sums));
}

/// Sums of `QUERIES` queries, the first of which is `first`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
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
    // A few blocks after another: their values stay in the first cache for all strips of dims,
    // while a strip of all positions, 256 bytes apart, would not fit into the quarter of its sets
    // that it falls into.
    let mut start = positions.start;
    while start < positions.end {
        let end = positions.end.min((start / NEAR_POSITIONS + 1) * NEAR_POSITIONS);
        for strip in 0..strips {
            let mut totals = [[_mm256_setzero_ps(); 2]; QUERIES];
            for query in 0..QUERIES {
                let lanes: &[Lanes] = sums[query].as_chunks().0;
                let [low, high] = halves(&lanes[strip]);
                totals[query] = [load(low), load(high)];
            }
            for position in start..end {
                let block = &blocks[position / BLOCK_TOKENS];
                let values = &block.values[position % BLOCK_TOKENS * strips + strip];
                let values = [load_half(values, 0), load_half(values, 1)];
                for query in 0..QUERIES {
                    let weight = _mm256_set1_ps(weights[query][position]);
                    totals[query][0] = _mm256_fmadd_ps(weight, values[0], totals[query][0]);
                    totals[query][1] = _mm256_fmadd_ps(weight, values[1], totals[query][1]);
                }
            }
            for query in 0..QUERIES {
                let lanes: &mut [Lanes] = sums[query].as_chunks_mut().0;
                let [low, high] = halves_mut(&mut lanes[strip]);
                store(low, totals[query][0]);
                store(high, totals[query][1]);
            }
        }
        start = end;
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn combine(total: &mut [f32], old_factor: f32, piece: &[f32], new_factor: f32) {
    let (old_factor, new_factor) = (_mm256_set1_ps(old_factor), _mm256_set1_ps(new_factor));
    for (total, piece) in total.chunks_mut(HALF).zip(piece.chunks(HALF)) {
        let old = _mm256_mul_ps(load_some(total), old_factor);
        store_some(total, _mm256_fmadd_ps(load_some(piece), new_factor, old));
    }
}
