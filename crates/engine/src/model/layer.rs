//! One layer: attention and a feed-forward network, each on a normed copy of the residual stream.
//!
//! Source: Qwen2 Technical Report, 2024; names are those of published checkpoints.

use banter_kernels::{
    Attend, BLOCK_TOKENS, Input, KvPages, Matrix, Pool, Rope, add, add_bias, attend, matmul,
    rms_norm, rope, swiglu,
};

use super::profile::{Operation, Profile};
use super::scratch::Scratch;

/// A layer of the model.
pub(super) struct DecoderLayer {
    pub input_layernorm: RmsNorm,
    pub self_attn: SelfAttention,
    pub post_attention_layernorm: RmsNorm,
    pub mlp: Mlp,
}

/// Root mean square norm.
pub(super) struct RmsNorm {
    /// [width]
    pub weight: Vec<f32>,
    pub eps: f32,
}

/// Weights with a bias.
pub(super) struct Linear {
    /// [outputs, inputs]
    pub weight: Matrix,
    /// [outputs]
    pub bias: Vec<f32>,
}

/// Grouped-query attention with rotary positions.
pub(super) struct SelfAttention {
    /// [heads * head_dim, hidden]
    pub q_proj: Linear,
    /// [kv_heads * head_dim, hidden]
    pub k_proj: Linear,
    /// [kv_heads * head_dim, hidden]
    pub v_proj: Linear,
    /// [hidden, heads * head_dim]
    pub o_proj: Matrix,
}

/// Feed-forward network with a gate.
pub(super) struct Mlp {
    /// [feed_forward, hidden]
    pub gate_proj: Matrix,
    /// [feed_forward, hidden]
    pub up_proj: Matrix,
    /// [hidden, feed_forward]
    pub down_proj: Matrix,
}

/// The rows of a step: their positions, and what they compute with.
pub(super) struct Rows<'a> {
    pub pool: &'a Pool,
    pub rope: &'a Rope,
    /// [rows]
    pub positions: &'a [u32],
    /// Which blocks each sequence's rows attend to. The rows of a sequence follow each other.
    pub attends: &'a [Attend<'a>],
}

/// The pages of one layer.
pub(super) struct LayerPages<'a> {
    pub pages: &'a mut KvPages,
    pub layer: usize,
}

impl DecoderLayer {
    /// Adds this layer's two contributions to the residual stream `scratch.x`.
    pub fn forward(&self, rows: &Rows<'_>, pages: &mut LayerPages<'_>, scratch: &mut Scratch) {
        let (pool, count) = (rows.pool, rows.positions.len());

        self.input_layernorm.forward(pool, scratch.x.rows(count), scratch.h.rows_mut(count));
        scratch.profile.spend(Operation::Norm);
        self.self_attn.forward(rows, pages, scratch);
        add(pool, scratch.x.rows_mut(count), scratch.h.rows(count));
        scratch.profile.spend(Operation::Add);

        let norm = &self.post_attention_layernorm;
        norm.forward(pool, scratch.x.rows(count), scratch.h.rows_mut(count));
        scratch.profile.spend(Operation::Norm);
        self.mlp.forward(pool, count, scratch);
        add(pool, scratch.x.rows_mut(count), scratch.h.rows(count));
        scratch.profile.spend(Operation::Add);
    }
}

impl SelfAttention {
    /// Replaces the normed rows in `scratch.h` by what attention makes of them.
    fn forward(&self, rows: &Rows<'_>, pages: &mut LayerPages<'_>, scratch: &mut Scratch) {
        let (pool, count) = (rows.pool, rows.positions.len());
        let Scratch { h, q, k, v, attended, input, attention, profile, .. } = scratch;
        let q = q.rows_mut(count); // [rows, heads * head_dim]
        let k = k.rows_mut(count); // [rows, kv_heads * head_dim]
        let v = v.rows_mut(count); // [rows, kv_heads * head_dim]
        let attended = attended.rows_mut(count); // [rows, heads * head_dim]

        let mut shared = SharedInput::new(pool, h.rows(count), input, profile);
        self.q_proj.forward(&mut shared, q);
        self.k_proj.forward(&mut shared, k);
        self.v_proj.forward(&mut shared, v);
        rope(pool, rows.rope, q, rows.positions);
        rope(pool, rows.rope, k, rows.positions);
        profile.spend(Operation::Rope);
        pages.write(rows, k, v);
        profile.spend(Operation::WriteKv);
        attend(pool, pages.pages.layer(pages.layer), q, rows.attends, attention, attended);
        profile.spend(Operation::Attention);

        let mut shared = SharedInput::new(pool, attended, input, profile);
        shared.multiply(&self.o_proj, h.rows_mut(count));
    }
}

