//! Bodies of the HTTP routes.

use crate::plain::Role;
use serde::{Deserialize, Serialize};

/// `GET /api/info`: what a page needs to know before the first message.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// Version of the server.
    pub version: &'static str,
    /// The loaded model.
    pub model: ModelInfo,
    /// Prompt and answer together can have this many tokens, if that is known.
    pub context_tokens: Option<usize>,
    /// What a client must not exceed.
    pub limits: Limits,
    /// Values used for parameters that a request leaves out.
    pub defaults: Defaults,
    /// The kind of engine that someone else runs behind this server.
    pub engine: Option<&'static str>,
    /// Parameters that a request may have; others are refused.
    pub parameters: Vec<&'static str>,
    /// Whether `POST /tokenize` can tell how much of a conversation fits.
    pub counts_tokens: bool,
    /// Whether this server has models to choose from: see `GET /api/models`.
    pub has_models: bool,
    /// The command that starts a real model, as this server was started.
    pub real_model_command: String,
    /// No key is asked for although the server may be reached from elsewhere.
    pub insecure: bool,
    /// Differs between people who sign in with different keys: a browser that several of them use
    /// keeps what each of them asked apart.
    pub owner: String,
}

/// The loaded model, for people.
#[derive(Clone, Debug, Serialize)]
pub struct ModelInfo {
    /// Its name.
    pub name: String,
    /// It is the small model that comes with the binary.
    pub demo: bool,
    /// How many parameters it has, if that is known.
    pub parameters: Option<u64>,
    /// Its licence, if the file names one.
    pub licence: Option<String>,
    /// Memory taken by the weights, if that is known.
    pub weights_bytes: Option<u64>,
}

/// Limits that a page can respect in advance.
#[derive(Clone, Debug, Serialize)]
pub struct Limits {
    /// The longest message, in bytes of JSON.
    pub message_bytes: usize,
}

/// Sampling defaults; what is missing is the model's own and not known here.
#[derive(Clone, Debug, Serialize)]
pub struct Defaults {
    /// Tokens of an answer.
    pub max_tokens: u32,
    /// Sampling temperature.
    pub temperature: Option<f32>,
    /// Nucleus size.
    pub top_p: Option<f32>,
    /// Repetition penalty; 1.0 is none.
    pub repetition_penalty: Option<f32>,
}

/// `POST /tokenize`: either a text or a conversation.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum TokenizeRequest {
    /// Ids of a text.
    Text {
        /// The text; control tokens in it are plain characters.
        text: String,
    },
    /// How much of the context a conversation takes.
    Conversation {
        /// The conversation.
        messages: Vec<HttpMessage>,
        /// Tokens the answer may have; missing as in the plain language.
        max_tokens: Option<usize>,
    },
}

/// One message of a conversation in an HTTP body.
#[derive(Debug, Deserialize)]
pub struct HttpMessage {
    /// Who said it.
    pub role: HttpRole,
    /// What was said.
    pub content: String,
}

/// [`Role`] in an HTTP body.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpRole {
    /// The rules of the conversation.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl From<HttpRole> for Role {
    fn from(role: HttpRole) -> Role {
        match role {
            HttpRole::System => Role::System,
            HttpRole::User => Role::User,
            HttpRole::Assistant => Role::Assistant,
        }
    }
}

/// The answer to a text in `POST /tokenize`.
#[derive(Debug, Serialize)]
pub struct TokenizedText {
    /// How many ids there are.
    pub tokens: usize,
    /// The ids.
    pub ids: Vec<u32>,
}

/// The answer to a conversation in `POST /tokenize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TokenizedConversation {
    /// Tokens of the prompt that would be computed.
    pub tokens: usize,
    /// Prompt and answer together can have this many.
    pub context_tokens: usize,
    /// How many of the oldest messages would be left out.
    pub dropped_messages: usize,
}

/// `POST /api/session`: something to exchange for a cookie.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionRequest {
    /// A one-time code from a printed link.
    Code(String),
    /// The key itself.
    Key(String),
}

