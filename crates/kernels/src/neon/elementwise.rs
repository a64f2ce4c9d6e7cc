//! Operations on one row; tails go through a zeroed register's worth of memory.

use std::arch::aarch64::*;

use super::math::{PART, PARTS, exp, load_some, silu, store_some, sum_lanes};
use crate::lanes::LANES;
use crate::scalar::elementwise::rms_factor;
use crate::scalar::math::EXP_LEAST;

#[target_feature(enable = "neon,dotprod")]
pub(crate) fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let mut squares = [vdupq_n_f32(0.0); PARTS];
    for x in x.chunks(LANES) {
        for (squares, x) in squares.iter_mut().zip(x.chunks(PART)) {
            let x = load_some(x);
            *squares = vfmaq_f32(*squares, x, x);
        }
    }
    let factor = vdupq_n_f32(rms_factor(sum_lanes(squares), x.len(), eps));
    for ((out, x), weight) in out.chunks_mut(PART).zip(x.chunks(PART)).zip(weight.chunks(PART)) {
        store_some(out, vmulq_f32(vmulq_f32(load_some(x), factor), load_some(weight)));
    }
}

#[target_feature(enable = "neon,dotprod")]
pub(crate) fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.chunks_mut(PART).zip(y.chunks(PART)) {
        store_some(x, vaddq_f32(load_some(x), load_some(y)));
    }
}

#[target_feature(enable = "neon,dotprod")]
pub(crate) fn swiglu(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.chunks_mut(PART).zip(up.chunks(PART)) {
        store_some(gate, vmulq_f32(silu(load_some(gate)), load_some(up)));
    }
}

#[target_feature(enable = "neon,dotprod")]
pub(crate) fn exp_weights(logits: &[f32], best: f32, temperature: f32, weights: &mut [f32]) {
    let (best, temperature) = (vdupq_n_f32(best), vdupq_n_f32(temperature));
    for (weights, logits) in weights.chunks_mut(PART).zip(logits.chunks(PART)) {
        let x = vdivq_f32(vsubq_f32(load_some(logits), best), temperature);
        let is_small = vcltq_f32(x, vdupq_n_f32(EXP_LEAST));
        let weight = vbicq_u32(vreinterpretq_u32_f32(exp(x)), is_small);
        store_some(weights, vreinterpretq_f32_u32(weight));
    }
}

#[target_feature(enable = "neon,dotprod")]
pub(crate) fn rotate(first: &mut [f32], second: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let angles = cosines.chunks(PART).zip(sines.chunks(PART));
    let values = first.chunks_mut(PART).zip(second.chunks_mut(PART));
    for ((first, second), (cosines, sines)) in values.zip(angles) {
        let (x, y) = (load_some(first), load_some(second));
        let (cosines, sines) = (load_some(cosines), load_some(sines));
        store_some(first, vfmaq_f32(vnegq_f32(vmulq_f32(y, sines)), x, cosines));
        store_some(second, vfmaq_f32(vmulq_f32(x, sines), y, cosines));
    }
}
