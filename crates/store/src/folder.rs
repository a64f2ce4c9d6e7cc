//! The data folder: who may use it, its files, and how its last use ended.
//!
//! ```text
//! banter.db, banter.db-wal, banter.db-shm   what is stored
//! live.db, live.db-wal, live.db-shm         answers that are being written
//! banter.lock                               locked by the process that uses the folder
//! banter.open                               there while the store is open: its last use has not
//!                                           ended cleanly if a new process finds it
//! banter.db.v1.bak                          a copy from before a migration
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::error::OpenError;
use crate::times;

const DATABASE: &str = "banter.db";
const LIVE: &str = "live.db";
const LOCK: &str = "banter.lock";
const MARKER: &str = "banter.open";
const COPY_SUFFIX: &str = ".bak";

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A data folder that only this process uses.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    // Unlocked when it is dropped.
    _lock: File,
}

/// How the last use of the folder ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastEnd {
    /// It was closed, or never used.
    Clean,
    /// The process ended while it opened or closed the store.
    Unclean,
    /// The process ended while the store was open, so there must be a write-ahead log.
    WithLog,
}

impl Folder {
    /// Makes the folder if it does not exist, and locks it. A folder that is not banter's stays as
    /// it is.
    pub(crate) fn take(path: &Path) -> Result<Self, OpenError> {
        check_content(path)?;
        make(path)?;
        let lock = lock(path)?;
        check_database(path)?;
        let folder = Self { path: path.to_owned(), _lock: lock };
        for file in [folder.database(), folder.live()] {
            folder.make_private(&file)?;
        }
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    pub(crate) fn live(&self) -> PathBuf {
        self.path.join(LIVE)
    }

    /// The write-ahead log of the database.
    pub(crate) fn log(&self) -> PathBuf {
        with_suffix(&self.database(), "-wal")
    }

    /// How the last use ended.
    pub(crate) fn last_end(&self) -> Result<LastEnd, OpenError> {
        match fs::read(self.path.join(MARKER)) {
            Ok(content) if content == b"open\n" => Ok(LastEnd::WithLog),
            Ok(_) => Ok(LastEnd::Unclean),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(LastEnd::Clean),
            Err(error) => Err(io_error(&self.path, &self.path.join(MARKER), &error)),
        }
    }

    /// Writes down that the store is being opened or closed: there may be no log.
    pub(crate) fn mark_between(&self) -> Result<(), OpenError> {
        self.mark("opening or closing\n")
    }

    /// Writes down that the store is open, and has a log.
    pub(crate) fn mark_open(&self) -> Result<(), OpenError> {
        self.mark("open\n")
    }

    fn mark(&self, words: &str) -> Result<(), OpenError> {
        let path = self.path.join(MARKER);
        let write = || {
            let mut file = private().write(true).create(true).truncate(true).open(&path)?;
            file.write_all(words.as_bytes())?;
            file.sync_all()?;
            // The log's name is made durable with the marker's: one without the other says nothing.
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|error| io_error(&self.path, &path, &error))
    }

    /// Writes down that the store was closed.
    pub(crate) fn mark_clean(&self) {
        let path = self.path.join(MARKER);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "the store's marker can't be removed");
        }
    }

    /// Removes `live.db`: it was damaged, or is not needed.
    pub(crate) fn remove_live(&self) -> Result<(), OpenError> {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let path = with_suffix(&self.live(), suffix);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(io_error(&self.path, &path, &error));
                }
                _ => {}
            }
        }
        self.make_private(&self.live())
    }

    /// Where the copy from before a migration is, and where it is made.
    pub(crate) fn copy(&self, version: u32) -> (PathBuf, PathBuf) {
        let copy = with_suffix(&self.database(), &format!(".v{version}{COPY_SUFFIX}"));
        let partial = with_suffix(&copy, ".partial");
        (copy, partial)
    }

    /// Makes an empty file that only its owner may read, if there is none; SQLite gives the files
    /// beside it the same permissions.
    fn make_private(&self, path: &Path) -> Result<(), OpenError> {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() => {
                return Err(OpenError::NotAFile { path: path.to_owned() });
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io_error(&self.path, path, &error)),
        }
        let open = || {
            let file = private().read(true).write(true).create(true).truncate(false).open(path)?;
            tighten(&file)
        };
        open().map_err(|error| io_error(&self.path, path, &error))?;
        for suffix in ["-wal", "-shm"] {
            if let Ok(file) = File::open(with_suffix(path, suffix)) {
                tighten(&file).map_err(|error| io_error(&self.path, path, &error))?;
            }
        }
        Ok(())
    }
}

