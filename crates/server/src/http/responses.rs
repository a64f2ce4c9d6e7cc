//! The routes of `/v1/responses`.

use super::answering::{Answering, Client, events, json_text};
use super::api;
use super::body::{BodyLimit, Received, receive_text};
use super::conversations::{pairs, principal};
use super::error::ApiError;
use super::state::{Http, connection_of, view_of};
use crate::access::AccessLevel;
use crate::conversations::v1_error;
use crate::interfaces::Asked;
use crate::interfaces::openai::{
    Keeper, LastResponse, Making, Order, in_words_of_responses, stream_response, whole_response,
};
use crate::shares::Reservation;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, Response, StatusCode};
use banter_protocol::interfaces::openai::responses::listing::{
    ItemList, PageRequest, RetrieveRequest,
};
use banter_protocol::interfaces::openai::responses::report::{self, Deleted};
use banter_protocol::interfaces::openai::responses::{Items, ResponseRequest};
use banter_seam::{Failure, GenerateRequest, Prompt};
use banter_store::{KeptResponse, StoreError, UserId};
use futures_util::FutureExt;
use futures_util::future::ready;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A request that the backend refuses within this time is refused at once. Later it is the response
/// that fails.
const REFUSED_WITHIN: Duration = Duration::from_millis(500);

