//! Reads bytes as a request, and checks every value.

use crate::Fault;
use crate::http::HttpMessage;
use crate::json::{Found, Mistake, Value, null_as_default, read, tree};
use crate::ranges;
use banter_seam::{Asker, Failure, GenerateRequest, Message, Parameters};
use serde::Deserialize;

/// What a client can send in one frame.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// `{"stop": true}`: stop the running answer and drop the waiting messages.
    Stop {
        /// The object also has a `message`. It is dropped like the waiting messages, and like them
        /// it gets its end, with the reports that it asks for.
        dropped: Option<Reports>,
    },
    /// Everything else: a message to answer.
    Ask(Box<Ask>),
}

/// A checked message to answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The conversation, the newest message last.
    pub messages: Vec<Message>,
    /// How the client wants the answer.
    pub delivery: Delivery,
    /// Which reports the client wants.
    pub reports: Reports,
    /// The sampling parameters.
    pub parameters: Parameters,
}

impl Ask {
    /// The request for an answer, without how it is to be sent.
    pub fn into_request(self, asker: Asker) -> GenerateRequest {
        GenerateRequest::new(self.messages, self.parameters, asker)
    }
}

/// How an answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Each delta as soon as it exists.
    Streamed,
    /// All of it in one frame.
    Whole,
}

/// Frames about an answer that only clients that ask for them get, because older clients would show
/// them as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Reports {
    /// `report_end`: why the answer ended.
    #[serde(rename = "report_end", deserialize_with = "null_as_default")]
    pub end: bool,
    /// `report_thinking`: what the model thought before it answered.
    #[serde(rename = "report_thinking", deserialize_with = "null_as_default")]
    pub thinking: bool,
}

/// What an object with a message has beside the reports and the parameters.
#[derive(Deserialize)]
struct Asked {
    message: String,
    #[serde(deserialize_with = "null_as_default")]
    history: Vec<HttpMessage>,
    stream: Option<bool>,
}

/// The sampling parameters as this language writes them.
#[derive(Deserialize)]
struct Sampling {
    #[serde(deserialize_with = "ranges::max_tokens")]
    max_tokens: Option<u32>,
    #[serde(deserialize_with = "ranges::temperature")]
    temperature: Option<f32>,
    #[serde(deserialize_with = "ranges::plain_top_p")]
    top_p: Option<f32>,
    #[serde(deserialize_with = "ranges::repetition_penalty")]
    repetition_penalty: Option<f32>,
    #[serde(deserialize_with = "ranges::top_k")]
    top_k: Option<u32>,
    #[serde(deserialize_with = "ranges::min_p")]
    min_p: Option<f32>,
    #[serde(deserialize_with = "ranges::presence_penalty")]
    presence_penalty: Option<f32>,
    #[serde(deserialize_with = "ranges::frequency_penalty")]
    frequency_penalty: Option<f32>,
    #[serde(deserialize_with = "ranges::seed")]
    seed: Option<u64>,
    #[serde(deserialize_with = "ranges::plain_stop")]
    stop: Vec<String>,
}

/// Reads one text frame of a client.
pub fn parse(frame: &str) -> Result<ClientMessage, Fault> {
    let value = tree::read(frame).map_err(|error| Fault::BadJson { reason: error.to_string() })?;
    let Value::Object(object) = &value else {
        let reason = format!("expected an object, found {}", tree::show(&value));
        return Err(Fault::BadJson { reason });
    };
    if object.get("stop") == Some(&Value::Bool(true)) {
        let has_message = object.get("message").is_some_and(|message| *message != Value::Null);
        // A dropped message is not answered, so its fields are not checked.
        let dropped = has_message.then(|| read(&value).unwrap_or_default());
        return Ok(ClientMessage::Stop { dropped });
    }
    let asked: Asked = read(&value)?;
    let delivery = match asked.stream {
        None | Some(true) => Delivery::Streamed,
        Some(false) => Delivery::Whole,
    };
    let reports = read(&value)?;
    let parameters = read::<Sampling>(&value)?.into();
    let messages = conversation(asked.history, asked.message);
    Ok(ClientMessage::Ask(Box::new(Ask { messages, delivery, reports, parameters })))
}

/// The history and then the message, unless the history already ends with it.
fn conversation(history: Vec<HttpMessage>, message: String) -> Vec<Message> {
    let entry = |entry: HttpMessage| Message::new(entry.role.into(), entry.content);
    let mut messages: Vec<Message> = history.into_iter().map(entry).collect();
    let newest = Message::user(message);
    if messages.last() != Some(&newest) {
        messages.push(newest);
    }
    messages
}

impl From<Sampling> for Parameters {
    fn from(sampling: Sampling) -> Parameters {
        Parameters {
            max_tokens: sampling.max_tokens.unwrap_or(ranges::DEFAULT_MAX_TOKENS),
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            repetition_penalty: sampling.repetition_penalty,
            top_k: sampling.top_k,
            min_p: sampling.min_p,
            presence_penalty: sampling.presence_penalty,
            frequency_penalty: sampling.frequency_penalty,
            logit_bias: Vec::new(),
            seed: sampling.seed,
            stop_strings: sampling.stop,
        }
    }
}

impl From<Mistake> for Fault {
    /// In this language and in the HTTP bodies, a missing value is said to be `null`.
    fn from(mistake: Mistake) -> Fault {
        let found = match mistake.found {
            Found::Unseen | Found::Nothing => "null".into(),
            Found::Value(value) => value,
        };
        Failure::InvalidParameter { field: mistake.field, expected: mistake.expected, found }.into()
    }
}
