//! What can go wrong with an engine, and how its words about it are understood.

use std::time::Duration;

use serde_json::Value;

use super::sse::EventError;
use crate::client;

/// Why an engine could not be used, or an answer could not be had. `Display` leaves out what the
/// engine itself has said, as that may repeat what people wrote; [`EngineError::words`] has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// There is no connection, or it broke.
    #[error("{0}")]
    Connection(String),
    /// It has said nothing for too long.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// It has failed again and again and is left alone for a while.
    #[error("it has failed several times in a row; the next try is in {} ms", .retry_in.as_millis())]
    Resting {
        /// How long yet.
        retry_in: Duration,
    },
    /// It has too much to do, or is not ready.
    #[error("it is busy (status {status})")]
    Busy {
        /// 429 or 503.
        status: u16,
        /// When to ask again, as it says.
        retry_after: Option<Duration>,
    },
    /// The conversation does not fit.
    #[error("the conversation does not fit its context")]
    TooLong {
        /// What the conversation needs, as far as known.
        tokens: Option<usize>,
        /// What fits, as far as known.
        limit: Option<usize>,
    },
    /// A parameter that it does not take.
    #[error("{field}: expected {expected}, found {found}")]
    Parameter {
        /// The parameter, as clients of banter call it.
        field: &'static str,
        /// What it takes.
        expected: String,
        /// What was asked for.
        found: String,
    },
    /// It wants a key, or another one.
    #[error("it refuses the key (status {0}); --engine-key names one")]
    NotAllowed(u16),
    /// It leads elsewhere.
    #[error(
        "it answered with a redirect (status {0}), which is not followed; name its own address"
    )]
    Redirect(u16),
    /// It has refused, or failed.
    #[error("it answered with status {status}")]
    Status {
        /// The status.
        status: u16,
        /// What it said, shortened.
        words: String,
    },
    /// It has begun an answer and then failed.
    #[error("it failed in the middle of the answer")]
    Failed(String),
    /// What it sends is no answer.
    #[error("{0}")]
    Strange(String),
    /// It has several models, or not the one that was asked for.
    #[error("{what}; it has {}", list(.there))]
    Model {
        /// What was expected.
        what: String,
        /// Its models.
        there: Vec<String>,
    },
}

/// Longest part of an engine's words that is repeated.
const WORDS: usize = 200;

impl EngineError {
    /// What the engine itself has said, one line at most.
    pub fn words(&self) -> Option<&str> {
        match self {
            EngineError::Status { words, .. } | EngineError::Failed(words) => Some(words),
            _ => None,
        }
    }

    /// What a failed connection means.
    pub(super) fn of_connection(error: &reqwest::Error) -> EngineError {
        EngineError::Connection(client::reason(error))
    }

    /// What a status other than success means.
    pub(super) fn of_status(
        status: u16,
        retry_after: Option<Duration>,
        body: &[u8],
    ) -> EngineError {
        let words = Words::read(body);
        match status {
            300..=399 => EngineError::Redirect(status),
            401 | 403 => EngineError::NotAllowed(status),
            429 | 503 => EngineError::Busy { status, retry_after },
            _ => words.too_long().unwrap_or(EngineError::Status { status, words: words.text }),
        }
    }

    /// What an error in the middle of a stream means.
    pub(super) fn of_stream(error: &Value) -> EngineError {
        let words = Words::of(error);
        words.too_long().unwrap_or(EngineError::Failed(words.text))
    }
}

impl From<EventError> for EngineError {
    fn from(error: EventError) -> EngineError {
        EngineError::Strange(error.to_string())
    }
}

/// What an engine says went wrong.
struct Words {
    text: String,
    code: String,
    tokens: Option<usize>,
    limit: Option<usize>,
}

impl Words {
    fn read(body: &[u8]) -> Words {
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(mut object)) => {
                let inner = ["error", "detail"].iter().find_map(|name| object.remove(*name));
                Words::of(&inner.unwrap_or(Value::Object(object)))
            }
            Ok(other) => Words::of(&other),
            Err(_) => Words::of(&Value::String(String::from_utf8_lossy(body).into_owned())),
        }
    }

    fn of(error: &Value) -> Words {
        let text = |name| error.get(name).and_then(Value::as_str);
        let number = |name| Some(error.get(name)?.as_u64()? as usize);
        let words = error.as_str().or_else(|| text("message")).map(str::to_owned);
        let words = words.unwrap_or_else(|| error.to_string());
        Words {
            text: printable(&words),
            code: [text("type"), text("code")].into_iter().flatten().collect::<Vec<_>>().join(" "),
            tokens: number("n_prompt_tokens"),
            limit: number("n_ctx"),
        }
    }

    /// Whether it is the length of the conversation. Engines say so in words of their own.
    fn too_long(&self) -> Option<EngineError> {
        let words = self.text.to_lowercase();
        let is_said = words.contains("context")
            && ["length", "size", "window"].iter().any(|word| words.contains(word));
        let is_coded = ["context_length_exceeded", "exceed_context_size_error"]
            .iter()
            .any(|code| self.code.contains(code));
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
        Some(EngineError::TooLong { tokens, limit })
    }
}

/// The whole numbers of a text.
fn numbers(text: &str) -> impl Iterator<Item = usize> + '_ {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok())
}

/// Without control characters, and not longer than a line.
fn printable(text: &str) -> String {
    let text = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    text.take(WORDS).collect::<String>().trim().to_owned()
}

fn list(models: &[String]) -> String {
    const SHOWN: usize = 10;
    if models.is_empty() {
        return "none".to_owned();
    }
    let more = if models.len() > SHOWN { ", …" } else { "" };
    let shown: Vec<String> = models.iter().take(SHOWN).map(|model| printable(model)).collect();
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_words_about_length_are_understood() {
        let cases = [
            (
                r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (2952 in the messages, 2048 in the completion).","type":"BadRequestError","code":400}"#,
                (Some(5000), Some(4096)),
            ),
            (
                r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_prompt_tokens":700,"n_ctx":512}}"#,
                (Some(700), Some(512)),
            ),
            (
                r#"{"error":{"message":"Requested tokens (600) exceed context window of 512","type":"internal_server_error","code":null}}"#,
                (Some(600), Some(512)),
            ),
            (
                r#"{"message":"The input (9000 tokens) is longer than the model's context length (8192 tokens)."}"#,
                (Some(9000), Some(8192)),
            ),
            (r#"{"error":{"message":"no","code":"context_length_exceeded"}}"#, (None, None)),
        ];
        for (body, (tokens, limit)) in cases {
            let found = EngineError::of_status(400, None, body.as_bytes());
            assert_eq!(found, EngineError::TooLong { tokens, limit }, "{body}");
        }
    }

    #[test]
    fn other_statuses_say_what_they_mean() {
        let of = |status, body: &str| EngineError::of_status(status, None, body.as_bytes());
        assert_eq!(of(302, ""), EngineError::Redirect(302));
        assert_eq!(of(401, "{}"), EngineError::NotAllowed(401));
        assert_eq!(of(429, ""), EngineError::Busy { status: 429, retry_after: None });
        let words = "a\nb".to_owned() + &"x".repeat(1_000);
        match of(500, &words) {
            EngineError::Status { status: 500, words } => {
                assert_eq!(words.len(), WORDS);
                assert!(words.starts_with("a b"));
            }
            other => panic!("{other:?}"),
        }
    }
}
