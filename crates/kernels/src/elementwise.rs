//! Operations on one row of activations at a time.

use crate::disjoint::Disjoint;
use crate::isa::{Isa, dispatch};
use crate::pool::Pool;

/// How many values a piece works on, unless one row has more: some ten microseconds.
const PIECE_VALUES: usize = 1 << 15;

/// Normalises every row by its root mean square: `out = x / sqrt(mean(x²) + eps) * weight`.
///
/// Shapes: `x`, `out` `[batch, width]`, `weight` `[width]`.
/// The squares are added in sixteen partial sums, value `i` to sum `i % 16`, which are then added
/// in halves.
/// Panics if a length disagrees with its shape.
/// Source: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.
pub fn rms_norm(pool: &Pool, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let width = weight.len();
    assert_eq!(x.len(), out.len(), "x and out have one shape");
    run_rows(pool, out, width, &|row, out| {
        let x = &x[row * width..][..width];
        dispatch!(pool.isa(), elementwise::rms_norm(x, weight, eps, out));
    });
}

/// Adds `y` to `x`.
///
/// Panics if the lengths differ.
pub fn add(pool: &Pool, x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len(), "x and y have one shape");
    run_runs(pool, x, &|start, x| {
        dispatch!(pool.isa(), elementwise::add(x, &y[start..start + x.len()]));
    });
}

/// Adds `bias` to every row of `x`.
///
/// Shapes: `x` `[batch, width]`, `bias` `[width]`.
/// Panics if `x` is not whole rows.
pub fn add_bias(pool: &Pool, x: &mut [f32], bias: &[f32]) {
    run_rows(pool, x, bias.len(), &|_, x| dispatch!(pool.isa(), elementwise::add(x, bias)));
}

/// Gates `up` by `gate`, in place: `gate = silu(gate) * up`, where `silu(x) = x / (1 + exp(-x))`.
///
/// Panics if the lengths differ.
/// Source: Shazeer, GLU Variants Improve Transformer, 2020.
pub fn swiglu(pool: &Pool, gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len(), "gate and up have one shape");
    run_runs(pool, gate, &|start, gate| {
        dispatch!(pool.isa(), elementwise::swiglu(gate, &up[start..start + gate.len()]));
    });
}

/// Computes the weight of each token from its logit: `exp((logit - best) / temperature)`. The
/// likeliest token has weight 1; weights below e⁻⁸⁷ become 0.
///
/// Runs on the calling thread: a vocabulary takes about ten microseconds.
/// Shapes: `logits`, `weights` `[vocabulary rows]`, all at most `best`; `temperature` is above 0.
/// Panics if the lengths differ.
pub fn exp_weights(isa: Isa, logits: &[f32], best: f32, temperature: f32, weights: &mut [f32]) {
    assert_eq!(logits.len(), weights.len(), "a weight for every logit");
    dispatch!(isa, elementwise::exp_weights(logits, best, temperature, weights));
}

/// Runs `work(row, values of the row)` for every row of `width` values.
pub(crate) fn run_rows(
    pool: &Pool,
    values: &mut [f32],
    width: usize,
    work: &(dyn Fn(usize, &mut [f32]) + Sync),
) {
    if values.is_empty() {
        return;
    }
    assert!(width > 0 && values.len().is_multiple_of(width), "whole rows of {width} values");
    let rows = values.len() / width;
    let piece_rows = (PIECE_VALUES / width).max(1);
    let values = Disjoint::new(values);
    pool.run(rows.div_ceil(piece_rows), &|piece| {
        for row in piece * piece_rows..rows.min((piece + 1) * piece_rows) {
            // SAFETY: pieces are different rows, and a piece has one in use at a time.
            work(row, unsafe { values.part(row * width..(row + 1) * width) });
        }
    });
}

/// Runs `work(start, values from there)` for runs of values that follow each other.
fn run_runs(pool: &Pool, values: &mut [f32], work: &(dyn Fn(usize, &mut [f32]) + Sync)) {
    let len = values.len();
    let values = Disjoint::new(values);
    pool.run(len.div_ceil(PIECE_VALUES), &|piece| {
        let start = piece * PIECE_VALUES;
        // SAFETY: pieces are different runs.
        work(start, unsafe { values.part(start..len.min(start + PIECE_VALUES)) });
    });
}
