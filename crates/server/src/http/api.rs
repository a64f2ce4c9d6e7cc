//! The routes that programs use.

use super::error::ApiError;
use super::{Connection, empty};
use crate::access::{COOKIE, Caller, Secret, Visit};
use crate::backend::{Backend, Readiness};
use crate::shared::Shared;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use banter_protocol::Fault;
use banter_protocol::http::{
    HttpTurn, Info, Limits, ModelInfo, SessionRequest, Status, TokenizeRequest, TokenizedText,
};
use banter_protocol::plain::{DEFAULT_MAX_TOKENS, Turn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

pub(super) async fn health() -> Response<Body> {
    json(StatusCode::OK, &Status::Alive)
}

pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let status = shared.slot.status();
    let code = match status {
        Status::Ready | Status::Alive => StatusCode::OK,
        Status::Loading { .. } | Status::Stalled | Status::Unreachable { .. } => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    json(code, &status)
}

pub(super) async fn info(State(shared): State<Arc<Shared>>) -> Result<Response<Body>, ApiError> {
    let backend = loaded(&shared)?;
    let loaded = backend.info();
    let config = &shared.config;
    let info = Info {
        version: env!("CARGO_PKG_VERSION"),
        model: ModelInfo {
            name: loaded.name.clone(),
            demo: loaded.is_demo,
            parameters: loaded.parameters,
            licence: loaded.licence.clone(),
            weights_bytes: loaded.weights_bytes,
        },
        context_tokens: loaded.context_tokens,
        limits: Limits { message_bytes: config.max_message_bytes },
        defaults: loaded.defaults.clone(),
        engine: loaded.engine,
        parameters: loaded.known_parameters.clone(),
        has_models: shared.models.is_some(),
        real_model_command: config.real_model_command.clone(),
        insecure: config.insecure,
    };
    Ok(json(StatusCode::OK, &info))
}

pub(super) async fn tokenize(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let waiting = tokio::time::timeout(shared.config.body_timeout, shared.tokenizing.acquire());
    let _place = waiting.await.map_err(|_| busy_tokenizing())?;
    let body: TokenizeRequest = read_json(&shared, request).await?;
    let backend = loaded(&shared)?;
    match body {
        TokenizeRequest::Text { text } => {
            let ids = backend.tokenize(text).await?.ok_or(ApiError::NoTokenizer)?;
            Ok(json(StatusCode::OK, &TokenizedText { tokens: ids.len(), ids }))
        }
        TokenizeRequest::Conversation { messages, max_tokens } => {
            let turn = |turn: HttpTurn| Turn { role: turn.role.into(), content: turn.content };
            let turns = messages.into_iter().map(turn).collect();
            let max_tokens = max_tokens.unwrap_or(DEFAULT_MAX_TOKENS as usize);
            let fit = backend.fit(shared.config.conversation(turns), max_tokens).await?;
            let fit = fit.ok_or(ApiError::NoTokenizer)?;
            Ok(json(StatusCode::OK, &fit))
        }
    }
}

pub(super) async fn session(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let connection = request.extensions().get::<Connection>().expect("set by Routes").clone();
    let visit = Visit { peer: connection.peer, uri: request.uri(), headers: request.headers() };
    let caller = Caller::of(connection.peer, request.headers());
    let secure = if shared.access.is_https(&visit) { "; Secure" } else { "" };
    let body: SessionRequest = read_json(&shared, request).await?;
    let secret = match &body {
        SessionRequest::Code(code) => Secret::Code(code),
        SessionRequest::Key(key) => Secret::Key(key),
    };
    let token = shared.access.open_session(caller, secret)?;
    let cookie = format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/{secure}");
    let mut response = empty(StatusCode::NO_CONTENT);
    let cookie = HeaderValue::from_str(&cookie).expect("a token is ASCII");
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    no_store(response.headers_mut());
    Ok(response)
}

fn loaded(shared: &Shared) -> Result<Arc<dyn Backend>, ApiError> {
    match shared.slot.readiness() {
        Readiness::Loaded(backend) => Ok(backend),
        Readiness::Loading(_) => Err(ApiError::Loading),
        Readiness::Unreachable(_) => Err(ApiError::Unreachable),
    }
}

fn busy_tokenizing() -> ApiError {
    let reason = "too many texts are being tokenised".into();
    ApiError::Fault(Fault::Busy { reason, position: 0, estimate_ms: None })
}

/// Reads a body that must be declared as JSON: that is what keeps pages of other origins from
/// sending it without the browser asking first.
pub(super) async fn read_json<T: DeserializeOwned>(
    shared: &Shared,
    request: Request<Body>,
) -> Result<T, ApiError> {
    let declared = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = declared.and_then(|kind| kind.split(';').next()).unwrap_or("").trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(ApiError::NotJson);
    }
    let limit = shared.config.max_message_bytes;
    let reading = to_bytes(request.into_body(), limit);
    let bytes = tokio::time::timeout(shared.config.body_timeout, reading)
        .await
        .map_err(|_| ApiError::TooSlow)?
        .map_err(|_| ApiError::TooLarge)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::Fault(Fault::BadJson { reason: error.to_string() }))
}

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    let body = serde_json::to_string(body).expect("bodies are plain data");
    let mut response = (status, body).into_response();
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    no_store(response.headers_mut());
    response
}

fn no_store(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
