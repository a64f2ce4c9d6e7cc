//! Reads golden files and measures how far logits are from theirs.

use std::fmt;

use banter_engine::text::TokenId;

use crate::models::{Spec, folder};

const TOP: usize = 8;
const COLUMNS: usize = 8;
const PROMPT_TOKENS: usize = 24;
const GREEDY_TOKENS: usize = 128;

/// The content of a golden file, with the tokens that it was computed from.
pub struct Expected {
    pub prompt: Vec<TokenId>,
    /// The tokens after the prompt if the most likely token is always chosen.
    pub answer: Vec<TokenId>,
    /// The tokens of each sequence, and what is recorded of each position.
    pub sequences: Vec<(Vec<TokenId>, Vec<Position>)>,
}

/// The recorded facts about the logits at one position.
pub struct Position {
    logsumexp: f32,
    deviation: f32,
    top_values: [f32; TOP],
    /// The logits of fixed columns, the same columns at every position.
    fixed_values: [f32; COLUMNS],
    top_ids: [u32; TOP],
}

/// The distance of logits from the expected ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gap {
    pub positions: usize,
    /// The largest difference, in standard deviations of the logits at its position.
    pub worst: f32,
    /// Number of positions with another most likely token than expected.
    top_1_misses: usize,
}

impl Expected {
    pub fn read(spec: &Spec) -> Expected {
        let path = folder().join(format!("{}.bin", spec.name));
        let bytes = std::fs::read(path).expect("golden files are committed");
        let mut words = Words(&bytes);
        let prompt = spec.tokens(&format!("prompt/{}", words.number()), PROMPT_TOKENS);
        let answer = (0..GREEDY_TOKENS).map(|_| TokenId(words.number())).collect();
        let sequences = spec.sequences.iter().enumerate().map(|(index, &length)| {
            let positions = (0..length).map(|_| words.position()).collect();
            (spec.tokens(&format!("sequence/{index}"), length), positions)
        });
        let sequences = sequences.collect();
        assert!(words.0.is_empty(), "{}: bytes after the last position", spec.name);
        Expected { prompt, answer, sequences }
    }
}

/// The 32-bit little-endian words of a file.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn number(&mut self) -> u32 {
        let (word, rest) = self.0.split_first_chunk().expect("golden files are complete");
        self.0 = rest;
        u32::from_le_bytes(*word)
    }

    fn float(&mut self) -> f32 {
        f32::from_bits(self.number())
    }

    fn position(&mut self) -> Position {
        Position {
            logsumexp: self.float(),
            deviation: self.float(),
            top_values: std::array::from_fn(|_| self.float()),
            fixed_values: std::array::from_fn(|_| self.float()),
            top_ids: std::array::from_fn(|_| self.number()),
        }
    }
}

impl Gap {
    /// Compares the logits of one more position.
    pub fn add(&mut self, spec: &Spec, logits: &[f32], expected: &Position) {
        assert_eq!(logits.len(), spec.vocab_size);
        let column = |index: usize| index * (spec.vocab_size - 1) / (COLUMNS - 1);
        let top = expected.top_ids.iter().map(|&id| id as usize).zip(expected.top_values);
        let fixed = expected.fixed_values.iter().enumerate();
        let fixed = fixed.map(|(index, &value)| (column(index), value));
        let columns = top.chain(fixed).map(|(column, value)| (logits[column] - value).abs());
        let sums = (logsumexp(logits) - expected.logsumexp).abs();
        for difference in columns.chain([sums]) {
            let difference = difference / expected.deviation;
            // `max` would pass over a NaN.
            let difference = if difference.is_nan() { f32::INFINITY } else { difference };
            self.worst = self.worst.max(difference);
        }
        self.positions += 1;
        self.top_1_misses += usize::from(most_likely(logits).0 != expected.top_ids[0]);
    }

    /// The part of positions with the expected most likely token.
    pub fn top_1(&self) -> f64 {
        1.0 - self.top_1_misses as f64 / self.positions as f64
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Gap { positions, worst, top_1_misses } = self;
        write!(
            formatter,
            "{positions} positions, off by at most {worst:.2e} standard deviations, "
        )?;
        write!(formatter, "{top_1_misses} with another first token")
    }
}

/// The most likely token; if several are equal, the one with the lowest id.
pub fn most_likely(logits: &[f32]) -> TokenId {
    let mut best = 0;
    for (index, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = index;
        }
    }
    TokenId(u32::try_from(best).expect("vocabularies are far below 2³² rows"))
}

fn logsumexp(logits: &[f32]) -> f32 {
    let highest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - highest).exp()).sum();
    (highest + sum.ln()) as f32
}
