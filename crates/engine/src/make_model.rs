//! Writes models of random weights in real shapes, for measurements of speed and for tests.
//!
//! A file made here loads like a published one. It has the same keys, the same tensor names, a
//! vocabulary of the same size with Qwen2.5's control tokens at their ids, and the tensor types
//! that llama.cpp's quantiser chooses. Its weights are random blocks, scaled so that a forward pass
//! stays finite. Its answers are noise.
//!
//! Reading order:
//! - [`ModelSpec`] and [`make_model`] below.
//! - `shapes`: the hyper-parameters of the published models.
//! - `weights`: random blocks.
//! - `tokens`: the vocabulary.
//! - `gguf_writer`: the file itself.

mod gguf_writer;
mod shapes;
mod tokens;
mod weights;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use banter_kernels::blocks::BlockType;

use crate::model_file::gguf::type_id;
use crate::model_file::{LayerTensor, ModelConfig, TensorName, choose_type};
use crate::text::Vocabulary;
use gguf_writer::{GgufWriter, TensorEntry};
use tokens::MadeVocabulary;
use weights::Weights;

pub use crate::model_file::WeightMix;
pub use shapes::{SHAPE_NAMES, named_shape};

/// The description of a model to make.
#[derive(Clone, Debug)]
pub struct ModelSpec {
    /// The model's name in the file.
    pub name: String,
    /// The hyper-parameters; [`named_shape`] gives those of the published models.
    pub shape: ModelConfig,
    /// The types in which weights are stored.
    pub weights: WeightMix,
    /// Whether the model has outliers like real models: k biases of norm 650 in the first layer and
    /// 900 in the last, and residual channels that are 1,000 times larger than the rest.
    pub outliers: bool,
    /// A published vocabulary, so that a text has the same number of tokens as in the published
    /// model. With `None`, a vocabulary is made.
    pub vocabulary: Option<Vocabulary>,
    /// Seed of the random weights; the same seed gives the same file.
    pub seed: u64,
}

/// How the tensors of one class are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRow {
    /// The class: the tensor's name without the layer, such as `ffn_down.weight`.
    pub tensors: String,
    /// The type of these tensors.
    pub kind: BlockType,
    /// The type that was wanted, if their rows are not whole blocks of it.
    pub instead_of: Option<BlockType>,
    /// Number of tensors.
    pub count: usize,
    /// Total size in bytes.
    pub bytes: u64,
}

/// Why a model could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeModelError {
    /// The file could not be written.
    #[error("{path}: cannot write: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The embedding has fewer rows than the published vocabulary has tokens, or than a made
    /// vocabulary needs for its bytes and control tokens.
    #[error("vocabulary: expected at least {needed} rows, found {found}")]
    VocabularyTooSmall {
        /// The smallest number of rows that works.
        needed: usize,
        /// The number of rows of the shape.
        found: usize,
    },
    /// The published vocabulary has no token that ends answers, or none that ends texts.
    #[error("vocabulary: expected a token {token}, found none")]
    TokenMissing {
        /// The missing token.
        token: &'static str,
    },
    /// GGUF files do not have this type.
    #[error("type: expected one of a GGUF file, found {kind}")]
    NoGgufType {
        /// The type that was to be used.
        kind: BlockType,
    },
    /// The rows of a tensor are not whole blocks of a type, and there is no other type for them.
    #[error("tensor {tensor}: expected rows of whole blocks of {kind}, found {depth} values")]
    RowsNotWholeBlocks {
        /// The tensor.
        tensor: String,
        /// The type that was to be used.
        kind: BlockType,
        /// Values per row.
        depth: usize,
    },
}

/// Writes a model of random weights and says how each class of tensors is stored.
///
/// `progress` is called with numbers from 0 to 1. The file appears at `path` when it is complete. A
/// model of any size takes only a few MiB of memory.
///
/// Errors: see [`MakeModelError`].
pub fn make_model(
    spec: &ModelSpec,
    path: &Path,
    progress: &mut dyn FnMut(f32),
) -> Result<Vec<TableRow>, MakeModelError> {
    let rows = spec.shape.vocabulary_rows;
    let vocabulary = match &spec.vocabulary {
        Some(vocabulary) => MadeVocabulary::published(vocabulary, rows)?,
        None => MadeVocabulary::new(rows)?,
    };
    let tensors = choose_types(spec)?;
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written = write(spec, &vocabulary, &tensors, &partial, progress)
        .and_then(|()| fs::rename(&partial, path));
    if let Err(error) = written {
        // The caller needs the error of the write, not one of the removal.
        let _ = fs::remove_file(&partial);
        return Err(MakeModelError::Io { path: path.to_path_buf(), error });
    }
    Ok(table(&tensors))
}