/// Removes copies that were made before migrations: they would keep what is deleted.
pub(crate) fn remove_copies(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_copy = name.starts_with("banter.db.v") && name.contains(COPY_SUFFIX);
        if is_copy && let Err(error) = fs::remove_file(entry.path()) {
            tracing::warn!(%error, path = %entry.path().display(), "a copy can't be removed");
        }
    }
}

/// Whether a data folder has a store, or what is left of one.
pub fn has_store(folder: &Path) -> bool {
    [DATABASE, LIVE].iter().any(|name| folder.join(name).exists())
}

/// The database of a data folder.
pub(crate) fn database_in(folder: &Path) -> PathBuf {
    folder.join(DATABASE)
}

/// Moves the databases of a data folder into a new folder beside them, so that the next
/// [`Store::open`](crate::Store::open) begins with empty ones. Returns the new folder.
///
/// Nothing is deleted. This is for a store that does not open because its files are damaged.
///
/// # Errors
/// Somebody uses the folder, or its files can't be moved.
pub fn set_aside(folder: &Path) -> Result<PathBuf, OpenError> {
    fs::metadata(folder).map_err(|error| io_error(folder, folder, &error))?;
    if !has_store(folder) {
        return Err(OpenError::NoStore { folder: folder.to_owned() });
    }
    let _lock = lock(folder)?;
    let now_ms = crate::config::Clock::default().now_ms().unsigned_abs();
    let name = format!("set-aside-{}", times::date_time(now_ms).replace(':', "-"));
    let target = free_name(&folder.join(name));
    DirBuilder::new()
        .mode(FOLDER_MODE)
        .create(&target)
        .map_err(|error| io_error(folder, &target, &error))?;
    let suffixes = ["", "-wal", "-shm", "-journal"];
    let files =
        [DATABASE, LIVE].into_iter().flat_map(|name| suffixes.map(|end| [name, end].concat()));
    for name in files.chain([MARKER.to_owned()]) {
        match fs::rename(folder.join(&name), target.join(&name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(io_error(folder, &folder.join(&name), &error));
            }
            _ => {}
        }
    }
    Ok(target)
}

fn free_name(wanted: &Path) -> PathBuf {
    let numbered = (2u32..).map(|number| with_suffix(wanted, &format!("-{number}")));
    std::iter::once(wanted.to_owned())
        .chain(numbered)
        .find(|path| fs::symlink_metadata(path).is_err())
        .expect("a folder has fewer than four billion entries")
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE_MODE);
    options
}

/// A new file at `path` that only its owner may read.
pub(crate) fn new_private_file(path: &Path) -> io::Result<File> {
    private().write(true).create_new(true).open(path)
}

fn tighten(file: &File) -> io::Result<()> {
    if file.metadata()?.mode() & 0o777 != FILE_MODE {
        file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    }
    Ok(())
}

/// Refuses a folder without a store in which something else is: it belongs to somebody else, and
/// would become private.
fn check_content(path: &Path) -> Result<(), OpenError> {
    // Whatever else is wrong with the path is found when the folder is made.
    let Ok(entries) = fs::read_dir(path) else { return Ok(()) };
    let mut other = None;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if [DATABASE, LIVE, MARKER, LOCK].contains(&name.as_str()) {
            return Ok(());
        }
        // What file systems and file managers put into folders by themselves is no content.
        let is_ours = name.starts_with("set-aside-") || name.starts_with("banter.db");
        if !is_ours && !name.starts_with('.') && name != "lost+found" {
            other.get_or_insert(name);
        }
    }
    match other {
        Some(found) => Err(OpenError::Occupied { folder: path.to_owned(), found }),
        None => Ok(()),
    }
}

