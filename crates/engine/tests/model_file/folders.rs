//! Hugging Face folders (FAULTS M12, M13, M19, and what concerns files in T3).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use banter_engine::model_file::{LayerTensor, ModelFile, SamplingDefaults, TensorName};
use banter_engine::text::TokenId;
use banter_kernels::blocks::{BlockType, quantise};
use serde_json::{Value, json};

use super::{assert_refused, open_path};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

fn config() -> Value {
    json!({
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_act": "silu",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "vocab_size": 16,
        "max_position_embeddings": 512,
        "rope_theta": 1e6,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": true,
        "use_sliding_window": false,
        "eos_token_id": 4,
    })
}

fn tokenizer() -> Value {
    let pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let added = |id: u32, content: &str| json!({"id": id, "content": content, "special": true});
    json!({
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"},
            {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
        ]},
        "added_tokens": [
            added(4, "<|endoftext|>"), added(5, "<|im_start|>"), added(6, "<|im_end|>"),
        ],
        "model": {
            "type": "BPE",
            "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3},
            "merges": ["a b"],
        },
    })
}

/// One tensor: its name, shape (outermost first) and bytes.
#[derive(Clone)]
struct Tensor {
    name: String,
    dtype: &'static str,
    shape: Vec<u64>,
    data: Vec<u8>,
}

fn tensors(kind: BlockType, dtype: &'static str) -> Vec<Tensor> {
    let tensor = |name: String, shape: &[u64]| {
        let count = shape.iter().product::<u64>() as usize;
        let values: Vec<f32> = (0..count).map(|index| (index % 17) as f32 / 16.0 - 0.5).collect();
        let mut data = vec![0; kind.row_bytes(count).expect("floats")];
        quantise(kind, &values, &mut data);
        Tensor { name, dtype, shape: shape.to_vec(), data }
    };
    let mut tensors = vec![
        tensor("model.embed_tokens.weight".to_string(), &[16, 32]),
        tensor("model.norm.weight".to_string(), &[32]),
    ];
    let of_layer: [(&str, &[u64]); 12] = [
        ("input_layernorm.weight", &[32]),
        ("self_attn.q_proj.weight", &[32, 32]),
        ("self_attn.q_proj.bias", &[32]),
        ("self_attn.k_proj.weight", &[16, 32]),
        ("self_attn.k_proj.bias", &[16]),
        ("self_attn.v_proj.weight", &[16, 32]),
        ("self_attn.v_proj.bias", &[16]),
        ("self_attn.o_proj.weight", &[32, 32]),
        ("post_attention_layernorm.weight", &[32]),
        ("mlp.gate_proj.weight", &[64, 32]),
        ("mlp.up_proj.weight", &[64, 32]),
        ("mlp.down_proj.weight", &[32, 64]),
    ];
    for layer in 0..2 {
        for (name, shape) in of_layer {
            tensors.push(tensor(format!("model.layers.{layer}.{name}"), shape));
        }
    }
    tensors
}

/// A safetensors file of a header as given and data.
fn raw_safetensors(header: &[u8], data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header, data].concat()
}

fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let mut header = json!({"__metadata__": {"format": "pt"}});
    let mut data = Vec::new();
    for Tensor { name, dtype, shape, data: bytes } in tensors {
        let start = data.len();
        data.extend(bytes);
        header[name] = json!({"dtype": dtype, "shape": shape, "data_offsets": [start, data.len()]});
    }
    raw_safetensors(header.to_string().as_bytes(), &data)
}

/// A complete model in a folder.
struct Folder {
    temp: tempfile::TempDir,
    path: PathBuf,
}

impl Folder {
    fn new() -> Folder {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let path = temp.path().join("Tiny-Instruct");
        fs::create_dir(&path).expect("a folder");
        let folder = Folder { temp, path };
        folder.write(CONFIG, config().to_string());
        folder.write("tokenizer.json", tokenizer().to_string());
        folder.write(WEIGHTS, safetensors(&tensors(BlockType::F32, "F32")));
        folder
    }

    fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path.join(file), content).expect("a file");
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.path.join(file)).expect("a file");
    }

    fn open(&self) -> ModelFile {
        open_path(&self.path).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Asserts that the folder is refused for a fault of `file`.
    fn refused(&self, file: &str, expected: &str, case: &str) {
        let found = open_path(&self.path);
        if let Err(error) = &found {
            let path = if file.is_empty() { self.path.clone() } else { self.path.join(file) };
            assert_eq!(error.file, path.display().to_string(), "{case}: {error}");
        }
        assert_refused(found, expected, case);
    }

    /// Writes the weights as two shards and their index, which `edit` may change.
    fn shard(&self, edit: impl FnOnce(&mut Value)) {
        self.remove(WEIGHTS);
        let tensors = tensors(BlockType::F32, "F32");
        let mut map = json!({});
        for (number, shard) in tensors.chunks(13).enumerate() {
            let file = format!("model-{number}.safetensors");
            self.write(&file, safetensors(shard));
            shard.iter().for_each(|tensor| map[&tensor.name] = json!(file));
        }
        let mut index = json!({"metadata": {"total_size": 1}, "weight_map": map});
        edit(&mut index);
        self.write(INDEX, index.to_string());
    }
}

fn last_row(file: &ModelFile, name: TensorName) -> Vec<u8> {
    let info = file.tensor(name).expect("a tensor");
    let mut bytes = vec![0; info.row_bytes()];
    file.read_rows(info, info.rows - 1..info.rows, &mut bytes).expect("a row");
    bytes
}

#[test]
fn a_folder_is_a_model_in_every_float_type() {
    let down = TensorName::Layer(1, LayerTensor::Down);
    for (kind, dtype) in
        [(BlockType::F32, "F32"), (BlockType::F16, "F16"), (BlockType::Bf16, "BF16")]
    {
        let folder = Folder::new();
        let tensors = tensors(kind, dtype);
        folder.write(WEIGHTS, safetensors(&tensors));
        let file = folder.open();
        assert_eq!(file.description().name, "Tiny-Instruct");
        assert_eq!(file.description().weight_types, kind.name());
        assert_eq!(file.config().head_dim, 8);
        assert!(file.config().tied_embeddings);
        let stored = &tensors.last().expect("the last tensor is a down projection").data;
        let row = last_row(&file, down);
        assert_eq!(row, stored[stored.len() - row.len()..], "{dtype}");
    }
}

#[test]
fn text_files_say_what_ends_an_answer_and_how_to_sample() {
    let folder = Folder::new();
    assert_eq!(folder.open().vocabulary().end_tokens, [TokenId(4)], "from config.json");
    assert_eq!(folder.open().sampling_defaults(), &SamplingDefaults::default());
    let generation = json!({
        "eos_token_id": [6, 4], "temperature": 0.7, "top_p": 0.8, "top_k": 20,
        "repetition_penalty": 1.05, "transformers_version": "4.37.0",
    });
    folder.write("generation_config.json", generation.to_string());
    let tokenizer_config = json!({
        "add_bos_token": true, "bos_token": {"content": "<|endoftext|>"}, "chat_template": "A",
    });
    folder.write("tokenizer_config.json", tokenizer_config.to_string());
    let file = folder.open();
    assert_eq!(file.vocabulary().end_tokens, [TokenId(6), TokenId(4)]);
    assert_eq!((file.vocabulary().add_bos, file.vocabulary().bos), (true, Some(TokenId(4))));
    assert_eq!(file.chat_template(), Some("A"));
    let expected = SamplingDefaults {
        temperature: Some(0.7),
        top_p: Some(0.8),
        top_k: Some(20),
        min_p: None,
        repetition_penalty: Some(1.05),
    };
    assert_eq!(file.sampling_defaults(), &expected);
    for generation in [
        json!({"eos_token_id": 6, "do_sample": false, "min_p": 0.1}),
        json!({"eos_token_id": 6, "do_sample": false, "temperature": 0.7, "min_p": 0.1}),
    ] {
        folder.write("generation_config.json", generation.to_string());
        let expected = SamplingDefaults {
            temperature: Some(0.0),
            min_p: Some(0.1),
            ..SamplingDefaults::default()
        };
        assert_eq!(folder.open().sampling_defaults(), &expected, "{generation}");
    }
    folder.write("chat_template.jinja", "B");
    assert_eq!(folder.open().chat_template(), Some("B"), "a file of its own wins");
    folder.remove("chat_template.jinja");
    let named = json!({"chat_template": [
        {"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"},
    ]});
    folder.write("tokenizer_config.json", named.to_string());
    assert_eq!(folder.open().chat_template(), Some("D"));
}

