//! The files of blocks: one for each. At the size limit the least recently used are removed.
//!
//! A file is written under another name and then renamed, so a file with a block's name was written
//! as a whole. A checksum finds damage that came later. A damaged file is removed, and its block is
//! not there.
//!
//! Format, numbers little-endian: `banterkv`, version (u32), bytes of the payload (u32), which key
//! it was named with (8 bytes), the block's name (16), its parent's (16, zeroes without one), its
//! owner (20, see `owner`), 16 token ids (u32 each), the payload, and the BLAKE3 hash of all that
//! (32 bytes).
//!
//! Names are made with a secret, which is in the file `key`. Blocks of another secret can never be
//! found, so they are removed when the folder is opened.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::answers::ANSWERS;
use super::commands::ForgetSet;
use super::owner::{OWNER_BYTES, owner_bytes, parse_owner};
use super::{NUMERICS_VERSION, Stored};
use crate::kv_cache::block_name::BlockName;
use crate::origin::Origin;
use crate::text::TokenId;

const MAGIC: &[u8; 8] = b"banterkv";
const VERSION: u32 = 2;
const HEADER_BYTES: usize = 8 + 4 + 4 + KEY_ID_BYTES + 16 + 16 + OWNER_BYTES + 4 * TOKENS;
const KEY_ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 32;
const TOKENS: usize = crate::kv_cache::BLOCK_TOKENS;

/// The extension of a block's file, and of one that is being written.
const ENDING: &str = "kv";
const UNFINISHED: &str = "tmp";
/// The extension of a model's note.
const NOTE: &str = "note";
/// A note is a hash of the model's bytes.
const NOTED_BYTES: usize = 32;

/// Blocks in a folder.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    secret: [u8; SECRET_BYTES],
    key_id: [u8; KEY_ID_BYTES],
    max_bytes: u64,
    bytes: u64,
    entries: HashMap<BlockName, Entry>,
    /// Least recently used first.
    by_last_used: BTreeMap<u64, BlockName>,
    next_use: u64,
    /// Locked as long as this engine uses the folder.
    _lock: File,
}

/// The outcome of an attempt to lock the folder.
///
/// Some file systems have no locks (Lustre, some NFS). Two engines on one folder may then remove
/// each other's blocks, but never read wrong ones, because blocks are checked when they are read.
fn check_lock(outcome: Result<(), TryLockError>, folder: &Path) -> io::Result<()> {
    match outcome {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::new(ErrorKind::ResourceBusy, "another engine uses it"))
        }
        Err(TryLockError::Error(error)) => {
            let folder = folder.display();
            let advice = "cannot be locked: let no other server keep conversations there";
            tracing::warn!(%folder, %error, "{advice}");
            Ok(())
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    bytes: u64,
    last_used: u64,
    parent: Option<BlockName>,
    owner: Option<Origin>,
}

/// What was wrong in a folder, and was repaired when it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// The length of the file `key`, if it was wrong.
    pub key_bytes: Option<usize>,
    /// Files of blocks that were removed: of another key or version, or damaged.
    pub removed: usize,
}

/// The outcome of saving a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is there now, or was already.
    There,
    /// It is larger than everything that may be kept.
    TooLarge,
}

