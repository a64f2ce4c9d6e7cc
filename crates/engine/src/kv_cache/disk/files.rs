//! The files of blocks: one for each, within a size, the least recently used gone first.
//!
//! A file is written under another name and renamed, so what has a block's name is whole; a checksum
//! tells what the disk has made of it since. What is wrong in any way is removed and was never there.
//!
//! Format, numbers little-endian: `banterkv`, version (u32), bytes of the payload (u32), the block's name
//! (16 bytes), its parent's (16, zeroes without one), 16 token ids (u32 each), the payload, and the
//! BLAKE3 hash of all that (32 bytes).

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Stored;
use crate::kv_cache::chain::BlockName;
use crate::text::TokenId;

const MAGIC: &[u8; 8] = b"banterkv";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 8 + 4 + 4 + 16 + 16 + 4 * TOKENS;
const CHECKSUM_BYTES: usize = 32;
const TOKENS: usize = crate::kv_cache::BLOCK_TOKENS;

/// The ending of a block's file, and of one that is being written.
const ENDING: &str = "kv";
const UNFINISHED: &str = "tmp";

/// Blocks in a folder.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    max_bytes: u64,
    bytes: u64,
    entries: HashMap<BlockName, Entry>,
    /// How many blocks here follow each, which need not be here itself.
    children: HashMap<BlockName, usize>,
    /// Least recently used first.
    by_turn: BTreeMap<u64, BlockName>,
    next_turn: u64,
    /// Held as long as this engine uses the folder.
    _lock: File,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    bytes: u64,
    turn: u64,
    parent: Option<BlockName>,
}

impl Files {
    /// Opens a folder, makes it if it is not there, and lists what is in it.
    ///
    /// Errors: it cannot be used; [`ErrorKind::ResourceBusy`] if another engine uses it.
    pub fn open(folder: &Path, max_bytes: u64) -> io::Result<Files> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let lock = private().read(true).append(true).create(true).open(folder.join("lock"))?;
        if lock.try_lock().is_err() {
            return Err(io::Error::new(ErrorKind::ResourceBusy, "another engine uses it"));
        }
        let mut files = Files {
            folder: folder.to_owned(),
            max_bytes,
            bytes: 0,
            entries: HashMap::new(),
            children: HashMap::new(),
            by_turn: BTreeMap::new(),
            next_turn: 0,
            _lock: lock,
        };
        files.list()?;
        files.make_room(0);
        Ok(files)
    }

    /// The names of all blocks.
    pub fn names(&self) -> Vec<BlockName> {
        self.entries.keys().copied().collect()
    }

    /// A secret that belongs to this folder, made when it is first asked for.
    ///
    /// Errors: it cannot be read or written.
    pub fn secret(&self) -> io::Result<[u8; 32]> {
        let path = self.folder.join("key");
        if let Ok(bytes) = fs::read(&path)
            && let Ok(secret) = <[u8; 32]>::try_from(bytes)
        {
            return Ok(secret);
        }
        let mut secret = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut secret)?;
        self.write_whole(&path, &[&secret])?;
        Ok(secret)
    }

    /// What was noted under a name that goes with a file's path, length and time, if anything.
    pub fn note(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.join(format!("{name}.note"))).ok()
    }

    /// Notes something.
    ///
    /// Errors: it cannot be written.
    pub fn write_note(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.write_whole(&self.folder.join(format!("{name}.note")), &[bytes])
    }

    /// Writes a block, after others have made room for it; those that went are added to `removed`.
    ///
    /// Errors: it cannot be written.
    pub fn save(&mut self, block: &Stored, removed: &mut Vec<BlockName>) -> io::Result<()> {
        if self.entries.contains_key(&block.name) {
            self.touch(block.name);
            return Ok(());
        }
        let bytes = (HEADER_BYTES + block.payload.len() + CHECKSUM_BYTES) as u64;
        if bytes > self.max_bytes {
            return Ok(());
        }
        removed.extend(self.make_room(bytes));
        let header = header(block);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&header).update(&block.payload);
        let checksum = hasher.finalize();
        let path = self.path(block.name);
        let folder = path.parent().expect("a block's file is in a folder");
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        self.write_whole(&path, &[&header, &block.payload, checksum.as_bytes()])?;
        self.enter(block.name, bytes, block.parent);
        Ok(())
    }

    /// Reads a block. One that is damaged is removed, and is not there.
    pub fn load(&mut self, name: BlockName) -> Option<Stored> {
        self.entries.get(&name)?;
        let read = fs::read(self.path(name)).ok().and_then(|bytes| parse(bytes, name));
        match &read {
            Some(_) => self.touch(name),
            None => self.remove(name),
        }
        read
    }

    /// Takes note that a block was used.
    pub fn touch(&mut self, name: BlockName) {
        let turn = self.turn();
        let Some(entry) = self.entries.get_mut(&name) else { return };
        self.by_turn.remove(&entry.turn);
        entry.turn = turn;
        self.by_turn.insert(turn, name);
        // For the next start; a file that cannot be touched only seems older than it is.
        if let Ok(file) = OpenOptions::new().append(true).open(self.path(name)) {
            drop(file.set_modified(SystemTime::now()));
        }
    }

    /// Removes blocks.
    pub fn remove_all(&mut self, names: &[BlockName]) {
        names.iter().for_each(|name| self.remove(*name));
    }

    /// Removes a conversation's blocks, given from the last on, up to the first that another
    /// conversation follows too; says which.
    pub fn forget(&mut self, names: &[BlockName]) -> Vec<BlockName> {
        let mut removed = Vec::new();
        for name in names {
            if self.children.contains_key(name) {
                break;
            }
            if self.entries.contains_key(name) {
                self.remove(*name);
                removed.push(*name);
            }
        }
        removed
    }

    fn list(&mut self) -> io::Result<()> {
        let mut found = Vec::new();
        for folder in fs::read_dir(&self.folder)?.filter_map(Result::ok) {
            let Ok(files) = fs::read_dir(folder.path()) else { continue };
            for path in files.filter_map(Result::ok).map(|file| file.path()) {
                let ending = path.extension().and_then(|ending| ending.to_str());
                if ending != Some(ENDING) && ending != Some(UNFINISHED) {
                    continue;
                }
                match head(&path) {
                    Some(head) if ending == Some(ENDING) => found.push(head),
                    _ => drop(fs::remove_file(&path)),
                }
            }
        }
        found.sort_by_key(|head| head.modified);
        for head in found {
            self.enter(head.name, head.bytes, head.parent);
        }
        Ok(())
    }

    fn enter(&mut self, name: BlockName, bytes: u64, parent: Option<BlockName>) {
        let turn = self.turn();
        self.entries.insert(name, Entry { bytes, turn, parent });
        self.by_turn.insert(turn, name);
        self.bytes += bytes;
        if let Some(parent) = parent {
            *self.children.entry(parent).or_default() += 1;
        }
    }

    fn make_room(&mut self, bytes: u64) -> Vec<BlockName> {
        let mut removed = Vec::new();
        while self.bytes + bytes > self.max_bytes
            && let Some((_, &oldest)) = self.by_turn.first_key_value()
        {
            self.remove(oldest);
            removed.push(oldest);
        }
        removed
    }

    fn remove(&mut self, name: BlockName) {
        let Some(entry) = self.entries.remove(&name) else { return };
        self.by_turn.remove(&entry.turn);
        self.bytes -= entry.bytes;
        if let Some(parent) = entry.parent
            && let Some(children) = self.children.get_mut(&parent)
        {
            *children -= 1;
            if *children == 0 {
                self.children.remove(&parent);
            }
        }
        // One that is gone already is gone.
        drop(fs::remove_file(self.path(name)));
    }

    fn write_whole(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let unfinished = path.with_extension(UNFINISHED);
        let write = || {
            let mut file = private().write(true).create(true).truncate(true).open(&unfinished)?;
            parts.iter().try_for_each(|part| file.write_all(part))?;
            fs::rename(&unfinished, path)
        };
        write().inspect_err(|_| drop(fs::remove_file(&unfinished)))
    }

    fn path(&self, name: BlockName) -> PathBuf {
        let hex = hex(name);
        self.folder.join(&hex[..2]).join(hex).with_extension(ENDING)
    }

    fn turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }
}

