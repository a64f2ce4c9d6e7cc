//! What forward passes spend their time on.
//!
//! Always on: reading the clock after each operation takes a few microseconds a step.

use std::time::{Duration, Instant};

/// A kind of operation in a forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
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

impl Operation {
    /// Every kind, in the order of the forward pass.
    pub const ALL: [Operation; 11] = [
        Operation::Embed,
        Operation::Norm,
        Operation::Prepare,
        Operation::Matmul,
        Operation::Bias,
        Operation::Rope,
        Operation::WriteKv,
        Operation::Attention,
        Operation::Gate,
        Operation::Add,
        Operation::Head,
    ];

    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Embed => "embed",
            Operation::Norm => "norm",
            Operation::Prepare => "prepare",
            Operation::Matmul => "matmul",
            Operation::Bias => "bias",
            Operation::Rope => "rope",
            Operation::WriteKv => "write_kv",
            Operation::Attention => "attention",
            Operation::Gate => "gate",
            Operation::Add => "add",
            Operation::Head => "head",
        }
    }
}

/// Times by kind of operation, added up over steps.
#[derive(Clone, Debug)]
pub struct Profile {
    /// When the current operation began.
    since: Instant,
    spent: [Duration; Operation::ALL.len()],
}

impl Profile {
    /// Nothing spent yet.
    pub(super) fn new() -> Profile {
        Profile { since: Instant::now(), spent: [Duration::ZERO; Operation::ALL.len()] }
    }

    /// Begins a step: the time before it belongs to no operation.
    pub(super) fn begin(&mut self) {
        self.since = Instant::now();
    }

    /// Adds the time since the last call to `operation`.
    pub(super) fn spend(&mut self, operation: Operation) {
        let now = Instant::now();
        self.spent[operation as usize] += now - self.since;
        self.since = now;
    }

    /// How long all operations of a kind took.
    pub fn spent(&self, operation: Operation) -> Duration {
        self.spent[operation as usize]
    }
}
