//! From logits to one token.
//!
//! Order: what a form allows, penalties, temperature, top_k, top_p, min_p, as in transformers. Each filter keeps a
//! prefix of the tokens in order of likelihood, of equals the lower id first. One uniform number,
//! made from seed and position alone, then picks from what is kept by walking it in order of id.
//! So a token depends on its logits, the seed, its position and the tokens before it, on nothing
//! else: not on the batch, and not on how often it was asked for.
//!
//! Absent on purpose: state that advances with each draw.
//!
//! A new filter: its field in `params.rs`, its place in [`Sampler::sample`], a row in `tests.rs`.

mod params;
mod penalties;
pub(crate) mod random;
mod ranking;

pub use params::{CheckedSampling, ParameterError, SamplingParams};

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

/// Rows of the vocabulary that have a token; the others are never chosen.
#[derive(Clone, Debug)]
pub struct TokenRows {
    count: usize,
    unused: Vec<TokenId>,
}

/// Working memory of the sampler, shared by all sequences of a thread.
#[derive(Debug, Default)]
pub struct SampleScratch {
    ranking: Ranking,
    kept: Vec<Weighted>,
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

impl TokenRows {
    /// The first `count` rows, but those without a token.
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

    /// Chooses the token at `position` of the sequence, of those that `allowed` names if it is there.
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
        if let Some(allowed) = allowed {
            allowed.apply(logits);
        }
        self.penalties.apply(logits);
        let best = scratch.ranking.survey(logits)?;
        if self.params.temperature == 0.0 {
            return Ok(best.token);
        }
        let weigh = Weigh { best: best.logit, temperature: self.params.temperature };
        if self.params.top_k > 0 || self.params.top_p < 1.0 {
            self.keep_head(logits, weigh, scratch);
        } else {
            self.keep_from_all(logits, weigh, scratch);
        }
        let uniform = random::uniform(self.seed, position as u64);
        Ok(pick(&scratch.kept, uniform))
    }

    /// Takes a token into the answer, for the penalties of those after it.
    pub fn accept(&mut self, token: TokenId) {
        self.penalties.count(token);
    }

    /// Leaves in `scratch.kept` what min_p keeps of all tokens.
    fn keep_from_all(&self, logits: &[f32], weigh: Weigh, scratch: &mut SampleScratch) {
        let all = (0u32..).zip(logits);
        let all = all.map(|(id, &logit)| Weighted { token: TokenId(id), weight: weigh.of(logit) });
        scratch.kept.clear();
        scratch.kept.extend(all.filter(|token| token.weight >= self.params.min_p));
    }

    /// Leaves in `scratch.kept` what all filters keep, when top_k or top_p is among them.
    fn keep_head(&self, logits: &[f32], weigh: Weigh, scratch: &mut SampleScratch) {
        let head = match (self.params.top_k as usize, f64::from(self.params.top_p)) {
            (0, top_p) => {
                let goal = top_p * weigh.sum(logits.iter().copied());
                first_reaching(goal, logits, weigh, &mut scratch.ranking)
            }
            (top_k, top_p) => {
                let head = scratch.ranking.first(logits, top_k);
                let goal = top_p * weigh.sum(head.iter().map(|candidate| candidate.logit));
                let count = if top_p < 1.0 { count_reaching(goal, head, weigh) } else { None };
                &head[..count.unwrap_or(head.len())]
            }
        };
        let weighted = head.iter().map(|c| Weighted { token: c.token, weight: weigh.of(c.logit) });
        scratch.kept.clear();
        scratch.kept.extend(weighted.filter(|token| token.weight >= self.params.min_p));
        scratch.kept.sort_unstable_by_key(|kept| kept.token);
    }
}

/// The fewest most likely tokens whose weights add up to `goal`.
fn first_reaching<'a>(
    goal: f64,
    logits: &[f32],
    weigh: Weigh,
    ranking: &'a mut Ranking,
) -> &'a [Candidate] {
    let mut searched = FIRST_SEARCHED;
    loop {
        let head = ranking.first(logits, searched);
        let is_whole = head.len() < searched;
        let count = count_reaching(goal, head, weigh);
        if let Some(count) = count.or(is_whole.then_some(head.len())) {
            return ranking.found(count);
        }
        searched *= SEARCH_GROWTH;
    }
}

/// A search for top_p begins with this many tokens: at usual temperatures they nearly always hold
/// the probability asked for.
const FIRST_SEARCHED: usize = 64;

/// How much wider the next search is. Each costs a pass over the vocabulary, so few should do.
const SEARCH_GROWTH: usize = 8;

/// How many of `head`, from its start, add up to `goal`; none if all of it does not.
fn count_reaching(goal: f64, head: &[Candidate], weigh: Weigh) -> Option<usize> {
    let mut sum = 0.0;
    for (index, candidate) in head.iter().enumerate() {
        sum += f64::from(weigh.of(candidate.logit));
        if sum >= goal {
            return Some(index + 1);
        }
    }
    None
}

/// Probabilities up to a common factor: the most likely token weighs 1.
#[derive(Clone, Copy, Debug)]
struct Weigh {
    best: f32,
    temperature: f32,
}

impl Weigh {
    fn of(self, logit: f32) -> f32 {
        ((logit - self.best) / self.temperature).exp()
    }

    fn sum(self, logits: impl Iterator<Item = f32>) -> f64 {
        logits.map(|logit| f64::from(self.of(logit))).sum()
    }
}

/// A kept token.
#[derive(Clone, Copy, Debug)]
struct Weighted {
    token: TokenId,
    weight: f32,
}

/// The token at `uniform` of the way through the weights, in order of id.
fn pick(kept: &[Weighted], uniform: f64) -> TokenId {
    let total: f64 = kept.iter().map(|token| f64::from(token.weight)).sum();
    let goal = uniform * total;
    let mut sum = 0.0;
    let mut last_possible = None;
    for token in kept {
        sum += f64::from(token.weight);
        if token.weight > 0.0 {
            last_possible = Some(token.token);
        }
        if sum > goal {
            break;
        }
    }
    last_possible.expect("the most likely token weighs 1 and every filter keeps it")
}

#[cfg(test)]
mod tests;
