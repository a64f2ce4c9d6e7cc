//! Reads bytes as a request, and checks the range of every value.

use super::raw::{self, Object, Value};
use crate::Fault;
use banter_seam::{Asker, Failure, GenerateRequest, Message, Parameters, Role};
use std::ops::RangeInclusive;

const MAX_TOKENS: RangeInclusive<u64> = 1..=1_000_000;
const TEMPERATURE: RangeInclusive<f64> = 0.0..=2.0;
const TOP_P: RangeInclusive<f64> = 0.1..=1.0;
const REPETITION_PENALTY: RangeInclusive<f64> = 0.5..=2.0;
/// 0 switches the filter off. No vocabulary is larger than the upper limit.
const TOP_K: RangeInclusive<u64> = 0..=1_000_000;
const MIN_P: RangeInclusive<f64> = 0.0..=1.0;
const PRESENCE_PENALTY: RangeInclusive<f64> = -2.0..=2.0;
const FREQUENCY_PENALTY: RangeInclusive<f64> = -2.0..=2.0;
const SEED: RangeInclusive<u64> = 0..=u64::MAX;

/// Every parameter that a request may have.
pub const PARAMETERS: [&str; 10] = [
    "max_tokens",
    "temperature",
    "top_p",
    "repetition_penalty",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
];

/// How many tokens an answer may have if the client does not say it.
pub const DEFAULT_MAX_TOKENS: u32 = 2_048;
/// The limits of `stop` as strings; beyond them the request is refused. Each string costs a
/// comparison for each character of the answer.
const MAX_STOP_STRINGS: usize = 16;
const MAX_STOP_BYTES: usize = 256;

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
        GenerateRequest { messages: self.messages, parameters: self.parameters, asker }
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reports {
    /// `report_end`: why the answer ended.
    pub end: bool,
    /// `report_thinking`: what the model thought before it answered.
    pub thinking: bool,
}

/// Reads one text frame of a client.
pub fn parse(frame: &str) -> Result<ClientMessage, Fault> {
    let value = raw::read(frame).map_err(|error| Fault::BadJson { reason: error.to_string() })?;
    let Value::Object(mut object) = value else {
        let reason = format!("expected an object, found {}", raw::show(&value));
        return Err(Fault::BadJson { reason });
    };
    if object.get("stop") == Some(&Value::Bool(true)) {
        return Ok(ClientMessage::Stop { dropped: dropped_message(&mut object) });
    }
    let message = text(&mut object, "message")?;
    let messages = conversation(history(object.remove("history"))?, message);
    let delivery = match flag(&mut object, "stream")? {
        None | Some(true) => Delivery::Streamed,
        Some(false) => Delivery::Whole,
    };
    let reports = reports(&mut object)?;
    let parameters = parameters(&mut object)?;
    Ok(ClientMessage::Ask(Box::new(Ask { messages, delivery, reports, parameters })))
}

/// The message in the object of a stop, if there is one. It is not answered, so its fields are not
/// checked.
fn dropped_message(object: &mut Object) -> Option<Reports> {
    match object.remove("message") {
        None | Some(Value::Null) => None,
        Some(_) => Some(reports(object).unwrap_or_default()),
    }
}

fn reports(object: &mut Object) -> Result<Reports, Fault> {
    Ok(Reports {
        end: flag(object, "report_end")?.unwrap_or(false),
        thinking: flag(object, "report_thinking")?.unwrap_or(false),
    })
}

fn flag(object: &mut Object, field: &str) -> Result<Option<bool>, Fault> {
    match object.remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(flag)),
        Some(other) => Err(invalid(field, "true or false", &other)),
    }
}

/// Appends the message, unless the history already ends with it.
fn conversation(mut history: Vec<Message>, message: String) -> Vec<Message> {
    let newest = Message { role: Role::User, content: message };
    if history.last() != Some(&newest) {
        history.push(newest);
    }
    history
}

fn history(value: Option<Value>) -> Result<Vec<Message>, Fault> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::List(entries)) => entries.into_iter().enumerate().map(read_message).collect(),
        Some(other) => Err(invalid("history", "a list of {role, content}", &other)),
    }
}

