//! What can be wrong with a model file.

use std::io;

use crate::printable::printable;
use crate::text::TextError;

/// A model file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {fault}")]
pub struct ModelFileError {
    /// The file, folder or embedded model at fault.
    pub file: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a model file; names of keys and tensors are cut to a bounded length.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The operating system refused.
    #[error("cannot {action}: {error}")]
    Io {
        /// What was tried, such as `open`.
        action: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The path exists, but no model can be read from it.
    #[error("expected {expected}, found {found}")]
    NotAModel {
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The file ends too early.
    #[error(
        "the file ends early: expected {expected_bytes} bytes (for {item}), found {found_bytes}: \
         download it again"
    )]
    EndsEarly {
        /// What the file ends before.
        item: String,
        /// The least length that the file must have.
        expected_bytes: u64,
        /// The length that it has.
        found_bytes: u64,
    },
    /// A part of the format itself is malformed.
    #[error("{item}: expected {expected}, found {found}")]
    Malformed {
        /// Which part.
        item: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A metadata key is missing, of the wrong type, or out of range.
    #[error("key {key}: expected {expected}, found {found}")]
    Key {
        /// The key.
        key: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A tensor is missing, unknown, misplaced or of the wrong shape.
    #[error("tensor {tensor}: expected {expected}, found {found}")]
    Tensor {
        /// The tensor, as the file spells it.
        tensor: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A tensor is stored in a way this engine cannot read.
    #[error("tensor {tensor}: unsupported type {found} (supported: {supported}): {advice}")]
    UnsupportedType {
        /// The tensor, as the file spells it.
        tensor: String,
        /// The name of its type.
        found: String,
        /// The names of the types that can be read.
        supported: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// The model needs something this engine does not do.
    #[error("{feature} is not supported: {advice}")]
    Unsupported {
        /// What it needs.
        feature: String,
        /// What to do about it.
        advice: String,
    },
    /// The vocabulary or the chat template is wrong.
    #[error("{0}")]
    Text(TextError),
}

impl Fault {
    /// A key with another value than expected.
    pub(super) fn key(key: &str, expected: impl Into<String>, found: impl Into<String>) -> Fault {
        Fault::Key { key: printable(key), expected: expected.into(), found: found.into() }
    }

    /// A tensor that is not as expected.
    pub(super) fn tensor(
        tensor: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Fault {
        Fault::Tensor { tensor: printable(tensor), expected: expected.into(), found: found.into() }
    }

    /// A part of the format that is not as expected.
    pub(super) fn malformed(
        item: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Fault {
        Fault::Malformed { item: item.into(), expected: expected.into(), found: found.into() }
    }

    /// Says in which file the fault is.
    pub(super) fn in_file(self, file: &str) -> ModelFileError {
        ModelFileError { file: file.to_string(), fault: self }
    }
}
