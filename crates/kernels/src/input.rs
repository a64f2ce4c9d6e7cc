//! Activations prepared for matmul: once per batch, for all matrices that read it.
//!
//! Tokens go in tiles of 16. Within a tile the numbers lie in the order in which a kernel reads
//! them: by depth, then by token. There are three forms of the same activations: 8-bit blocks of 32
//! for quantised weights, 32-bit floats for float weights, and pairs of BF16 for weights in such
//! pairs.

use crate::disjoint::Disjoint;
use crate::input_block::{BLOCK_LEN, InputBlock};
use crate::input_order::InputOrder;
use crate::isa::dispatch;
use crate::matrix::Matrix;
use crate::numbers::Bf16Pair;
use crate::pool::Pool;

/// The most tokens a tile has.
pub(crate) const TILE_TOKENS: usize = 16;

/// A batch of activations, prepared for [`matmul`](crate::matmul()).
pub struct Input {
    max_batch: usize,
    max_depth: usize,
    batch: usize,
    depth: usize,
    forms: Forms,
    order: Option<InputOrder>,
    /// [tile][depth / 32][token of the tile]
    blocks: Vec<InputBlock>,
    /// [tile][depth][token of the tile]
    floats: Vec<f32>,
    /// [tile][depth / 2][token of the tile]
    pairs: Vec<Bf16Pair>,
}

/// A form of activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// 8-bit integers in blocks of 32.
    Blocks,
    /// 32-bit floats.
    Floats,
    /// BF16, two at a time.
    Pairs,
}

/// Which forms of the activations are prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Forms {
    blocks: bool,
    floats: bool,
    pairs: bool,
}

impl Forms {
    /// The forms for which `is_there` returns true.
    fn which(is_there: impl Fn(Form) -> bool) -> Forms {
        Forms {
            blocks: is_there(Form::Blocks),
            floats: is_there(Form::Floats),
            pairs: is_there(Form::Pairs),
        }
    }

    fn has(self, form: Form) -> bool {
        match form {
            Form::Blocks => self.blocks,
            Form::Floats => self.floats,
            Form::Pairs => self.pairs,
        }
    }
}

/// How many values one piece of [`Input::set`] prepares: a few microseconds, so that a few rows are
/// shared out too.
const PIECE_VALUES: usize = 1 << 13;

impl Input {
    /// Room for batches of up to `max_batch` tokens of up to `max_depth` activations.
    pub fn new(max_batch: usize, max_depth: usize) -> Input {
        let blocks = vec![InputBlock::default(); max_batch * (max_depth / BLOCK_LEN)];
        let floats = vec![0.0; max_batch * max_depth];
        // Few models have weights in pairs: untouched, this takes no memory.
        let pairs = bytemuck::zeroed_vec(max_batch * (max_depth / 2));
        let (forms, order) = (Forms::which(|_| false), None);
        Input { max_batch, max_depth, batch: 0, depth: 0, forms, order, blocks, floats, pairs }
    }

    /// How many bytes [`Input::new`] allocates.
    pub fn bytes(max_batch: usize, max_depth: usize) -> usize {
        let blocks = max_batch * (max_depth / BLOCK_LEN) * size_of::<InputBlock>();
        let pairs = max_batch * (max_depth / 2) * size_of::<Bf16Pair>();
        blocks + max_batch * max_depth * size_of::<f32>() + pairs
    }

    /// Prepares `x` for any weights without an [`InputOrder`], and replaces what was prepared
    /// before.
    ///
    /// Shapes: `x` [batch, depth].
    /// Panics if `x` has another length, or if the batch or the depth is beyond what
    /// [`Input::new`] made room for.
    pub fn set(&mut self, pool: &Pool, x: &[f32], batch: usize, depth: usize) {
        self.order = None;
        self.depth = depth;
        self.forms = Forms::which(|form| match form {
            Form::Blocks => depth.is_multiple_of(BLOCK_LEN),
            Form::Floats => true,
            Form::Pairs => depth.is_multiple_of(2),
        });
        self.prepare(pool, x, batch);
    }

