//! Conversations as files: the whole tree as JSON, which an import takes back, or the current
//! branch as Markdown.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use banter_protocol::conversations::{ConversationTree, Export, ExportMark};
use banter_protocol::v1::{Message, MessageId, Role};

/// Writes a conversation to a file that does not exist yet, which only its owner may read.
///
/// Errors: the name has another ending, there is a file, or it cannot be written.
pub fn write(path: &Path, tree: ConversationTree) -> anyhow::Result<()> {
    let text = match path.extension().and_then(|ending| ending.to_str()) {
        Some("md") => markdown(&tree),
        Some("json") => json(tree)?,
        _ => bail!("expected a name that ends in .md or .json"),
    };
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    opened?.write_all(text.as_bytes()).context("write")
}

fn json(tree: ConversationTree) -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let export = Export {
        format: ExportMark::Conversations,
        version: 1,
        exported_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        conversations: vec![tree],
    };
    Ok(serde_json::to_string_pretty(&export)? + "\n")
}

fn markdown(tree: &ConversationTree) -> String {
    let conversation = &tree.conversation;
    let title = conversation.title.as_deref().unwrap_or("Conversation").replace('\n', " ");
    let mut text = format!("# {title}\n");
    if let Some(system) = &conversation.system {
        text.push_str(&format!("\n## System\n\n{}\n", system.trim_end()));
    }
    for message in branch(tree) {
        let who = match message.role {
            Role::User => "User",
            Role::Assistant => "Assistant",
        };
        text.push_str(&format!("\n## {who}\n\n{}\n", message.text.trim_end()));
    }
    text
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
    use serde_json::json;

    fn id(name: char) -> String {
        format!("{}a", name.to_string().repeat(25))
    }

    fn tree() -> ConversationTree {
        let message = |name, parent: Option<char>, role: &str, text: &str| {
            json!({
                "id": id(name), "parent": parent.map(id), "role": role, "text": text,
                "created_ms": 0,
            })
        };
        let tree = json!({
            "conversation": {
                "id": id('c'), "title": "A title", "created_ms": 1, "updated_ms": 2,
                "pinned": false, "archived": false, "system": "Be brief.", "parameters": {},
                "leaf": id('g'), "model": null, "messages": 4,
            },
            "messages": [
                message('d', None, "user", "hello"),
                message('e', Some('d'), "assistant", "old"),
                message('g', Some('d'), "assistant", "new\n"),
            ],
        });
        serde_json::from_value(tree).expect("a tree")
    }

    #[test]
    fn markdown_has_the_current_branch() {
        let expected =
            "# A title\n\n## System\n\nBe brief.\n\n## User\n\nhello\n\n## Assistant\n\nnew\n";
        assert_eq!(markdown(&tree()), expected);
    }

    #[test]
    fn json_has_every_branch_and_is_an_export() {
        let export: Export = serde_json::from_str(&json(tree()).expect("JSON")).expect("an export");
        assert_eq!(export.conversations, [tree()]);
    }

    #[test]
    fn a_file_is_never_written_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.md");
        write(&path, tree()).expect("it is new");
        let error = write(&path, tree()).expect_err("it is there").to_string();
        assert!(error.contains("exists"), "{error}");
        let error = write(&folder.path().join("a.txt"), tree()).expect_err("not known").to_string();
        assert!(error.contains(".md or .json"), "{error}");
    }
}
