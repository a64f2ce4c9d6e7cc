//! Weights times activations.
//!
//! The unit of work is a tile: 16 rows by up to 16 tokens over the whole depth. A piece is some
//! panels of rows by some tiles of tokens; the same tile kernels run whatever the batch is, so an
//! output does not depend on it.
//!
//! Few tokens read their weights packed, as they come from memory. For more, where that is faster,
//! a part of a panel's depth is unpacked into the first cache, and every token multiplied by it;
//! then comes the next part. That is the order of the sums in either way.

use std::ops::Range;

use crate::disjoint::Disjoint;
use crate::input::{Form, Input, TILE_TOKENS};
use crate::input_block::BLOCK_LEN;
use crate::isa::{Isa, dispatch};
use crate::lanes::{LANES, Lanes};
use crate::matrix::Matrix;
use crate::packing::{Format, Quantised, UNPACKED_BLOCKS, UnpackedBuffer, with_panel};
use crate::pool::Pool;
use crate::strips;

/// The sums of one tile: [token][row].
pub(crate) type TileSums = [Lanes; TILE_TOKENS];

/// Multiplies weights by a batch of activations.
///
/// Shapes: `weights` [rows, depth], `input` [batch, depth], `output` [batch, rows].
/// With quantised weights, products are exact integers within a scale group; the groups' sums are
/// added in `f32`, first to last. With float weights, products are added in `f32`, first to last.
/// Weights of [`BlockType::Bf16Dot`](crate::BlockType::Bf16Dot) are multiplied by activations
/// rounded to BF16, in the same order.
/// Panics if a length disagrees with its shape, or if the inputs are in another order than the
/// weights'.
pub fn matmul(pool: &Pool, weights: &Matrix, input: &Input, output: &mut [f32]) {
    assert_eq!(weights.depth(), input.depth(), "weights and input have one depth");
    assert!(weights.order() == input.order(), "weights and input have one order");
    assert_eq!(output.len(), input.batch() * weights.rows(), "output is [batch, rows]");
    let split = Split::of(pool.isa(), weights, input);
    let output = Disjoint::new(output);
    pool.run(split.pieces(), &|piece| {
        let (panels, tiles) = (split.panels_of(piece), split.tiles_of(piece));
        let (isa, output, unpacks) = (pool.isa(), &output, split.unpacks);
        Piece { isa, weights, input, output, panels, tiles, unpacks }.run();
    });
}

/// Some panels of rows by some tiles of tokens.
struct Piece<'a> {
    isa: Isa,
    weights: &'a Matrix,
    input: &'a Input,
    output: &'a Disjoint<'a, f32>,
    panels: Range<usize>,
    tiles: Range<usize>,
    unpacks: bool,
}

