//! From logits to one token.
//!
//! Order: bias, mask of a structured answer, penalties, temperature, top_k, top_p, min_p, as in
//! transformers. Each filter keeps the first tokens in order of likelihood; ties go to the lower
//! id. One uniform number, made from seed and position alone, then picks one of the kept tokens by
//! walking them in order of id.
//!
//! A token therefore depends only on its logits, the seed, its position and the tokens before it.
//! It does not depend on the batch, nor on how often it was asked for.
//!
//! Absent on purpose: state that advances with each draw.
//!
//! A new filter: its field in `params.rs`, its place in [`Sampler::sample`], a row in `tests.rs`.

mod logprobs;
mod params;
mod penalties;
pub(crate) mod random;
mod ranking;

use banter_kernels::Isa;

pub use logprobs::{Logprobs, MAX_TOP_LOGPROBS, Seen, TokenLogprob};
pub use params::{CheckedSampling, MAX_BIASED_TOKENS, ParameterError, SamplingParams};

use self::penalties::Penalties;
use self::ranking::{Candidate, Ranking};
use crate::structure::TokenMask;
use crate::text::TokenId;

/// Chooses the tokens of one answer.
#[derive(Clone, Debug)]
pub struct Sampler {
    params: SamplingParams,
    seed: u64,
    penalties: Penalties,
}

/// Rows of the vocabulary that have a token. The others are never chosen.
#[derive(Clone, Debug)]
pub struct TokenRows {
    count: usize,
    unused: Vec<TokenId>,
}

/// Working memory of the sampler, shared by all sequences of a thread.
#[derive(Debug)]
pub struct SampleScratch {
    isa: Isa,
    ranking: Ranking,
    /// The tokens that the filters keep, in order of id; unused if they keep nearly all.
    kept: Vec<TokenId>,
    /// Weights of the kept tokens, or of all.
    weights: Vec<f32>,
    /// The model's own logits, if log-probabilities are wanted.
    seen: Vec<f32>,
}

/// Why logits gave no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// A logit is NaN or +∞.
    #[error("logits: expected finite numbers, found another at token {}", token.0)]
    NotFinite {
        /// The first such token.
        token: TokenId,
    },
    /// Every logit is −∞.
    #[error("logits: expected at least one possible token, found none")]
    NothingPossible,
}

impl SampleScratch {
    /// Working memory for an instruction set. Tokens do not depend on it.
    pub fn new(isa: Isa) -> SampleScratch {
        SampleScratch {
            isa,
            ranking: Ranking::default(),
            kept: Vec::new(),
            weights: Vec::new(),
            seen: Vec::new(),
        }
    }
}

impl TokenRows {
    /// The first `count` rows, without those that have no token.
    pub fn new(count: usize, has_token: impl Fn(TokenId) -> bool) -> TokenRows {
        let count_u32 = u32::try_from(count).expect("a vocabulary has fewer rows than 2³²");
        let ids = (0..count_u32).map(TokenId);
        TokenRows { count, unused: ids.filter(|&id| !has_token(id)).collect() }
    }

    fn mask<'a>(&self, logits: &'a mut [f32]) -> &'a mut [f32] {
        let count = self.count.min(logits.len());
        for token in &self.unused {
            if let Some(logit) = logits.get_mut(token.0 as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
        &mut logits[..count]
    }
}

impl Sampler {
    /// A sampler for the answer to `prompt`.
    pub fn new(sampling: CheckedSampling, prompt: &[TokenId]) -> Sampler {
        let penalties = Penalties::new(&sampling.params, prompt);
        Sampler { seed: sampling.seed(), params: sampling.params, penalties }
    }

    /// Chooses the token at `position` of the sequence. With `allowed`, it is one of those tokens.
    /// Changes `logits`.
    ///
    /// Shapes: `logits` [vocabulary rows].
    /// Errors: logits that allow no choice.
    pub fn sample(
        &self,
        logits: &mut [f32],
        position: usize,
        rows: &TokenRows,
        allowed: Option<&TokenMask>,
        scratch: &mut SampleScratch,
    ) -> Result<TokenId, SampleError> {
        let logits = rows.mask(logits);
        for &(token, bias) in &self.params.logit_bias {
            if let Some(logit) = logits.get_mut(token.0 as usize) {
                *logit += bias;
            }
        }
        if let Some(allowed) = allowed {
            allowed.apply(logits);
        }
        self.penalties.apply(logits);
        let best = scratch.ranking.survey(logits)?;
        if self.params.temperature == 0.0 {
            return Ok(best.token);
        }
        let exp_weights =
            ExpWeights { isa: scratch.isa, best: best.logit, temperature: self.params.temperature };
        let uniform = random::uniform(self.seed, position as u64);
        if self.params.top_k > 0 || self.params.top_p < 1.0 {
            self.keep_head(logits, exp_weights, scratch);
            return Ok(scratch.kept[pick(&scratch.weights, uniform)]);
        }
        exp_weights.all(logits, &mut scratch.weights);
        self.cut(&mut scratch.weights);
        let index = pick(&scratch.weights, uniform);
        Ok(TokenId(u32::try_from(index).expect("a vocabulary has fewer rows than 2³²")))
    }

    /// Adds a token to the answer, for the penalties of those after it.
    pub fn accept(&mut self, token: TokenId) {
        self.penalties.count(token);
    }

