//! The routes that turn texts into vectors.

use super::answering::Answering;
use super::api::json;
use super::body::{BodyLimit, Received, receive_text};
use super::conversations::principal;
use super::error::ApiError;
use super::state::Http;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use banter_protocol::Fault;
use banter_protocol::interfaces::embedding::EmbeddingRequest;
use banter_protocol::interfaces::ollama::embeddings::{EmbedReport, EmbeddingReport};
use banter_protocol::interfaces::openai::embeddings::EmbeddingList;
use banter_protocol::interfaces::{ollama, openai};
use banter_seam::Embeddings;
use std::sync::Arc;
use std::time::Instant;

/// `POST /v1/embeddings`
pub(super) async fn openai(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let Made { name, embeddings, how } =
        embeddings(&http, request, openai::read_embeddings).await?;
    Ok(json(StatusCode::OK, &EmbeddingList::new(name, embeddings, how)))
}

/// `POST /api/embed`
pub(super) async fn ollama(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let begin = Instant::now();
    let read = |body: &str| Ok((ollama::read_embed(body)?, ()));
    let Made { name: model, embeddings, .. } = embeddings(&http, request, read).await?;
    let Embeddings { vectors: embeddings, tokens: prompt_eval_count } = embeddings;
    let total_duration = begin.elapsed().as_nanos().try_into().unwrap_or(u64::MAX);
    let load_duration = 0;
    let report =
        EmbedReport { model, embeddings, total_duration, load_duration, prompt_eval_count };
    Ok(json(StatusCode::OK, &report))
}

/// `POST /api/embeddings`
pub(super) async fn ollama_one(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let read = |body: &str| Ok((ollama::read_embeddings(body)?, ()));
    let Made { embeddings, .. } = embeddings(&http, request, read).await?;
    let embedding = embeddings.vectors.into_iter().next().unwrap_or_default();
    Ok(json(StatusCode::OK, &EmbeddingReport { embedding }))
}

/// Vectors, the name of the model that made them, and how they are to be written.
struct Made<H> {
    name: String,
    embeddings: Embeddings,
    how: H,
}

async fn embeddings<H>(
    http: &Http,
    request: Request<Body>,
    read: impl FnOnce(&str) -> Result<(EmbeddingRequest, H), Fault>,
) -> Result<Made<H>, ApiError> {
    let principal = principal(http, &request);
    let Received { value: body, memory: _memory } =
        receive_text(http, request, BodyLimit::Message).await?;
    let (mut asked, how) = read(&body).map_err(ApiError::Fault)?;
    drop(body);
    let Answering { backend, name } = Answering::find_or_load(http, asked.model.as_deref()).await?;
    let spending = http.access.made().quotas().begin(principal.share())?;
    let embedded = backend.embed(asked.for_backend(principal.asker())).await?;
    let mut embeddings = embedded.ok_or(ApiError::NoEmbeddings)?;
    if let Some(spending) = spending {
        spending.spend_tokens(embeddings.tokens as u64, 0);
    }
    asked.shorten(&mut embeddings)?;
    Ok(Made { name, embeddings, how })
}
