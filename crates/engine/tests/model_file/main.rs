//! Opens model files, good and hostile ones, through the public interface.

mod builder;
mod damage;
mod folders;
mod gguf;
mod hyper_parameters;
mod made_models;
mod paths;
mod quant;
mod split;

use std::fs;
use std::path::{Path, PathBuf};

use banter_engine::model_file::{ModelFile, ModelFileError, ModelSource};

fn open_path(path: &Path) -> Result<ModelFile, ModelFileError> {
    ModelFile::open(&ModelSource::Path(path.to_path_buf()))
}

/// A temporary folder with one file in it.
struct TempModel {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl TempModel {
    fn new(bytes: &[u8]) -> TempModel {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("tiny.gguf");
        fs::write(&path, bytes).expect("a temporary file");
        TempModel { folder, path }
    }

    fn open(&self) -> Result<ModelFile, ModelFileError> {
        open_path(&self.path)
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Opens the bytes as a file and as an embedded model; both must give the same result.
fn open_bytes(bytes: &[u8]) -> Result<ModelFile, ModelFileError> {
    let from_path = TempModel::new(bytes).open();
    let embedded: &'static [u8] = bytes.to_vec().leak();
    let embedded = ModelFile::open(&ModelSource::Embedded { name: "inside", bytes: embedded });
    match (&from_path, &embedded) {
        (Ok(a), Ok(b)) => assert_eq!(a.config(), b.config()),
        (Err(_), Err(b)) if bytes.is_empty() => assert!(b.to_string().starts_with("inside: ")),
        (Err(a), Err(b)) => assert_eq!(a.fault.to_string(), b.fault.to_string()),
        _ => panic!("as a file: {from_path:?}, embedded: {embedded:?}"),
    }
    from_path
}

/// Asserts that a model is refused, and that the error after the file's name is exactly `expected`.
fn assert_refused(found: Result<ModelFile, ModelFileError>, expected: &str, case: &str) {
    match found {
        Ok(_) => panic!("{case}: expected the error `{expected}`, found a model"),
        Err(error) => {
            assert_eq!(error.fault.to_string(), expected, "{case}");
            assert_eq!(error.to_string(), format!("{}: {expected}", error.file), "{case}");
            assert!(!error.file.is_empty(), "{case}");
        }
    }
}