/// What the beginning of a file says.
struct Head {
    name: BlockName,
    parent: Option<BlockName>,
    bytes: u64,
    modified: Option<SystemTime>,
}

/// Reads the beginning of a file; none if it is not a block's, whole, and under its own name.
fn head(path: &Path) -> Option<Head> {
    let mut file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header).ok()?;
    let (name, parent, payload_bytes) = parse_header(&header)?;
    let bytes = (HEADER_BYTES + payload_bytes + CHECKSUM_BYTES) as u64;
    let is_named = path.file_stem().is_some_and(|stem| *stem == *hex(name));
    let is_whole = is_named && metadata.len() == bytes;
    is_whole.then(|| Head { name, parent, bytes, modified: metadata.modified().ok() })
}

fn header(block: &Stored) -> Vec<u8> {
    let payload_bytes = u32::try_from(block.payload.len()).expect("a block is far below 4 GB");
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&payload_bytes.to_le_bytes());
    header.extend_from_slice(&block.name.0);
    header.extend_from_slice(&block.parent.map_or([0; 16], |parent| parent.0));
    block.tokens.iter().for_each(|token| header.extend_from_slice(&token.0.to_le_bytes()));
    header
}

/// Name, parent and bytes of the payload.
fn parse_header(header: &[u8]) -> Option<(BlockName, Option<BlockName>, usize)> {
    let (magic, rest) = header.split_first_chunk::<8>()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let (payload_bytes, rest) = rest.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_first_chunk::<16>()?;
    let (parent, _) = rest.split_first_chunk::<16>()?;
    if magic != MAGIC || u32::from_le_bytes(*version) != VERSION {
        return None;
    }
    let parent = (*parent != [0; 16]).then_some(BlockName(*parent));
    Some((BlockName(*name), parent, u32::from_le_bytes(*payload_bytes) as usize))
}

/// The block in a file's bytes, if it is the one of this name and its checksum is right.
fn parse(mut bytes: Vec<u8>, name: BlockName) -> Option<Stored> {
    let (found, parent, payload_bytes) = parse_header(&bytes)?;
    let end = HEADER_BYTES.checked_add(payload_bytes)?;
    let checksum = bytes.get(end..)?;
    if found != name || blake3::hash(&bytes[..end]).as_bytes() != checksum {
        return None;
    }
    let ids = bytes[HEADER_BYTES - 4 * TOKENS..HEADER_BYTES].as_chunks::<4>().0;
    let mut tokens = [TokenId(0); TOKENS];
    for (token, id) in tokens.iter_mut().zip(ids) {
        *token = TokenId(u32::from_le_bytes(*id));
    }
    bytes.truncate(end);
    bytes.drain(..HEADER_BYTES);
    Some(Stored { name, parent, tokens, payload: bytes })
}

fn hex(name: BlockName) -> String {
    name.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// For files that only their owner may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

#[cfg(test)]
mod tests;
