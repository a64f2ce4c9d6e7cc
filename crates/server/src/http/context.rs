//! The routes that say how a message fits in the model's context while it is being typed.

use super::api::{json, loaded};
use super::body::{BodyLimit, Received, receive_text, share_of};
use super::conversations::{conversation_id, principal};
use super::error::ApiError;
use super::state::Http;
use super::tokens::counting_permits;
use crate::conversations::{Typed, TypedPlace, position};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, Response, StatusCode};
use banter_protocol::conversations::{ContextRequest, NewContextRequest, read_body};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// For a message in a conversation.
pub(super) async fn existing(
    State(http): State<Arc<Http>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let id = conversation_id(&id)?;
    let typed = move |ContextRequest { parent, text }| Typed {
        place: TypedPlace::In(id, position(parent)),
        text: text.unwrap_or_default(),
    };
    fit(&http, request, typed).await
}

/// For the first message of a conversation that does not exist yet.
pub(super) async fn new(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let typed = |NewContextRequest { system, parameters, text }| Typed {
        place: TypedPlace::NewConversation { system, parameters },
        text: text.unwrap_or_default(),
    };
    fit(&http, request, typed).await
}

async fn fit<T: DeserializeOwned>(
    http: &Http,
    request: Request<Body>,
    typed: impl FnOnce(T) -> Typed,
) -> Result<Response<Body>, ApiError> {
    let (principal, share) = (principal(http, &request), share_of(http, &request));
    // The body first, as in `/tokenize`.
    let Received { value: body, memory: _memory } =
        receive_text(http, request, BodyLimit::Message).await?;
    let typed = typed(read_body(&body).map_err(ApiError::Fault)?);
    let _permits = counting_permits(http, share).await?;
    let backend = loaded(http)?;
    let owner = http.conversations.known_owner(principal).await?;
    let fit = http.conversations.fit(owner, typed, &*backend).await?;
    Ok(json(StatusCode::OK, &fit))
}
