//! What engines say when something goes wrong, in the many forms in which they say it.
//!
//! The words are for people. They are shortened and cleaned, and shown to the operator and the
//! client. Decisions depend on them only where engines say the same in no other way.

use serde_json::{Map, Value};

pub(super) use crate::printable::printable;

/// How deep the words may be nested.
const MAX_DEPTH: usize = 5;
/// The names of fields with words, the most useful first.
const NAMES: [&str; 17] = [
    "message",
    "msg",
    "detail",
    "details",
    "error_message",
    "error_msg",
    "errorMessage",
    "error_description",
    "status_msg",
    "reason",
    "description",
    "title",
    "error",
    "errors",
    "err",
    "base_resp",
    "Error",
];

/// What an engine says went wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// The text for people; empty if there is none.
    pub(super) text: String,
    /// The codes for programs.
    codes: String,
    /// Fields of the request that are named as the cause.
    fields: Vec<String>,
    tokens: Option<usize>,
    limit: Option<usize>,
}

/// A conversation that does not fit: its tokens and the limit, if the engine says them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong {
    pub(super) tokens: Option<usize>,
    pub(super) limit: Option<usize>,
}

impl Words {
    /// The words in the body of a response.
    pub(super) fn read(body: &[u8]) -> Words {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Words::of(&value),
            Err(_) => Words::plain(&String::from_utf8_lossy(body)),
        }
    }

    /// The words in a JSON value.
    pub(super) fn of(error: &Value) -> Words {
        let mut words = Words::default();
        words.gather(error, 0);
        words.text = match text_of(error, 0) {
            Some(text) => printable(&text),
            None if is_said(error) => printable(&error.to_string()),
            None => String::new(),
        };
        words
    }

    /// The words in a text that is not JSON.
    pub(super) fn plain(text: &str) -> Words {
        Words { text: printable(&without_tags(text)), ..Words::default() }
    }

    /// The words of an object, if it is an error. `has_choices` says that it also has a part of an
    /// answer; then only a field that is named an error counts.
    pub(super) fn of_object(object: &Map<String, Value>, has_choices: bool) -> Option<Words> {
        let is_there = |name: &str| object.get(name).is_some_and(is_said);
        let has_text =
            |name: &str| matches!(object.get(name), Some(Value::String(text)) if !text.is_empty());
        let is_named = is_there("error") || is_there("errors") || is_there("Error");
        let is_typed = ["object", "type", "status", "event"]
            .iter()
            .any(|name| object.get(*name).and_then(Value::as_str) == Some("error"));
        let failed =
            |code: Option<&Value>| code.and_then(Value::as_i64).is_some_and(|code| code != 0);
        let has_code = failed(object.get("base_resp").and_then(|inner| inner.get("status_code")))
            || failed(object.get("error_code"));
        let is_bare = ["message", "msg", "error_msg", "error_message", "errorMessage"]
            .iter()
            .any(|name| has_text(name))
            || is_there("detail");
        let is_error = is_named || is_typed || (!has_choices && (has_code || is_bare));
        is_error.then(|| Words::of(&Value::Object(object.clone())))
    }

    /// Whether the error is that the conversation is too long. Each engine says this in its own
    /// words.
    pub(super) fn too_long(&self) -> Option<TooLong> {
        let words = self.text.to_lowercase();
        let has = |part: &&str| words.contains(*part);
        let is_about_context =
            words.contains("context") && ["length", "size", "window"].iter().any(has);
        // "max_tokens must be at most 8192, which is less than the context_window" is about the
        // answer, not about the conversation.
        let is_about_answer = words.contains("max_tokens") && !words.contains("context length");
        let is_said = (is_about_context && !is_about_answer) || TOO_LONG.iter().any(has);
        let is_coded =
            ["context_length_exceeded", "exceed_context_size", "context_window_exceeded"]
                .iter()
                .any(|code| self.codes.contains(code));
        if !is_said && !is_coded {
            return None;
        }
        let (mut tokens, mut limit) = (self.tokens, self.limit);
        if limit.is_none() {
            // "… maximum context length is LIMIT tokens … TOKENS …"
            let after = ["context length", "context window"]
                .iter()
                .find_map(|words_before| Some(words.find(words_before)? + words_before.len()));
            limit = after.and_then(|after| numbers(&words[after..]).next());
            tokens = numbers(&words).filter(|number| Some(*number) > limit).max();
        }
        Some(TooLong { tokens, limit })
    }

    /// Whether the words name a field of the request.
    pub(super) fn names(&self, field: &str) -> bool {
        self.blames(field) || has_word(&self.text, field)
    }

    /// Whether the error is said to be in this field of the request.
    pub(super) fn blames(&self, field: &str) -> bool {
        self.fields.iter().any(|named| named == field)
    }

    /// Whether the words say that something is unknown.
    pub(super) fn is_unknown(&self) -> bool {
        let words = self.text.to_lowercase();
        UNKNOWN.iter().any(|part| words.contains(part) || self.codes.contains(part))
    }

    /// Whether the words say what a value may be. Then the field is known, and the value is wrong.
    pub(super) fn is_about_value(&self) -> bool {
        let words = self.text.to_lowercase();
        VALUE.iter().any(|part| words.contains(part))
    }

    /// The longest answer that the engine makes, if the words say that `sent` tokens are too many.
    /// Without a number it is half of `sent`.
    pub(super) fn longest_answer(&self, sent: usize) -> Option<usize> {
        let words = self.text.to_lowercase();
        if ![
            "too",
            "exceed",
            "range",
            "maximum",
            "max ",
            "limit",
            "less than",
            "at most",
            "greater",
            "<=",
            "up to",
            "larger",
        ]
        .iter()
        .any(|part| words.contains(part))
        {
            return None;
        }
        let smaller = |text: &str| numbers(text).find(|number| (1..sent).contains(number));
        let told = BOUNDS.iter().find_map(|bound| {
            let after = words.find(bound)? + bound.len();
            let number = smaller(&words[after..])?;
            let is_below = bound.ends_with("less than ") || bound.ends_with("below ");
            Some(number - usize::from(is_below && number > 1))
        });
        told.or_else(|| numbers(&words).filter(|number| (1..sent).contains(number)).max())
            .or_else(|| (sent > 1).then_some(sent / 2))
    }

    /// Collects codes, fields and numbers at any depth.
    fn gather(&mut self, error: &Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match error {
            Value::Array(entries) => {
                entries.iter().take(8).for_each(|entry| self.gather(entry, depth + 1));
            }
            Value::Object(object) => {
                for name in ["type", "code", "status"] {
                    if let Some(code) = object.get(name).and_then(Value::as_str) {
                        self.codes.push_str(&code.to_lowercase());
                        self.codes.push(' ');
                    }
                }
                let number = |name| Some(object.get(name)?.as_u64()? as usize);
                self.tokens = self.tokens.or(number("n_prompt_tokens"));
                self.limit = self.limit.or(number("n_ctx"));
                let param = object.get("param").and_then(Value::as_str);
                let location = object.get("loc").and_then(Value::as_array).into_iter().flatten();
                let named = param.into_iter().chain(location.filter_map(Value::as_str));
                self.fields.extend(named.filter(|name| *name != "body").map(str::to_owned));
                NAMES.iter().filter_map(|name| object.get(*name)).for_each(|inner| {
                    self.gather(inner, depth + 1);
                });
            }
            _ => {}
        }
    }
}

