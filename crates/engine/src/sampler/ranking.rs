//! The most likely tokens in order, without sorting the vocabulary.
//!
//! The largest logit of every 256 rows is found first: a peak. The n-th largest peak is a lower
//! bound of the n-th largest logit, so the first n are among the few rows above it.

use std::cmp::Ordering;

use super::SampleError;
use crate::text::TokenId;

const GROUP: usize = 256;
const LANES: usize = 16;

/// A token with its logit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    pub token: TokenId,
    pub logit: f32,
}

impl Candidate {
    /// The more likely first; ties go to the lower id.
    fn rank(&self, other: &Candidate) -> Ordering {
        other.logit.total_cmp(&self.logit).then(self.token.cmp(&other.token))
    }
}

/// Working memory of the search, kept from token to token.
#[derive(Debug, Default)]
pub struct Ranking {
    group_peaks: Vec<f32>,
    sorted_peaks: Vec<f32>,
    candidates: Vec<Candidate>,
}

impl Ranking {
    /// Finds the most likely token and prepares [`Ranking::first`] for the same logits.
    ///
    /// Errors: a logit that is NaN or +∞, or none above −∞.
    pub fn survey(&mut self, logits: &[f32]) -> Result<Candidate, SampleError> {
        self.group_peaks.clear();
        self.group_peaks.extend(logits.chunks(GROUP).map(peak));
        let (mut best_group, mut best) = (0, f32::NEG_INFINITY);
        for (group, &peak) in self.group_peaks.iter().enumerate() {
            if peak.is_nan() || peak == f32::INFINITY {
                return Err(SampleError::NotFinite { token: first_not_finite(logits, group) });
            }
            if peak > best {
                (best_group, best) = (group, peak);
            }
        }
        if best == f32::NEG_INFINITY {
            return Err(SampleError::NothingPossible);
        }
        let start = best_group * GROUP;
        let offset = logits[start..].iter().position(|&logit| logit == best);
        let index = start + offset.expect("the peak is the logit of a row of its group");
        Ok(Candidate { token: token_of(index), logit: best })
    }

    /// The `count` most likely tokens in order, or all that are possible at all.
    pub fn first(&mut self, logits: &[f32], count: usize) -> &[Candidate] {
        self.candidates.clear();
        let bound = self.lower_bound(count);
        for (group, &peak) in self.group_peaks.iter().enumerate() {
            if peak < bound {
                continue;
            }
            let start = group * GROUP;
            let rows = &logits[start..logits.len().min(start + GROUP)];
            for (offset, &logit) in rows.iter().enumerate() {
                if logit >= bound && logit > f32::NEG_INFINITY {
                    self.candidates.push(Candidate { token: token_of(start + offset), logit });
                }
            }
        }
        if count < self.candidates.len() {
            self.candidates.select_nth_unstable_by(count, Candidate::rank);
            self.candidates.truncate(count);
        }
        self.candidates.sort_unstable_by(Candidate::rank);
        &self.candidates
    }

    /// The first `count` tokens that [`Ranking::first`] found last.
    pub fn found(&self, count: usize) -> &[Candidate] {
        &self.candidates[..count]
    }

    /// A value that at least `count` logits reach, or −∞.
    fn lower_bound(&mut self, count: usize) -> f32 {
        if count == 0 || count > self.group_peaks.len() {
            return f32::NEG_INFINITY;
        }
        self.sorted_peaks.clone_from(&self.group_peaks);
        *self.sorted_peaks.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a)).1
    }
}

/// The largest logit of a group, or NaN if it has one.
///
/// Lane by lane, because in a single maximum every comparison waits for the one before.
fn peak(group: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut not_numbers = [0u32; LANES];
    let whole = group.chunks_exact(LANES);
    let rest = whole.remainder();
    for row in whole {
        for lane in 0..LANES {
            lanes[lane] = if row[lane] > lanes[lane] { row[lane] } else { lanes[lane] };
            not_numbers[lane] |= u32::from(row[lane].is_nan());
        }
    }
    if not_numbers != [0; LANES] || rest.iter().any(|logit| logit.is_nan()) {
        return f32::NAN;
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

fn first_not_finite(logits: &[f32], group: usize) -> TokenId {
    let start = group * GROUP;
    let not_finite = |logit: &f32| logit.is_nan() || *logit == f32::INFINITY;
    let offset = logits[start..].iter().position(not_finite);
    token_of(start + offset.expect("the peak of this group is not finite"))
}

fn token_of(index: usize) -> TokenId {
    TokenId(u32::try_from(index).expect("a vocabulary has fewer rows than 2³²"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::random::uniform;

    fn random_logits(count: usize, distinct: u32) -> Vec<f32> {
        (0..count as u64)
            .map(|index| (uniform(count as u64, index) * f64::from(distinct)) as u32 as f32)
            .collect()
    }

    #[test]
    fn the_first_n_are_those_of_a_full_sort() {
        for length in [1, 15, 16, 17, 255, 256, 257, 1000, 5000] {
            for distinct in [1, 3, 1_000_000] {
                let logits = random_logits(length, distinct);
                let mut sorted: Vec<Candidate> = logits
                    .iter()
                    .enumerate()
                    .map(|(index, &logit)| Candidate { token: token_of(index), logit })
                    .collect();
                sorted.sort_by(Candidate::rank);
                let mut ranking = Ranking::default();
                let best = ranking.survey(&logits).expect("all logits are finite");
                assert_eq!(best, sorted[0], "{length} rows, {distinct} values");
                for count in [1, 2, 19, 20, 21, 300, length] {
                    let expected = &sorted[..count.min(length)];
                    assert_eq!(
                        ranking.first(&logits, count),
                        expected,
                        "{count} of {length} rows, {distinct} values"
                    );
                }
            }
        }
    }

    #[test]
    fn impossible_tokens_are_never_among_the_first() {
        let mut logits = vec![f32::NEG_INFINITY; 600];
        logits[599] = -3.0;
        logits[7] = -5.0;
        let mut ranking = Ranking::default();
        ranking.survey(&logits).expect("two tokens are possible");
        let tokens: Vec<u32> = ranking.first(&logits, 10).iter().map(|c| c.token.0).collect();
        assert_eq!(tokens, [599, 7]);
    }

    #[test]
    fn logits_that_are_no_numbers_are_named() {
        for length in [3, 16, 700] {
            for bad in [f32::NAN, -f32::NAN, f32::INFINITY] {
                for index in [0, length / 2, length - 1] {
                    let mut logits = vec![f32::NEG_INFINITY; length];
                    logits[index] = bad;
                    let found = Ranking::default().survey(&logits);
                    let token = token_of(index);
                    assert_eq!(found, Err(SampleError::NotFinite { token }), "{bad} at {index}");
                }
            }
        }
        let nothing = Ranking::default().survey(&[f32::NEG_INFINITY; 20]);
        assert_eq!(nothing, Err(SampleError::NothingPossible));
        assert_eq!(Ranking::default().survey(&[]), Err(SampleError::NothingPossible));
    }
}