    /// Prepares `x` for these weights only. This is quicker: float weights and quantised weights
    /// read different forms, and most models have one kind.
    ///
    /// Shapes: `x` [batch, depth of the weights].
    /// Panics as [`Input::set`] does, or if there are no weights or their depths or orders differ.
    pub fn set_for(&mut self, pool: &Pool, x: &[f32], batch: usize, weights: &[&Matrix]) {
        let first = weights.first().expect("something reads the input");
        let depth = first.depth();
        assert!(weights.iter().all(|weights| weights.depth() == depth), "weights of one depth");
        let in_order = |weights: &&Matrix| weights.order() == first.order();
        assert!(weights.iter().all(in_order), "weights of one order");
        self.order = first.order().cloned();
        self.depth = depth;
        self.forms = Forms::which(|form| weights.iter().any(|weights| weights.form() == form));
        self.prepare(pool, x, batch);
    }

    /// Whether the prepared form, depth and order are those that these weights read.
    pub fn suits(&self, weights: &Matrix) -> bool {
        self.forms.has(weights.form())
            && self.depth == weights.depth()
            && self.order() == weights.order()
    }

    /// Prepares `x` as `depth`, `forms` and `order` say.
    fn prepare(&mut self, pool: &Pool, x: &[f32], batch: usize) {
        let (depth, forms, order) = (self.depth, self.forms, self.order.as_ref());
        assert_eq!(x.len(), batch * depth, "x is [batch, depth]");
        assert!(batch <= self.max_batch && depth <= self.max_depth, "within the room made");
        self.batch = batch;
        let tile_tokens = TILE_TOKENS.min(batch.max(1));
        let piece_depth = (PIECE_VALUES / tile_tokens).next_multiple_of(BLOCK_LEN);
        let pieces_per_tile = depth.div_ceil(piece_depth);
        let blocks = Disjoint::new(&mut self.blocks);
        let floats = Disjoint::new(&mut self.floats);
        let pairs = Disjoint::new(&mut self.pairs);
        pool.run(batch.div_ceil(TILE_TOKENS) * pieces_per_tile, &|piece| {
            let first_token = piece / pieces_per_tile * TILE_TOKENS;
            let start = piece % pieces_per_tile * piece_depth;
            let part = Part {
                x: &x[first_token * depth..batch.min(first_token + TILE_TOKENS) * depth],
                depth,
                start,
                end: depth.min(start + piece_depth),
                places: order.map(InputOrder::places),
            };
            let from = first_token * depth + start * part.width();
            let to = first_token * depth + part.end * part.width();
            if forms.floats {
                // SAFETY: pieces are different depths of different tiles.
                part.lay_out(unsafe { floats.part(from..to) });
            }
            if forms.pairs {
                // SAFETY: as above; pieces begin and end at even depths.
                part.lay_out_pairs(unsafe { pairs.part(from / 2..to / 2) });
            }
            if forms.blocks {
                // SAFETY: as above; pieces begin and end where blocks do.
                part.quantise(pool, unsafe { blocks.part(from / BLOCK_LEN..to / BLOCK_LEN) });
            }
        });
    }

    /// How many tokens are prepared.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// How many activations each token has.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// In which order the activations of a token stand.
    pub(crate) fn order(&self) -> Option<&InputOrder> {
        self.order.as_ref()
    }

    /// How many tokens a tile has: 16, or what is left in the last one.
    pub(crate) fn tile_width(&self, tile: usize) -> usize {
        TILE_TOKENS.min(self.batch - tile * TILE_TOKENS)
    }

