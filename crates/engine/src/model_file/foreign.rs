//! Files that are not what their name or place promises, told by how they begin.
//!
//! Most of them are downloads that brought something else: a pointer of Git LFS, a web page, the
//! words of an error.

use std::path::Path;

use crate::printable::printable;

/// How many bytes are looked at.
pub(super) const START_BYTES: u64 = 512;

/// What a file is, where its first bytes say so.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// What Git LFS leaves in place of a large file.
    LfsPointer {
        /// The size of the file itself, as the pointer spells it.
        bytes: Option<String>,
    },
    WebPage,
    /// What has to be unpacked, by the name of its format.
    Archive(&'static str),
    /// Python objects: opening them runs code.
    Pickle,
    Safetensors,
    Gguf,
    /// The formats that llama.cpp had before GGUF.
    OldGgml,
    Json,
    /// A download whose bytes were never written.
    Zeros,
    /// Text, by its first line.
    Text(String),
}

const ARCHIVES: [(&[u8], &str); 7] = [
    (b"PK\x03\x04", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "RAR"),
];
/// As they stand in a file: the letters of `ggml`, `ggmf`, `ggjt` and `ggla` backwards.
const OLD_GGML: [&[u8]; 4] = [b"lmgg", b"fmgg", b"tjgg", b"algg"];
const TAR_MARK: std::ops::Range<usize> = 257..262;

/// What a file that begins with `start` is, if that can be told.
pub(super) fn recognise(start: &[u8]) -> Option<Foreign> {
    if start.starts_with(b"GGUF") {
        return Some(Foreign::Gguf);
    }
    if let Some((_, name)) = ARCHIVES.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Some(Foreign::Archive(name));
    }
    if start.get(TAR_MARK) == Some(b"ustar") {
        return Some(Foreign::Archive("tar"));
    }
    if OLD_GGML.iter().any(|magic| start.starts_with(magic)) {
        return Some(Foreign::OldGgml);
    }
    if let [0x80, 2..=5, ..] = start {
        return Some(Foreign::Pickle);
    }
    // A header's length, of which the highest bytes are zero, and the header.
    if start.get(4..9) == Some(b"\0\0\0\0{") {
        return Some(Foreign::Safetensors);
    }
    if start.len() >= 16 && start.iter().all(|&byte| byte == 0) {
        return Some(Foreign::Zeros);
    }
    recognise_text(start)
}

fn recognise_text(start: &[u8]) -> Option<Foreign> {
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // A letter that was cut through by the end of `start`.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).expect("valid up to there")
        }
        Err(_) => return None,
    };
    let text = text.trim_start_matches('\u{feff}').trim();
    let is_text = !text.is_empty()
        && text.chars().all(|letter| !letter.is_control() || "\n\r\t".contains(letter));
    if !is_text {
        return None;
    }
    if text.starts_with("version https://git-lfs.") || text.starts_with("version https://hawser.") {
        let size = text.lines().find_map(|line| line.strip_prefix("size "));
        let is_number = |size: &&str| size.bytes().all(|byte| byte.is_ascii_digit());
        let bytes = size.filter(is_number).map(printable);
        return Some(Foreign::LfsPointer { bytes });
    }
    let lower = text.to_ascii_lowercase();
    let is_page = ["<!doctype html", "<html", "<head", "<?xml"];
    if is_page.iter().any(|begin| lower.starts_with(begin)) {
        return Some(Foreign::WebPage);
    }
    if text.starts_with(['{', '[']) {
        return Some(Foreign::Json);
    }
    Some(Foreign::Text(printable(text.lines().next().unwrap_or_default())))
}

impl Foreign {
    /// Whether no file of a model begins so, whatever it is for.
    pub fn is_never_right(&self) -> bool {
        matches!(self, Foreign::LfsPointer { .. } | Foreign::WebPage | Foreign::Archive(_))
    }

