//! GGUF files and Hugging Face folders. Everything in them is checked before it is used.
//!
//! Every file is treated as hostile. A count is bounded by the bytes that remain and by a limit of
//! ours, and a size is computed with checked arithmetic. An error names the file, the key or
//! tensor, what was expected and what was found. After [`ModelFile::open`] every hyper-parameter is
//! within its limits and every tensor has the shape that they imply, so later code need not check
//! again.
//!
//! Files are read with positioned reads and never mapped. If a file shrinks while the server runs,
//! one read fails; with a mapped file the process would get a signal.
//!
//! Reading order:
//! - [`ModelFile`] below: what the rest of the engine sees.
//! - `error`: [`ModelFileError`] and its faults.
//! - `config`: hyper-parameters and their limits.
//! - `yarn`: contexts that were extended beyond that of training.
//! - `tensors`: which tensors a Qwen2 model has, and their shapes.
//! - `stored`: tensors as a file lists them, and the choice of those that the model uses.
//! - `leftover`: the tensors that it does not use.
//! - `foreign`: files that are no model, such as a Git LFS pointer.
//! - `sampling`: recommended sampling parameters and their limits.
//! - `bytes`: where bytes come from.
//! - `gguf`: single and split GGUF files.
//! - `packed`: matrices that GPTQ or AWQ packed into words.
//! - `type_choice`, `quant`: which types weights get when they are made or loaded.
//! - `rows`: reading weights.
//! - `hugging_face`: folders of `config.json`, safetensors and `tokenizer.json`.
//! - `parsers`: the parsers by themselves, for fuzzing.
//!
//! Absent on purpose: memory mapping, pickled checkpoints (`.bin`, `.pt`), other architectures.

mod bytes;
mod config;
mod error;
mod foreign;
pub(crate) mod gguf;
mod hugging_face;
mod identity;
mod leftover;
mod packed;
#[doc(hidden)]
pub mod parsers;
mod quant;
mod rows;
mod sampling;
mod stored;
mod tensors;
mod type_choice;
mod yarn;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use banter_kernels::blocks::BlockType;

use crate::text::{Text, TextError, Vocabulary};
use bytes::Bytes;

pub use config::{MIN_CONTEXT_TOKENS, ModelConfig};
pub use error::{Fault, ModelFileError};
pub use quant::Quant;
pub use rows::TensorRows;
pub use tensors::{LayerTensor, TensorInfo, TensorName};
pub use type_choice::WeightMix;
pub(crate) use type_choice::choose as choose_type;
pub use yarn::Yarn;

/// Where a model is read from.
#[derive(Clone, Debug)]
pub enum ModelSource {
    /// A GGUF file, the first part of a split one, or a Hugging Face folder.
    Path(PathBuf),
    /// A GGUF file inside the program.
    Embedded {
        /// What errors and logs call it.
        name: &'static str,
        /// The whole file.
        bytes: &'static [u8],
    },
}

/// What a model file says about itself, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The model's own name, or the file's where it has none.
    pub name: String,
    /// The licence, as the file spells it.
    pub licence: Option<String>,
    /// A sentence about the model.
    pub text: Option<String>,
    /// Types of the weight matrices as they are loaded, most bytes first: `Q4_0 + Q6_K`.
    pub weight_types: String,
    /// How many parameters there are.
    pub parameters: u64,
    /// Their size in bytes, as stored or in the type that [`Quant`] gives them.
    pub weight_bytes: u64,
}

/// Sampling parameters the makers of the model recommend.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SamplingDefaults {
    /// Softmax temperature.
    pub temperature: Option<f32>,
    /// The probability that the kept tokens have together.
    pub top_p: Option<f32>,
    /// How many of the likeliest tokens are kept; 0 keeps all.
    pub top_k: Option<u32>,
    /// The least probability of a kept token, relative to the likeliest one.
    pub min_p: Option<f32>,
    /// Divides the logits of tokens that the text already has; 1 changes nothing.
    pub repetition_penalty: Option<f32>,
}

/// What a file says about itself in words.
struct About {
    name: String,
    licence: Option<String>,
    text: Option<String>,
}

/// The files that hold the vocabulary and the chat template, as errors name them.
#[derive(Debug)]
struct TextSources {
    vocabulary: String,
    chat_template: String,
}

/// Everything a reader has found and checked.
struct Checked {
    config: ModelConfig,
    about: About,
    vocabulary: Vocabulary,
    chat_template: Option<String>,
    text_sources: TextSources,
    sampling_defaults: SamplingDefaults,
    tensors: HashMap<TensorName, TensorInfo>,
    parts: Vec<Bytes>,
}

