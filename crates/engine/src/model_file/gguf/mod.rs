//! GGUF files, version 2 and 3, single or split.
//!
//! Reading order:
//! - `reader`: bytes from front to back, within limits.
//! - `metadata`: keys and values.
//! - `layout`: which tensors a file holds, and that they lie where they can.
//! - `types`: numbers of tensor types.
//! - `split`: the files of a split model.
//! - `qwen2`: what the keys of a Qwen2 model mean.
//!
//! Source: the GGUF specification.

mod layout;
mod metadata;
mod qwen2;
mod reader;
mod split;
mod types;

use std::collections::HashMap;

use super::bytes::Bytes;
use super::error::{Fault, ModelFileError};
use super::foreign;
use super::stored::{StoredTensor, Unclaimed};
use super::tensors::TensorName;
use super::{Checked, ModelFile, TextSources};
use metadata::Metadata;
use reader::Reader;

pub(crate) use layout::DEFAULT_ALIGNMENT;
pub(crate) use types::{known_types, type_id};

/// The first four bytes of every GGUF file.
pub(crate) const MAGIC: [u8; 4] = *b"GGUF";
const VERSIONS: [u32; 2] = [2, 3];

/// Opens a single file, or all parts of a split one whose first part is `first`.
pub(super) fn open(first: Bytes) -> Result<ModelFile, ModelFileError> {
    let Part { mut metadata, tensors, .. } = read_part(&first, 0, PartRole::First)?;
    let split = split::Split::of(&first, &metadata)?;
    let mut parts = vec![first];
    let mut stored = tensors;
    for index in 1..split.count {
        let bytes = split.open_part(index)?;
        let part = read_part(&bytes, index, PartRole::Later)?;
        split.check_part(&bytes, &part.metadata, index)?;
        stored.extend(part.tensors);
        parts.push(bytes);
    }
    let file = parts[0].name();
    split.check_tensor_count(stored.len()).map_err(|fault| fault.in_file(file))?;
    assemble(&mut metadata, stored, parts)
}

/// What one file of a model holds.
struct Part {
    metadata: Metadata,
    tensors: Vec<StoredTensor>,
}

#[derive(PartialEq)]
enum PartRole {
    /// Its metadata describe the model.
    First,
    /// It adds tensors.
    Later,
}

fn read_part(bytes: &Bytes, index: usize, role: PartRole) -> Result<Part, ModelFileError> {
    let read = || {
        check_magic(bytes)?;
        let mut reader = Reader::new(bytes);
        read_version(&mut reader)?;
        let tensor_count = layout::read_count(&mut reader)?;
        let key_count = Metadata::read_count(&mut reader)?;
        let metadata = Metadata::read(&mut reader, key_count)?;
        if role == PartRole::First {
            split::refuse_later_part(&metadata)?;
            // Before the tensors, because another architecture may also use other types.
            qwen2::check_architecture(&metadata)?;
        }
        let alignment = layout::alignment(&metadata)?;
        let entries = layout::read_entries(&mut reader, tensor_count)?;
        let tensors = layout::place(entries, alignment, &reader, index);
        Ok(Part { metadata, tensors })
    };
    read().map_err(|fault: Fault| fault.in_file(bytes.name()))
}

fn check_magic(bytes: &Bytes) -> Result<(), Fault> {
    let start = bytes.start()?;
    if start.starts_with(&MAGIC) {
        return Ok(());
    }
    let expected = "a GGUF file, which starts with \"GGUF\"".to_string();
    let found = match foreign::recognise(&start) {
        Some(foreign) => foreign.found(bytes.path()),
        None => {
            let magic = &start[..start.len().min(MAGIC.len())];
            format!("\"{}\" at its start", magic.escape_ascii())
        }
    };
    Err(Fault::NotAModel { expected, found })
}

fn read_version(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.take(MAGIC.len() as u64, "magic")?;
    let version = reader.u32("version")?;
    if VERSIONS.contains(&version) {
        return Ok(());
    }
    if VERSIONS.contains(&version.swap_bytes()) {
        let found = "a big-endian file";
        return Err(Fault::malformed("version", "little-endian version 2 or 3", found));
    }
    Err(Fault::malformed("version", "2 or 3", version.to_string()))
}

fn assemble(
    metadata: &mut Metadata,
    stored: Vec<StoredTensor>,
    parts: Vec<Bytes>,
) -> Result<ModelFile, ModelFileError> {
    let file = parts[0].name().to_string();
    let in_file = |fault: Fault| fault.in_file(&file);
    let config = qwen2::config(metadata, &stored).map_err(in_file)?;
    let unclaimed = Unclaimed::new(stored, &parts);
    let tensors = unclaimed.claim(HashMap::new(), TensorName::gguf_name, &config)?;
    let about = qwen2::about(metadata, &file).map_err(in_file)?;
    let chat_template = qwen2::chat_template(metadata).map_err(in_file)?;
    let sampling_defaults = qwen2::sampling_defaults(metadata, &file);
    let vocabulary = qwen2::vocabulary(metadata, config.vocabulary_rows).map_err(in_file)?;
    qwen2::mention_unknown_keys(metadata, &file);
    let text_sources = TextSources { vocabulary: file.clone(), chat_template: file.clone() };
    Ok(ModelFile::from_checked(Checked {
        config,
        about,
        vocabulary,
        chat_template,
        text_sources,
        sampling_defaults,
        tensors,
        parts,
    }))
}
