//! Pages of keys and values: blocks of 16 tokens, as attention reads them.
//!
//! For each layer, block and KV head there is one run of memory: the keys as
//! `[head_dim][16 tokens]` and then the values as `[16 tokens][head_dim]`, so that sixteen
//! positions (or dims) are sixteen lanes. A token's values are filled up with zeroes to a multiple
//! of 16 dims. 8-bit pages have the scales of the sixteen tokens behind them.

use bytemuck::{AnyBitPattern, Pod, Zeroable};
use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::lanes::LANES;
use crate::memory::{AllocError, Memory};

/// How many tokens a block holds.
pub const BLOCK_TOKENS: usize = LANES;

/// The largest head the kernels have room for.
pub const MAX_HEAD_DIM: usize = 256;

/// What keys and values are rounded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvType {
    /// 16-bit floats: half the memory, and what published engines use.
    F16,
    /// 32-bit floats: nothing is rounded.
    F32,
    /// 8-bit integers with a scale for each token and head: half the memory of `F16`.
    Q8_0,
}

impl KvType {
    /// Every type there is.
    pub const ALL: [KvType; 3] = [KvType::F16, KvType::F32, KvType::Q8_0];

    /// The name options use.
    pub const fn name(self) -> &'static str {
        match self {
            KvType::F16 => "f16",
            KvType::F32 => "f32",
            KvType::Q8_0 => "q8_0",
        }
    }

    /// The type of this name.
    pub fn named(name: &str) -> Option<KvType> {
        KvType::ALL.into_iter().find(|kv_type| kv_type.name() == name)
    }

    fn number_bytes(self) -> usize {
        match self {
            KvType::Q8_0 => 1,
            KvType::F16 => 2,
            KvType::F32 => 4,
        }
    }

    /// The bytes of a run's scales.
    fn scale_bytes(self) -> usize {
        match self {
            KvType::Q8_0 => size_of::<TokenScales>(),
            KvType::F16 | KvType::F32 => 0,
        }
    }
}

/// What pages are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvShape {
    /// Layers of the model.
    pub layers: usize,
    /// KV heads of a layer.
    pub kv_heads: usize,
    /// Values of a head: even, at most [`MAX_HEAD_DIM`].
    pub head_dim: usize,
    /// How many blocks there are in all.
    pub block_count: usize,
    /// What keys and values are rounded to.
    pub kv_type: KvType,
}

impl KvShape {
    /// The dims of a value, filled up to whole lanes.
    fn value_dim(&self) -> usize {
        self.head_dim.next_multiple_of(LANES)
    }

    /// The numbers of one layer, block and head.
    fn run_len(&self) -> usize {
        BLOCK_TOKENS * (self.head_dim + self.value_dim())
    }

    fn run_bytes(&self) -> usize {
        self.run_len() * self.kv_type.number_bytes() + self.kv_type.scale_bytes()
    }
}

/// The memory of the KV cache; who owns which block is not known here.
pub struct KvPages {
    shape: KvShape,
    /// [layer][block][head] runs
    runs: Memory,
}

/// The pages of one layer.
#[derive(Clone, Copy)]
pub struct KvLayer<'a> {
    pub(crate) pages: &'a KvPages,
    pub(crate) layer: usize,
}

/// The keys and values of 16 positions of one layer and KV head.
#[derive(Clone, Copy)]
pub(crate) struct KvBlock<'a, T> {
    /// [head_dim][16 positions]
    pub(crate) keys: &'a [[T; LANES]],
    /// [16 positions][dims / 16][16 dims]
    pub(crate) values: &'a [[T; LANES]],
    /// What the numbers are worth, where they are integers.
    pub(crate) scales: Option<&'a TokenScales>,
}

/// What a step of the integers of each of 16 tokens is worth.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct TokenScales {
    pub(crate) keys: [f16; BLOCK_TOKENS],
    pub(crate) values: [f16; BLOCK_TOKENS],
}

impl<T> KvBlock<'_, T> {
    /// A block of nothing.
    pub(crate) fn empty() -> Self {
        KvBlock { keys: &[], values: &[], scales: None }
    }
}

