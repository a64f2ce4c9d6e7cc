//! Runs steps on the CPU: a plan goes in, logits and hidden rows come out.

use std::sync::Arc;
use std::time::Instant;

use banter_kernels::{BLOCK_TOKENS, Cancel, KvPages, KvShape, KvType, Pool, Rope, Workspace};

use super::BlockId;
use super::layer::{LayerPages, Rows};
use super::plan::{Forward, Plan};
use super::profile::{Operation, Profile};
use super::rotation;
use super::scratch::Scratch;
use super::step::{Step, WantedRows};
use super::weights::{Model, ModelError};
use crate::Pulse;
use crate::model_file::ModelConfig;
use crate::text::TokenId;

/// What a runner has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunnerConfig {
    /// What cached keys and values are rounded to.
    pub kv_type: KvType,
    /// Blocks of the KV cache.
    pub block_count: usize,
    /// The most rows of a step, all spans together.
    pub max_rows: usize,
    /// The most sampled rows of a step.
    pub max_sampled: usize,
    /// Positions of a sequence are below this.
    pub context_tokens: usize,
}

/// Owns a model, its KV cache and the threads, and runs steps.
pub struct Runner {
    model: Model,
    pool: Pool,
    config: RunnerConfig,
    pages: KvPages,
    rope: Rope,
    scratch: Scratch,
    /// Blocks of all spans of the step, one span after another, as the kernels take them.
    blocks: Vec<u32>,
    /// Which spans have logits of the last step, and in which rows.
    sampled: Vec<WantedRows>,
    /// Which spans have hidden rows of the last step, and where in `scratch.h`.
    hidden: Vec<WantedRows>,
    pulse: Pulse,
}

impl Runner {
    /// Allocates the KV cache and everything else a step needs.
    ///
    /// Errors: no memory.
    pub fn new(model: Model, pool: Pool, config: RunnerConfig) -> Result<Runner, ModelError> {
        let shape = kv_shape(model.config(), config.kv_type, config.block_count);
        let pages = KvPages::new(shape).map_err(ModelError::Cache)?;
        let rope = rotation::table(model.config(), config.context_tokens);
        let RunnerConfig { max_rows, max_sampled, context_tokens, .. } = config;
        let attention = Workspace::new(pool.threads(), context_tokens);
        let scratch = Scratch::new(model.config(), max_rows, max_sampled, attention);
        let blocks = Vec::with_capacity(config.block_count);
        let sampled = Vec::with_capacity(max_sampled);
        let hidden = Vec::new();
        let pulse = Pulse::default();
        Ok(Runner { model, pool, config, pages, rope, scratch, blocks, sampled, hidden, pulse })
    }

    /// How many bytes one block of the KV cache takes, over all layers.
    pub fn block_bytes(config: &ModelConfig, kv_type: KvType) -> usize {
        KvPages::block_bytes(kv_shape(config, kv_type, 1))
    }

