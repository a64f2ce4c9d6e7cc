//! Models of random weights in the shapes of published ones: every supported format loads and
//! answers, and a stop ends a long prompt. They take gigabytes and minutes, so only
//! `make test-long` runs them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread;
use std::time::Duration;

use banter_engine::engine::{
    Engine, EngineConfig, Event, FinishReason, GenerateRequest, Generation, Submit,
};
use banter_engine::make_model::{ModelSpec, WeightMix, make_model, named_shape};
use banter_engine::model_file::{LayerTensor, ModelFile, ModelSource, TensorName};
use banter_engine::sampler::SamplingParams;
use banter_engine::text::{Message, TokenKind};
use banter_kernels::blocks::BlockType;
use serde_json::{Map, Value, json};

const ANSWER_TOKENS: usize = 24;

fn make(shape: &str, weights: &str, path: &Path) {
    let spec = ModelSpec {
        name: format!("{shape} {weights}"),
        shape: named_shape(shape).expect("a known shape"),
        weights: WeightMix::named(weights).expect("a known mix"),
        outliers: false,
        vocabulary: None,
        seed: 7,
    };
    make_model(&spec, path, &mut |_| ()).unwrap_or_else(|error| panic!("{weights}: {error}"));
}

fn open(path: &Path) -> Engine {
    let mut config = EngineConfig::new(ModelSource::Path(path.to_owned()));
    config.threads = NonZeroUsize::new(2);
    config.context_tokens = Some(8_192);
    Engine::open(config, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"))
}

fn submit(engine: &Engine, words: usize, max_tokens: usize) -> Generation {
    let content: String = (0..words).map(|index| format!("word{} ", index % 7)).collect();
    let request = GenerateRequest {
        sampling: SamplingParams { temperature: 1.0, seed: Some(1), ..SamplingParams::default() },
        max_tokens: Some(max_tokens),
        ..GenerateRequest::new(vec![Message::user(content)])
    };
    match engine.submit(request) {
        Submit::Accepted(generation) => generation,
        other => panic!("expected an answer, found {other:?}"),
    }
}

/// The answer to a short question. Random weights give no sensible text, but it must not be empty:
/// then no logit was NaN, and not every token is the same.
fn answer(engine: &Engine) -> String {
    let mut generation = submit(engine, 40, ANSWER_TOKENS);
    let mut deltas = Vec::new();
    loop {
        match generation.next_blocking().expect("a generation is told its end") {
            Event::Delta { text, .. } => deltas.push(text),
            Event::Finished(finished) => {
                assert_eq!(finished.reason, FinishReason::Length, "{deltas:?}");
                let different: HashSet<&String> = deltas.iter().collect();
                assert!(different.len() > ANSWER_TOKENS / 4, "{deltas:?}");
                return deltas.concat();
            }
            Event::Queued { .. } | Event::Prefill { .. } => {}
        }
    }
}

#[test]
#[ignore = "writes 12 GB of models one after the other; make test-long runs it"]
fn a_05b_of_every_stored_type_loads_and_answers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for weights in WeightMix::names() {
        let path = folder.path().join("model.gguf");
        make("qwen2.5-0.5b", &weights, &path);
        let engine = open(&path);
        println!("{weights}: {} answers {:?}", engine.info().weight_types, answer(&engine));
        fs::remove_file(&path).expect("the model was written");
    }
}

#[test]
#[ignore = "writes 6 GB of models; make test-long runs it"]
fn a_05b_folder_answers_as_the_file_of_the_same_weights() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cases = [
        ("f32", BlockType::F32, "F32", 1),
        ("f16", BlockType::F16, "F16", 2),
        ("bf16", BlockType::Bf16, "BF16", 3),
    ];
    for (weights, kind, dtype, shards) in cases {
        let path = folder.path().join("model.gguf");
        make("qwen2.5-0.5b", weights, &path);
        let expected = answer(&open(&path));
        let file = ModelFile::open(&ModelSource::Path(path)).expect("it has just answered");
        let model = folder.path().join(dtype);
        fs::create_dir(&model).expect("a folder");
        write_folder(&file, &model, kind, dtype, shards);
        assert_eq!(answer(&open(&model)), expected, "{dtype}");
        fs::remove_dir_all(&model).expect("the folder was written");
    }
}

#[test]
#[ignore = "reads 4,000 tokens with a 1.5B; make test-long runs it"]
fn a_stop_inside_4000_tokens_of_a_15b_runs_at_most_one_more_layer() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.gguf");
    make("qwen2.5-1.5b", "q4_0", &path);
    let engine = open(&path);
    let before = engine.counters();
    for stop in 0..10 {
        let mut generation = submit(&engine, 1_400, 10);
        let total = generation.prompt_tokens();
        assert!((4_000..5_000).contains(&total), "{total} tokens");
        let done = loop {
            match generation.next_blocking() {
                Some(Event::Prefill { done, .. }) if done > 0 => break done,
                Some(Event::Queued { .. } | Event::Prefill { .. }) => {}
                other => panic!("expected progress of the prompt, found {other:?}"),
            }
        };
        assert!(done < total / 2, "{done} of {total} tokens were computed at once");
        // The pause only moves the stop to another moment of a step; no result depends on it.
        thread::sleep(Duration::from_millis(23 * stop));
        let layers_before = engine.counters().layers_after_stop;
        generation.stop();
        let finished = loop {
            match generation.next_blocking().expect("a generation is told its end") {
                Event::Finished(finished) => break finished,
                Event::Prefill { .. } => {}
                other => panic!("expected the end, found {other:?}"),
            }
        };
        assert_eq!(finished.reason, FinishReason::Stopped);
        assert_eq!(finished.usage.completion_tokens, 0);
        let counters = engine.counters();
        let layers = counters.layers_after_stop - layers_before;
        let halt_ms = finished.timings.halt_ms.expect("it was stopped");
        println!("stopped after {done} of {total} tokens: {layers} more layers, {halt_ms} ms");
        assert!(layers <= 1, "{layers} layers ran after the stop");
        assert_eq!(counters.free_blocks, before.free_blocks);
    }
}

