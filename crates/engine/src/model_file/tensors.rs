//! Which tensors a Qwen2 model has, and their shapes.

use std::collections::HashMap;

use banter_kernels::blocks::BlockType;

use super::bytes::Bytes;
use super::config::ModelConfig;
use super::error::{Fault, ModelFileError};
use super::packed::PackedTensor;
use crate::printable::printable;

/// Twice what a model of the most layers has.
pub(super) const MAX_TENSORS: u64 = 1 << 14;

/// A tensor of a Qwen2 model, whatever a file calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TensorName {
    /// One row per token.
    Embedding,
    /// Weights of the last norm.
    OutputNorm,
    /// One row of logit weights per token; absent when the embedding serves.
    Head,
    /// A tensor of the layer with this index.
    Layer(usize, LayerTensor),
}

/// A tensor that every layer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerTensor {
    /// Norm before attention.
    AttentionNorm,
    /// Query weights.
    Q,
    /// Key weights.
    K,
    /// Value weights.
    V,
    /// Query bias.
    QBias,
    /// Key bias.
    KBias,
    /// Value bias.
    VBias,
    /// Attention output weights.
    O,
    /// Norm before the feed-forward layer.
    FeedForwardNorm,
    /// Gate weights.
    Gate,
    /// Up weights.
    Up,
    /// Down weights.
    Down,
}

impl LayerTensor {
    /// Every tensor of a layer, in the order of the forward pass.
    pub const ALL: [LayerTensor; 12] = [
        LayerTensor::AttentionNorm,
        LayerTensor::Q,
        LayerTensor::QBias,
        LayerTensor::K,
        LayerTensor::KBias,
        LayerTensor::V,
        LayerTensor::VBias,
        LayerTensor::O,
        LayerTensor::FeedForwardNorm,
        LayerTensor::Gate,
        LayerTensor::Up,
        LayerTensor::Down,
    ];
}

/// Rows and depth of a tensor; a vector has one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub rows: usize,
    pub depth: usize,
}

impl TensorName {
    /// Every tensor a model with this configuration has.
    pub(crate) fn all(config: &ModelConfig) -> Vec<TensorName> {
        let head = (!config.tied_embeddings).then_some(TensorName::Head);
        let layers = (0..config.layers)
            .flat_map(|layer| LayerTensor::ALL.map(|tensor| TensorName::Layer(layer, tensor)));
        [TensorName::Embedding]
            .into_iter()
            .chain(layers)
            .chain([TensorName::OutputNorm])
            .chain(head)
            .collect()
    }

    /// The name in a GGUF file.
    pub(crate) fn gguf_name(self) -> String {
        let (layer, tensor) = match self {
            TensorName::Embedding => return "token_embd.weight".to_string(),
            TensorName::OutputNorm => return "output_norm.weight".to_string(),
            TensorName::Head => return "output.weight".to_string(),
            TensorName::Layer(layer, tensor) => (layer, tensor),
        };
        let name = match tensor {
            LayerTensor::AttentionNorm => "attn_norm.weight",
            LayerTensor::Q => "attn_q.weight",
            LayerTensor::K => "attn_k.weight",
            LayerTensor::V => "attn_v.weight",
            LayerTensor::QBias => "attn_q.bias",
            LayerTensor::KBias => "attn_k.bias",
            LayerTensor::VBias => "attn_v.bias",
            LayerTensor::O => "attn_output.weight",
            LayerTensor::FeedForwardNorm => "ffn_norm.weight",
            LayerTensor::Gate => "ffn_gate.weight",
            LayerTensor::Up => "ffn_up.weight",
            LayerTensor::Down => "ffn_down.weight",
        };
        format!("blk.{layer}.{name}")
    }

    /// The name in a Hugging Face folder.
    pub(crate) fn hugging_face_name(self) -> String {
        let (layer, tensor) = match self {
            TensorName::Embedding => return "model.embed_tokens.weight".to_string(),
            TensorName::OutputNorm => return "model.norm.weight".to_string(),
            TensorName::Head => return "lm_head.weight".to_string(),
            TensorName::Layer(layer, tensor) => (layer, tensor),
        };
        let name = match tensor {
            LayerTensor::AttentionNorm => "input_layernorm.weight",
            LayerTensor::Q => "self_attn.q_proj.weight",
            LayerTensor::K => "self_attn.k_proj.weight",
            LayerTensor::V => "self_attn.v_proj.weight",
            LayerTensor::QBias => "self_attn.q_proj.bias",
            LayerTensor::KBias => "self_attn.k_proj.bias",
            LayerTensor::VBias => "self_attn.v_proj.bias",
            LayerTensor::O => "self_attn.o_proj.weight",
            LayerTensor::FeedForwardNorm => "post_attention_layernorm.weight",
            LayerTensor::Gate => "mlp.gate_proj.weight",
            LayerTensor::Up => "mlp.up_proj.weight",
            LayerTensor::Down => "mlp.down_proj.weight",
        };
        format!("model.layers.{layer}.{name}")
    }

