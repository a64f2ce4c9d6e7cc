//! Conversations as files: the whole tree as JSON, which an import takes back, or the current
//! branch as Markdown. The server writes both.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use banter_protocol::conversations::ConversationTree;
use banter_protocol::v1::{Message, MessageId};

/// The form of an export that a file's name asks for.
///
/// Errors: the name has another ending.
pub fn format_of(path: &Path) -> anyhow::Result<&'static str> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("md") => Ok("markdown"),
        Some("json") => Ok("json"),
        _ => bail!("expected a name that ends in .md or .json"),
    }
}

/// Writes a file that does not exist yet, and which only its owner may read.
///
/// Errors: there is a file, or it cannot be written.
pub fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    opened?.write_all(text.as_bytes()).context("write")
}

/// The messages of the current branch, oldest first.
pub fn branch(tree: &ConversationTree) -> Vec<&Message> {
    let find = |id: MessageId| tree.messages.iter().find(|message| message.id == id);
    let mut branch = Vec::new();
    let mut next = tree.conversation.leaf;
    // A parent comes before its child. So the length is a limit, also for a tree that is none.
    while let Some(message) = next.and_then(find).filter(|_| branch.len() < tree.messages.len()) {
        next = message.parent;
        branch.push(message);
    }
    branch.reverse();
    branch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_never_written_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.md");
        write(&path, "text").expect("it is new");
        let error = write(&path, "other").expect_err("it is there").to_string();
        assert!(error.contains("exists"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "text");
    }

    #[test]
    fn the_ending_of_a_name_is_the_form() {
        for (name, form) in [("a.md", Some("markdown")), ("b.json", Some("json")), ("c.txt", None)]
        {
            assert_eq!(format_of(Path::new(name)).ok(), form, "{name}");
        }
    }
}
