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
    /// The command that starts a real model, as this server was started.
    pub real_model_command: String,
    /// No key is asked for although the server may be reached from elsewhere.
    pub insecure: bool,
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
        messages: Vec<HttpTurn>,
        /// Tokens the answer may have; missing as in the plain language.
        max_tokens: Option<usize>,
    },
}

/// One message of a conversation in an HTTP body.
#[derive(Debug, Deserialize)]
pub struct HttpTurn {
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
        /// Why.
        reason: String,
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
