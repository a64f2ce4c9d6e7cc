//! banter's own format: everything, so that nothing is lost on the way to another banter.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tree::{self, Content, Node};
use super::value::{describe, invalid};
use super::{ImportError, ImportLimits, Imported, ImportedConversation, ImportedMessage};
use crate::message::{
    AnswerError, Message, Parameters, Reason, Role, State, Timings, TitleSource, Tree, Usage,
};

/// The value of `format` in a file.
pub(super) const FORMAT: &str = "banter";

/// The version of the format. A file of a newer one is refused.
const VERSION: u64 = 1;

#[derive(Serialize, Deserialize)]
struct ConversationEntry {
    id: String,
    title: String,
    title_source: TitleSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parameters: Option<Parameters>,
    #[serde(default)]
    pinned: bool,
    #[serde(default)]
    archived: bool,
    created_ms: u64,
    updated_ms: u64,
    #[serde(default)]
    leaf: Option<String>,
    messages: Vec<MessageEntry>,
}

#[derive(Serialize, Deserialize)]
struct MessageEntry {
    id: String,
    #[serde(default)]
    parent: Option<String>,
    role: Role,
    state: State,
    text: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    thinking: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parameters: Option<Parameters>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<AnswerError>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timings: Option<Timings>,
    created_ms: u64,
}

/// Writes a file one conversation at a time, so that not all of them must be in memory.
pub struct JsonExport<W: Write> {
    writer: W,
    is_first: bool,
}

impl<W: Write> JsonExport<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// The writer fails.
    pub fn begin(mut writer: W, exported_ms: u64) -> io::Result<Self> {
        write!(
            writer,
            "{{\"format\":\"{FORMAT}\",\"version\":{VERSION},\"exported_ms\":{exported_ms},\
             \"conversations\":["
        )?;
        Ok(Self { writer, is_first: true })
    }

    /// Adds a conversation.
    ///
    /// # Errors
    /// The writer fails.
    pub fn add(&mut self, tree: &Tree) -> io::Result<()> {
        self.writer.write_all(if self.is_first { b"\n" } else { b",\n" })?;
        self.is_first = false;
        serde_json::to_writer(&mut self.writer, &conversation_entry(tree)).map_err(io::Error::from)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// The writer fails.
    pub fn finish(mut self) -> io::Result<W> {
        self.writer.write_all(b"\n]}\n")?;
        self.writer.flush()?;
        Ok(self.writer)
    }
}

/// Some conversations as one file.
pub fn export_json(trees: &[Tree], exported_ms: u64) -> String {
    let write = || {
        let mut export = JsonExport::begin(Vec::new(), exported_ms)?;
        trees.iter().try_for_each(|tree| export.add(tree))?;
        export.finish()
    };
    let bytes = write().expect("writing to memory does not fail");
    String::from_utf8(bytes).expect("JSON is text")
}

fn conversation_entry(tree: &Tree) -> ConversationEntry {
    let conversation = tree.conversation.clone();
    ConversationEntry {
        id: conversation.id.to_string(),
        title: conversation.title,
        title_source: conversation.title_source,
        system: conversation.system,
        parameters: conversation.parameters,
        pinned: conversation.pinned,
        archived: conversation.archived,
        created_ms: conversation.created_ms,
        updated_ms: conversation.updated_ms,
        leaf: conversation.leaf.map(|leaf| leaf.to_string()),
        messages: tree.messages.iter().cloned().map(message_entry).collect(),
    }
}

fn message_entry(message: Message) -> MessageEntry {
    MessageEntry {
        id: message.id.to_string(),
        parent: message.parent.map(|parent| parent.to_string()),
        role: message.role,
        state: message.state,
        text: message.text,
        thinking: message.thinking,
        tokens: message.tokens,
        model: message.model,
        parameters: message.parameters,
        seed: message.seed,
        reason: message.reason,
        error: message.error,
        usage: message.usage,
        timings: message.timings,
        created_ms: message.created_ms,
    }
}

pub(super) fn import(whole: &Value, limits: &ImportLimits) -> Result<Imported, ImportError> {
    let version = whole.get("version").unwrap_or(&Value::Null);
    match version.as_u64() {
        Some(1..=VERSION) => {}
        Some(found) if found > VERSION => {
            return Err(ImportError::NewerVersion { found, known: VERSION });
        }
        _ => return Err(invalid("version", "a number from 1", version)),
    }
    let entries = whole.get("conversations").unwrap_or(&Value::Null);
    let Value::Array(entries) = entries else {
        return Err(invalid("conversations", "a list", entries));
    };
    if entries.len() > limits.conversations {
        let (path, limit) = ("conversations".into(), limits.conversations);
        return Err(ImportError::TooMany { path, limit, found: entries.len() });
    }
    let mut imported = Imported::default();
    for (index, entry) in entries.iter().enumerate() {
        match conversation(entry, (&format!("conversations[{index}]"), limits)) {
            Ok(conversation) => imported.conversations.push(conversation),
            Err(error) => imported.leave_out(error),
        }
    }
    Ok(imported)
}

fn conversation(
    entry: &Value,
    (path, limits): (&str, &ImportLimits),
) -> Result<ImportedConversation, ImportError> {
    let found = entry.get("messages").and_then(Value::as_array).map_or(0, Vec::len);
    let limit = limits.conversation_messages;
    if found > limit {
        return Err(ImportError::TooMany { path: format!("{path}.messages"), limit, found });
    }
    let entry = ConversationEntry::deserialize(entry).map_err(|error| ImportError::Invalid {
        path: path.into(),
        expected: "a conversation of banter",
        found: format!("{}: {error}", describe(entry)),
    })?;
    let nodes = entry.messages.into_iter().map(node).collect();
    let messages = format!("{path}.messages");
    let built = tree::build(nodes, (&messages, entry.leaf.as_deref()))?;
    Ok(ImportedConversation {
        title: entry.title,
        title_source: entry.title_source,
        system: entry.system,
        parameters: entry.parameters,
        pinned: entry.pinned,
        archived: entry.archived,
        created_ms: Some(entry.created_ms),
        updated_ms: Some(entry.updated_ms),
        messages: built.messages,
        leaf: built.leaf,
    })
}

fn node(entry: MessageEntry) -> Node {
    let key = entry.id.clone();
    let message = ImportedMessage {
        id: entry.id,
        parent: None,
        role: entry.role,
        state: entry.state,
        text: entry.text,
        thinking: entry.thinking,
        tokens: entry.tokens,
        model: entry.model,
        parameters: entry.parameters,
        seed: entry.seed,
        reason: entry.reason,
        error: entry.error,
        usage: entry.usage,
        timings: entry.timings,
        created_ms: Some(entry.created_ms),
    };
    Node { key, parent: entry.parent, content: Content::Message(Box::new(message)) }
}
