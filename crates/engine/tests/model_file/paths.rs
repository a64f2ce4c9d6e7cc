//! Paths that are not model files (FAULTS M16).

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::builder::Gguf;
use super::{TempModel, assert_refused, open_path};

#[test]
fn what_is_not_a_file_is_refused_without_waiting_for_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fifo = folder.path().join("pipe.gguf");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
    let empty = folder.path().join("empty.gguf");
    File::create(&empty).expect("an empty file");
    let pipe = "expected a regular file, found a pipe, device or socket";
    let nothing = "expected a regular file, found an empty file (0 bytes): download it \
                   again";
    let no_config = "expected a folder with config.json, model.safetensors and tokenizer.json, \
                     found empty.gguf, a GGUF file: name that file instead of its folder";
    let cases = [
        (fifo.as_path(), pipe),
        (Path::new("/dev/zero"), pipe),
        (Path::new("/dev/null"), pipe),
        (Path::new("/proc/self/mem"), nothing),
        (empty.as_path(), nothing),
        (folder.path(), no_config),
        (
            &folder.path().join("missing.gguf"),
            "cannot open: No such file or directory (os error 2)",
        ),
    ];
    for (path, expected) in cases {
        assert_refused(open_path(path), expected, &path.display().to_string());
    }
}

#[test]
fn a_sparse_file_of_a_terabyte_is_refused_by_its_first_bytes() {
    let model = TempModel::new(&[]);
    let file = File::create(&model.path).expect("a file");
    file.set_len(1 << 40).expect("a sparse file");
    let expected = "expected a GGUF file, which starts with \"GGUF\", found zeros, as in a \
                    download that was not finished: download it again";
    assert_refused(model.open(), expected, "zeros");
}

#[test]
fn counts_a_sparse_file_has_bytes_for_are_still_limited() {
    let mut header = b"GGUF".to_vec();
    header.extend(3_u32.to_le_bytes());
    let counts = |tensors: u64, keys: u64| {
        let mut bytes = header.clone();
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(keys.to_le_bytes());
        bytes
    };
    let array = |element: u32, count: u64| {
        let mut bytes = counts(0, 1);
        super::builder::push_text(&mut bytes, "abc");
        bytes.extend(9_u32.to_le_bytes());
        bytes.extend(element.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes
    };
    let cases = [
        (counts(1 << 30, 0), "number of tensors: expected at most 16384, found 1073741824"),
        (counts(0, 1 << 30), "number of keys: expected at most 4096, found 1073741824"),
        (
            array(8, 1 << 30),
            "length of the array at key abc: expected at most 524288, found 1073741824",
        ),
        (
            array(10, 1 << 30),
            "metadata: expected at most 25165824 bytes, found value of key abc after them",
        ),
        (
            {
                let mut bytes = counts(0, 1);
                bytes.extend((1_u64 << 30).to_le_bytes());
                bytes
            },
            "name of key 0: expected a string of at most 4194304 bytes, found 1073741824 bytes",
        ),
    ];
    for (bytes, expected) in cases {
        let model = TempModel::new(&bytes);
        let file = fs::OpenOptions::new().write(true).open(&model.path).expect("the file");
        file.set_len(1 << 40).expect("a sparse file");
        assert_refused(model.open(), expected, expected);
    }
}

#[test]
fn a_link_to_a_model_is_a_model() {
    let model = TempModel::new(&Gguf::tiny().bytes());
    let link = model.folder().join("link.gguf");
    symlink(&model.path, &link).expect("a link");
    open_path(&link).expect("a model");
}

#[test]
fn files_that_are_something_else_say_what_to_do() {
    let header = b"\x40\x01\0\0\0\0\0\0{\"a\"";
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 500000\n";
    let cases: [(&[u8], &str); 8] = [
        (pointer, "a Git LFS pointer, not the file itself (500000 bytes): run `git lfs pull`"),
        (b"<!doctype html><html>", "a web page: download the file itself"),
        (b"\x1f\x8b\x08\0\0", "a packed file (gzip): unpack it first"),
        (b"\x80\x02}q", "a pickled checkpoint, which is never read because opening it runs code"),
        (b"tjgg\x03\0\0\0", "a file in a format before GGUF: take a GGUF file of the model"),
        (header, "a safetensors file: name its folder, {folder}, which has the other files"),
        (b"{\"model_type\": ", "a JSON file: name its folder, {folder}, which has the other files"),
        (b"Access denied", "text that begins with \"Access denied\": download it again"),
    ];
    for (bytes, expected) in cases {
        let model = TempModel::new(bytes);
        let expected = expected.replace("{folder}", &model.folder().display().to_string());
        let error = model.open().expect_err(&expected).to_string();
        assert!(error.contains(&format!("\"GGUF\", found {expected}")), "{error}");
    }
}