/// `POST /v1/responses`
pub(super) async fn create(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let (client, revoked) = (Client::of(&http, &request), revocation(&http, &request));
    let Received { value: body, memory } = receive_text(&http, request, BodyLimit::Message).await?;
    let asked = ResponseRequest::parse(&body).map_err(ApiError::Fault)?;
    drop(body);
    let is_streamed = asked.is_streamed;
    if asked.is_in_background {
        let making = make_in_background(&http, client, asked, memory, revoked).await?;
        return match is_streamed {
            true => Ok(events(making.follow(0))),
            false => so_far(&http, making).await,
        };
    }
    let Answer { begun, asked, keeper } = begin(&http, client, asked, memory, None).await?;
    match is_streamed {
        true => Ok(events(stream_response(begun, asked, keeper))),
        false => {
            let response = whole_response(begun, asked, keeper).await;
            Ok(json_text(response.map_err(in_words_of_responses)?))
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
    client: Client,
    asked: ResponseRequest,
    memory: Reservation,
    last: Option<&LastResponse>,
) -> Result<Answer, ApiError> {
    let Prepared { name, request, asked, keeper, .. } = prepare(http, client, asked, last).await?;
    let begun = Asked::begin_one(&http.answers, name, request, memory).await;
    Ok(Answer { begun: begun.map_err(in_words_of_responses)?, asked, keeper })
}

/// Begins a response that goes on without a connection.
async fn make_in_background(
    http: &Http,
    client: Client,
    asked: ResponseRequest,
    memory: Reservation,
    revoked: CancellationToken,
) -> Result<Arc<Making>, ApiError> {
    let is_streamed = asked.is_streamed;
    let Prepared { name, request, asked, keeper, owner } =
        prepare(http, client, asked, None).await?;
    let (answers, model) = (http.answers.clone(), name.clone());
    let mut beginning =
        async move { Asked::begin_one(&answers, model, request, memory).await }.boxed();
    if let Ok(begun) = tokio::time::timeout(REFUSED_WITHIN, &mut beginning).await {
        beginning = ready(Ok(begun.map_err(in_words_of_responses)?)).boxed();
    }
    let share = client.principal.share();
    let order = Order { owner, share, model: name, asked, keeper, is_streamed, revoked };
    Ok(http.background.make(order, beginning).await?)
}

/// Cancelled when whoever sends the request may ask no more.
fn revocation(http: &Http, request: &Request<Body>) -> CancellationToken {
    let connection = connection_of(request);
    let view = view_of(&connection, request.uri(), request.headers());
    http.access.revocation(&view, AccessLevel::User).unwrap_or_default()
}

/// A request for a response that was looked through.
struct Prepared {
    /// The name of the model.
    name: String,
    request: GenerateRequest,
    asked: report::Asked,
    keeper: Keeper,
    owner: UserId,
}

async fn prepare(
    http: &Http,
    client: Client,
    asked: ResponseRequest,
    last: Option<&LastResponse>,
) -> Result<Prepared, ApiError> {
    let Answering { name, .. } = Answering::find_or_load(http, asked.model.as_deref()).await?;
    let owner = match asked.is_kept {
        true => http.conversations.owner(client.principal).await?.user,
        false => http.conversations.known_owner(client.principal).await?.user,
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
        ..client.request(prompt, asked.parameters)
    };
    Ok(Prepared { name, request, asked: asked.asked, keeper, owner })
}

/// The items of a response and of those before it.
async fn items_until(http: &Http, owner: UserId, id: &str) -> Result<Items, ApiError> {
    if http.background.find(owner, id).is_some_and(|making| !making.has_ended()) {
        return Err(Failure::InvalidParameter {
            field: "previous_response_id".into(),
            expected: "a response that has ended".into(),
            found: "one that is being made in the background".into(),
        }
        .into());
    }
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
    let principal = principal(&http, &request);
    let asked = RetrieveRequest::parse(&pairs(request.uri()))?;
    let owner = http.conversations.known_owner(principal).await?.user;
    let making = http.background.find(owner, &id);
    if !asked.is_streamed {
        return match making {
            Some(making) => so_far(&http, making).await,
            None => Ok(json_text(kept(&http, owner, &id).await?.response)),
        };
    }
    let Some((making, numbers)) = making.and_then(|making| {
        let numbers = making.numbers()?;
        Some((making, numbers))
    }) else {
        // A response that does not exist is told first.
        kept(&http, owner, &id).await?;
        return Err(Failure::InvalidParameter {
            field: "stream".into(),
            expected: "false: only a response that was begun with background and stream can be \
                       followed, until some minutes after its end"
                .into(),
            found: "true".into(),
        }
        .into());
    };
    let from = asked.starting_after.map_or(0, |after| after.saturating_add(1));
    if from < numbers.start {
        return Err(Failure::InvalidParameter {
            field: "starting_after".into(),
            expected: format!("{} or more: earlier events are gone", numbers.start - 1),
            found: asked.starting_after.map_or("nothing".into(), |after| after.to_string()),
        }
        .into());
    }
    Ok(events(making.follow(from)))
}

/// A response that is being made, or has just been.
async fn so_far(http: &Http, making: Arc<Making>) -> Result<Response<Body>, ApiError> {
    match making.so_far().await {
        Some(response) => Ok(json_text(response)),
        None => Ok(json_text(kept(http, making.owner(), making.id()).await?.response)),
    }
}

/// `GET /v1/responses/{id}/input_items`
pub(super) async fn input_items(
    State(http): State<Arc<Http>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let page = PageRequest::parse(&pairs(request.uri()))?;
    let owner = http.conversations.known_owner(principal(&http, &request)).await?.user;
    let kept = kept(&http, owner, &id).await?;
    let items = Items::parse(&kept.items).map_err(ApiError::Fault)?;
    // The response's own items are the last ones.
    let answered = items.len().saturating_sub(items_in(&kept.response));
    Ok(api::json(StatusCode::OK, &ItemList::new(&id, &items, answered, &page)?))
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
    if let Some(making) = http.background.find(owner, &id) {
        making.stop().await;
        http.background.forget(&id);
    }
    match http.store.delete_response(owner, &id).await.map_err(failed)? {
        true => Ok(api::json(StatusCode::OK, &Deleted { id, object: "response", deleted: true })),
        false => Err(ApiError::UnknownResponse { is_previous: false }),
    }
}

/// `POST /v1/responses/{id}/cancel`. A response that is made while its client waits is stopped by
/// closing the connection.
pub(super) async fn cancel(
    State(http): State<Arc<Http>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let owner = http.conversations.known_owner(principal(&http, &request)).await?.user;
    if let Some(making) = http.background.find(owner, &id) {
        making.stop().await;
    }
    let response = kept(&http, owner, &id).await?.response;
    let is_in_background = |response: Value| response["background"] == true;
    if serde_json::from_str(&response).is_ok_and(is_in_background) {
        return Ok(json_text(response));
    }
    Err(Failure::InvalidParameter {
        field: "response_id".into(),
        expected: "a response that was begun in the background".into(),
        found: "one that was made while its client waited".into(),
    }
    .into())
}

/// A response that is kept.
async fn kept(http: &Http, owner: UserId, id: &str) -> Result<KeptResponse, ApiError> {
    // Asked before the store is: a response that ends in between is kept with its end.
    let is_being_made = http.background.find(owner, id).is_some();
    let kept = http.store.response(owner, id).await.map_err(failed)?;
    let mut kept = kept.ok_or(ApiError::UnknownResponse { is_previous: false })?;
    if !is_being_made && let Some(response) = as_abandoned(&kept.response) {
        kept.response = response;
        http.store.keep_response(owner, kept.clone()).await.map_err(failed)?;
    }
    Ok(kept)
}

/// The response as one that has failed, if the server has ended before it had. `None` if it has
/// ended.
fn as_abandoned(response: &str) -> Option<String> {
    let mut response: Value = serde_json::from_str(response).ok()?;
    let is_open = response["status"] == "queued" || response["status"] == "in_progress";
    is_open.then(|| {
        let message = "the server has ended before the response had; ask again";
        response["status"] = json!("failed");
        response["error"] = json!({"code": "server_error", "message": message});
        response.to_string()
    })
}

fn failed(error: StoreError) -> ApiError {
    v1_error(error).into()
}
