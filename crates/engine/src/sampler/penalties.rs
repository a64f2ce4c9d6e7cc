//! Penalties make tokens less likely that were in the text before.

use std::collections::HashMap;

use super::SamplingParams;
use crate::text::TokenId;

/// The tokens of one sequence that its penalties need to know.
#[derive(Clone, Debug)]
pub struct Penalties {
    repetition: f32,
    presence: f32,
    frequency: f32,
    /// How often each token occurs in the answer; tokens of the prompt alone count 0.
    answer_counts: HashMap<TokenId, u32>,
}

impl Penalties {
    /// Penalties of an answer to `prompt`.
    pub fn new(params: &SamplingParams, prompt: &[TokenId]) -> Penalties {
        let mut penalties = Penalties {
            repetition: params.repetition_penalty,
            presence: params.presence_penalty,
            frequency: params.frequency_penalty,
            answer_counts: HashMap::new(),
        };
        if penalties.repetition != 1.0 {
            penalties.answer_counts.extend(prompt.iter().map(|&token| (token, 0)));
        }
        penalties
    }

    /// Counts a token of the answer.
    pub fn count(&mut self, token: TokenId) {
        if self.repetition != 1.0 || self.presence != 0.0 || self.frequency != 0.0 {
            *self.answer_counts.entry(token).or_default() += 1;
        }
    }

    /// Changes the logits of the tokens counted; every token on its own, so in any order.
    ///
    /// Source: repetition as `RepetitionPenaltyLogitsProcessor` of transformers, over prompt and
    /// answer; presence and frequency as the OpenAI API describes them, over the answer.
    pub fn apply(&self, logits: &mut [f32]) {
        for (token, &count) in &self.answer_counts {
            let Some(logit) = logits.get_mut(token.0 as usize) else { continue };
            if *logit > 0.0 {
                *logit /= self.repetition;
            } else {
                *logit *= self.repetition;
            }
            if count > 0 {
                *logit -= self.presence + self.frequency * count as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: [TokenId; 2] = [TokenId(0), TokenId(1)];
    const ANSWER: [TokenId; 3] = [TokenId(1), TokenId(2), TokenId(2)];
    const LOGITS: [f32; 4] = [3.0, -1.0, 4.0, 5.0];

    #[test]
    fn penalties_change_exactly_the_tokens_they_are_about() {
        struct Case {
            params: SamplingParams,
            expected: [f32; 4],
        }
        let neutral = SamplingParams::default;
        let cases = [
            Case { params: neutral(), expected: LOGITS },
            Case {
                params: SamplingParams { repetition_penalty: 2.0, ..neutral() },
                expected: [1.5, -2.0, 2.0, 5.0],
            },
            Case {
                params: SamplingParams { presence_penalty: 0.5, ..neutral() },
                expected: [3.0, -1.5, 3.5, 5.0],
            },
            Case {
                params: SamplingParams { frequency_penalty: 0.25, ..neutral() },
                expected: [3.0, -1.25, 3.5, 5.0],
            },
            Case {
                params: SamplingParams {
                    repetition_penalty: 2.0,
                    presence_penalty: -1.0,
                    frequency_penalty: 0.5,
                    ..neutral()
                },
                expected: [1.5, -1.5, 2.0, 5.0],
            },
        ];
        for case in &cases {
            let mut penalties = Penalties::new(&case.params, &PROMPT);
            ANSWER.iter().for_each(|&token| penalties.count(token));
            let mut logits = LOGITS;
            penalties.apply(&mut logits);
            assert_eq!(logits, case.expected, "{:?}", case.params);
        }
    }

    #[test]
    fn a_token_outside_the_logits_is_passed_over() {
        let params = SamplingParams { repetition_penalty: 2.0, ..Default::default() };
        let mut logits = LOGITS;
        Penalties::new(&params, &[TokenId(99)]).apply(&mut logits);
        assert_eq!(logits, LOGITS);
    }
}
