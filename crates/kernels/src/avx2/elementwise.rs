//! Operations on one row; tails go through a zeroed register's worth of memory.

use std::arch::x86_64::*;

use super::math::{HALF, exp, load_some, silu, store_some, sum_lanes};
use crate::lanes::LANES;
use crate::scalar::elementwise::rms_factor;
use crate::scalar::math::EXP_LEAST;

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let mut squares = [_mm256_setzero_ps(); 2];
    for x in x.chunks(LANES) {
        for (squares, x) in squares.iter_mut().zip(x.chunks(HALF)) {
            let x = load_some(x);
            *squares = _mm256_fmadd_ps(x, x, *squares);
        }
    }
    let factor = _mm256_set1_ps(rms_factor(sum_lanes(squares), x.len(), eps));
    for ((out, x), weight) in out.chunks_mut(HALF).zip(x.chunks(HALF)).zip(weight.chunks(HALF)) {
        store_some(out, _mm256_mul_ps(_mm256_mul_ps(load_some(x), factor), load_some(weight)));
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.chunks_mut(HALF).zip(y.chunks(HALF)) {
        store_some(x, _mm256_add_ps(load_some(x), load_some(y)));
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn swiglu(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.chunks_mut(HALF).zip(up.chunks(HALF)) {
        store_some(gate, _mm256_mul_ps(silu(load_some(gate)), load_some(up)));
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn exp_weights(logits: &[f32], best: f32, temperature: f32, weights: &mut [f32]) {
    let (best, temperature) = (_mm256_set1_ps(best), _mm256_set1_ps(temperature));
    let least = _mm256_set1_ps(EXP_LEAST);
    for (weights, logits) in weights.chunks_mut(HALF).zip(logits.chunks(HALF)) {
        let x = _mm256_div_ps(_mm256_sub_ps(load_some(logits), best), temperature);
        let is_small = _mm256_cmp_ps::<_CMP_LT_OQ>(x, least);
        store_some(weights, _mm256_andnot_ps(is_small, exp(x)));
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn rotate(first: &mut [f32], second: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let angles = cosines.chunks(HALF).zip(sines.chunks(HALF));
    let values = first.chunks_mut(HALF).zip(second.chunks_mut(HALF));
    for ((first, second), (cosines, sines)) in values.zip(angles) {
        let (x, y) = (load_some(first), load_some(second));
        let (cosines, sines) = (load_some(cosines), load_some(sines));
        store_some(first, _mm256_fmsub_ps(x, cosines, _mm256_mul_ps(y, sines)));
        store_some(second, _mm256_fmadd_ps(y, cosines, _mm256_mul_ps(x, sines)));
    }
}
