//! `POST /v1/responses`: the request.

use super::super::super::fields::{
    ANY_OBJECT, AS_MANY_AS_THERE_IS_ROOM_FOR, Unfit, Unsupported, object, split_object,
};
use super::super::super::tools::{LONGEST_NAME, have_distinct_names, structure_beside};
use super::super::fields::sampling;
use super::items::Items;
use super::report::Asked;
use crate::Fault;
use crate::json::tree::Object;
use crate::json::{Value as Tree, null_as_default, read};
use crate::ranges;
use crate::v1;
use banter_seam::{Conversation, Function, Message, Parameters, Structure, ToolChoice, Tools};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny};
use serde_json::{Map, Value, json};

/// A checked request.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseRequest {
    /// The name of the model; `None` if any will do.
    pub model: Option<String>,
    /// The items that it brings.
    pub input: Items,
    /// The functions that the model may call.
    pub tools: Tools,
    /// Further values for the chat template.
    pub template_options: Map<String, Value>,
    /// The oldest items are left out if not all fit; otherwise the request is refused.
    pub truncates: bool,
    /// How the response is sampled.
    pub parameters: Parameters,
    /// The structure of its text.
    pub structure: Option<Structure>,
    /// Whether log-probabilities are wanted, and of how many of the likeliest tokens.
    pub logprobs: Option<usize>,
    /// Whether it can be asked for again.
    pub is_kept: bool,
    /// Whether it is sent as events.
    pub is_streamed: bool,
    /// Whether it is made although nobody is connected.
    pub is_in_background: bool,
    /// What the response repeats of the request.
    pub asked: Asked,
}

/// Fields for sampling. `top_k` and those after it are additions of this server.
const SAMPLING: [&str; 9] = [
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
];

/// Fields that only events on a WebSocket have.
const OF_EVENTS: [&str; 3] = ["type", "generate", "stream_id"];
/// The type of the only event.
const CREATE: &str = "response.create";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentEvent {
    #[serde(rename = "type", deserialize_with = "null_as_default")]
    kind: String,
    #[serde(rename = "generate")]
    _generate: Option<Yes>,
    #[serde(rename = "stream_id")]
    _stream_id: Option<Unsupported>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    model: Option<String>,
    #[serde(deserialize_with = "null_as_default")]
    input: Items,
    instructions: Option<String>,
    previous_response_id: Option<String>,
    #[serde(deserialize_with = "ranges::max_tokens")]
    max_output_tokens: Option<u32>,
    #[serde(deserialize_with = "null_as_default")]
    tools: Vec<Tool>,
    #[serde(deserialize_with = "null_as_default")]
    tool_choice: Choice,
    parallel_tool_calls: Option<bool>,
    #[serde(deserialize_with = "null_as_default")]
    text: TextOptions,
    #[serde(deserialize_with = "ranges::top_logprobs")]
    top_logprobs: Option<u32>,
    #[serde(deserialize_with = "null_as_default")]
    include: Vec<Include>,
    store: Option<bool>,
    #[serde(deserialize_with = "null_as_default")]
    stream: bool,
    #[serde(deserialize_with = "null_as_default")]
    truncation: Truncation,
    metadata: Option<Map<String, Value>>,
    user: Option<String>,
    #[serde(deserialize_with = "null_as_default")]
    chat_template_kwargs: Map<String, Value>,
    #[serde(rename = "reasoning", deserialize_with = "null_as_default")]
    _reasoning: Reasoning,
    #[serde(deserialize_with = "null_as_default")]
    background: bool,
    /// Fields that change nothing about the answer of a text model.
    #[serde(rename = "prompt_cache_key")]
    _prompt_cache_key: IgnoredAny,
    #[serde(rename = "prompt_cache_retention")]
    _prompt_cache_retention: IgnoredAny,
    #[serde(rename = "safety_identifier")]
    _safety_identifier: IgnoredAny,
    #[serde(rename = "service_tier")]
    _service_tier: IgnoredAny,
    #[serde(rename = "stream_options")]
    _stream_options: IgnoredAny,
    /// Fields for things that this server does not do.
    #[serde(rename = "access_programs")]
    _access_programs: Option<Unsupported>,
    #[serde(rename = "background_options")]
    _background_options: Option<Unsupported>,
    #[serde(rename = "context_management")]
    _context_management: Option<Unsupported>,
    #[serde(rename = "conversation")]
    _conversation: Option<Unsupported>,
    #[serde(rename = "image")]
    _image: Option<Unsupported>,
    #[serde(rename = "max_tool_calls")]
    _max_tool_calls: Option<Unsupported>,
    #[serde(rename = "moderation")]
    _moderation: Option<Unsupported>,
    #[serde(rename = "prompt")]
    _prompt: Option<Unsupported>,
    #[serde(rename = "prompt_cache_options")]
    _prompt_cache_options: Option<Unsupported>,
}

