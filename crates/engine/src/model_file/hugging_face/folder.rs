//! A folder, and which files in it may be read.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::bytes::Bytes;
use super::super::error::{Fault, ModelFileError};
use super::super::foreign::{self, Foreign};
use super::other_folders;
use crate::printable::printable;

/// The folder of a model, by its real path.
pub(super) struct Folder {
    name: String,
    path: PathBuf,
    /// Where links in the folder may lead: into the folder itself, and to the blobs of a download
    /// cache.
    allowed: Vec<PathBuf>,
}

impl Folder {
    /// Opens a folder that has a `config.json`.
    pub fn open(path: &Path) -> Result<Folder, ModelFileError> {
        let name = path.display().to_string();
        let real = fs::canonicalize(path)
            .map_err(|error| Fault::Io { action: "open", error }.in_file(&name))?;
        let folder = Folder { allowed: allowed_targets(&real), path: real, name };
        if folder.has("config.json") {
            return Ok(folder);
        }
        let expected = "a folder with config.json, model.safetensors and tokenizer.json";
        let found = other_folders::describe(&folder).unwrap_or_else(|| {
            "no config.json: download the whole repository, or name a GGUF file".to_string()
        });
        Err(Fault::NotAModel { expected: expected.to_string(), found }.in_file(&folder.name))
    }

    /// What errors call the folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The last part of the folder's name, or the model's in a download cache
    /// (`models--Qwen--Qwen2.5-0.5B-Instruct/snapshots/…`).
    pub fn model_name(&self) -> String {
        let part = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let cached = self.path.ancestors().nth(2).and_then(part);
        let cached = cached.filter(|_| self.is_snapshot());
        let cached =
            cached.and_then(|name| name.rsplit_once("--").map(|(_, name)| name.to_string()));
        printable(&cached.or_else(|| part(&self.path)).unwrap_or_default())
    }

    fn is_snapshot(&self) -> bool {
        self.allowed.len() > 1
    }

    /// Whether the folder has a file or folder of that name.
    pub fn has(&self, file: &str) -> bool {
        self.path.join(file).exists()
    }

    /// Opens a file of the folder.
    ///
    /// Errors: `file` is a path and not a plain name, or a link that leads out of the folder.
    pub fn open_file(&self, file: &str) -> Result<Bytes, ModelFileError> {
        let path = self.path.join(file);
        let name = path.display().to_string();
        if !is_plain_name(file) {
            let expected = "the name of a file in the same folder".to_string();
            let found = printable(file);
            return Err(Fault::NotAModel { expected, found }.in_file(&self.name));
        }
        let real = fs::canonicalize(&path)
            .map_err(|error| Fault::Io { action: "open", error }.in_file(&name))?;
        if !self.allowed.iter().any(|allowed| real.starts_with(allowed)) {
            let expected = "a file of the folder".to_string();
            let found = "a link that leads out of it".to_string();
            return Err(Fault::NotAModel { expected, found }.in_file(&name));
        }
        Bytes::open(&path)
    }

    /// Reads a whole file of at most `limit` bytes, if there is one.
    pub fn read_optional(
        &self,
        file: &str,
        limit: u64,
    ) -> Result<Option<NamedBytes>, ModelFileError> {
        if self.has(file) { self.read(file, limit).map(Some) } else { Ok(None) }
    }

    /// Reads a whole file of at most `limit` bytes.
    ///
    /// Errors: it is longer, cannot be read, or is something that a download brought in its place.
    pub fn read(&self, file: &str, limit: u64) -> Result<NamedBytes, ModelFileError> {
        let bytes = self.open_file(file)?;
        let in_file = |fault: Fault| fault.in_file(bytes.name());
        let foreign = foreign::recognise(&bytes.start().map_err(in_file)?);
        if let Some(foreign) = foreign.filter(Foreign::is_never_right) {
            let (expected, found) = (format!("the {file} of a model"), foreign.found(None));
            return Err(in_file(Fault::NotAModel { expected, found }));
        }
        let content = bytes.read_all(limit).map_err(in_file)?;
        Ok(NamedBytes { name: bytes.name().to_string(), content })
    }

    /// The names of what is in the folder, sorted, as many as are worth looking at.
    pub fn names(&self) -> Vec<String> {
        const LOOKED_AT: usize = 4096;
        let Ok(entries) = fs::read_dir(&self.path) else { return Vec::new() };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.take(LOOKED_AT).collect();
        names.sort();
        names
    }

    /// The path of something in the folder.
    pub fn path_of(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }
}

/// A whole file.
pub(super) struct NamedBytes {
    pub name: String,
    pub content: Vec<u8>,
}

/// Download caches keep each revision as a folder of links into `blobs`.
fn allowed_targets(real: &Path) -> Vec<PathBuf> {
    let mut allowed = vec![real.to_path_buf()];
    let parent = real.parent();
    if parent.and_then(Path::file_name).is_some_and(|name| name == "snapshots") {
        allowed.extend(parent.and_then(Path::parent).map(|cache| cache.join("blobs")));
    }
    allowed
}

fn is_plain_name(file: &str) -> bool {
    let is_path = file.contains(['/', '\\', '\0']);
    !is_path && !file.is_empty() && file != "." && file != ".."
}
