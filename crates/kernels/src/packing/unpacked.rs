//! Weights unpacked for many tokens: a byte for every code, a float for every scale.
//!
//! Unpacking costs as much as multiplying by one or two tokens. A prompt's tokens come in many
//! tiles, so a part of a panel is unpacked once, small enough to stay in the first cache, and every
//! tile is multiplied by it. Sums are the same bit for bit: nothing is rounded here.

use std::marker::PhantomData;

use bytemuck::{Pod, Zeroable};

use super::format::{Bits, Format, Quantised, Scale};
use super::{Line, QUAD};
use crate::blocks::BlockType;
use crate::input_block::{BLOCK_LEN, InputBlock};
use crate::lanes::Lanes;

/// Codes of a block: a line for every four inputs.
pub(crate) type UnpackedCodes = [Line; BLOCK_LEN / QUAD];

/// Scales of a block; where it has one scale, the second is not used.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct UnpackedScales {
    pub(crate) scales: [Lanes; 2],
    pub(crate) minimums: [Lanes; 2],
}

/// A block, unpacked.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct UnpackedUnit {
    pub(crate) codes: UnpackedCodes,
    pub(crate) scales: UnpackedScales,
}

/// How many blocks are unpacked at a time: 512 inputs, whole units of every format. Codes and
/// scales take 12 KiB and leave room for activations in a first cache of 32; with twice as many,
/// prompts took a fifth longer there.
pub(crate) const UNPACKED_BLOCKS: usize = 16;

/// Room for the unpacked blocks of a panel.
#[repr(align(64))]
pub(crate) struct UnpackedBuffer {
    pub(crate) units: [UnpackedUnit; UNPACKED_BLOCKS],
}

impl UnpackedBuffer {
    pub(crate) fn new() -> UnpackedBuffer {
        UnpackedBuffer { units: [UnpackedUnit::zeroed(); UNPACKED_BLOCKS] }
    }

    /// The first `count` blocks, which hold weights of format `F`.
    pub(crate) fn weights<F: Format>(&self, count: usize) -> Quantised<'_, F::Unpacked> {
        const {
            assert!(
                F::MOST == <F::Unpacked as Format>::MOST
                    && F::ZERO == <F::Unpacked as Format>::ZERO
            );
            assert!(F::SCALES_PER_BLOCK == <F::Unpacked as Format>::SCALES_PER_BLOCK);
            assert!(F::HAS_MINIMUMS == <F::Unpacked as Format>::HAS_MINIMUMS);
        }
        Quantised::of_units(bytemuck::cast_slice(&self.units[..count]))
    }
}

/// The unpacked form of a format.
#[derive(Clone, Copy)]
pub(crate) struct Unpacked<F>(PhantomData<F>);

impl<F: Format> Format for Unpacked<F> {
    type Codes = UnpackedCodes;
    type Scales = UnpackedScales;
    type Unpacked = Unpacked<F>;
    const KIND: BlockType = F::KIND;
    const BLOCKS: usize = 1;
    const SCALES_PER_BLOCK: usize = F::SCALES_PER_BLOCK;
    const HAS_MINIMUMS: bool = F::HAS_MINIMUMS;
    const LOW_BITS: u32 = 8;
    const MOST: i32 = F::MOST;
    const ZERO: i32 = F::ZERO;
    const STREAMS: bool = false;

    #[inline(always)]
    fn low(codes: &UnpackedCodes, _block: usize, quad: usize) -> Bits<'_> {
        Bits { line: &codes[quad], shift: 0 }
    }

    #[inline(always)]
    fn scale(scales: &UnpackedScales, _block: usize, group: usize) -> Scale<'_> {
        Scale::Float(&scales.scales[group])
    }

    #[inline(always)]
    fn minimum(scales: &UnpackedScales, _block: usize, group: usize) -> Option<Scale<'_>> {
        F::HAS_MINIMUMS.then_some(Scale::Float(&scales.minimums[group]))
    }

    #[inline(always)]
    fn start(input: &InputBlock, group: usize) -> i32 {
        F::start(input, group)
    }

    fn pack(_: &[u8], _: usize, _: &mut UnpackedCodes, _: &mut UnpackedScales) {
        unreachable!("unpacked weights are made of packed ones")
    }
}
