//! Pages of keys and values: blocks of 16 tokens, as attention reads them.
//!
//! For each layer, block and KV head there is one run of memory: the keys as `[head_dim][16 tokens]`
//! and then the values as `[16 tokens][head_dim]`, so that sixteen positions (or dims) are sixteen
//! lanes. A token's values are filled up with zeroes to a multiple of 16 dims.

use bytemuck::AnyBitPattern;
use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::LANES;
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
}

impl KvType {
    fn bytes(self) -> usize {
        match self {
            KvType::F16 => 2,
            KvType::F32 => 4,
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
}

/// The memory of the KV cache; who owns which block is not known here.
pub struct KvPages {
    shape: KvShape,
    /// [layer][block][head] runs
    runs: Memory,
}

/// The keys and values of 16 positions of one layer and KV head.
#[derive(Clone, Copy)]
pub(crate) struct KvBlock<'a, T> {
    /// [head_dim][16 positions]
    pub(crate) keys: &'a [[T; LANES]],
    /// [16 positions][dims / 16][16 dims]
    pub(crate) values: &'a [[T; LANES]],
}

impl KvPages {
    /// How many bytes one block takes over all layers; `usize::MAX` if that does not fit in memory.
    pub fn block_bytes(shape: KvShape) -> usize {
        let runs = shape.layers.checked_mul(shape.kv_heads);
        let run_bytes = shape.run_len() * shape.kv_type.bytes();
        runs.and_then(|runs| runs.checked_mul(run_bytes)).unwrap_or(usize::MAX)
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
            }
        }
    }

    /// The run of one layer, block and head, whose numbers are `T`.
    pub(crate) fn block<T: AnyBitPattern>(
        &self,
        layer: usize,
        block: u32,
        head: usize,
    ) -> KvBlock<'_, T> {
        assert_eq!(size_of::<T>(), self.shape.kv_type.bytes(), "the numbers of the KV type");
        let run: &[T] = bytemuck::cast_slice(&self.runs[self.run_range(layer, block, head)]);
        let (keys, values) = run.split_at(self.shape.head_dim * BLOCK_TOKENS);
        KvBlock { keys: keys.as_chunks().0, values: values.as_chunks().0 }
    }

    fn run_range(&self, layer: usize, block: u32, head: usize) -> std::ops::Range<usize> {
        let shape = &self.shape;
        let block = block as usize;
        assert!(layer < shape.layers, "layer {layer} of {}", shape.layers);
        assert!(block < shape.block_count, "block {block} of {}", shape.block_count);
        assert!(head < shape.kv_heads, "head {head} of {}", shape.kv_heads);
        let run_bytes = shape.run_len() * shape.kv_type.bytes();
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
