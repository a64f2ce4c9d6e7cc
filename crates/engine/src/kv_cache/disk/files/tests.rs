use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::origin::{ConversationId, Tenant};

fn block(number: u8, parent: Option<u8>) -> Stored {
    let name = |number: u8| BlockName([number; 16]);
    Stored {
        name: name(number),
        parent: parent.map(name),
        owner: Some(Tenant(0).into()),
        tokens: [TokenId(u32::from(number)); TOKENS],
        payload: (0..100).map(|byte| byte ^ number).collect(),
    }
}

const FILE_BYTES: u64 = (HEADER_BYTES + 100 + CHECKSUM_BYTES) as u64;

fn open(folder: &Path, blocks: u64) -> Files {
    let (files, repaired) =
        Files::open(folder, blocks * FILE_BYTES).expect("the folder can be used");
    assert_eq!(repaired, Repaired::default());
    files
}

fn reopen_repaired(folder: &Path) -> (Files, Repaired) {
    Files::open(folder, 10 * FILE_BYTES).expect("the folder can be used")
}

fn save(files: &mut Files, block: &Stored) -> Vec<BlockName> {
    let mut removed = Vec::new();
    let saved = files.save(block, &mut removed).expect("it can be written");
    assert_eq!(saved, Saved::There);
    removed
}

/// All files below a folder.
fn all_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("entry").path());
    let files = entries.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] });
    files.collect()
}

#[test]
fn what_is_saved_is_there_after_another_start_and_only_for_its_owner() {
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = home.path().join("kv");
    let mut files = open(&folder, 10);
    save(&mut files, &block(1, None));
    save(&mut files, &block(2, Some(1)));
    let secret = *files.secret();
    drop(files);
    for path in all_files(&folder) {
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    assert_eq!(fs::metadata(&folder).expect("a folder").permissions().mode() & 0o777, 0o700);
    let mut files = open(&folder, 10);
    assert_eq!(*files.secret(), secret);
    for number in [1, 2] {
        let expected = block(number, (number == 2).then_some(1));
        assert_eq!(files.load(expected.name), Some(expected));
    }
    assert_eq!(files.load(block(3, None).name), None);
}

#[test]
fn a_flipped_bit_anywhere_makes_a_block_that_was_never_there() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let expected = block(1, Some(7));
    let mut files = open(folder.path(), 10);
    save(&mut files, &expected);
    let path = files.path(expected.name);
    let whole = fs::read(&path).expect("the file");
    for index in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[index] ^= 1 << (index % 8);
        fs::write(&path, damaged).expect("it can be written");
        assert_eq!(files.load(expected.name), None, "byte {index}");
        assert!(!path.exists(), "byte {index}");
        save(&mut files, &expected);
    }
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).expect("it can be written");
        assert_eq!(files.load(expected.name), None, "{length} bytes");
        save(&mut files, &expected);
    }
    fs::remove_file(&path).expect("it is there");
    assert_eq!(files.load(expected.name), None, "somebody has removed it");
}

#[test]
fn what_is_not_a_blocks_file_is_not_listed() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut files = open(folder.path(), 10);
    let (first, second) = (block(1, None), block(2, None));
    save(&mut files, &first);
    save(&mut files, &second);
    let (path, other) = (files.path(first.name), files.path(second.name));
    drop(files);
    fs::rename(&path, &other).expect("one can take the other's name");
    fs::write(path.with_extension("tmp"), b"half").expect("it can be written");
    fs::write(path.with_extension("kv"), b"short").expect("it can be written");
    fs::write(folder.path().join("note.txt"), b"somebody's").expect("it can be written");
    let (files, repaired) = reopen_repaired(folder.path());
    assert_eq!(repaired, Repaired { key_bytes: None, removed: 2 });
    assert!(files.names().is_empty(), "{:?}", files.names());
    assert_eq!((files.bytes, files.by_last_used.len()), (0, 0));
    assert!(folder.path().join("note.txt").exists(), "what is not ours stays");
    assert!(!path.with_extension("tmp").exists());
}

#[test]
fn the_least_recently_used_go_when_others_need_their_room() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut files = open(folder.path(), 3);
    for number in 1..=3 {
        assert!(save(&mut files, &block(number, None)).is_empty());
    }
    files.touch(BlockName([1; 16]));
    assert_eq!(save(&mut files, &block(4, None)), [BlockName([2; 16])]);
    assert!(files.load(BlockName([3; 16])).is_some());
    assert_eq!(save(&mut files, &block(5, None)), [BlockName([1; 16])]);
    assert_eq!(files.bytes, 3 * FILE_BYTES);
    // Times that differ even where the clock of files is coarse.
    for (age, number) in [(50, 4), (20, 3), (90, 5)] {
        let file = File::options().append(true).open(files.path(BlockName([number; 16])));
        let before = SystemTime::now() - Duration::from_secs(age);
        file.and_then(|file| file.set_modified(before)).expect("it can be touched");
    }
    drop(files);
    let mut files = open(folder.path(), 2);
    assert_eq!(files.load(BlockName([5; 16])), None, "the oldest went when the size shrank");
    assert_eq!(save(&mut files, &block(6, None)), [BlockName([4; 16])]);
    drop(files);
    assert!(open(folder.path(), 0).names().is_empty());
}

#[test]
fn a_block_larger_than_all_room_is_not_called_saved() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (mut files, _) =
        Files::open(folder.path(), FILE_BYTES - 1).expect("the folder can be used");
    let mut removed = Vec::new();
    let saved = files.save(&block(1, None), &mut removed).expect("nothing is written");
    assert_eq!((saved, removed.len(), files.names().len()), (Saved::TooLarge, 0, 0));
}

