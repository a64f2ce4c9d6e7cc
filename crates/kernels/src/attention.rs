//! Attention of query rows over the pages of their sequences.
//!
//! Softmax goes in pieces of 256 positions counted from 0, combined in order, whether a row comes
//! alone or in a prompt. So a row's result depends on the keys and values it sees and on nothing
//! else. Within a piece:
//!
//! - a score is the sum over the dims, in order;
//! - a weight is `exp(score - the piece's maximum)`, or zero below e⁻⁴⁵;
//! - weights are added in sixteen partial sums by position;
//! - an output dim is the weighted sum of the values, over the positions in order.
//!
//! A unit of work is one KV head and some rows of one span: all their query heads share each read
//! of the keys and values. Where there are few units, as in a single row behind a long history, the
//! threads share the pieces of a unit, and the pieces are combined afterwards in the same order.
//!
//! In 8-bit blocks, a key's scale multiplies its score and a value's scale its weight.

use half::f16;

use crate::disjoint::Disjoint;
use crate::isa::{Isa, dispatch};
use crate::kv::{BLOCK_TOKENS, KvBlock, KvLayer, KvShape, KvType, MAX_HEAD_DIM, TokenScales};
use crate::lanes::LANES;
use crate::numbers::Number;
use crate::pool::Pool;
use crate::scalar::math::softmax_weight;

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
/// The most queries that share a read of keys and values: this many sums stay in registers on the
/// widest instruction set.
pub(crate) const TILE_QUERIES: usize = 16;

/// Scores of one query, then its weights, by position of the piece.
pub(crate) type PieceWeights = [f32; PIECE_POSITIONS];
/// One number for each dim of a head, filled up with zeroes.
pub(crate) type HeadValues = [f32; MAX_HEAD_DIM];

/// Room for pieces that several threads compute, until they are combined.
pub struct Workspace {
    pieces: Vec<PieceSums>,
}

/// The most pieces that wait to be combined; beyond that, there is work enough without splitting.
const MOST_WAITING_PIECES: usize = 1024;
/// With this many units for each thread, units are not split.
const ENOUGH_UNITS_PER_THREAD: usize = 4;

impl Workspace {
    /// Room for what a pool of `threads` computes of sequences of up to `context_tokens`.
    pub fn new(threads: usize, context_tokens: usize) -> Workspace {
        let pieces = Workspace::piece_count(threads, context_tokens);
        Workspace { pieces: vec![PieceSums::default(); pieces] }
    }

    /// The most bytes any [`Workspace::new`] allocates.
    pub const fn most_bytes() -> usize {
        MOST_WAITING_PIECES * size_of::<PieceSums>()
    }

    fn piece_count(threads: usize, context_tokens: usize) -> usize {
        let units = threads * ENOUGH_UNITS_PER_THREAD;
        let pieces = units.saturating_mul(context_tokens.div_ceil(PIECE_POSITIONS));
        if threads == 1 { 0 } else { pieces.min(MOST_WAITING_PIECES) }
    }
}

/// Computes attention of every row over the positions up to its own.
///
/// Shapes: `q`, `out` [rows of all spans, heads * head_dim]; the head count is a multiple of the
/// KV head count, and neighbouring heads share a KV head.
/// Scores are multiplied by 1 / sqrt(head_dim).
/// Panics if a length disagrees with its shape or a span's blocks do not hold its positions.
pub fn attend(
    pool: &Pool,
    kv: KvLayer<'_>,
    q: &[f32],
    spans: &[Attend<'_>],
    workspace: &mut Workspace,
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
    let shape = kv.pages.shape();
    let heads = Heads::of(&shape, q.len(), rows);
    let job = Job { isa: pool.isa(), kv, q, spans, heads };
    let out = Disjoint::new(out);
    match shape.kv_type {
        KvType::F16 => job.run::<f16>(pool, workspace, &out),
        KvType::F32 => job.run::<f32>(pool, workspace, &out),
        KvType::Q8_0 => job.run::<i8>(pool, workspace, &out),
    }
}

/// Everything that one call computes.
struct Job<'a> {
    isa: Isa,
    kv: KvLayer<'a>,
    q: &'a [f32],
    spans: &'a [Attend<'a>],
    heads: Heads,
}

