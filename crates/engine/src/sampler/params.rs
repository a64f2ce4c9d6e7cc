//! How a request says tokens are chosen, and the proof that every parameter is within range.

use std::ops::RangeInclusive;

use crate::text::TokenId;

/// How tokens are chosen, as a request says; [`SamplingParams::checked`] checks it.
///
/// The default changes nothing: the model's own distribution, and a seed drawn for each answer.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingParams {
    /// Divides the logits, 0 to 2; 0 always takes the most likely token.
    pub temperature: f32,
    /// Keeps this many of the most likely tokens; 0 keeps all.
    pub top_k: u32,
    /// Keeps the fewest tokens whose probabilities add up to this, above 0 to 1; 1 keeps all.
    pub top_p: f32,
    /// Keeps tokens at least this likely relative to the most likely one, 0 to 1; 0 keeps all.
    pub min_p: f32,
    /// Divides the positive and multiplies the negative logits of tokens that occur in the prompt
    /// or the answer, 0.1 to 10; 1 changes nothing.
    pub repetition_penalty: f32,
    /// Taken from the logits of tokens that occur in the answer, −2 to 2; 0 changes nothing.
    pub presence_penalty: f32,
    /// Taken from the logits of tokens for each time they occur in the answer, −2 to 2; 0 changes
    /// nothing.
    pub frequency_penalty: f32,
    /// Added to the logits of these tokens before anything else, −100 to 100 each, for at most
    /// [`MAX_BIASED_TOKENS`]. With −100 a token is hardly ever chosen, with 100 nearly always.
    pub logit_bias: Vec<(TokenId, f32)>,
    /// The same seed gives the same answer. Without one, a seed is drawn and reported.
    pub seed: Option<u64>,
}

impl Default for SamplingParams {
    fn default() -> SamplingParams {
        SamplingParams {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: None,
        }
    }
}

/// How many tokens a request may give a bias.
pub const MAX_BIASED_TOKENS: usize = 1_024;

/// The smallest number of a range that does not include 0.
const ABOVE_ZERO: f32 = f32::MIN_POSITIVE;

/// A parameter outside its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {range}, found {value}")]
pub struct ParameterError {
    /// The parameter's name.
    pub field: &'static str,
    /// What is allowed, in words: `0 to 2`.
    pub range: String,
    /// What was asked for.
    pub value: String,
}

/// Sampling parameters that are all within range, with their seed settled.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedSampling {
    pub(super) params: SamplingParams,
    seed: u64,
}

impl CheckedSampling {
    /// The seed of the answer: the one asked for, or the one drawn.
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

impl SamplingParams {
    /// Checks every range and draws a seed where none is given.
    ///
    /// Errors: the first parameter outside its range. NaN is outside every range.
    pub fn checked(self) -> Result<CheckedSampling, ParameterError> {
        within("temperature", self.temperature, 0.0..=2.0)?;
        within("top_p", self.top_p, ABOVE_ZERO..=1.0)?;
        within("min_p", self.min_p, 0.0..=1.0)?;
        within("repetition_penalty", self.repetition_penalty, 0.1..=10.0)?;
        within("presence_penalty", self.presence_penalty, -2.0..=2.0)?;
        within("frequency_penalty", self.frequency_penalty, -2.0..=2.0)?;
        if self.logit_bias.len() > MAX_BIASED_TOKENS {
            let range = format!("at most {MAX_BIASED_TOKENS} tokens");
            let value = self.logit_bias.len().to_string();
            return Err(ParameterError { field: "logit_bias", range, value });
        }
        for &(_, bias) in &self.logit_bias {
            within("logit_bias", bias, -100.0..=100.0)?;
        }
        let seed = self.seed.unwrap_or_else(draw_seed);
        Ok(CheckedSampling { params: self, seed })
    }
}

fn within(
    field: &'static str,
    value: f32,
    allowed: RangeInclusive<f32>,
) -> Result<(), ParameterError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    let (least, most) = (*allowed.start(), *allowed.end());
    let range = match least == ABOVE_ZERO {
        true => format!("above 0 to {most}"),
        false => format!("{least} to {most}"),
    };
    Err(ParameterError { field, range, value: value.to_string() })
}

