//! Hyper-parameters and their limits.

use std::ops::RangeInclusive;

use banter_kernels::kv::MAX_HEAD_DIM;

use super::error::Fault;
use super::yarn::{RawYarn, Yarn};

/// The checked hyper-parameters of a Qwen2 model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Transformer layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// Width of the feed-forward layer.
    pub feed_forward: usize,
    /// Rows of the embedding; at least as many as there are tokens.
    pub vocabulary_rows: usize,
    /// Positions the model was trained for, or its context was extended to.
    pub trained_context: usize,
    /// Base of the rotary position angles.
    pub rope_base: f32,
    /// How the angles are stretched, if they are.
    pub yarn: Option<Yarn>,
    /// What RMS norms add before the root.
    pub rms_eps: f32,
    /// Whether the embedding is also the output head.
    pub tied_embeddings: bool,
}

// Each limit is several times the size of the largest Qwen2 model. It is also small enough that no
// product of sizes overflows and that no table made from them is large.
pub(super) const MAX_LAYERS: u64 = 512;
pub(super) const MAX_HIDDEN: u64 = 1 << 16;
pub(super) const MAX_HEADS: u64 = 1 << 10;
pub(super) const MAX_FEED_FORWARD: u64 = 1 << 18;
pub(super) const MAX_VOCABULARY_ROWS: u64 = 1 << 20;
pub(super) const MAX_CONTEXT: u64 = 1 << 24;

/// The shortest context that a model may be trained for or an engine be opened with. It has room
/// for a template, a question and an answer.
pub const MIN_CONTEXT_TOKENS: usize = 32;

/// Hyper-parameters as a file states them, each with its key.
pub(super) struct RawConfig {
    pub layers: Stated<u64>,
    pub hidden: Stated<u64>,
    pub heads: Stated<u64>,
    pub kv_heads: Stated<u64>,
    /// Missing: `hidden` / `heads`.
    pub head_dim: Option<Stated<u64>>,
    pub feed_forward: Stated<u64>,
    pub vocabulary_rows: Stated<u64>,
    pub trained_context: Stated<u64>,
    pub rope_base: Stated<f64>,
    pub yarn: Option<RawYarn>,
    pub rms_eps: Stated<f64>,
    pub tied_embeddings: bool,
}

/// A value and the key that states it.
#[derive(Clone, Debug)]
pub(super) struct Stated<T> {
    pub key: String,
    pub value: T,
}

impl<T> Stated<T> {
    pub fn new(key: &str, value: T) -> Stated<T> {
        Stated { key: key.to_string(), value }
    }
}

impl RawConfig {
    /// Checks every limit and relation.
    pub fn check(self) -> Result<ModelConfig, Fault> {
        let hidden = within(&self.hidden, 1..=MAX_HIDDEN)?;
        let heads = within(&self.heads, 1..=MAX_HEADS)?;
        let kv_heads = within(&self.kv_heads, 1..=MAX_HEADS)?;
        if !heads.is_multiple_of(kv_heads) {
            return Err(wrong(&self.kv_heads, format!("a divisor of the {heads} heads")));
        }
        let trained_context =
            within(&self.trained_context, MIN_CONTEXT_TOKENS as u64..=MAX_CONTEXT)?;
        let yarn = self.yarn.map(RawYarn::check).transpose()?;
        Ok(ModelConfig {
            layers: within(&self.layers, 1..=MAX_LAYERS)?,
            hidden,
            heads,
            kv_heads,
            head_dim: head_dim(self.head_dim, &self.heads, hidden)?,
            feed_forward: within(&self.feed_forward, 1..=MAX_FEED_FORWARD)?,
            vocabulary_rows: within(&self.vocabulary_rows, 1..=MAX_VOCABULARY_ROWS)?,
            trained_context: match &yarn {
                Some(yarn) => yarn.context().min(MAX_CONTEXT as usize),
                None => trained_context,
            },
            rope_base: between(&self.rope_base, 1.0, 1e12)?,
            yarn,
            rms_eps: between(&self.rms_eps, 1e-12, 0.1)?,
            tied_embeddings: self.tied_embeddings,
        })
    }
}

fn head_dim(
    stated: Option<Stated<u64>>,
    heads: &Stated<u64>,
    hidden: usize,
) -> Result<usize, Fault> {
    let stated = match stated {
        Some(stated) => stated,
        None if (hidden as u64).is_multiple_of(heads.value) => {
            Stated { key: heads.key.clone(), value: hidden as u64 / heads.value }
        }
        None => return Err(wrong(heads, format!("a divisor of the hidden size {hidden}"))),
    };
    let head_dim = within(&stated, 1..=MAX_HEAD_DIM as u64)?;
    if !head_dim.is_multiple_of(2) {
        let expected = "heads of an even width, for rotary positions";
        return Err(Fault::key(&stated.key, expected, format!("a width of {head_dim}")));
    }
    Ok(head_dim)
}

/// `stated` as a size within limits.
fn within(stated: &Stated<u64>, limits: RangeInclusive<u64>) -> Result<usize, Fault> {
    let size = usize::try_from(stated.value).ok().filter(|_| limits.contains(&stated.value));
    size.ok_or_else(|| wrong(stated, format!("{} to {}", limits.start(), limits.end())))
}

/// `stated` as a number from `low` to `high`, which NaN never is.
pub(super) fn between(stated: &Stated<f64>, low: f64, high: f64) -> Result<f32, Fault> {
    if (low..=high).contains(&stated.value) {
        Ok(stated.value as f32)
    } else {
        Err(wrong(stated, format!("a number from {low} to {high}")))
    }
}

fn wrong<T: std::fmt::Display>(stated: &Stated<T>, expected: String) -> Fault {
    Fault::key(&stated.key, expected, stated.value.to_string())
}
