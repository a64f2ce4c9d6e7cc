//! Attention of query rows over the pages of their sequences.
//!
//! Softmax goes in pieces of 256 positions counted from 0, combined in order, whether a row comes
//! alone or in a prompt; a row's result therefore depends on the keys and values it sees and on
//! nothing else. Within a piece: a score is the sum over the dims in order; the weights are
//! `exp(score - the piece's maximum)`, added in sixteen partial sums by position; an output dim is
//! the sum over the positions in order.
//!
//! A unit of work is one KV head and some rows of one span: all their query heads share each read
//! of the keys and values.

use half::f16;

use crate::LANES;
use crate::disjoint::Disjoint;
use crate::isa::{Isa, dispatch};
use crate::kv::{BLOCK_TOKENS, KvBlock, KvPages, KvType, MAX_HEAD_DIM};
use crate::numbers::Number;
use crate::pool::Pool;
use crate::scalar::math::exp;

/// Consecutive rows of one sequence that attend to it, causally.
#[derive(Clone, Copy, Debug)]
pub struct Attend<'a> {
    /// The sequence's blocks, from position 0 on, up to the last row's at least.
    pub blocks: &'a [u32],
    /// The position of the first row.
    pub first_position: usize,
    /// How many rows follow each other.
    pub rows: usize,
}

/// How many positions a piece of softmax has.
pub(crate) const PIECE_POSITIONS: usize = 256;
/// The blocks of a piece.
const PIECE_BLOCKS: usize = PIECE_POSITIONS / BLOCK_TOKENS;
/// How many queries share a read of keys and values at most: as many accumulators stay in
/// registers on the widest instruction set.
pub(crate) const TILE_QUERIES: usize = 16;

/// Scores of one query, then its weights, by position of the piece.
pub(crate) type PieceWeights = [f32; PIECE_POSITIONS];
/// One number for each dim of a head, filled up with zeroes.
pub(crate) type HeadValues = [f32; MAX_HEAD_DIM];

/// Computes attention of every row over the positions up to its own.
///
/// Shapes: `q`, `out` [rows of all spans, heads * head_dim]; the head count is a multiple of the
/// KV head count, and neighbouring heads share a KV head.
/// Scores are multiplied by 1 / sqrt(head_dim).
/// Panics if a length disagrees with its shape or a span's blocks do not hold its positions.
pub fn attend(
    pool: &Pool,
    pages: &KvPages,
    layer: usize,
    q: &[f32],
    spans: &[Attend<'_>],
    out: &mut [f32],
) {
    assert_eq!(q.len(), out.len(), "q and out have one shape");
    let rows: usize = spans.iter().map(|span| span.rows).sum();
    if rows == 0 {
        assert!(q.is_empty(), "no rows without spans");
        return;
    }
    for span in spans {
        let positions = span.first_position + span.rows;
        assert!(span.blocks.len() * BLOCK_TOKENS >= positions, "blocks for {positions} positions");
    }
    let heads = Heads::of(pages, q.len(), rows);
    let units: usize = spans.iter().map(|span| heads.units(span)).sum();
    let out = Disjoint::new(out);
    pool.run(units, &|unit| {
        let (span, first_row, unit) = heads.find(spans, unit);
        let tile = heads.tile(span, first_row, unit);
        match pages.shape().kv_type {
            KvType::F16 => tile.run::<f16>(pool.isa(), pages, layer, q, &out),
            KvType::F32 => tile.run::<f32>(pool.isa(), pages, layer, q, &out),
        }
    });
}

/// How query heads share KV heads, and how many of them go together.
struct Heads {
    head_dim: usize,
    heads: usize,
    kv_heads: usize,
    /// Query heads of one KV head that go together.
    tile_heads: usize,
    /// Rows that go together.
    tile_rows: usize,
}

impl Heads {
    fn of(pages: &KvPages, len: usize, rows: usize) -> Heads {
        let shape = pages.shape();
        let width = len / rows;
        assert_eq!(len, width * rows, "q is whole rows");
        let heads = width / shape.head_dim;
        assert_eq!(width, heads * shape.head_dim, "q is whole heads");
        assert!(heads > 0 && heads.is_multiple_of(shape.kv_heads), "whole groups of heads");
        let tile_heads = (heads / shape.kv_heads).min(TILE_QUERIES);
        let tile_rows = TILE_QUERIES / tile_heads;
        Heads { head_dim: shape.head_dim, heads, kv_heads: shape.kv_heads, tile_heads, tile_rows }
    }

    /// Query heads of one KV head.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Units of work in one tile of rows.
    fn units_per_rows(&self) -> usize {
        self.kv_heads * self.group().div_ceil(self.tile_heads)
    }

    fn units(&self, span: &Attend<'_>) -> usize {
        span.rows.div_ceil(self.tile_rows) * self.units_per_rows()
    }

    /// Which span a unit belongs to, that span's first row in the batch, and the unit within it.
    fn find<'a, 's>(
        &self,
        spans: &'s [Attend<'a>],
        mut unit: usize,
    ) -> (&'s Attend<'a>, usize, usize) {
        let mut first_row = 0;
        for span in spans {
            let units = self.units(span);
            if unit < units {
                return (span, first_row, unit);
            }
            unit -= units;
            first_row += span.rows;
        }
        unreachable!("a unit beyond the last span")
    }

    fn tile<'a>(&self, span: &'a Attend<'a>, span_row: usize, unit: usize) -> Tile<'a> {
        let row = unit / self.units_per_rows() * self.tile_rows;
        let unit = unit % self.units_per_rows();
        let kv_head = unit % self.kv_heads;
        let first_head = unit / self.kv_heads * self.tile_heads;
        Tile {
            blocks: span.blocks,
            first_position: span.first_position + row,
            first_row: span_row + row,
            rows: self.tile_rows.min(span.rows - row),
            kv_head,
            first_head: kv_head * self.group() + first_head,
            heads: self.tile_heads.min(self.group() - first_head),
            head_dim: self.head_dim,
            width: self.heads * self.head_dim,
        }
    }
}

