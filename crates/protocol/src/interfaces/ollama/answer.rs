//! What `/api/chat` and `/api/generate` answer: an object, or one per line while it is written.

use super::super::openai::answer::TokenReport;
use banter_seam::{EndReason, Finished, Logprobs, ToolCall};
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::Duration;

/// A piece of an answer, or all of it.
#[derive(Clone, Debug, Serialize)]
pub struct Piece<'a> {
    /// The name of the model.
    pub model: &'a str,
    /// The time of the piece, as in RFC 3339.
    pub created_at: String,
    /// What is said.
    #[serde(flatten)]
    pub said: Said,
    /// How likely the model found the tokens of the piece, if the request wants to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<TokenLogprobs>,
    /// Whether the answer has ended.
    pub done: bool,
    /// How it ended.
    #[serde(flatten)]
    pub end: Option<End>,
}

/// What is said, in the words of one of the two routes.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Said {
    /// `/api/chat`
    Chat {
        /// The message, or a piece of it.
        message: MessageReport,
    },
    /// `/api/generate`
    Generate {
        /// The text, or a piece of it.
        response: String,
        /// What the model thought before it answered.
        #[serde(skip_serializing_if = "String::is_empty")]
        thinking: String,
    },
}

/// A message of the model, or a piece of it.
#[derive(Clone, Debug, Serialize)]
pub struct MessageReport {
    /// Always `assistant`.
    pub role: &'static str,
    /// The text.
    pub content: String,
    /// What the model thought before it answered.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub thinking: String,
    /// The functions that it calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<CallReport>,
}

/// A call of a function.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallReport {
    /// Its name, which no other call has.
    pub id: String,
    /// What is called.
    pub function: FunctionReport,
}

/// What a call calls.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FunctionReport {
    /// The place of the call among the calls of an answer.
    pub index: usize,
    /// The name of the function.
    pub name: String,
    /// The arguments.
    pub arguments: Map<String, Value>,
}

impl CallReport {
    /// A call at its place among the calls of an answer.
    ///
    /// Errors: its arguments, if they are no JSON object. The answer was cut off in them.
    pub fn of(call: ToolCall, index: usize) -> Result<CallReport, String> {
        match serde_json::from_str(&call.arguments) {
            Ok(arguments) => {
                let function = FunctionReport { index, name: call.name, arguments };
                Ok(CallReport { id: call.id, function })
            }
            Err(_) => Err(call.arguments),
        }
    }
}

/// How likely the model found a token, and the likeliest ones at its place.
#[derive(Clone, Debug, Serialize)]
pub struct TokenLogprobs {
    /// The token.
    #[serde(flatten)]
    pub token: TokenReport,
    /// The likeliest tokens at its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top_logprobs: Vec<TokenReport>,
}

impl From<Logprobs> for TokenLogprobs {
    fn from(Logprobs { chosen, top }: Logprobs) -> TokenLogprobs {
        let top_logprobs = top.into_iter().map(TokenReport::from).collect();
        TokenLogprobs { token: chosen.into(), top_logprobs }
    }
}

/// How an answer ended. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// Why: `stop`, `length` or `load`.
    pub done_reason: &'static str,
    /// From the request to the end.
    pub total_duration: u64,
    /// The model was loaded before.
    pub load_duration: u64,
    /// Tokens of the prompt.
    pub prompt_eval_count: usize,
    /// From the request to the first token.
    pub prompt_eval_duration: u64,
    /// Tokens of the answer.
    pub eval_count: usize,
    /// From the first token to the last.
    pub eval_duration: u64,
}

impl End {
    /// The end of an answer that took this long.
    pub fn of(reason: EndReason, finished: &Finished, took: Duration) -> End {
        let first_ms = finished.timings.first_token_ms.map_or(0.0, f64::from);
        let tokens = finished.usage.completion_tokens.unwrap_or(0);
        let after_first = tokens.saturating_sub(1) as f64;
        let seconds =
            finished.timings.tokens_per_second.map(|speed| after_first / f64::from(speed));
        End {
            done_reason: match reason {
                EndReason::Length => "length",
                _ => "stop",
            },
            total_duration: nanoseconds(took),
            load_duration: 0,
            prompt_eval_count: finished.usage.prompt_tokens.unwrap_or(0),
            // Casts of `f64` saturate.
            prompt_eval_duration: (first_ms * 1e6) as u64,
            eval_count: tokens,
            eval_duration: (seconds.unwrap_or(0.0) * 1e9) as u64,
        }
    }

    /// Nothing was asked: the model is loaded, and that is all.
    pub const LOADED: End = End {
        done_reason: "load",
        total_duration: 0,
        load_duration: 0,
        prompt_eval_count: 0,
        prompt_eval_duration: 0,
        eval_count: 0,
        eval_duration: 0,
    };
}

fn nanoseconds(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

/// An error, in the middle of a stream too.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorReport {
    /// For people.
    pub error: String,
}