/// A seed that nobody chose, of at most 53 bits so that JavaScript can repeat it exactly.
fn draw_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // The standard library keys its hash maps from the operating system's random source.
    RandomState::new().hash_one("seed") >> 11
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        field: &'static str,
        set: fn(&mut SamplingParams, f32),
        inside: &'static [f32],
        outside: &'static [f32],
    }

    fn check(case: &Case) {
        let with = |value: f32| {
            let mut params = SamplingParams::default();
            (case.set)(&mut params, value);
            params.checked()
        };
        for &value in case.inside {
            assert!(with(value).is_ok(), "{} {value}", case.field);
        }
        for &value in case.outside.iter().chain(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]) {
            let error = with(value).expect_err(case.field);
            assert_eq!(error.field, case.field);
            assert_eq!(error.value, value.to_string());
            assert!(error.to_string().contains(&error.range), "{error}");
        }
    }

    #[test]
    fn each_parameter_keeps_to_its_range_and_names_it() {
        let cases = [
            Case {
                field: "temperature",
                set: |p, v| p.temperature = v,
                inside: &[0.0, -0.0, 0.7, 2.0],
                outside: &[-0.1, 2.1],
            },
            Case {
                field: "top_p",
                set: |p, v| p.top_p = v,
                inside: &[0.001, 1.0],
                outside: &[0.0, -0.0, 1.001, -1.0],
            },
            Case {
                field: "min_p",
                set: |p, v| p.min_p = v,
                inside: &[0.0, 1.0],
                outside: &[-0.1, 1.1],
            },
            Case {
                field: "repetition_penalty",
                set: |p, v| p.repetition_penalty = v,
                inside: &[0.1, 1.0, 10.0],
                outside: &[0.0, -1.0, 10.1],
            },
            Case {
                field: "presence_penalty",
                set: |p, v| p.presence_penalty = v,
                inside: &[-2.0, 2.0],
                outside: &[-2.1, 2.1],
            },
            Case {
                field: "frequency_penalty",
                set: |p, v| p.frequency_penalty = v,
                inside: &[-2.0, 2.0],
                outside: &[-2.1, 2.1],
            },
        ];
        cases.iter().for_each(check);
    }

    #[test]
    fn biases_have_limits() {
        let with = |logit_bias| SamplingParams { logit_bias, ..Default::default() }.checked();
        assert!(with(vec![(TokenId(1), -100.0), (TokenId(2), 100.0)]).is_ok());
        assert!(with(vec![(TokenId(1), 1.0); MAX_BIASED_TOKENS]).is_ok());
        for bias in [-100.1, 100.1, f32::NAN, f32::INFINITY] {
            let error = with(vec![(TokenId(1), bias)]).expect_err("outside");
            assert_eq!((error.field, error.range.as_str()), ("logit_bias", "-100 to 100"));
        }
        let error = with(vec![(TokenId(1), 1.0); MAX_BIASED_TOKENS + 1]).expect_err("too many");
        assert_eq!(error.to_string(), "logit_bias: expected at most 1024 tokens, found 1025");
    }

    #[test]
    fn a_given_seed_is_kept_and_a_drawn_one_is_exact_in_javascript() {
        let given = SamplingParams { seed: Some(u64::MAX), ..Default::default() };
        assert_eq!(given.checked().map(|checked| checked.seed()), Ok(u64::MAX));
        let draw = || SamplingParams::default().checked().expect("defaults are in range").seed();
        let (first, second) = (draw(), draw());
        assert!(first < 1 << 53 && second < 1 << 53);
        assert_ne!(first, second);
    }
}
