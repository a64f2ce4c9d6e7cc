//! One event of an answer, which OpenAI's interface calls a chunk, in the forms of many engines.
//!
//! It ignores unknown fields and types that are not needed. It is strict with text that is shown:
//! an event that may have text of the answer and cannot be read ends the answer.

use banter_seam::Logprobs;
use serde_json::{Map, Value};

use super::calls::CallPiece;
use super::finish::Finish;
use super::log_probabilities;
use super::sse::Event;
use super::words::Words;

/// What an event says.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// What the model thinks before it answers.
    pub(super) thinking: String,
    /// A delta of the answer.
    pub(super) text: String,
    /// Pieces of calls of functions.
    pub(super) calls: Vec<CallPiece>,
    /// The field that the delta and the calls came from.
    pub(super) field: Option<TextField>,
    /// Of the delta's tokens.
    pub(super) logprobs: Vec<Logprobs>,
    pub(super) finish: Option<Finish>,
    /// The stop string that has ended the answer, as vLLM and SGLang say it.
    pub(super) stop_string: Option<String>,
    /// It says that more of the answer follows.
    pub(super) goes_on: bool,
    pub(super) usage: Option<Usage>,
    pub(super) timings: Option<Timings>,
    pub(super) error: Option<Words>,
}

/// The fields in which engines write answers. After they have streamed an answer as `delta`, some
/// write all of it into `message` again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextField {
    Delta,
    Message,
    Text,
}

/// Tokens, as the engine counts them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub(super) prompt_tokens: Option<usize>,
    pub(super) completion_tokens: Option<usize>,
    pub(super) cached_tokens: Option<usize>,
}

/// What llama-server measures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timings {
    pub(super) prompt_n: Option<usize>,
    pub(super) cache_n: Option<usize>,
    pub(super) predicted_n: Option<usize>,
    pub(super) predicted_per_second: Option<f64>,
}

/// What one event means.
#[derive(Debug)]
pub(super) enum Said {
    Chunk(Box<Chunk>),
    /// Nothing; for example an event that only keeps the connection open.
    Nothing,
    /// `[DONE]`.
    Over,
    /// It cannot be read, and may have had text of the answer.
    Unreadable,
}

impl Said {
    pub(super) fn read(event: &Event) -> Said {
        let data = event.data.trim();
        let name = event.name.as_deref().unwrap_or_default().trim();
        if data.eq_ignore_ascii_case("[DONE]") {
            return Said::Over;
        }
        let value = serde_json::from_str(data).ok();
        let value = value.or_else(|| serde_json::from_str(&with_whole_characters(data)?).ok());
        if name.to_ascii_lowercase().contains("error") {
            let words = value.as_ref().map_or_else(|| Words::plain(data), Words::of);
            return Said::of_error(words);
        }
        match value {
            Some(Value::Object(object)) => Said::of_object(&object),
            // Google's gateways send an error as a list with one entry.
            Some(Value::Array(list)) => match list.first() {
                Some(Value::Object(object)) => Said::of_object(object),
                _ => Said::Nothing,
            },
            // No engine sends a number or a string alone as a chunk.
            Some(_) => Said::Nothing,
            None if data.is_empty() || is_keep_alive(name, data) => Said::Nothing,
            None => Said::Unreadable,
        }
    }

    fn of_error(words: Words) -> Said {
        Said::Chunk(Box::new(Chunk { error: Some(words), ..Chunk::default() }))
    }

    fn of_object(object: &Map<String, Value>) -> Said {
        let choices = match object.get("choices") {
            None | Some(Value::Null) => None,
            Some(Value::Array(choices)) => Some(choices),
            Some(_) => return Said::Unreadable,
        };
        let has_choices = choices.is_some_and(|choices| !choices.is_empty());
        if let Some(words) = Words::of_object(object, has_choices) {
            return Said::of_error(words);
        }
        let mut chunk = match choices.map(|choices| choices.first()) {
            // Ollama's own form has the fields of a choice at the top level.
            None => Chunk::of_choice(object),
            Some(None | Some(Value::Null)) => Chunk::default(),
            Some(Some(Value::Object(choice))) => Chunk::of_choice(choice),
            Some(Some(_)) => return Said::Unreadable,
        };
        chunk.usage = object.get("usage").and_then(Value::as_object).map(Usage::read);
        chunk.timings = object.get("timings").and_then(Value::as_object).map(Timings::read);
        Said::Chunk(Box::new(chunk))
    }
}

