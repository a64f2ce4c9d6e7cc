//! The tokens of answers, kept in the folder of the blocks. Without them a history would be split
//! into other tokens after a restart, and the blocks behind its first answer would not be found.
//!
//! One file, `answers`, that grows at its end. When it is full, its older half is removed. Nothing
//! behind a damaged record can be read; it is cut off when the file is opened.
//!
//! Record, numbers little-endian: how many ids (u32), which model they are of (16 bytes), whose
//! they are (20, see `owner`), the ids (u32 each), and the first 8 bytes of the BLAKE3 hash of all
//! that.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::commands::ForgetSet;
use super::files::write_whole;
use super::owner::{OWNER_BYTES, owner_bytes, parse_owner};
use crate::origin::Origin;
use crate::text::TokenId;

/// The name of the file.
pub(super) const ANSWERS: &str = "answers";

const HEADER_BYTES: usize = 4 + MODEL_BYTES + OWNER_BYTES;
const MODEL_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 8;

/// Answers may take this part of the room for blocks, in addition to it and up to [`MOST_BYTES`].
const ROOM_PART: u64 = 64;
/// Memory keeps no more of all answers than this either.
const MOST_BYTES: u64 = crate::text::KEPT_ANSWER_BYTES as u64;

/// Which model's tokens they are.
pub(super) type ModelId = [u8; MODEL_BYTES];

/// The tokens of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Whose it is.
    pub origin: Origin,
    /// The tokens that made it.
    pub ids: Vec<TokenId>,
}

/// The file.
#[derive(Debug)]
pub(super) struct AnswerFile {
    path: PathBuf,
    bytes: u64,
    max_bytes: u64,
}

struct Record<'a> {
    model: ModelId,
    origin: Origin,
    ids: &'a [[u8; 4]],
    bytes: &'a [u8],
}

impl AnswerFile {
    /// Opens the file of a folder whose blocks may take `block_bytes`, or begins a new one.
    ///
    /// Errors: it cannot be read or mended.
    pub fn open(folder: &Path, block_bytes: u64) -> io::Result<AnswerFile> {
        let max_bytes = (block_bytes / ROOM_PART).min(MOST_BYTES);
        let mut file = AnswerFile { path: folder.join(ANSWERS), bytes: 0, max_bytes };
        let bytes = file.read()?;
        let whole: usize = records(&bytes).map(|record| record.bytes.len()).sum();
        file.bytes = whole as u64;
        if whole < bytes.len() {
            file.write(&[&bytes[..whole]])?;
        }
        file.make_room(0)?;
        Ok(file)
    }

    /// All answers of a model, the newest first.
    pub fn of_model(&self, model: ModelId) -> Vec<KeptAnswer> {
        let bytes = self.read().unwrap_or_default();
        let of_model = records(&bytes).filter(|record| record.model == model);
        let mut answers: Vec<KeptAnswer> = of_model.map(|record| record.answer()).collect();
        answers.reverse();
        answers
    }

    /// Adds an answer, unless it is too large to keep.
    ///
    /// Errors: it cannot be written.
    pub fn add(&mut self, model: ModelId, answer: &KeptAnswer) -> io::Result<()> {
        let record = record(model, answer);
        if record.len() as u64 > self.max_bytes / 2 {
            return Ok(());
        }
        self.make_room(record.len() as u64)?;
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).mode(0o600).open(&self.path)?;
        if let Err(error) = file.write_all(&record) {
            // Half a record would make those behind it unreadable.
            file.set_len(self.bytes)?;
            return Err(error);
        }
        self.bytes += record.len() as u64;
        Ok(())
    }

    /// Removes the answers of conversations or whole tenants.
    ///
    /// Errors: it cannot be read or written.
    pub fn forget(&mut self, meant: &ForgetSet) -> io::Result<()> {
        let bytes = self.read()?;
        let stays = |record: &Record<'_>| !meant.covers(&record.origin);
        let staying: Vec<&[u8]> =
            records(&bytes).filter(stays).map(|record| record.bytes).collect();
        if staying.iter().map(|record| record.len()).sum::<usize>() == bytes.len() {
            return Ok(());
        }
        self.write(&staying)
    }

    /// Removes the older half if there is no room for `more` bytes.
    fn make_room(&mut self, more: u64) -> io::Result<()> {
        if self.bytes + more <= self.max_bytes {
            return Ok(());
        }
        let bytes = self.read()?;
        let mut staying: Vec<&[u8]> = Vec::new();
        let all: Vec<&[u8]> = records(&bytes).map(|record| record.bytes).collect();
        let mut left = self.max_bytes / 2;
        for record in all.into_iter().rev() {
            let Some(rest) = left.checked_sub(record.len() as u64) else { break };
            left = rest;
            staying.push(record);
        }
        staying.reverse();
        self.write(&staying)
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        match fs::read(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }

    fn write(&mut self, records: &[&[u8]]) -> io::Result<()> {
        write_whole(&self.path, records)?;
        self.bytes = records.iter().map(|record| record.len() as u64).sum();
        Ok(())
    }
}

impl Record<'_> {
    fn answer(&self) -> KeptAnswer {
        let ids = self.ids.iter().map(|id| TokenId(u32::from_le_bytes(*id))).collect();
        KeptAnswer { origin: self.origin, ids }
    }
}

