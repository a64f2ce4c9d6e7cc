//! A small random model, run in every way a plan can ask for.

mod invariance;
pub(crate) mod packed;
mod quantised;
mod reference;
mod stop;

use std::num::NonZeroUsize;

use banter_kernels::{Isa, Pool};

use super::{BlockId, Forward, KvType, Model, Plan, Runner, RunnerConfig, Span, Wanted};
use crate::StopFlag;
use crate::kv_cache::blocks_for;
use crate::make_model::{ModelSpec, WeightMix, make_model};
use crate::model_file::{ModelConfig, ModelFile, ModelSource};
use crate::text::TokenId;

/// Positions a sequence can have: whole blocks, and more than a piece of softmax.
const CONTEXT_TOKENS: usize = 288;
/// Sequences that can be in a step.
const MAX_SPANS: usize = 64;

/// How a runner is made.
#[derive(Clone, Copy, Debug)]
struct Setting {
    weights: &'static str,
    isa: Isa,
    threads: usize,
    kv_type: KvType,
}

impl Setting {
    fn usual() -> Setting {
        Setting { weights: "q8_0", isa: Isa::best(), threads: 2, kv_type: KvType::F16 }
    }
}

fn shape() -> ModelConfig {
    ModelConfig {
        layers: 5,
        hidden: 256,
        heads: 4,
        kv_heads: 2,
        head_dim: 64,
        feed_forward: 512,
        vocabulary_rows: 512,
        trained_context: CONTEXT_TOKENS,
        rope_base: 1e6,
        yarn: None,
        rms_eps: 1e-6,
        tied_embeddings: false,
    }
}

/// A file of random weights; it stays open after its folder is gone.
fn model_file(weights: &str) -> ModelFile {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.gguf");
    let spec = ModelSpec {
        name: "test".to_string(),
        shape: shape(),
        weights: WeightMix::named(weights).expect("a type that can be made"),
        outliers: false,
        vocabulary: None,
        seed: 7,
    };
    make_model(&spec, &path, &mut |_| {}).expect("the model is written");
    ModelFile::open(&ModelSource::Path(path)).expect("the model is right")
}

fn runner(setting: Setting) -> Runner {
    runner_of(&model_file(setting.weights), setting)
}

/// A runner of another model of the same shape.
fn runner_of(file: &ModelFile, setting: Setting) -> Runner {
    let threads = NonZeroUsize::new(setting.threads).expect("at least one thread");
    let pool = Pool::new(setting.isa, threads);
    let model = Model::load(file, &pool, &mut |_| {}).expect("it loads");
    let config = RunnerConfig {
        kv_type: setting.kv_type,
        block_count: MAX_SPANS * blocks_for(CONTEXT_TOKENS),
        max_rows: CONTEXT_TOKENS,
        max_sampled: MAX_SPANS,
        context_tokens: CONTEXT_TOKENS,
    };
    Runner::new(model, pool, config).expect("there is memory")
}

/// A sequence with blocks of its own, which are not in order.
struct Sequence {
    blocks: Vec<BlockId>,
    tokens: Vec<TokenId>,
    stop: StopFlag,
}

impl Sequence {
    /// `number` chooses blocks and tokens.
    fn new(number: usize, len: usize) -> Sequence {
        let per_sequence = blocks_for(CONTEXT_TOKENS);
        let block = |index| u32::try_from(number * per_sequence + index).expect("few blocks");
        let token =
            |index: usize| (number * 131 + index * (7 + 2 * number) + index * index / 5) % 512;
        Sequence {
            blocks: (0..per_sequence).rev().map(block).map(BlockId).collect(),
            tokens: (0..len).map(token).map(|id| TokenId(id as u32)).collect(),
            stop: StopFlag::new(),
        }
    }

    /// Tokens from one position up to another.
    fn span(&self, from: usize, to: usize) -> Span<'_> {
        Span {
            blocks: &self.blocks,
            first_position: from,
            tokens: &self.tokens[from..to],
            wanted: Wanted::logits(1),
            stop: &self.stop,
        }
    }

    /// All tokens.
    fn whole(&self) -> Span<'_> {
        self.span(0, self.tokens.len())
    }
}

/// Runs one step and takes the bits of each span's logits.
fn run(runner: &mut Runner, spans: &[Span<'_>]) -> Vec<Option<Vec<u32>>> {
    let Forward { spans: outcomes } = runner.forward(&Plan { spans });
    (0..outcomes.len()).map(|span| bits(runner, span)).collect()
}

fn bits(runner: &mut Runner, span: usize) -> Option<Vec<u32>> {
    runner.logits(span).map(|logits| logits.iter().map(|logit| logit.to_bits()).collect())
}

/// The bits of a sequence's last logits when it is computed alone and in one step.
fn alone(runner: &mut Runner, sequence: &Sequence) -> Vec<u32> {
    run(runner, &[sequence.whole()]).remove(0).expect("the span was sampled")
}
