//! One file that is being downloaded: its bytes, and which of its pieces are there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};

use crate::error::PullError;
use crate::hub::Sha256Sum;

/// How many bytes one request asks for: so many that the round trip costs little, and so few that
/// an interrupted request loses little.
pub(super) const PIECE_BYTES: u64 = 4 << 20;

/// The map's byte for a piece that is there.
const THERE: u8 = 1;

/// What identifies a file. A download is continued only if all of this is as before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartFacts {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) sha256: Option<Sha256Sum>,
    /// The version, as the server calls it; used if there is no checksum.
    pub(super) version: Option<String>,
    /// Whether the hub serves parts of it.
    pub(super) has_ranges: bool,
}

/// A file of full length in which some pieces are still empty. A map beside it has one byte per
/// piece: 1 if the piece is there.
pub(super) struct Part {
    pub(super) facts: PartFacts,
    path: PathBuf,
    file: File,
    map: File,
    pieces: Mutex<Vec<Piece>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Missing,
    /// A request for it is running.
    Claimed,
    There,
}

/// Whether the disk space could be reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reserved {
    Yes,
    /// There is not enough space.
    No,
}

/// A piece: the bytes from `start` to before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) index: usize,
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Part {
    /// Opens or creates the file in `folder`. Pieces of an earlier pull count as there.
    pub(super) fn open(folder: &Path, facts: PartFacts) -> Result<Part, PullError> {
        let path = folder.join(&facts.name);
        let map_path = folder.join(map_name(&facts));
        let file = open_private(&path).map_err(PullError::folder(&path))?;
        let map = open_private(&map_path).map_err(PullError::folder(&map_path))?;
        file.set_len(facts.bytes).map_err(PullError::write(&path))?;
        let mut there = vec![0; facts.piece_count()];
        let known = map.metadata().map_err(PullError::folder(&map_path))?.len();
        if known == there.len() as u64 {
            map.read_exact_at(&mut there, 0).map_err(PullError::folder(&map_path))?;
        } else {
            map.set_len(there.len() as u64).map_err(PullError::write(&map_path))?;
        }
        let piece = |flag: u8| if flag == THERE { Piece::There } else { Piece::Missing };
        let pieces = Mutex::new(there.into_iter().map(piece).collect());
        Ok(Part { facts, path, file, map, pieces })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are there.
    pub(super) fn downloaded_bytes(&self) -> u64 {
        let pieces = self.pieces.lock().expect("no holder panics");
        let there = pieces.iter().enumerate().filter(|(_, piece)| **piece == Piece::There);
        there.map(|(index, _)| self.facts.span(index).bytes()).sum()
    }

    /// The next missing piece among the first `limit`. The caller must fetch it or give it back.
    pub(super) fn claim(&self, limit: usize) -> Option<Span> {
        let mut pieces = self.pieces.lock().expect("no holder panics");
        let index = pieces.iter().take(limit).position(|piece| *piece == Piece::Missing)?;
        pieces[index] = Piece::Claimed;
        Some(self.facts.span(index))
    }

    /// Gives back a piece that was not fetched.
    pub(super) fn give_back(&self, span: Span) {
        self.pieces.lock().expect("no holder panics")[span.index] = Piece::Missing;
    }

    /// The first bytes of the file, at most `most`.
    pub(super) fn beginning(&self, most: usize) -> Result<Vec<u8>, PullError> {
        let length = usize::try_from(self.facts.bytes).unwrap_or(usize::MAX).min(most);
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, 0).map_err(PullError::folder(&self.path))?;
        Ok(bytes)
    }

    pub(super) fn write(&self, bytes: &[u8], at: u64) -> Result<(), PullError> {
        self.file.write_all_at(bytes, at).map_err(PullError::write(&self.path))
    }

    /// Remembers that a piece is there.
    pub(super) fn settle(&self, span: Span) -> Result<(), PullError> {
        // A checksum finds what a crash has lost. Without one, the bytes must be on the disk before
        // the map says so.
        if self.facts.sha256.is_none() {
            self.file.sync_data().map_err(PullError::write(&self.path))?;
        }
        self.map.write_all_at(&[THERE], span.index as u64).map_err(PullError::write(&self.path))?;
        self.pieces.lock().expect("no holder panics")[span.index] = Piece::There;
        Ok(())
    }

    /// Bytes of the file for which no disk space is reserved yet.
    pub(super) fn unreserved_bytes(&self) -> Result<u64, PullError> {
        const BLOCK: u64 = 512;
        let metadata = self.file.metadata().map_err(PullError::folder(&self.path))?;
        Ok(self.facts.bytes.saturating_sub(metadata.blocks() * BLOCK))
    }

    /// Reserves the disk space, so that it cannot run out during the download. A file system that
    /// cannot reserve is trusted to have the space that it says is free.
    pub(super) fn reserve(&self) -> Result<Reserved, PullError> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        if self.facts.bytes == 0 {
            return Ok(Reserved::Yes);
        }
        match fallocate(&self.file, FallocateFlags::empty(), 0, self.facts.bytes) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(Reserved::Yes),
            Err(Errno::NOSPC | Errno::DQUOT) => Ok(Reserved::No),
            Err(errno) => {
                Err(PullError::Write { path: self.path.clone(), error: io::Error::from(errno) })
            }
        }
    }

    /// Writes everything to the disk.
    pub(super) fn sync(&self) -> Result<(), PullError> {
        self.file.sync_all().map_err(PullError::write(&self.path))
    }

    /// Removes the map when all pieces are there.
    pub(super) fn forget_map(&self) -> Result<(), PullError> {
        let path = self.path.with_file_name(map_name(&self.facts));
        std::fs::remove_file(&path).map_err(PullError::folder(&path))
    }
}

impl PartFacts {
    /// The version, if equal versions mean equal bytes.
    pub(super) fn strong_version(&self) -> Option<HeaderValue> {
        let version = self.version.as_ref().filter(|version| !version.starts_with("W/"))?;
        HeaderValue::try_from(version).ok()
    }

    fn span(&self, index: usize) -> Span {
        if !self.has_ranges {
            return Span { index, start: 0, end: self.bytes };
        }
        let start = index as u64 * PIECE_BYTES;
        Span { index, start, end: (start + PIECE_BYTES).min(self.bytes) }
    }

    fn piece_count(&self) -> usize {
        match (self.bytes, self.has_ranges) {
            (0, _) => 0,
            (_, false) => 1,
            (bytes, true) => usize::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(usize::MAX),
        }
    }
}

impl Span {
    fn bytes(self) -> u64 {
        self.end - self.start
    }
}

/// How many bytes of a file in `folder` are there. Nothing is opened for writing.
pub(super) fn downloaded_bytes_in(folder: &Path, facts: &PartFacts) -> u64 {
    let map = std::fs::read(folder.join(map_name(facts))).unwrap_or_default();
    let known = if map.len() == facts.piece_count() { map } else { Vec::new() };
    let there = known.iter().enumerate().filter(|(_, flag)| **flag == THERE);
    there.map(|(index, _)| facts.span(index).bytes()).sum()
}

fn map_name(facts: &PartFacts) -> String {
    format!("{}.pieces", facts.name)
}

fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}
