//! `POST /v1/chat/completions`: the request.

use super::super::fields::{ANY_OBJECT, AS_MANY_AS_THERE_IS_ROOM_FOR, Unfit, Unsupported, split};
use super::super::tools::{Tool, have_distinct_names, structure_beside};
use super::fields::{StreamOptions, count, logit_bias, sampling};
use super::message::SentMessage;
use super::tools::Choice;
use crate::Fault;
use crate::json::{Mistake, null_as_default, read};
use crate::ranges::{self, PARAMETERS};
use crate::v1;
use banter_seam::{Conversation, Message, Parameters, Role, Structure, ToolChoice, Tools};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny};
use serde_json::{Map, Value};

/// A checked request for answers to a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// The name of the model; `None` if any will do.
    pub model: Option<String>,
    /// The messages, the functions that the model may call, and values for the chat template.
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
    /// How answers are sent: `None` as a whole.
    pub stream: Option<StreamOptions>,
}

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
    #[serde(deserialize_with = "ranges::top_logprobs")]
    top_logprobs: Option<u32>,
    response_format: Option<Format>,
    #[serde(deserialize_with = "null_as_default")]
    tools: Vec<Tool>,
    tool_choice: Option<Choice>,
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
    schema: Option<Map<String, Value>>,
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
        let SentFormat { kind, json_schema } = SentFormat::deserialize(deserializer)?;
        let schema = match (kind, json_schema) {
            (FormatKind::Text, _) => return Ok(Format(None)),
            (FormatKind::JsonObject, _) => ANY_OBJECT.to_owned(),
            (FormatKind::JsonSchema, Some(SentSchema { schema: Some(schema), .. })) => {
                Value::Object(schema).to_string()
            }
            (FormatKind::JsonSchema, Some(_)) => ANY_OBJECT.to_owned(),
            (FormatKind::JsonSchema, None) => {
                return Err(D::Error::custom("a format with its json_schema"));
            }
        };
        Ok(Format(Some(Structure::JsonSchema(schema))))
    }
}

impl ChatRequest {
    /// Reads the body of a request.
    ///
    /// Errors: what is wrong with it, and where.
    pub fn parse(body: &str) -> Result<ChatRequest, Fault> {
        let (parameters, others) = split(body, &PARAMETERS)?;
        let parameters = sampling(parameters)?;
        let (sent, messages) = Sent::with_messages(read(&others)?)?;
        sent.check(&messages).map_err(|unfit| unfit.in_request(&others))?;
        Ok(sent.into_request(messages, parameters))
    }
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
        self.check_tools()
    }

    fn check_tools(&self) -> Result<(), Unfit> {
        let unfit = |field, expected| Err(Unfit { field, expected });
        if !have_distinct_names(self.tools.iter().map(|Tool(function)| function)) {
            return unfit("tools", "functions whose names differ");
        }
        let has = |name: &str| self.tools.iter().any(|Tool(function)| function.name == name);
        let Some(Choice(Some(choice))) = &self.tool_choice else { return Ok(()) };
        match choice {
            ToolChoice::Required if self.tools.is_empty() => {
                unfit("tool_choice", "auto or none, because there are no tools")
            }
            ToolChoice::Named(name) if !has(name) => {
                unfit("tool_choice", "the name of one of the tools")
            }
            _ => Ok(()),
        }
    }

    /// The functions that the model may call. If it may call none, it is not told of any.
    fn tools(tools: Vec<Tool>, choice: Option<Choice>, parallel: Option<bool>) -> Tools {
        match choice.unwrap_or(Choice(Some(ToolChoice::Auto))) {
            Choice(None) => Tools::default(),
            Choice(Some(choice)) => Tools {
                functions: tools.into_iter().map(|Tool(function)| function).collect(),
                choice,
                one_call: parallel == Some(false),
            },
        }
    }

    fn into_request(self, messages: Vec<Message>, parameters: v1::Parameters) -> ChatRequest {
        let most = self.max_completion_tokens.or(parameters.max_tokens);
        let top = self.top_logprobs.unwrap_or_default() as usize;
        let template_options = self.chat_template_kwargs;
        let tools = Sent::tools(self.tools, self.tool_choice, self.parallel_tool_calls);
        let structure = self.response_format.and_then(|Format(structure)| structure);
        let structure = structure_beside(structure, &tools);
        ChatRequest {
            model: self.model,
            conversation: Conversation { messages, tools, template_options, is_whole: true },
            continues: self.continue_final_message,
            parameters: Parameters {
                max_tokens: most.unwrap_or(AS_MANY_AS_THERE_IS_ROOM_FOR),
                logit_bias: self.logit_bias,
                ..parameters.into_seam()
            },
            count: self.n.unwrap_or(1),
            logprobs: self.logprobs.then_some(top),
            structure,
            stream: self.stream.then(|| self.stream_options.unwrap_or_default()),
        }
    }
}