impl KvPages {
    /// How many bytes one block takes over all layers; `usize::MAX` if that does not fit in memory.
    pub fn block_bytes(shape: KvShape) -> usize {
        let runs = shape.layers.checked_mul(shape.kv_heads);
        runs.and_then(|runs| runs.checked_mul(shape.run_bytes())).unwrap_or(usize::MAX)
    }

    /// Reserves zeroed pages.
    ///
    /// Errors: no memory.
    /// Panics if `head_dim` is odd, zero, or above [`MAX_HEAD_DIM`].
    pub fn new(shape: KvShape) -> Result<KvPages, AllocError> {
        let head_dim = shape.head_dim;
        assert!(
            head_dim > 0 && head_dim <= MAX_HEAD_DIM && head_dim.is_multiple_of(2),
            "heads of {head_dim} values: even and at most {MAX_HEAD_DIM}"
        );
        let bytes = KvPages::block_bytes(shape).saturating_mul(shape.block_count);
        Ok(KvPages { shape, runs: Memory::zeroed(bytes)? })
    }

    /// What the pages were made for.
    pub fn shape(&self) -> KvShape {
        self.shape
    }

    /// The pages of one layer.
    ///
    /// Panics if there is no such layer.
    pub fn layer(&self, layer: usize) -> KvLayer<'_> {
        assert!(layer < self.shape.layers, "layer {layer} of {}", self.shape.layers);
        KvLayer { pages: self, layer }
    }

    /// Writes one token's keys and values at `slot` of `block` in `layer`, rounded to the KV type.
    ///
    /// Shapes: `k`, `v` [kv_heads * head_dim].
    /// Panics if a length disagrees with its shape or an index is out of range.
    pub fn write(&mut self, layer: usize, block: u32, slot: usize, k: &[f32], v: &[f32]) {
        let shape = self.shape;
        assert_eq!(k.len(), shape.kv_heads * shape.head_dim, "k is [kv_heads * head_dim]");
        assert_eq!(v.len(), k.len(), "v is [kv_heads * head_dim]");
        assert!(slot < BLOCK_TOKENS, "slot {slot} of a block of {BLOCK_TOKENS}");
        let heads = k.chunks_exact(shape.head_dim).zip(v.chunks_exact(shape.head_dim));
        for (head, (k, v)) in heads.enumerate() {
            let range = self.run_range(layer, block, head);
            let run = &mut self.runs[range];
            match shape.kv_type {
                KvType::F16 => {
                    let mut rounded = [f16::ZERO; 2 * MAX_HEAD_DIM];
                    let (k16, rest) = rounded.split_at_mut(k.len());
                    let v16 = &mut rest[..v.len()];
                    k16.convert_from_f32_slice(k);
                    v16.convert_from_f32_slice(v);
                    put(bytemuck::cast_slice_mut(run), &shape, slot, k16, v16);
                }
                KvType::F32 => put(bytemuck::cast_slice_mut(run), &shape, slot, k, v),
                KvType::Q8_0 => put_rounded(run, &shape, slot, k, v),
            }
        }
    }

    /// Copies a block's keys and values of all layers out.
    ///
    /// Shapes: `bytes` [`KvPages::block_bytes`].
    /// Panics if its length is another or there is no such block.
    pub fn read_block(&self, block: u32, bytes: &mut [u8]) {
        assert_eq!(bytes.len(), KvPages::block_bytes(self.shape), "the bytes of a block");
        let layer_bytes = bytes.len() / self.shape.layers;
        for (layer, bytes) in bytes.chunks_exact_mut(layer_bytes).enumerate() {
            bytes.copy_from_slice(&self.runs[self.layer_range(layer, block)]);
        }
    }

    /// Copies a block's keys and values of all layers in, as [`KvPages::read_block`] left them.
    ///
    /// Shapes: `bytes` [`KvPages::block_bytes`].
    /// Panics if its length is another or there is no such block.
    pub fn write_block(&mut self, block: u32, bytes: &[u8]) {
        assert_eq!(bytes.len(), KvPages::block_bytes(self.shape), "the bytes of a block");
        let layer_bytes = bytes.len() / self.shape.layers;
        for (layer, bytes) in bytes.chunks_exact(layer_bytes).enumerate() {
            let range = self.layer_range(layer, block);
            self.runs[range].copy_from_slice(bytes);
        }
    }

    /// The runs of all heads of one layer and block.
    fn layer_range(&self, layer: usize, block: u32) -> std::ops::Range<usize> {
        let start = self.run_range(layer, block, 0).start;
        start..start + self.shape.kv_heads * self.shape.run_bytes()
    }

    /// The run of one layer, block and head, whose numbers are `T`.
    pub(crate) fn block<T: AnyBitPattern>(
        &self,
        layer: usize,
        block: u32,
        head: usize,
    ) -> KvBlock<'_, T> {
        let kv_type = self.shape.kv_type;
        assert_eq!(size_of::<T>(), kv_type.number_bytes(), "the numbers of the KV type");
        let run = &self.runs[self.run_range(layer, block, head)];
        let (numbers, scales) = run.split_at(run.len() - kv_type.scale_bytes());
        let numbers: &[T] = bytemuck::cast_slice(numbers);
        let (keys, values) = numbers.split_at(self.shape.head_dim * BLOCK_TOKENS);
        let scales = (!scales.is_empty()).then(|| bytemuck::from_bytes(scales));
        KvBlock { keys: keys.as_chunks().0, values: values.as_chunks().0, scales }
    }

    fn run_range(&self, layer: usize, block: u32, head: usize) -> std::ops::Range<usize> {
        let shape = &self.shape;
        let block = block as usize;
        assert!(layer < shape.layers, "layer {layer} of {}", shape.layers);
        assert!(block < shape.block_count, "block {block} of {}", shape.block_count);
        assert!(head < shape.kv_heads, "head {head} of {}", shape.kv_heads);
        let run_bytes = shape.run_bytes();
        let start = ((layer * shape.block_count + block) * shape.kv_heads + head) * run_bytes;
        start..start + run_bytes
    }
}

