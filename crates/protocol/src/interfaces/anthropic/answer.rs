//! What `/v1/messages` answers: a message as a whole, or the events of a stream.

use super::error::ErrorReport;
use banter_seam::{EndReason, ToolCall, Usage};
use serde::Serialize;
use serde_json::{Map, Value};

/// A message of the model.
#[derive(Clone, Debug, Serialize)]
pub struct MessageReport<'a> {
    /// Its name, which no other message has.
    pub id: &'a str,
    /// Always `message`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Always `assistant`.
    pub role: &'static str,
    /// The name of the model.
    pub model: &'a str,
    /// Its blocks. At the beginning of a stream, none.
    pub content: Vec<BlockReport>,
    /// How it ended, if it has.
    #[serde(flatten)]
    pub end: EndReport,
    /// Its tokens so far.
    pub usage: UsageReport,
}

/// A block of a message; at its beginning in a stream, without content.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BlockReport {
    /// Text of the answer.
    Text {
        /// The text.
        text: String,
    },
    /// What the model thought before it answered.
    Thinking {
        /// The text.
        thinking: String,
        /// This server does not sign thoughts.
        signature: &'static str,
    },
    /// A call of a function.
    ToolUse {
        /// Its name, which no other call has.
        id: String,
        /// The name of the function.
        name: String,
        /// The arguments.
        input: Map<String, Value>,
    },
}

impl From<ToolCall> for BlockReport {
    /// A call. If its arguments are no JSON object, because the answer was cut off in them, what
    /// there is of them is text.
    fn from(ToolCall { id, name, arguments }: ToolCall) -> BlockReport {
        match serde_json::from_str(&arguments) {
            Ok(input) => BlockReport::ToolUse { id, name, input },
            Err(_) => BlockReport::Text { text: arguments },
        }
    }
}

/// How a message ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EndReport {
    /// Why.
    pub stop_reason: Option<StopReason>,
    /// The stop string that it would have contained.
    pub stop_sequence: Option<String>,
}

/// Why a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model has ended it, or it was stopped.
    EndTurn,
    /// It is as long as it may be.
    MaxTokens,
    /// It would have contained a stop string.
    StopSequence,
    /// It calls functions.
    ToolUse,
    /// A content filter of the engine cut it off.
    Refusal,
}

impl EndReport {
    /// The end of a message, which would have contained a stop string, or has calls.
    pub fn of(reason: EndReason, stop_string: Option<String>, has_called: bool) -> EndReport {
        let stop_reason = Some(match reason {
            EndReason::Length => StopReason::MaxTokens,
            EndReason::Filtered => StopReason::Refusal,
            EndReason::StopString => StopReason::StopSequence,
            EndReason::End if has_called => StopReason::ToolUse,
            EndReason::End | EndReason::Stopped | EndReason::Unavailable => StopReason::EndTurn,
        });
        EndReport { stop_reason, stop_sequence: stop_string }
    }
}

/// Tokens of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UsageReport {
    /// Tokens of the prompt that had to be computed.
    pub input_tokens: usize,
    /// Those that will be found computed by later requests are not counted apart.
    pub cache_creation_input_tokens: usize,
    /// Tokens of the prompt that were found computed.
    pub cache_read_input_tokens: usize,
    /// Tokens of the message.
    pub output_tokens: usize,
}

impl From<&Usage> for UsageReport {
    fn from(usage: &Usage) -> UsageReport {
        let cached = usage.cached_tokens.unwrap_or(0);
        UsageReport {
            input_tokens: usage.prompt_tokens.unwrap_or(0).saturating_sub(cached),
            cache_creation_input_tokens: 0,
            cache_read_input_tokens: cached,
            output_tokens: usage.completion_tokens.unwrap_or(0),
        }
    }
}

/// An event of a stream.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StreamEvent<'a> {
    /// The message begins.
    MessageStart {
        /// The message without content.
        message: MessageReport<'a>,
    },
    /// A block begins.
    ContentBlockStart {
        /// Its place among the blocks.
        index: usize,
        /// The block without content.
        content_block: BlockReport,
    },
    /// A block has more content.
    ContentBlockDelta {
        /// Its place among the blocks.
        index: usize,
        /// What is new.
        delta: BlockDelta,
    },
    /// A block has ended.
    ContentBlockStop {
        /// Its place among the blocks.
        index: usize,
    },
    /// The message has no more blocks.
    MessageDelta {
        /// How it ended.
        delta: EndReport,
        /// Its tokens.
        usage: UsageReport,
    },
    /// The end.
    MessageStop,
    /// Nothing: the connection lives.
    Ping,
    /// The message has failed, and this is the end.
    Error {
        /// What is wrong.
        error: ErrorReport,
    },
}

/// What is new in a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BlockDelta {
    /// More text.
    TextDelta {
        /// The text.
        text: String,
    },
    /// More thoughts.
    ThinkingDelta {
        /// The text.
        thinking: String,
    },
    /// More of the arguments of a call.
    InputJsonDelta {
        /// A piece of the JSON.
        partial_json: String,
    },
}

impl StreamEvent<'_> {
    /// The name of the event.
    pub fn name(&self) -> &'static str {
        match self {
            StreamEvent::MessageStart { .. } => "message_start",
            StreamEvent::ContentBlockStart { .. } => "content_block_start",
            StreamEvent::ContentBlockDelta { .. } => "content_block_delta",
            StreamEvent::ContentBlockStop { .. } => "content_block_stop",
            StreamEvent::MessageDelta { .. } => "message_delta",
            StreamEvent::MessageStop => "message_stop",
            StreamEvent::Ping => "ping",
            StreamEvent::Error { .. } => "error",
        }
    }
}

/// `/v1/messages/count_tokens`
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CountReport {
    /// Tokens of the prompt.
    pub input_tokens: usize,
}