/// Refuses a folder whose database is gone or empty, although it has been used.
pub(crate) fn check_database(folder: &Path) -> Result<(), OpenError> {
    let bytes_of = |path: &Path| fs::metadata(path).ok().map(|found| found.len());
    let path = folder.join(DATABASE);
    let found = match bytes_of(&path) {
        Some(1..) => return Ok(()),
        Some(0) => "an empty file",
        None => "nothing",
    };
    // The first start makes empty files before it fills the database, and then the other one.
    let log = with_suffix(&path, "-wal");
    let others = [folder.join(LIVE), log];
    match others.into_iter().find(|other| bytes_of(other).is_some_and(|bytes| bytes > 0)) {
        Some(beside) => Err(OpenError::DatabaseMissing { path, found, beside }),
        None => Ok(()),
    }
}

fn make(path: &Path) -> Result<(), OpenError> {
    let fail = |error: &io::Error| io_error(path, path, error);
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(OpenError::MissingParent { folder: path.to_owned() });
        }
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            let parent = path.parent().unwrap_or(path);
            return Err(OpenError::NotAFolder { path: parent.to_owned() });
        }
        // A folder that exists on a read-only file system is found out by its lock file.
        Err(_) if path.is_dir() => {}
        Err(error) => return Err(fail(&error)),
    }
    let found = fs::metadata(path).map_err(|error| fail(&error))?;
    if !found.is_dir() {
        return Err(OpenError::NotAFolder { path: path.to_owned() });
    }
    let us = rustix::process::geteuid().as_raw();
    if found.uid() != us && us != 0 {
        let (folder, owner) = (path.to_owned(), found.uid());
        return Err(OpenError::WrongOwner { folder, owner, us });
    }
    if found.mode() & 0o077 != 0 {
        tracing::warn!(folder = %path.display(), "others could read the data folder; now they can't");
        let permissions = Permissions::from_mode(FOLDER_MODE);
        fs::set_permissions(path, permissions).map_err(|error| fail(&error))?;
    }
    Ok(())
}

/// Locks a folder for this process.
pub(crate) fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join(LOCK);
    let fail = |error: io::Error| io_error(folder, &path, &error);
    let mut options = private();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).map_err(fail)?;
    tighten(&file).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let mut number = String::new();
            let _ = file.take(20).read_to_string(&mut number);
            let process = number.trim().parse().ok();
            return Err(OpenError::Locked { folder: folder.to_owned(), process });
        }
        Err(fs::TryLockError::Error(error)) => return Err(fail(error)),
    }
    file.set_len(0).map_err(fail)?;
    writeln!(file, "{}", std::process::id()).map_err(fail)?;
    Ok(file)
}

/// What an error of the file system means for the folder.
pub(crate) fn io_error(folder: &Path, path: &Path, error: &io::Error) -> OpenError {
    let folder = folder.to_owned();
    if let Some(Errno::MFILE | Errno::NFILE) = Errno::from_io_error(error) {
        return OpenError::TooManyFiles { path: path.to_owned() };
    }
    match error.kind() {
        ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly { folder },
        ErrorKind::PermissionDenied => OpenError::Permission { path: path.to_owned() },
        ErrorKind::IsADirectory => OpenError::NotAFile { path: path.to_owned() },
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => OpenError::Full { folder },
        _ => OpenError::Other { folder, reason: format!("{}: {error}", path.display()) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6_errors_of_the_file_system_are_told_apart() {
        let fail = |code| {
            let error = io::Error::from_raw_os_error(code);
            io_error(Path::new("/data"), Path::new("/data/banter.db"), &error).to_string()
        };
        let cases = [(30, "read-only"), (13, "no permission"), (28, "full"), (21, "plain file")];
        for (code, words) in cases {
            assert!(fail(code).contains(words), "{code}: {}", fail(code));
        }
    }
}
