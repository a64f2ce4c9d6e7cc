//! A client of `/v1/chat/completions`, as any server may have it: for measuring what people wait
//! for.

use std::time::Duration;

use reqwest::{Client, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::address::{Address, AddressError};
use crate::client::for_engine;
use crate::engine::EventReader;

/// Until a connection is established.
const CONNECT: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompletionError {
    /// The address is none.
    #[error("{found:?}: {error}")]
    Address {
        /// Why.
        error: AddressError,
        /// The address.
        found: String,
    },
    /// The server cannot be reached, or has broken off.
    #[error("{0}")]
    Connection(String),
    /// The server says no.
    #[error("the server answers {status}: {body}")]
    Refused {
        /// The status.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
    /// The server says something that is not in the interface.
    #[error("expected a stream of chat.completion.chunk, found {0}")]
    NoChunk(String),
}

/// A server, and the model that is asked.
#[derive(Clone, Debug)]
pub struct Completions {
    client: Client,
    /// The address above `/v1`.
    base: Address,
    key: Option<String>,
    model: String,
}

/// A question, and the limits of its answer.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The conversation, each message with `role` and `content`.
    pub messages: &'a [Value],
    /// The longest answer, in tokens.
    pub max_tokens: u32,
    /// Makes the answer repeatable, if the server's answers are.
    pub seed: u64,
}

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Some text.
    Text(String),
    /// How many tokens the answer has.
    Tokens(u64),
}

impl Completions {
    /// A client of the server at `url`, which is asked for its first model unless one is named.
    ///
    /// Errors: there is no such server.
    pub async fn connect(
        url: &str,
        key: Option<String>,
        model: Option<String>,
    ) -> Result<Completions, CompletionError> {
        let wrong = |error| CompletionError::Address { error, found: url.to_owned() };
        let base = Address::parse_base(url).map_err(wrong)?.without_last("v1");
        let client = for_engine(&base, &[], CONNECT).map_err(CompletionError::Connection)?;
        let mut server = Completions { client, base, key, model: String::new() };
        server.model = match model {
            Some(model) => model,
            None => server.first_model().await?,
        };
        Ok(server)
    }

    /// The name of the model that is asked.
    pub fn model(&self) -> &str {
        &self.model
    }

    async fn first_model(&self) -> Result<String, CompletionError> {
        let request = self.client.get(self.base.below(["v1", "models"]));
        let list = self.send(request).await?.text().await.map_err(broken)?;
        let found: Value = serde_json::from_str(&list).unwrap_or_default();
        let name = found["data"][0]["id"].as_str();
        name.map(str::to_owned).ok_or_else(|| CompletionError::NoChunk(beginning(&list)))
    }

    /// Asks. Dropping the answer closes its connection.
    ///
    /// Errors: there is no answer.
    pub async fn ask(&self, question: &Question<'_>) -> Result<Answer, CompletionError> {
        let body = json!({
            "model": self.model,
            "messages": question.messages,
            "max_tokens": question.max_tokens,
            "temperature": 1.0,
            "seed": question.seed,
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        let request = self.client.post(self.base.below(["v1", "chat", "completions"]));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let response = self.send(request).await?;
        Ok(Answer { response, reader: EventReader::default() })
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, CompletionError> {
        // A server may close a kept connection at any moment, and a request that it does not read
        // any more is lost.
        let request = request.header("connection", "close");
        let request = match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let response = request.send().await.map_err(broken)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let body = beginning(&response.text().await.unwrap_or_default());
        Err(CompletionError::Refused { status, body })
    }
}

/// An answer while it is written.
#[derive(Debug)]
pub struct Answer {
    response: Response,
    reader: EventReader,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
}

#[derive(Default, Deserialize)]
struct Delta {
    content: Option<String>,
    reasoning_content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    completion_tokens: u64,
}

impl Answer {
    /// The next pieces; `None` at the end.
    ///
    /// Errors: the answer has failed, or its connection has.
    pub async fn next(&mut self) -> Result<Option<Vec<Piece>>, CompletionError> {
        loop {
            let mut pieces = Vec::new();
            while let Some(event) = self.reader.pop() {
                if event.data == "[DONE]" {
                    return Ok(None);
                }
                pieces.extend(pieces_of(&event.data)?);
            }
            if !pieces.is_empty() {
                return Ok(Some(pieces));
            }
            let Some(bytes) = self.response.chunk().await.map_err(broken)? else {
                return Ok(None);
            };
            let read = self.reader.push(&bytes);
            read.map_err(|error| CompletionError::NoChunk(error.to_string()))?;
        }
    }
}

fn pieces_of(data: &str) -> Result<Vec<Piece>, CompletionError> {
    let wrong = || CompletionError::NoChunk(beginning(data));
    let chunk: Chunk = serde_json::from_str(data).map_err(|_| wrong())?;
    if chunk.error.is_some() {
        return Err(wrong());
    }
    let deltas = chunk.choices.into_iter().map(|choice| choice.delta);
    let texts = deltas.flat_map(|delta| [delta.reasoning_content, delta.content]).flatten();
    let texts = texts.filter(|text| !text.is_empty()).map(Piece::Text);
    let tokens = chunk.usage.map(|usage| Piece::Tokens(usage.completion_tokens));
    Ok(texts.chain(tokens).collect())
}

fn broken(error: reqwest::Error) -> CompletionError {
    // Its own words name the address and no more; the reason lies below.
    let mut reason = error.to_string();
    let mut below = std::error::Error::source(&error);
    while let Some(cause) = below {
        reason = format!("{reason}: {cause}");
        below = cause.source();
    }
    CompletionError::Connection(reason)
}

fn beginning(text: &str) -> String {
    const SHOWN: usize = 300;
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_has_text_or_a_count_or_nothing() {
        let pieces = |data: Value| pieces_of(&data.to_string());
        let text = json!({"choices": [{"delta": {"content": "a", "reasoning_content": ""}}]});
        assert_eq!(pieces(text), Ok(vec![Piece::Text("a".into())]));
        let usage = json!({"choices": [], "usage": {"completion_tokens": 7}});
        assert_eq!(pieces(usage), Ok(vec![Piece::Tokens(7)]));
        assert_eq!(pieces(json!({"choices": [{"delta": {"role": "assistant"}}]})), Ok(vec![]));
        assert!(matches!(pieces(json!({"error": "x"})), Err(CompletionError::NoChunk(_))));
        assert!(matches!(pieces_of("hello"), Err(CompletionError::NoChunk(_))));
    }
}
