//! Which tensors a Qwen2 model has, their shapes, and where they are stored.

use banter_kernels::blocks::BlockType;

use super::config::ModelConfig;
use super::packed::PackedTensor;

/// A tensor of a Qwen2 model, whatever a file calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TensorName {
    /// One row per token.
    Embedding,
    /// Weights of the last norm.
    OutputNorm,
    /// One row of logit weights per token; absent if the embedding is also the head.
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

    /// The size of the inputs' order, which is kept with the weights.
    pub fn order_bytes(&self) -> u64 {
        match &self.place {
            Place::Packed(packed) if packed.g_idx.is_some() => 4 * self.depth as u64,
            Place::Packed(_) | Place::Rows(_) => 0,
        }
    }

    /// Memory for reading it, in addition to its rows. A packed tensor is read as a whole.
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

    /// The size of the tensor in the type in which it is read.
    pub fn bytes(&self) -> u64 {
        match &self.place {
            Place::Packed(packed) if self.kind == self.stored => packed.bytes,
            Place::Packed(_) | Place::Rows(_) => self.rows as u64 * self.row_bytes() as u64,
        }
    }
}
