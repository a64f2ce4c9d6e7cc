//! Operations on single rows: GB/s read and written.

mod support;

use banter_kernels::{
    BlockType, Input, Pool, Rope, add, add_bias, exp_weights, rms_norm, rope, swiglu,
};
use support::{is_asked_to_measure, numbers, pools, read_ceiling, report, seconds, weights};

/// A prompt's chunk of the 1.5B shape.
const BATCH: usize = 512;
const HIDDEN: usize = 1536;
const FEED_FORWARD: usize = 8960;
const HEAD_DIM: usize = 128;
const VOCABULARY: usize = 151_936;

fn main() {
    if !is_asked_to_measure() {
        return;
    }
    for pool in pools() {
        measure(&pool, read_ceiling(&pool));
    }
}

fn measure(pool: &Pool, memory: f64) {
    let values = BATCH * HIDDEN;
    let show = |what: &str, floats: usize, time: f64| {
        report(what, pool, (floats * 4) as f64 / time / 1e9, "GB/s    ", memory);
    };
    let (mut x, y, weight) = (numbers(values), numbers(values), numbers(HIDDEN));
    let mut out = vec![0.0; values];
    let time = seconds(|| rms_norm(pool, &x, &weight, 1e-6, &mut out));
    show("rms_norm", 2 * values, time);
    let time = seconds(|| add(pool, &mut x, &y));
    show("add", 3 * values, time);
    let time = seconds(|| add_bias(pool, &mut x, &weight));
    show("add_bias", 2 * values, time);

    let table = Rope::new(HEAD_DIM, 1e6, BATCH);
    let positions: Vec<u32> = (0..BATCH as u32).collect();
    let time = seconds(|| rope(pool, &table, &mut x, &positions));
    show("rope", 2 * values, time);

    let (mut gate, up) = (numbers(BATCH * FEED_FORWARD), numbers(BATCH * FEED_FORWARD));
    let time = seconds(|| swiglu(pool, &mut gate, &up));
    show("swiglu", 3 * gate.len(), time);

    let (logits, mut of_tokens) = (numbers(VOCABULARY), vec![0.0; VOCABULARY]);
    let time = seconds(|| exp_weights(pool.isa(), &logits, 1.0, 0.7, &mut of_tokens));
    show("exp_weights", 2 * VOCABULARY, time);

    let quantised = weights(pool, BlockType::Q8_0, 16, FEED_FORWARD);
    let mut input = Input::new(BATCH, FEED_FORWARD);
    let time = seconds(|| input.set_for(pool, &up, BATCH, &[&quantised]));
    show("Input::set_for (read)", up.len(), time);
}