#[test]
fn the_newer_spelling_of_the_configuration_is_read() {
    let folder = Folder::new();
    let mut newer = config();
    newer.as_object_mut().expect("an object").remove("rope_theta");
    newer["rope_parameters"] = json!({"rope_theta": 5e5, "rope_type": "default"});
    newer["layer_types"] = json!(["full_attention", "full_attention"]);
    folder.write(CONFIG, newer.to_string());
    assert_eq!(folder.open().config().rope_base, 5e5);
}

#[test]
fn configurations_that_cannot_be_run_are_refused_by_name() {
    let cases = [
        (
            "model_type",
            json!("llama"),
            "key model_type: expected qwen2, found llama, which this engine does not run",
        ),
        (
            "architectures",
            json!(["Qwen2ForRewardModel"]),
            "key architectures: expected Qwen2ForCausalLM, found [\"Qwen2ForRewardModel\"]",
        ),
        (
            "hidden_act",
            json!("gelu"),
            "key hidden_act: expected silu, found gelu, which this engine does not run",
        ),
        (
            "hidden_size",
            json!("32"),
            "key hidden_size: expected an integer from 0 on, found \"32\"",
        ),
        ("hidden_size", json!(-32), "key hidden_size: expected an integer from 0 on, found -32"),
        ("hidden_size", json!(null), "key hidden_size: expected a value, found no such key"),
        (
            "hidden_size",
            json!(1e300),
            "key hidden_size: expected an integer from 0 on, found 1e+300",
        ),
        ("num_hidden_layers", json!(513), "key num_hidden_layers: expected 1 to 512, found 513"),
        ("num_attention_heads", json!(0), "key num_attention_heads: expected 1 to 1024, found 0"),
        (
            "num_key_value_heads",
            json!(3),
            "key num_key_value_heads: expected a divisor of the 4 heads, found 3",
        ),
        (
            "head_dim",
            json!(7),
            "key head_dim: expected heads of an even width, for rotary positions, found a width \
             of 7",
        ),
        (
            "rms_norm_eps",
            json!(0),
            "key rms_norm_eps: expected a number from 0.000000000001 to 0.1, found 0",
        ),
        (
            "rope_theta",
            json!(0),
            "key rope_theta: expected a number from 1 to 1000000000000, found 0",
        ),
        ("rope_theta", json!(null), "key rope_theta: expected a value, found no such key"),
        (
            "tie_word_embeddings",
            json!(null),
            "key tie_word_embeddings: expected a value, found no such key",
        ),
        (
            "use_sliding_window",
            json!(true),
            "a sliding attention window (use_sliding_window, layer_types) is not supported: use a \
             model with full attention, such as any Qwen2.5-Instruct",
        ),
        (
            "layer_types",
            json!(["full_attention", "sliding_attention"]),
            "a sliding attention window (use_sliding_window, layer_types) is not supported: use a \
             model with full attention, such as any Qwen2.5-Instruct",
        ),
        (
            "rope_scaling",
            json!({"type": "yarn", "factor": 4.0}),
            "rope scaling of type yarn by 4 (key rope_scaling) is not supported: remove \
             rope_scaling from config.json, and stay within the trained context",
        ),
        (
            "rope_scaling",
            json!({"type": "longrope", "short_factor": [1.0]}),
            "rope scaling of type longrope (key rope_scaling) is not supported: remove \
             rope_scaling from config.json, and stay within the trained context",
        ),
        (
            "rope_scaling",
            json!({"factor": 2.0}),
            "rope scaling of type unknown by 2 (key rope_scaling) is not supported: remove \
             rope_scaling from config.json, and stay within the trained context",
        ),
        (
            "rope_parameters",
            json!({"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e6}),
            "rope scaling of type yarn by 4 (key rope_parameters) is not supported: remove \
             rope_parameters from config.json, and stay within the trained context",
        ),
        (
            "quantization_config",
            json!({"quant_method": "gptq"}),
            "quantization_config with gptq is not supported: use the folder of the unquantised \
             model, or a GGUF file",
        ),
    ];
    for (key, value, expected) in cases {
        let folder = Folder::new();
        let mut changed = config();
        changed[key] = value;
        folder.write(CONFIG, changed.to_string());
        folder.refused(CONFIG, expected, key);
    }
    let folder = Folder::new();
    let mut one = config();
    one["rope_scaling"] = json!({"type": "linear", "factor": 1.0});
    folder.write(CONFIG, one.to_string());
    folder.open();
}

#[test]
fn malformed_configurations_are_refused() {
    let deep = format!("{{\"a\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let cases = [
        ("not JSON", "{".to_string(), "EOF while parsing"),
        ("not an object", "[]".to_string(), "expected an object"),
        (
            "a key twice",
            config().to_string().replacen('{', "{\"hidden_size\": 64,", 1),
            "key hidden_size: expected once, found twice",
        ),
        ("nested 100,000 deep", deep, "recursion limit exceeded"),
        ("not UTF-8", "{\"a\": \"\u{0}\"}".to_string(), "control character"),
    ];
    for (case, content, expected) in cases {
        let folder = Folder::new();
        folder.write(CONFIG, content);
        let error = open_path(&folder.path).expect_err(case);
        assert!(error.file.ends_with(CONFIG), "{case}: {error}");
        assert!(error.to_string().contains(expected), "{case}: {error}");
    }
    let folder = Folder::new();
    folder.write(CONFIG, vec![b' '; (1 << 20) + 1]);
    folder.refused(CONFIG, "expected at most 1048576 bytes, found 1048577 bytes", "1 MiB and 1");
}

#[test]
fn text_files_that_contradict_the_vocabulary_are_refused() {
    let generation = "generation_config.json";
    let tokenizer = "tokenizer_config.json";
    let cases = [
        (
            generation,
            json!({"eos_token_id": 7}),
            "key eos_token_id: expected an id below 7, found 7",
        ),
        (
            generation,
            json!({"eos_token_id": []}),
            "key eos_token_id: expected 1 to 64 ids, found []",
        ),
        (
            generation,
            json!({"eos_token_id": ["a"]}),
            "key eos_token_id: expected an id below 7, found \"a\"",
        ),
        (
            generation,
            json!({"top_p": 2.0}),
            "key top_p: expected a number from 0.000001 to 1, found 2",
        ),
        (generation, json!({"top_k": -1}), "key top_k: expected an integer from 0 on, found -1"),
        (
            generation,
            json!({"temperature": "warm"}),
            "key temperature: expected a number, found \"warm\"",
        ),
        (
            tokenizer,
            json!({"bos_token": "<s>"}),
            "key bos_token: expected an added token of tokenizer.json, found \"<s>\"",
        ),
        (
            tokenizer,
            json!({"add_bos_token": true}),
            "key bos_token: expected a token, since add_bos_token is true, found none",
        ),
        (
            tokenizer,
            json!({"chat_template": 1}),
            "key chat_template: expected a string or a list, found 1",
        ),
        (
            tokenizer,
            json!({"chat_template": []}),
            "key chat_template: expected a template named default, found a list without one",
        ),
    ];
    for (file, content, expected) in cases {
        let folder = Folder::new();
        folder.write(file, content.to_string());
        folder.refused(file, expected, expected);
    }
    let folder = Folder::new();
    let mut few_rows = config();
    few_rows["vocab_size"] = json!(6);
    folder.write(CONFIG, few_rows.to_string());
    let expected = "vocabulary: expected 1 to 6 tokens, as many as the embedding has rows, found 7";
    folder.refused("tokenizer.json", expected, "more tokens than rows");
    let folder = Folder::new();
    folder.write("tokenizer.json", "{}");
    let error = open_path(&folder.path).expect_err("no tokenizer");
    assert!(error.to_string().contains("tokenizer.json: tokenizer: "), "{error}");
}

#[test]
fn files_a_folder_needs_are_named_when_missing() {
    for file in ["tokenizer.json", CONFIG, WEIGHTS] {
        let folder = Folder::new();
        folder.remove(file);
        let error = open_path(&folder.path).expect_err(file).to_string();
        assert!(error.contains(file), "{error}");
    }
    let folder = Folder::new();
    folder.remove(WEIGHTS);
    folder.write("pytorch_model.bin", "a pickle");
    let expected = "expected model.safetensors or model.safetensors.index.json, found \
                    pytorch_model.bin, which is never read because opening it runs code";
    folder.refused("", expected, "a pickled checkpoint");
}

#[test]
fn malformed_safetensors_headers_are_refused() {
    let size = |header: &[u8], data: &[u8]| raw_safetensors(header, data);
    let entry = |name: &str, start: u64, end: u64| {
        format!(
            "\"{name}\": {{\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [{start}, \
             {end}]}}"
        )
    };
    let two =
        |first: String, second: String| size(format!("{{{first}, {second}}}").as_bytes(), &[0; 16]);
    let long = ((4_u64 << 20) + 1).to_le_bytes();
    let cases = [
        ("7 bytes", vec![0; 7], "data at byte 0: expected 8 bytes, found 7"),
        (
            "length 2^64 - 1",
            [&u64::MAX.to_le_bytes()[..], b"{}"].concat(),
            "length of the header: expected at most 2, found 18446744073709551615",
        ),
        (
            "length beyond the limit",
            [&long[..], &vec![b' '; 5 << 20]].concat(),
            "length of the header: expected at most 4194304, found 4194305",
        ),
        (
            "NULs after the header",
            size(b"{}\0\0", &[]),
            "JSON: expected a well-formed object, found trailing characters at line 1 column 3",
        ),
        (
            "not UTF-8",
            size(b"{\"\xff\": 1}", &[]),
            "header: expected UTF-8, found invalid utf-8 sequence of 1 bytes from index 2",
        ),
        (
            "an overlap",
            two(entry("a", 0, 8), entry("b", 4, 12)),
            "tensor b: expected offset 8, found offset 4, an overlap",
        ),
        ("the same bytes", two(entry("a", 0, 8), entry("b", 0, 8)), ""),
        (
            "a gap",
            two(entry("a", 0, 8), entry("b", 9, 17)),
            "tensor b: expected offset 8, found offset 9, a gap",
        ),
        (
            "inverted",
            two(entry("a", 0, 8), entry("b", 16, 8)),
            "tensor b: expected as many bytes as F32 of shape [2], found those from 16 to 8",
        ),
        (
            "another length",
            two(entry("a", 0, 8), entry("b", 8, 12)),
            "tensor b: expected as many bytes as F32 of shape [2], found those from 8 to 12",
        ),
        (
            "past the end",
            size(format!("{{{}}}", entry("a", 0, 8)).as_bytes(), &[0; 7]),
            "data: expected 7 bytes of tensors, found tensors that end at byte 8",
        ),
        (
            "bytes left over",
            size(format!("{{{}}}", entry("a", 0, 8)).as_bytes(), &[0; 9]),
            "data: expected 9 bytes of tensors, found tensors that end at byte 8",
        ),
        (
            "a product that wraps",
            size(
                "{\"a\": {\"dtype\": \"F16\", \"shape\": [9223372036854775809, 2], \
                 \"data_offsets\": [0, 4]}}"
                    .as_bytes(),
                &[0; 4],
            ),
            "tensor a: expected as many bytes as F16 of shape [9223372036854775809, 2], found \
             those from 0 to 4",
        ),
        (
            "nine dimensions",
            size(
                "{\"a\": {\"dtype\": \"F32\", \"shape\": [1,1,1,1,1,1,1,1,1], \"data_offsets\": \
                 [0, 4]}}"
                    .as_bytes(),
                &[0; 4],
            ),
            "tensor a: expected as many bytes as F32 of shape [1, 1, 1, 1, 1, 1, 1, 1], found \
             those from 0 to 4",
        ),
        (
            "8-bit floats",
            size(
                "{\"a\": {\"dtype\": \"F8_E4M3\", \"shape\": [4], \"data_offsets\": [0, 4]}}"
                    .as_bytes(),
                &[0; 4],
            ),
            "tensor a: unsupported type F8_E4M3 (supported: F32, F16, BF16)",
        ),
    ];
    for (case, bytes, expected) in cases {
        let folder = Folder::new();
        folder.write(WEIGHTS, bytes);
        if expected.is_empty() {
            let error = open_path(&folder.path).expect_err(case).to_string();
            assert!(error.contains("expected offset 8, found offset 0, an overlap"), "{error}");
        } else {
            folder.refused(WEIGHTS, expected, case);
        }
    }
}

#[test]
fn a_header_names_each_tensor_once_and_not_millions() {
    let entry = r#"{"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}"#;
    let twice = format!("{{\"a\": {entry}, \"a\": {entry}}}");
    // As many as the limit of a header has room for.
    let many: Vec<String> = (0..60_000).map(|number| format!("\"{number}\":{entry}")).collect();
    let many = format!("{{{}}}", many.join(","));
    for (content, expected) in [
        (twice, "tensor a: expected once, found twice"),
        (many, "expected at most 16384 tensors, found more"),
    ] {
        let folder = Folder::new();
        folder.write(WEIGHTS, raw_safetensors(content.as_bytes(), &[]));
        let error = open_path(&folder.path).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn tensors_are_claimed_by_name_and_shape() {
    let weights = |edit: &dyn Fn(&mut Vec<Tensor>)| {
        let folder = Folder::new();
        let mut tensors = tensors(BlockType::F32, "F32");
        edit(&mut tensors);
        folder.write(WEIGHTS, safetensors(&tensors));
        folder
    };
    let missing = weights(&|tensors| {
        tensors.pop();
    });
    let expected =
        "tensor model.layers.1.mlp.down_proj.weight: expected a tensor of that name, found none";
    missing.refused(WEIGHTS, expected, "missing");
    let transposed = weights(&|tensors| tensors[25].shape.reverse());
    let expected =
        "tensor model.layers.1.mlp.down_proj.weight: expected shape [32, 64], found [64, 32]";
    transposed.refused(WEIGHTS, expected, "transposed");
    let extra = |name: &str| {
        let name = name.to_string();
        weights(&move |tensors: &mut Vec<Tensor>| {
            let like = tensors[1].clone();
            tensors.push(Tensor { name: name.clone(), ..like });
        })
    };
    let expected = "tensor model.layers.0.self_attn.q_norm.weight: expected only the tensors of a \
                    Qwen2 model of 2 layers, found one that changes the result";
    extra("model.layers.0.self_attn.q_norm.weight").refused(WEIGHTS, expected, "unknown");
    // Tables of older files and the head of a tied model have no use and do no harm.
    extra("model.layers.0.self_attn.rotary_emb.inv_freq").open();
    extra("lm_head.weight").open();
    let untied = Folder::new();
    let mut changed = config();
    changed["tie_word_embeddings"] = json!(false);
    untied.write(CONFIG, changed.to_string());
    let expected = "tensor lm_head.weight: expected a tensor of that name, found none";
    untied.refused(WEIGHTS, expected, "no head");
}

#[test]
fn shards_equal_the_whole() {
    let whole = Folder::new();
    let sharded = Folder::new();
    sharded.shard(|_| {});
    let (whole, sharded) = (whole.open(), sharded.open());
    assert_eq!(whole.description(), sharded.description());
    for name in [TensorName::Embedding, TensorName::Layer(1, LayerTensor::Down)] {
        assert_eq!(last_row(&whole, name), last_row(&sharded, name));
    }
}

#[test]
fn an_index_leads_only_to_safetensors_in_its_folder() {
    let names = [
        "../../etc/passwd",
        "/etc/passwd",
        "../model-0.safetensors",
        "/tmp/model-0.safetensors",
        "..",
        "",
        "sub/model-0.safetensors",
        "sub\\model-0.safetensors",
        "model\0.safetensors",
        INDEX,
        "pytorch_model.bin",
    ];
    for name in names {
        let folder = Folder::new();
        folder.shard(|index| index["weight_map"]["model.norm.weight"] = json!(name));
        let printed = name.replace('\0', "\\0");
        let expected = format!(
            "key weight_map: expected names of .safetensors files in the same folder, found \
             {printed}"
        );
        folder.refused(INDEX, &expected, name);
    }
}

#[test]
fn an_index_and_its_shards_must_agree() {
    let folder = Folder::new();
    folder.shard(|index| index["weight_map"]["model.norm.weight"] = json!("model-9.safetensors"));
    folder.refused(
        INDEX,
        "tensor model.norm.weight: expected the tensor in model-9.safetensors, found it in \
         model-0.safetensors",
        "in another shard",
    );

    let folder = Folder::new();
    folder.shard(|index| index["weight_map"]["spare"] = json!("model-9.safetensors"));
    let error = open_path(&folder.path).expect_err("a missing shard");
    assert_eq!(error.file, folder.path.join("model-9.safetensors").display().to_string());
    assert!(error.to_string().contains("cannot open"), "{error}");

    let folder = Folder::new();
    folder.shard(|index| index["weight_map"]["spare"] = json!("model-0.safetensors"));
    folder.refused(
        INDEX,
        "tensor spare: expected the tensor in model-0.safetensors, found none",
        "a promise not kept",
    );

    // Both shards hold the last norm, but the index names one.
    let folder = Folder::new();
    folder.shard(|_| {});
    let norm = tensors(BlockType::F32, "F32").swap_remove(1);
    let mut second = tensors(BlockType::F32, "F32").split_off(13);
    second.push(norm);
    folder.write("model-1.safetensors", safetensors(&second));
    folder.refused(
        INDEX,
        "tensor model.norm.weight: expected the tensor in model-0.safetensors, found it in \
         model-1.safetensors",
        "a tensor in two shards",
    );

    let folder = Folder::new();
    folder.shard(|index| {
        for number in 0..257 {
            index["weight_map"][format!("t{number}")] = json!(format!("{number}.safetensors"));
        }
    });
    folder.refused(
        INDEX,
        "key weight_map: expected at most 256 files, found 259",
        "too many shards",
    );

    let folder = Folder::new();
    folder.shard(|_| {});
    folder.write(INDEX, r#"{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}"#);
    let error = open_path(&folder.path).expect_err("a tensor twice").to_string();
    assert!(error.contains("tensor a: expected once, found twice"), "{error}");
}

#[test]
fn links_may_lead_into_a_download_cache_and_nowhere_else() {
    let folder = Folder::new();
    let outside = folder.temp.path().join("outside.safetensors");
    fs::rename(folder.path.join(WEIGHTS), &outside).expect("moved");
    symlink(&outside, folder.path.join(WEIGHTS)).expect("a link");
    let expected = "expected a file of the folder, found a link that leads out of it";
    folder.refused(WEIGHTS, expected, "a link out");

    // hub/models--Qwen--Tiny/{blobs/0, snapshots/abc/model.safetensors -> ../../blobs/0}
    let cache = folder.temp.path().join("models--Qwen--Tiny");
    let snapshot = cache.join("snapshots").join("abc");
    fs::create_dir_all(&snapshot).expect("folders");
    fs::create_dir(cache.join("blobs")).expect("a folder");
    for (number, file) in [CONFIG, "tokenizer.json", WEIGHTS].into_iter().enumerate() {
        let blob = cache.join("blobs").join(number.to_string());
        fs::copy(folder.path.join(file), &blob).expect("a copy");
        symlink(Path::new("../../blobs").join(number.to_string()), snapshot.join(file))
            .expect("a link");
    }
    let file = open_path(&snapshot).expect("a model");
    assert_eq!(file.description().name, "Tiny");
}

#[test]
fn a_folder_cut_or_flipped_anywhere_is_an_error_or_a_model() {
    let folder = Folder::new();
    for file in [CONFIG, "tokenizer.json", WEIGHTS] {
        let original = fs::read(folder.path.join(file)).expect("a file");
        // The header of the weights, all of the others.
        let header = if file == WEIGHTS {
            8 + original[0] as usize + 256 * original[1] as usize
        } else {
            original.len()
        };
        for length in (0..header).step_by(3) {
            folder.write(file, &original[..length]);
            assert!(open_path(&folder.path).is_err(), "{file} cut at {length}");
        }
        for place in (0..header).step_by(2) {
            let mut flipped = original.clone();
            flipped[place] ^= 1 << (place / 2 % 8);
            folder.write(file, &flipped);
            if let Err(error) = open_path(&folder.path) {
                assert!(error.file.contains("Tiny-Instruct"), "{error}");
            }
        }
        folder.write(file, &original);
    }
    folder.open();
}
