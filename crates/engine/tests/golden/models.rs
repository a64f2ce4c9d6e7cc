//! The golden models: their descriptions, and the random numbers that are their weights.
//!
//! `tools/golden/logits.py` does the same in Python; `tools/golden/README.md` describes it.

use std::path::{Path, PathBuf};

use banter_engine::text::TokenId;
use half::{bf16, f16};
use serde::{Deserialize, Serialize};

/// One entry of `models.json`. Fields that are also in `config.json` have the same names.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Spec {
    pub name: String,
    pub seed: u64,
    pub stored_as: StoredAs,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub num_key_value_heads: usize,
    pub head_dim: usize,
    pub vocab_size: usize,
    /// Number of rows of the vocabulary that have a token.
    pub tokens: usize,
    pub end_tokens: Vec<u32>,
    pub tie_word_embeddings: bool,
    pub rope_theta: f64,
    pub rms_norm_eps: f64,
    pub max_position_embeddings: usize,
    pub outliers: bool,
    /// Lengths of the sequences in the golden file, in tokens.
    pub sequences: Vec<usize>,
}

/// A type of safetensors files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum StoredAs {
    F32,
    F16,
    #[serde(rename = "BF16")]
    Bf16,
}

/// A tensor of a checkpoint.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: String,
    /// One number for a vector, two for a matrix.
    pub shape: Vec<usize>,
    /// Values before they are rounded to the stored type.
    pub values: Vec<f32>,
}

/// The folder of the descriptions and golden files.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Every model of `models.json`.
pub fn all() -> Vec<Spec> {
    let file = std::fs::read(folder().join("models.json")).expect("models.json is committed");
    serde_json::from_slice(&file).expect("models.json describes models")
}

impl Spec {
    /// Random tokens that depend only on the seed and `name`.
    pub fn tokens(&self, name: &str, count: usize) -> Vec<TokenId> {
        let token = |bits: u64| TokenId(((bits >> 11) % self.tokens as u64) as u32);
        random_bits(self.seed, name).take(count).map(token).collect()
    }

    /// All weights.
    pub fn tensors(&self) -> Vec<Tensor> {
        let (hidden, wide) = (self.hidden_size, self.intermediate_size);
        let q = self.num_attention_heads * self.head_dim;
        let kv = self.num_key_value_heads * self.head_dim;
        let mut shapes = vec![
            ("model.embed_tokens.weight".to_string(), vec![self.vocab_size, hidden]),
            ("model.norm.weight".to_string(), vec![hidden]),
        ];
        if !self.tie_word_embeddings {
            shapes.push(("lm_head.weight".to_string(), vec![self.vocab_size, hidden]));
        }
        for layer in 0..self.num_hidden_layers {
            let of_layer = [
                ("input_layernorm.weight", vec![hidden]),
                ("self_attn.q_proj.weight", vec![q, hidden]),
                ("self_attn.q_proj.bias", vec![q]),
                ("self_attn.k_proj.weight", vec![kv, hidden]),
                ("self_attn.k_proj.bias", vec![kv]),
                ("self_attn.v_proj.weight", vec![kv, hidden]),
                ("self_attn.v_proj.bias", vec![kv]),
                ("self_attn.o_proj.weight", vec![hidden, q]),
                ("post_attention_layernorm.weight", vec![hidden]),
                ("mlp.gate_proj.weight", vec![wide, hidden]),
                ("mlp.up_proj.weight", vec![wide, hidden]),
                ("mlp.down_proj.weight", vec![hidden, wide]),
            ];
            let named =
                of_layer.map(|(name, shape)| (format!("model.layers.{layer}.{name}"), shape));
            shapes.extend(named);
        }
        shapes.into_iter().map(|(name, shape)| self.tensor(name, shape)).collect()
    }

