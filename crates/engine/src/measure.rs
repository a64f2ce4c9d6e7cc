//! How fast a model reads a prompt and writes an answer here.
//!
//! Drives the runner directly, without sampler or thread, so the figures are the forward pass's own.
//! Tokens are arbitrary: a dense model computes the same whatever they are.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use banter_kernels::{Isa, KvType, Pool};

use crate::StopFlag;
use crate::engine::OpenError;
use crate::kv_cache::{BLOCK_TOKENS, BlockId};
use crate::model::{Model, Plan, Runner, RunnerConfig, Span};
use crate::model_file::{ModelFile, ModelSource};
use crate::text::TokenId;

/// Tokens of a prompt computed in one step, as the engine does by default.
const STEP_TOKENS: usize = 512;

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Measurement {
    /// Instruction set to compute with.
    pub isa: Isa,
    /// Threads to compute with.
    pub threads: NonZeroUsize,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens generated after it, one at a time.
    pub generate_tokens: usize,
    /// Repetitions; rates are medians over them.
    pub repetitions: usize,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Speed {
    /// Name of the model.
    pub model: String,
    /// How its weights are stored.
    pub weight_types: String,
    /// From nothing to a model that computes.
    pub load_seconds: f64,
    /// Tokens per second of a prompt from an empty cache.
    pub prompt_tokens_per_second: f64,
    /// Tokens per second behind that prompt.
    pub generate_tokens_per_second: f64,
}

/// Loads the model at `path` and measures it.
///
/// Errors: the model cannot be opened, or the tokens exceed what it was trained on.
pub fn measure(path: &Path, measurement: &Measurement) -> Result<Speed, OpenError> {
    let started = Instant::now();
    let file = ModelFile::open(&ModelSource::Path(path.to_path_buf()))?;
    let (prompt, generate) = (measurement.prompt_tokens, measurement.generate_tokens);
    let tokens = prompt + generate;
    let trained_context = file.config().trained_context;
    if tokens > trained_context {
        return Err(OpenError::ContextTooLong { trained_context, asked: tokens });
    }
    let pool = Pool::new(measurement.isa, measurement.threads);
    let model = Model::load(&file, &pool, &mut |_| {})?;
    let block_count = tokens.div_ceil(BLOCK_TOKENS);
    let config = RunnerConfig {
        kv_type: KvType::F16,
        block_count,
        max_rows: STEP_TOKENS.min(prompt),
        max_spans: 1,
        context_tokens: tokens,
    };
    let mut sequence = Sequence {
        runner: Runner::new(model, pool, config)?,
        blocks: (0..block_count as u32).map(BlockId).collect(),
        vocabulary: file.config().vocabulary_rows as u32,
    };
    let load_seconds = started.elapsed().as_secs_f64();

    let (mut prompt_rates, mut generate_rates) = (Vec::new(), Vec::new());
    for _ in 0..measurement.repetitions {
        prompt_rates.push(sequence.prompt(prompt));
        generate_rates.push(sequence.generate(prompt, generate));
    }
    Ok(Speed {
        model: file.description().name.clone(),
        weight_types: file.description().weight_types.clone(),
        load_seconds,
        prompt_tokens_per_second: median(prompt_rates),
        generate_tokens_per_second: median(generate_rates),
    })
}

/// One sequence that owns every block there is.
struct Sequence {
    runner: Runner,
    blocks: Vec<BlockId>,
    vocabulary: u32,
}

impl Sequence {
    /// Computes a prompt from an empty cache, its last logits included; returns tokens per second.
    fn prompt(&mut self, length: usize) -> f64 {
        let started = Instant::now();
        let mut position = 0;
        while position < length {
            let count = STEP_TOKENS.min(length - position);
            self.step(position, count, position + count == length);
            position += count;
        }
        length as f64 / started.elapsed().as_secs_f64()
    }

    /// Computes tokens one after another behind a prompt; returns tokens per second.
    fn generate(&mut self, behind: usize, length: usize) -> f64 {
        let started = Instant::now();
        for position in behind..behind + length {
            self.step(position, 1, true);
        }
        length as f64 / started.elapsed().as_secs_f64()
    }

    fn step(&mut self, first_position: usize, count: usize, sample: bool) {
        let tokens: Vec<TokenId> = (first_position..first_position + count)
            .map(|position| TokenId((position as u32).wrapping_mul(7919) % self.vocabulary))
            .collect();
        let stop = StopFlag::new();
        let span =
            Span { blocks: &self.blocks, first_position, tokens: &tokens, sample, stop: &stop };
        self.runner.forward(&Plan { spans: &[span] });
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
