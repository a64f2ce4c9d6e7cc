//! Weights unpacked for many tokens: a byte for every code, a float for every scale.
//!
//! Unpacking costs as much as multiplying by one or two tokens. A prompt's tokens come in many tiles,
//! so a part of a group is unpacked once, small enough to stay in the first cache, and every tile is
//! multiplied by it. Sums are the same bit for bit: nothing is rounded here.

use std::marker::PhantomData;

use bytemuck::{Pod, Zeroable};

use super::format::{Bits, Format, Quantised, Scale};
use super::{Line, QUAD};
use crate::Lanes;
use crate::blocks::BlockType;
use crate::input_block::{BLOCK_LEN, InputBlock};

/// Codes of a block: a line for every four inputs.
pub(crate) type WideCodes = [Line; BLOCK_LEN / QUAD];

/// Scales of a block; of one group the second is not used.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct WideScales {
    pub(crate) scales: [Lanes; 2],
    pub(crate) minimums: [Lanes; 2],
}

/// A block, unpacked.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct WideUnit {
    pub(crate) codes: WideCodes,
    pub(crate) scales: WideScales,
}

/// How many blocks are unpacked at a time: 512 inputs, whole units of every format. Codes and scales
/// take 12 KiB and leave room for activations in a first cache of 32; with twice as many, prompts took
/// a fifth longer there.
pub(crate) const WIDE_BLOCKS: usize = 16;

/// Room for the unpacked blocks of a group.
#[repr(align(64))]
pub(crate) struct WideBuffer {
    pub(crate) units: [WideUnit; WIDE_BLOCKS],
}

impl WideBuffer {
    pub(crate) fn new() -> WideBuffer {
        WideBuffer { units: [WideUnit::zeroed(); WIDE_BLOCKS] }
    }

    /// The first `count` blocks, which hold weights of format `F`.
    pub(crate) fn weights<F: Format>(&self, count: usize) -> Quantised<'_, F::Wide> {
        const {
            assert!(F::MOST == <F::Wide as Format>::MOST && F::ZERO == <F::Wide as Format>::ZERO);
            assert!(F::GROUPS == <F::Wide as Format>::GROUPS);
            assert!(F::HAS_MINIMUMS == <F::Wide as Format>::HAS_MINIMUMS);
        }
        Quantised::of_units(bytemuck::cast_slice(&self.units[..count]))
    }
}

/// The unpacked form of a format.
#[derive(Clone, Copy)]
pub(crate) struct Wide<F>(PhantomData<F>);

impl<F: Format> Format for Wide<F> {
    type Codes = WideCodes;
    type Scales = WideScales;
    type Wide = Wide<F>;
    const KIND: BlockType = F::KIND;
    const BLOCKS: usize = 1;
    const GROUPS: usize = F::GROUPS;
    const HAS_MINIMUMS: bool = F::HAS_MINIMUMS;
    const LOW_BITS: u32 = 8;
    const MOST: i32 = F::MOST;
    const ZERO: i32 = F::ZERO;
    const STREAMS: bool = false;

    #[inline(always)]
    fn low(codes: &WideCodes, _block: usize, quad: usize) -> Bits<'_> {
        Bits { line: &codes[quad], shift: 0 }
    }

    #[inline(always)]
    fn scale(scales: &WideScales, _block: usize, group: usize) -> Scale<'_> {
        Scale::Float(&scales.scales[group])
    }

    #[inline(always)]
    fn minimum(scales: &WideScales, _block: usize, group: usize) -> Option<Scale<'_>> {
        F::HAS_MINIMUMS.then_some(Scale::Float(&scales.minimums[group]))
    }

    #[inline(always)]
    fn start(input: &InputBlock, group: usize) -> i32 {
        F::start(input, group)
    }

    fn pack(_: &[u8], _: usize, _: &mut WideCodes, _: &mut WideScales) {
        unreachable!("unpacked weights are made of packed ones")
    }
}
