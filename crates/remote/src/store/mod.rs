//! The folder of models. Each model has a folder with its files and their description.
//!
//! ```text
//! models/
//!   qwen2.5-7b-q4_0-1f2e3d4c/     model.json, the files
//!   .incoming/                    partial models, and the locks of pulls
//!   .removed/                     models that are being removed
//! ```
//!
//! A model appears and disappears by one rename. Only the files that `model.json` names count, and
//! only if they have the sizes that it states. Before a model is loaded, files that were touched since
//! their last check are compared with their checksums ([`Store::check`]).

mod checked;
mod lock;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::download;
use crate::download::page::{LOOKED_AT_BYTES, is_licence, stand_in};
use crate::error::PullError;
use crate::hub::{ModelName, Sha256Sum};
pub(crate) use checked::Checked;
pub(crate) use lock::Lock;

pub(crate) const MANIFEST_FILE: &str = "model.json";
const INCOMING: &str = ".incoming";
const REMOVED: &str = ".removed";

/// A folder of models. It may be missing before the first pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    root: PathBuf,
}

/// An installed model.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The name by which it was pulled, with its quantisation.
    pub name: String,
    /// Where it came from, for people.
    pub from: String,
    /// Its licence, if one was stated.
    pub licence: Option<String>,
    /// Bytes on disk.
    pub bytes: u64,
    /// The path that an engine opens.
    pub path: PathBuf,
    /// When it was pulled.
    pub pulled_at: Option<SystemTime>,
    folder: PathBuf,
}

/// A partial model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    /// The name it will have.
    pub name: String,
    /// Bytes of all its files.
    pub total_bytes: u64,
    /// Bytes that are downloaded.
    pub downloaded_bytes: u64,
    folder: PathBuf,
}

/// A model whose files are not what its description says. It is not offered, and another pull
/// replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The name by which it was pulled.
    pub name: String,
    /// What is wrong with it, for people.
    pub why: String,
    folder: PathBuf,
}

/// What a folder holds.
enum Found {
    Installed(Installed),
    Damaged(Damaged),
}

/// What `model.json` holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    pub(crate) from: String,
    pub(crate) licence: Option<String>,
    pub(crate) files: Vec<ManifestFile>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ManifestFile {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// As the hub states it, or as it was computed after the download.
    pub(crate) sha256: Option<Sha256Sum>,
    /// None in descriptions of earlier versions.
    #[serde(default)]
    pub(crate) checked: Option<Checked>,
}

impl Manifest {
    fn parse(text: &[u8]) -> Option<Manifest> {
        serde_json::from_slice(text).ok()
    }

    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("manifests are plain data")
    }
}

impl Store {
    /// The models below `root`.
    pub fn new(root: PathBuf) -> Store {
        Store { root }
    }

    /// Where they are.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All installed models, sorted by name.
    ///
    /// Errors: the folder exists but cannot be read.
    pub fn models(&self) -> Result<Vec<Installed>, PullError> {
        let installed = |found| match found {
            Found::Installed(installed) => Some(installed),
            Found::Damaged(_) => None,
        };
        let mut models: Vec<Installed> = self.found()?.filter_map(installed).collect();
        models.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(models)
    }

    /// All damaged models, sorted by name.
    pub fn damaged(&self) -> Result<Vec<Damaged>, PullError> {
        let damaged = |found| match found {
            Found::Installed(_) => None,
            Found::Damaged(damaged) => Some(damaged),
        };
        let mut models: Vec<Damaged> = self.found()?.filter_map(damaged).collect();
        models.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(models)
    }

    fn found(&self) -> Result<impl Iterator<Item = Found>, PullError> {
        Ok(folders(&self.root)?.into_iter().filter_map(|folder| read(&folder)))
    }

