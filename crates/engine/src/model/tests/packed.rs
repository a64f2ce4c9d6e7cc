//! Models in packed folders, against the same weights in `f64`. Other tests compare the file reader
//! with the code that packed the words; these compare the model.

use std::fs;
use std::path::Path;

use half::f16;
use serde_json::{Value, json};

use super::quantised::relative_error;
use super::*;
use crate::model_file::TensorName;

const TOKENS: usize = 24;

/// How the matrices of a folder are packed.
struct Case {
    name: &'static str,
    quantisation: Value,
    bits: usize,
    /// The stored zero that is the middle, so that weights are around nothing.
    zero: u8,
    group_len: usize,
    /// Whether every matrix has groups of its own, anywhere.
    has_shuffled_groups: bool,
}

fn cases() -> [Case; 4] {
    let gptq = |bits: usize, group_size: i64, desc_act: bool, format: &str| {
        json!({
            "quant_method": "gptq", "bits": bits, "group_size": group_size, "desc_act": desc_act,
            "sym": true, "checkpoint_format": format,
        })
    };
    let awq = json!({"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"});
    [
        Case {
            name: "gptq, 4 bits",
            quantisation: gptq(4, 128, false, "gptq"),
            bits: 4,
            zero: 7,
            group_len: 128,
            has_shuffled_groups: false,
        },
        Case {
            name: "gptq, 4 bits, most important first",
            quantisation: gptq(4, 64, true, "gptq_v2"),
            bits: 4,
            zero: 8,
            group_len: 64,
            has_shuffled_groups: true,
        },
        Case {
            name: "gptq, 8 bits, most important first",
            quantisation: gptq(8, 32, true, "gptq"),
            bits: 8,
            zero: 127,
            group_len: 32,
            has_shuffled_groups: true,
        },
        Case {
            name: "awq",
            quantisation: awq,
            bits: 4,
            zero: 8,
            group_len: 128,
            has_shuffled_groups: false,
        },
    ]
}

/// A model whose matrices are packed, and the bytes that the codes of its largest one take.
pub(crate) fn packed_file() -> (ModelFile, u64) {
    let [case, ..] = cases();
    let code_bytes = shape().feed_forward * shape().hidden * case.bits / 8;
    (case.file(), code_bytes as u64)
}

#[test]
fn a_packed_model_is_near_its_dequantised_weights() {
    for case in cases() {
        let file = case.file();
        let sequence = Sequence::new(0, TOKENS);
        let expected = reference::logits(&file, &sequence.tokens);
        let setting = Setting { kv_type: KvType::F32, ..Setting::usual() };
        let mut runner = runner_of(&file, setting);
        run(&mut runner, &[sequence.whole()]);
        let logits = runner.logits(0).expect("the span was sampled");
        let error = relative_error(logits, &expected);
        println!("{}: {error:.2e}", case.name);
        assert!(error <= 0.03, "{}: {error:.2e}", case.name);
    }
}

#[test]
fn a_packed_model_gives_the_same_bits_on_every_instruction_set_and_in_every_chunk() {
    for case in cases() {
        let file = case.file();
        let sequence = Sequence::new(1, TOKENS);
        let scalar = Setting { isa: Isa::scalar(), threads: 1, ..Setting::usual() };
        let expected = alone(&mut runner_of(&file, scalar), &sequence);
        for isa in Isa::available() {
            let mut runner = runner_of(&file, Setting { isa, ..Setting::usual() });
            assert_eq!(alone(&mut runner, &sequence), expected, "{} {}", case.name, isa.name());
            run(&mut runner, &[sequence.span(0, 7)]);
            let last = run(&mut runner, &[sequence.span(7, TOKENS)]).remove(0);
            assert_eq!(last.as_ref(), Some(&expected), "{} {}", case.name, isa.name());
        }
    }
}

