//! Models in several files.

use std::fs;
use std::path::{Path, PathBuf};

use banter_engine::model_file::{LayerTensor, ModelFile, TensorName};

use super::builder::{Gguf, Value};
use super::{assert_refused, open_bytes, open_path};

const PARTS: usize = 3;

/// The tiny model in three files; `edit` can change each file before it is written.
fn write_parts(folder: &Path, edit: impl Fn(usize, &mut Gguf)) -> PathBuf {
    let whole = Gguf::tiny();
    let per_part = whole.tensors.len().div_ceil(PARTS);
    for (index, tensors) in whole.tensors.chunks(per_part).enumerate() {
        let mut part = Gguf { tensors: tensors.to_vec(), ..whole.clone() };
        if index > 0 {
            part.keys.clear();
        }
        part = part
            .with("split.no", Value::Raw(2, (index as u16).to_le_bytes().to_vec()))
            .with("split.count", Value::Raw(2, (PARTS as u16).to_le_bytes().to_vec()))
            .with("split.tensors.count", Value::I32(whole.tensors.len() as i32));
        edit(index, &mut part);
        fs::write(part_path(folder, index), part.bytes()).expect("a part");
    }
    part_path(folder, 0)
}

fn part_path(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("tiny-{:05}-of-{PARTS:05}.gguf", index + 1))
}

fn down_row(file: &ModelFile) -> Vec<u8> {
    let info = file.tensor(TensorName::Layer(1, LayerTensor::Down)).expect("a tensor");
    let mut bytes = vec![0; info.row_bytes()];
    file.read_rows(info, 31..32, &mut bytes).expect("a row");
    bytes
}

#[test]
fn a_split_model_equals_the_whole_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = write_parts(folder.path(), |_, _| {});
    let split = open_path(&first).expect("a model");
    let whole = open_bytes(&Gguf::tiny().bytes()).expect("a model");
    assert_eq!(split.config(), whole.config());
    assert_eq!(split.description(), whole.description());
    assert_eq!(down_row(&split), down_row(&whole));
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    type Edit = fn(usize, &mut Gguf);
    let cases: [(&str, Edit, usize, &str); 6] = [
        (
            "another number",
            |index, part| {
                if index == 1 {
                    *part = part.clone().with("split.no", Value::U32(2));
                }
            },
            1,
            "key split.no: expected 1, found 2",
        ),
        (
            "another count",
            |index, part| {
                if index == 2 {
                    *part = part.clone().with("split.count", Value::U32(4));
                }
            },
            2,
            "key split.count: expected 3, found 4",
        ),
        (
            "no number",
            |index, part| {
                if index == 1 {
                    *part = part.clone().without("split.no");
                }
            },
            1,
            "key split.no: expected 1, found no such key",
        ),
        (
            "no total",
            |index, part| {
                if index == 0 {
                    *part = part.clone().without("split.tensors.count");
                }
            },
            0,
            "key split.tensors.count: expected an integer, found no such key",
        ),
        (
            "another total",
            |index, part| {
                if index == 0 {
                    *part = part.clone().with("split.tensors.count", Value::I32(99));
                }
            },
            0,
            "key split.tensors.count: expected 26, as many as all parts hold, found 99",
        ),
        (
            "a tensor twice",
            |index, part| {
                if index == 2 {
                    part.tensors[0].name = "token_embd.weight".to_string();
                }
            },
            2,
            "tensor token_embd.weight: expected the tensor once, found it twice",
        ),
    ];
    for (case, edit, part_at_fault, expected) in cases {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = write_parts(folder.path(), edit);
        let error = open_path(&first).expect_err(case);
        assert_eq!(error.file, part_path(folder.path(), part_at_fault).display().to_string());
        assert_eq!(error.fault.to_string(), expected, "{case}");
    }
}

#[test]
fn a_missing_part_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = write_parts(folder.path(), |_, _| {});
    let last = part_path(folder.path(), 2);
    fs::remove_file(&last).expect("a part removed");
    let error = open_path(&first).expect_err("a missing part").to_string();
    let expected = "expected part 3 of 3, found no such file: download it into the folder of the \
                    first part";
    assert_eq!(error, format!("{}: {expected}", last.display()));
}

#[test]
fn a_part_that_is_not_the_first_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_parts(folder.path(), |index, part| {
        if index == 1 {
            part.keys.extend(Gguf::tiny().keys);
        }
    });
    for (index, case) in [(1, "a part with all keys"), (2, "a part with those of a split alone")] {
        let expected =
            format!("key split.no: expected 0, found {index}: open the first part instead");
        assert_refused(open_path(&part_path(folder.path(), index)), &expected, case);
    }
}

#[test]
fn a_first_part_needs_the_name_that_the_others_follow_from() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = write_parts(folder.path(), |_, _| {});
    let renamed = folder.path().join("renamed.gguf");
    fs::rename(&first, &renamed).expect("renamed");
    let expected = "expected a file name that ends in -00001-of-00003.gguf, found another name, \
                    from which those of the other parts do not follow";
    assert_refused(open_path(&renamed), expected, "renamed");
}

#[test]
fn a_count_of_parts_is_limited() {
    for count in [0, 257, 65535] {
        let gguf = Gguf::tiny().with("split.count", Value::U32(count));
        let expected = format!("key split.count: expected 1 to 256, found {count}");
        assert_refused(open_bytes(&gguf.bytes()), &expected, "split.count");
    }
}
