//! `POST /v1/messages` and `POST /v1/messages/count_tokens`: the requests.

use super::super::fields::{Unfit, Unsupported, split};
use super::super::tools::{have_distinct_names, structure_beside};
use super::message::{SentMessage, Text};
use super::tools::{Choice, Tool};
use crate::Fault;
use crate::json::{Mistake, Value as Tree, null_as_default, read};
use crate::ranges;
use crate::v1;
use banter_seam::{Conversation, Message, Parameters, Role, Structure, ToolChoice, Tools};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny};
use serde_json::{Map, Value};

/// A checked request for an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageRequest {
    /// The name of the model.
    pub model: String,
    /// The messages, and the functions that the model may call.
    pub conversation: Conversation,
    /// The last message is the beginning of the answer.
    pub continues: bool,
    /// How the answer is sampled.
    pub parameters: Parameters,
    /// The structure of the answer.
    pub structure: Option<Structure>,
    /// Whether the answer is sent in pieces.
    pub is_streamed: bool,
}

/// A checked request for the number of tokens of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct CountRequest {
    /// The name of the model.
    pub model: String,
    /// The messages, and the functions that the model may call.
    pub conversation: Conversation,
}

/// Fields for sampling. `seed` and those after it are additions of this server.
const SAMPLING: [&str; 9] = [
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    model: String,
    messages: Vec<SentMessage>,
    #[serde(deserialize_with = "null_as_default")]
    system: Text,
    #[serde(deserialize_with = "ranges::stop")]
    stop_sequences: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    stream: bool,
    thinking: Option<Thinking>,
    #[serde(deserialize_with = "null_as_default")]
    output_config: OutputConfig,
    #[serde(deserialize_with = "null_as_default")]
    tools: Vec<Tool>,
    #[serde(deserialize_with = "null_as_default")]
    tool_choice: Choice,
    /// Fields that change nothing about the answer of this server.
    #[serde(rename = "cache_control")]
    _cache_control: IgnoredAny,
    #[serde(rename = "metadata")]
    _metadata: IgnoredAny,
    #[serde(rename = "service_tier")]
    _service_tier: IgnoredAny,
    #[serde(rename = "user_profile_id")]
    _user_profile_id: IgnoredAny,
    #[serde(rename = "workspace_id")]
    _workspace_id: IgnoredAny,
    /// Fields for things that this server does not do.
    #[serde(rename = "container")]
    _container: Option<Unsupported>,
    #[serde(rename = "context_management")]
    _context_management: Option<Unsupported>,
    #[serde(rename = "diagnostics")]
    _diagnostics: Option<Unsupported>,
    #[serde(rename = "inference_geo")]
    _inference_geo: Option<Unsupported>,
    #[serde(rename = "mcp_servers")]
    _mcp_servers: Option<Unsupported>,
    #[serde(rename = "speed")]
    _speed: Option<Unsupported>,
}

/// Whether the model thinks before it answers.
struct Thinking(bool);

#[derive(Deserialize)]
struct SentThinking {
    #[serde(rename = "type")]
    kind: String,
}