/// Puts one token's key and value into a run.
fn put<T: Copy>(run: &mut [T], shape: &KvShape, slot: usize, k: &[T], v: &[T]) {
    let (keys, values) = run.split_at_mut(shape.head_dim * BLOCK_TOKENS);
    for (lanes, number) in keys.as_chunks_mut::<BLOCK_TOKENS>().0.iter_mut().zip(k) {
        lanes[slot] = *number;
    }
    values[slot * shape.value_dim()..][..v.len()].copy_from_slice(v);
}

/// Puts one token's key and value into a run of 8-bit integers.
fn put_rounded(run: &mut [u8], shape: &KvShape, slot: usize, k: &[f32], v: &[f32]) {
    let (numbers, scales) = run.split_at_mut(shape.run_len());
    let scales: &mut TokenScales = bytemuck::from_bytes_mut(scales);
    let (mut k8, mut v8) = ([0; MAX_HEAD_DIM], [0; MAX_HEAD_DIM]);
    let (k8, v8) = (&mut k8[..k.len()], &mut v8[..v.len()]);
    scales.keys[slot] = round_to_8_bits(k, k8);
    scales.values[slot] = round_to_8_bits(v, v8);
    put(bytemuck::cast_slice_mut(numbers), shape, slot, k8, v8);
}

