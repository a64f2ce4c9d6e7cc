//! The routes of OpenAI's interface.

use super::answering::{Answering, Client, events, json_text};
use super::api::json;
use super::body::{BodyLimit, Received, receive_text};
use super::error::ApiError;
use super::state::Http;
use crate::interfaces::openai::in_its_words;
use crate::interfaces::{Asked, continue_last_message, openai, repeated};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Request, Response, StatusCode};
use banter_protocol::interfaces::anthropic;
use banter_protocol::interfaces::openai::models::{ModelReport, ModelsReport};
use banter_protocol::interfaces::openai::{ChatRequest, CompletionRequest};
use banter_seam::{GenerateRequest, Prompt};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// `GET /v1/models`
pub(super) async fn models(
    State(http): State<Arc<Http>>,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let answering = Answering::find(&http, None)?;
    let others = Answering::names(&http).await?.into_iter().skip(1).map(not_loaded);
    let data: Vec<ModelReport> = [report(&answering)].into_iter().chain(others).collect();
    if is_of_anthropic(&headers) {
        let data = data.into_iter().map(for_anthropic).collect();
        return Ok(json(StatusCode::OK, &anthropic::models::ModelList::new(data)));
    }
    Ok(json(StatusCode::OK, &ModelsReport { object: "list", data }))
}

/// `GET /v1/models/{name}`
pub(super) async fn model(
    State(http): State<Arc<Http>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let report = match Answering::find(&http, Some(&name)) {
        Err(error @ ApiError::OtherModel { .. }) => {
            let others = Answering::names(&http).await?.into_iter();
            let asked =
                others.filter(|other| other.eq_ignore_ascii_case(&name)).map(not_loaded).next();
            asked.ok_or(error)?
        }
        found => report(&found?),
    };
    match is_of_anthropic(&headers) {
        true => Ok(json(StatusCode::OK, &for_anthropic(report))),
        false => Ok(json(StatusCode::OK, &report)),
    }
}

/// Whether a client speaks Anthropic's interface, which has the same path.
fn is_of_anthropic(headers: &HeaderMap) -> bool {
    headers.contains_key("anthropic-version")
}

fn for_anthropic(report: ModelReport) -> anthropic::models::ModelReport {
    let created = i64::try_from(report.created).unwrap_or_default();
    let created = Timestamp::from_second(created).unwrap_or_default();
    anthropic::models::ModelReport::new(report.id, created.to_string(), report.max_model_len)
}

/// A model that a request would load.
fn not_loaded(id: String) -> ModelReport {
    ModelReport { id, object: "model", created: 0, owned_by: "banter", max_model_len: None }
}

fn report(answering: &Answering) -> ModelReport {
    let loaded_at = answering.backend.info().loaded_at.duration_since(UNIX_EPOCH);
    ModelReport {
        id: answering.name.clone(),
        object: "model",
        created: loaded_at.map_or(0, |loaded_at| loaded_at.as_secs()),
        owned_by: "banter",
        max_model_len: answering.backend.info().context_tokens,
    }
}

/// `POST /v1/chat/completions`
pub(super) async fn chat(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let client = Client::of(&http, &request);
    let Received { value: body, memory } = receive_text(&http, request, BodyLimit::Message).await?;
    let asked = ChatRequest::parse(&body).map_err(ApiError::Fault)?;
    drop(body);
    let Answering { backend, name } =
        Answering::find_or_load(&http, asked.model.as_deref()).await?;
    let prompt = Prompt::Conversation(asked.conversation);
    let mut request = GenerateRequest {
        structure: asked.structure,
        logprobs: asked.logprobs,
        ..client.request(prompt, asked.parameters)
    };
    if asked.continues {
        continue_last_message(&*backend, &mut request).await.map_err(in_its_words)?;
    }
    let requests = repeated(request, asked.count).collect();
    let begun = Asked::begin(&http.answers, name, requests, memory).await;
    let begun = begun.map_err(in_its_words)?;
    match asked.stream {
        Some(options) => Ok(events(openai::stream_chat(begun, options))),
        None => Ok(json_text(openai::whole_chat(begun, asked.logprobs.is_some()).await?)),
    }
}

/// `POST /v1/completions`
pub(super) async fn completions(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let client = Client::of(&http, &request);
    let Received { value: body, memory } = receive_text(&http, request, BodyLimit::Message).await?;
    let asked = CompletionRequest::parse(&body).map_err(ApiError::Fault)?;
    drop(body);
    let Answering { name, .. } = Answering::find_or_load(&http, asked.model.as_deref()).await?;
    let requests = asked.prompts.into_iter().flat_map(|prompt| {
        let request = GenerateRequest {
            logprobs: asked.logprobs,
            ..client.request(prompt, asked.parameters.clone())
        };
        repeated(request, asked.count)
    });
    let begun = Asked::begin(&http.answers, name, requests.collect(), memory).await;
    let begun = begun.map_err(in_its_words)?;
    match asked.stream {
        Some(options) => Ok(events(openai::stream_completions(begun, options, asked.count))),
        None => {
            let wants_logprobs = asked.logprobs.is_some();
            Ok(json_text(openai::whole_completions(begun, wants_logprobs, asked.count).await?))
        }
    }
}
