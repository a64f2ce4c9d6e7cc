//! Texts that become vectors, at an engine that somebody else runs.

use banter_seam::{EmbedRequest, Embeddings, TextInput};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::RemoteEngine;
use super::error::EngineError;
use super::kind::{Kind, Part};

/// How many texts are sent at once, which bounds the size of a response.
const TEXTS_AT_ONCE: usize = 64;

/// The response.
#[derive(Deserialize)]
struct List {
    data: Vec<Entry>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Entry {
    /// The place of its text. Without it the entries are in the order of the texts.
    #[serde(default)]
    index: Option<usize>,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: usize,
}

impl RemoteEngine {
    /// Turns texts into vectors of the length 1. Dropping the future closes the connection.
    ///
    /// Errors: how a vector is made cannot be chosen; the engine takes no tokens; the response has
    /// not one vector for each text; everything else in [`EngineError`].
    pub async fn embed(&self, request: &EmbedRequest) -> Result<Embeddings, EngineError> {
        let fields = self.embedding_fields(request)?;
        let _slot = self.slot().await;
        self.0.breaker.admit().map_err(|retry_in| EngineError::Resting { retry_in })?;
        let mut made = Embeddings { vectors: Vec::new(), tokens: 0 };
        for texts in request.inputs.chunks(TEXTS_AT_ONCE) {
            let list = self.embed_at_once(&fields, texts).await;
            match &list {
                Err(EngineError::Connection(_)) => self.0.breaker.failed(),
                _ => self.0.breaker.succeeded(),
            }
            let list = list?;
            made.tokens += list.usage.as_ref().map_or(0, |usage| usage.prompt_tokens);
            made.vectors.extend(vectors(list, texts.len())?);
        }
        let length = made.vectors.first().map_or(0, Vec::len);
        if made.vectors.iter().any(|vector| vector.len() != length) {
            return Err(unexpected("vectors of different lengths"));
        }
        made.normalise();
        Ok(made)
    }

    /// The fields beside the texts.
    fn embedding_fields(&self, request: &EmbedRequest) -> Result<Map<String, Value>, EngineError> {
        let kind = self.0.about.kind;
        if request.pooling.is_some() {
            return Err(EngineError::Parameter {
                field: "pooling",
                expected: "nothing: the engine that somebody else runs decides it".to_owned(),
                found: "a value".to_owned(),
            });
        }
        if request.inputs.iter().any(|input| matches!(input, TextInput::Tokens(_))) {
            kind.must_have(Part::Tokens, "input")?;
        }
        let mut fields = Map::new();
        if let Some(model) = &self.0.model {
            fields.insert("model".to_owned(), json!(model));
        }
        // The others refuse a text that is too long, or cut it unasked.
        if request.truncates && kind == Kind::Vllm {
            fields.insert("truncate_prompt_tokens".to_owned(), json!(-1));
        }
        Ok(fields)
    }

    async fn embed_at_once(
        &self,
        fields: &Map<String, Value>,
        texts: &[TextInput],
    ) -> Result<List, EngineError> {
        let as_json = |input: &TextInput| match input {
            TextInput::Text(text) => json!(text),
            TextInput::Tokens(tokens) => json!(tokens),
        };
        let mut body = fields.clone();
        body.insert("input".to_owned(), texts.iter().map(as_json).collect());
        let client = &self.0.client;
        client.compute(client.interface.open(&["embeddings"]), &Value::Object(body)).await
    }
}

/// The vectors in the order of the texts.
///
/// Errors: there is not one for each text.
fn vectors(list: List, texts: usize) -> Result<Vec<Vec<f32>>, EngineError> {
    if list.data.len() != texts {
        let (found, expected) = (list.data.len(), texts);
        return Err(unexpected(&format!("{found} vectors for {expected} texts")));
    }
    let mut vectors = vec![Vec::new(); texts];
    for (place, Entry { index, embedding }) in list.data.into_iter().enumerate() {
        let index = index.unwrap_or(place);
        match vectors.get_mut(index) {
            Some(vector) if vector.is_empty() && !embedding.is_empty() => *vector = embedding,
            _ => return Err(unexpected(&format!("no new vector for the text {index}"))),
        }
    }
    Ok(vectors)
}

fn unexpected(what: &str) -> EngineError {
    EngineError::Unexpected(format!("/embeddings: expected one vector for each text, found {what}"))
}
