//! The weights of a model, read once.

use banter_kernels::{AllocError, LoadError, Matrix, Pool, dequantise, matmul};

use super::layer::{DecoderLayer, Linear, Mlp, RmsNorm, SelfAttention};
use super::profile::Operation;
use super::scratch::Scratch;
use crate::model_file::{
    LayerTensor, ModelConfig, ModelFile, ModelFileError, TensorInfo, TensorName,
};

/// A Qwen2 model in memory; fields are named as in published checkpoints.
pub struct Model {
    config: ModelConfig,
    /// [vocabulary_rows, hidden]
    pub(super) embed_tokens: Matrix,
    pub(super) layers: Vec<DecoderLayer>,
    /// [hidden]
    pub(super) norm: RmsNorm,
    /// [vocabulary_rows, hidden]; none if the embedding is used instead.
    lm_head: Option<Matrix>,
}

/// Why a model cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file could be opened, but not read to its end.
    #[error(transparent)]
    Read(#[from] ModelFileError),
    /// No memory for the weights.
    #[error("weights: {0}")]
    Weights(AllocError),
    /// No memory for the KV cache.
    #[error("kv cache: {0}")]
    Cache(AllocError),
}

impl Model {
    /// Reads every weight on all threads of `pool`.
    ///
    /// After each tensor, `progress` is told which part of the bytes has been read, from 0 to 1.
    /// Errors: the file became unreadable since it was opened, or there is no memory.
    pub fn load(
        file: &ModelFile,
        pool: &Pool,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Model, ModelError> {
        let config = file.config().clone();
        let names = TensorName::all(&config);
        let total_bytes = names.iter().map(|name| tensor(file, *name).bytes()).sum();
        let mut reader = WeightReader { file, pool, total_bytes, done_bytes: 0, progress };
        let embed_tokens = reader.matrix(TensorName::Embedding)?;
        let layers = (0..config.layers)
            .map(|index| reader.layer(index, &config))
            .collect::<Result<Vec<_>, _>>()?;
        let norm = reader.norm(TensorName::OutputNorm, &config)?;
        let lm_head = match config.tied_embeddings {
            true => None,
            false => Some(reader.matrix(TensorName::Head)?),
        };
        Ok(Model { config, embed_tokens, layers, norm, lm_head })
    }

    /// How many bytes the weights of `file` will take in memory.
    pub fn weight_bytes_needed(file: &ModelFile) -> u64 {
        let names = TensorName::all(file.config());
        let needed = names.into_iter().map(|name| {
            let info = tensor(file, name);
            match name.is_vector() {
                true => (info.depth * size_of::<f32>()) as u64,
                false => {
                    let packed = Matrix::packed_bytes(info.kind, info.rows, info.depth) as u64;
                    packed.saturating_add(info.order_bytes())
                }
            }
        });
        needed.fold(0, u64::saturating_add)
    }

    /// Memory that reading takes in addition to the weights. Tensors are read one after another, so
    /// it is that of the largest.
    pub fn reading_bytes_needed(file: &ModelFile) -> u64 {
        let names = TensorName::all(file.config());
        names.into_iter().map(|name| tensor(file, name).reading_bytes()).max().unwrap_or_default()
    }

    /// The model's hyper-parameters.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Turns `count` rows of the residual stream from row `from` on into inputs of the head, and
    /// puts these into `scratch.h` from row `to` on.
    pub(super) fn hidden(
        &self,
        pool: &Pool,
        from: usize,
        to: usize,
        count: usize,
        scratch: &mut Scratch,
    ) {
        let Scratch { x, h, profile, .. } = scratch;
        self.norm.forward(pool, x.some_rows_mut(from, count), h.some_rows_mut(to, count));
        profile.spend(Operation::Norm);
    }

    /// Turns the first `count` rows of the residual stream into rows of logits.
    pub(super) fn logits(&self, pool: &Pool, count: usize, scratch: &mut Scratch) {
        let Scratch { x, h, logits, input, profile, .. } = scratch;
        self.norm.forward(pool, x.rows(count), h.rows_mut(count));
        profile.spend(Operation::Norm);
        let head = self.lm_head.as_ref().unwrap_or(&self.embed_tokens);
        input.set_for(pool, h.rows(count), count, &[head]);
        profile.spend(Operation::Prepare);
        matmul(pool, head, input, logits.rows_mut(count));
        profile.spend(Operation::Head);
    }
}

fn tensor(file: &ModelFile, name: TensorName) -> &TensorInfo {
    file.tensor(name).expect("an opened file has every tensor its configuration implies")
}

/// Reads tensors and reports progress.
struct WeightReader<'a> {
    file: &'a ModelFile,
    pool: &'a Pool,
    total_bytes: u64,
    done_bytes: u64,
    progress: &'a mut dyn FnMut(f32),
}

