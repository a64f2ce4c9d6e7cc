//! The bodies of the HTTP routes.

use banter_seam::Role;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// `GET /api/info`: what a page must know before the first message.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Info {
    /// Version of the server.
    pub version: Cow<'static, str>,
    /// The loaded model.
    pub model: ModelInfo,
    /// Prompt and answer together can have this many tokens, if that is known.
    pub context_tokens: Option<usize>,
    /// The limits of a client.
    pub limits: Limits,
    /// The values of parameters that a request leaves out.
    pub defaults: Defaults,
    /// The kind of the engine that somebody else runs and that computes for this server.
    pub engine: Option<Cow<'static, str>>,
    /// The parameters that a request may have. Others are refused.
    pub parameters: Vec<Cow<'static, str>>,
    /// Whether `POST /tokenize` can count tokens.
    pub counts_tokens: bool,
    /// Whether this server has models to choose from; see `GET /api/models`.
    pub has_models: bool,
    /// The command that starts a real model in the way in which this server was started.
    pub real_model_command: String,
    /// Nobody needs a key, although other machines may reach the server.
    pub insecure: bool,
    /// A name for the person who has signed in; each key has another. A browser that several people
    /// use keeps their conversations apart by it.
    pub owner: String,
}

/// The loaded model, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct ModelInfo {
    /// Its name.
    pub name: String,
    /// Whether it is the small demo model that comes with the binary.
    pub demo: bool,
    /// How many parameters it has, if that is known.
    pub parameters: Option<u64>,
    /// Its licence, if the file names one.
    pub licence: Option<String>,
    /// Memory taken by the weights, if that is known.
    pub weights_bytes: Option<u64>,
}

/// The limits that a page can respect in advance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Limits {
    /// The longest message, in bytes of JSON.
    pub message_bytes: usize,
}

/// The defaults of sampling. A missing value is the model's own, and not known here.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
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
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(untagged)]
pub enum TokenizeRequest {
    /// Asks for the token ids of a text.
    Text {
        /// The text. Control tokens in it are plain characters.
        text: String,
    },
    /// Asks how many tokens of the context a conversation takes.
    Conversation {
        /// The conversation.
        messages: Vec<HttpMessage>,
        /// How many tokens the answer may have; the default is that of the plain language.
        max_tokens: Option<usize>,
    },
}

/// The body of `POST /detokenize`.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(expecting = "an object {ids}")]
pub struct DetokenizeRequest {
    /// Token ids.
    pub ids: Vec<u32>,
}

/// The text that tokens spell.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct DetokenizedText {
    /// The text; control tokens as their literals, bytes that are no text as �.
    pub text: String,
}

/// What `POST /apply-template` answers: the prompt of a request.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct WrittenPrompt {
    /// What the model reads; control tokens as their literals.
    pub prompt: String,
    /// Its token ids.
    pub ids: Vec<u32>,
}

/// One message of a conversation in an HTTP body.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(expecting = "an object {role, content}")]
pub struct HttpMessage {
    /// Who said it.
    pub role: HttpRole,
    /// What was said.
    pub content: String,
}

/// The author of a message.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum HttpRole {
    /// The system message.
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
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct TokenizedText {
    /// How many ids there are.
    pub tokens: usize,
    /// The ids.
    pub ids: Vec<u32>,
}

/// The answer to a conversation in `POST /tokenize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct TokenizedConversation {
    /// Tokens of the prompt that would be computed.
    pub tokens: usize,
    /// Prompt and answer together can have this many.
    pub context_tokens: usize,
    /// How many of the oldest messages would be left out.
    pub dropped_messages: usize,
}

/// `POST /api/session`: a secret that is exchanged for a cookie.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum SessionRequest {
    /// A one-time code from a printed link.
    Code(String),
    /// The key itself.
    Key(String),
}

/// `POST /api/session/link`: a link that signs in one more device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct DeviceLink {
    /// The address, with a code that can be used once.
    pub link: String,
    /// How long the code is good, in seconds.
    pub seconds: u64,
    /// The link as a QR code.
    pub qr: QrImage,
}

/// A QR code as an SVG image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct QrImage {
    /// The image is so many units wide and high, its light margin included.
    pub width: usize,
    /// What is dark, as the `d` of a `path`.
    pub path: String,
}