fn record(model: ModelId, answer: &KeptAnswer) -> Vec<u8> {
    let count = u32::try_from(answer.ids.len()).expect("an answer has fewer than 2³² tokens");
    let mut record = Vec::with_capacity(HEADER_BYTES + 4 * answer.ids.len() + CHECKSUM_BYTES);
    record.extend_from_slice(&count.to_le_bytes());
    record.extend_from_slice(&model);
    record.extend_from_slice(&owner_bytes(Some(answer.origin)));
    answer.ids.iter().for_each(|id| record.extend_from_slice(&id.0.to_le_bytes()));
    let checksum = blake3::hash(&record);
    record.extend_from_slice(&checksum.as_bytes()[..CHECKSUM_BYTES]);
    record
}

/// The records in a file's bytes, up to the first damaged one.
fn records(bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let record = parse(rest)?;
        rest = &rest[record.bytes.len()..];
        Some(record)
    })
}

/// The first record in `bytes`.
fn parse(bytes: &[u8]) -> Option<Record<'_>> {
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let (model, rest) = rest.split_first_chunk::<MODEL_BYTES>()?;
    let (owner, rest) = rest.split_first_chunk::<OWNER_BYTES>()?;
    let ids = rest.get(..usize::try_from(u32::from_le_bytes(*count)).ok()?.checked_mul(4)?)?;
    let hashed = &bytes[..HEADER_BYTES + ids.len()];
    let checksum = rest.get(ids.len()..ids.len() + CHECKSUM_BYTES)?;
    if blake3::hash(hashed).as_bytes()[..CHECKSUM_BYTES] != *checksum {
        return None;
    }
    let origin = parse_owner(owner)??;
    let bytes = &bytes[..hashed.len() + CHECKSUM_BYTES];
    Some(Record { model: *model, origin, ids: ids.as_chunks().0, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::{ConversationId, Tenant};

    const MODEL: ModelId = [1; MODEL_BYTES];
    const ROOM: u64 = 1 << 20;

    fn answer(tenant: u64, conversation: u64, first: u32) -> KeptAnswer {
        let conversation = Some(ConversationId(conversation));
        let ids = (first..first + 20).map(TokenId).collect();
        KeptAnswer { origin: Origin { tenant: Tenant(tenant), conversation }, ids }
    }

    fn open(folder: &Path) -> AnswerFile {
        AnswerFile::open(folder, ROOM).expect("the folder can be used")
    }

    fn add(file: &mut AnswerFile, answer: &KeptAnswer) {
        file.add(MODEL, answer).expect("it can be written");
    }

    #[test]
    fn answers_are_there_after_another_start_the_newest_first_and_by_model() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (first, second) = (answer(1, 1, 0), answer(2, 1, 100));
        let mut file = open(folder.path());
        assert!(file.of_model(MODEL).is_empty());
        add(&mut file, &first);
        file.add([2; MODEL_BYTES], &answer(1, 1, 50)).expect("it can be written");
        add(&mut file, &second);
        assert_eq!(open(folder.path()).of_model(MODEL), [second, first]);
    }

    #[test]
    fn what_is_damaged_is_cut_off_and_what_comes_later_is_kept() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let answers = [answer(1, 1, 0), answer(1, 1, 100), answer(1, 1, 200)];
        let mut file = open(folder.path());
        answers.iter().for_each(|answer| add(&mut file, answer));
        let whole = fs::read(&file.path).expect("the file");
        let record_bytes = whole.len() / 3;
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 1 << (place % 8);
            for bytes in [&damaged[..], &whole[..place]] {
                fs::write(&file.path, bytes).expect("it can be written");
                let mut file = open(folder.path());
                let kept = place / record_bytes;
                assert_eq!(file.of_model(MODEL).len(), kept, "byte {place}");
                add(&mut file, &answers[0]);
                assert_eq!(open(folder.path()).of_model(MODEL).len(), kept + 1, "byte {place}");
            }
        }
    }

    #[test]
    fn a_full_file_loses_its_older_half() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut file = open(folder.path());
        for first in 0..1_000 {
            add(&mut file, &answer(1, 1, first));
            assert!(file.bytes <= ROOM / ROOM_PART);
        }
        let kept = file.of_model(MODEL);
        assert!((50..200).contains(&kept.len()), "{}", kept.len());
        assert!(
            kept.iter().zip((0..1_000).rev()).all(|(kept, first)| *kept == answer(1, 1, first))
        );
        let mut large = answer(1, 1, 0);
        large.ids = vec![TokenId(7); ROOM as usize];
        add(&mut file, &large);
        assert_eq!(file.of_model(MODEL), kept, "what is too large is left out");
        let smaller = AnswerFile::open(folder.path(), ROOM / 4).expect("it can be used");
        assert!(smaller.bytes <= ROOM / ROOM_PART / 4);
    }

    #[test]
    fn a_forgotten_conversation_or_tenant_leaves_nothing_in_the_file() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut file = open(folder.path());
        let (gone, same_tenant, other) = (answer(1, 1, 0), answer(1, 2, 100), answer(2, 1, 200));
        [&gone, &same_tenant, &gone, &other].iter().for_each(|answer| add(&mut file, answer));
        file.forget(&gone.origin.into()).expect("it can be written");
        assert_eq!(open(folder.path()).of_model(MODEL), [other.clone(), same_tenant]);
        file.forget(&Origin::from(Tenant(1)).into()).expect("it can be written");
        assert_eq!(open(folder.path()).of_model(MODEL), [other]);
    }
}