    /// The weights of one tensor.
    pub fn tensor(&self, name: String, shape: Vec<usize>) -> Tensor {
        let width = *shape.last().expect("tensors have a shape");
        let is_outlier = |index: usize| {
            let channel = index % width;
            self.outliers && (channel == 3 || channel == self.hidden_size / 2)
        };
        let mut values = uniform(self.seed, &name, shape.iter().product());
        for (index, value) in values.iter_mut().enumerate() {
            if name.ends_with("norm.weight") {
                *value = *value * 0.5 + 1.0;
                if self.outliers {
                    *value *= match (is_outlier(index), name.as_str()) {
                        (false, _) => 24.0,
                        (true, "model.norm.weight") => 1.0 / 32_768.0,
                        (true, _) => 1.0 / 32.0,
                    };
                }
            } else if name.ends_with(".bias") {
                *value *= (self.bias_scale(&name, width) * self.calming(&name)) as f32;
            } else {
                let scale = (self.matrix_scale(&name, width) * self.calming(&name)) as f32;
                *value *= scale;
                if name == "model.embed_tokens.weight" && is_outlier(index) {
                    *value = (*value + scale.copysign(*value)) * 500.0;
                }
            }
        }
        Tensor { name, shape, values }
    }

    fn bias_scale(&self, name: &str, width: usize) -> f64 {
        let last = self.num_hidden_layers - 1;
        let of_norm = |norm: f64| norm * (3.0 / width as f64).sqrt();
        match name {
            "model.layers.0.self_attn.k_proj.bias" if self.outliers => of_norm(650.0),
            name if self.outliers
                && name == format!("model.layers.{last}.self_attn.k_proj.bias") =>
            {
                of_norm(900.0)
            }
            _ => 0.5,
        }
    }

    fn matrix_scale(&self, name: &str, depth: usize) -> f64 {
        if name == "model.embed_tokens.weight" {
            return match (self.tie_word_embeddings, self.outliers) {
                (true, true) => 0.05,
                (true, false) => 0.2,
                (false, _) => 1.0,
            };
        }
        let gain = if name.contains("q_proj") || name.contains("k_proj") {
            1.5
        } else if name == "lm_head.weight" {
            4.0
        } else {
            1.0
        };
        gain * (3.0 / depth as f64).sqrt()
    }

    /// A factor for weights that keeps models with outliers well conditioned.
    fn calming(&self, name: &str) -> f64 {
        let last = self.num_hidden_layers - 1;
        let has_large_keys =
            |layer: usize| name.contains(&format!("layers.{layer}.self_attn.q_proj"));
        let is_calmed = name.contains("o_proj")
            || name.contains("down_proj")
            || has_large_keys(0)
            || has_large_keys(last);
        if self.outliers && is_calmed { 0.25 } else { 1.0 }
    }
}

impl StoredAs {
    /// The name of the type in safetensors files.
    pub fn name(self) -> &'static str {
        match self {
            StoredAs::F32 => "F32",
            StoredAs::F16 => "F16",
            StoredAs::Bf16 => "BF16",
        }
    }

    /// `values`, rounded, as the bytes of a file.
    pub fn bytes(self, values: &[f32]) -> Vec<u8> {
        match self {
            StoredAs::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            StoredAs::F16 => {
                values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect()
            }
            StoredAs::Bf16 => {
                values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect()
            }
        }
    }
}

/// The 64-bit FNV-1a hash of a name.
fn name_key(name: &str) -> u64 {
    let step = |key: u64, byte: u8| (key ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Random bits: SplitMix64 of a counter, started from the seed and the name.
fn random_bits(seed: u64, name: &str) -> impl Iterator<Item = u64> {
    let start = name_key(name) ^ seed;
    (1u64..).map(move |count| {
        let z = start.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// Random numbers from -1 to 1. They are multiples of 2⁻²³, so they are exact in float32.
fn uniform(seed: u64, name: &str, count: usize) -> Vec<f32> {
    let value = |bits: u64| ((bits >> 40) as i64 - (1 << 23)) as f32 / (1 << 23) as f32;
    random_bits(seed, name).take(count).map(value).collect()
}
