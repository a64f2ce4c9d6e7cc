//! `POST /api/chat` and `POST /api/generate`: the requests.

use super::super::fields::{ANY_OBJECT, Unfit, Unsupported, split};
use super::super::tools::{Tool, functions};
use super::message::SentMessage;
use super::options::Options;
use crate::Fault;
use crate::json::{Mistake, Value as Tree, null_as_default, read};
use crate::ranges;
use banter_seam::{Conversation, Message, Parameters, Prompt, Structure, Tools};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny};
use serde_json::{Map, Value};

/// A checked request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The name of the model.
    pub model: String,
    /// What is to be answered; `None` if the model is only to be loaded.
    pub prompt: Option<Prompt>,
    /// How the answer is sampled.
    pub parameters: Parameters,
    /// Whether log-probabilities are wanted, and of how many of the likeliest tokens.
    pub logprobs: Option<usize>,
    /// The structure of the answer.
    pub structure: Option<Structure>,
    /// Whether the answer is sent in pieces.
    pub is_streamed: bool,
}

/// Fields that both requests have.
const SHARED: [&str; 9] = [
    "model",
    "options",
    "format",
    "stream",
    "keep_alive",
    "think",
    "logprobs",
    "top_logprobs",
    "shift",
];

#[derive(Deserialize)]
struct SentAnswer {
    model: String,
    #[serde(deserialize_with = "null_as_default")]
    options: Options,
    #[serde(deserialize_with = "null_as_default")]
    format: Format,
    stream: Option<bool>,
    think: Option<Think>,
    #[serde(deserialize_with = "null_as_default")]
    logprobs: bool,
    #[serde(deserialize_with = "ranges::top_logprobs")]
    top_logprobs: Option<u32>,
    /// What is done when the context is full: the answer ends.
    #[serde(rename = "shift")]
    _shift: Option<No>,
    /// The server keeps its model as long as it runs.
    #[serde(rename = "keep_alive")]
    _keep_alive: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentChat {
    #[serde(deserialize_with = "null_as_default")]
    messages: Vec<SentMessage>,
    #[serde(deserialize_with = "null_as_default")]
    tools: Vec<Tool>,
    truncate: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentGenerate {
    #[serde(deserialize_with = "null_as_default")]
    prompt: String,
    #[serde(deserialize_with = "null_as_default")]
    system: String,
    #[serde(deserialize_with = "null_as_default")]
    raw: bool,
    /// An empty text or list is as none.
    #[serde(deserialize_with = "null_as_default")]
    suffix: String,
    #[serde(deserialize_with = "null_as_default")]
    template: String,
    #[serde(rename = "context", deserialize_with = "null_as_default")]
    _context: Vec<Unsupported>,
    #[serde(rename = "images", deserialize_with = "null_as_default")]
    _images: Vec<Unsupported>,
    /// A prompt of one message is never cut.
    #[serde(rename = "truncate")]
    _truncate: IgnoredAny,
}

/// Whether the model thinks before it answers.
struct Think(bool);

impl<'de> Deserialize<'de> for Think {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Think, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(think) => Ok(Think(think)),
            _ => Err(D::Error::custom("true or false: this server has no levels of thinking")),
        }
    }
}

/// `false`.
struct No;

impl<'de> Deserialize<'de> for No {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<No, D::Error> {
        match bool::deserialize(deserializer) {
            Ok(false) => Ok(No),
            _ => Err(D::Error::custom("false: an answer ends when the context is full")),
        }
    }
}

/// `format`.
#[derive(Default)]
struct Format(Option<Structure>);

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
        let schema = match Value::deserialize(deserializer)? {
            Value::String(word) if word.is_empty() => return Ok(Format(None)),
            Value::String(word) if word == "json" => ANY_OBJECT.to_owned(),
            schema @ Value::Object(_) => schema.to_string(),
            _ => return Err(D::Error::custom("json or a JSON schema")),
        };
        Ok(Format(Some(Structure::JsonSchema(schema))))
    }
}

/// Reads the body of a request to `/api/chat`.
///
/// Errors: what is wrong with it, and where.
pub fn read_chat(body: &str) -> Result<Request, Fault> {
    let (shared, others) = split(body, &SHARED)?;
    let answer = SentAnswer::read(&shared)?;
    let sent: SentChat = read(&others)?;
    let messages = sent.messages.into_iter().enumerate();
    let messages =
        messages.map(|(index, message)| message.into_seam(&format!("messages[{index}]")));
    let messages = messages.collect::<Result<Vec<Message>, Mistake>>()?;
    let functions = functions(sent.tools).map_err(|unfit| unfit.in_request(&others))?;
    let conversation = Conversation {
        messages,
        tools: Tools { functions, ..Tools::default() },
        template_options: answer.template_options(),
        // Ollama leaves the oldest messages out, too.
        is_whole: sent.truncate == Some(false),
    };
    let prompt = (!conversation.messages.is_empty()).then_some(Prompt::Conversation(conversation));
    Ok(answer.into_request(prompt))
}

/// Reads the body of a request to `/api/generate`.
///
/// Errors: what is wrong with it, and where.
pub fn read_generate(body: &str) -> Result<Request, Fault> {
    let (shared, others) = split(body, &SHARED)?;
    let answer = SentAnswer::read(&shared)?;
    let sent: SentGenerate = read(&others)?;
    sent.check().map_err(|unfit| unfit.in_request(&others))?;
    let prompt = match sent {
        SentGenerate { prompt, .. } if prompt.is_empty() => None,
        SentGenerate { prompt, raw: true, .. } => Some(Prompt::Text(prompt)),
        SentGenerate { prompt, system, .. } => {
            let system = (!system.is_empty()).then(|| Message::system(system));
            let messages = system.into_iter().chain([Message::user(prompt)]).collect();
            let template_options = answer.template_options();
            let conversation = Conversation { messages, template_options, ..Default::default() };
            Some(Prompt::Conversation(Conversation { is_whole: true, ..conversation }))
        }
    };
    Ok(answer.into_request(prompt))
}

impl SentGenerate {
    /// Checks that nothing is asked for which is not done.
    fn check(&self) -> Result<(), Unfit> {
        let unfit = |field, expected| Err(Unfit { field, expected });
        if !self.suffix.is_empty() {
            return unfit("suffix", "nothing: this server does not write text into a gap");
        }
        if !self.template.is_empty() {
            return unfit("template", "nothing: the model's own template is used");
        }
        if self.raw && !self.system.is_empty() {
            return unfit("system", "nothing, because raw is true");
        }
        Ok(())
    }
}

impl SentAnswer {
    fn read(fields: &Tree) -> Result<SentAnswer, Mistake> {
        let answer: SentAnswer = read(fields)?;
        if answer.top_logprobs.is_some_and(|top| top > 0) && !answer.logprobs {
            let expected = "nothing, because logprobs is not true";
            return Err(Unfit { field: "top_logprobs", expected }.in_request(fields));
        }
        Ok(answer)
    }

    /// What Qwen3's chat template reads.
    fn template_options(&self) -> Map<String, Value> {
        let think = self.think.as_ref().map(|Think(think)| Value::Bool(*think));
        think.map(|think| ("enable_thinking".to_owned(), think)).into_iter().collect()
    }

    fn into_request(self, prompt: Option<Prompt>) -> Request {
        let top = self.top_logprobs.unwrap_or_default() as usize;
        Request {
            model: self.model,
            prompt,
            parameters: self.options.into_seam(),
            logprobs: self.logprobs.then_some(top),
            structure: self.format.0,
            is_streamed: self.stream.unwrap_or(true),
        }
    }
}
