//! How much there is to compute and to read.

use banter_kernels::{BlockType, KvType};
use serde::{Deserialize, Serialize};

use crate::kv_cache::BLOCK_TOKENS;
use crate::model::Runner;
use crate::model_file::{ModelFile, TensorName};

/// The numbers that products of weights and activations are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Products {
    /// 8-bit integers.
    Int8,
    /// BF16 numbers, two at a time.
    Pairs,
    /// 32-bit floats.
    Floats,
}

impl Products {
    /// The numbers for weights of some types: integers if any are quantised.
    fn of(mut kinds: impl Iterator<Item = BlockType> + Clone) -> Products {
        if kinds.clone().any(BlockType::is_quantised) {
            return Products::Int8;
        }
        match kinds.any(|kind| kind == BlockType::Bf16Dot) {
            true => Products::Pairs,
            false => Products::Floats,
        }
    }
}

/// The least that a step must compute and read, on any machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Products of weights and activations for every token.
    pub token_products: u64,
    /// More of them for a token that is sampled.
    pub head_products: u64,
    /// The numbers of the layers' products.
    pub products: Products,
    /// Bytes of weights that a step reads, as the file stores them.
    pub weight_bytes: u64,
    /// Bytes of keys and values that a token reads for each position before it.
    pub position_bytes: u64,
}

impl Workload {
    /// The workload of a model with its cache in `kv_type`.
    pub(super) fn of(file: &ModelFile, kv_type: KvType) -> Workload {
        let config = file.config();
        let head = if config.tied_embeddings { TensorName::Embedding } else { TensorName::Head };
        let tensor = |name| file.tensor(name).expect("an opened file has all tensors");
        let products = |name| tensor(name).rows as u64 * tensor(name).depth as u64;
        let layers = || {
            let names = TensorName::all(config).into_iter();
            names.filter(|name| matches!(name, TensorName::Layer(..)) && !name.is_vector())
        };
        Workload {
            token_products: layers().map(products).sum(),
            head_products: products(head),
            products: Products::of(layers().map(|name| tensor(name).kind)),
            weight_bytes: layers().chain([head]).map(|name| tensor(name).bytes()).sum(),
            position_bytes: (Runner::block_bytes(config, kv_type) / BLOCK_TOKENS) as u64,
        }
    }

    /// The products of a prompt of which only the last token is sampled.
    pub fn prompt_products(&self, tokens: usize) -> u64 {
        self.token_products * tokens as u64 + self.head_products
    }

    /// The bytes that `tokens` steps read, each of which computes one token of `sequences`
    /// sequences, behind `cached` tokens.
    pub fn generate_bytes(&self, sequences: usize, cached: usize, tokens: usize) -> u64 {
        let positions: u64 = (cached..cached + tokens).map(|position| position as u64 + 1).sum();
        self.weight_bytes * tokens as u64 + self.position_bytes * positions * sequences as u64
    }
}