    /// What was found and what to do, for a file at `path` from which weights were to be read.
    pub fn found(&self, path: Option<&Path>) -> String {
        match self {
            Foreign::LfsPointer { bytes } => {
                let size = bytes.as_ref().map(|bytes| format!(" ({bytes} bytes)"));
                format!(
                    "a Git LFS pointer, not the file itself{}: run `git lfs pull` in its folder, \
                     or download it",
                    size.unwrap_or_default()
                )
            }
            Foreign::WebPage => "a web page: download the file itself, whose address has \
                                 /resolve/ where that of its page has /blob/"
                .to_string(),
            Foreign::Archive("ZIP") => "a ZIP archive, as checkpoints of PyTorch are too: unpack \
                                        it, or take a GGUF file or safetensors of the model"
                .to_string(),
            Foreign::Archive(name) => format!("a packed file ({name}): unpack it first"),
            Foreign::Pickle => "a pickled checkpoint, which is never read because opening it runs \
                                code: take a GGUF file or safetensors of the model"
                .to_string(),
            Foreign::Safetensors => name_folder("a safetensors file", path),
            Foreign::Json => name_folder("a JSON file", path),
            Foreign::Gguf => "a GGUF file: name it as the model by itself".to_string(),
            Foreign::OldGgml => {
                "a file in a format before GGUF: take a GGUF file of the model".to_string()
            }
            Foreign::Zeros => {
                "zeros, as in a download that was not finished: download it again".to_string()
            }
            Foreign::Text(line) => format!("text that begins with \"{line}\": download it again"),
        }
    }
}

/// What to do with one file of a folder.
fn name_folder(found: &str, path: Option<&Path>) -> String {
    let folder = path.and_then(Path::parent).map(|folder| match folder.as_os_str().is_empty() {
        true => ".".to_string(),
        false => folder.display().to_string(),
    });
    match folder {
        Some(folder) => format!("{found}: name its folder, {folder}, which has the other files"),
        None => format!("{found}: name its folder, which has the other files"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_how_they_begin() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 500000\n";
        let text = |line: &str| Some(Foreign::Text(line.to_string()));
        let mut tar = vec![b'a'; 300];
        tar[257..262].copy_from_slice(b"ustar");
        let cases: [(&[u8], Option<Foreign>); 21] = [
            (pointer, Some(Foreign::LfsPointer { bytes: Some("500000".to_string()) })),
            (&pointer[..60], Some(Foreign::LfsPointer { bytes: None })),
            (b"\n <!DOCTYPE html><html>", Some(Foreign::WebPage)),
            (b"<HTML lang=en>", Some(Foreign::WebPage)),
            (b"<?xml version=\"1.0\"?><Error>", Some(Foreign::WebPage)),
            (b"PK\x03\x04\0\0", Some(Foreign::Archive("ZIP"))),
            (b"\x1f\x8b\x08", Some(Foreign::Archive("gzip"))),
            (b"\xfd7zXZ\0\0", Some(Foreign::Archive("xz"))),
            (&tar, Some(Foreign::Archive("tar"))),
            (b"\x80\x02}q\0", Some(Foreign::Pickle)),
            (b"GGUF\x03", Some(Foreign::Gguf)),
            (b"tjgg\x03\0\0\0", Some(Foreign::OldGgml)),
            (b"\x40\x01\0\0\0\0\0\0{\"a\"", Some(Foreign::Safetensors)),
            (b"\xef\xbb\xbf{\"a\": 1}", Some(Foreign::Json)),
            (b"Entry not found", text("Entry not found")),
            ("模型".as_bytes(), text("模型")),
            (&"模型".as_bytes()[..5], text("模")),
            (&[0; 64], Some(Foreign::Zeros)),
            (b"", None),
            (b"\x01\x02\x03\x04", None),
            (b"\xff\xfe\xfd", None),
        ];
        for (start, expected) in cases {
            assert_eq!(recognise(start), expected, "{start:?}");
        }
    }
}