impl Case {
    /// A folder of random weights; the file stays open after it is gone.
    fn file(&self) -> ModelFile {
        let folder = tempfile::tempdir().expect("a temporary folder");
        self.write(folder.path());
        let source = ModelSource::Path(folder.path().to_path_buf());
        ModelFile::open(&source).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn write(&self, folder: &Path) {
        let write = |name: &str, content: &[u8]| {
            fs::write(folder.join(name), content).expect("a file");
        };
        write("config.json", config(&self.quantisation).to_string().as_bytes());
        write("tokenizer.json", tokenizer().to_string().as_bytes());
        let mut tensors = Tensors { header: json!({}), data: Vec::new(), state: 5 };
        for name in TensorName::all(&shape()) {
            self.add(name, &mut tensors);
        }
        let header = tensors.header.to_string();
        let length = (header.len() as u64).to_le_bytes();
        write("model.safetensors", &[&length, header.as_bytes(), &tensors.data].concat());
    }

    /// Embedding, norms, biases and head are floats, as in published folders.
    fn add(&self, name: TensorName, tensors: &mut Tensors) {
        let tensor_shape = name.shape(&shape());
        let (rows, depth) = (tensor_shape.rows, tensor_shape.depth);
        let spelled = name.hugging_face_name();
        // As in trained models: a matrix neither grows nor shrinks what goes through it.
        let spread = (3.0 / depth as f32).sqrt();
        if name.is_vector() {
            let centre = if spelled.ends_with("norm.weight") { 1.0 } else { 0.0 };
            return tensors.floats(&spelled, &[depth], centre, 0.1);
        }
        if matches!(name, TensorName::Embedding | TensorName::Head) {
            return tensors.floats(&spelled, &[rows, depth], 0.0, spread);
        }
        let stem = spelled.trim_end_matches(".weight");
        let (per_word, groups) = (32 / self.bits, depth / self.group_len);
        let code_shape = match self.quantisation["quant_method"] == "awq" {
            true => [depth, rows / per_word],
            false => [depth / per_word, rows],
        };
        tensors.words(&format!("{stem}.qweight"), &code_shape, |random| random as u32);
        let bytes = if self.bits == 4 { self.zero << 4 | self.zero } else { self.zero };
        let zeros = u32::from_le_bytes([bytes; 4]);
        tensors.words(&format!("{stem}.qzeros"), &[groups, rows / per_word], |_| zeros);
        let middle = (1 << (self.bits - 1)) as f32;
        tensors.floats(&format!("{stem}.scales"), &[groups, rows], spread / middle, 0.001);
        if self.has_shuffled_groups {
            tensors.groups(&format!("{stem}.g_idx"), depth, self.group_len);
        }
    }
}

/// A safetensors file being made.
struct Tensors {
    header: Value,
    data: Vec<u8>,
    state: u64,
}

impl Tensors {
    fn add(&mut self, name: &str, dtype: &str, shape: &[usize], bytes: &[u8]) {
        let start = self.data.len();
        self.data.extend(bytes);
        let offsets = [start, self.data.len()];
        self.header[name] = json!({"dtype": dtype, "shape": shape, "data_offsets": offsets});
    }

    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.state >> 32
    }

    fn floats(&mut self, name: &str, shape: &[usize], centre: f32, spread: f32) {
        let count: usize = shape.iter().product();
        let float = |random: u64| centre + spread * (random as f32 / (1_u64 << 31) as f32 - 1.0);
        let floats = (0..count).map(|_| f16::from_f32(float(self.random())));
        let bytes: Vec<u8> = floats.flat_map(f16::to_le_bytes).collect();
        self.add(name, "F16", shape, &bytes);
    }

    fn words(&mut self, name: &str, shape: &[usize], word: impl Fn(u64) -> u32) {
        let count: usize = shape.iter().product();
        let words = (0..count).map(|_| word(self.random()));
        let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        self.add(name, "I32", shape, &bytes);
    }

    /// Every group as often as it is long, in no order.
    fn groups(&mut self, name: &str, depth: usize, group_len: usize) {
        let mut groups: Vec<usize> = (0..depth).map(|input| input / group_len).collect();
        for last in 1..depth {
            let other = self.random() as usize % (last + 1);
            groups.swap(last, other);
        }
        let bytes: Vec<u8> =
            groups.into_iter().flat_map(|group| (group as u32).to_le_bytes()).collect();
        self.add(name, "I32", &[depth], &bytes);
    }
}

fn config(quantisation: &Value) -> Value {
    let shape = shape();
    json!({
        "model_type": "qwen2",
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "intermediate_size": shape.feed_forward,
        "vocab_size": shape.vocabulary_rows,
        "max_position_embeddings": shape.trained_context,
        "rope_theta": shape.rope_base,
        "rms_norm_eps": shape.rms_eps,
        "tie_word_embeddings": shape.tied_embeddings,
        "eos_token_id": 1,
        "quantization_config": quantisation,
    })
}

fn tokenizer() -> Value {
    let pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    json!({
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"},
            {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
        ]},
        "added_tokens": [{"id": 1, "content": "<|im_end|>", "special": true}],
        "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
    })
}