impl Mlp {
    /// Replaces the normed rows in `scratch.h` by what the network makes of them.
    fn forward(&self, pool: &Pool, count: usize, scratch: &mut Scratch) {
        let Scratch { h, gate, up, input, profile, .. } = scratch;
        let gate = gate.rows_mut(count); // [rows, feed_forward]
        let up = up.rows_mut(count); // [rows, feed_forward]

        let mut shared = SharedInput::new(pool, h.rows(count), input, profile);
        shared.multiply(&self.gate_proj, gate);
        shared.multiply(&self.up_proj, up);
        swiglu(pool, gate, up);
        profile.spend(Operation::Gate);

        let mut shared = SharedInput::new(pool, gate, input, profile);
        shared.multiply(&self.down_proj, h.rows_mut(count));
    }
}

impl RmsNorm {
    /// Shapes: `x`, `out` [rows, width].
    pub fn forward(&self, pool: &Pool, x: &[f32], out: &mut [f32]) {
        rms_norm(pool, x, &self.weight, self.eps, out);
    }
}

impl Linear {
    /// Shapes: `input` [rows, inputs], `output` [rows, outputs].
    fn forward(&self, input: &mut SharedInput<'_>, output: &mut [f32]) {
        input.multiply(&self.weight, output);
        add_bias(input.pool, output, &self.bias);
        input.profile.spend(Operation::Bias);
    }
}

/// Rows that several matrices read. They are prepared once, and again only for a matrix that needs
/// them in another form or order.
struct SharedInput<'a> {
    pool: &'a Pool,
    /// [rows, inputs]
    x: &'a [f32],
    prepared: &'a mut Input,
    is_prepared: bool,
    profile: &'a mut Profile,
}

impl<'a> SharedInput<'a> {
    fn new(
        pool: &'a Pool,
        x: &'a [f32],
        prepared: &'a mut Input,
        profile: &'a mut Profile,
    ) -> SharedInput<'a> {
        SharedInput { pool, x, prepared, is_prepared: false, profile }
    }

    /// Shapes: `output` [rows, outputs].
    fn multiply(&mut self, weights: &Matrix, output: &mut [f32]) {
        if !self.is_prepared || !self.prepared.suits(weights) {
            let rows = self.x.len() / weights.depth();
            self.prepared.set_for(self.pool, self.x, rows, &[weights]);
            self.is_prepared = true;
            self.profile.spend(Operation::Prepare);
        }
        matmul(self.pool, weights, self.prepared, output);
        self.profile.spend(Operation::Matmul);
    }
}

impl LayerPages<'_> {
    /// Stores every row's keys and values before any row attends, so that a row sees the rounded
    /// values of its own step, as it sees those of earlier steps.
    ///
    /// Shapes: `k`, `v` [rows, kv_heads * head_dim].
    fn write(&mut self, rows: &Rows<'_>, k: &[f32], v: &[f32]) {
        let shape = self.pages.shape();
        let width = shape.kv_heads * shape.head_dim;
        let mut tokens = k.chunks_exact(width).zip(v.chunks_exact(width));
        for span in rows.attends {
            let positions = span.first_position..span.first_position + span.rows;
            for (position, (k, v)) in positions.zip(tokens.by_ref()) {
                let block = span.blocks[position / BLOCK_TOKENS];
                self.pages.write(self.layer, block, position % BLOCK_TOKENS, k, v);
            }
        }
    }
}