/// What may be told beside the text.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
enum Include {
    #[serde(rename = "message.output_text.logprobs")]
    Logprobs,
    /// This server has none to tell.
    #[serde(rename = "reasoning.encrypted_content")]
    EncryptedReasoning,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Truncation {
    Auto,
    #[default]
    Disabled,
}

/// `true`.
struct Yes;

impl<'de> Deserialize<'de> for Yes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Yes, D::Error> {
        match bool::deserialize(deserializer) {
            Ok(true) => Ok(Yes),
            _ => Err(D::Error::custom("true: an event asks for a response")),
        }
    }
}

/// Nothing can be said of thoughts yet.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reasoning {
    #[serde(rename = "effort")]
    _effort: Option<NoEffort>,
    #[serde(rename = "summary")]
    _summary: Option<Unsupported>,
    #[serde(rename = "generate_summary")]
    _generate_summary: Option<Unsupported>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum NoEffort {
    None,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TextOptions {
    format: Option<Format>,
    #[serde(rename = "verbosity")]
    _verbosity: Option<Unsupported>,
}

/// `text.format`.
struct Format {
    json: Value,
    structure: Option<Structure>,
}

#[derive(Deserialize)]
struct SentFormat {
    #[serde(rename = "type")]
    kind: FormatKind,
    schema: Option<Map<String, Value>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FormatKind {
    Text,
    JsonObject,
    JsonSchema,
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
        let json = Value::deserialize(deserializer)?;
        let wrong = || {
            D::Error::custom(
                "a format of the type text, json_object or json_schema with its schema",
            )
        };
        let SentFormat { kind, schema } =
            serde_json::from_value(json.clone()).map_err(|_| wrong())?;
        let schema = match (kind, schema) {
            (FormatKind::Text, _) => return Ok(Format { json, structure: None }),
            (FormatKind::JsonObject, _) => ANY_OBJECT.to_owned(),
            (FormatKind::JsonSchema, Some(schema)) => Value::Object(schema).to_string(),
            (FormatKind::JsonSchema, None) => return Err(wrong()),
        };
        Ok(Format { json, structure: Some(Structure::JsonSchema(schema)) })
    }
}

/// A function that the model may call.
struct Tool {
    json: Value,
    function: Function,
}

#[derive(Deserialize)]
struct SentTool {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    description: Option<String>,
    parameters: Option<Map<String, Value>>,
    strict: Option<bool>,
}

impl<'de> Deserialize<'de> for Tool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tool, D::Error> {
        let json = Value::deserialize(deserializer)?;
        let wrong = || D::Error::custom("a tool of the type function: this server has no others");
        let sent: SentTool = serde_json::from_value(json.clone()).map_err(|_| wrong())?;
        if sent.kind != "function" {
            return Err(wrong());
        }
        let fits = |name: &String| (1..=LONGEST_NAME).contains(&name.len());
        let Some(name) = sent.name.filter(fits) else {
            let expected = format!("a function with a name of 1 to {LONGEST_NAME} bytes");
            return Err(D::Error::custom(expected));
        };
        let function = Function {
            name,
            description: sent.description,
            parameters: sent.parameters.map(Value::Object),
            strict: sent.strict.unwrap_or(true),
        };
        Ok(Tool { json, function })
    }
}

/// `tool_choice`.
struct Choice {
    json: Value,
    /// `None`: no function is called.
    choice: Option<ToolChoice>,
}

impl Default for Choice {
    fn default() -> Choice {
        Choice { json: json!("auto"), choice: Some(ToolChoice::Auto) }
    }
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Choice, D::Error> {
        let json = Value::deserialize(deserializer)?;
        let choice = match (json.as_str(), &json["type"], json["name"].as_str()) {
            (Some("auto"), ..) => Some(ToolChoice::Auto),
            (Some("none"), ..) => None,
            (Some("required"), ..) => Some(ToolChoice::Required),
            (None, Value::String(kind), Some(name)) if kind == "function" => {
                Some(ToolChoice::Named(name.to_owned()))
            }
            _ => return Err(D::Error::custom("auto, none, required or a function by its name")),
        };
        Ok(Choice { json, choice })
    }
}

impl ResponseRequest {
    /// Reads the body of a request.
    ///
    /// Errors: what is wrong with it, and where.
    pub fn parse(body: &str) -> Result<ResponseRequest, Fault> {
        ResponseRequest::from_object(object(body)?)
    }

