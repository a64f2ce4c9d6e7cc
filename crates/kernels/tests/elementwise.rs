//! Elementwise operations against plain arithmetic, and every instruction set against scalar.

mod support;

use std::num::NonZeroUsize;

use banter_kernels::{Isa, Pool, Rope, add, add_bias, exp_weights, rms_norm, rope, swiglu};
use support::{Random, assert_close, assert_same, every_pool, scalar_pool};

/// Widths around every register size, and a real one.
const WIDTHS: [usize; 14] = [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 100, 1536];
const BATCHES: [usize; 3] = [0, 1, 5];
const EPS: f32 = 1e-6;

/// Values of every size, and some that are not numbers.
fn wild_floats(random: &mut Random, count: usize) -> Vec<f32> {
    let mut wild = || match random.below(24) {
        0 => f32::NAN,
        1 => f32::INFINITY,
        2 => f32::NEG_INFINITY,
        3 => -0.0,
        4 => f32::MIN_POSITIVE / 8.0,
        5 => random.float() * 1e30,
        6 => random.float() * 100.0,
        _ => random.float(),
    };
    (0..count).map(|_| wild()).collect()
}

/// An operation with everything but the pool and `[batch, width]` numbers filled in.
struct Case {
    name: &'static str,
    run: fn(&Pool, width: usize, x: &[f32], y: &[f32]) -> Vec<f32>,
}

const CASES: [Case; 6] = [
    Case {
        name: "rms_norm",
        run: |pool, width, x, y| {
            let mut out = vec![f32::MIN; x.len()];
            let weight: Vec<f32> = y.iter().cycle().take(width).copied().collect();
            rms_norm(pool, x, &weight, EPS, &mut out);
            out
        },
    },
    Case {
        name: "add",
        run: |pool, _, x, y| {
            let mut out = x.to_vec();
            add(pool, &mut out, y);
            out
        },
    },
    Case {
        name: "add_bias",
        run: |pool, width, x, y| {
            let mut out = x.to_vec();
            add_bias(pool, &mut out, &y[..width.min(y.len())]);
            out
        },
    },
    Case {
        name: "swiglu",
        run: |pool, _, x, y| {
            let mut out = x.to_vec();
            swiglu(pool, &mut out, y);
            out
        },
    },
    Case {
        name: "exp_weights",
        run: |pool, _, x, y| {
            let mut out = vec![f32::MIN; x.len()];
            let best = x.first().copied().unwrap_or(0.0);
            exp_weights(pool.isa(), x, best, y.last().map_or(1.0, |y| y.abs()), &mut out);
            out
        },
    },
    Case {
        name: "rope",
        run: |pool, width, x, _| {
            let head_dim = width * 2;
            let table = Rope::new(head_dim, 1e6, 64);
            let mut out = [x, x].concat();
            let positions: Vec<u32> =
                (0..out.len() / head_dim).map(|row| (row * 13 % 64) as u32).collect();
            rope(pool, &table, &mut out, &positions);
            out
        },
    },
];

#[test]
fn every_instruction_set_gives_the_bits_of_scalar() {
    let mut random = Random(1);
    for (width, batch) in WIDTHS.iter().flat_map(|w| BATCHES.map(|batch| (*w, batch))) {
        let x = wild_floats(&mut random, batch * width);
        let y = wild_floats(&mut random, batch * width);
        for case in &CASES {
            let expected = (case.run)(&scalar_pool(), width, &x, &y);
            for pool in every_pool() {
                let what = format!("{} [{batch}, {width}] on {}", case.name, pool.isa().name());
                assert_same(&(case.run)(&pool, width, &x, &y), &expected, &what);
            }
        }
    }
}

#[test]
fn a_row_gets_the_same_bits_in_every_batch_on_any_number_of_threads() {
    // Enough rows for many pieces.
    const WIDTH: usize = 1024;
    const BATCH: usize = 130;
    let mut random = Random(2);
    let x = random.floats(BATCH * WIDTH);
    let weight = random.floats(WIDTH);
    for isa in Isa::available() {
        let alone = support::pool(isa, 1);
        let mut each = vec![0.0; x.len()];
        for (x, out) in x.chunks_exact(WIDTH).zip(each.chunks_exact_mut(WIDTH)) {
            rms_norm(&alone, x, &weight, EPS, out);
            let gate = out.to_vec();
            swiglu(&alone, out, &gate);
        }
        for threads in [1, 2, 3] {
            let pool = Pool::new(isa, NonZeroUsize::new(threads).expect("not zero"));
            let mut together = vec![0.0; x.len()];
            rms_norm(&pool, &x, &weight, EPS, &mut together);
            let gate = together.clone();
            swiglu(&pool, &mut together, &gate);
            assert_same(&together, &each, &format!("{} on {threads} threads", isa.name()));
        }
    }
}