    /// Sets `scratch.kept` to the tokens that top_k and top_p keep, and `scratch.weights` to their
    /// weights, 0 for those that min_p does not keep.
    fn keep_head(&self, logits: &[f32], exp_weights: ExpWeights, scratch: &mut SampleScratch) {
        let SampleScratch { ranking, kept, weights, .. } = scratch;
        let head = match (self.params.top_k as usize, f64::from(self.params.top_p)) {
            (0, top_p) => {
                exp_weights.all(logits, weights);
                first_reaching(top_p * sum(weights), logits, exp_weights, ranking)
            }
            (top_k, top_p) => {
                let head = ranking.first(logits, top_k);
                let all: f64 = head.iter().map(|c| f64::from(exp_weights.one(c.logit))).sum();
                let reaching = |head| count_reaching(top_p * all, head, exp_weights);
                let count = if top_p < 1.0 { reaching(head) } else { None };
                &head[..count.unwrap_or(head.len())]
            }
        };
        kept.clear();
        kept.extend(head.iter().map(|candidate| candidate.token));
        kept.sort_unstable();
        weights.clear();
        weights.extend(kept.iter().map(|token| exp_weights.one(logits[token.0 as usize])));
        self.cut(weights);
    }

    /// Sets the weights that min_p does not keep to 0.
    fn cut(&self, weights: &mut [f32]) {
        if self.params.min_p > 0.0 {
            for weight in weights {
                *weight = if *weight < self.params.min_p { 0.0 } else { *weight };
            }
        }
    }
}

/// The fewest most likely tokens whose weights add up to `goal`.
fn first_reaching<'a>(
    goal: f64,
    logits: &[f32],
    exp_weights: ExpWeights,
    ranking: &'a mut Ranking,
) -> &'a [Candidate] {
    let mut searched = FIRST_SEARCHED;
    loop {
        let head = ranking.first(logits, searched);
        let is_whole = head.len() < searched;
        let count = count_reaching(goal, head, exp_weights);
        if let Some(count) = count.or(is_whole.then_some(head.len())) {
            return ranking.found(count);
        }
        searched *= SEARCH_GROWTH;
    }
}

/// A search for top_p begins with this many tokens. At usual temperatures they nearly always have
/// the probability asked for.
const FIRST_SEARCHED: usize = 64;

/// How much wider the next search is. Each costs a pass over the vocabulary, so there should be
/// few.
const SEARCH_GROWTH: usize = 8;

/// How many of the first of `head` add up to `goal`; none if all of them do not.
fn count_reaching(goal: f64, head: &[Candidate], exp_weights: ExpWeights) -> Option<usize> {
    let mut sum = 0.0;
    for (index, candidate) in head.iter().enumerate() {
        sum += f64::from(exp_weights.one(candidate.logit));
        if sum >= goal {
            return Some(index + 1);
        }
    }
    None
}

/// Makes weights of logits: probabilities up to a common factor, so that the best token has 1.
#[derive(Clone, Copy, Debug)]
struct ExpWeights {
    isa: Isa,
    best: f32,
    temperature: f32,
}

impl ExpWeights {
    fn all(self, logits: &[f32], weights: &mut Vec<f32>) {
        weights.resize(logits.len(), 0.0);
        banter_kernels::exp_weights(self.isa, logits, self.best, self.temperature, weights);
    }

    fn one(self, logit: f32) -> f32 {
        let mut weight = [0.0];
        banter_kernels::exp_weights(self.isa, &[logit], self.best, self.temperature, &mut weight);
        weight[0]
    }
}

/// How many weights are added up before their sum is compared.
const SUMMED: usize = 256;

/// This many sums at a time, because in a single sum every addition waits for the one before.
const SUM_LANES: usize = 8;

/// The sum of all weights, in the order in which [`pick`] walks them.
fn sum(weights: &[f32]) -> f64 {
    weights.chunks(SUMMED).map(sum_of_some).sum()
}

fn sum_of_some(weights: &[f32]) -> f64 {
    let mut lanes = [0.0; SUM_LANES];
    let (whole, rest) = weights.as_chunks::<SUM_LANES>();
    for weights in whole {
        for (lane, weight) in lanes.iter_mut().zip(weights) {
            *lane += f64::from(*weight);
        }
    }
    lanes.into_iter().chain(rest.iter().copied().map(f64::from)).sum()
}

/// The index at which the sum of weights passes `uniform` of their total, which must not be 0.
fn pick(weights: &[f32], uniform: f64) -> usize {
    let goal = uniform * sum(weights);
    let mut before = 0.0;
    let mut last_possible = None;
    for (group, weights) in weights.chunks(SUMMED).enumerate() {
        let behind = before + sum_of_some(weights);
        if behind > before {
            last_possible = Some((group, before));
        }
        if behind > goal {
            break;
        }
        before = behind;
    }
    let (group, mut sum) = last_possible.expect("some token has a weight");
    let start = group * SUMMED;
    let mut last_possible = None;
    for (index, weight) in weights.iter().enumerate().skip(start).take(SUMMED) {
        sum += f64::from(*weight);
        if *weight > 0.0 {
            last_possible = Some(index);
        }
        if sum > goal {
            break;
        }
    }
    last_possible.expect("some token of the group has a weight")
}

#[cfg(test)]
mod tests;