/// Words for a conversation that is too long, without "context".
const TOO_LONG: [&str; 7] = [
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "input too long",
    "maximum input length",
    "maximum prompt length",
    "`inputs` tokens",
];

/// Words for a field that is not accepted.
const UNKNOWN: [&str; 20] = [
    "unsupported",
    "not supported",
    "not support",
    "unknown",
    "unrecognized",
    "unrecognised",
    "not recognized",
    "unexpected",
    "extra",
    "not permitted",
    "not allowed",
    "additional propert",
    "not implemented",
    "not accept",
    "no such",
    "invalid parameter",
    "invalid field",
    "deprecated",
    "cannot be used",
    "only the default",
];

/// Words for a value that is out of its range.
const VALUE: [&str; 9] = [
    "must be",
    "should be",
    "range",
    "between",
    "less than",
    "greater than",
    "at most",
    "at least",
    "exceed",
];

/// Words before the largest accepted value.
const BOUNDS: [&str; 14] = [
    "at most ",
    "less than or equal to ",
    "smaller than or equal to ",
    "<= ",
    "<=",
    "up to ",
    "maximum of ",
    "maximum is ",
    "no more than ",
    "not exceed ",
    "not be greater than ",
    "limit of ",
    "be less than ",
    "be below ",
];

/// Whether a value of an error says anything.
fn is_said(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(entries) => !entries.is_empty(),
        Value::Object(object) => !object.is_empty(),
    }
}

