//! Operations on one row.

use super::math::{EXP_LEAST, exp, silu, sum_lanes};
use crate::lanes::LANES;

pub(crate) fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let mut squares = [0.0; LANES];
    for (index, value) in x.iter().enumerate() {
        let lane = index % LANES;
        squares[lane] = value.mul_add(*value, squares[lane]);
    }
    let factor = rms_factor(sum_lanes(squares), x.len(), eps);
    for ((out, value), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = value * factor * weight;
    }
}

/// What a row is multiplied by, from the sum of its squares.
pub(crate) fn rms_factor(sum: f32, width: usize, eps: f32) -> f32 {
    1.0 / (sum / width as f32 + eps).sqrt()
}

pub(crate) fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

pub(crate) fn swiglu(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = silu(*gate) * up;
    }
}

pub(crate) fn exp_weights(logits: &[f32], best: f32, temperature: f32, weights: &mut [f32]) {
    for (weight, logit) in weights.iter_mut().zip(logits) {
        let x = (logit - best) / temperature;
        *weight = if x < EXP_LEAST { 0.0 } else { exp(x) };
    }
}

pub(crate) fn rotate(first: &mut [f32], second: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let angles = cosines.iter().zip(sines);
    for ((first, second), (cosine, sine)) in first.iter_mut().zip(second).zip(angles) {
        let (x, y) = (*first, *second);
        *first = x.mul_add(*cosine, -(y * sine));
        *second = y.mul_add(*cosine, x * sine);
    }
}