#[test]
fn rms_norm_is_close_to_plain_arithmetic() {
    let mut random = Random(3);
    for width in WIDTHS {
        let (x, weight) = (random.floats(width), random.floats(width));
        let square: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
        let factor = 1.0 / (square / width as f64 + f64::from(EPS)).sqrt();
        let expected: Vec<f32> =
            x.iter().zip(&weight).map(|(x, w)| (f64::from(x * w) * factor) as f32).collect();
        for pool in every_pool() {
            let mut out = vec![f32::MIN; width];
            rms_norm(&pool, &x, &weight, EPS, &mut out);
            assert_close(&out, &expected, 2e-6, &format!("{width} on {}", pool.isa().name()));
        }
    }
}

#[test]
fn swiglu_is_close_to_plain_arithmetic() {
    let gate: Vec<f32> = (-2000..2000).map(|step| step as f32 * 0.07).collect();
    let up: Vec<f32> = gate.iter().map(|gate| 1.0 - gate / 200.0).collect();
    let silu = |x: f64| x / (1.0 + (-x).exp());
    let expected: Vec<f32> =
        gate.iter().zip(&up).map(|(gate, up)| silu(f64::from(*gate)) as f32 * up).collect();
    for pool in every_pool() {
        let mut out = gate.clone();
        swiglu(&pool, &mut out, &up);
        assert_close(&out, &expected, 1e-4, pool.isa().name());
    }
}

#[test]
fn swiglu_of_large_negative_gates_leaves_nothing_subnormal() {
    let gate: Vec<f32> = (300..2000).map(|step| step as f32 * -0.1).collect();
    for pool in every_pool() {
        for up in [1.0, 1e-3, -1e-6, 1e-12] {
            let mut out = gate.clone();
            swiglu(&pool, &mut out, &vec![up; gate.len()]);
            for (out, gate) in out.iter().zip(&gate) {
                assert!(!out.is_subnormal(), "{gate} * {up:e} on {}: {out:e}", pool.isa().name());
            }
        }
    }
}

#[test]
fn weights_are_powers_of_e_and_impossible_tokens_have_none() {
    let (best, temperature) = (3.5, 0.7);
    let mut logits: Vec<f32> = (0..2000).map(|step| best - step as f32 * 0.05).collect();
    logits[30] = f32::NEG_INFINITY;
    let exact = |logit: f32| (f64::from(logit - best) / f64::from(temperature)).exp();
    let expected: Vec<f64> = logits.iter().map(|logit| exact(*logit)).collect();
    for pool in every_pool() {
        let mut weights = vec![f32::NAN; logits.len()];
        exp_weights(pool.isa(), &logits, best, temperature, &mut weights);
        assert_eq!((weights[0], weights[30]), (1.0, 0.0));
        for (weight, expected) in weights.iter().zip(&expected) {
            let error = (f64::from(*weight) - expected).abs();
            assert!(error < 2e-5 * expected || (*weight == 0.0 && *expected < 2e-38));
        }
    }
}

#[test]
fn rope_turns_pairs_half_a_head_apart() {
    const HEAD_DIM: usize = 8;
    const BASE: f32 = 10_000.0;
    let x: Vec<f32> = (0..HEAD_DIM * 2).map(|i| 1.0 + i as f32).collect();
    let position = 37;
    let mut expected = x.clone();
    for head in 0..2 {
        for pair in 0..HEAD_DIM / 2 {
            let frequency = f64::from(BASE).powf(-2.0 * pair as f64 / HEAD_DIM as f64);
            let (sine, cosine) = (f64::from(position) * frequency).sin_cos();
            let (first, second) = (head * HEAD_DIM + pair, head * HEAD_DIM + pair + HEAD_DIM / 2);
            let (a, b) = (f64::from(x[first]), f64::from(x[second]));
            expected[first] = (a * cosine - b * sine) as f32;
            expected[second] = (b * cosine + a * sine) as f32;
        }
    }
    let table = Rope::new(HEAD_DIM, BASE, 64);
    for pool in every_pool() {
        let mut actual = x.clone();
        rope(&pool, &table, &mut actual, &[position as u32]);
        assert_close(&actual, &expected, 5e-5, pool.isa().name());
    }
}

#[test]
fn frequencies_and_magnitude_of_a_rope_may_be_given() {
    let table = Rope::with_frequencies(&[0.5, 0.25], 2.0, 8);
    let mut x = [1.0, 0.0, 0.0, 1.0];
    rope(&scalar_pool(), &table, &mut x, &[3]);
    let (a, b) = (1.5_f32, 0.75_f32);
    assert_close(
        &x,
        &[2.0 * a.cos(), -2.0 * b.sin(), 2.0 * a.sin(), 2.0 * b.cos()],
        1e-6,
        "turned",
    );
}

#[test]
#[should_panic(expected = "position 64 within the table")]
fn a_position_beyond_the_table_is_a_bug() {
    let table = Rope::new(2, 10_000.0, 64);
    rope(&scalar_pool(), &table, &mut [1.0, 2.0], &[64]);
}