    /// The shape the hyper-parameters imply.
    pub(crate) fn shape(self, config: &ModelConfig) -> Shape {
        let q_width = config.heads * config.head_dim;
        let kv_width = config.kv_heads * config.head_dim;
        let (rows, depth) = match self {
            TensorName::Embedding | TensorName::Head => (config.vocabulary_rows, config.hidden),
            TensorName::OutputNorm => (1, config.hidden),
            TensorName::Layer(_, tensor) => match tensor {
                LayerTensor::AttentionNorm | LayerTensor::FeedForwardNorm => (1, config.hidden),
                LayerTensor::Q => (q_width, config.hidden),
                LayerTensor::K | LayerTensor::V => (kv_width, config.hidden),
                LayerTensor::QBias => (1, q_width),
                LayerTensor::KBias | LayerTensor::VBias => (1, kv_width),
                LayerTensor::O => (config.hidden, q_width),
                LayerTensor::Gate | LayerTensor::Up => (config.feed_forward, config.hidden),
                LayerTensor::Down => (config.hidden, config.feed_forward),
            },
        };
        Shape { rows, depth }
    }

    /// Whether this is a bias or a norm and not a matrix.
    pub(crate) fn is_vector(self) -> bool {
        match self {
            TensorName::OutputNorm => true,
            TensorName::Embedding | TensorName::Head => false,
            TensorName::Layer(_, tensor) => matches!(
                tensor,
                LayerTensor::AttentionNorm
                    | LayerTensor::FeedForwardNorm
                    | LayerTensor::QBias
                    | LayerTensor::KBias
                    | LayerTensor::VBias
            ),
        }
    }
}

/// How a tensor is stored, and where.
#[derive(Clone, Debug)]
pub struct TensorInfo {
    /// The block format its rows are read in; F32, F16 or BF16 for vectors.
    pub kind: BlockType,
    /// The block format they are stored in: the same, unless [`Quant`](super::Quant) gave another.
    pub stored: BlockType,
    /// How many rows there are; one for vectors.
    pub rows: usize,
    /// How many values a row has; whole blocks of `kind`.
    pub depth: usize,
    pub(super) place: Place,
}

/// Where the weights of a tensor are.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Row after row.
    Rows(Region),
    /// In several tensors of packed words.
    Packed(Box<PackedTensor>),
}

/// Where a stored tensor begins.
#[derive(Clone, Debug)]
pub(super) struct Region {
    /// Which part of the model holds it.
    pub part: usize,
    /// Where it starts in that part.
    pub offset: u64,
}

impl TensorInfo {
    /// The size of a row as it is read.
    pub fn row_bytes(&self) -> usize {
        self.kind.row_bytes(self.depth).expect("depth was checked when the file was opened")
    }

    /// What has to be kept beside the weights: the order of their inputs.
    pub fn order_bytes(&self) -> u64 {
        match &self.place {
            Place::Packed(packed) if packed.g_idx.is_some() => 4 * self.depth as u64,
            Place::Packed(_) | Place::Rows(_) => 0,
        }
    }

    /// What reading it takes beside its rows: a packed tensor is read whole.
    pub fn reading_bytes(&self) -> u64 {
        match &self.place {
            Place::Packed(packed) => packed.bytes,
            Place::Rows(_) => 0,
        }
    }

    /// The size of a row as it is stored.
    pub(super) fn stored_row_bytes(&self) -> usize {
        self.stored.row_bytes(self.depth).expect("depth was checked when the file was opened")
    }

    /// The size of the tensor: of the stored one, or of one of the type it is given.
    pub fn bytes(&self) -> u64 {
        match &self.place {
            Place::Packed(packed) if self.kind == self.stored => packed.bytes,
            Place::Packed(_) | Place::Rows(_) => self.rows as u64 * self.row_bytes() as u64,
        }
    }
}

/// What the numbers of a stored tensor are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoredType {
    /// Weights in blocks.
    Blocks(BlockType),
    /// 32-bit integers: parts of packed weights.
    I32,
}

impl StoredType {
    /// The size of a block, or of an integer.
    pub fn block_bytes(self) -> u64 {
        match self {
            StoredType::I32 => 4,
            StoredType::Blocks(kind) => kind.block_bytes() as u64,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            StoredType::I32 => "I32",
            StoredType::Blocks(kind) => kind.name(),
        }
    }
}

