//! Open WebUI's export.
//!
//! A list of entries with `chat`, `title`, `created_at`, `updated_at`, `archived` and `pinned`; or
//! one such entry; or the value of `chat` alone. A chat has `history.messages`, a map from ids to
//! messages with `parentId` and `childrenIds`, and `history.currentId`. Older ones have `messages`,
//! a list.

use serde_json::Value;

use super::tree::{self, Content, Node};
use super::value::{invalid, is_true, path_of, text, time_ms};
use super::{Import, ImportError, ImportedConversation, ImportedMessage};
use crate::message::{Role, TitleSource};

pub(super) fn conversation(
    path: &str,
    entry: &Value,
    import: &mut Import<'_>,
) -> Result<ImportedConversation, ImportError> {
    let (chat, path) = match entry.get("chat") {
        Some(chat) => (chat, format!("{path}.chat")),
        None => (entry, path.to_owned()),
    };
    if !chat.is_object() {
        return Err(invalid(&path, "an object", chat));
    }
    let mut system = None;
    let nodes = nodes(chat, &path, (&mut system, &mut *import))?;
    let current = chat.get("history").and_then(|history| history.get("currentId"));
    let built = tree::build(nodes, (&path, current.and_then(Value::as_str)), import)?;
    let params = chat.get("params").unwrap_or(&Value::Null);
    let chosen = [text(params, "system"), text(chat, "system")];
    let chosen = chosen.into_iter().find(|system| !system.is_empty()).map(str::to_owned);
    let title = [text(entry, "title"), text(chat, "title")];
    let title = title.into_iter().find(|title| !title.is_empty()).unwrap_or_default().to_owned();
    let has_title = !title.is_empty();
    Ok(ImportedConversation {
        title,
        title_source: if has_title { TitleSource::Model } else { TitleSource::None },
        system: chosen.or(system),
        pinned: is_true(entry, "pinned"),
        archived: is_true(entry, "archived"),
        created_ms: time_ms(entry.get("created_at")).or(time_ms(chat.get("timestamp"))),
        updated_ms: time_ms(entry.get("updated_at")),
        messages: built.messages,
        leaf: built.leaf,
        ..ImportedConversation::default()
    })
}

fn nodes(
    chat: &Value,
    path: &str,
    (system, import): (&mut Option<String>, &mut Import<'_>),
) -> Result<Vec<Node>, ImportError> {
    let history = chat.get("history").and_then(|history| history.get("messages"));
    let listed = history.filter(|messages| !is_empty(messages)).or(chat.get("messages"));
    let messages: Vec<(String, &Value)> = match listed {
        Some(Value::Object(map)) => {
            map.iter().map(|(key, message)| (key.clone(), message)).collect()
        }
        Some(Value::Array(list)) => list.iter().enumerate().map(keyed).collect(),
        None | Some(Value::Null) => Vec::new(),
        Some(other) => return Err(invalid(&format!("{path}.messages"), "a list", other)),
    };
    let limit = import.limits.conversation_messages;
    if messages.len() > limit {
        let path = format!("{path}.messages");
        return Err(ImportError::TooMany { path, limit, found: messages.len() });
    }
    // Messages of old lists don't say what is before them: it is the one before.
    let names_parents = messages.iter().any(|(_, message)| message.get("parentId").is_some());
    let mut nodes: Vec<Node> = Vec::with_capacity(messages.len());
    for (key, message) in messages {
        let parent = match names_parents {
            true => message.get("parentId").and_then(Value::as_str).map(str::to_owned),
            false => nodes.last().map(|before| before.key.clone()),
        };
        let content = content(message, (path, &key), (&mut *system, &mut *import));
        nodes.push(Node { key, parent, content });
    }
    Ok(nodes)
}

fn is_empty(messages: &Value) -> bool {
    match messages {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        other => other.is_null(),
    }
}

fn keyed((index, message): (usize, &Value)) -> (String, &Value) {
    match text(message, "id") {
        "" => (index.to_string(), message),
        id => (id.to_owned(), message),
    }
}

fn content(
    message: &Value,
    (path, key): (&str, &str),
    (system, import): (&mut Option<String>, &mut Import<'_>),
) -> Content {
    let path = path_of(path, key);
    let words = words(message, &path, import);
    let role = match text(message, "role") {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => {
            if system.is_none() && !words.is_empty() {
                *system = Some(words);
            }
            return Content::Nothing;
        }
        _ => {
            import
                .leave_out(ImportError::NoText { path, what: "a message of another role".into() });
            return Content::Nothing;
        }
    };
    if words.is_empty() {
        return Content::Nothing;
    }
    let mut taken = ImportedMessage::new(key, role, words);
    if role == Role::Assistant {
        let model = [text(message, "model"), text(message, "modelName")];
        taken.model = model.into_iter().find(|model| !model.is_empty()).map(str::to_owned);
        taken.thinking = text(message, "reasoning_content").to_owned();
    }
    taken.created_ms = time_ms(message.get("timestamp"));
    Content::Message(Box::new(taken))
}

fn words(message: &Value, path: &str, import: &mut Import<'_>) -> String {
    if message.get("files").and_then(Value::as_array).is_some_and(|files| !files.is_empty()) {
        let what = "an attached file".into();
        import.leave_out(ImportError::NoText { path: format!("{path}.files"), what });
    }
    match message.get("content") {
        Some(Value::String(words)) => words.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().map(|part| part.as_str().unwrap_or(text(part, "text")));
            texts.filter(|words| !words.is_empty()).collect::<Vec<_>>().join("\n\n")
        }
        _ => String::new(),
    }
}
