//! Small files that options name.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// The bytes of a file that holds `what`, such as `a chat template`.
///
/// Errors: it is no file, cannot be read, or has more than `most` bytes. The message begins with
/// the path, and says what was expected and what was found.
pub fn read_bytes(path: &Path, what: &str, most: u64) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let fail = |found: String| format!("{shown}: expected a file with {what}, found: {found}");
    let file = open(path).map_err(&fail)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| fail(error.to_string()))?;
    if bytes.len() as u64 > most {
        return Err(format!("{shown}: expected at most {most} bytes, found more"));
    }
    Ok(bytes)
}

/// The text of a file that holds `what`; it may be empty.
///
/// Errors: as for [`read_bytes`], or it is not in UTF-8.
pub fn read_utf8(path: &Path, what: &str, most: u64) -> Result<String, String> {
    let shown = path.display();
    let text = String::from_utf8(read_bytes(path, what, most)?)
        .map_err(|error| format!("{shown}: expected a text in UTF-8, found {error}"))?;
    // Editors on Windows write a byte order mark.
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

/// The text of a file that holds `what`.
///
/// Errors: as for [`read_utf8`], or it has no words.
pub fn read_text(path: &Path, what: &str, most: u64) -> Result<String, String> {
    let text = read_utf8(path, what, most)?;
    if text.trim().is_empty() {
        return Err(format!("{}: expected {what}, found an empty file", path.display()));
    }
    Ok(text)
}

/// Whether everybody on this machine may read a file. False if it is not there.
pub fn is_readable_by_everybody(path: &Path) -> bool {
    const OTHERS_READ: u32 = 0o004;
    let mode = |metadata: Metadata| metadata.permissions().mode();
    std::fs::metadata(path).is_ok_and(|metadata| mode(metadata) & OTHERS_READ != 0)
}

/// Opens a file. A link to one is followed.
///
/// Errors: what is there instead. A pipe could keep a start waiting for ever, and a device may have
/// no end.
fn open(path: &Path) -> Result<File, String> {
    // Without this flag, opening a pipe waits until somebody writes into it.
    let no_wait = OFlags::NONBLOCK.bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(no_wait).open(path);
    let file = opened.map_err(|error| error.to_string())?;
    let kind = file.metadata().map_err(|error| error.to_string())?.file_type();
    match kind.is_file() {
        true => Ok(file),
        false => Err(named(kind).to_owned()),
    }
}

fn named(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a pipe; write it into a file first",
        _ => "a device",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn k2_only_a_file_is_read_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("good"), "\u{feff}words\r\n").expect("written");
        std::fs::write(path("bytes"), b"\xff\xfe").expect("written");
        std::fs::write(path("long"), vec![b'x'; 65]).expect("written");
        std::fs::write(path("empty"), " \n").expect("written");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), mode).expect("a pipe");
        for (link, target) in [("link", "good"), ("circle", "circle"), ("astray", "nothing")] {
            symlink(path(target), path(link)).expect("a link");
        }
        let read = |path: &Path| read_text(path, "some words", 64);
        for good in ["good", "link"] {
            assert_eq!(read(&path(good)).as_deref(), Ok("words\r\n"), "{good}");
        }
        let cases = [
            (path("pipe"), "found: a pipe; write it into a file first"),
            (folder.path().to_owned(), "found: a folder"),
            ("/dev/zero".into(), "found: a device"),
            ("/dev/null".into(), "found: a device"),
            (path("bytes"), "expected a text in UTF-8"),
            (path("long"), "expected at most 64 bytes"),
            (path("empty"), "expected some words, found an empty file"),
            (path("circle"), "found: Too many levels of symbolic links"),
            (path("astray"), "expected a file with some words, found: No such file"),
            (path("good/below"), "found: Not a directory"),
        ];
        for (path, expected) in cases {
            let error = read(&path).expect_err(expected);
            assert!(error.contains(expected), "{error}");
            assert!(error.starts_with(&format!("{}: ", path.display())), "{error}");
        }
    }
}
