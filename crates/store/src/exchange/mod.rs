//! Conversations as files: those of banter, and those of other programs.
//!
//! Pure functions without SQL. A file of another program becomes [`Imported`] conversations, which
//! [`Store::import_conversation`](crate::Store::import_conversation) stores.
//!
//! - [`export_json`], [`JsonExport`]: everything, for another banter.
//! - [`export_markdown`]: the current branch, for people.
//! - [`import`]: banter's JSON, ChatGPT's `conversations.json`, Open WebUI's export.
//!
//! Files are hostile: whatever is in one, reading it ends with conversations or with an error that
//! names the place. A new format: its own file beside `chatgpt.rs`, a line in `import`.

mod chatgpt;
mod json;
mod markdown;
mod open_webui;
mod slices;
mod store;
mod tree;
mod value;

use slices::Json;

use crate::message::{AnswerError, Reason, Role, State, Timings, TitleSource, Usage};

pub use json::{JsonExport, export_json};
pub use markdown::export_markdown;

/// The formats that are known, for people.
pub const KNOWN_FORMATS: &str = "an export of banter, ChatGPT (conversations.json) or Open WebUI";

/// Errors that are kept of one file; more are only counted.
const KEPT_ERRORS: usize = 100;

/// What was read from a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// The conversations that could be read.
    pub conversations: Vec<ImportedConversation>,
    /// What was left out, and why: the first 100.
    pub left_out: Vec<ImportError>,
    /// How many conversations and messages were left out.
    pub left_out_count: usize,
}

/// A conversation from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedConversation {
    /// Its title; empty if it has none.
    pub title: String,
    /// Where the title comes from.
    pub title_source: TitleSource,
    /// Its system prompt.
    pub system: Option<String>,
    /// Its parameters: an object of JSON, as text because a map takes much more memory.
    pub parameters: Option<String>,
    /// Whether it is pinned.
    pub pinned: bool,
    /// Whether it is archived.
    pub archived: bool,
    /// When it was made, if the file says it.
    pub created_ms: Option<u64>,
    /// When it was last changed, if the file says it.
    pub updated_ms: Option<u64>,
    /// Its messages, each after its parent.
    pub messages: Vec<ImportedMessage>,
    /// The last message of the current branch, as an index.
    pub leaf: Option<usize>,
}

impl Default for ImportedConversation {
    fn default() -> Self {
        Self {
            title: String::new(),
            title_source: TitleSource::None,
            system: None,
            parameters: None,
            pinned: false,
            archived: false,
            created_ms: None,
            updated_ms: None,
            messages: Vec::new(),
            leaf: None,
        }
    }
}

/// A message from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedMessage {
    /// Its id in the file. It gets a new one when it is stored.
    pub id: String,
    /// The message before it, as an index.
    pub parent: Option<usize>,
    /// Who wrote it.
    pub role: Role,
    /// Its state.
    pub state: State,
    /// Its text.
    pub text: String,
    /// What the model thought before it.
    pub thinking: String,
    /// The tokens that made the text, if they are known.
    pub tokens: Vec<u32>,
    /// The model that wrote it.
    pub model: Option<String>,
    /// The parameters of the request for it, as the conversation's.
    pub parameters: Option<String>,
    /// The seed with which it was sampled.
    pub seed: Option<u64>,
    /// Why it ended.
    pub reason: Option<Reason>,
    /// How it failed.
    pub error: Option<AnswerError>,
    /// Its tokens.
    pub usage: Option<Usage>,
    /// Its times.
    pub timings: Option<Timings>,
    /// When it was written, if the file says it.
    pub created_ms: Option<u64>,
}

impl ImportedMessage {
    /// A message without anything but a text.
    pub(crate) fn new(id: &str, role: Role, text: String) -> Self {
        Self {
            id: id.to_owned(),
            parent: None,
            role,
            state: State::Complete,
            text,
            thinking: String::new(),
            tokens: Vec::new(),
            model: None,
            parameters: None,
            seed: None,
            reason: None,
            error: None,
            usage: None,
            timings: None,
            created_ms: None,
        }
    }
}

/// Why a file, or something in it, can't be read. Paths are like `[3].mapping.abc.parent`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The file is larger than it may be.
    #[error("the file is too large: at most {limit} bytes, found {found}")]
    TooLarge {
        /// The limit.
        limit: usize,
        /// Its size.
        found: usize,
    },
    /// The file is not JSON, or nested too deeply.
    #[error("the file is not JSON: {reason}")]
    NotJson {
        /// What is wrong, and where.
        reason: String,
    },
    /// The file is JSON, but of no known format.
    #[error("expected {KNOWN_FORMATS}, found {found}")]
    UnknownFormat {
        /// What it is instead.
        found: String,
    },
    /// A newer banter has written the file.
    #[error("the file has version {found} of banter's format, and this banter knows up to {known}")]
    NewerVersion {
        /// Its version.
        found: u64,
        /// The newest version that is known.
        known: u64,
    },
    /// A value is not what it must be.
    #[error("{path}: expected {expected}, found {found}")]
    Invalid {
        /// Where.
        path: String,
        /// What it must be.
        expected: &'static str,
        /// What it is, shortened.
        found: String,
    },
    /// Two messages have the same id.
    #[error("{path}: another message has the same id")]
    DuplicateId {
        /// Where the second is.
        path: String,
    },
    /// A message comes after one that is not there.
    #[error("{path}: the message before it is missing")]
    MissingParent {
        /// Where the message is.
        path: String,
    },
    /// Messages come after each other in a circle.
    #[error("{path}: it comes after itself")]
    Cycle {
        /// Where one of the messages is.
        path: String,
    },
    /// A conversation has more messages than it may have, or a file too many conversations.
    #[error("{path}: at most {limit} are allowed, found {found}")]
    TooMany {
        /// Where.
        path: String,
        /// The limit.
        limit: usize,
        /// How many there are.
        found: usize,
    },
    /// A conversation is made of more values of JSON than it may be.
    #[error("{path}: at most {limit} values are allowed, found {found}")]
    TooManyValues {
        /// Where.
        path: String,
        /// The limit.
        limit: usize,
        /// How many there are.
        found: usize,
    },
    /// A text is longer than it may be.
    #[error("{path}: at most {limit} bytes are allowed, found {found}")]
    TooLong {
        /// Where.
        path: String,
        /// The limit.
        limit: usize,
        /// Its length.
        found: usize,
    },
    /// Too many answers share what the model thought before them.
    #[error("{path}: at most {limit} bytes of shared thinking are allowed in a file, found more")]
    TooManyCopies {
        /// Where.
        path: String,
        /// The limit.
        limit: usize,
    },
    /// A conversation is JSON that has no meaning: it is nested too deeply, a number is out of
    /// range, or half of a character is missing.
    #[error("{path}: {reason}")]
    Unreadable {
        /// Where.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Something that has no text, such as an image.
    #[error("{path}: {what} can't be taken")]
    NoText {
        /// Where.
        path: String,
        /// What it is.
        what: String,
    },
}

