//! ChatGPT's `conversations.json`.
//!
//! A list of conversations. Each has a `mapping` from ids to nodes with `message` (or null),
//! `parent` and `children`, and a `current_node`. A message has `author.role`, `create_time` in
//! seconds, and a `content` whose `content_type` says what else is in it: `text` and
//! `multimodal_text` have `parts`, `code` has `text`, `thoughts` has `thoughts`.

use serde_json::Value;

use super::tree::{self, Content, Node};
use super::value::{invalid, is_true, path_of, shortened, text, time_ms};
use super::{Import, ImportError, ImportedConversation, ImportedMessage};
use crate::message::{Role, TitleSource};

pub(super) fn conversation(
    path: &str,
    entry: &Value,
    import: &mut Import<'_>,
) -> Result<ImportedConversation, ImportError> {
    let path = format!("{path}.mapping");
    let mapping = entry.get("mapping").unwrap_or(&Value::Null);
    let Value::Object(mapping) = mapping else {
        return Err(invalid(&path, "an object", mapping));
    };
    let limit = import.limits.conversation_messages;
    if mapping.len() > limit {
        return Err(ImportError::TooMany { path, limit, found: mapping.len() });
    }
    let mut system = None;
    let mut nodes = Vec::with_capacity(mapping.len());
    for (key, node) in mapping {
        let message = node.get("message").unwrap_or(&Value::Null);
        let content = match text(message.get("author").unwrap_or(&Value::Null), "role") {
            "system" => {
                let words = parts(message, (&path, key), import);
                system = system.or((!words.is_empty()).then_some(words));
                Content::Nothing
            }
            "user" => user(message, (&path, key), import),
            "assistant" => assistant(message, (&path, key), import),
            "tool" => {
                let path = path_of(&path, key);
                import.leave_out(ImportError::NoText { path, what: "the result of a tool".into() });
                Content::Nothing
            }
            // The root has no message.
            _ => Content::Nothing,
        };
        let parent = node.get("parent").and_then(Value::as_str).map(str::to_owned);
        nodes.push(Node { key: key.clone(), parent, content });
    }
    let current = entry.get("current_node").and_then(Value::as_str);
    let built = tree::build(nodes, (&path, current), import)?;
    let title = text(entry, "title").to_owned();
    let has_title = !title.is_empty();
    Ok(ImportedConversation {
        title,
        title_source: if has_title { TitleSource::Model } else { TitleSource::None },
        system,
        pinned: is_true(entry, "is_starred"),
        archived: is_true(entry, "is_archived"),
        created_ms: time_ms(entry.get("create_time")),
        updated_ms: time_ms(entry.get("update_time")),
        messages: built.messages,
        leaf: built.leaf,
        ..ImportedConversation::default()
    })
}

fn user(message: &Value, (path, key): (&str, &str), import: &mut Import<'_>) -> Content {
    let metadata = message.get("metadata").unwrap_or(&Value::Null);
    let is_hidden = is_true(metadata, "is_visually_hidden_from_conversation");
    let words = parts(message, (path, key), import);
    if is_hidden || words.is_empty() {
        return Content::Nothing;
    }
    let mut taken = ImportedMessage::new(key, Role::User, words);
    taken.created_ms = time_ms(message.get("create_time"));
    Content::Message(Box::new(taken))
}

fn assistant(message: &Value, (path, key): (&str, &str), import: &mut Import<'_>) -> Content {
    let content = message.get("content").unwrap_or(&Value::Null);
    if text(content, "content_type") == "thoughts" {
        return Content::Thinking(thoughts(content));
    }
    // What the model has said to a tool is not said to the person.
    let recipient = message.get("recipient").and_then(Value::as_str).unwrap_or("all");
    let words = parts(message, (path, key), import);
    if recipient != "all" || words.is_empty() {
        return Content::Nothing;
    }
    let metadata = message.get("metadata").unwrap_or(&Value::Null);
    let mut taken = ImportedMessage::new(key, Role::Assistant, words);
    taken.model = Some(text(metadata, "model_slug").to_owned()).filter(|model| !model.is_empty());
    taken.created_ms = time_ms(message.get("create_time"));
    Content::Message(Box::new(taken))
}

fn thoughts(content: &Value) -> String {
    let thoughts = content.get("thoughts").and_then(Value::as_array);
    let texts = thoughts.into_iter().flatten().map(|thought| {
        let (summary, content) = (text(thought, "summary"), text(thought, "content"));
        let gap = if summary.is_empty() || content.is_empty() { "" } else { "\n" };
        [summary, gap, content].concat()
    });
    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// The text of a message. What is no text is left out.
fn parts(message: &Value, (path, key): (&str, &str), import: &mut Import<'_>) -> String {
    let content = message.get("content").unwrap_or(&Value::Null);
    if let Some(words) = content.as_str() {
        return words.to_owned();
    }
    match text(content, "content_type") {
        // The model's own notes, and what the person has told about themselves.
        "reasoning_recap" | "user_editable_context" | "model_editable_context" => {
            return String::new();
        }
        _ => {}
    }
    let mut texts: Vec<&str> = Vec::new();
    for (index, part) in
        content.get("parts").and_then(Value::as_array).into_iter().flatten().enumerate()
    {
        match part {
            Value::String(words) => texts.push(words),
            Value::Object(_) if !text(part, "text").is_empty() => texts.push(text(part, "text")),
            other => {
                let kind = text(other, "content_type");
                let what = if kind.is_empty() { "something without text" } else { kind };
                let path = format!("{}.message.content.parts[{index}]", path_of(path, key));
                import.leave_out(ImportError::NoText { path, what: shortened(what) });
            }
        }
    }
    if texts.is_empty() {
        texts.push(text(content, "text"));
    }
    texts.retain(|words| !words.is_empty());
    texts.join("\n\n")
}