impl Piece<'_> {
    fn run(&self) {
        if self.unpacks {
            self.run_unpacked();
        } else {
            self.run_packed();
        }
    }

    fn run_packed(&self) {
        let mut sums: TileSums = [[0.0; LANES]; TILE_TOKENS];
        for panel in self.panels.clone() {
            for tile in self.tiles.clone() {
                self.prefetch(panel, tile);
                let sums = &mut sums[..self.input.tile_width(tile)];
                sums.fill([0.0; LANES]);
                with_panel!(
                    self.weights.panel(panel),
                    floats(weights) => {
                        dispatch!(self.isa, tiles::floats(weights, self.input.tile_floats(tile), sums));
                    },
                    pairs(weights) => {
                        dispatch!(self.isa, tiles::pairs(weights, self.input.tile_pairs(tile), sums));
                    },
                    quantised(weights) => {
                        dispatch!(self.isa, tiles::blocks(weights, self.input.tile_blocks(tile), sums));
                    },
                );
                self.store(panel, tile, sums);
            }
        }
    }

    fn run_unpacked(&self) {
        let mut buffer = UnpackedBuffer::new();
        let mut sums = [[[[0.0; LANES]; TILE_TOKENS]; MOST_TILES]; MOST_PANELS];
        let blocks = self.weights.depth() / BLOCK_LEN;
        for start in (0..blocks).step_by(UNPACKED_BLOCKS) {
            let part = start..blocks.min(start + UNPACKED_BLOCKS);
            for (panel, sums) in self.panels.clone().zip(&mut sums) {
                with_panel!(
                    self.weights.panel(panel),
                    floats(_weights) => unreachable!("float weights have nothing to unpack"),
                    pairs(_weights) => unreachable!("nor have those in pairs"),
                    quantised(weights) => self.add_part(weights, &part, &mut buffer, sums),
                );
            }
        }
        for (panel, sums) in self.panels.clone().zip(&sums) {
            self.tiles.clone().for_each(|tile| self.prefetch(panel, tile));
            for (tile, sums) in self.tiles.clone().zip(sums) {
                self.store(panel, tile, &sums[..self.input.tile_width(tile)]);
            }
        }
    }

    /// Adds the products of some blocks of a panel with every tile.
    fn add_part<F: Format>(
        &self,
        weights: Quantised<'_, F>,
        part: &Range<usize>,
        buffer: &mut UnpackedBuffer,
        sums: &mut [TileSums],
    ) {
        dispatch!(self.isa, tiles::unpack(weights.part(part.clone()), buffer));
        let weights = buffer.weights::<F>(part.len());
        for (tile, sums) in self.tiles.clone().zip(sums) {
            let width = self.input.tile_width(tile);
            let input = &self.input.tile_blocks(tile)[part.start * width..part.end * width];
            dispatch!(self.isa, tiles::blocks(weights, input, &mut sums[..width]));
        }
    }

    /// Each token's sixteen sums go to another page. Asked for before the work on the tile, the
    /// lines are there when it is done: this doubled the speed of wide prompts.
    fn prefetch(&self, panel: usize, tile: usize) {
        for token in 0..self.input.tile_width(tile) {
            self.output.prefetch(self.start_of(panel, tile, token));
        }
    }

    fn store(&self, panel: usize, tile: usize, sums: &[Lanes]) {
        let rows = LANES.min(self.weights.rows() - panel * LANES);
        for (token, sums) in sums.iter().enumerate() {
            let start = self.start_of(panel, tile, token);
            // SAFETY: pieces are different rows of different tokens.
            let place = unsafe { self.output.part(start..start + rows) };
            place.copy_from_slice(&sums[..rows]);
        }
    }

    /// Where the output of a token's first row of a panel is.
    fn start_of(&self, panel: usize, tile: usize, token: usize) -> usize {
        (tile * TILE_TOKENS + token) * self.weights.rows() + panel * LANES
    }
}

/// How a product is cut into pieces.
struct Split {
    panel_count: usize,
    tile_count: usize,
    piece_panels: usize,
    piece_tiles: usize,
    /// Whether pieces unpack weights before they multiply by them.
    unpacks: bool,
}

/// How much of the activations a piece of packed weights walks again for each panel of rows: a
/// small part of second-level caches of 512 KiB and more, so that weights streaming by leave it
/// there.
const PIECE_INPUT_BYTES: usize = 128 << 10;
/// How many products a piece has at most, unless one panel has more: 50 µs at 160 a nanosecond.
const PIECE_PRODUCTS: usize = 8 << 20;
/// How many bytes of weights a piece streams at most, unless one panel has more: 20 µs at 13 GB/s.
const PIECE_WEIGHT_BYTES: usize = 256 << 10;
/// How many tiles are multiplied by weights that were unpacked once.
const MOST_TILES: usize = 8;
/// How many panels use activations while they are in the second cache.
const MOST_PANELS: usize = 4;
/// The same for pieces of unpacked weights.
const UNPACKED_PRODUCTS: usize = 16 << 20;

/// Whether weights are unpacked for this many tokens, rather than multiplied as they come from
/// memory.
///
/// While weights are unpacked for several tiles nothing is multiplied, and while they are
/// multiplied nothing is read; so a single tile is faster without. Multiplied as they come, weights
/// are unpacked again for every tile, or for every strip of it. Where that is little work beside
/// the products, it is faster for any number of tokens: prompts in Q4_0 gained 13 % on AVX-512 (Zen
/// 5), in Q4_K 5 to 10 %, while Q6_K lost a little.
fn unpacks(isa: Isa, weights: &Matrix, tokens: usize) -> bool {
    let is_little_work = !isa.goes_in_strips() || isa.multiplies_in_pairs();
    let most_packed = match weights.unpacks_quickly() {
        true if is_little_work => usize::MAX,
        false if isa.goes_in_strips() => 2 * strips::MOST,
        _ => TILE_TOKENS,
    };
    weights.form() == Form::Blocks && tokens > most_packed
}