    /// All partial models, sorted by name.
    pub fn partial(&self) -> Result<Vec<Partial>, PullError> {
        let half = |folder: PathBuf| {
            let (name, total_bytes, downloaded_bytes) = download::partial(&folder)?;
            Some(Partial { name, total_bytes, downloaded_bytes, folder })
        };
        let mut found: Vec<Partial> =
            folders(&self.root.join(INCOMING))?.into_iter().filter_map(half).collect();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// The installed model of a name. A size without a quantisation finds any, the usual one first.
    pub fn find(&self, name: &ModelName) -> Result<Option<Installed>, PullError> {
        let models = self.models()?;
        let named = |wanted: &str| models.iter().find(|model| model.name == wanted).cloned();
        let ModelName::Known { model, quantisation: None } = name else {
            return Ok(named(&name.to_string()));
        };
        let usual = named(&format!("{}-{}", model.name(), model.quantisation));
        let of_size = || {
            let start = format!("{}-", model.name());
            models.iter().find(|model| model.name.starts_with(&start)).cloned()
        };
        Ok(usual.or_else(|| named(&model.name())).or_else(of_size))
    }

    /// Removes a model, and returns how many bytes are free again.
    pub fn remove(&self, model: &Installed) -> Result<u64, PullError> {
        self.remove_folder(&model.folder)
    }

    /// Removes a damaged model, and returns how many bytes are free again.
    pub fn remove_damaged(&self, model: &Damaged) -> Result<u64, PullError> {
        self.remove_folder(&model.folder)
    }

    /// Removes a partial model, and returns how many bytes are free again.
    ///
    /// Errors: it is being pulled now.
    pub fn remove_partial(&self, half: &Partial) -> Result<u64, PullError> {
        let _lock = self.lock(&half.name)?;
        self.remove_folder(&half.folder)
    }

    fn remove_folder(&self, folder: &Path) -> Result<u64, PullError> {
        let bytes = disk_bytes(folder);
        // Renamed first, so that nobody ever sees a part of a model.
        let removed = self.root.join(REMOVED);
        make_private_folder(&removed)?;
        let name = folder.file_name().expect("a model has a folder of its own");
        let gone = removed.join(name);
        if gone.exists() {
            fs::remove_dir_all(&gone).map_err(PullError::folder(&gone))?;
        }
        fs::rename(folder, &gone).map_err(PullError::folder(folder))?;
        fs::remove_dir_all(&gone).map_err(PullError::folder(&gone))?;
        Ok(bytes)
    }

    /// The lock for pulling a model or removing its partial download.
    pub(crate) fn lock(&self, name: &str) -> Result<Lock, PullError> {
        make_private_folder(&self.root.join(INCOMING))?;
        Lock::take(&self.incoming(name).with_added_extension("lock"), name)
    }

    /// Bytes of everything in the folder, except the download in `excepted`.
    pub(crate) fn used_bytes_beside(&self, excepted: &Path) -> Result<u64, PullError> {
        let mut all = folders(&self.root)?;
        all.retain(|folder| !folder.ends_with(INCOMING));
        all.extend(folders(&self.root.join(INCOMING))?);
        Ok(all.iter().filter(|folder| *folder != excepted).map(|folder| disk_bytes(folder)).sum())
    }

    /// The folder in which a model is downloaded.
    pub(crate) fn incoming(&self, name: &str) -> PathBuf {
        self.root.join(INCOMING).join(folder_name(name))
    }

    /// Installs a finished folder, by one rename.
    pub(crate) fn install(
        &self,
        folder: &Path,
        manifest: Manifest,
    ) -> Result<Installed, PullError> {
        write_whole(&folder.join(MANIFEST_FILE), &manifest.to_json())?;
        sync_folder(folder)?;
        let target = self.root.join(folder_name(&manifest.name));
        if target.exists() {
            // The old model is damaged, or it would not have been pulled again.
            self.remove_folder(&target)?;
        }
        fs::rename(folder, &target).map_err(PullError::folder(&target))?;
        sync_folder(&self.root)?;
        let vanished = || std::io::Error::other("the model is not what was just written");
        match read(&target) {
            Some(Found::Installed(installed)) => Ok(installed),
            _ => Err(PullError::folder(&target)(vanished())),
        }
    }
}

/// The name of the file that an engine opens, among the names of a model's files; `.` is the
/// folder.
pub(crate) fn opened_name<'a>(mut names: impl Iterator<Item = &'a str>) -> &'a str {
    names.find(|name| name.to_ascii_lowercase().ends_with(".gguf")).unwrap_or(".")
}

