//! Hugging Face folders (FAULTS M12, M13, M19, and the part of T3 about files).

mod config_json;
mod packed;
mod refused_packed;
mod safetensors;
mod text_files;
mod weights;

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
    tensors_of(kind, dtype, 32, 64)
}

/// The tensors of a model with 32 values in all q heads and 16 in all k heads.
fn tensors_of(kind: BlockType, dtype: &'static str, hidden: u64, feed_forward: u64) -> Vec<Tensor> {
    let tensor = |name: String, shape: &[u64]| {
        let count = shape.iter().product::<u64>() as usize;
        let values: Vec<f32> = (0..count).map(|index| (index % 17) as f32 / 16.0 - 0.5).collect();
        let mut data = vec![0; kind.row_bytes(count).expect("floats")];
        quantise(kind, &values, &mut data);
        Tensor { name, dtype, shape: shape.to_vec(), data }
    };
    let mut tensors = vec![
        tensor("model.embed_tokens.weight".to_string(), &[16, hidden]),
        tensor("model.norm.weight".to_string(), &[hidden]),
    ];
    let of_layer: [(&str, &[u64]); 12] = [
        ("input_layernorm.weight", &[hidden]),
        ("self_attn.q_proj.weight", &[32, hidden]),
        ("self_attn.q_proj.bias", &[32]),
        ("self_attn.k_proj.weight", &[16, hidden]),
        ("self_attn.k_proj.bias", &[16]),
        ("self_attn.v_proj.weight", &[16, hidden]),
        ("self_attn.v_proj.bias", &[16]),
        ("self_attn.o_proj.weight", &[hidden, 32]),
        ("post_attention_layernorm.weight", &[hidden]),
        ("mlp.gate_proj.weight", &[feed_forward, hidden]),
        ("mlp.up_proj.weight", &[feed_forward, hidden]),
        ("mlp.down_proj.weight", &[hidden, feed_forward]),
    ];
    for layer in 0..2 {
        for (name, shape) in of_layer {
            tensors.push(tensor(format!("model.layers.{layer}.{name}"), shape));
        }
    }
    tensors
}

/// A safetensors file with this header and data.
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

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path.join(file)).expect("a file")
    }

    /// The error of a folder that must be refused.
    fn error(&self) -> String {
        open_path(&self.path).map(drop).expect_err("it is refused").to_string()
    }

    /// Asserts that the folder is refused, and that the error names `file`.
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
                    pytorch_model.bin, which is never read because opening it runs code: take \
                    safetensors of the model (save_pretrained in transformers writes them), or a \
                    GGUF file";
    folder.refused("", expected, "a pickled checkpoint");
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
        // The test damages only the header of the weights, but all of the other files.
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