fn text_of(value: &Value, depth: usize) -> Option<String> {
    if depth > MAX_DEPTH || !is_said(value) {
        return None;
    }
    match value {
        Value::String(text) => {
            // Gateways put the error of their engine into their own error, as text.
            let inner = text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok());
            let inner = inner.flatten().and_then(|inner: Value| text_of(&inner, depth + 1));
            Some(inner.unwrap_or_else(|| without_tags(text)))
        }
        Value::Array(entries) => {
            let texts = entries.iter().take(4).filter_map(|entry| text_of(entry, depth + 1));
            let joined = texts.collect::<Vec<String>>().join("; ");
            (!joined.is_empty()).then_some(joined)
        }
        Value::Object(object) => {
            let names = NAMES.iter().filter_map(|name| object.get(*name));
            let text = names.filter_map(|inner| text_of(inner, depth + 1)).next()?;
            let location = object.get("loc").and_then(Value::as_array).into_iter().flatten();
            let location: Vec<&str> = location.filter_map(Value::as_str).collect();
            match location.is_empty() {
                true => Some(text),
                false => Some(format!("{}: {text}", location.join("."))),
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::Null => None,
    }
}

/// The text of a web page, because proxies answer with one.
fn without_tags(text: &str) -> String {
    if !text.trim_start().starts_with('<') {
        return text.to_owned();
    }
    let mut plain = String::new();
    for part in text.split('<') {
        let (tag, rest) = part.split_once('>').unwrap_or(("", part));
        let is_code = ["style", "script"].iter().any(|name| tag.starts_with(name));
        if !is_code {
            plain.push(' ');
            plain.push_str(rest);
        }
    }
    plain
}

/// Whether a text contains a word; a word may have underscores, as names of fields do.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// The whole numbers of a text.
fn numbers(text: &str) -> impl Iterator<Item = usize> + '_ {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printable::MOST_CHARACTERS;

    fn text(body: &str) -> String {
        Words::read(body.as_bytes()).text
    }

    #[test]
    fn the_words_are_found_wherever_they_lie() {
        let cases = [
            (r#"{"error":{"message":"because","code":400}}"#, "because"),
            (r#"{"error":"because"}"#, "because"),
            (r#"{"object":"error","message":"because","code":500}"#, "because"),
            (r#"{"detail":"because"}"#, "because"),
            (
                r#"{"detail":[{"loc":["body","seed"],"msg":"because","input":"secret"}]}"#,
                "body.seed: because",
            ),
            (r#"{"errors":[{"message":"one"},{"message":"two"}]}"#, "one; two"),
            (r#"{"base_resp":{"status_code":1004,"status_msg":"because"}}"#, "because"),
            (r#"{"error_code":17,"error_msg":"because"}"#, "because"),
            (r#"{"error":{"message":"{\"error\":{\"message\":\"because\"}}"}}"#, "because"),
            (r#"{"error":{"type":"server_error"}}"#, r#"{"error":{"type":"server_error"}}"#),
            (r#""because""#, "because"),
            ("because", "because"),
            ("<html><style>p {}</style><h1>502</h1>\n<p>Bad Gateway</p></html>", "502 Bad Gateway"),
            ("", ""),
            ("{}", ""),
        ];
        for (body, expected) in cases {
            assert_eq!(text(body), expected, "{body}");
        }
    }

    #[test]
    fn words_are_one_clean_line() {
        assert_eq!(printable("a\n\tb\u{202e}c\u{0}  d "), "a bc d");
        let cut = printable(&"你".repeat(1_000));
        assert_eq!((cut.chars().count(), cut.ends_with('…')), (MOST_CHARACTERS + 1, true));
        let nested = "[".repeat(100) + &"]".repeat(100);
        assert!(text(&nested).starts_with('['));
    }

    #[test]
    fn an_object_is_an_error_only_if_it_says_so() {
        let of = |json: &str, has_choices| {
            let value: Value = serde_json::from_str(json).expect("JSON");
            Words::of_object(value.as_object().expect("an object"), has_choices)
        };
        let errors = [
            r#"{"error":{"message":"x"}}"#,
            r#"{"error":"x"}"#,
            r#"{"errors":["x"]}"#,
            r#"{"object":"error","message":"x"}"#,
            r#"{"type":"error","error":{}, "message":"x"}"#,
            r#"{"detail":"x"}"#,
            r#"{"detail":[{"msg":"x"}]}"#,
            r#"{"message":"x","code":500}"#,
            r#"{"code":1301,"msg":"x"}"#,
            r#"{"base_resp":{"status_code":1004,"status_msg":"x"}}"#,
        ];
        for json in errors {
            assert_eq!(of(json, false).expect(json).text, "x", "{json}");
        }
        assert!(of(r#"{"error":{"message":"x"},"choices":[{}]}"#, true).is_some());
        let harmless = [
            r#"{"error":null}"#,
            r#"{"error":false,"detail":null,"message":""}"#,
            r#"{"error":{},"errors":[]}"#,
            r#"{"base_resp":{"status_code":0,"status_msg":""}}"#,
            r#"{"usage":{"prompt_tokens":1}}"#,
            r#"{"object":"chat.completion.chunk","type":"chunk"}"#,
        ];
        for json in harmless {
            assert_eq!(of(json, false), None, "{json}");
        }
        assert_eq!(of(r#"{"message":"x","choices":[{}]}"#, true), None);
    }

    #[test]
    fn the_longest_answer_is_read_from_the_words() {
        let cases = [
            (
                "max_tokens is too large: 2048. This model supports at most 1024 completion tokens, whereas you provided 2048.",
                Some(1024),
            ),
            ("Invalid max_tokens value, the valid range of max_tokens is [1, 1024]", Some(1024)),
            ("Range of max_tokens should be [1,1024]", Some(1024)),
            (
                "max_tokens: 2048 > 1024, which is the maximum allowed number of output tokens",
                Some(1024),
            ),
            (
                "`max_tokens` must be less than or equal to `1024`, the maximum value for `max_tokens` is less than the `context_window` for this model",
                Some(1024),
            ),
            ("max_tokens must be less than 1024", Some(1023)),
            ("max_tokens is too large", Some(1024)),
            ("max_tokens: Extra inputs are not permitted", None),
        ];
        for (text, expected) in cases {
            let words = Words::plain(text);
            assert_eq!(words.longest_answer(2_048), expected, "{text}");
            assert_eq!(words.too_long(), None, "{text}");
        }
    }

    #[test]
    fn fields_are_named_as_words_or_by_their_place() {
        let by_place = Words::read(br#"{"detail":[{"loc":["body","stream_options"],"msg":"no"}]}"#);
        assert!(by_place.names("stream_options") && !by_place.names("stream"));
        let by_param = Words::read(br#"{"error":{"message":"no","param":"seed"}}"#);
        assert!(by_param.names("seed"));
        let by_word = Words::plain("Unrecognized request argument supplied: top_k");
        assert!(by_word.names("top_k") && !by_word.names("top") && by_word.is_unknown());
    }
}
