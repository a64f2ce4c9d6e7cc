//! banter's own format: everything, so that nothing is lost on the way to another banter.

use std::io::{self, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::slices::Json;
use super::tree::{self, Content, Node};
use super::value::reason;
use super::{Import, ImportError, ImportLimits, ImportedConversation, ImportedMessage};
use crate::message::{
    AnswerError, Message, Parameters, Reason, Role, State, Timings, TitleSource, Tree, Usage,
};
use crate::rows::to_json;

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
    // They are read one by one, and not with the conversation.
    #[serde(skip_deserializing)]
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

/// Reads the conversations of a file, one by one.
pub(super) fn import(whole: Json<'_>, import: &mut Import<'_>) -> Result<(), ImportError> {
    let (version, entries) = (whole.field("version"), whole.field("conversations"));
    match version.and_then(|version| version.text().parse::<u64>().ok()) {
        Some(1..=VERSION) => {}
        Some(found) if found > VERSION => {
            return Err(ImportError::NewerVersion { found, known: VERSION });
        }
        _ => return Err(unexpected("version", "a number from 1", version)),
    }
    let entries = list("conversations", entries)?;
    let (limit, found) = (import.limits.conversations, entries.entries().count());
    if found > limit {
        return Err(ImportError::TooMany { path: "conversations".into(), limit, found });
    }
    for (index, entry) in entries.entries().enumerate() {
        let taken = conversation(&format!("conversations[{index}]"), entry, import);
        import.add(taken);
    }
    Ok(())
}

/// Reads a conversation. Its messages become values one by one: the parameters of one could take a
/// hundred times the memory of their text.
fn conversation(
    path: &str,
    entry: Json<'_>,
    import: &mut Import<'_>,
) -> Result<ImportedConversation, ImportError> {
    let messages_path = format!("{path}.messages");
    let messages = list(&messages_path, entry.field("messages"))?;
    let (limit, found) = (import.limits.conversation_messages, messages.entries().count());
    if found > limit {
        return Err(ImportError::TooMany { path: messages_path, limit, found });
    }
    let about: ConversationEntry = read(entry, (path, "a conversation of banter"), import.limits)?;
    let mut nodes = Vec::with_capacity(found);
    for (index, message) in messages.entries().enumerate() {
        let path = format!("{messages_path}[{index}]");
        nodes.push(node(read(message, (&path, "a message of banter"), import.limits)?));
    }
    let built = tree::build(nodes, (&messages_path, about.leaf.as_deref()), import)?;
    Ok(ImportedConversation {
        title: about.title,
        title_source: about.title_source,
        system: about.system,
        parameters: to_json(about.parameters.as_ref()),
        pinned: about.pinned,
        archived: about.archived,
        created_ms: Some(about.created_ms),
        updated_ms: Some(about.updated_ms),
        messages: built.messages,
        leaf: built.leaf,
    })
}

/// Reads a conversation or a message.
fn read<T: DeserializeOwned>(
    entry: Json<'_>,
    (path, expected): (&str, &'static str),
    limits: &ImportLimits,
) -> Result<T, ImportError> {
    // Each of them, because serde reads the first before it refuses the second.
    for (_, parameters) in entry.fields().filter(|(key, _)| key == "parameters") {
        parameters.check_count((&format!("{path}.parameters"), limits.conversation_values))?;
    }
    serde_json::from_str(entry.text()).map_err(|error| ImportError::Invalid {
        path: path.into(),
        expected,
        found: format!("{}: {}", entry.describe(), reason(&error)),
    })
}

fn list<'a>(path: &str, found: Option<Json<'a>>) -> Result<Json<'a>, ImportError> {
    match found {
        Some(list) if list.is_list() => Ok(list),
        other => Err(unexpected(path, "a list", other)),
    }
}

fn unexpected(path: &str, expected: &'static str, found: Option<Json<'_>>) -> ImportError {
    let found = found.map_or("nothing".into(), Json::describe);
    ImportError::Invalid { path: path.into(), expected, found }
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
        parameters: to_json(entry.parameters.as_ref()),
        seed: entry.seed,
        reason: entry.reason,
        error: entry.error,
        usage: entry.usage,
        timings: entry.timings,
        created_ms: Some(entry.created_ms),
    };
    Node { key, parent: entry.parent, content: Content::Message(Box::new(message)) }
}