impl WeightReader<'_> {
    fn layer(&mut self, index: usize, config: &ModelConfig) -> Result<DecoderLayer, ModelError> {
        use LayerTensor::{
            AttentionNorm, Down, FeedForwardNorm, Gate, K, KBias, O, Q, QBias, Up, V, VBias,
        };
        let name = |tensor| TensorName::Layer(index, tensor);
        Ok(DecoderLayer {
            input_layernorm: self.norm(name(AttentionNorm), config)?,
            self_attn: SelfAttention {
                q_proj: self.linear(name(Q), name(QBias))?,
                k_proj: self.linear(name(K), name(KBias))?,
                v_proj: self.linear(name(V), name(VBias))?,
                o_proj: self.matrix(name(O))?,
            },
            post_attention_layernorm: self.norm(name(FeedForwardNorm), config)?,
            mlp: Mlp {
                gate_proj: self.matrix(name(Gate))?,
                up_proj: self.matrix(name(Up))?,
                down_proj: self.matrix(name(Down))?,
            },
        })
    }

    fn norm(&mut self, name: TensorName, config: &ModelConfig) -> Result<RmsNorm, ModelError> {
        Ok(RmsNorm { weight: self.vector(name)?, eps: config.rms_eps })
    }

    fn linear(&mut self, weight: TensorName, bias: TensorName) -> Result<Linear, ModelError> {
        Ok(Linear { weight: self.matrix(weight)?, bias: self.vector(bias)? })
    }

    fn matrix(&mut self, name: TensorName) -> Result<Matrix, ModelError> {
        let info = tensor(self.file, name);
        let rows = self.file.rows(info, self.pool)?;
        let read = |range, bytes: &mut [u8]| rows.read(range, bytes);
        let matrix =
            Matrix::load(self.pool, info.kind, info.rows, info.depth, &read).map_err(|error| {
                match error {
                    LoadError::Read(error) => ModelError::Read(error),
                    LoadError::Alloc(error) => ModelError::Weights(error),
                    error @ LoadError::Depth { .. } => {
                        unreachable!("depths are checked when a file is opened: {error}")
                    }
                }
            })?;
        self.advance(info.bytes());
        Ok(match rows.order() {
            Some(order) => matrix.with_order(order.clone()),
            None => matrix,
        })
    }

    /// Norms and biases are few and are used as they are.
    fn vector(&mut self, name: TensorName) -> Result<Vec<f32>, ModelError> {
        let info = tensor(self.file, name);
        let mut bytes = vec![0; info.row_bytes()];
        self.file.read_rows(info, 0..1, &mut bytes)?;
        let mut values = vec![0.0; info.depth];
        dequantise(info.kind, &bytes, &mut values);
        self.advance(info.bytes());
        Ok(values)
    }

    fn advance(&mut self, bytes: u64) {
        self.done_bytes += bytes;
        (self.progress)((self.done_bytes as f64 / self.total_bytes as f64) as f32);
    }
}
