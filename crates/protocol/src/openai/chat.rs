//! `POST /v1/chat/completions`: the request.

use super::message::{SentMessage, Unsupported};
use super::tools::{Tool, ToolChoice};
use crate::Fault;
use crate::json::{Mistake, Value as Tree, null_as_default, read, tree};
use crate::ranges::{self, PARAMETERS};
use crate::v1;
use banter_seam::{Conversation, Message, Parameters, Role, Structure};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tree::Object;

/// A checked request for answers to a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// The name of the model; `None` if any will do.
    pub model: Option<String>,
    /// The messages, and values for the chat template. It has no tools: [`ChatRequest::tools`] are
    /// known by more than the template needs.
    pub conversation: Conversation,
    /// The last message is the beginning of the answer.
    pub continues: bool,
    /// How answers are sampled.
    pub parameters: Parameters,
    /// How many answers are wanted.
    pub count: u32,
    /// Whether log-probabilities are wanted, and of how many of the likeliest tokens.
    pub logprobs: Option<usize>,
    /// The structure of an answer.
    pub structure: Option<Structure>,
    /// The functions that the model may call.
    pub tools: Vec<Tool>,
    /// Which of them it calls.
    pub tool_choice: ToolChoice,
    /// Whether it may call several at once.
    pub parallel_tool_calls: bool,
    /// How answers are sent: `None` as a whole.
    pub stream: Option<StreamOptions>,
}

/// How a stream is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct StreamOptions {
    /// Whether its last event tells the numbers of tokens.
    #[serde(deserialize_with = "null_as_default")]
    pub include_usage: bool,
}

/// Without a limit of its own, an answer may fill the context.
const AS_MANY_AS_THERE_IS_ROOM_FOR: u32 = 1_000_000;
/// How many answers a request may want.
const MAX_COUNT: std::ops::RangeInclusive<u64> = 1..=16;
const MAX_TOP_LOGPROBS: std::ops::RangeInclusive<u64> = 0..=20;

/// A request without the parameters that every language has: those are [`v1::Parameters`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    model: Option<String>,
    messages: Vec<SentMessage>,
    #[serde(deserialize_with = "ranges::max_tokens")]
    max_completion_tokens: Option<u32>,
    #[serde(deserialize_with = "logit_bias")]
    logit_bias: Vec<(u32, f32)>,
    #[serde(deserialize_with = "count")]
    n: Option<u32>,
    #[serde(deserialize_with = "null_as_default")]
    logprobs: bool,
    #[serde(deserialize_with = "top_logprobs")]
    top_logprobs: Option<u32>,
    response_format: Option<Format>,
    #[serde(deserialize_with = "null_as_default")]
    tools: Vec<Tool>,
    tool_choice: Option<ToolChoice>,
    parallel_tool_calls: Option<bool>,
    #[serde(deserialize_with = "null_as_default")]
    stream: bool,
    stream_options: Option<StreamOptions>,
    #[serde(deserialize_with = "null_as_default")]
    continue_final_message: bool,
    add_generation_prompt: Option<bool>,
    #[serde(deserialize_with = "null_as_default")]
    chat_template_kwargs: Map<String, Value>,
    #[serde(rename = "modalities")]
    _modalities: Option<Vec<Modality>>,
    /// Fields that change nothing about the answer of a text model.
    #[serde(rename = "metadata")]
    _metadata: IgnoredAny,
    #[serde(rename = "prompt_cache_key")]
    _prompt_cache_key: IgnoredAny,
    #[serde(rename = "prompt_cache_retention")]
    _prompt_cache_retention: IgnoredAny,
    #[serde(rename = "safety_identifier")]
    _safety_identifier: IgnoredAny,
    #[serde(rename = "service_tier")]
    _service_tier: IgnoredAny,
    #[serde(rename = "store")]
    _store: IgnoredAny,
    #[serde(rename = "user")]
    _user: IgnoredAny,
    /// Fields for things that this server does not do.
    #[serde(rename = "audio")]
    _audio: Option<Unsupported>,
    #[serde(rename = "function_call")]
    _function_call: Option<Unsupported>,
    #[serde(rename = "functions")]
    _functions: Option<Unsupported>,
    #[serde(rename = "prediction")]
    _prediction: Option<Unsupported>,
    #[serde(rename = "reasoning_effort")]
    _reasoning_effort: Option<Unsupported>,
    #[serde(rename = "verbosity")]
    _verbosity: Option<Unsupported>,
    #[serde(rename = "web_search_options")]
    _web_search_options: Option<Unsupported>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Modality {
    Text,
}

/// `response_format`.
struct Format(Option<Structure>);

#[derive(Deserialize)]
struct SentFormat {
    #[serde(rename = "type")]
    kind: FormatKind,
    json_schema: Option<SentSchema>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum FormatKind {
    Text,
    JsonObject,
    JsonSchema,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentSchema {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "description")]
    _description: IgnoredAny,
    /// A schema is always kept to.
    #[serde(rename = "strict")]
    _strict: IgnoredAny,
    schema: Option<Value>,
}