/// What softmax over some positions knows besides the weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PieceSoftmax {
    /// The largest score.
    pub(crate) maximum: f32,
    /// The sum of `exp(score - maximum)`.
    pub(crate) sum: f32,
}

impl Default for PieceSoftmax {
    /// Softmax over no positions.
    fn default() -> PieceSoftmax {
        PieceSoftmax { maximum: f32::NEG_INFINITY, sum: 0.0 }
    }
}

impl PieceSoftmax {
    /// Adds the next piece's sums to those so far, both brought to the larger maximum.
    fn combine(&mut self, isa: Isa, next: PieceSoftmax, total: &mut [f32], piece: &[f32]) {
        // The same choice as in `softmax`, so that a maximum that is not a number is passed over.
        let maximum = if next.maximum > self.maximum { next.maximum } else { self.maximum };
        let old_factor = exp(self.maximum - maximum);
        let new_factor = exp(next.maximum - maximum);
        self.maximum = maximum;
        self.sum = next.sum.mul_add(new_factor, self.sum * old_factor);
        dispatch!(isa, attention::combine(total, old_factor, piece, new_factor));
    }
}

/// One unit of work: some rows of one sequence, some query heads of one KV head.
struct Tile<'a> {
    blocks: &'a [u32],
    first_position: usize,
    first_row: usize,
    rows: usize,
    kv_head: usize,
    first_head: usize,
    heads: usize,
    head_dim: usize,
    /// Values of a row of q.
    width: usize,
}

/// Numbers of a unit of work in progress.
struct Scratch {
    /// [head_dim][queries]
    queries: [f32; MAX_HEAD_DIM * TILE_QUERIES],
    weights: [PieceWeights; TILE_QUERIES],
    piece: [HeadValues; TILE_QUERIES],
    total: [HeadValues; TILE_QUERIES],
    softmax: [PieceSoftmax; TILE_QUERIES],
}

