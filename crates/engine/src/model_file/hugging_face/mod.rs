//! Hugging Face folders: `config.json`, safetensors and `tokenizer.json`.
//!
//! Reading order:
//! - `folder`: which files may be read.
//! - `json`: objects whose values errors can name.
//! - `config_json`: hyper-parameters.
//! - `quantisation`: how weights are packed, if they are.
//! - `text_files`: tokenizer, chat template, end tokens, sampling parameters.
//! - `safetensors`: headers of files of weights, and the index of several.
//! - `weights`: which files hold the weights.
//! - `other_folders`: folders that hold something else.
//! - `packed_tensors`: which of them are packed matrices.
//!
//! Pickled checkpoints (`.bin`, `.pt`) are never read: opening one runs code.

mod config_json;
mod folder;
mod json;
mod other_folders;
mod packed_tensors;
mod quantisation;
mod safetensors;
mod text_files;
mod weights;

use std::path::Path;

use super::error::ModelFileError;
use super::stored::{StoredTensor, Unclaimed};
use super::tensors::TensorName;
use super::{About, Checked, ModelFile};
use config_json::{ConfigJson, Tie};
use folder::Folder;
use text_files::TextFiles;
use weights::Weights;

pub(super) use config_json::parse as parse_config;
pub(super) use quantisation::parse as parse_quantisation;
pub(super) use safetensors::{parse_header, parse_index};

/// Opens a folder.
pub(super) fn open(path: &Path) -> Result<ModelFile, ModelFileError> {
    let folder = Folder::open(path)?;
    let ConfigJson { model: mut config, tie, quantisation } = config_json::read(&folder)?;
    let quantisation = match quantisation {
        Some(quantisation) => Some(quantisation),
        None => quantisation::read(&folder)?,
    };
    let text_files = TextFiles::read(&folder, &config)?;
    let Weights { stored, parts } = weights::read(&folder, &config)?;
    config.tied_embeddings &= tie == Tie::Stated || !has_head(&stored);
    let mut unclaimed = Unclaimed::new(stored, &parts);
    let packed = match &quantisation {
        Some(quantisation) => packed_tensors::claim(&mut unclaimed, quantisation, &config)?,
        None => packed_tensors::none(&unclaimed, &config)?,
    };
    let tensors = unclaimed.claim(packed, TensorName::hugging_face_name, &config)?;
    let about = About { name: folder.model_name(), licence: None, text: None };
    Ok(ModelFile::from_checked(Checked {
        config,
        about,
        vocabulary: text_files.vocabulary,
        chat_template: text_files.chat_template,
        text_sources: text_files.sources,
        sampling_defaults: text_files.sampling_defaults,
        tensors,
        parts,
    }))
}

/// Whether there is a head of its own, packed or not.
fn has_head(stored: &[StoredTensor]) -> bool {
    let weight = TensorName::Head.hugging_face_name();
    let stem = weight.trim_end_matches("weight");
    stored.iter().any(|tensor| tensor.name == weight || tensor.name == format!("{stem}qweight"))
}
