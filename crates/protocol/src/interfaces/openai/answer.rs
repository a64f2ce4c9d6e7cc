//! `POST /v1/chat/completions`: the answer, as a whole or as a stream.

use banter_seam::{EndReason, Logprobs, TokenLogprob, ToolCall, Usage};
use serde::Serialize;

/// An answer as a whole.
#[derive(Clone, Debug, Serialize)]
pub struct ChatCompletion<'a> {
    /// Its name, which no other answer has.
    pub id: &'a str,
    /// Always `chat.completion`.
    pub object: &'static str,
    /// When it was begun, in seconds since 1970.
    pub created: u64,
    /// The name of the model.
    pub model: &'a str,
    /// As many answers as were asked for.
    pub choices: Vec<Choice>,
    /// Tokens of all of them.
    pub usage: UsageReport,
}

/// One of the answers.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    /// Its place among them.
    pub index: usize,
    /// What the model says.
    pub message: AnswerMessage,
    /// How likely the model found its tokens, if the request wants to know.
    pub logprobs: Option<LogprobsReport>,
    /// Why it ended.
    pub finish_reason: FinishReason,
}

/// What the model says.
#[derive(Clone, Debug, Serialize)]
pub struct AnswerMessage {
    /// Always `assistant`.
    pub role: &'static str,
    /// The text; `None` if there are only calls.
    pub content: Option<String>,
    /// This server's models are never asked to refuse.
    pub refusal: Option<String>,
    /// What the model thought before it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// The functions that it calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<CallReport>,
}

/// A call of a function.
#[derive(Clone, Debug, Serialize)]
pub struct CallReport {
    /// Its place among the calls of an answer. Only streams tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// Its name, which no other call has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Always `function`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// What is called.
    pub function: FunctionReport,
}

/// What a call calls, or a piece of it.
#[derive(Clone, Debug, Serialize)]
pub struct FunctionReport {
    /// The name of the function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The arguments, as the model wrote them.
    pub arguments: String,
}

/// A piece of a stream.
#[derive(Clone, Debug, Serialize)]
pub struct Chunk<'a> {
    /// The name of the answer.
    pub id: &'a str,
    /// Always `chat.completion.chunk`.
    pub object: &'static str,
    /// When the answer was begun, in seconds since 1970.
    pub created: u64,
    /// The name of the model.
    pub model: &'a str,
    /// The piece of one answer; none in the chunk that tells the tokens.
    pub choices: Vec<ChunkChoice>,
    /// Tokens of all answers, in the last chunk if they are asked for, and then `null` in the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<UsageReport>>,
}

/// A piece of one answer.
#[derive(Clone, Debug, Serialize)]
pub struct ChunkChoice {
    /// Its place among the answers.
    pub index: usize,
    /// What is new.
    pub delta: MessageDelta,
    /// How likely the model found the tokens of the piece, if the request wants to know.
    pub logprobs: Option<LogprobsReport>,
    /// Why it ended, if this is its last piece.
    pub finish_reason: Option<FinishReason>,
}

/// What is new in an answer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MessageDelta {
    /// `assistant` in the first piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// More text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// More thoughts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// A new call, or more of its arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<CallReport>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// By itself, at a stop string, or because it was stopped.
    Stop,
    /// It was as long as it may be.
    Length,
    /// It calls functions.
    ToolCalls,
    /// A content filter of the engine cut it off.
    ContentFilter,
}

impl FinishReason {
    /// `None` if the answer has failed.
    pub fn of(reason: EndReason, has_called: bool) -> FinishReason {
        match reason {
            EndReason::Length => FinishReason::Length,
            EndReason::Filtered => FinishReason::ContentFilter,
            EndReason::End | EndReason::StopString if has_called => FinishReason::ToolCalls,
            EndReason::End
            | EndReason::StopString
            | EndReason::Stopped
            | EndReason::Unavailable => FinishReason::Stop,
        }
    }
}

/// How likely the model found the tokens of a text.
#[derive(Clone, Debug, Serialize)]
pub struct LogprobsReport {
    /// Those of the answer.
    pub content: Vec<ChosenToken>,
    /// This server's models are never asked to refuse.
    pub refusal: Option<Vec<ChosenToken>>,
}

/// A token of an answer.
#[derive(Clone, Debug, Serialize)]
pub struct ChosenToken {
    /// The token.
    #[serde(flatten)]
    pub token: TokenReport,
    /// The likeliest tokens at its place.
    pub top_logprobs: Vec<TokenReport>,
}

/// A token with the logarithm of its probability.
#[derive(Clone, Debug, Serialize)]
pub struct TokenReport {
    /// What it spells. Bytes that are no text are shown as �.
    pub token: String,
    /// The logarithm of its probability.
    pub logprob: f32,
    /// The bytes that it spells.
    pub bytes: Vec<u8>,
}

/// Told in place of a logarithm that no number of JSON can be.
const UNLIKELY: f32 = -9999.0;

impl From<TokenLogprob> for TokenReport {
    fn from(TokenLogprob { bytes, logprob }: TokenLogprob) -> TokenReport {
        let token = String::from_utf8_lossy(&bytes).into_owned();
        TokenReport { token, logprob: logprob.max(UNLIKELY), bytes }
    }
}

impl From<Vec<Logprobs>> for LogprobsReport {
    fn from(logprobs: Vec<Logprobs>) -> LogprobsReport {
        let chosen = |Logprobs { chosen, top }| ChosenToken {
            token: TokenReport::from(chosen),
            top_logprobs: top.into_iter().map(TokenReport::from).collect(),
        };
        LogprobsReport { content: logprobs.into_iter().map(chosen).collect(), refusal: None }
    }
}

impl From<ToolCall> for CallReport {
    fn from(ToolCall { id, name, arguments }: ToolCall) -> CallReport {
        let function = FunctionReport { name: Some(name), arguments };
        CallReport { index: None, id: Some(id), kind: Some("function"), function }
    }
}

/// Tokens of one or several answers to one prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UsageReport {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the answers.
    pub completion_tokens: usize,
    /// Both together.
    pub total_tokens: usize,
    /// More about those of the prompt.
    pub prompt_tokens_details: PromptTokens,
}

/// Tokens of a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PromptTokens {
    /// Those that were found computed already.
    pub cached_tokens: usize,
}

impl UsageReport {
    /// The tokens of both.
    pub fn plus(self, other: UsageReport) -> UsageReport {
        let cached = |usage: UsageReport| usage.prompt_tokens_details.cached_tokens;
        UsageReport {
            prompt_tokens: self.prompt_tokens + other.prompt_tokens,
            completion_tokens: self.completion_tokens + other.completion_tokens,
            total_tokens: self.total_tokens + other.total_tokens,
            prompt_tokens_details: PromptTokens { cached_tokens: cached(self) + cached(other) },
        }
    }

    /// Adds an answer to the same prompt.
    pub fn add(&mut self, usage: &Usage) {
        self.prompt_tokens = self.prompt_tokens.max(usage.prompt_tokens.unwrap_or(0));
        let cached = &mut self.prompt_tokens_details.cached_tokens;
        *cached = (*cached).max(usage.cached_tokens.unwrap_or(0));
        self.completion_tokens += usage.completion_tokens.unwrap_or(0);
        self.total_tokens = self.prompt_tokens + self.completion_tokens;
    }
}
