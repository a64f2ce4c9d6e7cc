//! SHA-256 sums as hubs publish them.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use data_encoding::HEXLOWER_PERMISSIVE;
use sha2::{Digest, Sha256};

/// A SHA-256 sum.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sha256Sum([u8; 32]);

impl Sha256Sum {
    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Sha256Sum> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Sha256Sum)
    }

    /// The sum of a file. `each` is told how many bytes were read. Other tasks run in between, and
    /// dropping the future ends it.
    pub(crate) async fn of_file(path: &Path, mut each: impl FnMut(u64)) -> io::Result<Sha256Sum> {
        let mut summing = Summing::open(path)?;
        while let Some(read) = summing.go_on()? {
            each(read as u64);
            tokio::task::yield_now().await;
        }
        Ok(summing.sum())
    }

    /// The sum of a file, on a thread that may wait for it.
    pub(crate) fn of_file_at_once(path: &Path) -> io::Result<Sha256Sum> {
        let mut summing = Summing::open(path)?;
        while summing.go_on()?.is_some() {}
        Ok(summing.sum())
    }
}

/// A file whose sum is being computed.
struct Summing {
    file: File,
    hasher: Sha256,
    piece: Vec<u8>,
}

impl Summing {
    fn open(path: &Path) -> io::Result<Summing> {
        const PIECE: usize = 1 << 20;
        Ok(Summing { file: File::open(path)?, hasher: Sha256::new(), piece: vec![0; PIECE] })
    }

    /// Reads a piece, and returns its bytes; `None` at the end of the file.
    fn go_on(&mut self) -> io::Result<Option<usize>> {
        let read = self.file.read(&mut self.piece)?;
        self.hasher.update(&self.piece[..read]);
        Ok((read > 0).then_some(read))
    }

    fn sum(self) -> Sha256Sum {
        Sha256Sum(self.hasher.finalize().into())
    }
}

impl fmt::Display for Sha256Sum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEXLOWER_PERMISSIVE.encode_write(&self.0, formatter)
    }
}

impl fmt::Debug for Sha256Sum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl serde::Serialize for Sha256Sum {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Sha256Sum {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Sha256Sum, D::Error> {
        let text = String::deserialize(deserializer)?;
        Sha256Sum::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("expected 64 hexadecimal digits"))
    }
}
