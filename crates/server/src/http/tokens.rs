//! The routes that turn texts into tokens and back.

use super::answering::Answering;
use super::api::{json, loaded};
use super::body::{BodyLimit, Received, receive_json, receive_text, share_of};
use super::error::ApiError;
use super::state::Http;
use crate::interfaces::openai;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use banter_protocol::http::{
    DetokenizeRequest, DetokenizedText, HttpMessage, TokenizeRequest, TokenizedConversation,
    TokenizedText, WrittenPrompt,
};
use banter_protocol::interfaces::openai::ChatRequest;
use banter_protocol::plain::DEFAULT_MAX_TOKENS;
use banter_seam::{Failure, Fit, Message, ShareId};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, SemaphorePermit};

/// `POST /tokenize`
pub(super) async fn tokenize(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let share = share_of(&http, &request);
    // The body first: a permit that waited for a slow client would be missing to all others.
    let Received { value: body, memory: _memory } =
        receive_json(&http, request, BodyLimit::Message).await?;
    let _permits = counting_permits(&http, share).await?;
    let backend = loaded(&http)?;
    match body {
        TokenizeRequest::Text { text } => {
            let ids = backend.tokenize(text).await?.ok_or(ApiError::NoTokenizer)?;
            Ok(json(StatusCode::OK, &TokenizedText { tokens: ids.len(), ids }))
        }
        TokenizeRequest::Conversation { messages, max_tokens } => {
            let read = |message: HttpMessage| Message::new(message.role.into(), message.content);
            let messages = messages.into_iter().map(read).collect();
            let max_tokens = max_tokens.unwrap_or(DEFAULT_MAX_TOKENS as usize);
            let fit = backend.fit(http.config.conversation(messages), max_tokens).await?;
            let Fit { tokens, context_tokens, dropped_messages } =
                fit.ok_or(ApiError::NoTokenizer)?;
            let fit = TokenizedConversation { tokens, context_tokens, dropped_messages };
            Ok(json(StatusCode::OK, &fit))
        }
    }
}

/// `POST /detokenize`
pub(super) async fn detokenize(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let share = share_of(&http, &request);
    let Received { value: DetokenizeRequest { ids }, memory: _memory } =
        receive_json(&http, request, BodyLimit::Message).await?;
    let _permits = counting_permits(&http, share).await?;
    let text = loaded(&http)?.detokenize(ids).await?.ok_or(ApiError::NoTokenizer)?;
    Ok(json(StatusCode::OK, &DetokenizedText { text }))
}

/// `POST /apply-template`: a request of `/v1/chat/completions`, and the prompt that it would have.
pub(super) async fn apply_template(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let share = share_of(&http, &request);
    let Received { value: body, memory: _memory } =
        receive_text(&http, request, BodyLimit::Message).await?;
    let asked = ChatRequest::parse(&body).map_err(ApiError::Fault)?;
    let Answering { backend, .. } = Answering::find(&http, asked.model.as_deref())?;
    let _permits = counting_permits(&http, share).await?;
    let ids = backend.prompt_tokens(asked.conversation).await.map_err(openai::in_its_words)?;
    let ids = ids.ok_or(ApiError::NoTokenizer)?;
    let prompt = backend.detokenize(ids.clone()).await?.ok_or(ApiError::NoTokenizer)?;
    Ok(json(StatusCode::OK, &WrittenPrompt { prompt, ids }))
}

/// The permits that are held while tokens are counted.
pub(super) struct CountingPermits<'a> {
    _of_share: OwnedSemaphorePermit,
    _of_all: SemaphorePermit<'a>,
}

/// Waits for the permits to count tokens for a request of this share.
pub(super) async fn counting_permits(
    http: &Http,
    share: ShareId,
) -> Result<CountingPermits<'_>, ApiError> {
    let waiting = async {
        let _of_share = http.limits.tokenize_per_share.take(share).await;
        let of_all = http.limits.tokenize_permits.acquire().await;
        CountingPermits { _of_share, _of_all: of_all.expect("the semaphore is never closed") }
    };
    let waiting = tokio::time::timeout(http.config.body_timeout, waiting);
    waiting.await.map_err(|_| busy_tokenizing())
}

fn busy_tokenizing() -> ApiError {
    let reason = "too many texts are being turned into tokens; try again in a moment".into();
    ApiError::from(Failure::Busy { reason, position: 0, estimate_ms: None })
}