/// The schema of any JSON object.
const ANY_OBJECT: &str = r#"{"type":"object"}"#;

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
        let SentFormat { kind, json_schema } = SentFormat::deserialize(deserializer)?;
        let schema = match (kind, json_schema) {
            (FormatKind::Text, _) => return Ok(Format(None)),
            (FormatKind::JsonObject, _) => ANY_OBJECT.to_owned(),
            (FormatKind::JsonSchema, Some(SentSchema { schema: Some(schema), .. })) => {
                schema.to_string()
            }
            (FormatKind::JsonSchema, Some(_)) => ANY_OBJECT.to_owned(),
            (FormatKind::JsonSchema, None) => {
                return Err(D::Error::custom("a format with its json_schema"));
            }
        };
        Ok(Format(Some(Structure::JsonSchema(schema))))
    }
}

fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    ranges::whole_u32(from, MAX_COUNT)
}

fn top_logprobs<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    ranges::whole_u32(from, MAX_TOP_LOGPROBS)
}

/// Token ids as strings, each with its bias.
fn logit_bias<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(u32, f32)>, D::Error> {
    let sent: Option<BTreeMap<String, ranges::Bias>> = Option::deserialize(from)?;
    let read = |(id, bias): (String, ranges::Bias)| match id.parse() {
        Ok(id) => Ok((id, bias.0)),
        Err(_) => Err(D::Error::custom("token ids as keys, in decimal digits")),
    };
    sent.unwrap_or_default().into_iter().map(read).collect()
}

impl ChatRequest {
    /// Reads the body of a request.
    ///
    /// Errors: what is wrong with it, and where.
    pub fn parse(body: &str) -> Result<ChatRequest, Fault> {
        let value =
            tree::read(body).map_err(|error| Fault::BadJson { reason: error.to_string() })?;
        let Tree::Object(object) = value else {
            let reason = format!("expected an object, found {}", tree::show(&value));
            return Err(Fault::BadJson { reason });
        };
        let (parameters, others): (Object, Object) =
            object.into_iter().partition(|(name, _)| PARAMETERS.contains(&name.as_str()));
        let (parameters, others) = (Tree::Object(parameters), Tree::Object(others));
        let parameters = read(&parameters)?;
        let (sent, messages) = Sent::with_messages(read(&others)?)?;
        sent.check(&messages).map_err(|Unfit { field, expected }| {
            Mistake::new(field, expected, others.field(field).unwrap_or(&Tree::Null))
        })?;
        Ok(sent.into_request(messages, parameters))
    }
}

/// A field that does not fit the other fields.
struct Unfit {
    field: &'static str,
    expected: &'static str,
}

impl Sent {
    /// Takes the messages out of it, checked.
    fn with_messages(mut sent: Sent) -> Result<(Sent, Vec<Message>), Mistake> {
        let mut messages = Vec::with_capacity(sent.messages.len());
        for (index, message) in sent.messages.drain(..).enumerate() {
            messages.push(message.into_seam(&format!("messages[{index}]"))?);
        }
        Ok((sent, messages))
    }

    /// Checks that its fields fit one another.
    fn check(&self, messages: &[Message]) -> Result<(), Unfit> {
        let unfit = |field, expected| Err(Unfit { field, expected });
        let Some(last) = messages.last() else {
            return unfit("messages", "at least one message");
        };
        match (self.continue_final_message, self.add_generation_prompt) {
            (true, _) if last.role != Role::Assistant => {
                unfit("continue_final_message", "false, because no answer is the last message")?
            }
            (true, Some(true)) => {
                unfit("add_generation_prompt", "false, because continue_final_message is true")?;
            }
            (false, Some(false)) => {
                unfit("add_generation_prompt", "true, because nothing is to be continued")?;
            }
            _ => {}
        }
        if self.stream_options.is_some() && !self.stream {
            unfit("stream_options", "nothing, because stream is not true")?;
        }
        if self.top_logprobs.is_some() && !self.logprobs {
            unfit("top_logprobs", "nothing, because logprobs is not true")?;
        }
        match &self.tool_choice {
            Some(ToolChoice::Required) if self.tools.is_empty() => {
                unfit("tool_choice", "auto or none, because there are no tools")
            }
            Some(ToolChoice::Named(name)) if !self.tools.iter().any(|tool| tool.name == *name) => {
                unfit("tool_choice", "the name of one of the tools")
            }
            _ => Ok(()),
        }
    }

    fn into_request(self, messages: Vec<Message>, parameters: v1::Parameters) -> ChatRequest {
        let most = self.max_completion_tokens.or(parameters.max_tokens);
        let top = self.top_logprobs.unwrap_or_default() as usize;
        let template_options = self.chat_template_kwargs;
        ChatRequest {
            model: self.model,
            conversation: Conversation { messages, template_options, ..Conversation::default() },
            continues: self.continue_final_message,
            parameters: Parameters {
                max_tokens: most.unwrap_or(AS_MANY_AS_THERE_IS_ROOM_FOR),
                logit_bias: self.logit_bias,
                ..parameters.into_seam()
            },
            count: self.n.unwrap_or(1),
            logprobs: self.logprobs.then_some(top),
            structure: self.response_format.and_then(|Format(structure)| structure),
            tools: self.tools,
            tool_choice: self.tool_choice.unwrap_or_default(),
            parallel_tool_calls: self.parallel_tool_calls.unwrap_or(true),
            stream: self.stream.then(|| self.stream_options.unwrap_or_default()),
        }
    }
}
