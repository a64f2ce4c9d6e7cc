//! Weights times activations.
//!
//! The unit of work is a tile: 16 rows by up to 16 tokens over the whole depth. A piece is some
//! groups of rows by some tiles of tokens; the same tile kernels run whatever the batch is, so an
//! output does not depend on it.

use crate::disjoint::Disjoint;
use crate::input::{Input, TILE_TOKENS};
use crate::isa::{Isa, dispatch};
use crate::matrix::Matrix;
use crate::packing::{Group, with_group};
use crate::pool::Pool;
use crate::{LANES, Lanes};

/// The sums of one tile: [token][row].
pub(crate) type TileSums = [Lanes; TILE_TOKENS];

/// Multiplies weights by a batch of activations.
///
/// Shapes: `weights` [rows, depth], `input` [batch, depth], `output` [batch, rows].
/// With quantised weights, products are exact integers as long as their weights share a scale, and
/// those sums are added in `f32`, first to last; with float weights, products are added in `f32`, first to last.
/// Panics if a length disagrees with its shape, or the input is in another order than the weights'.
pub fn matmul(pool: &Pool, weights: &Matrix, input: &Input, output: &mut [f32]) {
    assert_eq!(weights.depth(), input.depth(), "weights and input have one depth");
    assert!(weights.order() == input.order(), "weights and input have one order");
    assert_eq!(output.len(), input.batch() * weights.rows(), "output is [batch, rows]");
    let split = Split::of(weights, input);
    let output = Disjoint::new(output);
    pool.run(split.pieces(), &|piece| {
        run_piece(pool.isa(), weights, input, &split, piece, &output)
    });
}

fn run_piece(
    isa: Isa,
    weights: &Matrix,
    input: &Input,
    split: &Split,
    piece: usize,
    output: &Disjoint<'_, f32>,
) {
    let mut sums: TileSums = [[0.0; LANES]; TILE_TOKENS];
    for tile in split.tiles_of(piece) {
        for group in split.groups_of(piece) {
            let width = input.tile_width(tile);
            let first_row = group * LANES;
            let rows = LANES.min(weights.rows() - first_row);
            let start_of = |token| (tile * TILE_TOKENS + token) * weights.rows() + first_row;
            // Each token's sixteen sums go to another page. Asked for before the work on the tile,
            // the lines are there when it is done: this doubled the speed of wide prompts.
            (0..width).for_each(|token| output.prefetch(start_of(token)));
            multiply_tile(isa, weights.group(group), input, tile, &mut sums);
            for (token, sums) in sums[..width].iter().enumerate() {
                let start = start_of(token);
                // SAFETY: pieces are different rows of different tokens.
                let place = unsafe { output.part(start..start + rows) };
                place.copy_from_slice(&sums[..rows]);
            }
        }
    }
}

fn multiply_tile(isa: Isa, group: Group<'_>, input: &Input, tile: usize, sums: &mut TileSums) {
    let sums = &mut sums[..input.tile_width(tile)];
    with_group!(
        group,
        floats(weights) => dispatch!(isa, tiles::floats(weights, input.tile_floats(tile), sums)),
        quantised(weights) => dispatch!(isa, tiles::blocks(weights, input.tile_blocks(tile), sums)),
    );
}

/// How a product is cut into pieces.
struct Split {
    group_count: usize,
    tile_count: usize,
    piece_groups: usize,
    piece_tiles: usize,
}

/// How much of the activations a piece walks again for each group of rows: a small part of the
/// 2 MiB second-level cache of the machines this is tuned on, so that weights streaming by leave it
/// there. With 512 KiB wide outputs took twice the time.
const PIECE_INPUT_BYTES: usize = 128 << 10;
/// How many products a piece has at most, unless one group has more: 50 µs at 160 a nanosecond.
const PIECE_PRODUCTS: usize = 8 << 20;
/// How many bytes of weights a piece streams at most, unless one group has more: 20 µs at 13 GB/s.
const PIECE_WEIGHT_BYTES: usize = 256 << 10;

impl Split {
    fn of(weights: &Matrix, input: &Input) -> Split {
        let depth = weights.depth().max(1);
        let value_bytes = if weights.is_quantised() { 1 } else { 4 };
        let tile_count = input.batch().div_ceil(TILE_TOKENS);
        let fitting_tiles = PIECE_INPUT_BYTES / (depth * value_bytes * TILE_TOKENS);
        let piece_tiles = fitting_tiles.clamp(1, tile_count.max(1));
        let piece_tokens = (piece_tiles * TILE_TOKENS).min(input.batch().max(1));
        let by_products = PIECE_PRODUCTS / (piece_tokens * depth * LANES);
        let by_bytes = PIECE_WEIGHT_BYTES / weights.group_bytes().max(1);
        let piece_groups = by_products.min(by_bytes).max(1);
        Split { group_count: weights.group_count(), tile_count, piece_groups, piece_tiles }
    }

    fn pieces_per_tiles(&self) -> usize {
        self.group_count.div_ceil(self.piece_groups)
    }

    fn pieces(&self) -> usize {
        self.tile_count.div_ceil(self.piece_tiles) * self.pieces_per_tiles()
    }

    /// Neighbouring pieces are neighbouring rows of the same tokens: activations stay in the cache.
    fn groups_of(&self, piece: usize) -> std::ops::Range<usize> {
        let start = piece % self.pieces_per_tiles() * self.piece_groups;
        start..self.group_count.min(start + self.piece_groups)
    }

    fn tiles_of(&self, piece: usize) -> std::ops::Range<usize> {
        let start = piece / self.pieces_per_tiles() * self.piece_tiles;
        start..self.tile_count.min(start + self.piece_tiles)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::num::NonZeroUsize;

    use super::*;
    use crate::blocks::BlockType;

    #[test]
    fn pieces_cover_every_tile_of_every_group_once_and_stay_small() {
        let pool = Pool::new(Isa::scalar(), NonZeroUsize::MIN);
        for (rows, depth) in [(0, 32), (1, 32), (17, 64), (300, 4096), (5000, 256), (160, 9000)] {
            let read = |_: std::ops::Range<usize>, _: &mut [u8]| Ok::<(), Infallible>(());
            let kind = if depth % 32 == 0 { BlockType::Q4_0 } else { BlockType::F16 };
            let weights = Matrix::load(&pool, kind, rows, depth, &read).expect("a small matrix");
            for batch in [0, 1, 16, 17, 100, 333] {
                let mut input = Input::new(batch, depth);
                input.set(&pool, &vec![0.0; batch * depth], batch, depth);
                let split = Split::of(&weights, &input);
                let mut counts = vec![0; split.group_count * split.tile_count];
                for piece in 0..split.pieces() {
                    let (tiles, groups) = (split.tiles_of(piece), split.groups_of(piece));
                    let tokens: usize = tiles.clone().map(|tile| input.tile_width(tile)).sum();
                    let products = tokens * groups.len() * LANES * depth;
                    let is_one_group = groups.len() == 1;
                    assert!(products <= PIECE_PRODUCTS || is_one_group, "{rows} {depth} {batch}");
                    for (tile, group) in tiles.flat_map(|t| groups.clone().map(move |g| (t, g))) {
                        counts[group * split.tile_count + tile] += 1;
                    }
                }
                assert!(counts.iter().all(|&count| count == 1), "{rows} {depth} {batch}");
            }
        }
    }
}
