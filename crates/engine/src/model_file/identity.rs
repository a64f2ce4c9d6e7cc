//! What tells a model from every other: its bytes.

use std::fmt::Write;
use std::io;

use super::ModelFile;
use super::error::Fault;

/// How many bytes are read at a time.
const CHUNK_BYTES: usize = 1 << 20;

impl ModelFile {
    /// Describes the files without reading them. While the stamp stays the same, so do the bytes.
    /// `None` for a model in memory.
    pub fn stamp(&self) -> Option<String> {
        let mut stamp = format!("{:?}", self.config);
        for part in &self.parts {
            write!(stamp, "\n{}", part.stamp()?).expect("strings take everything");
        }
        Some(stamp)
    }

    /// A hash of all bytes of the model. `is_given_up` is polled before each chunk; once it returns
    /// true, this fails with `Interrupted`.
    ///
    /// Errors: the files cannot be read, have changed since they were opened, or the caller gave
    /// up.
    pub fn content_hash(&self, is_given_up: &dyn Fn() -> bool) -> io::Result<[u8; 32]> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{:?}", self.config).as_bytes());
        let mut chunk = vec![0; CHUNK_BYTES];
        for part in &self.parts {
            hasher.update(&part.len().to_le_bytes());
            let mut offset = 0;
            while offset < part.len() {
                if is_given_up() {
                    return Err(io::Error::from(io::ErrorKind::Interrupted));
                }
                let rest = usize::try_from(part.len() - offset).unwrap_or(usize::MAX);
                let bytes = &mut chunk[..rest.min(CHUNK_BYTES)];
                part.read_exact_at(offset, bytes).map_err(|fault| as_io(fault, part.name()))?;
                hasher.update(bytes);
                offset += bytes.len() as u64;
            }
            if part.has_changed() {
                return Err(io::Error::other(format!(
                    "{}: changed since it was opened",
                    part.name()
                )));
            }
        }
        Ok(*hasher.finalize().as_bytes())
    }
}

fn as_io(fault: Fault, name: &str) -> io::Error {
    io::Error::other(fault.in_file(name))
}