/// If the key changes in any way, blocks that it no longer finds are neither listed nor left.
#[test]
fn a_damaged_key_takes_the_blocks_it_named_with_it_and_those_that_come_later_stay() {
    struct Case {
        damage: fn(Vec<u8>) -> Option<Vec<u8>>,
        key_bytes: Option<usize>,
    }
    let cases = [
        Case { damage: |_| None, key_bytes: None },
        Case { damage: |_| Some(Vec::new()), key_bytes: Some(0) },
        Case { damage: |key| Some(key[..31].to_vec()), key_bytes: Some(31) },
        Case { damage: |key| Some([key, vec![0]].concat()), key_bytes: Some(33) },
        Case { damage: |_| Some(vec![7; 32]), key_bytes: None },
        Case {
            damage: |mut key| {
                key[20] ^= 4;
                Some(key)
            },
            key_bytes: None,
        },
    ];
    for (index, Case { damage, key_bytes }) in cases.into_iter().enumerate() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("key");
        let mut files = open(folder.path(), 10);
        for number in 1..=3 {
            save(&mut files, &block(number, None));
        }
        files.write_note("model", &[1; 32]).expect("it can be written");
        drop(files);
        match damage(fs::read(&path).expect("the key")) {
            Some(bytes) => fs::write(&path, bytes).expect("it can be written"),
            None => fs::remove_file(&path).expect("it is there"),
        }
        let (mut files, repaired) = reopen_repaired(folder.path());
        assert_eq!(repaired, Repaired { key_bytes, removed: 3 }, "case {index}");
        assert!(files.names().is_empty(), "case {index}");
        assert_eq!(files.note("model"), None, "case {index}");
        let left = all_files(folder.path());
        assert!(left.iter().all(|path| path.extension().is_none_or(|it| it == NOTE)), "{left:?}");
        save(&mut files, &block(4, None));
        drop(files);
        assert_eq!(open(folder.path(), 10).names(), [BlockName([4; 16])], "case {index}");
    }
}

#[test]
fn a_key_that_cannot_be_read_is_not_replaced() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    fs::create_dir(folder.path().join("key")).expect("a folder can be made");
    Files::open(folder.path(), 1).expect_err("it is a folder");
    assert!(folder.path().join("key").is_dir());
}

#[test]
fn a_damaged_note_was_never_there() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let files = open(folder.path(), 10);
    files.write_note("model", &[1; 32]).expect("it can be written");
    assert_eq!(files.note("model"), Some([1; 32]));
    let path = folder.path().join("model").with_extension(NOTE);
    let whole = fs::read(&path).expect("the note");
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        for bytes in [&damaged[..], &whole[..place]] {
            fs::write(&path, bytes).expect("it can be written");
            assert_eq!(files.note("model"), None, "byte {place}");
        }
    }
}

#[test]
fn a_folder_has_one_user() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let files = open(folder.path(), 1);
    let error = Files::open(folder.path(), 1).expect_err("it is used");
    assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    drop(files);
    open(folder.path(), 1);
}

#[test]
fn a_forgotten_conversation_leaves_what_others_begin_with_and_that_goes_with_them() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut files = open(folder.path(), 10);
    let within = |tenant, conversation| Origin {
        tenant: Tenant(tenant),
        conversation: Some(ConversationId(conversation)),
    };
    let tree = [
        (1, None, None),
        (2, Some(1), Some(within(1, 1))),
        (3, Some(2), Some(within(1, 1))),
        (4, Some(3), Some(within(1, 1))),
        (5, Some(3), Some(within(1, 2))),
        (6, Some(1), Some(within(2, 1))),
        (7, None, Some(Tenant(1).into())),
        (8, Some(9), Some(within(1, 1))),
    ];
    for (number, parent, owner) in tree {
        save(&mut files, &Stored { owner, ..block(number, parent) });
    }
    let names = |numbers: &[u8]| numbers.iter().map(|n| BlockName([*n; 16])).collect::<Vec<_>>();
    let forget = |files: &mut Files, meant: Origin| {
        let mut removed = files.forget(&meant.into());
        removed.sort_unstable();
        removed
    };
    assert_eq!(forget(&mut files, within(3, 1)), names(&[]));
    assert_eq!(forget(&mut files, within(1, 1)), names(&[4, 8]));
    drop(files);
    let mut files = open(folder.path(), 10);
    let heir = files.load(BlockName([2; 16])).expect("the other begins with it");
    assert_eq!((heir.owner, heir.payload), (Some(within(1, 2)), block(2, None).payload));
    assert_eq!(forget(&mut files, within(1, 2)), names(&[2, 3, 5]), "after a start too");
    assert_eq!(forget(&mut files, Tenant(1).into()), names(&[7]));
    let mut left = files.names();
    left.sort_unstable();
    assert_eq!(left, names(&[1, 6]), "the operator's, and another tenant's");
}

#[test]
fn a_folder_that_cannot_be_used_is_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("file");
    fs::write(&file, b"in the way").expect("it can be written");
    Files::open(&file, 1).expect_err("it is a file");
}

#[test]
fn a_folder_that_cannot_be_locked_is_used_and_one_in_use_is_not() {
    let folder = Path::new("a folder");
    let missing = io::Error::from(ErrorKind::Unsupported);
    assert!(check_lock(Err(TryLockError::Error(missing)), folder).is_ok());
    let busy = check_lock(Err(TryLockError::WouldBlock), folder).expect_err("in use");
    assert_eq!(busy.kind(), ErrorKind::ResourceBusy);
}