/// Writes a model file's floats and vocabulary as a Hugging Face folder with `shards` shards.
fn write_folder(file: &ModelFile, folder: &Path, kind: BlockType, dtype: &str, shards: usize) {
    let config = file.config();
    let json = json!({
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_act": "silu",
        "hidden_size": config.hidden,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "intermediate_size": config.feed_forward,
        "vocab_size": config.vocabulary_rows,
        "max_position_embeddings": config.trained_context,
        "rope_theta": config.rope_base,
        "rms_norm_eps": config.rms_eps,
        "tie_word_embeddings": config.tied_embeddings,
        "eos_token_id": file.vocabulary().end_tokens[0].0,
    });
    write_json(&folder.join("config.json"), &json);
    write_json(&folder.join("tokenizer.json"), &tokenizer(file));
    if let Some(template) = file.chat_template() {
        write_json(&folder.join("tokenizer_config.json"), &json!({ "chat_template": template }));
    }

    let names = tensor_names(config.layers);
    let mut weight_map = Map::new();
    for (index, names) in names.chunks(names.len().div_ceil(shards)).enumerate() {
        let shard = match shards {
            1 => "model.safetensors".to_owned(),
            _ => format!("model-{:05}-of-{shards:05}.safetensors", index + 1),
        };
        write_shard(file, &folder.join(&shard), names, kind, dtype);
        weight_map.extend(names.iter().map(|(_, name)| (name.clone(), json!(shard))));
    }
    if shards > 1 {
        let index = json!({ "metadata": {}, "weight_map": weight_map });
        write_json(&folder.join("model.safetensors.index.json"), &index);
    }
}

fn write_json(path: &Path, value: &Value) {
    fs::write(path, value.to_string()).expect("a file");
}

fn write_shard(
    file: &ModelFile,
    path: &Path,
    names: &[(TensorName, String)],
    kind: BlockType,
    dtype: &str,
) {
    // In a GGUF file, norms and biases are stored as F32. A folder may mix types too.
    let infos: Vec<_> =
        names.iter().map(|(name, _)| file.tensor(*name).expect("it is there")).collect();
    let mut header = Map::new();
    let mut end = 0;
    for ((_, name), info) in names.iter().zip(&infos) {
        let start = end;
        end += info.bytes();
        let shape =
            if info.rows == 1 { json!([info.depth]) } else { json!([info.rows, info.depth]) };
        let dtype = if info.kind == kind { dtype } else { "F32" };
        let tensor = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        header.insert(name.clone(), tensor);
    }
    let header = Value::Object(header).to_string();
    let mut shard = BufWriter::new(File::create(path).expect("a file"));
    shard.write_all(&(header.len() as u64).to_le_bytes()).expect("room");
    shard.write_all(header.as_bytes()).expect("room");
    for info in infos {
        let mut bytes = vec![0; info.rows * info.row_bytes()];
        file.read_rows(info, 0..info.rows, &mut bytes).expect("rows");
        shard.write_all(&bytes).expect("room");
    }
    shard.flush().expect("room");
}

fn tokenizer(file: &ModelFile) -> Value {
    let pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let vocabulary = file.vocabulary();
    let (mut texts, mut added) = (Map::new(), Vec::new());
    for (id, token) in vocabulary.tokens.iter().enumerate() {
        match token.kind {
            TokenKind::Normal => drop(texts.insert(token.text.clone(), json!(id))),
            TokenKind::Unused => {}
            kind => added.push(json!({
                "id": id, "content": token.text, "special": kind == TokenKind::Control,
            })),
        }
    }
    let merges: Vec<String> =
        vocabulary.merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
    json!({
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"},
            {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
        ]},
        "added_tokens": added,
        "model": {"type": "BPE", "vocab": texts, "merges": merges},
    })
}

/// Every tensor of a model with tied embeddings, and its published name.
fn tensor_names(layers: usize) -> Vec<(TensorName, String)> {
    let of_layer = |tensor| match tensor {
        LayerTensor::AttentionNorm => "input_layernorm.weight",
        LayerTensor::Q => "self_attn.q_proj.weight",
        LayerTensor::QBias => "self_attn.q_proj.bias",
        LayerTensor::K => "self_attn.k_proj.weight",
        LayerTensor::KBias => "self_attn.k_proj.bias",
        LayerTensor::V => "self_attn.v_proj.weight",
        LayerTensor::VBias => "self_attn.v_proj.bias",
        LayerTensor::O => "self_attn.o_proj.weight",
        LayerTensor::FeedForwardNorm => "post_attention_layernorm.weight",
        LayerTensor::Gate => "mlp.gate_proj.weight",
        LayerTensor::Up => "mlp.up_proj.weight",
        LayerTensor::Down => "mlp.down_proj.weight",
    };
    let mut names = vec![
        (TensorName::Embedding, "model.embed_tokens.weight".to_owned()),
        (TensorName::OutputNorm, "model.norm.weight".to_owned()),
    ];
    for layer in 0..layers {
        names.extend(LayerTensor::ALL.map(|tensor| {
            let name = format!("model.layers.{layer}.{}", of_layer(tensor));
            (TensorName::Layer(layer, tensor), name)
        }));
    }
    names
}