/// Rounds to integers of at most ±127 and returns what one step of them is worth.
///
/// A value that is not a number makes the scale, and so every score, not a number.
fn round_to_8_bits(values: &[f32], rounded: &mut [i8]) -> f16 {
    let larger = |most: f32, value: &f32| match value.abs() {
        size if most.is_nan() || size <= most => most,
        size => size,
    };
    let scale = f16::from_f32(values.iter().fold(0.0, larger) / 127.0);
    if scale == f16::ZERO {
        rounded.fill(0);
        return scale;
    }
    let step = scale.to_f32();
    for (rounded, value) in rounded.iter_mut().zip(values) {
        // The scale is rounded too, so that the largest value can be a little above 127 steps.
        *rounded = (value / step).round_ties_even().clamp(-127.0, 127.0) as i8;
    }
    scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(kv_type: KvType) -> KvShape {
        KvShape { layers: 3, kv_heads: 2, head_dim: 6, block_count: 5, kv_type }
    }

    #[test]
    fn a_block_takes_its_keys_and_its_filled_up_values_in_every_layer() {
        let numbers = 3 * 2 * BLOCK_TOKENS * (6 + LANES);
        assert_eq!(KvPages::block_bytes(shape(KvType::F32)), numbers * 4);
        assert_eq!(KvPages::block_bytes(shape(KvType::F16)), numbers * 2);
        let scales = 3 * 2 * BLOCK_TOKENS * 2 * 2;
        assert_eq!(KvPages::block_bytes(shape(KvType::Q8_0)), numbers + scales);
    }

    #[test]
    fn a_token_is_written_where_it_belongs_and_nowhere_else() {
        let mut pages = KvPages::new(shape(KvType::F32)).expect("a few kilobytes");
        let k: Vec<f32> = (0..12).map(|i| 1.0 + i as f32).collect();
        let v: Vec<f32> = k.iter().map(|k| -k).collect();
        pages.write(1, 4, 9, &k, &v);
        for head in 0..2 {
            let block = pages.block::<f32>(1, 4, head);
            for dim in 0..6 {
                assert_eq!(block.keys[dim][9], k[head * 6 + dim]);
                assert_eq!(block.values[9][dim], v[head * 6 + dim]);
            }
        }
        let written = pages.runs.chunks_exact(4).filter(|number| **number != [0; 4]).count();
        assert_eq!(written, k.len() + v.len());
    }

    #[test]
    fn numbers_are_rounded_to_the_nearest_f16() {
        let mut pages = KvPages::new(shape(KvType::F16)).expect("a few kilobytes");
        // Half-way between two f16 numbers: ties go to the even one.
        pages.write(0, 0, 0, &[1.0 + 1.0 / 2048.0; 12], &[1.0 + 3.0 / 2048.0; 12]);
        let block = pages.block::<f16>(0, 0, 0);
        assert_eq!(block.keys[0][0].to_f32(), 1.0);
        assert_eq!(block.values[0][0].to_f32(), 1.0 + 2.0 / 1024.0);
    }

    #[test]
    fn eight_bit_numbers_are_within_half_a_step_of_their_own_tokens_scale() {
        let mut pages = KvPages::new(shape(KvType::Q8_0)).expect("a few kilobytes");
        let small: Vec<f32> = (0..12).map(|i| 0.01 * i as f32 - 0.05).collect();
        let large: Vec<f32> = small.iter().map(|value| 12_345.0 * value).collect();
        pages.write(2, 3, 0, &small, &large);
        pages.write(2, 3, 1, &large, &small);
        for (slot, k, v) in [(0, &small, &large), (1, &large, &small)] {
            for index in 0..12 {
                let block = pages.block::<i8>(2, 3, index / 6);
                let scales = block.scales.expect("8-bit pages have scales");
                let (key_step, value_step) =
                    (scales.keys[slot].to_f32(), scales.values[slot].to_f32());
                let key = f32::from(block.keys[index % 6][slot]) * key_step;
                let value = f32::from(block.values[slot][index % 6]) * value_step;
                assert!((key - k[index]).abs() <= 0.51 * key_step, "{key} for {}", k[index]);
                assert!((value - v[index]).abs() <= 0.51 * value_step, "{value} for {}", v[index]);
            }
        }
    }

    #[test]
    fn what_is_not_a_number_is_not_hidden_and_nothing_is_nothing() {
        let mut rounded = [1; 3];
        assert!(round_to_8_bits(&[1.0, f32::NAN, 2.0], &mut rounded).is_nan());
        assert!(round_to_8_bits(&[1.0, f32::INFINITY, 2.0], &mut rounded).is_infinite());
        assert_eq!(round_to_8_bits(&[0.0, -1e-9, 0.0], &mut rounded), f16::ZERO);
        assert_eq!(rounded, [0; 3]);
    }

    #[test]
    fn pages_beyond_all_memory_are_an_error() {
        let huge = KvShape { block_count: usize::MAX / 2, ..shape(KvType::F16) };
        assert!(KvPages::new(huge).is_err());
        let layers = KvShape { layers: usize::MAX, ..shape(KvType::F16) };
        assert!(KvPages::new(layers).is_err());
    }

    #[test]
    #[should_panic(expected = "block 5 of 5")]
    fn a_block_that_does_not_exist_is_a_bug() {
        let mut pages = KvPages::new(shape(KvType::F16)).expect("a few kilobytes");
        pages.write(0, 5, 0, &[0.0; 12], &[0.0; 12]);
    }
}
