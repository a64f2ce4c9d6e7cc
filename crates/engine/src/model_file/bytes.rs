//! Where the bytes of a model come from: a file read at positions, or memory.

use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::{Fault, ModelFileError};
use super::foreign;

/// The bytes of one file, readable at any position from any thread.
#[derive(Debug)]
pub(super) struct Bytes {
    name: String,
    len: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// `stamp` describes the file as it was when it was opened.
    File {
        file: File,
        path: PathBuf,
        stamp: String,
    },
    Memory(&'static [u8]),
}

impl Bytes {
    /// Opens a regular file that is not empty.
    ///
    /// Pipes and devices are refused without waiting for them. The file is opened non-blocking, and
    /// its kind is read from the open handle, so nobody can replace the file in between.
    pub fn open(path: &Path) -> Result<Bytes, ModelFileError> {
        let name = path.display().to_string();
        let fail = |action, error| Fault::Io { action, error }.in_file(&name);
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)
            .map_err(|error| fail("open", error))?;
        let metadata = file.metadata().map_err(|error| fail("examine", error))?;
        let refuse = |found: &str| {
            let expected = "a regular file".to_string();
            Err(Fault::NotAModel { expected, found: found.to_string() }.in_file(&name))
        };
        if metadata.is_dir() {
            return refuse("a folder");
        }
        if !metadata.is_file() {
            return refuse("a pipe, device or socket");
        }
        if metadata.len() == 0 {
            return refuse("an empty file (0 bytes): download it again");
        }
        let (path, stamp) = (path.to_path_buf(), stamp(&metadata));
        Ok(Bytes { len: metadata.len(), place: Place::File { file, path, stamp }, name })
    }

    /// Bytes that are part of the program.
    pub fn embedded(name: &str, bytes: &'static [u8]) -> Bytes {
        Bytes { name: name.to_string(), len: bytes.len() as u64, place: Place::Memory(bytes) }
    }

    /// What errors call this file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path it was opened at; `None` for bytes in memory.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File { path, .. } => Some(path),
            Place::Memory(_) => None,
        }
    }

    /// Device, inode, length and times of the file when it was opened; `None` for bytes in memory.
    pub fn stamp(&self) -> Option<&str> {
        match &self.place {
            Place::File { stamp, .. } => Some(stamp),
            Place::Memory(_) => None,
        }
    }

    /// Whether the file was changed since it was opened.
    pub fn has_changed(&self) -> bool {
        match &self.place {
            Place::File { file, stamp: before, .. } => {
                file.metadata().map_or(true, |metadata| stamp(&metadata) != *before)
            }
            Place::Memory(_) => false,
        }
    }

    /// The length when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// Errors: fewer bytes are there, or the system cannot read them.
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        let end = offset.saturating_add(buffer.len() as u64);
        if end > self.len {
            return Err(self.ends_early("data", end));
        }
        match &self.place {
            Place::Memory(bytes) => {
                let start = usize::try_from(offset).expect("within bytes in memory");
                buffer.copy_from_slice(&bytes[start..start + buffer.len()]);
                Ok(())
            }
            Place::File { file, .. } => file
                .read_exact_at(buffer, offset)
                .map_err(|error| Fault::Io { action: "read", error }),
        }
    }

    /// The fault of a file that ends before `item` does. `item` ends at byte `end`.
    pub fn ends_early(&self, item: &str, end: u64) -> Fault {
        Fault::EndsEarly { item: item.to_string(), expected_bytes: end, found_bytes: self.len }
    }

    /// The first bytes: enough of them to tell what kind of file this is.
    pub fn start(&self) -> Result<Vec<u8>, Fault> {
        let mut start = vec![0; self.len.min(foreign::START_BYTES) as usize];
        self.read_exact_at(0, &mut start)?;
        Ok(start)
    }

    /// The whole file, which must not be longer than `limit`.
    pub fn read_all(&self, limit: u64) -> Result<Vec<u8>, Fault> {
        let len = usize::try_from(self.len).ok().filter(|_| self.len <= limit);
        let Some(len) = len else {
            return Err(Fault::NotAModel {
                expected: format!("at most {limit} bytes"),
                found: format!("{} bytes", self.len),
            });
        };
        let mut bytes = vec![0; len];
        self.read_exact_at(0, &mut bytes)?;
        Ok(bytes)
    }
}

/// Device, inode, length and times of a file. Writing to a file gives it another stamp.
fn stamp(metadata: &Metadata) -> String {
    format!(
        "{}:{} {} {}.{} {}.{}",
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec()
    )
}