impl Split {
    fn of(isa: Isa, weights: &Matrix, input: &Input) -> Split {
        let tile_count = input.batch().div_ceil(TILE_TOKENS);
        let panel_count = weights.panel_count();
        let depth = weights.depth().max(1);
        let unpacks = unpacks(isa, weights, input.batch());
        let (piece_panels, piece_tiles) = match unpacks {
            true => Split::unpacked(depth, tile_count),
            false => Split::packed(weights, input, tile_count),
        };
        Split { panel_count, tile_count, piece_panels, piece_tiles, unpacks }
    }

    /// Panels and tiles of a piece whose weights are unpacked: fewer tiles where rows are deep, so
    /// that activations are still used by several panels.
    fn unpacked(depth: usize, tile_count: usize) -> (usize, usize) {
        let panels = |tiles: usize| UNPACKED_PRODUCTS / (tiles * TILE_TOKENS * depth * LANES);
        let mut tiles = MOST_TILES;
        while tiles > 2 && panels(tiles) < MOST_PANELS {
            tiles /= 2;
        }
        // As even as it goes, so that no piece is left with a single tile if it can be helped.
        let tiles = tile_count.div_ceil(tile_count.div_ceil(tiles));
        (panels(tiles).clamp(1, MOST_PANELS), tiles)
    }

    fn packed(weights: &Matrix, input: &Input, tile_count: usize) -> (usize, usize) {
        let depth = weights.depth().max(1);
        let value_bytes = match weights.form() {
            Form::Blocks => 1,
            Form::Pairs => 2,
            Form::Floats => 4,
        };
        let fitting_tiles = PIECE_INPUT_BYTES / (depth * value_bytes * TILE_TOKENS);
        let piece_tiles = fitting_tiles.clamp(1, tile_count.max(1));
        let piece_tokens = (piece_tiles * TILE_TOKENS).min(input.batch().max(1));
        let by_products = PIECE_PRODUCTS / (piece_tokens * depth * LANES);
        let by_bytes = PIECE_WEIGHT_BYTES / weights.panel_bytes().max(1);
        (by_products.min(by_bytes).max(1), piece_tiles)
    }

    fn pieces_per_tiles(&self) -> usize {
        self.panel_count.div_ceil(self.piece_panels)
    }

    fn pieces(&self) -> usize {
        self.tile_count.div_ceil(self.piece_tiles) * self.pieces_per_tiles()
    }

    /// Neighbouring pieces are neighbouring rows of the same tokens: activations stay in the cache.
    fn panels_of(&self, piece: usize) -> std::ops::Range<usize> {
        let start = piece % self.pieces_per_tiles() * self.piece_panels;
        start..self.panel_count.min(start + self.piece_panels)
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
    fn pieces_cover_every_tile_of_every_panel_once_and_stay_small() {
        let pool = Pool::new(Isa::scalar(), NonZeroUsize::MIN);
        for (rows, depth) in [(0, 32), (1, 32), (17, 64), (300, 4096), (5000, 256), (160, 9000)] {
            let read = |_: std::ops::Range<usize>, _: &mut [u8]| Ok::<(), Infallible>(());
            let kind = if depth % 32 == 0 { BlockType::Q4_0 } else { BlockType::F16 };
            let weights = Matrix::load(&pool, kind, rows, depth, &read).expect("a small matrix");
            for batch in [0, 1, 16, 17, 100, 333] {
                let mut input = Input::new(batch, depth);
                input.set(&pool, &vec![0.0; batch * depth], batch, depth);
                let split = Split::of(Isa::best(), &weights, &input);
                let mut counts = vec![0; split.panel_count * split.tile_count];
                for piece in 0..split.pieces() {
                    let (tiles, panels) = (split.tiles_of(piece), split.panels_of(piece));
                    let tokens: usize = tiles.clone().map(|tile| input.tile_width(tile)).sum();
                    let products = tokens * panels.len() * LANES * depth;
                    let is_one_panel = panels.len() == 1;
                    assert!(
                        products <= UNPACKED_PRODUCTS || is_one_panel,
                        "{rows} {depth} {batch}"
                    );
                    for (tile, panel) in tiles.flat_map(|t| panels.clone().map(move |g| (t, g))) {
                        counts[panel * split.tile_count + tile] += 1;
                    }
                }
                assert!(counts.iter().all(|&count| count == 1), "{rows} {depth} {batch}");
            }
        }
    }
}
