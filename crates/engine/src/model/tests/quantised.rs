//! Every type a file can store weights in, against the same weights in `f64`.
//!
//! They differ by the 8-bit activations of quantised weights. How much of that reaches the logits
//! depends more on the random model than on the type.

use super::*;
use crate::model_file::Quant;

const TOKENS: usize = 24;

/// The root mean square of the logits' error, in their standard deviations: measured, then rounded
/// up.
struct Case {
    weights: &'static str,
    error: f64,
}

const CASES: [Case; 13] = [
    Case { weights: "f32", error: 5e-6 },
    Case { weights: "f16", error: 5e-6 },
    Case { weights: "bf16", error: 5e-6 },
    Case { weights: "q8_0", error: 0.03 },
    Case { weights: "q4_0", error: 0.01 },
    Case { weights: "q4_1", error: 0.02 },
    Case { weights: "q5_0", error: 0.02 },
    Case { weights: "q5_1", error: 0.03 },
    Case { weights: "q2_k", error: 0.03 },
    Case { weights: "q3_k", error: 0.03 },
    Case { weights: "q4_k", error: 0.02 },
    Case { weights: "q5_k", error: 0.01 },
    Case { weights: "q6_k", error: 0.03 },
];

#[test]
fn every_weight_type_is_near_its_dequantised_weights() {
    let mut wrong = Vec::new();
    for case in CASES {
        let sequence = Sequence::new(0, TOKENS);
        let expected = reference::logits(&model_file(case.weights), &sequence.tokens);
        let setting = Setting { weights: case.weights, kv_type: KvType::F32, ..Setting::usual() };
        let mut runner = runner(setting);
        run(&mut runner, &[sequence.whole()]);
        let logits = runner.logits(0).expect("the span was sampled");
        let error = relative_error(logits, &expected);
        println!("{}: {error:.2e}", case.weights);
        if error.is_nan() || error > case.error {
            wrong.push(format!("{}: {error:.2e} above {:.2e}", case.weights, case.error));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// The same weights as floats leave only rounding in `f32`: what accuracy is measured against.
#[test]
fn every_weight_type_made_floats_is_its_dequantised_weights() {
    let sequence = Sequence::new(0, TOKENS);
    for case in CASES {
        let stored = model_file(case.weights);
        let expected = reference::logits(&stored, &sequence.tokens);
        let file = stored.with_quant(Some(Quant::F32));
        let mut runner = runner_of(&file, Setting { kv_type: KvType::F32, ..Setting::usual() });
        run(&mut runner, &[sequence.whole()]);
        let logits = runner.logits(0).expect("the span was sampled");
        let error = relative_error(logits, &expected);
        assert!(error < 5e-6, "{}: {error:.2e}", case.weights);
    }
}

/// Products in pairs round activations to eight bits and a sign, each for itself.
#[test]
fn bf16_in_pairs_is_near_its_weights() {
    let sequence = Sequence::new(0, TOKENS);
    let stored = model_file("bf16");
    let expected = reference::logits(&stored, &sequence.tokens);
    let file = stored.with_quant(Some(Quant::Bf16Dot));
    let mut runner = runner_of(&file, Setting { kv_type: KvType::F32, ..Setting::usual() });
    run(&mut runner, &[sequence.whole()]);
    let error = relative_error(runner.logits(0).expect("the span was sampled"), &expected);
    println!("{error:.2e}");
    assert!(error > 1e-5 && error < 0.01, "{error:.2e}");
}

pub(super) fn relative_error(logits: &[f32], expected: &[f64]) -> f64 {
    let count = expected.len() as f64;
    let mean = expected.iter().sum::<f64>() / count;
    let variance = expected.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    let differences = logits.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).powi(2));
    (differences.sum::<f64>() / count / variance).sqrt()
}