impl Files {
    /// Opens a folder, makes it if it is not there, and lists what is in it. Says what it repaired.
    ///
    /// Errors: it cannot be used; [`ErrorKind::ResourceBusy`] if another engine uses it.
    pub fn open(folder: &Path, max_bytes: u64) -> io::Result<(Files, Repaired)> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let lock = private().read(true).append(true).create(true).open(folder.join("lock"))?;
        check_lock(lock.try_lock(), folder)?;
        let mut repaired = Repaired::default();
        let secret = match read_secret(folder)? {
            Secret::Whole(secret) => secret,
            Secret::Missing => new_secret(folder)?,
            Secret::Damaged { bytes } => {
                repaired.key_bytes = Some(bytes);
                new_secret(folder)?
            }
        };
        let mut files = Files {
            folder: folder.to_owned(),
            secret,
            key_id: key_id(&secret),
            max_bytes,
            bytes: 0,
            entries: HashMap::new(),
            by_last_used: BTreeMap::new(),
            next_use: 0,
            _lock: lock,
        };
        repaired.removed = files.list()?;
        files.make_room(0);
        Ok((files, repaired))
    }

    /// Whether no block is there.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The names of all blocks.
    pub fn names(&self) -> Vec<BlockName> {
        self.entries.keys().copied().collect()
    }

    /// The secret of this folder.
    pub fn secret(&self) -> &[u8; SECRET_BYTES] {
        &self.secret
    }

    /// The note of this name, if there is one. A name stands for a model file's path, length and
    /// time. A damaged note counts as absent, because all names of blocks depend on it.
    pub fn note(&self, name: &str) -> Option<[u8; NOTED_BYTES]> {
        let bytes = fs::read(self.folder.join(name).with_extension(NOTE)).ok()?;
        let (noted, checksum) = bytes.split_first_chunk()?;
        (blake3::keyed_hash(&self.secret, noted).as_bytes() == checksum).then_some(*noted)
    }

    /// Writes a note.
    ///
    /// Errors: it cannot be written.
    pub fn write_note(&self, name: &str, noted: &[u8; NOTED_BYTES]) -> io::Result<()> {
        let checksum = blake3::keyed_hash(&self.secret, noted);
        write_whole(&self.folder.join(name).with_extension(NOTE), &[noted, checksum.as_bytes()])
    }

    /// Writes a block. Blocks that are removed to make room for it are added to `removed`.
    ///
    /// Errors: it cannot be written.
    pub fn save(&mut self, block: &Stored, removed: &mut Vec<BlockName>) -> io::Result<Saved> {
        if self.entries.contains_key(&block.name) {
            self.touch(block.name);
            return Ok(Saved::There);
        }
        let bytes = (HEADER_BYTES + block.payload.len() + CHECKSUM_BYTES) as u64;
        if bytes > self.max_bytes {
            return Ok(Saved::TooLarge);
        }
        removed.extend(self.make_room(bytes));
        self.write(block)?;
        let last_used = self.last_used();
        let (parent, owner) = (block.parent, block.owner);
        self.enter(block.name, Entry { bytes, last_used, parent, owner });
        Ok(Saved::There)
    }

    /// Reads a block. A damaged one is removed, and is not there.
    pub fn load(&mut self, name: BlockName) -> Option<Stored> {
        self.entries.get(&name)?;
        let read = fs::read(self.path(name)).ok().and_then(|bytes| parse(bytes, name));
        match &read {
            Some(_) => self.touch(name),
            None => self.remove(name),
        }
        read
    }

    /// Notes that a block was used.
    pub fn touch(&mut self, name: BlockName) {
        let last_used = self.last_used();
        let Some(entry) = self.entries.get_mut(&name) else { return };
        self.by_last_used.remove(&entry.last_used);
        entry.last_used = last_used;
        self.by_last_used.insert(last_used, name);
        // For the next start. A file that cannot be touched only seems older than it is.
        if let Ok(file) = OpenOptions::new().append(true).open(self.path(name)) {
            drop(file.set_modified(SystemTime::now()));
        }
    }

    /// Removes blocks.
    pub fn remove_all(&mut self, names: &[BlockName]) {
        names.iter().for_each(|name| self.remove(*name));
    }

    /// Removes what belongs to conversations or whole tenants, and says what is gone. A block that
    /// one of another conversation follows becomes the other's, which begins with the same tokens.
    pub fn forget(&mut self, meant: &ForgetSet) -> Vec<BlockName> {
        let is_meant = |entry: &Entry| entry.owner.is_some_and(|owner| meant.covers(&owner));
        let mut heirs: HashMap<BlockName, Option<Origin>> = HashMap::new();
        for entry in self.entries.values().filter(|entry| !is_meant(entry)) {
            let mut above = entry.parent;
            while let Some(name) = above
                && let Some(parent) = self.entries.get(&name).filter(|parent| is_meant(parent))
                && heirs.insert(name, entry.owner).is_none()
            {
                above = parent.parent;
            }
        }
        let meant = self.entries.iter().filter(|(_, entry)| is_meant(entry));
        let mut removed: Vec<BlockName> = meant.map(|(name, _)| *name).collect();
        removed.retain(|name| match heirs.get(name) {
            Some(heir) if self.give_to(*heir, *name) => false,
            _ => {
                self.remove(*name);
                true
            }
        });
        removed
    }

    /// Gives a block another owner; false if that cannot be written.
    fn give_to(&mut self, owner: Option<Origin>, name: BlockName) -> bool {
        let Some(block) = self.load(name) else { return false };
        if self.write(&Stored { owner, ..block }).is_err() {
            return false;
        }
        if let Some(entry) = self.entries.get_mut(&name) {
            entry.owner = owner;
        }
        true
    }

    /// Lists the blocks that are there, and removes other files. Says how many of those were
    /// blocks.
    fn list(&mut self) -> io::Result<usize> {
        let (mut found, mut removed) = (Vec::new(), 0);
        for folder in fs::read_dir(&self.folder)?.filter_map(Result::ok) {
            let Ok(files) = fs::read_dir(folder.path()) else { continue };
            for path in files.filter_map(Result::ok).map(|file| file.path()) {
                let ending = path.extension().and_then(|ending| ending.to_str());
                if ending != Some(ENDING) && ending != Some(UNFINISHED) {
                    continue;
                }
                match head(&path).filter(|head| head.key_id == self.key_id) {
                    Some(head) if ending == Some(ENDING) => found.push(head),
                    _ => {
                        removed += usize::from(ending == Some(ENDING));
                        drop(fs::remove_file(&path));
                    }
                }
            }
        }
        found.sort_by_key(|head| head.modified);
        for Head { name, parent, owner, bytes, .. } in found {
            let last_used = self.last_used();
            self.enter(name, Entry { bytes, last_used, parent, owner });
        }
        Ok(removed)
    }

    fn enter(&mut self, name: BlockName, entry: Entry) {
        self.by_last_used.insert(entry.last_used, name);
        self.bytes += entry.bytes;
        self.entries.insert(name, entry);
    }

    fn make_room(&mut self, bytes: u64) -> Vec<BlockName> {
        let mut removed = Vec::new();
        while self.bytes + bytes > self.max_bytes
            && let Some((_, &oldest)) = self.by_last_used.first_key_value()
        {
            self.remove(oldest);
            removed.push(oldest);
        }
        removed
    }

    fn remove(&mut self, name: BlockName) {
        let Some(entry) = self.entries.remove(&name) else { return };
        self.by_last_used.remove(&entry.last_used);
        self.bytes -= entry.bytes;
        // If the file is gone already, that is as good.
        drop(fs::remove_file(self.path(name)));
    }

    fn write(&self, block: &Stored) -> io::Result<()> {
        let header = header(block, self.key_id);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&header).update(&block.payload);
        let checksum = hasher.finalize();
        let path = self.path(block.name);
        let folder = path.parent().expect("a block's file is in a folder");
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        write_whole(&path, &[&header, &block.payload, checksum.as_bytes()])
    }

    fn path(&self, name: BlockName) -> PathBuf {
        let hex = hex(name);
        self.folder.join(&hex[..2]).join(hex).with_extension(ENDING)
    }

    fn last_used(&mut self) -> u64 {
        self.next_use += 1;
        self.next_use
    }
}

