//! Files that a client has put in front of a message's text.
//!
//! Clients write them as docs/PROTOCOL.md says, "Files in a message":
//!
//! ````text
//! File: report.py
//! ```python               longer than any fence in the file
//! print(1)
//! ```
//!                         an empty line after each file
//! What does this print?   the text that the person has typed
//! ````
//!
//! Such a message is stored as it came, and the model reads it so. Titles and the excerpts of a
//! search ask here which part of it is which.

use std::ops::Range;

const HEADER: &str = "File: ";
/// Between two files, and between the last one and the text.
const GAP: &str = "\n\n";
const LEAST_TICKS: usize = 3;

/// The parts of a message, as byte ranges of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The files, in their order.
    pub files: Vec<AttachedFile>,
    /// The typed text: the whole message if it has no files.
    pub typed: Range<usize>,
}

/// A file in a message, as byte ranges of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedFile {
    /// Its name.
    pub name: Range<usize>,
    /// Its content.
    pub text: Range<usize>,
}

/// Finds the files in front of a message's text. Anything else that begins with `File:` is text.
pub fn parts(message: &str) -> Parts {
    let (mut files, mut start) = (Vec::new(), 0);
    while let Some((file, next)) = file_at(message, start) {
        files.push(file);
        start = next;
    }
    Parts { files, typed: start..message.len() }
}

/// The file that is written at `start`, and where the text after it begins.
fn file_at(message: &str, start: usize) -> Option<(AttachedFile, usize)> {
    let (name, rest) = message[start..].strip_prefix(HEADER)?.split_once('\n')?;
    let (opening, body) = rest.split_once('\n')?;
    let language = opening.trim_start_matches('`');
    let fence = &opening[..opening.len() - language.len()];
    let is_fence = fence.len() >= LEAST_TICKS && !language.contains('`');
    if name.trim().is_empty() || !is_fence {
        return None;
    }
    let (text, after) = body.split_once(&format!("\n{fence}"))?;
    let is_followed = after.strip_prefix(GAP).is_some_and(|text| !text.is_empty());
    if !after.is_empty() && !is_followed {
        return None;
    }
    let name_start = start + HEADER.len();
    let text_start = message.len() - body.len();
    let file = AttachedFile {
        name: name_start..name_start + name.len(),
        text: text_start..text_start + text.len(),
    };
    let gap = if is_followed { GAP.len() } else { 0 };
    Some((file, message.len() - after.len() + gap))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The names and texts of the files, and what was typed.
    type Read<'a> = (Vec<(&'a str, &'a str)>, &'a str);

    fn read(message: &str) -> Read<'_> {
        let Parts { files, typed } = parts(message);
        let file = |file: AttachedFile| (&message[file.name], &message[file.text]);
        (files.into_iter().map(file).collect(), &message[typed])
    }

    #[test]
    fn files_in_front_of_the_text_are_told_from_it() {
        struct Case(&'static str, &'static [(&'static str, &'static str)], &'static str);
        let cases = [
            Case("File: a.py\n```python\nprint(1)\n```\n\nWhy?", &[("a.py", "print(1)")], "Why?"),
            Case("File: a\n```\nx\n```", &[("a", "x")], ""),
            Case("File: a\n```\n\n```\n\nWhy?", &[("a", "")], "Why?"),
            Case(
                "File: a\n```\nx\n```\n\n\
                 File: 报告 (1).md\n`````markdown\n````\ny\n````\n`````\n\n为什么？\n\nWhy?",
                &[("a", "x"), ("报告 (1).md", "````\ny\n````")],
                "为什么？\n\nWhy?",
            ),
            Case("File: a\n````\n  ```\n\nb\n```\n````\n\nc", &[("a", "  ```\n\nb\n```")], "c"),
            // A text that itself begins like a file has an empty line before it.
            Case(
                "File: a\n```\nx\n```\n\n\nFile: b\n```\ny\n```",
                &[("a", "x")],
                "\nFile: b\n```\ny\n```",
            ),
        ];
        for Case(message, files, typed) in cases {
            assert_eq!(read(message), (files.to_vec(), typed), "{message}");
        }
    }

    #[test]
    fn what_only_resembles_a_file_is_text() {
        let cases = [
            "",
            "Hello",
            "File: a",
            "File: a\n",
            "File: a\n```",
            "File: a\n```\n",
            "File: a\n```\nx",
            "File: a\n``\nx\n``\n\ny",
            "File: \n```\nx\n```",
            "File: a\nx\n```\ny\n```",
            "File: a\n```a`b\nx\n```",
            "File: a\n```\nx\n````\n\ny",
            "File: a\n```\nx\n```\ny",
            "File: a\n```\nx\n```\n",
            "File: a\n```\nx\n```\n\n",
            "\nFile: a\n```\nx\n```",
            "file: a\n```\nx\n```",
            "文件: a\n```\nx\n```",
        ];
        for message in cases {
            assert_eq!(read(message), (vec![], message), "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_parts(message in "(File: |`{3,5}|\n|a|字| ){0,40}") {
            let (files, typed) = read(&message);
            let length = files.iter().map(|(name, text)| name.len() + text.len()).sum::<usize>();
            prop_assert!(message.ends_with(typed) && length + typed.len() <= message.len());
        }
    }
}