/// A tensor as a file lists it: within the file, its size a number, its meaning unknown.
pub(super) struct StoredTensor {
    pub name: String,
    pub kind: StoredType,
    /// Outermost first.
    pub shape: Vec<u64>,
    pub region: Region,
}

impl StoredTensor {
    /// A fault of its type.
    pub fn unsupported(&self, supported: &str) -> Fault {
        Fault::UnsupportedType {
            tensor: printable(&self.name),
            found: self.kind.name().to_string(),
            supported: supported.to_string(),
        }
    }

    /// Checks its shape.
    pub fn expect_shape(&self, expected: &[usize]) -> Result<(), Fault> {
        if self.shape.iter().copied().eq(expected.iter().map(|&size| size as u64)) {
            return Ok(());
        }
        let found = format!("{:?}", self.shape);
        Err(Fault::tensor(&self.name, format!("shape {expected:?}"), found))
    }
}

/// The tensors of a file that nothing has asked for yet.
pub(super) struct Unclaimed<'a> {
    tensors: HashMap<String, StoredTensor>,
    parts: &'a [Bytes],
}

impl Unclaimed<'_> {
    /// All tensors of a file.
    ///
    /// Errors: one is there twice.
    pub fn new(
        stored: Vec<StoredTensor>,
        parts: &[Bytes],
    ) -> Result<Unclaimed<'_>, ModelFileError> {
        let mut tensors: HashMap<String, StoredTensor> = HashMap::with_capacity(stored.len());
        for tensor in stored {
            let part = parts[tensor.region.part].name();
            if let Some(first) = tensors.insert(tensor.name.clone(), tensor) {
                let fault = Fault::tensor(&first.name, "the tensor once", "it twice");
                return Err(fault.in_file(part));
            }
        }
        Ok(Unclaimed { tensors, parts })
    }

    /// The parts of the model.
    pub fn parts(&self) -> &[Bytes] {
        self.parts
    }

    /// What errors call the part that holds a tensor.
    pub fn part_name(&self, tensor: &StoredTensor) -> &str {
        self.parts[tensor.region.part].name()
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Takes a tensor out, if it is there.
    pub fn take(&mut self, name: &str) -> Option<StoredTensor> {
        self.tensors.remove(name)
    }

    /// Takes a tensor out.
    ///
    /// Errors: it is not there.
    pub fn require(&mut self, name: &str) -> Result<StoredTensor, ModelFileError> {
        self.take(name).ok_or_else(|| {
            let fault = Fault::tensor(name, "a tensor of that name", "none");
            fault.in_file(self.parts[0].name())
        })
    }

    /// Finds every tensor the configuration asks for, unless it is in `claimed` already, and checks
    /// its shape and type.
    ///
    /// Errors: one is missing, of another shape or of a type without meaning for it, or one is there
    /// that the model does not have (it would change the result if it were known).
    pub fn claim(
        mut self,
        mut claimed: HashMap<TensorName, TensorInfo>,
        spelling: fn(TensorName) -> String,
        config: &ModelConfig,
    ) -> Result<HashMap<TensorName, TensorInfo>, ModelFileError> {
        for name in TensorName::all(config) {
            if claimed.contains_key(&name) {
                continue;
            }
            let tensor = self.require(&spelling(name))?;
            let info = check_tensor(name, &tensor, config);
            claimed.insert(name, info.map_err(|fault| fault.in_file(self.part_name(&tensor)))?);
        }
        // The least name, so that the same file always gives the same error.
        let Some(tensor) = self.tensors.values().min_by(|a, b| a.name.cmp(&b.name)) else {
            return Ok(claimed);
        };
        let expected = format!("only the tensors of a Qwen2 model of {} layers", config.layers);
        let fault = Fault::tensor(&tensor.name, expected, "one that changes the result");
        Err(fault.in_file(self.part_name(tensor)))
    }
}

fn check_tensor(
    name: TensorName,
    tensor: &StoredTensor,
    config: &ModelConfig,
) -> Result<TensorInfo, Fault> {
    let Shape { rows, depth } = name.shape(config);
    if name.is_vector() {
        tensor.expect_shape(&[depth])?;
    } else {
        tensor.expect_shape(&[rows, depth])?;
    }
    let kind = match tensor.kind {
        StoredType::I32 => return Err(tensor.unsupported("F32, F16, BF16")),
        StoredType::Blocks(kind) if name.is_vector() && kind.is_quantised() => {
            return Err(tensor.unsupported("F32, F16, BF16 for a vector"));
        }
        StoredType::Blocks(kind) => kind,
    };
    Ok(TensorInfo { kind, stored: kind, rows, depth, place: Place::Rows(tensor.region.clone()) })
}
