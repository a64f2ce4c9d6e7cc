//! `POST /v1/completions`: the request and the answer.

use super::super::fields::{Unfit, Unsupported, split};
use super::answer::{FinishReason, UsageReport};
use super::fields::{StreamOptions, Texts, count, logit_bias, sampling};
use crate::Fault;
use crate::json::{null_as_default, read};
use crate::ranges::{self, PARAMETERS};
use banter_seam::{Logprobs, Parameters, Prompt};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A checked request for answers that go on with texts.
#[derive(Clone, Debug, PartialEq)]
pub struct CompletionRequest {
    /// The name of the model; `None` if any will do.
    pub model: Option<String>,
    /// The texts or tokens that answers follow. At least one.
    pub prompts: Vec<Prompt>,
    /// How answers are sampled.
    pub parameters: Parameters,
    /// How many answers each prompt has.
    pub count: u32,
    /// Whether log-probabilities are wanted, and of how many of the likeliest tokens.
    pub logprobs: Option<usize>,
    /// How answers are sent: `None` as a whole.
    pub stream: Option<StreamOptions>,
}

/// As in OpenAI's interface.
const MAX_TOKENS: u32 = 16;
/// How many answers a request may want for all of its prompts together.
const MAX_ANSWERS: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    model: Option<String>,
    prompt: Texts,
    #[serde(deserialize_with = "logit_bias")]
    logit_bias: Vec<(u32, f32)>,
    #[serde(deserialize_with = "count")]
    n: Option<u32>,
    #[serde(deserialize_with = "count")]
    best_of: Option<u32>,
    #[serde(deserialize_with = "ranges::top_logprobs")]
    logprobs: Option<u32>,
    #[serde(deserialize_with = "null_as_default")]
    echo: bool,
    #[serde(deserialize_with = "null_as_default")]
    stream: bool,
    stream_options: Option<StreamOptions>,
    #[serde(rename = "suffix")]
    _suffix: Option<Unsupported>,
    /// Fields that change nothing about the answer of a text model.
    #[serde(rename = "prompt_cache_key")]
    _prompt_cache_key: IgnoredAny,
    #[serde(rename = "user")]
    _user: IgnoredAny,
}

impl CompletionRequest {
    /// Reads the body of a request.
    ///
    /// Errors: what is wrong with it, and where.
    pub fn parse(body: &str) -> Result<CompletionRequest, Fault> {
        let (parameters, others) = split(body, &PARAMETERS)?;
        let parameters = sampling(parameters)?;
        let sent: Sent = read(&others)?;
        sent.check().map_err(|unfit| unfit.in_request(&others))?;
        Ok(CompletionRequest {
            model: sent.model,
            prompts: sent.prompt.0.into_iter().map(Prompt::from).collect(),
            parameters: Parameters {
                max_tokens: parameters.max_tokens.unwrap_or(MAX_TOKENS),
                logit_bias: sent.logit_bias,
                ..parameters.into_seam()
            },
            count: sent.n.unwrap_or(1),
            logprobs: sent.logprobs.map(|top| top as usize),
            stream: sent.stream.then(|| sent.stream_options.unwrap_or_default()),
        })
    }
}

impl Sent {
    /// Checks that its fields fit one another, and that nothing is asked for which is not done.
    fn check(&self) -> Result<(), Unfit> {
        let unfit = |field, expected| Err(Unfit { field, expected });
        let count = self.n.unwrap_or(1);
        if self.best_of.is_some_and(|best_of| best_of != count) {
            return unfit("best_of", "the same as n: this server sends every answer that it makes");
        }
        if self.echo {
            return unfit("echo", "false: this server does not send the prompt back");
        }
        if self.prompt.0.len() * count as usize > MAX_ANSWERS {
            return unfit("prompt", "at most 64 answers to all prompts together");
        }
        if self.stream_options.is_some() && !self.stream {
            return unfit("stream_options", "nothing, because stream is not true");
        }
        Ok(())
    }
}

/// Answers as a whole, or a piece of one.
#[derive(Clone, Debug, Serialize)]
pub struct Completion<'a> {
    /// The name of the response.
    pub id: &'a str,
    /// Always `text_completion`.
    pub object: &'static str,
    /// When it was begun, in seconds since 1970.
    pub created: u64,
    /// The name of the model.
    pub model: &'a str,
    /// The answers of the first prompt, then those of the next.
    pub choices: Vec<CompletionChoice>,
    /// Tokens of all answers. Of a stream, only in the last piece, if they are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageReport>,
}

/// An answer, or a piece of one.
#[derive(Clone, Debug, Serialize)]
pub struct CompletionChoice {
    /// Its place among the answers.
    pub index: usize,
    /// The text.
    pub text: String,
    /// How likely the model found the tokens, if the request wants to know.
    pub logprobs: Option<CompletionLogprobs>,
    /// Why it ended, if it has.
    pub finish_reason: Option<FinishReason>,
}

/// How likely the model found the tokens of a text.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CompletionLogprobs {
    /// The tokens.
    pub tokens: Vec<String>,
    /// The logarithms of their probabilities.
    pub token_logprobs: Vec<f32>,
    /// The likeliest tokens at the place of each.
    pub top_logprobs: Vec<BTreeMap<String, f32>>,
    /// Where each token begins in the text, in characters.
    pub text_offset: Vec<usize>,
}

impl CompletionLogprobs {
    /// Those of tokens that begin at a place in the text, which moves to their end.
    pub fn of(logprobs: Vec<Logprobs>, offset: &mut usize) -> CompletionLogprobs {
        let mut report = CompletionLogprobs::default();
        for Logprobs { chosen, top } in logprobs {
            let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let token = shown(&chosen.bytes);
            report.text_offset.push(*offset);
            *offset += token.chars().count();
            report.tokens.push(token);
            report.token_logprobs.push(chosen.logprob);
            let top = top.into_iter().map(|top| (shown(&top.bytes), top.logprob));
            report.top_logprobs.push(top.collect());
        }
        report
    }
}
