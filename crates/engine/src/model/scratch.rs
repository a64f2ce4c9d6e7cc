//! The activations of a step: allocated once, for the largest step there can be.

use banter_kernels::{Input, Workspace};

use super::profile::Profile;
use crate::model_file::ModelConfig;

/// Buffers of a forward pass. A part that a step does not use still holds values of earlier steps.
pub(super) struct Scratch {
    /// The residual stream: [rows, hidden].
    pub x: Buffer,
    /// Input of attention or the feed-forward network, then its output: [rows, hidden].
    pub h: Buffer,
    /// [rows, heads * head_dim]
    pub q: Buffer,
    /// [rows, kv_heads * head_dim]
    pub k: Buffer,
    /// [rows, kv_heads * head_dim]
    pub v: Buffer,
    /// [rows, heads * head_dim]
    pub attended: Buffer,
    /// [rows, feed_forward]
    pub gate: Buffer,
    /// [rows, feed_forward]
    pub up: Buffer,
    /// [sampled, vocabulary_rows]
    pub logits: Buffer,
    /// What the next matmul reads.
    pub input: Input,
    /// Working memory of attention.
    pub attention: Workspace,
    /// What the time is spent on.
    pub profile: Profile,
}

impl Scratch {
    /// Room for steps of `max_rows` rows, of which at most `max_sampled` are sampled.
    pub fn new(
        config: &ModelConfig,
        max_rows: usize,
        max_sampled: usize,
        attention: Workspace,
    ) -> Scratch {
        let Widths { hidden, q, kv, feed_forward } = Widths::of(config);
        Scratch {
            x: Buffer::new(max_rows, hidden),
            h: Buffer::new(max_rows, hidden),
            q: Buffer::new(max_rows, q),
            k: Buffer::new(max_rows, kv),
            v: Buffer::new(max_rows, kv),
            attended: Buffer::new(max_rows, q),
            gate: Buffer::new(max_rows, feed_forward),
            up: Buffer::new(max_rows, feed_forward),
            logits: Buffer::new(max_sampled, config.vocabulary_rows),
            input: Input::new(max_rows, hidden.max(q).max(feed_forward)),
            attention,
            profile: Profile::new(),
        }
    }

    /// How many bytes [`Scratch::new`] allocates.
    pub fn bytes(config: &ModelConfig, max_rows: usize, max_sampled: usize) -> usize {
        let Widths { hidden, q, kv, feed_forward } = Widths::of(config);
        let row_values = 2 * (hidden + q + kv + feed_forward);
        let values = max_rows * row_values + max_sampled * config.vocabulary_rows;
        Workspace::most_bytes()
            + values * size_of::<f32>()
            + Input::bytes(max_rows, hidden.max(q).max(feed_forward))
    }
}

/// How wide rows are.
struct Widths {
    hidden: usize,
    q: usize,
    kv: usize,
    feed_forward: usize,
}

impl Widths {
    fn of(config: &ModelConfig) -> Widths {
        Widths {
            hidden: config.hidden,
            q: config.heads * config.head_dim,
            kv: config.kv_heads * config.head_dim,
            feed_forward: config.feed_forward,
        }
    }
}

/// Rows of equal width.
pub(super) struct Buffer {
    width: usize,
    values: Vec<f32>,
}

impl Buffer {
    fn new(max_rows: usize, width: usize) -> Buffer {
        Buffer { width, values: vec![0.0; max_rows * width] }
    }

    /// The first `count` rows.
    pub fn rows(&self, count: usize) -> &[f32] {
        &self.values[..count * self.width]
    }

    /// The first `count` rows.
    pub fn rows_mut(&mut self, count: usize) -> &mut [f32] {
        &mut self.values[..count * self.width]
    }

    /// `count` rows from `first` on.
    pub fn some_rows_mut(&mut self, first: usize, count: usize) -> &mut [f32] {
        &mut self.values[first * self.width..][..count * self.width]
    }

    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.values[row * self.width..][..self.width]
    }

    /// Copies `count` rows to where they overwrite others.
    pub fn move_rows(&mut self, from: usize, to: usize, count: usize) {
        let values = from * self.width..(from + count) * self.width;
        self.values.copy_within(values, to * self.width);
    }
}