/// `GET /api/models`: the models, and the latest pull and switch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct ModelList {
    /// The name of the model that answers, if it is one of these.
    pub current: Option<String>,
    /// Whether the client may pull and switch.
    pub may_change: bool,
    /// The models that are installed, partial, or available by a short name.
    pub models: Vec<ModelEntry>,
    /// The latest pull since the start.
    pub pull: Option<PullReport>,
    /// The latest switch since the start.
    pub switch: Option<SwitchReport>,
}

/// A model that is installed or could be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct ModelEntry {
    /// The name for pulling it and switching to it.
    pub name: String,
    /// How much of it is here.
    pub state: ModelState,
    /// The size of its files; an estimate while it is only available.
    pub bytes: u64,
    /// How many of these bytes are downloaded.
    pub downloaded_bytes: u64,
    /// Its licence, if one is stated.
    pub licence: Option<String>,
    /// Whether the licence has no conditions for people who only use the model.
    pub is_open: bool,
    /// The memory that it needs; an estimate while it is only available.
    pub memory_bytes: Option<u64>,
    /// Whether that much memory is free now, beside the model that answers.
    pub fits: Option<bool>,
    /// It is the small model that comes with the binary.
    pub demo: bool,
}

/// How much of a model is downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum ModelState {
    /// All of it.
    Installed,
    /// A part of it, from an interrupted pull.
    Partial,
    /// Nothing; it can be pulled.
    Available,
}

/// The state of a pull.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct PullReport {
    /// The name in the request.
    pub name: String,
    /// What it is doing.
    pub phase: PullPhase,
    /// Bytes that are downloaded.
    pub downloaded_bytes: u64,
    /// Bytes of all files; 0 while they are unknown.
    pub total_bytes: u64,
    /// Whether it is running, done or failed.
    pub state: JobState,
}

/// What a pull is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum PullPhase {
    /// It finds out the files, and whether the model can run here.
    Looking,
    /// It downloads.
    Fetching,
    /// It waits, because the hub has asked to or a connection has failed.
    Waiting,
    /// It computes checksums.
    Checking,
}

/// The state of a switch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct SwitchReport {
    /// The model that is to answer.
    pub name: String,
    /// How much of it is loaded, from 0 to 1.
    pub progress: f32,
    /// How it stands.
    pub state: JobState,
}

/// The state of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum JobState {
    /// It is running.
    Running,
    /// It is done.
    Done,
    /// It has failed.
    Failed {
        /// Why, for programs.
        code: JobFailure,
        /// The same for people.
        message: String,
    },
}

/// Why a job has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum JobFailure {
    /// The licence has terms of its own that nobody has accepted.
    Licence,
    /// The model does not fit in memory.
    TooLarge,
    /// An administrator has stopped it.
    Stopped,
    /// Something else; the message says what.
    Failed,
}

/// `POST /api/models/pull`.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct PullOrder {
    /// An alias, `hf:owner/repo[:file]` or `ms:owner/repo[:file]`.
    pub name: String,
    /// Whether a licence with terms of its own is accepted.
    #[serde(default)]
    pub accept_licence: bool,
    /// Whether to pull it although it does not fit in memory.
    #[serde(default)]
    pub even_if_too_large: bool,
}

/// `POST /api/models/switch`.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct SwitchOrder {
    /// The name of an installed model.
    pub name: String,
}

/// `GET /health` and `GET /ready`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Status {
    /// The process is alive.
    Alive,
    /// Answers can be made.
    Ready,
    /// The model is being loaded.
    Loading {
        /// From 0 to 1.
        progress: f32,
    },
    /// The engine has made no progress for a while.
    Stalled,
    /// The engine that somebody else runs cannot be reached, or says that it is not well.
    Unreachable {
        /// The reason. Only requests from this machine get it, because it may name addresses.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        reason: Option<String>,
    },
}

/// An HTTP error that is not about the content of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct HttpError {
    /// The code, for programs.
    pub code: Cow<'static, str>,
    /// The same for people.
    pub message: Cow<'static, str>,
}

impl HttpError {
    /// The JSON object `{"error": {"code", "message"}}`.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Envelope<'a> {
            error: &'a HttpError,
        }
        serde_json::to_string(&Envelope { error: self }).expect("strings always serialise")
    }
}