impl<'de> Deserialize<'de> for Thinking {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Thinking, D::Error> {
        match SentThinking::deserialize(deserializer)?.kind.as_str() {
            "adaptive" => Ok(Thinking(true)),
            "disabled" => Ok(Thinking(false)),
            _ => Err(D::Error::custom(
                "the type adaptive or disabled: this server has no limit for thoughts alone",
            )),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputConfig {
    format: Option<Format>,
    #[serde(rename = "effort")]
    _effort: Option<Unsupported>,
}

/// The structure of an answer.
struct Format(Structure);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentFormat {
    #[serde(rename = "type")]
    kind: String,
    schema: Map<String, Value>,
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
        let SentFormat { kind, schema } = SentFormat::deserialize(deserializer)?;
        match kind.as_str() {
            "json_schema" => Ok(Format(Structure::JsonSchema(Value::Object(schema).to_string()))),
            _ => Err(D::Error::custom("a format of the type json_schema")),
        }
    }
}

impl MessageRequest {
    /// Reads the body of a request.
    ///
    /// Errors: what is wrong with it, and where.
    pub fn parse(body: &str) -> Result<MessageRequest, Fault> {
        let (sampling, others) = split(body, &SAMPLING)?;
        let parameters: v1::Parameters = read(&sampling)?;
        if parameters.max_tokens.is_none() {
            let expected = "how many tokens the answer may have";
            return Err(Unfit { field: "max_tokens", expected }.in_request(&sampling).into());
        }
        let (sent, messages) = Sent::read(&others)?;
        let continues = messages.last().is_some_and(|last| last.role == Role::Assistant);
        if continues && sent.output_config.format.is_some() {
            let expected = "no answer as the last message, because output_config has a format";
            return Err(Unfit { field: "messages", expected }.in_request(&others).into());
        }
        let conversation = conversation(messages, sent.tools, sent.tool_choice, sent.thinking);
        let structure = sent.output_config.format.map(|Format(structure)| structure);
        Ok(MessageRequest {
            continues,
            parameters: Parameters { stop_strings: sent.stop_sequences, ..parameters.into_seam() },
            structure: structure_beside(structure, &conversation.tools),
            is_streamed: sent.stream,
            model: sent.model,
            conversation,
        })
    }
}

impl CountRequest {
    /// Reads the body of a request.
    ///
    /// Errors: what is wrong with it, and where.
    pub fn parse(body: &str) -> Result<CountRequest, Fault> {
        let (_, others) = split(body, &[])?;
        let (sent, messages) = Sent::read(&others)?;
        Ok(CountRequest {
            model: sent.model,
            conversation: conversation(messages, sent.tools, sent.tool_choice, sent.thinking),
        })
    }
}

impl Sent {
    /// Reads the fields and takes the messages out of them, checked.
    fn read(fields: &Tree) -> Result<(Sent, Vec<Message>), Mistake> {
        let mut sent: Sent = read(fields)?;
        let system = std::mem::take(&mut sent.system).0;
        let mut messages: Vec<Message> =
            (!system.is_empty()).then(|| Message::system(system)).into_iter().collect();
        let rules = messages.len();
        for (index, message) in sent.messages.drain(..).enumerate() {
            messages.extend(message.into_seam(&format!("messages[{index}]"))?);
        }
        let unfit = |field, expected| Err(Unfit { field, expected }.in_request(fields));
        if messages.len() == rules {
            return unfit("messages", "at least one message");
        }
        if !have_distinct_names(sent.tools.iter().map(|Tool(function)| function)) {
            return unfit("tools", "tools whose names differ");
        }
        let has = |name: &str| sent.tools.iter().any(|Tool(function)| function.name == name);
        match &sent.tool_choice.choice {
            Some(ToolChoice::Required) if sent.tools.is_empty() => {
                unfit("tool_choice", "auto or none, because there are no tools")
            }
            Some(ToolChoice::Named(name)) if !has(name) => {
                unfit("tool_choice", "the name of one of the tools")
            }
            _ => Ok((sent, messages)),
        }
    }
}

/// A conversation of which every message reaches the model. If it may call no function, it is not
/// told of any.
fn conversation(
    messages: Vec<Message>,
    tools: Vec<Tool>,
    Choice { choice, one_call }: Choice,
    thinking: Option<Thinking>,
) -> Conversation {
    let functions = tools.into_iter().map(|Tool(function)| function).collect();
    // What Qwen3's chat template reads.
    let think = thinking.map(|Thinking(think)| ("enable_thinking".to_owned(), think.into()));
    Conversation {
        messages,
        tools: match choice {
            Some(choice) => Tools { functions, choice, one_call },
            None => Tools::default(),
        },
        template_options: think.into_iter().collect(),
        is_whole: true,
    }
}