impl Chunk {
    fn of_choice(choice: &Map<String, Value>) -> Chunk {
        let finish = ["finish_reason", "done_reason"].iter().find_map(|name| choice.get(*name));
        // Ollama's own form says of each line whether it is the last.
        let done = choice.get("done").and_then(Value::as_bool);
        let finish = finish.and_then(Finish::read).or((done == Some(true)).then_some(Finish::Done));
        let stop = ["stop_reason", "matched_stop"].iter().find_map(|name| choice.get(*name));
        let mut chunk = Chunk {
            finish,
            stop_string: stop.and_then(Value::as_str).map(str::to_owned),
            goes_on: done == Some(false),
            logprobs: log_probabilities::read(choice),
            ..Chunk::default()
        };
        let fields = [("delta", TextField::Delta), ("message", TextField::Message)];
        for (name, field) in fields {
            let Some(part) = choice.get(name) else { continue };
            if chunk.thinking.is_empty() {
                chunk.thinking = thinking_beside(part);
            }
            chunk.say(field, part);
        }
        if let Some(text) = choice.get("text") {
            chunk.say(TextField::Text, text);
        }
        chunk
    }

    /// Takes the text and the calls of a field, unless another field had some before.
    fn say(&mut self, field: TextField, part: &Value) {
        if self.field.is_some() {
            return;
        }
        match part {
            Value::Object(object) => {
                self.text = answer_in(object, &mut self.thinking);
                self.calls = CallPiece::all_in(object);
            }
            Value::String(text) => self.text.clone_from(text),
            _ => {}
        }
        let says_something = !self.text.is_empty() || !self.calls.is_empty();
        self.field = says_something.then_some(field);
    }
}

/// The text of a `delta` or a `message` for the person: its content, or the model's refusal.
fn answer_in(object: &Map<String, Value>, thinking: &mut String) -> String {
    let mut text = String::new();
    for name in ["content", "refusal"] {
        match object.get(name) {
            Some(Value::String(content)) => text.push_str(content),
            Some(Value::Array(parts)) => {
                parts.iter().for_each(|part| add_part(part, &mut text, thinking));
            }
            Some(part @ Value::Object(_)) => add_part(part, &mut text, thinking),
            _ => {}
        }
    }
    text
}

/// One part of a content that is a list. A part that is neither text nor thinking, as a picture, is
/// ignored.
fn add_part(part: &Value, text: &mut String, thinking: &mut String) {
    let object = match part {
        Value::String(piece) => return text.push_str(piece),
        Value::Object(object) => object,
        _ => return,
    };
    let kind = object.get("type").and_then(Value::as_str).unwrap_or("text");
    if ["thinking", "reasoning", "thought"].iter().any(|name| kind.contains(name)) {
        let names = ["thinking", "reasoning", "text", "content", "summary"];
        let said = names.iter().filter_map(|name| object.get(*name)).map(plain);
        thinking.push_str(&said.into_iter().find(|said| !said.is_empty()).unwrap_or_default());
    } else if kind.contains("text") || kind == "refusal" {
        let names = ["text", "refusal", "content", "value", "parts"];
        let said = names.iter().filter_map(|name| object.get(*name)).map(plain);
        text.push_str(&said.into_iter().find(|said| !said.is_empty()).unwrap_or_default());
    }
}

/// What the model thinks. Engines use different names for this field, and some send the same text
/// under two names.
fn thinking_beside(part: &Value) -> String {
    let names = ["reasoning_content", "reasoning", "thinking", "thought", "reasoning_details"];
    let said = names.iter().filter_map(|name| part.get(*name)).map(plain);
    said.into_iter().find(|said| !said.is_empty()).unwrap_or_default()
}

