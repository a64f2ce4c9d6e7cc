//! Small files that options name.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The bytes of a file that holds `what`, such as `a chat template`.
///
/// Errors: it cannot be read, or has more than `most` bytes; the message says so.
pub fn read_bytes(path: &Path, what: &str, most: u64) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let cannot = |error| format!("expected the path of a file with {what}: {shown}: {error}");
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > most {
        return Err(format!("{shown}: expected at most {most} bytes, found more"));
    }
    Ok(bytes)
}

/// The text of a file that holds `what`.
///
/// Errors: as for [`read_bytes`]; or it is not in UTF-8, or has no words.
pub fn read_text(path: &Path, what: &str, most: u64) -> Result<String, String> {
    let shown = path.display();
    let text = String::from_utf8(read_bytes(path, what, most)?)
        .map_err(|error| format!("{shown}: expected a text in UTF-8, found {error}"))?;
    // Editors on Windows write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if text.trim().is_empty() {
        return Err(format!("{shown}: expected {what}, found an empty file"));
    }
    Ok(text.to_owned())
}