    /// How many bytes a runner takes in addition to the weights and the KV cache.
    pub fn scratch_bytes(model: &ModelConfig, config: &RunnerConfig) -> usize {
        let angles = config.context_tokens * model.head_dim * size_of::<f32>();
        Scratch::bytes(model, config.max_rows, config.max_sampled) + angles
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What the runner has room for.
    pub fn config(&self) -> &RunnerConfig {
        &self.config
    }

    /// What the steps since the last call spent their time on.
    pub fn take_profile(&mut self) -> Profile {
        std::mem::replace(&mut self.scratch.profile, Profile::new())
    }

    /// Fills the cache at positions below `positions` with arbitrary keys and values, so that steps
    /// behind a long history can be measured without computing one.
    ///
    /// Panics if there are too few blocks.
    pub fn fill_cache(&mut self, blocks: &[BlockId], positions: usize) {
        let KvShape { layers, kv_heads, head_dim, .. } = self.pages.shape();
        let mut values = vec![0.0; 2 * kv_heads * head_dim];
        let mut state = 1_u32;
        for (layer, position) in (0..layers).flat_map(|l| (0..positions).map(move |p| (l, p))) {
            for value in &mut values {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *value = (state >> 8) as f32 / (1 << 23) as f32 - 1.0;
            }
            let (k, v) = values.split_at(kv_heads * head_dim);
            let block = blocks[position / BLOCK_TOKENS].0;
            self.pages.write(layer, block, position % BLOCK_TOKENS, k, v);
        }
    }

    /// Keys and values of a block, as bytes.
    pub fn read_block(&self, block: BlockId) -> Vec<u8> {
        let mut bytes = vec![0; KvPages::block_bytes(self.pages.shape())];
        self.pages.read_block(block.0, &mut bytes);
        bytes
    }

    /// Writes what [`Runner::read_block`] read, of this model and type of cache. False if the bytes
    /// do not have the length of a block; nothing is written then.
    pub fn write_block(&mut self, block: BlockId, bytes: &[u8]) -> bool {
        let is_whole = bytes.len() == KvPages::block_bytes(self.pages.shape());
        if is_whole {
            self.pages.write_block(block.0, bytes);
        }
        is_whole
    }

    /// Shows a sign of life in this pulse whenever a layer begins, from now on.
    pub fn show_life(&mut self, pulse: &Pulse) {
        self.pulse = pulse.clone();
    }

    /// Runs one step.
    ///
    /// Between two layers every span's stop flag is read. The rows of stopped spans are removed and
    /// the others go on, bit for bit as they would have. If only one span is left, it is stopped
    /// inside a layer too.
    /// Panics if the plan breaks a rule of [`Plan`], its spans or [`RunnerConfig`].
    pub fn forward(&mut self, plan: &Plan<'_>) -> Forward {
        self.forward_observed(plan, &mut |_| {})
    }

    /// The logits after the sampled rows of a span of the last step: `[sampled, vocabulary_rows]`.
    ///
    /// None if none were asked for, or the span was stopped.
    pub fn logits(&mut self, span: usize) -> Option<&mut [f32]> {
        let sampled = self.sampled.iter().find(|sampled| sampled.span == span)?;
        Some(self.scratch.logits.some_rows_mut(sampled.first_row, sampled.rows))
    }

    /// The inputs of the model's head at all rows of a span of the last step: `[rows, hidden]`.
    ///
    /// None if they were not asked for, or the span was stopped.
    pub fn hidden(&mut self, span: usize) -> Option<&[f32]> {
        let hidden = self.hidden.iter().find(|hidden| hidden.span == span)?;
        Some(self.scratch.h.some_rows_mut(hidden.first_row, hidden.rows))
    }

    /// Runs one step and calls `begun` inside each layer, after the flags were read, so that tests
    /// can stop a step at any moment.
    pub(super) fn forward_observed(
        &mut self,
        plan: &Plan<'_>,
        begun: &mut dyn FnMut(usize),
    ) -> Forward {
        self.check(plan);
        let Runner { model, pool, pages, rope, scratch, blocks, sampled, hidden, config, pulse } =
            self;
        blocks.clear();
        blocks.extend(plan.spans.iter().flat_map(|span| span.blocks).map(|block| block.0));
        let mut step = Step::new(plan, blocks);

        scratch.profile.begin();
        for (row, token) in step.tokens().enumerate() {
            model.embed_tokens.row(token.0 as usize, scratch.x.row_mut(row));
        }
        scratch.profile.spend(Operation::Embed);
        for (index, layer) in model.layers.iter().enumerate() {
            pulse.beat(Instant::now());
            step.begin_layer(&mut scratch.x);
            if step.positions().is_empty() {
                break;
            }
            cancel_when_stopped(pool, &step);
            begun(index);
            let (positions, attends) = (step.positions(), step.attends());
            let rows = Rows { pool, rope, positions, attends };
            layer.forward(&rows, &mut LayerPages { pages, layer: index }, scratch);
        }
        step.remove_stopped(&mut scratch.x);

        // At the end of the buffer, where the logits' rows do not come: all rows have room in it.
        hidden.clear();
        let mut free = config.max_rows;
        for WantedRows { span, first_row, rows } in step.hidden_rows() {
            free -= rows;
            model.hidden(pool, first_row, free, rows, scratch);
            hidden.push(WantedRows { span, first_row: free, rows });
        }
        sampled.clear();
        let mut count = 0;
        for WantedRows { span, first_row, rows } in step.sampled_rows() {
            scratch.x.move_rows(first_row, count, rows);
            sampled.push(WantedRows { span, first_row: count, rows });
            count += rows;
        }
        cancel_when_stopped(pool, &step);
        model.logits(pool, count, scratch);
        pool.cancel_when(None);
        step.remove_stopped(&mut scratch.x);
        sampled.retain(|sampled| step.is_running(sampled.span));
        hidden.retain(|hidden| step.is_running(hidden.span));
        Forward { spans: step.into_outcomes() }
    }

    fn check(&self, plan: &Plan<'_>) {
        let RunnerConfig { max_rows, max_sampled, context_tokens, .. } = self.config;
        assert!(plan.rows() <= max_rows, "{} rows in a step of {max_rows}", plan.rows());
        let sampled: usize = plan.spans.iter().map(|span| span.wanted.sampled()).sum();
        assert!(sampled <= max_sampled, "{sampled} sampled rows in a step of {max_sampled}");
        let vocabulary_rows = self.model.config().vocabulary_rows;
        for span in plan.spans {
            let end = span.first_position + span.tokens.len();
            assert!(end <= context_tokens, "position {end} in a context of {context_tokens}");
            let is_token = |token: &TokenId| (token.0 as usize) < vocabulary_rows;
            assert!(span.tokens.iter().all(is_token), "tokens below {vocabulary_rows}");
        }
    }
}

/// If a step computes one sequence alone, lets its stop flag end a kernel between two pieces of
/// work.
fn cancel_when_stopped(pool: &Pool, step: &Step<'_>) {
    let cancel = step.lone_span().map(|span| {
        let stop = span.stop.clone();
        Arc::new(move || stop.is_raised()) as Cancel
    });
    pool.cancel_when(cancel);
}

fn kv_shape(config: &ModelConfig, kv_type: KvType, block_count: usize) -> KvShape {
    let ModelConfig { layers, kv_heads, head_dim, .. } = *config;
    KvShape { layers, kv_heads, head_dim, block_count, kv_type }
}
