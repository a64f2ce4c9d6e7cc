//! The files of a split model: `NAME-00001-of-00003.gguf` and so on.

use std::path::{Path, PathBuf};

use super::super::bytes::Bytes;
use super::super::error::{Fault, ModelFileError};
use super::metadata::{Metadata, missing};

/// Each part keeps a file open.
const MAX_PARTS: u64 = 256;
const NUMBER_KEY: &str = "split.no";
const COUNT_KEY: &str = "split.count";
const TENSORS_KEY: &str = "split.tensors.count";

/// How many files a model has, and what their names are.
#[derive(Debug)]
pub(super) struct Split {
    pub count: usize,
    /// The path without `-00001-of-00003.gguf`; `None` for a model in one file.
    stem: Option<String>,
    tensor_count: Option<u64>,
}

impl Split {
    /// Reads what the first part says about the others.
    pub fn of(first: &Bytes, metadata: &Metadata) -> Result<Split, ModelFileError> {
        let read = || {
            let count = metadata.unsigned(COUNT_KEY)?.unwrap_or(1);
            if count == 0 || count > MAX_PARTS {
                return Err(Fault::key(COUNT_KEY, format!("1 to {MAX_PARTS}"), count.to_string()));
            }
            if count == 1 {
                return Ok(Split { count: 1, stem: None, tensor_count: None });
            }
            let stem = stem(first, metadata, count)?;
            let tensor_count = metadata.unsigned(TENSORS_KEY)?;
            let tensor_count = tensor_count.ok_or_else(|| missing(TENSORS_KEY, "an integer"))?;
            // At most MAX_PARTS.
            Ok(Split { count: count as usize, stem: Some(stem), tensor_count: Some(tensor_count) })
        };
        read().map_err(|fault| fault.in_file(first.name()))
    }

    /// Opens part `index`, counted from 0.
    pub fn open_part(&self, index: usize) -> Result<Bytes, ModelFileError> {
        let stem = self.stem.as_deref().expect("a model of several parts has a stem");
        let path = PathBuf::from(format!("{stem}{}", suffix(index as u64, self.count as u64)));
        if path.exists() {
            return Bytes::open(&path);
        }
        let expected = format!("part {} of {}", index + 1, self.count);
        let found = "no such file: download it into the folder of the first part".to_string();
        Err(Fault::NotAModel { expected, found }.in_file(&path.display().to_string()))
    }

    /// Checks that a later part is the one its name promises.
    pub fn check_part(
        &self,
        bytes: &Bytes,
        metadata: &Metadata,
        index: usize,
    ) -> Result<(), ModelFileError> {
        let check = || {
            for (key, expected) in [(NUMBER_KEY, index as u64), (COUNT_KEY, self.count as u64)] {
                let found = metadata.unsigned(key)?;
                let found = found.ok_or_else(|| missing(key, &expected.to_string()))?;
                if found != expected {
                    return Err(Fault::key(key, expected.to_string(), found.to_string()));
                }
            }
            Ok(())
        };
        check().map_err(|fault: Fault| fault.in_file(bytes.name()))
    }

    /// Checks that the parts hold as many tensors as the first one promises.
    pub fn check_tensor_count(&self, found: usize) -> Result<(), Fault> {
        match self.tensor_count {
            Some(promised) if promised != found as u64 => {
                let expected = format!("{found}, as many as all parts hold");
                Err(Fault::key(TENSORS_KEY, expected, promised.to_string()))
            }
            _ => Ok(()),
        }
    }
}

fn suffix(index: u64, count: u64) -> String {
    format!("-{:05}-of-{count:05}.gguf", index + 1)
}

/// Refuses a later part as the first file. It only says which part it is.
pub(super) fn refuse_later_part(metadata: &Metadata) -> Result<(), Fault> {
    match metadata.unsigned(NUMBER_KEY)? {
        None | Some(0) => Ok(()),
        Some(number) => {
            let found = format!("{number}: open the first part instead");
            Err(Fault::key(NUMBER_KEY, "0", found))
        }
    }
}

fn stem(first: &Bytes, metadata: &Metadata, count: u64) -> Result<String, Fault> {
    metadata.unsigned(NUMBER_KEY)?.ok_or_else(|| missing(NUMBER_KEY, "0"))?;
    let unnamed = || Fault::NotAModel {
        expected: format!("a file name that ends in {}", suffix(0, count)),
        found: "another name, from which those of the other parts do not follow".to_string(),
    };
    let path: &Path = first.path().ok_or_else(unnamed)?;
    let path = path.to_str().ok_or_else(unnamed)?;
    path.strip_suffix(&suffix(0, count)).map(str::to_string).ok_or_else(unnamed)
}