/// The content of the file `key`.
enum Secret {
    Whole([u8; SECRET_BYTES]),
    Missing,
    Damaged { bytes: usize },
}

/// Errors: it is there and cannot be read. It must not be replaced then: all blocks would be lost.
fn read_secret(folder: &Path) -> io::Result<Secret> {
    let bytes = match fs::read(folder.join("key")) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Secret::Missing),
        Err(error) => return Err(error),
    };
    let length = bytes.len();
    Ok(bytes.try_into().map_or(Secret::Damaged { bytes: length }, Secret::Whole))
}

/// Makes a secret, and removes what was written with the one before.
fn new_secret(folder: &Path) -> io::Result<[u8; SECRET_BYTES]> {
    for path in fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path()) {
        let is_note = path.extension().is_some_and(|ending| ending == NOTE);
        if is_note || path.file_name().is_some_and(|name| name == ANSWERS) {
            fs::remove_file(path)?;
        }
    }
    let mut secret = [0; SECRET_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut secret)?;
    write_whole(&folder.join("key"), &[&secret])?;
    // All blocks depend on it, so it must survive a power failure if the first block does.
    File::open(folder.join("key"))?.sync_all()?;
    Ok(secret)
}

/// Tells one secret from another, and does not reveal it.
fn key_id(secret: &[u8; SECRET_BYTES]) -> [u8; KEY_ID_BYTES] {
    let hash = blake3::keyed_hash(secret, format!("blocks {NUMERICS_VERSION}").as_bytes());
    *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
}

