//! Why an engine could not be used, or gave no answer.

use std::time::Duration;

use super::sse::EventError;
use super::words::{TooLong, Words, printable};
use crate::client;

/// Why an engine could not be used, or gave no answer. `Display` leaves out the engine's own words;
/// [`EngineError::words`] has them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// There is no connection.
    #[error("{0}")]
    Connection(String),
    /// The connection broke in the middle of a response.
    #[error("{0}")]
    Broken(String),
    /// It was silent for too long.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// It has failed several times in a row, and gets no requests for a while.
    #[error("it has failed several times in a row, so it gets no requests for {} ms", .retry_in.as_millis())]
    Resting {
        /// How long this still lasts.
        retry_in: Duration,
    },
    /// It has too much to do, or is not ready.
    #[error("it is busy (status {status})")]
    Busy {
        /// 429 or 503.
        status: u16,
        /// When to ask again, if it says so.
        retry_after: Option<Duration>,
        /// Its words, shortened.
        words: String,
    },
    /// The conversation does not fit.
    #[error("the conversation does not fit its context; shorten it")]
    TooLong {
        /// The tokens of the conversation, if they are known.
        tokens: Option<usize>,
        /// The tokens that fit, if that is known.
        limit: Option<usize>,
    },
    /// A parameter that it does not accept.
    #[error("{field}: expected {expected}, found {found}")]
    Parameter {
        /// The parameter, as clients of banter call it.
        field: &'static str,
        /// What it accepts.
        expected: String,
        /// What was asked for.
        found: String,
    },
    /// It needs a key, or another key.
    #[error("it refuses the key, or needs one (status {status}); set it with --engine-key")]
    NotAllowed {
        /// 401 or 403.
        status: u16,
        /// What it said, shortened.
        words: String,
    },
    /// It answered with a redirect.
    #[error(
        "it answered with a redirect (status {0}), which is not followed; use the address that it leads to"
    )]
    Redirect(u16),
    /// It has refused the request, or failed.
    #[error("it answered {asked} with status {status}")]
    Status {
        /// The method and the path that were asked for.
        asked: String,
        /// The status.
        status: u16,
        /// What it said, shortened.
        words: String,
    },
    /// It has begun an answer and then failed.
    #[error("it failed in the middle of the answer")]
    Failed(String),
    /// All tokens of the answer were used for thinking, before its first word.
    #[error(
        "all tokens of the answer were used for thinking, before its first word; ask for more (max_tokens)"
    )]
    UsedUp,
    /// Its response is not an answer.
    #[error("{0}")]
    Unexpected(String),
    /// It has several models, or does not have the wanted one.
    #[error("{what}; it has {}", list(.there))]
    Model {
        /// What was expected.
        what: String,
        /// Its models.
        there: Vec<String>,
    },
}

/// A response that refuses the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RefusalResponse {
    /// The method and the path that were asked for.
    pub(super) asked: String,
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) words: Words,
}

impl EngineError {
    /// The engine's own words, at most one line.
    pub fn words(&self) -> Option<&str> {
        match self {
            EngineError::Status { words, .. }
            | EngineError::Busy { words, .. }
            | EngineError::NotAllowed { words, .. }
            | EngineError::Failed(words) => Some(words).filter(|words| !words.is_empty()),
            _ => None,
        }
        .map(String::as_str)
    }

    /// What went wrong, without names, addresses and the engine's words: for strangers.
    pub fn summary(&self) -> String {
        match self {
            EngineError::Connection(_) => "no connection".to_owned(),
            EngineError::Broken(_) => "the connection broke".to_owned(),
            EngineError::Unexpected(_) => "its answer cannot be read".to_owned(),
            EngineError::Model { .. } => "it does not have the model".to_owned(),
            EngineError::NotAllowed { status, .. } => {
                format!("it refuses the key (status {status})")
            }
            EngineError::Status { status, .. } => format!("it answered with status {status}"),
            other => other.to_string(),
        }
    }

    /// The error for a failure of the connection.
    pub(super) fn of_connection(error: &reqwest::Error) -> EngineError {
        let reason = client::reason(error);
        match error.is_connect() {
            true => EngineError::Connection(reason),
            false => EngineError::Broken(reason),
        }
    }

    /// The error for one in the middle of a stream.
    pub(super) fn of_stream(words: Words) -> EngineError {
        words.too_long().map_or(EngineError::Failed(words.text), EngineError::from)
    }
}

impl From<RefusalResponse> for EngineError {
    fn from(refusal: RefusalResponse) -> EngineError {
        let RefusalResponse { asked, status, retry_after, words } = refusal;
        match status {
            300..=399 => EngineError::Redirect(status),
            401 | 403 => EngineError::NotAllowed { status, words: words.text },
            429 | 503 => EngineError::Busy { status, retry_after, words: words.text },
            413 => EngineError::TooLong { tokens: None, limit: None },
            _ => match words.too_long() {
                Some(too_long) => too_long.into(),
                None => EngineError::Status { asked, status, words: words.text },
            },
        }
    }
}

impl From<TooLong> for EngineError {
    fn from(TooLong { tokens, limit }: TooLong) -> EngineError {
        EngineError::TooLong { tokens, limit }
    }
}

impl From<EventError> for EngineError {
    fn from(error: EventError) -> EngineError {
        EngineError::Unexpected(error.to_string())
    }
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

    fn of_status(status: u16, body: &str) -> EngineError {
        let words = Words::read(body.as_bytes());
        let asked = "POST /v1/chat/completions".to_owned();
        RefusalResponse { asked, status, retry_after: None, words }.into()
    }

    #[test]
    fn the_engines_words_about_length_are_understood() {
        let cases = [
            (
                r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (2952 in the messages, 2048 in the completion).","type":"BadRequestError","code":400}"#,
                (Some(5000), Some(4096)),
            ),
            (
                r#"{"error":{"message":"'max_tokens' or 'max_completion_tokens' is too large: 2048. This model's maximum context length is 512 tokens and your request has 30 input tokens.","code":400}}"#,
                (Some(2048), Some(512)),
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
            (r#"{"error":"prompt is too long"}"#, (None, None)),
        ];
        for (body, (tokens, limit)) in cases {
            assert_eq!(of_status(400, body), EngineError::TooLong { tokens, limit }, "{body}");
        }
    }

    #[test]
    fn statuses_say_what_they_mean_with_the_engines_words() {
        let because = r#"{"error": {"message": "because\nof reasons"}}"#;
        assert_eq!(of_status(302, ""), EngineError::Redirect(302));
        assert_eq!(of_status(413, ""), EngineError::TooLong { tokens: None, limit: None });
        for status in [400, 401, 403, 404, 409, 422, 429, 500, 502, 503] {
            let error = of_status(status, because);
            assert_eq!(error.words(), Some("because of reasons"), "{status}");
            for text in [error.to_string(), error.summary()] {
                assert!(text.contains(&status.to_string()) && !text.contains("because"), "{text}");
            }
        }
        let error = of_status(404, "");
        assert_eq!(error.to_string(), "it answered POST /v1/chat/completions with status 404");
        assert_eq!(error.words(), None);
    }
}
