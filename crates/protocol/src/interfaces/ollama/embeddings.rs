//! `POST /api/embed` and `POST /api/embeddings`: the requests and the answers.

use super::super::embedding::{AT_MOST_TEXTS, EmbeddingRequest, MOST_TEXTS};
use super::super::fields::{Unfit, split};
use super::options::Options;
use crate::Fault;
use crate::json::{null_as_default, read};
use crate::ranges;
use banter_seam::TextInput;
use serde::de::{Deserializer, Error, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentEmbed {
    model: String,
    input: OneOrMore,
    truncate: Option<bool>,
    #[serde(deserialize_with = "dimensions")]
    dimensions: Option<u32>,
    /// None of them changes a vector.
    #[serde(rename = "options", deserialize_with = "null_as_default")]
    _options: Options,
    /// The server keeps its model as long as it runs.
    #[serde(rename = "keep_alive")]
    _keep_alive: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentEmbeddings {
    model: String,
    prompt: String,
    #[serde(rename = "options", deserialize_with = "null_as_default")]
    _options: Options,
    #[serde(rename = "keep_alive")]
    _keep_alive: IgnoredAny,
}

/// One text, or a list of them.
struct OneOrMore(Vec<String>);

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneOrMore, D::Error> {
        let texts = match Value::deserialize(deserializer)? {
            Value::String(text) => Some(vec![text]),
            Value::Array(texts) => {
                texts.iter().map(|text| text.as_str().map(str::to_owned)).collect()
            }
            _ => None,
        };
        let texts = texts.filter(|texts: &Vec<String>| !texts.is_empty());
        texts.map(OneOrMore).ok_or_else(|| D::Error::custom("a text, or a list of texts"))
    }
}

fn dimensions<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    ranges::whole_u32(from, 0..=65_536)
}

/// Reads the body of a request to `/api/embed`.
///
/// Errors: what is wrong with it, and where.
pub fn read_embed(body: &str) -> Result<EmbeddingRequest, Fault> {
    let (_, fields) = split(body, &[])?;
    let sent: SentEmbed = read(&fields)?;
    let OneOrMore(texts) = sent.input;
    if texts.len() > MOST_TEXTS {
        return Err(Unfit { field: "input", expected: AT_MOST_TEXTS }.in_request(&fields).into());
    }
    Ok(EmbeddingRequest {
        model: Some(sent.model),
        inputs: texts.into_iter().map(TextInput::Text).collect(),
        pooling: None,
        // As Ollama does.
        truncates: sent.truncate.unwrap_or(true),
        dimensions: sent.dimensions.filter(|wanted| *wanted > 0).map(|wanted| wanted as usize),
    })
}

/// Reads the body of a request to `/api/embeddings`, the older route for one text.
///
/// Errors: what is wrong with it, and where.
pub fn read_embeddings(body: &str) -> Result<EmbeddingRequest, Fault> {
    let (_, fields) = split(body, &[])?;
    let sent: SentEmbeddings = read(&fields)?;
    Ok(EmbeddingRequest {
        model: Some(sent.model),
        inputs: vec![TextInput::Text(sent.prompt)],
        pooling: None,
        truncates: true,
        dimensions: None,
    })
}

/// What `/api/embed` answers.
#[derive(Clone, Debug, Serialize)]
pub struct EmbedReport {
    /// The name of the model.
    pub model: String,
    /// A vector for each text.
    pub embeddings: Vec<Vec<f32>>,
    /// Nanoseconds that the request took.
    pub total_duration: u64,
    /// The model was loaded before.
    pub load_duration: u64,
    /// Tokens of all texts.
    pub prompt_eval_count: usize,
}

/// What `/api/embeddings` answers.
#[derive(Clone, Debug, Serialize)]
pub struct EmbeddingReport {
    /// The vector of the text.
    pub embedding: Vec<f32>,
}