/// `GET /api/models`: which models there are, and what is being done about them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelList {
    /// Name of the one that answers, if it is one of these.
    pub current: Option<String>,
    /// Whether the one who asks may pull and switch.
    pub may_change: bool,
    /// Models that are installed, partly downloaded, or known by a short name.
    pub models: Vec<ModelEntry>,
    /// The latest pull since the start.
    pub pull: Option<PullReport>,
    /// The latest switch since the start.
    pub switch: Option<SwitchReport>,
}

/// A model that is installed, or could be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelEntry {
    /// What it is pulled and switched to by.
    pub name: String,
    /// How much of it is here.
    pub state: ModelState,
    /// Its files, in bytes; an estimate while it is only available.
    pub bytes: u64,
    /// What of them is here.
    pub downloaded_bytes: u64,
    /// Its licence, if anyone stated one.
    pub licence: Option<String>,
    /// Whether that licence asks nothing of those who only use the model.
    pub is_open: bool,
    /// Memory it needs; an estimate while it is only available.
    pub memory_bytes: Option<u64>,
    /// Whether so much is free now, beside the model that answers.
    pub fits: Option<bool>,
    /// It is the small model that comes with the binary.
    pub demo: bool,
}

/// How much of a model is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelState {
    /// All of it.
    Installed,
    /// A part, from a pull that was interrupted.
    Partial,
    /// Nothing; it can be pulled.
    Available,
}

/// How a pull stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PullReport {
    /// What was asked for.
    pub name: String,
    /// What it is doing.
    pub phase: PullPhase,
    /// Bytes that are here.
    pub downloaded_bytes: u64,
    /// Bytes of all files; 0 while unknown.
    pub total_bytes: u64,
    /// How it stands.
    pub state: JobState,
}

/// What a pull is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PullPhase {
    /// It finds out what there is and whether it can be run here.
    Looking,
    /// Bytes come.
    Fetching,
    /// The hub has asked to wait, or a connection is to be tried again.
    Waiting,
    /// Checksums are computed.
    Checking,
}

/// How a switch stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SwitchReport {
    /// The model that is to answer.
    pub name: String,
    /// How much of it is loaded, from 0 to 1.
    pub progress: f32,
    /// How it stands.
    pub state: JobState,
}

/// How something stands that takes a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum JobState {
    /// It goes on.
    Running,
    /// It is done.
    Done,
    /// It has ended before it was done.
    Failed {
        /// The word that programs decide by: `licence`, `too_large`, `stopped` or `failed`.
        code: &'static str,
        /// The same for people.
        message: String,
    },
}

/// `POST /api/models/pull`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullOrder {
    /// An alias, `hf:owner/repo[:file]` or `ms:owner/repo[:file]`.
    pub name: String,
    /// A licence with terms of its own is accepted.
    #[serde(default)]
    pub accept_licence: bool,
    /// It is wanted although it does not fit in memory.
    #[serde(default)]
    pub even_if_too_large: bool,
}

/// `POST /api/models/switch`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchOrder {
    /// The name of a model that is here.
    pub name: String,
}

/// `GET /health` and `GET /ready`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Status {
    /// The process answers.
    Alive,
    /// Answers can be made.
    Ready,
    /// The model is being loaded.
    Loading {
        /// From 0 to 1.
        progress: f32,
    },
    /// The engine has not moved for a while.
    Stalled,
    /// The engine is elsewhere and cannot be reached, or says that it is not well.
    Unreachable {
        /// Why; told to requests from this machine only, as it may name addresses.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// An HTTP error that is not a fault of a request's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HttpError {
    /// The word that programs decide by.
    pub code: &'static str,
    /// The same for people.
    pub message: &'static str,
}

impl HttpError {
    /// The JSON object `{"error": {"code", "message"}}`.
    pub fn to_json(self) -> String {
        #[derive(Serialize)]
        struct Envelope {
            error: HttpError,
        }
        serde_json::to_string(&Envelope { error: self }).expect("strings always serialise")
    }
}