    /// A tile's blocks: [depth / 32][width].
    pub(crate) fn tile_blocks(&self, tile: usize) -> &[InputBlock] {
        assert!(self.forms.blocks, "the input was prepared for quantised weights");
        let tile_depth = self.depth / BLOCK_LEN;
        &self.blocks[tile * TILE_TOKENS * tile_depth..][..self.tile_width(tile) * tile_depth]
    }

    /// A tile's floats: [depth][width].
    pub(crate) fn tile_floats(&self, tile: usize) -> &[f32] {
        assert!(self.forms.floats, "the input was prepared for float weights");
        &self.floats[tile * TILE_TOKENS * self.depth..][..self.tile_width(tile) * self.depth]
    }

    /// A tile's pairs: [depth / 2][width].
    pub(crate) fn tile_pairs(&self, tile: usize) -> &[Bf16Pair] {
        assert!(self.forms.pairs, "the input was prepared for weights in pairs");
        let tile_depth = self.depth / 2;
        &self.pairs[tile * TILE_TOKENS * tile_depth..][..self.tile_width(tile) * tile_depth]
    }
}

/// Some depth of one tile, still as the caller gave it.
struct Part<'a> {
    /// [width, depth]
    x: &'a [f32],
    depth: usize,
    start: usize,
    end: usize,
    /// The input at each place, where they do not stand as they come.
    places: Option<&'a [u32]>,
}

/// How many blocks are put in order at a time.
const ORDERED_BLOCKS: usize = 16;

impl Part<'_> {
    fn width(&self) -> usize {
        self.x.len() / self.depth
    }

    fn token(&self, token: usize) -> &[f32] {
        &self.x[token * self.depth..][..self.depth]
    }

    /// The input that stands at a place.
    fn input_at(&self, place: usize) -> usize {
        self.places.map_or(place, |places| places[place] as usize)
    }

    fn lay_out(&self, floats: &mut [f32]) {
        for (place, values) in (self.start..).zip(floats.chunks_exact_mut(self.width())) {
            let input = self.input_at(place);
            for (token, value) in values.iter_mut().enumerate() {
                *value = self.x[token * self.depth + input];
            }
        }
    }

    fn lay_out_pairs(&self, pairs: &mut [Bf16Pair]) {
        let places = (self.start..self.end).step_by(2);
        for (place, pairs) in places.zip(pairs.chunks_exact_mut(self.width())) {
            let (first, second) = (self.input_at(place), self.input_at(place + 1));
            for (token, pair) in pairs.iter_mut().enumerate() {
                let x = self.token(token);
                *pair = Bf16Pair::rounded(x[first], x[second]);
            }
        }
    }

    fn quantise(&self, pool: &Pool, blocks: &mut [InputBlock]) {
        for token in 0..self.width() {
            let blocks = &mut blocks[token..];
            match self.places {
                None => {
                    let (values, _) = self.token(token)[self.start..self.end].as_chunks();
                    self.round(pool, values, blocks);
                }
                Some(places) => self.quantise_ordered(pool, token, places, blocks),
            }
        }
    }

    fn quantise_ordered(
        &self,
        pool: &Pool,
        token: usize,
        places: &[u32],
        blocks: &mut [InputBlock],
    ) {
        let x = self.token(token);
        let mut ordered = [[0.0; BLOCK_LEN]; ORDERED_BLOCKS];
        let (places, _) = places[self.start..self.end].as_chunks::<BLOCK_LEN>();
        for (index, places) in places.chunks(ORDERED_BLOCKS).enumerate() {
            for (values, places) in ordered.iter_mut().zip(places) {
                *values = places.map(|input| x[input as usize]);
            }
            let done = index * ORDERED_BLOCKS * self.width();
            self.round(pool, &ordered[..places.len()], &mut blocks[done..]);
        }
    }

    /// Rounds blocks of one token to 8 bits.
    fn round(&self, pool: &Pool, values: &[[f32; BLOCK_LEN]], blocks: &mut [InputBlock]) {
        dispatch!(pool.isa(), activations::quantise(values, blocks, self.width()));
    }
}