impl Tile<'_> {
    fn run<T: Number>(
        &self,
        isa: Isa,
        pages: &KvPages,
        layer: usize,
        q: &[f32],
        out: &Disjoint<'_, f32>,
    ) {
        let mut scratch = Scratch {
            queries: [0.0; MAX_HEAD_DIM * TILE_QUERIES],
            weights: [[0.0; PIECE_POSITIONS]; TILE_QUERIES],
            piece: [[0.0; MAX_HEAD_DIM]; TILE_QUERIES],
            total: [[0.0; MAX_HEAD_DIM]; TILE_QUERIES],
            softmax: [PieceSoftmax::default(); TILE_QUERIES],
        };
        self.gather(q, &mut scratch);
        for start in (0..self.first_position + self.rows).step_by(PIECE_POSITIONS) {
            let positions = PIECE_POSITIONS.min(self.first_position + self.rows - start);
            let ids = &self.blocks[start / BLOCK_TOKENS..][..positions.div_ceil(BLOCK_TOKENS)];
            let mut blocks = [KvBlock::<T> { keys: &[], values: &[] }; PIECE_BLOCKS];
            for (block, id) in blocks.iter_mut().zip(ids) {
                *block = pages.block(layer, *id, self.kv_head);
            }
            self.run_piece(isa, &blocks[..ids.len()], start, &mut scratch);
        }
        self.finish(&scratch, out);
    }

    fn queries(&self) -> usize {
        self.rows * self.heads
    }

    /// Where a query begins in q and out.
    fn query_start(&self, query: usize) -> usize {
        let row = self.first_row + query / self.heads;
        row * self.width + (self.first_head + query % self.heads) * self.head_dim
    }

    /// How many positions of the piece that begins at `start` a query sees.
    fn visible(&self, query: usize, start: usize) -> usize {
        let limit = self.first_position + query / self.heads + 1;
        limit.saturating_sub(start).min(PIECE_POSITIONS)
    }

    fn gather(&self, q: &[f32], scratch: &mut Scratch) {
        for query in 0..self.queries() {
            let values = &q[self.query_start(query)..][..self.head_dim];
            let places = scratch.queries[query..].iter_mut().step_by(self.queries());
            for (place, value) in places.zip(values) {
                *place = *value;
            }
        }
    }

    fn run_piece<T: Number>(
        &self,
        isa: Isa,
        blocks: &[KvBlock<'_, T>],
        start: usize,
        scratch: &mut Scratch,
    ) {
        let queries = self.queries();
        let weights = &mut scratch.weights[..queries];
        let pieces = &mut scratch.piece[..queries];
        let gathered = &scratch.queries[..self.head_dim * queries];
        dispatch!(isa, attention::scores(blocks, gathered, weights));

        let scale = 1.0 / (self.head_dim as f32).sqrt();
        let mut softmax = [PieceSoftmax::default(); TILE_QUERIES];
        for query in 0..queries {
            let seen = &mut weights[query][..self.visible(query, start)];
            softmax[query] = dispatch!(isa, attention::softmax(seen, scale));
        }

        let dims = self.head_dim.next_multiple_of(LANES);
        pieces.iter_mut().for_each(|values| values[..dims].fill(0.0));
        // Rows of a tile see different numbers of positions. What all of them see goes together,
        // the rest one by one, so that no sum touches a position its row must not see.
        let shared = self.visible(0, start);
        dispatch!(isa, attention::weigh(blocks, 0..shared, weights, pieces));
        for query in self.heads..queries {
            let rest = shared..self.visible(query, start);
            let (weights, pieces) = (&weights[query..=query], &mut pieces[query..=query]);
            dispatch!(isa, attention::weigh(blocks, rest, weights, pieces));
        }

        for query in 0..queries {
            if self.visible(query, start) > 0 {
                let total = &mut scratch.total[query][..dims];
                let piece = &pieces[query][..dims];
                scratch.softmax[query].combine(isa, softmax[query], total, piece);
            }
        }
    }

    fn finish(&self, scratch: &Scratch, out: &Disjoint<'_, f32>) {
        for query in 0..self.queries() {
            let start = self.query_start(query);
            // SAFETY: units are different heads of different rows.
            let place = unsafe { out.part(start..start + self.head_dim) };
            for (place, total) in place.iter_mut().zip(&scratch.total[query]) {
                *place = total / scratch.softmax[query].sum;
            }
        }
    }
}
