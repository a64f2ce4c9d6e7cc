//! Runs a golden model.

use std::num::NonZeroUsize;
use std::path::Path;

use banter_engine::StopFlag;
use banter_engine::kv_cache::{BlockId, blocks_for};
use banter_engine::model::{self, Plan, Runner, RunnerConfig, Span, Wanted};
use banter_engine::model_file::{ModelFile, ModelSource};
use banter_engine::text::TokenId;
use banter_kernels::{Isa, KvType, Pool};
use serde_json::json;

use crate::expected::most_likely;
use crate::models::{Spec, Tensor};

/// Positions that are computed in one step.
const STEP_POSITIONS: usize = 48;

/// A golden model, ready to run.
pub struct Model {
    pub runner: Runner,
}

impl Model {
    /// The model of a description, on the fastest instruction set.
    pub fn make(spec: &Spec, kv_type: KvType) -> Model {
        Model::make_on(spec, kv_type, Isa::best())
    }

    /// The model of a description, on a given instruction set.
    pub fn make_on(spec: &Spec, kv_type: KvType, isa: Isa) -> Model {
        load(spec, &spec.tensors(), kv_type, isa)
    }

    /// A model with these weights, on the fastest instruction set.
    pub fn write_and_load(spec: &Spec, tensors: &[Tensor], kv_type: KvType) -> Model {
        load(spec, tensors, kv_type, Isa::best())
    }

    /// The answer to a prompt, if each token is the most likely one.
    pub fn answer(&mut self, prompt: &[TokenId], count: usize) -> Vec<TokenId> {
        let mut tokens = prompt.to_vec();
        let mut computed = 0;
        while tokens.len() < prompt.len() + count {
            let blocks = blocks(tokens.len());
            let stop = StopFlag::new();
            let span = Span {
                blocks: &blocks,
                first_position: computed,
                tokens: &tokens[computed..],
                wanted: Wanted::logits(1),
                stop: &stop,
            };
            self.runner.forward(&Plan { spans: &[span] });
            computed = tokens.len();
            tokens.push(most_likely(self.runner.logits(0).expect("the span was sampled")));
        }
        tokens.split_off(prompt.len())
    }
}

/// Computes the logits of every position of one sequence and gives them to `look`.
pub fn run_positions(runner: &mut Runner, tokens: &[TokenId], look: &mut dyn FnMut(usize, &[f32])) {
    let blocks = blocks(tokens.len());
    let stop = StopFlag::new();
    for first in (0..tokens.len()).step_by(STEP_POSITIONS) {
        let positions = first..tokens.len().min(first + STEP_POSITIONS);
        let span = Span {
            blocks: &blocks,
            first_position: first,
            tokens: &tokens[positions.clone()],
            wanted: Wanted::logits(positions.len()),
            stop: &stop,
        };
        runner.forward(&Plan { spans: &[span] });
        let logits = runner.logits(0).expect("every position is sampled");
        let vocabulary_rows = logits.len() / positions.len();
        for (position, logits) in positions.zip(logits.chunks_exact(vocabulary_rows)) {
            look(position, logits);
        }
    }
}

fn blocks(tokens: usize) -> Vec<BlockId> {
    (0..).map(BlockId).take(blocks_for(tokens)).collect()
}

fn load(spec: &Spec, tensors: &[Tensor], kv_type: KvType, isa: Isa) -> Model {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_folder(spec, tensors, folder.path());
    let source = ModelSource::Path(folder.path().to_path_buf());
    let file = ModelFile::open(&source).expect("the folder is a model");
    let end_tokens = spec.end_tokens.iter().map(|id| TokenId(*id)).collect::<Vec<_>>();
    assert_eq!(file.vocabulary().end_tokens, end_tokens, "{}", spec.name);
    let pool = Pool::new(isa, NonZeroUsize::new(2).expect("two threads"));
    let model = model::Model::load(&file, &pool, &mut |_| {}).expect("the weights are there");
    let config = RunnerConfig {
        kv_type,
        block_count: blocks_for(spec.max_position_embeddings),
        max_rows: STEP_POSITIONS,
        max_sampled: STEP_POSITIONS,
        context_tokens: spec.max_position_embeddings,
    };
    Model { runner: Runner::new(model, pool, config).expect("there is memory") }
}

/// Writes a Hugging Face folder.
fn write_folder(spec: &Spec, tensors: &[Tensor], folder: &Path) {
    let mut config = serde_json::to_value(spec).expect("descriptions are JSON");
    config["model_type"] = json!("qwen2");
    config["hidden_act"] = json!("silu");
    config["architectures"] = json!(["Qwen2ForCausalLM"]);
    let generation = json!({ "eos_token_id": spec.end_tokens });
    let files = [
        ("config.json", config),
        ("generation_config.json", generation),
        ("tokenizer.json", tokenizer(spec)),
    ];
    for (name, value) in files {
        std::fs::write(folder.join(name), value.to_string()).expect("the folder is writable");
    }
    let bytes = safetensors(spec, tensors);
    std::fs::write(folder.join("model.safetensors"), bytes).expect("the folder is writable");
}

/// A tokenizer of the right size. No test reads text with it.
fn tokenizer(spec: &Spec) -> serde_json::Value {
    let pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let vocab: serde_json::Map<_, _> =
        (0..spec.tokens).map(|id| (format!("t{id}"), json!(id))).collect();
    json!({
        "normalizer": { "type": "NFC" },
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false },
            { "type": "ByteLevel", "add_prefix_space": false, "use_regex": false },
        ] },
        "model": { "type": "BPE", "vocab": vocab, "merges": [] },
    })
}

fn safetensors(spec: &Spec, tensors: &[Tensor]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for tensor in tensors {
        let start = data.len();
        data.extend(spec.stored_as.bytes(&tensor.values));
        let entry = json!({
            "dtype": spec.stored_as.name(), "shape": tensor.shape, "data_offsets": [start, data.len()],
        });
        header.insert(tensor.name.clone(), entry);
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend(data);
    file
}
