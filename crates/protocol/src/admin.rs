//! What administrators see: the bodies of the routes under `/api/admin`.

use crate::http::{ModelInfo, Status};
use serde::{Deserialize, Serialize};

/// `GET /api/admin`: what the server does now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct ServerView {
    /// Version of the server.
    pub version: String,
    /// For how long it runs, in seconds.
    pub running_for: u64,
    /// Whether it can answer.
    pub state: Status,
    /// The loaded model, if one is loaded.
    pub model: Option<ModelInfo>,
    /// The answers that wait or are written, the oldest first.
    pub answers: Vec<AnswerView>,
    /// What the backend counts, by the names of `GET /metrics`.
    pub figures: Vec<Figure>,
}

/// An answer that waits or is written, without its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct AnswerView {
    /// Its number in the log of the server.
    pub id: u64,
    /// The key that it was asked with, if that was made by command.
    pub key: Option<String>,
    /// Whether somebody waits for it. Titles of conversations are written when nobody does.
    pub is_waited_for: bool,
    /// Seconds since it was asked for.
    pub age: f64,
    /// What happens to it.
    pub doing: Doing,
    /// Tokens of its prompt, if they are known.
    pub prompt_tokens: Option<usize>,
    /// Tokens so far. Engines that others run do not tell them.
    pub tokens: Option<usize>,
    /// Bytes so far, with the thoughts before it.
    pub bytes: usize,
}

/// What happens to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum Doing {
    /// It waits for its turn.
    Waiting {
        /// How many requests are ahead of it, if that is known.
        ahead: Option<usize>,
    },
    /// Its prompt is computed.
    Reading {
        /// Prompt tokens computed so far.
        done: usize,
        /// Prompt tokens in all.
        total: usize,
    },
    /// Its words come.
    Writing,
    /// It was asked to halt.
    Stopping,
}

/// A number that the backend counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Figure {
    /// Its name in `GET /metrics`, without the `_total` of counters.
    pub name: String,
    /// What distinguishes it from others of its name.
    pub label: Option<String>,
    /// The value.
    pub value: f64,
}