    /// Reads an event that a client sends on a WebSocket. The only one is `response.create`, with
    /// the fields of a request.
    ///
    /// Errors: what is wrong with it, and where.
    pub fn parse_event(event: &str) -> Result<ResponseRequest, Fault> {
        let (fields, of_event): (Object, Object) =
            object(event)?.into_iter().partition(|(name, _)| !OF_EVENTS.contains(&name.as_str()));
        if fields.iter().any(|(name, value)| name == "background" && *value == Tree::Bool(true)) {
            let expected = "false: the response of an event ends with its connection";
            let unfit = Unfit { field: "background", expected };
            return Err(unfit.in_request(&Tree::Object(Box::new(fields))).into());
        }
        let of_event = Tree::Object(Box::new(of_event));
        let SentEvent { kind, .. } = read(&of_event)?;
        if kind != CREATE {
            let unfit = Unfit { field: "type", expected: CREATE };
            return Err(unfit.in_request(&of_event).into());
        }
        ResponseRequest::from_object(fields)
    }

    fn from_object(object: Object) -> Result<ResponseRequest, Fault> {
        let (parameters, others) = split_object(object, &SAMPLING);
        let parameters = sampling(parameters)?;
        let sent: Sent = read(&others)?;
        sent.check().map_err(|unfit| unfit.in_request(&others))?;
        Ok(sent.into_request(&parameters))
    }

    /// The conversation that is answered, behind the items of earlier responses.
    pub fn conversation(&self, before: &Items) -> Conversation {
        let mut items = before.clone();
        items.extend(self.input.clone());
        let instructions = self.asked.instructions.iter().map(Message::system);
        Conversation {
            messages: instructions.chain(items.messages().iter().cloned()).collect(),
            tools: self.tools.clone(),
            template_options: self.template_options.clone(),
            is_whole: !self.truncates,
        }
    }
}

impl Sent {
    /// Checks that its fields fit one another.
    fn check(&self) -> Result<(), Unfit> {
        let unfit = |field, expected| Err(Unfit { field, expected });
        if self.input.messages().is_empty() {
            return unfit("input", "a text or at least one item");
        }
        if self.background && self.store == Some(false) {
            return unfit("background", "false, because the response is not to be kept (store)");
        }
        if !have_distinct_names(self.tools.iter().map(|tool| &tool.function)) {
            return unfit("tools", "functions whose names differ");
        }
        let has = |name: &str| self.tools.iter().any(|tool| tool.function.name == name);
        match &self.tool_choice.choice {
            Some(ToolChoice::Required) if self.tools.is_empty() => {
                unfit("tool_choice", "auto or none, because there are no tools")
            }
            Some(ToolChoice::Named(name)) if !has(name) => {
                unfit("tool_choice", "the name of one of the tools")
            }
            _ => Ok(()),
        }
    }

    fn into_request(self, parameters: &v1::Parameters) -> ResponseRequest {
        let format = self
            .text
            .format
            .unwrap_or_else(|| Format { json: json!({"type": "text"}), structure: None });
        let is_parallel = self.parallel_tool_calls.unwrap_or(true);
        let (tools_json, functions): (Vec<Value>, Vec<Function>) =
            self.tools.into_iter().map(|tool| (tool.json, tool.function)).unzip();
        let tools = match self.tool_choice.choice {
            Some(choice) => Tools { functions, choice, one_call: !is_parallel },
            None => Tools::default(),
        };
        let most = self.max_output_tokens.unwrap_or(AS_MANY_AS_THERE_IS_ROOM_FOR);
        let wants_logprobs = self.include.contains(&Include::Logprobs);
        ResponseRequest {
            model: self.model,
            input: self.input,
            structure: structure_beside(format.structure, &tools),
            tools,
            template_options: self.chat_template_kwargs,
            truncates: self.truncation == Truncation::Auto,
            logprobs: wants_logprobs.then(|| self.top_logprobs.unwrap_or(0) as usize),
            is_kept: self.store.unwrap_or(true),
            is_streamed: self.stream,
            is_in_background: self.background,
            asked: Asked {
                instructions: self.instructions,
                max_output_tokens: self.max_output_tokens,
                metadata: self.metadata.unwrap_or_default(),
                parallel_tool_calls: is_parallel,
                previous_response_id: self.previous_response_id,
                store: self.store.unwrap_or(true),
                temperature: parameters.temperature,
                text: json!({"format": format.json}),
                tool_choice: self.tool_choice.json,
                tools: tools_json,
                top_logprobs: self.top_logprobs,
                top_p: parameters.top_p,
                truncation: match self.truncation {
                    Truncation::Auto => "auto",
                    Truncation::Disabled => "disabled",
                },
                user: self.user,
            },
            parameters: Parameters { max_tokens: most, ..parameters.clone().into_seam() },
        }
    }
}