/// How large a file may be, and what is in it.
///
/// A file takes at most about ten times its size in memory when it has been read, and while it is
/// read the values of one conversation come on top of that.
#[derive(Clone, Copy, Debug)]
pub struct ImportLimits {
    /// Bytes of the file. A larger one is refused.
    pub file_bytes: usize,
    /// Conversations of the file. A file with more is refused.
    pub conversations: usize,
    /// Messages of a conversation, also those that are left out. One with more is left out.
    pub conversation_messages: usize,
    /// Values of JSON, and keys, that a conversation of another program is made of, or parameters
    /// of banter. Each takes up to 300 bytes in memory. A conversation with more is left out.
    pub conversation_values: usize,
    /// Bytes of what a model thought before an answer. It is copied for each answer that comes
    /// after it, and the copies of a file together may have this many bytes as well. A conversation
    /// with more is left out.
    pub answer_bytes: usize,
}

impl Default for ImportLimits {
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            conversations: 10_000,
            conversation_messages: 10_000,
            conversation_values: 1_000_000,
            answer_bytes: 4 << 20,
        }
    }
}

/// Reads a file of any known format.
///
/// A conversation that can't be read is left out, and the others are taken; so are messages of the
/// system and of tools, and what has no text.
///
/// # Errors
/// The file as a whole can't be read.
pub fn import(file: &[u8], limits: &ImportLimits) -> Result<Imported, ImportError> {
    if file.len() > limits.file_bytes {
        return Err(ImportError::TooLarge { limit: limits.file_bytes, found: file.len() });
    }
    // Some programs begin files with a byte order mark.
    let file = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file);
    let text = std::str::from_utf8(file)
        .map_err(|error| ImportError::NotJson { reason: error.to_string() })?;
    let whole = Json::check(text)?;
    let mut import = Import { limits, imported: Imported::default(), copied_bytes: 0 };
    let is_banters =
        |format: Json<'_>| format.values(("format", 1)).is_ok_and(|is| is == json::FORMAT);
    if whole.field("format").is_some_and(is_banters) {
        json::import(whole, &mut import)?;
    } else {
        import_foreign(whole, &mut import)?;
    }
    Ok(import.imported)
}

/// Reads a file of another program: a list of conversations, or a single one.
fn import_foreign(whole: Json<'_>, import: &mut Import<'_>) -> Result<(), ImportError> {
    let (limit, found) = (import.limits.conversations, conversations(whole).count());
    if found > limit {
        return Err(ImportError::TooMany { path: "the file's conversations".into(), limit, found });
    }
    let read = match program(whole) {
        Some(Program::ChatGpt) => chatgpt::conversation,
        Some(Program::OpenWebUi) => open_webui::conversation,
        None => return Err(ImportError::UnknownFormat { found: whole.describe() }),
    };
    for (index, entry) in conversations(whole).enumerate() {
        let path = format!("[{index}]");
        let values = entry.values((&path, import.limits.conversation_values));
        let conversation = values.and_then(|values| read(&path, &values, import));
        import.add(conversation);
    }
    Ok(())
}

fn conversations(whole: Json<'_>) -> impl Iterator<Item = Json<'_>> {
    let single = (!whole.is_list()).then_some(whole);
    whole.entries().chain(single)
}

/// The programs whose files are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    ChatGpt,
    OpenWebUi,
}

/// The program that has written a file: any of its conversations shows it.
fn program(whole: Json<'_>) -> Option<Program> {
    let mut program = None;
    for (key, _) in conversations(whole).flat_map(Json::fields) {
        match &*key {
            "mapping" => return Some(Program::ChatGpt),
            "chat" | "history" => program = Some(Program::OpenWebUi),
            _ => {}
        }
    }
    program
}

/// An import while it goes on.
struct Import<'a> {
    limits: &'a ImportLimits,
    imported: Imported,
    /// Bytes of what models thought that the file's messages have more than once.
    copied_bytes: usize,
}

impl Import<'_> {
    /// Adds a conversation, or what is wrong with it.
    fn add(&mut self, conversation: Result<ImportedConversation, ImportError>) {
        match conversation {
            Ok(conversation) => self.imported.conversations.push(conversation),
            Err(error) => self.leave_out(error),
        }
    }

    fn leave_out(&mut self, error: ImportError) {
        self.imported.left_out_count += 1;
        if self.imported.left_out.len() < KEPT_ERRORS {
            self.imported.left_out.push(error);
        }
    }
}
