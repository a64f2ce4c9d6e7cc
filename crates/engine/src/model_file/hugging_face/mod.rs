//! Hugging Face folders: `config.json`, safetensors and `tokenizer.json`.
//!
//! Reading order:
//! - `folder`: which files may be read.
//! - `json`: objects whose values errors can name.
//! - `config_json`: hyper-parameters.
//! - `quantisation`: how weights are packed, if they are.
//! - `text_files`: tokenizer, chat template, end tokens, sampling parameters.
//! - `safetensors`: weights in one file or several.
//! - `packed_tensors`: which of them are packed matrices.
//!
//! Pickled checkpoints (`.bin`, `.pt`) are never read: opening one runs code.

mod config_json;
mod folder;
mod json;
mod packed_tensors;
mod quantisation;
mod safetensors;
mod text_files;

use std::path::Path;

use super::error::ModelFileError;
use super::tensors::{StoredTensor, TensorName, Unclaimed};
use super::{About, Checked, ModelFile};
use config_json::ConfigJson;
use folder::Folder;
use safetensors::Weights;
use text_files::TextFiles;

pub(super) use config_json::parse as parse_config;
pub(super) use quantisation::parse as parse_quantisation;
pub(super) use safetensors::{parse_header, parse_index};

/// Opens a folder.
pub(super) fn open(path: &Path) -> Result<ModelFile, ModelFileError> {
    let folder = Folder::open(path)?;
    let ConfigJson { model: config, quantisation } = config_json::read(&folder)?;
    let quantisation = match quantisation {
        Some(quantisation) => Some(quantisation),
        None => quantisation::read(&folder)?,
    };
    let text_files = TextFiles::read(&folder, &config)?;
    let Weights { mut stored, parts } = safetensors::read(&folder)?;
    let is_tied = config.tied_embeddings;
    stored.retain(|tensor| !is_unused(tensor, is_tied, folder.name()));
    let mut unclaimed = Unclaimed::new(stored, &parts)?;
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

/// Whether a tensor is one that Qwen2 never uses: `transformers` passes over the same ones.
fn is_unused(tensor: &StoredTensor, is_tied: bool, folder: &str) -> bool {
    let is_table = tensor.name.ends_with(".rotary_emb.inv_freq");
    let is_spare_head = is_tied && tensor.name == TensorName::Head.hugging_face_name();
    if is_table || is_spare_head {
        tracing::warn!(folder, tensor = tensor.name, "passing over a tensor that has no use");
    }
    is_table || is_spare_head
}
