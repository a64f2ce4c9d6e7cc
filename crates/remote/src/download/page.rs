//! Responses that are not the file: web pages, error documents, Git LFS pointers.

/// How many bytes of a file are checked.
pub(crate) const LOOKED_AT_BYTES: usize = 512;

/// What a file is by its first bytes, if it is not a file of a model.
pub(crate) fn stand_in(beginning: &[u8]) -> Option<&'static str> {
    let text = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning).trim_ascii_start();
    let starts = |word: &str| {
        let start = text.get(..word.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
    };
    if ["<!doctype html", "<html", "<head", "<body"].into_iter().any(starts) {
        Some("a web page")
    } else if starts("<?xml") || starts("<error>") {
        Some("an XML document")
    } else if starts("version https://git-lfs.github.com/spec/") {
        Some("a Git LFS pointer")
    } else {
        None
    }
}

/// Whether a file is a licence, which may be a web page.
pub(crate) fn is_licence(name: &str) -> bool {
    name.to_ascii_uppercase().starts_with("LICENSE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_pointers_are_no_files_of_models() {
        let cases: &[(&[u8], Option<&str>)] = &[
            (b"<!doctype html><html>", Some("a web page")),
            (b"\xef\xbb\xbf\r\n <!DOCTYPE HTML PUBLIC", Some("a web page")),
            (b"<HTML lang=\"en\">", Some("a web page")),
            (b"<?xml version=\"1.0\"?><Error>", Some("an XML document")),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:", Some("a Git LFS pointer")),
            (b"GGUF\x03\0\0\0", None),
            (b"{\"architectures\": []}", None),
            (b"{% for message in messages %}", None),
            (b"<", None),
            (b"", None),
        ];
        for (beginning, expected) in cases {
            assert_eq!(stand_in(beginning), *expected, "{}", String::from_utf8_lossy(beginning));
        }
    }
}
