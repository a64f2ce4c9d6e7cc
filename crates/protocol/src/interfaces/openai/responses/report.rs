//! The response.

use super::super::answer::ChosenToken;
use crate::interfaces::openai::error::ErrorReport;
use banter_seam::{EndReason, ToolCall, Usage};
use serde::Serialize;
use serde_json::{Map, Value};

/// A response.
#[derive(Clone, Debug, Serialize)]
pub struct Response {
    /// Its name, by which it can be asked for again.
    pub id: String,
    /// Always `response`.
    pub object: &'static str,
    /// When it was begun, in seconds since 1970.
    pub created_at: u64,
    /// When it ended, in seconds since 1970.
    pub completed_at: Option<u64>,
    /// How far it is.
    pub status: Status,
    /// Why it failed.
    pub error: Option<ResponseError>,
    /// Why it is incomplete.
    pub incomplete_details: Option<IncompleteDetails>,
    /// The name of the model.
    pub model: String,
    /// What the model has said.
    pub output: Vec<OutputItem>,
    /// Its tokens, when it has ended.
    pub usage: Option<UsageReport>,
    /// Whether it is made although nobody is connected.
    pub background: bool,
    /// What it repeats of the request.
    #[serde(flatten)]
    pub asked: Asked,
}

/// What a response repeats of its request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are those of the request")]
pub struct Asked {
    pub instructions: Option<String>,
    pub max_output_tokens: Option<u32>,
    pub metadata: Map<String, Value>,
    pub parallel_tool_calls: bool,
    pub previous_response_id: Option<String>,
    pub store: bool,
    pub temperature: Option<f32>,
    pub text: Value,
    pub tool_choice: Value,
    pub tools: Vec<Value>,
    pub top_logprobs: Option<u32>,
    pub top_p: Option<f32>,
    pub truncation: &'static str,
    pub user: Option<String>,
}

/// How far a response or an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It waits for its turn.
    Queued,
    /// It is being written.
    InProgress,
    /// It has ended.
    Completed,
    /// It was cut off.
    Incomplete,
    /// It has failed.
    Failed,
    /// Somebody has stopped it.
    Cancelled,
}

/// Why a response failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResponseError {
    /// For programs. The interface has no code for most of what can happen to a server of one's
    /// own.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl From<ErrorReport> for ResponseError {
    fn from(error: ErrorReport) -> ResponseError {
        ResponseError { code: "server_error", message: error.message }
    }
}

/// Why a response is incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct IncompleteDetails {
    /// `max_output_tokens` or `content_filter`.
    pub reason: &'static str,
}

/// An item of a response.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OutputItem {
    /// Text.
    Message {
        /// Its name.
        id: String,
        /// How far it is.
        status: Status,
        /// Always `assistant`.
        role: &'static str,
        /// One part when it has ended, none when it begins.
        content: Vec<Part>,
    },
    /// What the model thought before it answered.
    Reasoning {
        /// Its name.
        id: String,
        /// How far it is.
        status: Status,
        /// This server makes none.
        summary: [Part; 0],
        /// One part when it has ended, none when it begins.
        content: Vec<Part>,
    },
    /// A call of a function.
    FunctionCall {
        /// Its name.
        id: String,
        /// The name by which its result belongs to it.
        call_id: String,
        /// The name of the function.
        name: String,
        /// The arguments, as the model wrote them.
        arguments: String,
        /// How far it is.
        status: Status,
    },
}

/// A part of an item.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Text of the answer.
    OutputText {
        /// The text.
        text: String,
        /// This server makes none.
        annotations: [u8; 0],
        /// How likely the model found its tokens, if the request wants to know.
        logprobs: Vec<ChosenToken>,
    },
    /// What the model thought.
    ReasoningText {
        /// The text.
        text: String,
    },
}

impl Part {
    /// Text of the answer.
    pub fn text(text: String, logprobs: Vec<ChosenToken>) -> Part {
        Part::OutputText { text, annotations: [], logprobs }
    }
}

impl OutputItem {
    /// A message with these parts.
    pub fn message(id: String, status: Status, content: Vec<Part>) -> OutputItem {
        OutputItem::Message { id, status, role: "assistant", content }
    }

    /// Thoughts with these parts.
    pub fn reasoning(id: String, status: Status, content: Vec<Part>) -> OutputItem {
        OutputItem::Reasoning { id, status, summary: [], content }
    }

    /// A call.
    pub fn call(id: String, status: Status, call: ToolCall) -> OutputItem {
        let ToolCall { id: call_id, name, arguments } = call;
        OutputItem::FunctionCall { id, call_id, name, arguments, status }
    }
}

/// Tokens of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UsageReport {
    /// Tokens of the prompt.
    pub input_tokens: usize,
    /// More about them.
    pub input_tokens_details: InputTokens,
    /// Tokens of the answer.
    pub output_tokens: usize,
    /// More about them.
    pub output_tokens_details: OutputTokens,
    /// Both together.
    pub total_tokens: usize,
}

/// Tokens of a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InputTokens {
    /// Those that were found computed already.
    pub cached_tokens: usize,
    /// All are kept for later requests; none are paid for.
    pub cache_write_tokens: usize,
}

/// Tokens of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OutputTokens {
    /// Those of thoughts are not counted apart.
    pub reasoning_tokens: usize,
}

impl From<&Usage> for UsageReport {
    fn from(usage: &Usage) -> UsageReport {
        let input_tokens = usage.prompt_tokens.unwrap_or(0);
        let output_tokens = usage.completion_tokens.unwrap_or(0);
        UsageReport {
            input_tokens,
            input_tokens_details: InputTokens {
                cached_tokens: usage.cached_tokens.unwrap_or(0),
                cache_write_tokens: 0,
            },
            output_tokens,
            output_tokens_details: OutputTokens::default(),
            total_tokens: input_tokens + output_tokens,
        }
    }
}

impl Response {
    /// A response that begins.
    pub fn begun(id: String, created_at: u64, model: String, asked: Asked) -> Response {
        Response {
            id,
            object: "response",
            created_at,
            completed_at: None,
            status: Status::InProgress,
            error: None,
            incomplete_details: None,
            model,
            output: Vec::new(),
            usage: None,
            background: false,
            asked,
        }
    }

    /// The response has ended.
    pub fn end(&mut self, reason: EndReason, usage: &Usage, completed_at: u64) {
        let incomplete = |reason| (Status::Incomplete, Some(IncompleteDetails { reason }));
        (self.status, self.incomplete_details) = match reason {
            EndReason::Length => incomplete("max_output_tokens"),
            EndReason::Filtered => incomplete("content_filter"),
            EndReason::Stopped => (Status::Cancelled, None),
            EndReason::End | EndReason::StopString | EndReason::Unavailable => {
                (Status::Completed, None)
            }
        };
        self.usage = Some(UsageReport::from(usage));
        self.completed_at = Some(completed_at);
    }
}

/// What `DELETE /v1/responses/{id}` answers.
#[derive(Clone, Debug, Serialize)]
pub struct Deleted {
    /// The name of the response.
    pub id: String,
    /// Always `response`.
    pub object: &'static str,
    /// Always true.
    pub deleted: bool,
}
