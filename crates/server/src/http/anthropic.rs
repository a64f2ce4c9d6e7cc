//! The routes of Anthropic's interface.

use super::answering::{Answering, Client, events, json_text};
use super::api::json;
use super::body::{BodyLimit, Received, receive_text, share_of};
use super::error::ApiError;
use super::state::Http;
use super::tokens::counting_permits;
use crate::interfaces::anthropic::in_its_words;
use crate::interfaces::{Asked, anthropic, continue_last_message};
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use banter_protocol::interfaces::anthropic::answer::CountReport;
use banter_protocol::interfaces::anthropic::{CountRequest, MessageRequest};
use banter_seam::{GenerateRequest, Prompt};
use std::sync::Arc;

/// `POST /v1/messages`
pub(super) async fn messages(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let client = Client::of(&http, &request);
    let Received { value: body, memory } = receive_text(&http, request, BodyLimit::Message).await?;
    let asked = MessageRequest::parse(&body).map_err(ApiError::Fault)?;
    drop(body);
    let Answering { backend, name } = Answering::find_or_load(&http, Some(&asked.model)).await?;
    let prompt = Prompt::Conversation(asked.conversation);
    let mut request =
        GenerateRequest { structure: asked.structure, ..client.request(prompt, asked.parameters) };
    if asked.continues {
        continue_last_message(&*backend, &mut request).await.map_err(in_its_words)?;
    }
    let begun = Asked::begin_one(&http.answers, name, request, memory).await;
    let begun = begun.map_err(in_its_words)?;
    match asked.is_streamed {
        true => Ok(events(anthropic::stream(begun))),
        false => Ok(json_text(anthropic::whole(begun).await.map_err(in_its_words)?)),
    }
}

/// `POST /v1/messages/count_tokens`
pub(super) async fn count(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let share = share_of(&http, &request);
    let Received { value: body, memory: _memory } =
        receive_text(&http, request, BodyLimit::Message).await?;
    let asked = CountRequest::parse(&body).map_err(ApiError::Fault)?;
    let Answering { backend, .. } = Answering::find(&http, Some(&asked.model))?;
    let _permits = counting_permits(&http, share).await?;
    let tokens = backend.prompt_tokens(asked.conversation).await.map_err(in_its_words)?;
    let tokens = tokens.ok_or(ApiError::NoTokenizer)?;
    Ok(json(StatusCode::OK, &CountReport { input_tokens: tokens.len() }))
}