fn read_message((index, entry): (usize, Value)) -> Result<Message, Fault> {
    let Value::Object(mut entry) = entry else {
        let field = format!("history[{index}]");
        return Err(invalid(&field, "an object {role, content}", &entry));
    };
    let role = match entry.get("role") {
        Some(Value::Text(role)) if role == "system" => Role::System,
        Some(Value::Text(role)) if role == "user" => Role::User,
        Some(Value::Text(role)) if role == "assistant" => Role::Assistant,
        other => {
            let field = format!("history[{index}].role");
            let found = other.unwrap_or(&Value::Null);
            return Err(invalid(&field, "system, user or assistant", found));
        }
    };
    match entry.remove("content") {
        Some(Value::Text(content)) => Ok(Message { role, content }),
        other => {
            let field = format!("history[{index}].content");
            Err(invalid(&field, "a string", &other.unwrap_or(Value::Null)))
        }
    }
}

fn parameters(object: &mut Object) -> Result<Parameters, Fault> {
    Ok(Parameters {
        max_tokens: whole(object, "max_tokens", MAX_TOKENS)?
            .map_or(DEFAULT_MAX_TOKENS, fits_in_u32),
        temperature: float(object, "temperature", TEMPERATURE)?,
        top_p: float(object, "top_p", TOP_P)?,
        repetition_penalty: float(object, "repetition_penalty", REPETITION_PENALTY)?,
        top_k: whole(object, "top_k", TOP_K)?.map(fits_in_u32),
        min_p: float(object, "min_p", MIN_P)?,
        presence_penalty: float(object, "presence_penalty", PRESENCE_PENALTY)?,
        frequency_penalty: float(object, "frequency_penalty", FREQUENCY_PENALTY)?,
        seed: whole(object, "seed", SEED)?,
        stop_strings: stop_strings(object.remove("stop"))?,
    })
}

fn fits_in_u32(value: u64) -> u32 {
    u32::try_from(value).expect("the range of every such parameter lies within u32")
}

fn text(object: &mut Object, field: &str) -> Result<String, Fault> {
    match object.remove(field) {
        Some(Value::Text(text)) => Ok(text),
        other => Err(invalid(field, "a string", &other.unwrap_or(Value::Null))),
    }
}

fn whole(
    object: &mut Object,
    field: &str,
    range: RangeInclusive<u64>,
) -> Result<Option<u64>, Fault> {
    let value = match object.remove(field) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let number = match value {
        Value::Whole(whole) => Some(whole),
        Value::Number(number) => whole_of(number),
        _ => None,
    };
    match number {
        Some(number) if range.contains(&number) => Ok(Some(number)),
        _ => {
            let expected = format!("a whole number from {} to {}", range.start(), range.end());
            Err(invalid(field, &expected, &value))
        }
    }
}

/// The whole number that a client has written as `5.0`, because some languages have no whole
/// numbers. From 2⁵³ on, an `f64` stands for several whole numbers, so there it is refused.
fn whole_of(number: f64) -> Option<u64> {
    const FIRST_AMBIGUOUS: f64 = 9_007_199_254_740_992.0;
    let is_whole = number.fract() == 0.0 && (0.0..FIRST_AMBIGUOUS).contains(&number);
    is_whole.then_some(number as u64)
}

fn float(
    object: &mut Object,
    field: &str,
    range: RangeInclusive<f64>,
) -> Result<Option<f32>, Fault> {
    let value = match object.remove(field) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let number = match value {
        Value::Whole(whole) => Some(whole as f64),
        Value::Number(number) => Some(number),
        _ => None,
    };
    match number {
        Some(number) if range.contains(&number) => Ok(Some(number as f32)),
        _ => {
            let expected = format!("a number from {:?} to {:?}", range.start(), range.end());
            Err(invalid(field, &expected, &value))
        }
    }
}

/// `stop` as strings: one, or a list. `false` means the same as leaving it out.
fn stop_strings(value: Option<Value>) -> Result<Vec<String>, Fault> {
    let values = match value {
        None | Some(Value::Null | Value::Bool(false)) => return Ok(Vec::new()),
        Some(Value::List(values)) if values.len() <= MAX_STOP_STRINGS => values,
        Some(text @ Value::Text(_)) => vec![text],
        Some(other) => {
            let expected = format!("true, a string, or at most {MAX_STOP_STRINGS} strings");
            return Err(invalid("stop", &expected, &other));
        }
    };
    let check = |(index, value)| match value {
        Value::Text(text) if (1..=MAX_STOP_BYTES).contains(&text.len()) => Ok(text),
        other => {
            let expected = format!("a string of 1 to {MAX_STOP_BYTES} bytes");
            Err(invalid(&format!("stop[{index}]"), &expected, &other))
        }
    };
    values.into_iter().enumerate().map(check).collect()
}

fn invalid(field: &str, expected: &str, found: &Value) -> Fault {
    let (field, expected) = (field.to_owned(), expected.to_owned());
    Failure::InvalidParameter { field, expected, found: raw::show(found) }.into()
}
