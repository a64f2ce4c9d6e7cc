//! The exponential function, and sums over lanes.

use crate::lanes::Lanes;

/// Below this, [`exp`] is cut off: smaller results would leave the range of full precision.
pub(crate) const EXP_LEAST: f32 = -87.0;
/// Above this, [`exp`] is cut off: larger results would be infinite.
pub(crate) const EXP_MOST: f32 = 88.0;
/// Below this, a weight of softmax is zero, see [`softmax_weight`].
pub(crate) const WEIGHT_LEAST: f32 = -45.0;
/// ln 2 in two parts: the first has few enough bits that a multiple of it is exact.
pub(crate) const LN_2_HIGH: f32 = 0.693_359_4;
pub(crate) const LN_2_LOW: f32 = -2.121_944_4e-4;
/// exp(r) on ±ln 2 / 2, highest power first: 1/720 … 1/2, 1, 1. The cut-off after the sixth power
/// is below a rounding error there.
pub(crate) const EXP_COEFFICIENTS: [f32; 7] =
    [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];

/// e to the power of `x`, to within two units in the last place, for `x` held to
/// [`EXP_LEAST`]..[`EXP_MOST`].
pub(crate) fn exp(x: f32) -> f32 {
    // As comparisons, so that what is not a number stays so.
    let x = if EXP_LEAST > x { EXP_LEAST } else { x };
    let x = if EXP_MOST < x { EXP_MOST } else { x };
    let power = (x * std::f32::consts::LOG2_E).round_ties_even();
    let rest = (-power).mul_add(LN_2_HIGH, x);
    let rest = (-power).mul_add(LN_2_LOW, rest);
    let mut sum = EXP_COEFFICIENTS[0];
    for coefficient in &EXP_COEFFICIENTS[1..] {
        sum = sum.mul_add(rest, *coefficient);
    }
    // Adding to the exponent's bits multiplies by a power of two.
    f32::from_bits(sum.to_bits().wrapping_add_signed((power as i32) << 23))
}

/// `exp(x)` for a difference to the largest score, or zero if the weight cannot matter.
///
/// The largest weight of a softmax is 1, and 256 weights of e^-45 add up to 7e-18, which no `f32`
/// sum that holds a 1 can tell from nothing. Smaller weights would also cost time: times a value
/// below one they are subnormal, and some processors take more than a hundred cycles for each such
/// number.
pub(crate) fn softmax_weight(x: f32) -> f32 {
    // As a comparison, so that what is not a number stays so.
    if x < WEIGHT_LEAST { 0.0 } else { exp(x) }
}

/// x * sigmoid(x), which is the same as nothing where the sigmoid is below e^-45.
///
/// Dividing by infinity there keeps the result from being subnormal, and an infinite `x` from
/// becoming a finite result.
pub(crate) fn silu(x: f32) -> f32 {
    let divisor = if x < WEIGHT_LEAST { f32::INFINITY } else { 1.0 + exp(-x) };
    x / divisor
}

/// Adds sixteen partial sums in halves: the second half to the first, and so on.
pub(crate) fn sum_lanes(mut lanes: Lanes) -> f32 {
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        let mut x = EXP_LEAST;
        while x <= EXP_MOST {
            let expected = f64::from(x).exp();
            let relative = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(relative < 2.0 * f64::from(f32::EPSILON), "exp({x}): off by {relative:e}");
            x += 0.000_97;
        }
    }

    #[test]
    fn weights_that_cannot_matter_are_zero_and_others_are_exp() {
        assert_eq!(softmax_weight(f32::NEG_INFINITY), 0.0);
        assert_eq!(softmax_weight(WEIGHT_LEAST.next_down()), 0.0);
        assert_eq!(softmax_weight(WEIGHT_LEAST), exp(WEIGHT_LEAST));
        assert_eq!(softmax_weight(0.0), 1.0);
        assert!(softmax_weight(f32::NAN).is_nan());
    }

    #[test]
    fn silu_of_large_negative_gates_is_zero_and_of_infinite_ones_not_a_number() {
        assert_eq!(silu(-46.0), 0.0);
        assert_eq!(silu(f32::MIN), 0.0);
        assert!(silu(f32::NEG_INFINITY).is_nan() && silu(f32::NAN).is_nan());
        assert_eq!(silu(f32::INFINITY), f32::INFINITY);
        let expected = -40.0_f64 / (1.0 + 40.0_f64.exp());
        assert!((f64::from(silu(-40.0)) / expected - 1.0).abs() < 1e-6);
    }

    #[test]
    fn exp_of_the_edges() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), exp(EXP_LEAST));
        assert_eq!(exp(f32::INFINITY), exp(EXP_MOST));
        assert!(exp(EXP_MOST).is_finite() && exp(EXP_LEAST).is_normal());
        assert!(exp(f32::NAN).is_nan());
    }
}