impl Job<'_> {
    fn run<T: Number>(&self, pool: &Pool, workspace: &mut Workspace, out: &Disjoint<'_, f32>) {
        let units: usize = self.spans.iter().map(|span| self.heads.units(span)).sum();
        let pieces: usize = (0..units).map(|unit| self.tile(unit).pieces()).sum();
        let is_enough = units >= pool.threads() * ENOUGH_UNITS_PER_THREAD;
        if is_enough || pieces == units || pieces > workspace.pieces.len() {
            pool.run(units, &|unit| self.run_unit::<T>(&self.tile(unit), out));
        } else {
            self.run_split::<T>(pool, units, &mut workspace.pieces[..pieces], out);
        }
    }

    /// Computes a unit from its first piece to its last.
    fn run_unit<T: Number>(&self, tile: &Tile<'_>, out: &Disjoint<'_, f32>) {
        let mut queries = [0.0; MAX_HEAD_DIM * TILE_QUERIES];
        tile.gather(self.q, &mut queries);
        let (mut total, mut sums) = (PieceSums::default(), PieceSums::default());
        for piece in 0..tile.pieces() {
            tile.run_piece::<T>(self, piece, &queries, &mut sums);
            tile.combine(self.isa, piece, &sums, &mut total);
        }
        tile.finish(&total, out);
    }

    /// Computes every piece by itself, then combines those of each unit.
    fn run_split<T: Number>(
        &self,
        pool: &Pool,
        units: usize,
        waiting: &mut [PieceSums],
        out: &Disjoint<'_, f32>,
    ) {
        let count = waiting.len();
        let slots = Disjoint::new(&mut *waiting);
        pool.run(count, &|slot| {
            let (tile, piece) = self.find_piece(slot);
            let mut queries = [0.0; MAX_HEAD_DIM * TILE_QUERIES];
            tile.gather(self.q, &mut queries);
            // SAFETY: every piece has a slot of its own.
            let [sums] = (unsafe { slots.part(slot..slot + 1) }) else { unreachable!("one slot") };
            tile.run_piece::<T>(self, piece, &queries, sums);
        });
        let waiting = &*waiting;
        pool.run(units, &|unit| {
            let first: usize = (0..unit).map(|unit| self.tile(unit).pieces()).sum();
            let tile = self.tile(unit);
            let mut total = PieceSums::default();
            for piece in 0..tile.pieces() {
                tile.combine(self.isa, piece, &waiting[first + piece], &mut total);
            }
            tile.finish(&total, out);
        });
    }

    fn tile(&self, mut unit: usize) -> Tile<'_> {
        let mut first_row = 0;
        for span in self.spans {
            let units = self.heads.units(span);
            if unit < units {
                return self.heads.tile(span, first_row, unit);
            }
            unit -= units;
            first_row += span.rows;
        }
        unreachable!("a unit beyond the last span")
    }

    /// The unit that a piece of all pieces belongs to, and its place there. Units are few.
    fn find_piece(&self, mut piece: usize) -> (Tile<'_>, usize) {
        for unit in 0.. {
            let tile = self.tile(unit);
            if piece < tile.pieces() {
                return (tile, piece);
            }
            piece -= tile.pieces();
        }
        unreachable!("a piece beyond the last unit")
    }
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
    fn of(shape: &KvShape, len: usize, rows: usize) -> Heads {
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
    /// Adds the next piece's sums to the sums so far, after both are scaled to the larger maximum.
    fn combine(&mut self, isa: Isa, next: PieceSoftmax, total: &mut [f32], piece: &[f32]) {
        // The same choice as in `softmax`, so that a maximum that is not a number is passed over.
        let maximum = if next.maximum > self.maximum { next.maximum } else { self.maximum };
        let old_factor = softmax_weight(self.maximum - maximum);
        let new_factor = softmax_weight(next.maximum - maximum);
        self.maximum = maximum;
        self.sum = next.sum.mul_add(new_factor, self.sum * old_factor);
        dispatch!(isa, attention::combine(total, old_factor, piece, new_factor));
    }
}

/// What a piece, or all pieces so far, make of the queries of a unit.
#[derive(Clone)]
struct PieceSums {
    softmax: [PieceSoftmax; TILE_QUERIES],
    values: [HeadValues; TILE_QUERIES],
}