/// The name of a model's folder: readable for people, and unique by a part of a checksum.
fn folder_name(name: &str) -> String {
    const SHOWN: usize = 80;
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let readable: String = name.chars().map(plain).take(SHOWN).collect();
    let sum = Sha256::digest(name.as_bytes());
    let short = data_encoding::HEXLOWER.encode(&sum[..4]);
    format!("{}-{short}", readable.trim_start_matches('.'))
}

/// The model in a folder.
fn read(folder: &Path) -> Option<Found> {
    let path = folder.join(MANIFEST_FILE);
    let manifest = Manifest::parse(&fs::read(&path).ok()?)?;
    if let Some(why) = manifest.files.iter().find_map(|file| damage(folder, file)) {
        return Some(Found::Damaged(Damaged {
            name: manifest.name,
            why,
            folder: folder.to_owned(),
        }));
    }
    let opened = opened_name(manifest.files.iter().map(|file| file.name.as_str()));
    Some(Found::Installed(Installed {
        path: if opened == "." { folder.to_owned() } else { folder.join(opened) },
        name: manifest.name,
        from: manifest.from,
        licence: manifest.licence,
        bytes: manifest.files.iter().map(|file| file.bytes).sum(),
        pulled_at: fs::metadata(&path).and_then(|found| found.modified()).ok(),
        folder: folder.to_owned(),
    }))
}

/// What is wrong with a file of a model, judged by its length, its first bytes and the last check.
fn damage(folder: &Path, file: &ManifestFile) -> Option<String> {
    let ManifestFile { name, bytes, .. } = file;
    if Path::new(name).file_name() != Some(name.as_ref()) {
        return Some("its description names files elsewhere".to_owned());
    }
    let Ok(opened) = fs::File::open(folder.join(name)) else {
        return Some(format!("{name} is missing"));
    };
    let found = opened.metadata().map_or(0, |found| found.len());
    if found != *bytes {
        return Some(format!("{name}: expected {bytes} bytes, found {found}"));
    }
    if file.is_known_to_be_changed(folder) {
        return Some(format!("{name} has changed since it was pulled"));
    }
    if is_licence(name) {
        return None;
    }
    let mut beginning = Vec::new();
    let read = opened.take(LOOKED_AT_BYTES as u64).read_to_end(&mut beginning);
    let found = read.ok().and_then(|_| stand_in(&beginning))?;
    Some(format!("{name} is {found}"))
}

/// The folders in a folder, except hidden ones. None if it does not exist.
fn folders(parent: &Path) -> Result<Vec<PathBuf>, PullError> {
    let entries = match fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(PullError::folder(parent)(error)),
    };
    let is_model = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(".");
        !name.starts_with('.') && path.is_dir()
    };
    Ok(entries.flatten().map(|entry| entry.path()).filter(is_model).collect())
}

/// Bytes that the files of a folder take on the disk.
fn disk_bytes(folder: &Path) -> u64 {
    const BLOCK: u64 = 512;
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|file| file.blocks() * BLOCK).sum()
}

pub(crate) fn make_private_folder(path: &Path) -> Result<(), PullError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(PullError::folder(path))
}

/// Writes a file under another name, syncs it to the disk, and renames it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), PullError> {
    let new = path.with_extension("new");
    let write = || {
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(PullError::folder(path))
}

fn sync_folder(path: &Path) -> Result<(), PullError> {
    fs::File::open(path).and_then(|folder| folder.sync_all()).map_err(PullError::folder(path))
}