/// Writes a file under another name and renames it, so that it is there whole or not at all.
pub(super) fn write_whole(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let unfinished = path.with_extension(UNFINISHED);
    let write = || {
        let mut file = private().write(true).create(true).truncate(true).open(&unfinished)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        fs::rename(&unfinished, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&unfinished)))
}

/// The header and the size of a file.
struct Head {
    key_id: [u8; KEY_ID_BYTES],
    name: BlockName,
    parent: Option<BlockName>,
    owner: Option<Origin>,
    bytes: u64,
    modified: Option<SystemTime>,
}

/// Reads the beginning of a file; none if it is not a block's, whole, and under its own name.
fn head(path: &Path) -> Option<Head> {
    let mut file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header).ok()?;
    let Header { key_id, name, parent, owner, payload_bytes } = parse_header(&header)?;
    let bytes = (HEADER_BYTES + payload_bytes + CHECKSUM_BYTES) as u64;
    let is_named = path.file_stem().is_some_and(|stem| *stem == *hex(name));
    let is_whole = is_named && metadata.len() == bytes;
    let modified = metadata.modified().ok();
    is_whole.then_some(Head { key_id, name, parent, owner, bytes, modified })
}

fn header(block: &Stored, key_id: [u8; KEY_ID_BYTES]) -> Vec<u8> {
    let payload_bytes = u32::try_from(block.payload.len()).expect("a block is far below 4 GB");
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&payload_bytes.to_le_bytes());
    header.extend_from_slice(&key_id);
    header.extend_from_slice(&block.name.0);
    header.extend_from_slice(&block.parent.map_or([0; 16], |parent| parent.0));
    header.extend_from_slice(&owner_bytes(block.owner));
    block.tokens.iter().for_each(|token| header.extend_from_slice(&token.0.to_le_bytes()));
    header
}

/// A header without its tokens.
struct Header {
    key_id: [u8; KEY_ID_BYTES],
    name: BlockName,
    parent: Option<BlockName>,
    owner: Option<Origin>,
    payload_bytes: usize,
}

fn parse_header(header: &[u8]) -> Option<Header> {
    let (magic, rest) = header.split_first_chunk::<8>()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let (payload_bytes, rest) = rest.split_first_chunk::<4>()?;
    let (key_id, rest) = rest.split_first_chunk::<KEY_ID_BYTES>()?;
    let (name, rest) = rest.split_first_chunk::<16>()?;
    let (parent, rest) = rest.split_first_chunk::<16>()?;
    let (owner, _) = rest.split_first_chunk::<OWNER_BYTES>()?;
    if magic != MAGIC || u32::from_le_bytes(*version) != VERSION {
        return None;
    }
    Some(Header {
        key_id: *key_id,
        name: BlockName(*name),
        parent: (*parent != [0; 16]).then_some(BlockName(*parent)),
        owner: parse_owner(owner)?,
        payload_bytes: u32::from_le_bytes(*payload_bytes) as usize,
    })
}

/// The block in a file's bytes, if it is the one of this name and its checksum is right.
fn parse(mut bytes: Vec<u8>, name: BlockName) -> Option<Stored> {
    let Header { name: found, parent, owner, payload_bytes, .. } = parse_header(&bytes)?;
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
    Some(Stored { name, parent, owner, tokens, payload: bytes })
}

fn hex(name: BlockName) -> String {
    name.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Options for files that only their owner may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

#[cfg(test)]
mod tests;
