//! Whether the files of an installed model are still the ones that were pulled.
//!
//! A checksum takes seconds for each 10 GB, so it is not computed at every start. After each check the
//! description of a model keeps a [`Stamp`] of each file. A file with another stamp was written,
//! replaced or copied since, and is read again as a whole before it is loaded.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tracing::{debug, info};

use super::{MANIFEST_FILE, Manifest, ManifestFile, Store, write_whole};
use crate::error::PullError;
use crate::hub::Sha256Sum;

/// The last check of a file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Checked {
    /// The file as it was then.
    stamp: Stamp,
    /// Whether it had the checksum with which it was pulled.
    is_sound: bool,
}

/// What changes whenever a file is written or replaced. Programs cannot set the time of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    inode: u64,
    changed_seconds: i64,
    changed_nanoseconds: i64,
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Stamp> {
        let found = fs::metadata(path)?;
        Ok(Stamp {
            inode: found.ino(),
            changed_seconds: found.ctime(),
            changed_nanoseconds: found.ctime_nsec(),
        })
    }
}

impl Checked {
    /// What is known of a file whose checksum was just found right.
    pub(crate) fn sound(path: &Path) -> Result<Checked, PullError> {
        let stamp = Stamp::of(path).map_err(PullError::folder(path))?;
        Ok(Checked { stamp, is_sound: true })
    }
}

impl ManifestFile {
    /// Whether a check found that the file has changed, and it is still the same file.
    pub(super) fn is_known_to_be_changed(&self, folder: &Path) -> bool {
        self.known(folder) == Some(false)
    }

    /// The result of the last check, if the file was not touched since.
    fn known(&self, folder: &Path) -> Option<bool> {
        let checked = self.checked.as_ref()?;
        let stamp = Stamp::of(&folder.join(&self.name)).ok()?;
        (stamp == checked.stamp).then_some(checked.is_sound)
    }

    /// Reads the file, and compares its checksum.
    fn check(&mut self, folder: &Path, model: &str) -> Result<(), PullError> {
        // A checksum that no hub stated is computed at the end of the pull, so that only
        // descriptions of earlier versions have none.
        let Some(expected) = self.sha256 else { return Ok(()) };
        let path = folder.join(&self.name);
        info!(model, file = self.name, "checked, because it was touched since the last check");
        // Taken first: what is written meanwhile has another stamp.
        let stamp = Stamp::of(&path).map_err(PullError::folder(&path))?;
        let found = Sha256Sum::of_file_at_once(&path).map_err(PullError::folder(&path))?;
        let is_sound = found == expected;
        self.checked = Some(Checked { stamp, is_sound });
        if is_sound {
            return Ok(());
        }
        let (model, file) = (model.to_owned(), self.name.clone());
        Err(PullError::FileChanged { model, file, expected, found })
    }
}

impl Store {
    /// Makes sure that the model that an engine opens at `path` has the bytes that were pulled.
    /// Only files that were touched since the last check are read. A path outside of the store is
    /// not checked, because nobody has stated its checksum.
    ///
    /// Errors: a file has other bytes. The model counts as damaged from then on, and the next pull
    /// replaces it.
    pub fn check(&self, path: &Path) -> Result<(), PullError> {
        let folder = if path.is_dir() { Some(path) } else { path.parent() };
        let Some(folder) = folder.filter(|folder| folder.parent() == Some(&self.root)) else {
            return Ok(());
        };
        let description = folder.join(MANIFEST_FILE);
        let manifest = fs::read(&description).ok().and_then(|text| Manifest::parse(&text));
        let Some(mut manifest) = manifest else { return Ok(()) };
        let touched = |file: &&mut ManifestFile| file.known(folder) != Some(true);
        let mut checks = manifest.files.iter_mut().filter(touched).peekable();
        if checks.peek().is_none() {
            return Ok(());
        }
        let checked = checks.try_for_each(|file| file.check(folder, &manifest.name));
        // Without the new description, for example on a disk that cannot be written, the next load
        // checks again.
        if let Err(error) = write_whole(&description, &manifest.to_json()) {
            debug!(%error, "the result of a check could not be kept");
        }
        checked
    }
}
