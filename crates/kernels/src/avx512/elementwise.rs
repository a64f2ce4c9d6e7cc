//! Operations on one row, with masked tails.

use std::arch::x86_64::*;

use super::math::{exp, load_some, silu, store_some, sum_lanes};
use crate::lanes::LANES;
use crate::scalar::elementwise::rms_factor;
use crate::scalar::math::EXP_LEAST;

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let mut squares = _mm512_setzero_ps();
    for x in x.chunks(LANES) {
        let x = load_some(x);
        squares = _mm512_fmadd_ps(x, x, squares);
    }
    let factor = _mm512_set1_ps(rms_factor(sum_lanes(squares), x.len(), eps));
    for ((out, x), weight) in out.chunks_mut(LANES).zip(x.chunks(LANES)).zip(weight.chunks(LANES)) {
        store_some(out, _mm512_mul_ps(_mm512_mul_ps(load_some(x), factor), load_some(weight)));
    }
}

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.chunks_mut(LANES).zip(y.chunks(LANES)) {
        store_some(x, _mm512_add_ps(load_some(x), load_some(y)));
    }
}

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn swiglu(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.chunks_mut(LANES).zip(up.chunks(LANES)) {
        store_some(gate, _mm512_mul_ps(silu(load_some(gate)), load_some(up)));
    }
}

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn exp_weights(logits: &[f32], best: f32, temperature: f32, weights: &mut [f32]) {
    let (best, temperature) = (_mm512_set1_ps(best), _mm512_set1_ps(temperature));
    let least = _mm512_set1_ps(EXP_LEAST);
    for (weights, logits) in weights.chunks_mut(LANES).zip(logits.chunks(LANES)) {
        let x = _mm512_div_ps(_mm512_sub_ps(load_some(logits), best), temperature);
        let is_small = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, least);
        store_some(weights, _mm512_maskz_mov_ps(!is_small, exp(x)));
    }
}

#[target_feature(enable = "avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn rotate(first: &mut [f32], second: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let angles = cosines.chunks(LANES).zip(sines.chunks(LANES));
    let values = first.chunks_mut(LANES).zip(second.chunks_mut(LANES));
    for ((first, second), (cosines, sines)) in values.zip(angles) {
        let (x, y) = (load_some(first), load_some(second));
        let (cosines, sines) = (load_some(cosines), load_some(sines));
        store_some(first, _mm512_fmsub_ps(x, cosines, _mm512_mul_ps(y, sines)));
        store_some(second, _mm512_fmadd_ps(y, cosines, _mm512_mul_ps(x, sines)));
    }
}