impl Default for PieceSums {
    /// Sums over no positions.
    fn default() -> PieceSums {
        PieceSums {
            softmax: [PieceSoftmax::default(); TILE_QUERIES],
            values: [[0.0; MAX_HEAD_DIM]; TILE_QUERIES],
        }
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

impl Tile<'_> {
    fn queries(&self) -> usize {
        self.rows * self.heads
    }

    /// The pieces that some of its rows see.
    fn pieces(&self) -> usize {
        (self.first_position + self.rows).div_ceil(PIECE_POSITIONS)
    }

    /// Where a query begins in q and out.
    fn query_start(&self, query: usize) -> usize {
        let row = self.first_row + query / self.heads;
        row * self.width + (self.first_head + query % self.heads) * self.head_dim
    }

    /// How many positions of a piece a query sees.
    fn visible(&self, query: usize, piece: usize) -> usize {
        let limit = self.first_position + query / self.heads + 1;
        limit.saturating_sub(piece * PIECE_POSITIONS).min(PIECE_POSITIONS)
    }

    /// Lays queries side by side: [head_dim][queries].
    fn gather(&self, q: &[f32], queries: &mut [f32]) {
        for query in 0..self.queries() {
            let values = &q[self.query_start(query)..][..self.head_dim];
            let places = queries[query..].iter_mut().step_by(self.queries());
            for (place, value) in places.zip(values) {
                *place = *value;
            }
        }
    }

    fn run_piece<T: Number>(
        &self,
        job: &Job<'_>,
        piece: usize,
        queries: &[f32],
        sums: &mut PieceSums,
    ) {
        let start = piece * PIECE_POSITIONS;
        let positions = PIECE_POSITIONS.min(self.first_position + self.rows - start);
        let ids = &self.blocks[start / BLOCK_TOKENS..][..positions.div_ceil(BLOCK_TOKENS)];
        let mut blocks = [KvBlock::<T>::empty(); PIECE_BLOCKS];
        for (block, id) in blocks.iter_mut().zip(ids) {
            *block = job.kv.pages.block(job.kv.layer, *id, self.kv_head);
        }
        self.run_blocks(job.isa, &blocks[..ids.len()], piece, queries, sums);
    }

    fn run_blocks<T: Number>(
        &self,
        isa: Isa,
        blocks: &[KvBlock<'_, T>],
        piece: usize,
        queries: &[f32],
        sums: &mut PieceSums,
    ) {
        let count = self.queries();
        let mut weights = [[0.0; PIECE_POSITIONS]; TILE_QUERIES];
        let weights = &mut weights[..count];
        dispatch!(isa, attention::scores(blocks, &queries[..self.head_dim * count], weights));
        scale_by(weights, blocks, |scales| &scales.keys);

        let scale = 1.0 / (self.head_dim as f32).sqrt();
        for (query, weights) in weights.iter_mut().enumerate() {
            let seen = &mut weights[..self.visible(query, piece)];
            sums.softmax[query] = dispatch!(isa, attention::softmax(seen, scale));
        }
        scale_by(weights, blocks, |scales| &scales.values);

        let dims = self.head_dim.next_multiple_of(LANES);
        let values = &mut sums.values[..count];
        values.iter_mut().for_each(|values| values[..dims].fill(0.0));
        // Rows of a tile see different numbers of positions. What all of them see goes together,
        // the rest one by one, so that no sum touches a position its row must not see.
        let shared = self.visible(0, piece);
        dispatch!(isa, attention::weighted_sum(blocks, 0..shared, weights, values));
        for query in self.heads..count {
            let rest = shared..self.visible(query, piece);
            let (weights, values) = (&weights[query..=query], &mut values[query..=query]);
            dispatch!(isa, attention::weighted_sum(blocks, rest, weights, values));
        }
    }

    /// Adds a piece's sums to those of the pieces before it.
    fn combine(&self, isa: Isa, piece: usize, sums: &PieceSums, total: &mut PieceSums) {
        let dims = self.head_dim.next_multiple_of(LANES);
        for query in 0..self.queries() {
            if self.visible(query, piece) > 0 {
                let (values, so_far) =
                    (&sums.values[query][..dims], &mut total.values[query][..dims]);
                total.softmax[query].combine(isa, sums.softmax[query], so_far, values);
            }
        }
    }

    fn finish(&self, total: &PieceSums, out: &Disjoint<'_, f32>) {
        for query in 0..self.queries() {
            let start = self.query_start(query);
            // SAFETY: units are different heads of different rows.
            let place = unsafe { out.part(start..start + self.head_dim) };
            for (place, value) in place.iter_mut().zip(&total.values[query]) {
                *place = value / total.softmax[query].sum;
            }
        }
    }
}

/// Multiplies each position's weight by a scale of its token, where pages have scales.
fn scale_by<T>(
    weights: &mut [PieceWeights],
    blocks: &[KvBlock<'_, T>],
    which: impl Fn(&TokenScales) -> &[f16; BLOCK_TOKENS],
) {
    for (index, block) in blocks.iter().enumerate() {
        let Some(scales) = block.scales else { return };
        let scales = which(scales).map(f16::to_f32);
        for weights in weights.iter_mut() {
            let (weights, _) = weights.as_chunks_mut::<BLOCK_TOKENS>();
            for (weight, scale) in weights[index].iter_mut().zip(scales) {
                *weight *= scale;
            }
        }
    }
}
