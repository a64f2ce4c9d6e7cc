//! The file of `--chat-template`.

use std::path::Path;

use banter_engine::engine::ChatTemplate;

use crate::text_file;

/// Longest file; the longest known template has some 20,000 bytes.
const FILE_BYTES: u64 = 1 << 20;

/// Reads a chat template.
///
/// Errors: says what was expected of the file and what was found.
pub fn read(path: &Path) -> Result<ChatTemplate, String> {
    let shown = path.display();
    let text = text_file::read_text(path, "a chat template", FILE_BYTES)?;
    // Jinja begins with `{{`, `{%` or `{#`, which JSON never does.
    if serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).is_ok() {
        let advice = "write the text of its key chat_template into a file of its own";
        return Err(format!("{shown}: expected a chat template, found JSON; {advice}"));
    }
    Ok(ChatTemplate { name: shown.to_string(), source: text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_template_or_the_message_says_what_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("chat.jinja");
        let read_of = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("a file");
            read(&path)
        };
        let template = read_of("\u{feff}{{ messages[0].content }}".as_bytes()).expect("a template");
        assert_eq!(template.source, "{{ messages[0].content }}");
        assert_eq!(template.name, path.display().to_string());
        let cases: [(&[u8], &str); 5] = [
            (b"", "expected a chat template, found an empty file"),
            (b" \n", "expected a chat template, found an empty file"),
            (b"\xff\xfe{\0", "expected a text in UTF-8"),
            (b"{\"chat_template\": \"x\"}", "found JSON; write the text of its key chat_template"),
            (&[b'x'; (1 << 20) + 1], "expected at most 1048576 bytes"),
        ];
        for (bytes, expected) in cases {
            let error = read_of(bytes).expect_err(expected);
            assert!(error.contains(expected) && error.contains("chat.jinja"), "{error}");
        }
        let error = read(&folder.path().join("missing")).expect_err("nothing is there");
        assert!(error.contains("found: No such file"), "{error}");
        let error = read(folder.path()).expect_err("it is a folder");
        assert!(error.contains("found: a folder"), "{error}");
    }
}
