//! The routes of `/v1/responses`.

use super::answering::{Answering, events, json_text};
use super::api::json;
use super::body::{BodyLimit, Received, receive_text};
use super::conversations::{pairs, principal};
use super::error::ApiError;
use super::state::Http;
use crate::access::Principal;
use crate::conversations::v1_error;
use crate::interfaces::Asked;
use crate::interfaces::openai::{
    Keeper, LastResponse, in_its_words, stream_response, whole_response,
};
use crate::shares::Reservation;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, Response, StatusCode};
use banter_protocol::interfaces::openai::responses::listing::{ItemList, PageRequest};
use banter_protocol::interfaces::openai::responses::report::{self, Deleted};
use banter_protocol::interfaces::openai::responses::{Items, ResponseRequest};
use banter_seam::{Failure, GenerateRequest, Prompt};
use banter_store::{KeptResponse, StoreError, UserId};
use serde_json::Value;
use std::sync::Arc;

/// `POST /v1/responses`
pub(super) async fn create(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let principal = principal(&http, &request);
    let Received { value: body, memory } = receive_text(&http, request, BodyLimit::Message).await?;
    let asked = ResponseRequest::parse(&body).map_err(ApiError::Fault)?;
    drop(body);
    let is_streamed = asked.is_streamed;
    let Answer { begun, asked, keeper } = begin(&http, principal, asked, memory, None).await?;
    match is_streamed {
        true => Ok(events(stream_response(begun, asked, keeper))),
        false => {
            let response = whole_response(begun, asked, keeper).await;
            Ok(json_text(response.map_err(in_its_words)?))
        }
    }
}

/// A response that has begun.
pub(super) struct Answer {
    pub(super) begun: Asked,
    /// What the response repeats of its request.
    pub(super) asked: report::Asked,
    pub(super) keeper: Keeper,
}

/// Begins a response. `last` is the latest response on the same connection, if it remembers one.
pub(super) async fn begin(
    http: &Http,
    principal: Principal,
    asked: ResponseRequest,
    memory: Reservation,
    last: Option<&LastResponse>,
) -> Result<Answer, ApiError> {
    let Answering { name, .. } = Answering::find_or_load(http, asked.model.as_deref()).await?;
    let owner = match asked.is_kept {
        true => http.conversations.owner(principal).await?.user,
        false => http.conversations.known_owner(principal).await?.user,
    };
    let before = match &asked.asked.previous_response_id {
        Some(id) => match last.and_then(|last| last.items_of(id)) {
            Some(items) => items,
            None => items_until(http, owner, id).await?,
        },
        None => Items::default(),
    };
    let prompt = Prompt::Conversation(asked.conversation(&before));
    let mut items = before;
    items.extend(asked.input);
    let store = asked.is_kept.then(|| (http.store.clone(), owner));
    let keeper = Keeper { store, last: last.cloned(), items };
    let request = GenerateRequest {
        structure: asked.structure,
        logprobs: asked.logprobs,
        is_exact: true,
        ..GenerateRequest::new(prompt, asked.parameters, principal.asker())
    };
    let begun = Asked::begin_one(&http.answers, name, request, memory).await;
    Ok(Answer { begun: begun.map_err(in_its_words)?, asked: asked.asked, keeper })
}

/// The items of a response and of those before it.
async fn items_until(http: &Http, owner: UserId, id: &str) -> Result<Items, ApiError> {
    let kept = http.store.response(owner, id).await.map_err(failed)?;
    let kept = kept.ok_or(ApiError::UnknownResponse { is_previous: true })?;
    Items::parse(&kept.items).map_err(ApiError::Fault)
}

/// `GET /v1/responses/{id}`
pub(super) async fn find(
    State(http): State<Arc<Http>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    if pairs(request.uri()).iter().any(|(name, value)| name == "stream" && value == "true") {
        return Err(Failure::InvalidParameter {
            field: "stream".into(),
            expected: "false: a response that has ended is sent as a whole".into(),
            found: "true".into(),
        }
        .into());
    }
    Ok(json_text(kept(&http, principal(&http, &request), &id).await?.response))
}

/// `GET /v1/responses/{id}/input_items`
pub(super) async fn input_items(
    State(http): State<Arc<Http>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let page = PageRequest::parse(&pairs(request.uri()))?;
    let kept = kept(&http, principal(&http, &request), &id).await?;
    let items = Items::parse(&kept.items).map_err(ApiError::Fault)?;
    // The response's own items are the last ones.
    let answered = items.len().saturating_sub(items_in(&kept.response));
    Ok(json(StatusCode::OK, &ItemList::new(&id, &items, answered, &page)?))
}

/// How many items a kept response has itself.
fn items_in(response: &str) -> usize {
    let response: Value = serde_json::from_str(response).unwrap_or_default();
    response["output"].as_array().map_or(0, Vec::len)
}

/// `DELETE /v1/responses/{id}`
pub(super) async fn remove(
    State(http): State<Arc<Http>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let owner = http.conversations.known_owner(principal(&http, &request)).await?.user;
    match http.store.delete_response(owner, &id).await.map_err(failed)? {
        true => Ok(json(StatusCode::OK, &Deleted { id, object: "response", deleted: true })),
        false => Err(ApiError::UnknownResponse { is_previous: false }),
    }
}

/// `POST /v1/responses/{id}/cancel`. Only responses that are made in the background can be
/// cancelled, and there are none: closing the connection stops a response.
pub(super) async fn cancel(
    State(http): State<Arc<Http>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    kept(&http, principal(&http, &request), &id).await?;
    Err(Failure::InvalidParameter {
        field: "response_id".into(),
        expected: "a response that is being made in the background".into(),
        found: "one that has ended".into(),
    }
    .into())
}

async fn kept(http: &Http, principal: Principal, id: &str) -> Result<KeptResponse, ApiError> {
    let owner = http.conversations.known_owner(principal).await?.user;
    let kept = http.store.response(owner, id).await.map_err(failed)?;
    kept.ok_or(ApiError::UnknownResponse { is_previous: false })
}

fn failed(error: StoreError) -> ApiError {
    v1_error(error).into()
}
