//! The routes for programs: health and information.

use super::error::ApiError;
use super::headers::no_store;
use super::state::{Http, connection_of, view_of};
use crate::access::{AccessLevel, PageOrigin};
use crate::backend::{Readiness, model_info};
use crate::config::REAL_MODEL_COMMAND;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use banter_protocol::http::{Defaults, Info, Limits, Status};
use banter_seam::Backend;
use serde::Serialize;
use std::sync::Arc;

pub(super) async fn health() -> Response<Body> {
    json(StatusCode::OK, &Status::Alive)
}

pub(super) async fn ready(State(http): State<Arc<Http>>, request: Request<Body>) -> Response<Body> {
    let mut status = http.slot.status();
    if let Status::Unreachable { reason } = &mut status
        && !is_local(&http, &request)
    {
        *reason = None;
    }
    let code = match status {
        Status::Ready | Status::Alive => StatusCode::OK,
        Status::Loading { .. } | Status::Stalled | Status::Unreachable { .. } => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    json(code, &status)
}

pub(super) async fn info(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let connection = connection_of(&request);
    let view = view_of(&connection, request.uri(), request.headers());
    let owner = http.access.signed_in_as(&view, AccessLevel::User).short_name();
    let backend = loaded(&http)?;
    let loaded = backend.info();
    let config = &http.config;
    let info = Info {
        version: env!("CARGO_PKG_VERSION").into(),
        model: model_info(loaded),
        context_tokens: loaded.context_tokens,
        limits: Limits { message_bytes: config.max_message_bytes },
        defaults: Defaults {
            max_tokens: loaded.defaults.max_tokens,
            temperature: loaded.defaults.temperature,
            top_p: loaded.defaults.top_p,
            repetition_penalty: loaded.defaults.repetition_penalty,
        },
        engine: loaded.engine.map(Into::into),
        parameters: loaded.known_parameters.iter().map(|&name| name.into()).collect(),
        counts_tokens: backend.counts_tokens(),
        has_models: http.models.is_some(),
        real_model_command: real_model_command(&http, &request),
        insecure: config.insecure,
        owner,
    };
    Ok(json(StatusCode::OK, &info))
}

/// The command as this server was started, for people on this machine. Others do not see the folder
/// of the program, because a folder may name a person.
fn real_model_command(http: &Http, request: &Request<Body>) -> String {
    if is_local(http, request) {
        http.config.real_model_command.clone()
    } else {
        REAL_MODEL_COMMAND.to_owned()
    }
}

/// Whether a request surely comes from this machine.
fn is_local(http: &Http, request: &Request<Body>) -> bool {
    let connection = connection_of(request);
    let view = view_of(&connection, request.uri(), request.headers());
    let page = request.extensions().get::<PageOrigin>().expect("set by Routes");
    http.access.is_local(&view, page)
}

pub(super) fn loaded(http: &Http) -> Result<Arc<dyn Backend>, ApiError> {
    match http.slot.readiness() {
        Readiness::Loaded(backend) => Ok(backend),
        Readiness::Loading(_) => Err(ApiError::Loading),
        Readiness::Unreachable(_) => Err(ApiError::Unreachable),
    }
}

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    let body = serde_json::to_string(body).expect("bodies are plain data");
    let mut response = (status, body).into_response();
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    no_store(response.headers_mut());
    response
}
