//! The lock of a model: only one process at a time may pull or remove it.
//!
//! A file lock ends with the process that holds it. Where a file system has no locks (Lustre, some
//! NFS), a file that names the process is used instead.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::error::PullError;

/// The lock of a model. It ends with the process.
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
    /// Only where the file system has no locks.
    _stand_in: Option<Holder>,
}

impl Lock {
    /// Takes the lock file at `path`, for the model called `name`.
    pub(super) fn take(path: &Path, name: &str) -> Result<Lock, PullError> {
        Lock::take_with(File::try_lock, path, name)
    }

    /// As [`Lock::take`], with the function that locks a file.
    fn take_with(
        try_lock: impl Fn(&File) -> Result<(), TryLockError>,
        path: &Path,
        name: &str,
    ) -> Result<Lock, PullError> {
        let busy = || PullError::Busy(name.to_owned());
        let file = File::create(path).map_err(PullError::folder(path))?;
        let stand_in = match try_lock(&file) {
            Ok(()) => None,
            Err(TryLockError::WouldBlock) => return Err(busy()),
            Err(TryLockError::Error(error)) if has_no_locks(&error) => {
                Some(Holder::take(&path.with_added_extension("holder"), name)?)
            }
            Err(TryLockError::Error(error)) => return Err(PullError::folder(path)(error)),
        };
        // The former holder may have removed the file between the two lines above. Then another
        // process could lock a new file of the same name.
        let inode = |found: fs::Metadata| (found.dev(), found.ino());
        let ours = file.metadata().map(inode).map_err(PullError::folder(path))?;
        match fs::metadata(path).map(inode) {
            Ok(there) if there == ours => {
                Ok(Lock { path: path.to_owned(), _file: file, _stand_in: stand_in })
            }
            _ => Err(busy()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A file that stays does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether an error says that the file system has no locks.
fn has_no_locks(error: &io::Error) -> bool {
    let none = [Errno::NOSYS, Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOTSUP, Errno::INVAL];
    error.raw_os_error().is_some_and(|found| none.iter().any(|errno| errno.raw_os_error() == found))
}

/// A process that has left no name, or cannot say its own.
const UNKNOWN: &str = "another process";

/// A file with the name of a process, which exists as long as that process runs.
struct Holder(PathBuf);

impl Holder {
    /// Creates the file. A file that an ended process of this machine has left is replaced.
    ///
    /// Errors: another process holds it, or a process of another machine has left it.
    fn take(path: &Path, name: &str) -> Result<Holder, PullError> {
        let ours = process(std::process::id()).unwrap_or_else(|| UNKNOWN.to_owned());
        let make = || {
            let mut file = File::create_new(path)?;
            // From here on the file is removed with its holder, also if it cannot be written.
            let holder = Holder(path.to_owned());
            file.write_all(ours.as_bytes()).map(|()| holder)
        };
        let found = match make() {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => fs::read_to_string(path),
            made => return made.map_err(PullError::folder(path)),
        };
        let found = found.map_err(PullError::folder(path))?;
        if is_running(&found) {
            return Err(PullError::Busy(name.to_owned()));
        }
        if !is_of_this_machine(&found) {
            let holder = found.split(" boot ").next().unwrap_or_default();
            let holder = if holder.is_empty() { UNKNOWN } else { holder }.to_owned();
            return Err(PullError::HeldElsewhere { path: path.to_owned(), holder });
        }
        fs::remove_file(path).map_err(PullError::folder(path))?;
        make().map_err(PullError::folder(path))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // If it stays, a later process finds that this one does not run any more.
        let _ = fs::remove_file(&self.0);
    }
}

/// A process as a line: its number, its machine, the boot of that machine, and its start, because
/// numbers are used again.
fn process(id: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The program's name may contain anything; the start time is the 20th field after it.
    let started = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?;
    Some(format!("process {id} of {} started {started}", this_machine()))
}

fn this_machine() -> String {
    let read = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.trim().replace(' ', "-")
    };
    let (name, boot) = ("/proc/sys/kernel/hostname", "/proc/sys/kernel/random/boot_id");
    format!("{} boot {}", read(name), read(boot))
}

/// Compares the names only: after another boot all former processes have ended.
fn is_of_this_machine(line: &str) -> bool {
    let name = |text: &str| text.split(" boot ").next().map(str::to_owned);
    line.split_once(" of ").is_some_and(|(_, machine)| name(machine) == name(&this_machine()))
}

fn is_running(line: &str) -> bool {
    let id = line.split_whitespace().nth(1).and_then(|id| id.parse().ok());
    id.and_then(process).as_deref() == Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_locks_a_file_names_the_process_that_holds_the_model() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model.holder");
        let held = Holder::take(&path, "a model").expect("nobody holds it");
        let second = Holder::take(&path, "a model").err().expect("it is held");
        assert!(matches!(second, PullError::Busy(_)), "{second}");
        drop(held);
        assert!(!path.exists());
        drop(Holder::take(&path, "a model").expect("nobody holds it any more"));
    }

    #[test]
    fn what_a_process_has_left_behind_is_replaced_unless_it_is_another_machines() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model.holder");
        let ours = process(std::process::id()).expect("it runs");
        let (before, _) = ours.rsplit_once(' ').expect("words");
        fs::write(&path, format!("{before} 1")).expect("written");
        drop(Holder::take(&path, "a model").expect("that process has ended"));
        fs::write(&path, "process 1 of elsewhere boot 5 started 7").expect("written");
        let error = Holder::take(&path, "a model").err().expect("nobody knows").to_string();
        assert!(error.contains("process 1 of") && error.contains("model.holder"), "{error}");
    }

    #[test]
    fn where_files_cannot_be_locked_a_second_pull_is_still_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model.lock");
        let no_locks = |_: &File| Err(TryLockError::Error(io::Error::from(Errno::NOSYS)));
        let held = Lock::take_with(no_locks, &path, "a model").expect("nobody holds it");
        let second = Lock::take_with(no_locks, &path, "a model").err().expect("it is held");
        assert!(matches!(second, PullError::Busy(_)), "{second}");
        drop(held);
        drop(Lock::take_with(no_locks, &path, "a model").expect("nobody holds it any more"));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
        let broken = |_: &File| Err(TryLockError::Error(io::Error::from(Errno::IO)));
        assert!(Lock::take_with(broken, &path, "a model").is_err());
    }

    #[test]
    fn a_file_without_a_name_is_told_of_in_whole_words() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model.holder");
        fs::write(&path, "").expect("written");
        let error = Holder::take(&path, "a model").err().expect("nobody knows").to_string();
        assert!(error.contains("another process seems to"), "{error}");
    }

    #[test]
    fn only_a_missing_lock_is_gone_without() {
        for errno in [Errno::NOSYS, Errno::NOLCK, Errno::OPNOTSUPP] {
            assert!(has_no_locks(&io::Error::from(errno)), "{errno}");
        }
        assert!(!has_no_locks(&io::Error::from(Errno::IO)));
    }
}