/// The text of a string, of an object with text, or of a list of those.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(plain).collect(),
        Value::Object(object) => {
            let names = ["text", "content", "value", "thinking", "summary"];
            names.iter().filter_map(|name| object.get(*name)).map(plain).next().unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// Whether an event that is not JSON only keeps the connection open.
fn is_keep_alive(name: &str, data: &str) -> bool {
    const NAMES: [&str; 4] = ["ping", "keep", "heartbeat", "alive"];
    let is_one = |text: &str| {
        let text = text.to_ascii_lowercase();
        NAMES.iter().any(|name| text.contains(name))
    };
    is_one(name) || (data.len() <= 32 && is_one(data))
}

/// The same JSON with U+FFFD for each lone half of a character: engines that cut text by UTF-16
/// units write the two halves into two events. `None` if there is no such half.
fn with_whole_characters(json: &str) -> Option<String> {
    const ESCAPE: usize = "\\ud83c".len();
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut mended = String::with_capacity(json.len());
    let mut has_halves = false;
    let mut rest = json;
    while let Some(start) = rest.find('\\') {
        mended.push_str(&rest[..start]);
        rest = &rest[start..];
        let (first, second) = (unit(rest), rest.get(ESCAPE..).and_then(unit));
        let length = match (first, second) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 2 * ESCAPE,
            (Some(0xd800..=0xdfff), _) => {
                has_halves = true;
                mended.push_str("\\ufffd");
                rest = &rest[ESCAPE..];
                continue;
            }
            (Some(_), _) => ESCAPE,
            // A backslash and what it escapes.
            (None, _) => rest.char_indices().nth(2).map_or(rest.len(), |(end, _)| end),
        };
        mended.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    mended.push_str(rest);
    has_halves.then_some(mended)
}

/// A number of tokens, in any form of number.
fn count(object: &Map<String, Value>, name: &str) -> Option<usize> {
    let value = object.get(name)?;
    let number = value.as_u64().or_else(|| {
        // A cast of an `f64` saturates, so no value is out of range.
        value.as_f64().filter(|number| *number >= 0.0).map(|number| number as u64)
    })?;
    usize::try_from(number).ok()
}

impl Usage {
    fn read(object: &Map<String, Value>) -> Usage {
        let details = object.get("prompt_tokens_details").and_then(Value::as_object);
        Usage {
            prompt_tokens: count(object, "prompt_tokens"),
            completion_tokens: count(object, "completion_tokens"),
            cached_tokens: details.and_then(|details| count(details, "cached_tokens")),
        }
    }
}

impl Timings {
    fn read(object: &Map<String, Value>) -> Timings {
        Timings {
            prompt_n: count(object, "prompt_n"),
            cache_n: count(object, "cache_n"),
            predicted_n: count(object, "predicted_n"),
            predicted_per_second: object.get("predicted_per_second").and_then(Value::as_f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(data: &str) -> Said {
        Said::read(&Event { name: None, data: data.to_owned() })
    }

    fn chunk(value: &Value) -> Chunk {
        match said(&value.to_string()) {
            Said::Chunk(chunk) => *chunk,
            other => panic!("{value}: {other:?}"),
        }
    }

    #[test]
    fn content_is_joined_from_whatever_holds_text() {
        let cases = [
            (json!("two"), "two", ""),
            (json!(null), "", ""),
            (json!(5), "", ""),
            (json!(true), "", ""),
            (json!([]), "", ""),
            (json!([{"type": "text", "text": "t"}, {"type": "text", "text": "wo"}]), "two", ""),
            (json!(["t", "wo"]), "two", ""),
            (json!([{"text": "two"}, {"type": "image_url", "image_url": {"url": "u"}}]), "two", ""),
            (json!([{"type": "output_text", "text": {"value": "two"}}]), "two", ""),
            (json!({"text": "two"}), "two", ""),
            (json!({"parts": [{"text": "t"}, {"text": "wo"}]}), "two", ""),
            (json!({"type": "text", "text": "two"}), "two", ""),
            (
                json!([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, "two"]),
                "two",
                "hm",
            ),
            (json!([{"type": "reasoning", "text": "hm"}]), "", "hm"),
            (json!([null, 7, [], {"type": "tool_use", "text": "no"}]), "", ""),
        ];
        for (content, text, thinking) in cases {
            for field in ["delta", "message"] {
                let value = json!({"choices": [{field: {"content": content}}]});
                let chunk = chunk(&value);
                assert_eq!((&*chunk.text, &*chunk.thinking), (text, thinking), "{value}");
            }
        }
    }

    #[test]
    fn thinking_is_kept_apart_from_the_answer() {
        let cases = [
            json!({"reasoning_content": "hm"}),
            json!({"reasoning": "hm", "content": null}),
            json!({"thinking": "hm", "content": ""}),
            json!({"reasoning": {"content": "hm"}}),
            json!({"reasoning": "hm", "reasoning_content": "hm"}),
            json!({"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}),
            json!({"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}),
        ];
        for delta in cases {
            let chunk = chunk(&json!({"choices": [{"delta": delta}]}));
            assert_eq!((&*chunk.thinking, &*chunk.text), ("hm", ""), "{delta}");
        }
    }

    #[test]
    fn text_is_found_beside_the_delta_and_taken_once() {
        let cases = [
            (json!({"message": {"content": "two"}}), TextField::Message),
            (json!({"text": "two"}), TextField::Text),
            (json!({"delta": "two"}), TextField::Delta),
            (json!({"delta": {"refusal": "two", "content": null}}), TextField::Delta),
            (
                json!({"delta": {"content": "two"}, "message": {"content": "one two"}}),
                TextField::Delta,
            ),
            (json!({"delta": {"content": ""}, "message": {"content": "two"}}), TextField::Message),
        ];
        for (choice, field) in cases {
            let chunk = chunk(&json!({"choices": [choice]}));
            assert_eq!((&*chunk.text, chunk.field), ("two", Some(field)), "{choice}");
        }
    }

    #[test]
    fn ollamas_own_form_is_read_too() {
        let piece = json!({"model": "m", "message": {"role": "assistant", "content": "two"}, "done": false});
        let piece = chunk(&piece);
        assert_eq!((&*piece.text, piece.finish), ("two", None));
        let end = json!({"model": "m", "message": {"content": ""}, "done": true, "done_reason": "length"});
        assert_eq!(chunk(&end).finish, Some(Finish::Length));
    }

    #[test]
    fn figures_of_any_type_break_nothing() {
        for odd in [json!("none"), json!(null), json!([1]), json!(7)] {
            let chunk = chunk(&json!({"choices": [], "usage": odd, "timings": odd}));
            assert!(chunk.usage.is_none() && chunk.timings.is_none(), "{odd}");
        }
        let usage =
            json!({"prompt_tokens": 3.0, "completion_tokens": "4", "prompt_tokens_details": 5});
        let usage = chunk(&json!({"usage": usage})).usage.expect("an object");
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (Some(3), None));
    }

    #[test]
    fn events_without_an_answer_are_told_from_those_that_cannot_be_read() {
        for data in ["", "null", "7", "\"x\"", "ping", ": keep-alive", "[1, 2]"] {
            assert!(matches!(said(data), Said::Nothing), "{data}");
        }
        for data in ["nonsense", "{\"choices\": [{\"del", "{\"choices\": 7}", "{\"choices\": [7]}"]
        {
            assert!(matches!(said(data), Said::Unreadable), "{data}");
        }
        assert!(matches!(said("[DONE]"), Said::Over));
        let ping = Event { name: Some("ping".to_owned()), data: "since 12:00".to_owned() };
        assert!(matches!(Said::read(&ping), Said::Nothing));
    }

    #[test]
    fn an_event_named_error_is_one_whatever_it_holds() {
        for data in ["because", "{\"message\": \"because\"}", "\"because\""] {
            let event = Event { name: Some("error".to_owned()), data: data.to_owned() };
            let Said::Chunk(chunk) = Said::read(&event) else { panic!("{data}") };
            assert_eq!(chunk.error.expect("an error").text, "because", "{data}");
        }
    }

    #[test]
    fn halves_of_a_character_do_not_break_the_answer() {
        let half = r#"{"choices":[{"delta":{"content":"a\ud83c\\ud83c \ud83c\udf0d"}}]}"#;
        let Said::Chunk(chunk) = said(half) else { panic!("it is read") };
        assert_eq!(chunk.text, "a\u{fffd}\\ud83c 🌍");
        for text in ["\\", "\\u", "\\ud83", "\\你", "\\ud83c\\", "x\\n"] {
            with_whole_characters(text);
        }
    }
}
