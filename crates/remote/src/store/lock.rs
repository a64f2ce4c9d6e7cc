//! One process at a time for each model.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::PullError;

/// Held by whoever pulls or removes a model; goes with the process.
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the lock file at `path`, for the model called `name`.
    pub(super) fn take(path: &Path, name: &str) -> Result<Lock, PullError> {
        let busy = || PullError::Busy(name.to_owned());
        let file = File::create(path).map_err(PullError::folder(path))?;
        file.try_lock().map_err(|_| busy())?;
        // Whoever held it before may have removed the file between the two lines above; then
        // another process can lock another file of this name.
        let inode = |found: fs::Metadata| (found.dev(), found.ino());
        let ours = file.metadata().map(inode).map_err(PullError::folder(path))?;
        match fs::metadata(path).map(inode) {
            Ok(there) if there == ours => Ok(Lock { path: path.to_owned(), _file: file }),
            _ => Err(busy()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Nothing is lost if it stays.
        let _ = fs::remove_file(&self.path);
    }
}