/// An open model file whose metadata and layout have been checked.
#[derive(Debug)]
pub struct ModelFile {
    config: ModelConfig,
    description: Description,
    vocabulary: Vocabulary,
    chat_template: Option<String>,
    text_sources: TextSources,
    sampling_defaults: SamplingDefaults,
    tensors: HashMap<TensorName, TensorInfo>,
    parts: Vec<Bytes>,
}

impl ModelFile {
    /// Opens a model and checks everything except the values of the weights.
    ///
    /// Errors: anything that is not a complete Qwen2 model that this engine can run; see [`Fault`].
    pub fn open(source: &ModelSource) -> Result<ModelFile, ModelFileError> {
        match source {
            ModelSource::Path(path) if path.is_dir() => hugging_face::open(path),
            ModelSource::Path(path) => gguf::open(Bytes::open(path)?),
            ModelSource::Embedded { name, bytes } => gguf::open(Bytes::embedded(name, bytes)),
        }
    }

    /// The checked hyper-parameters.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// What the file says about itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The tokens and merges; there are never more tokens than embedding rows.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The chat template, unparsed.
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }

    /// The vocabulary and the chat template, made ready for use.
    ///
    /// Errors: one of them contradicts itself, or would exhaust memory or time.
    pub fn text(&self) -> Result<Text, ModelFileError> {
        self.text_of(self.chat_template(), &self.text_sources.chat_template)
    }

    /// As [`ModelFile::text`], with another chat template than the model's; errors call it `name`.
    pub(crate) fn text_with(&self, template: &str, name: &str) -> Result<Text, ModelFileError> {
        self.text_of(Some(template), name)
    }

    /// The file that the chat template stands in, as errors call it.
    pub(crate) fn template_name(&self) -> &str {
        &self.text_sources.chat_template
    }

    fn text_of(&self, template: Option<&str>, name: &str) -> Result<Text, ModelFileError> {
        Text::new(&self.vocabulary, template).map_err(|error| {
            let file = match error {
                TextError::Template(_) => name,
                _ => &self.text_sources.vocabulary,
            };
            Fault::Text(error).in_file(file)
        })
    }

    /// Sampling parameters the makers recommend.
    pub fn sampling_defaults(&self) -> &SamplingDefaults {
        &self.sampling_defaults
    }

    /// Where a tensor is and how it is stored. `None` only for layers that the model does not have,
    /// and for [`TensorName::Head`] if the embedding is also the head.
    pub fn tensor(&self, tensor: TensorName) -> Option<&TensorInfo> {
        self.tensors.get(&tensor)
    }

    /// Whether a matrix or a vector is held in this type.
    pub(crate) fn holds(&self, kind: BlockType) -> bool {
        self.tensors.values().any(|info| info.kind == kind)
    }

    fn from_checked(checked: Checked) -> ModelFile {
        if let Some(yarn) = &checked.config.yarn {
            let Yarn { factor, original_context, .. } = *yarn;
            tracing::warn!(
                factor,
                original_context,
                "contexts are extended by YaRN, as the model asks: answers to short texts differ too"
            );
        }
        let tensors = checked.tensors;
        let mut description = Description {
            name: checked.about.name,
            licence: checked.about.licence,
            text: checked.about.text,
            weight_types: String::new(),
            parameters: tensors.values().map(|info| info.rows as u64 * info.depth as u64).sum(),
            weight_bytes: 0,
        };
        description.count_weights(&tensors);
        ModelFile {
            config: checked.config,
            description,
            vocabulary: checked.vocabulary,
            chat_template: checked.chat_template,
            text_sources: checked.text_sources,
            sampling_defaults: checked.sampling_defaults,
            tensors,
            parts: checked.parts,
        }
    }
}

impl Description {
    fn count_weights(&mut self, tensors: &HashMap<TensorName, TensorInfo>) {
        self.weight_types = weight_types(tensors);
        self.weight_bytes = tensors.values().map(TensorInfo::bytes).sum();
    }
}

/// Types of the matrices, most bytes first.
fn weight_types(tensors: &HashMap<TensorName, TensorInfo>) -> String {
    let mut bytes_by_type: BTreeMap<BlockType, u64> = BTreeMap::new();
    for (name, info) in tensors {
        if !name.is_vector() {
            *bytes_by_type.entry(info.kind).or_default() += info.bytes();
        }
    }
    let mut types: Vec<(BlockType, u64)> = bytes_by_type.into_iter().collect();
    types.sort_by_key(|&(_, bytes)| Reverse(bytes));
    types.into_iter().map(|(kind, _)| kind.name()).collect::<Vec<_>>().join(" + ")
}
