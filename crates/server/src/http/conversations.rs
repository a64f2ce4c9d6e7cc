//! The routes of conversations: lists, searches and changes.

use super::api::json;
use super::body::{BodyLimit, receive_text};
use super::error::ApiError;
use super::headers::empty;
use super::state::{Http, connection_of, view_of};
use crate::access::{AccessLevel, PageOrigin, Principal};
use crate::conversations::SameId;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, Response, StatusCode, Uri};
use banter_protocol::conversations::{
    ConversationList, ConversationPatch, DeletionQuery, ListQuery, Mark, NewConversation,
    SearchHit, SearchResults, read_body, read_query,
};
use banter_protocol::v1::{self, ErrorCode, V1Error};
use banter_store::{Archived, ConversationId, ListCursor, MessageId, SearchQuery, SearchResult};
use std::ops::Range;
use std::sync::Arc;

/// A page of the list, or with `q` what a search has found.
pub(super) async fn list(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let owner = http.conversations.known_owner(principal(&http, &request)).await?;
    let query: ListQuery = read_query(pairs(request.uri())).map_err(ApiError::Fault)?;
    let limit = query.limit.unwrap_or(ListQuery::DEFAULT_LIMIT) as usize;
    if let Some(text) = query.q {
        let archived = match query.archived {
            None => Archived::With,
            Some(archived) => only(archived),
        };
        let text = text.into_string();
        let query = SearchQuery { text, limit, before: None, archived };
        let found = http.conversations.search(owner, query).await?;
        return Ok(json(StatusCode::OK, &search_results(found, limit)));
    }
    let after = query.after.map(|after| cursor(after.as_str())).transpose()?;
    let archived = only(query.archived.unwrap_or(false));
    let query = banter_store::ListQuery { after, limit, archived };
    let (conversations, next) = http.conversations.list(owner, query).await?;
    Ok(json(StatusCode::OK, &ConversationList { conversations, next }))
}

fn only(archived: bool) -> Archived {
    if archived { Archived::Only } else { Archived::Without }
}

fn cursor(text: &str) -> Result<ListCursor, ApiError> {
    text.parse().map_err(|_| {
        let (field, found) = ("after".to_owned(), format!("{text:?}"));
        let expected = "the next of an earlier list".to_owned();
        ApiError::from(banter_seam::Failure::InvalidParameter { field, expected, found })
    })
}

pub(super) async fn create(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let owner = http.conversations.owner(principal(&http, &request)).await?;
    let body = receive_text(&http, request, BodyLimit::Message).await?;
    let new: NewConversation = read_body(&body.value).map_err(ApiError::Fault)?;
    let made = http.conversations.create(owner, new).await?;
    Ok(json(StatusCode::CREATED, &made))
}

pub(super) async fn tree(
    State(http): State<Arc<Http>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let owner = http.conversations.known_owner(principal(&http, &request)).await?;
    let tree = http.conversations.whole(owner, conversation_id(&id)?).await?;
    Ok(json(StatusCode::OK, &tree))
}

pub(super) async fn change(
    State(http): State<Arc<Http>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let owner = http.conversations.known_owner(principal(&http, &request)).await?;
    let id = conversation_id(&id)?;
    let body = receive_text(&http, request, BodyLimit::Message).await?;
    let patch: ConversationPatch = read_body(&body.value).map_err(ApiError::Fault)?;
    let changed = http.conversations.change(owner, id, patch).await?;
    Ok(json(StatusCode::OK, &changed))
}

pub(super) async fn remove(
    State(http): State<Arc<Http>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let owner = http.conversations.known_owner(principal(&http, &request)).await?;
    http.conversations.delete(owner, conversation_id(&id)?).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn remove_message(
    State(http): State<Arc<Http>>,
    Path((id, message)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let owner = http.conversations.known_owner(principal(&http, &request)).await?;
    let query: DeletionQuery = read_query(pairs(request.uri())).map_err(ApiError::Fault)?;
    let place = (conversation_id(&id)?, message_id(&message)?);
    http.conversations.delete_message(owner, place, query.following).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Who sends a request.
pub(super) fn principal(http: &Http, request: &Request<Body>) -> Principal {
    let connection = connection_of(request);
    let view = view_of(&connection, request.uri(), request.headers());
    let page = request.extensions().get::<PageOrigin>().expect("set by Routes");
    http.access.identify(&view, AccessLevel::User, page).principal
}

pub(super) fn conversation_id(text: &str) -> Result<ConversationId, ApiError> {
    let id = text.parse::<v1::ConversationId>();
    Ok(id.map_err(|_| V1Error::from(ErrorCode::UnknownConversation))?.other())
}

fn message_id(text: &str) -> Result<MessageId, ApiError> {
    let id = text.parse::<v1::MessageId>();
    Ok(id.map_err(|_| V1Error::from(ErrorCode::UnknownMessage))?.other())
}

/// The parameters of a query.
pub(super) fn pairs(uri: &Uri) -> Vec<(String, String)> {
    let query = uri.query().unwrap_or_default().as_bytes();
    let owned = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
        (name.into_owned(), value.into_owned())
    };
    url::form_urlencoded::parse(query).map(owned).collect()
}

fn search_results(found: SearchResult, limit: usize) -> SearchResults {
    let titles = found.titles.into_iter().map(|hit| SearchHit {
        snippet: hit.conversation.title.clone(),
        conversation: crate::conversations::conversation(&hit.conversation),
        message: None,
        marks: marks(hit.marks),
    });
    let messages = found.messages.into_iter().map(|hit| SearchHit {
        conversation: crate::conversations::conversation(&hit.conversation),
        message: Some(hit.message.other()),
        snippet: hit.snippet.text,
        marks: marks(hit.snippet.marks),
    });
    let mut hits: Vec<SearchHit> = titles.chain(messages).collect();
    let more = found.more || hits.len() > limit;
    hits.truncate(limit);
    SearchResults { hits, more }
}

fn marks(ranges: Vec<Range<usize>>) -> Vec<Mark> {
    let mark = |range: Range<usize>| Mark { start: range.start as u64, end: range.end as u64 };
    ranges.into_iter().map(mark).collect()
}