/// A tensor to be written.
struct ChosenTensor {
    name: TensorName,
    entry: TensorEntry,
    instead_of: Option<BlockType>,
}

fn choose_types(spec: &ModelSpec) -> Result<Vec<ChosenTensor>, MakeModelError> {
    let kind = spec.weights.base();
    if type_id(kind).is_none() {
        return Err(MakeModelError::NoGgufType { kind });
    }
    let choose = |name: TensorName| {
        let shape = name.shape(&spec.shape);
        let choice = choose_type(name, &spec.shape, spec.weights).ok_or_else(|| {
            MakeModelError::RowsNotWholeBlocks {
                tensor: name.gguf_name(),
                kind: spec.weights.base(),
                depth: shape.depth,
            }
        })?;
        let entry = TensorEntry {
            name: name.gguf_name(),
            kind: choice.kind,
            rows: (!name.is_vector()).then_some(shape.rows),
            depth: shape.depth,
        };
        Ok(ChosenTensor { name, entry, instead_of: choice.instead_of })
    };
    TensorName::all(&spec.shape).into_iter().map(choose).collect()
}

fn write(
    spec: &ModelSpec,
    vocabulary: &MadeVocabulary,
    tensors: &[ChosenTensor],
    path: &Path,
    progress: &mut dyn FnMut(f32),
) -> io::Result<()> {
    let mut writer = GgufWriter::new(File::create(path)?);
    describe(spec, vocabulary, &mut writer);
    let entries: Vec<&TensorEntry> = tensors.iter().map(|tensor| &tensor.entry).collect();
    writer.write_header(&entries)?;
    let total: u64 = entries.iter().map(|entry| entry.bytes()).sum();
    let mut done = 0;
    let mut weights = Weights::new(spec);
    for ChosenTensor { name, entry, .. } in tensors {
        writer.begin_tensor()?;
        weights.generate(*name, entry, &mut |bytes| {
            done += bytes.len() as u64;
            progress(done as f32 / total as f32);
            writer.write_data(bytes)
        })?;
    }
    writer.finish()
}

fn describe(spec: &ModelSpec, vocabulary: &MadeVocabulary, writer: &mut GgufWriter) {
    let shape = &spec.shape;
    writer.string("general.architecture", "qwen2");
    writer.string("general.type", "model");
    writer.string("general.name", &spec.name);
    writer.string("general.description", "Random weights, for measurements and tests");
    writer.u32("general.quantization_version", 2);
    let sizes = [
        ("block_count", shape.layers),
        ("context_length", shape.trained_context),
        ("embedding_length", shape.hidden),
        ("feed_forward_length", shape.feed_forward),
        ("attention.head_count", shape.heads),
        ("attention.head_count_kv", shape.kv_heads),
        ("attention.key_length", shape.head_dim),
        ("attention.value_length", shape.head_dim),
    ];
    for (key, size) in sizes {
        let size = u32::try_from(size).expect("sizes of models fit in 32 bits");
        writer.u32(&format!("qwen2.{key}"), size);
    }
    writer.f32("qwen2.rope.freq_base", shape.rope_base);
    if let Some(yarn) = &shape.yarn {
        let original = u32::try_from(yarn.original_context).expect("a context fits in 32 bits");
        writer.string("qwen2.rope.scaling.type", "yarn");
        writer.f32("qwen2.rope.scaling.factor", yarn.factor);
        writer.u32("qwen2.rope.scaling.original_context_length", original);
    }
    writer.f32("qwen2.attention.layer_norm_rms_epsilon", shape.rms_eps);
    vocabulary.describe(writer);
}

fn table(tensors: &[ChosenTensor]) -> Vec<TableRow> {
    let mut rows: BTreeMap<(usize, BlockType), TableRow> = BTreeMap::new();
    for ChosenTensor { name, entry, instead_of } in tensors {
        let class = entry.name.rsplitn(3, '.').take(2).collect::<Vec<_>>();
        let tensors = format!("{}.{}", class[1], class[0]);
        let row = rows.entry((place_in_table(*name), entry.kind)).or_insert_with(|| TableRow {
            tensors,
            kind: entry.kind,
            instead_of: *instead_of,
            count: 0,
            bytes: 0,
        });
        row.count += 1;
        row.bytes += entry.bytes();
    }
    rows.into_values().collect()
}

fn place_in_table(name: TensorName) -> usize {
    match name {
        TensorName::Embedding => 0,
        TensorName::Layer(_, tensor) => {
            1 + LayerTensor::ALL.iter().position(|&other| other == tensor).unwrap_or_default()
        }
        TensorName::OutputNorm => 1 + LayerTensor::ALL.len(),
        TensorName::Head => 2 + LayerTensor::ALL.len(),
    }
}
