//! What the time of forward passes goes to.
//!
//! Always on: a look at the clock after each operation is a few microseconds a step.

use std::time::{Duration, Instant};

/// A kind of work in a forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Reading rows of the embedding.
    Embed,
    /// Norms before attention, feed-forward network and head.
    Norm,
    /// Rounding activations for the next product.
    Prepare,
    /// Products with the layers' weights.
    Matmul,
    /// Biases of q, k and v.
    Bias,
    /// Rotary positions of q and k.
    Rope,
    /// Writing keys and values into the cache.
    WriteKv,
    /// Scores, softmax and weighted values.
    Attention,
    /// The gate of the feed-forward network.
    Gate,
    /// Adding to the residual stream.
    Add,
    /// Products with the head's weights.
    Head,
}

impl Work {
    /// Every kind, in the order of the forward pass.
    pub const ALL: [Work; 11] = [
        Work::Embed,
        Work::Norm,
        Work::Prepare,
        Work::Matmul,
        Work::Bias,
        Work::Rope,
        Work::WriteKv,
        Work::Attention,
        Work::Gate,
        Work::Add,
        Work::Head,
    ];

    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Work::Embed => "embed",
            Work::Norm => "norm",
            Work::Prepare => "prepare",
            Work::Matmul => "matmul",
            Work::Bias => "bias",
            Work::Rope => "rope",
            Work::WriteKv => "write_kv",
            Work::Attention => "attention",
            Work::Gate => "gate",
            Work::Add => "add",
            Work::Head => "head",
        }
    }
}

/// Times by kind of work, added up over steps.
#[derive(Clone, Debug)]
pub struct Profile {
    /// When the work that is going on began.
    since: Instant,
    spent: [Duration; Work::ALL.len()],
}

impl Profile {
    /// Nothing spent yet.
    pub(super) fn new() -> Profile {
        Profile { since: Instant::now(), spent: [Duration::ZERO; Work::ALL.len()] }
    }

    /// Begins a step: what went before belongs to no work.
    pub(super) fn begin(&mut self) {
        self.since = Instant::now();
    }

    /// Gives the time since the last call to `work`.
    pub(super) fn spend(&mut self, work: Work) {
        let now = Instant::now();
        self.spent[work as usize] += now - self.since;
        self.since = now;
    }

    /// How long all work of a kind took.
    pub fn spent(&self, work: Work) -> Duration {
        self.spent[work as usize]
    }
}
