//! The rotary angles of a model: plain, or stretched by YaRN.
//!
//! YaRN lets a model go on beyond the positions of its training. Pairs of a head that turn fast see
//! only near tokens and stay as they are; pairs that turn slowly are slowed down by the factor, so
//! that the longest text turns them no further than training did; those between are mixed.
//!
//! ```text
//! pair      0 …… low          low …… high               high …… head_dim / 2
//! frequency as trained        from the one to the other  divided by the factor
//! ```
//!
//! It is applied to short texts too, as `transformers` and vLLM do, because keys in the cache would
//! have to be computed again when a text grows.
//!
//! Source: Peng et al., YaRN: Efficient Context Window Extension of Large Language Models, 2023.

use std::f64::consts::TAU;

use banter_kernels::Rope;

use crate::model_file::{ModelConfig, Yarn};

/// The table of a model's angles for positions below `positions`.
pub(super) fn table(config: &ModelConfig, positions: usize) -> Rope {
    match &config.yarn {
        None => Rope::new(config.head_dim, config.rope_base, positions),
        Some(yarn) => {
            let frequencies = frequencies(yarn, config.head_dim, f64::from(config.rope_base));
            Rope::with_frequencies(&frequencies, yarn.magnitude, positions)
        }
    }
}

fn frequencies(yarn: &Yarn, head_dim: usize, base: f64) -> Vec<f32> {
    let low = pair_that_turns(yarn.fast_turns, yarn, head_dim, base).floor().max(0.0);
    let high = pair_that_turns(yarn.slow_turns, yarn, head_dim, base).ceil();
    let high = high.min((head_dim - 1) as f64);
    // Without a range, a step.
    let width = if high == low { 0.001 } else { high - low };
    let frequency = |pair: usize| {
        let trained = base.powf(-((2 * pair) as f64) / head_dim as f64);
        let slowed = ((pair as f64 - low) / width).clamp(0.0, 1.0);
        (trained * (1.0 - slowed) + trained / f64::from(yarn.factor) * slowed) as f32
    };
    (0..head_dim / 2).map(frequency).collect()
}

/// Which pair of a head turns this many times within the original context; a fraction.
fn pair_that_turns(turns: f32, yarn: &Yarn, head_dim: usize, base: f64) -> f64 {
    let positions_per_turn = yarn.original_context as f64 / f64::from(turns);
    head_dim as f64 * (positions_per_turn / TAU).ln() / (2.0 * base.ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yarn(original_context: usize) -> Yarn {
        Yarn { original_context, ..Yarn::by(4.0) }
    }

    fn assert_near(found: f32, expected: f32, what: usize) {
        assert!((found / expected - 1.0).abs() < 1e-6, "{what}: {found}, expected {expected}");
    }

    /// Values that the published formula gives, computed in numpy.
    #[test]
    fn frequencies_are_those_of_the_paper() {
        let qwen = frequencies(&yarn(32_768), 128, 1e6);
        assert_eq!(qwen.len(), 64);
        for (pair, expected) in [
            (0, 1.0),
            (10, 1.154_782e-1),
            (23, 6.978_306e-3),
            (24, 5.375_321_5e-3),
            (30, 1.064_361e-3),
            (35, 2.462_584_1e-4),
            (39, 6.490_394e-5),
            (40, 4.445_698_5e-5),
            (41, 3.582_531_4e-5),
            (63, 3.102_344_4e-7),
        ] {
            assert_near(qwen[pair], expected, pair);
        }
        let small = frequencies(&yarn(512), 16, 1e4);
        let expected = [
            1.0,
            2.569_350_6e-1,
            6.25e-2,
            1.383_496_5e-2,
            2.5e-3,
            7.905_694e-4,
            2.5e-4,
            7.905_694e-5,
        ];
        for (pair, (found, expected)) in small.into_iter().zip(expected).enumerate() {
            assert_near(found, expected, pair);
        }
    }

    #[test]
    fn a_factor_of_one_changes_nothing() {
        let yarn = Yarn { original_context: 32_768, ..Yarn::by(1.0) };
        assert_eq!(yarn.magnitude, 1.0);
        for (pair, found) in frequencies(&yarn, 128, 1e6).into_iter().enumerate() {
            let plain = (1e6_f64).powf(-((2 * pair) as f64) / 128.0) as f32;
            assert_near(found, plain, pair);
        }
    }

    #[test]
    fn the_magnitude_grows_with_the_factor() {
        assert_near(Yarn::by(4.0).magnitude, 1.138_629_4, 4);
        assert_near(Yarn::by(2.0).magnitude, 1.069_314_7, 2);
    }
}
