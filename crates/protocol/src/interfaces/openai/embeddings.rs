//! `POST /v1/embeddings`: the request and the answer.

use super::super::embedding::{AT_MOST_TEXTS, EmbeddingRequest, MOST_TEXTS};
use super::super::fields::{Unfit, split};
use super::fields::Texts;
use crate::Fault;
use crate::json::{null_as_default, read};
use crate::ranges;
use banter_seam::{Embeddings, Pooling};
use data_encoding::BASE64;
use serde::de::{Deserializer, IgnoredAny};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    model: Option<String>,
    input: Texts,
    #[serde(deserialize_with = "dimensions")]
    dimensions: Option<u32>,
    #[serde(deserialize_with = "null_as_default")]
    encoding_format: Encoding,
    /// An addition of this server.
    pooling: Option<SentPooling>,
    #[serde(rename = "user")]
    _user: IgnoredAny,
}

/// How the numbers of a vector are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As a list.
    #[default]
    Float,
    /// As their bytes, each an `f32` with the lowest byte first.
    Base64,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SentPooling {
    Mean,
    Last,
}

fn dimensions<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    ranges::whole_u32(from, 1..=65_536)
}

/// Reads the body of a request, and how its vectors are to be written.
///
/// Errors: what is wrong with it, and where.
pub fn read_embeddings(body: &str) -> Result<(EmbeddingRequest, Encoding), Fault> {
    let (_, fields) = split(body, &[])?;
    let sent: Sent = read(&fields)?;
    if sent.input.0.len() > MOST_TEXTS {
        return Err(Unfit { field: "input", expected: AT_MOST_TEXTS }.in_request(&fields).into());
    }
    let request = EmbeddingRequest {
        model: sent.model,
        inputs: sent.input.0,
        pooling: sent.pooling.map(|pooling| match pooling {
            SentPooling::Mean => Pooling::Mean,
            SentPooling::Last => Pooling::Last,
        }),
        truncates: false,
        dimensions: sent.dimensions.map(|dimensions| dimensions as usize),
    };
    Ok((request, sent.encoding_format))
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
pub struct EmbeddingList {
    object: &'static str,
    data: Vec<EmbeddingReport>,
    model: String,
    usage: EmbeddingUsage,
}

#[derive(Clone, Debug, Serialize)]
struct EmbeddingReport {
    object: &'static str,
    index: usize,
    embedding: Numbers,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Numbers {
    Floats(Vec<f32>),
    Base64(String),
}

#[derive(Clone, Debug, Serialize)]
struct EmbeddingUsage {
    prompt_tokens: usize,
    total_tokens: usize,
}

impl EmbeddingList {
    /// The vectors that a model has made.
    pub fn new(model: String, embeddings: Embeddings, encoding: Encoding) -> EmbeddingList {
        let Embeddings { vectors, tokens } = embeddings;
        let report = |(index, vector): (usize, Vec<f32>)| EmbeddingReport {
            object: "embedding",
            index,
            embedding: match encoding {
                Encoding::Float => Numbers::Floats(vector),
                Encoding::Base64 => {
                    let bytes: Vec<u8> =
                        vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                    Numbers::Base64(BASE64.encode(&bytes))
                }
            },
        };
        EmbeddingList {
            object: "list",
            data: vectors.into_iter().enumerate().map(report).collect(),
            model,
            usage: EmbeddingUsage { prompt_tokens: tokens, total_tokens: tokens },
        }
    }
}
