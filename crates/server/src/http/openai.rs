//! The routes of OpenAI's interface.

use super::api::{json, loaded};
use super::body::{BodyLimit, Received, receive_text};
use super::conversations::principal;
use super::error::ApiError;
use super::headers::no_store;
use super::state::Http;
use crate::interfaces::{
    Asked, CannotAnswer, continue_last_message, in_its_words, openai, repeated,
};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use banter_protocol::openai::models::{ModelReport, ModelsReport};
use banter_protocol::openai::{ChatRequest, CompletionRequest};
use banter_seam::{Backend, GenerateRequest, Prompt};
use std::sync::Arc;

/// `GET /v1/models`
pub(super) async fn models(State(http): State<Arc<Http>>) -> Result<Response<Body>, ApiError> {
    let data = vec![Answering::find(&http, None)?.report()];
    Ok(json(StatusCode::OK, &ModelsReport { object: "list", data }))
}

/// `GET /v1/models/{name}`
pub(super) async fn model(
    State(http): State<Arc<Http>>,
    Path(name): Path<String>,
) -> Result<Response<Body>, ApiError> {
    Ok(json(StatusCode::OK, &Answering::find(&http, Some(&name))?.report()))
}

/// The backend that answers, and the name by which programs ask for it.
struct Answering {
    backend: Arc<dyn Backend>,
    name: String,
}

impl Answering {
    /// Finds the backend for the model of a name, or any.
    ///
    /// Errors: another model answers, or none.
    fn find(http: &Http, name: Option<&str>) -> Result<Answering, ApiError> {
        let backend = loaded(http)?;
        let full = backend.info().name.clone();
        let short = http.models.as_ref().and_then(|models| models.current());
        let is_asked = |known: &str| name.is_none_or(|name| name.eq_ignore_ascii_case(known));
        let answers = is_asked(&full) || short.as_deref().is_some_and(is_asked);
        let shown = short.unwrap_or(full);
        match name {
            Some(name) if !answers => {
                Err(ApiError::OtherModel { asked: name.to_owned(), loaded: shown })
            }
            _ => Ok(Answering { backend, name: shown }),
        }
    }

    fn report(self) -> ModelReport {
        ModelReport {
            id: self.name,
            object: "model",
            created: 0,
            owned_by: "banter",
            max_model_len: self.backend.info().context_tokens,
        }
    }
}

/// `POST /v1/chat/completions`
pub(super) async fn chat(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let principal = principal(&http, &request);
    let Received { value: body, memory } = receive_text(&http, request, BodyLimit::Message).await?;
    let asked = ChatRequest::parse(&body).map_err(ApiError::Fault)?;
    drop(body);
    let Answering { backend, name } = Answering::find(&http, asked.model.as_deref())?;
    let prompt = Prompt::Conversation(asked.conversation);
    let mut request = GenerateRequest {
        structure: asked.structure,
        logprobs: asked.logprobs,
        ..GenerateRequest::new(prompt, asked.parameters, principal.asker())
    };
    if asked.continues {
        continue_last_message(&*backend, &mut request).await.map_err(CannotAnswer::from)?;
    }
    let requests = repeated(request, asked.count).collect();
    let begun = Asked::begin(&http.answers, name, requests, memory).await?;
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
    let principal = principal(&http, &request);
    let Received { value: body, memory } = receive_text(&http, request, BodyLimit::Message).await?;
    let asked = CompletionRequest::parse(&body).map_err(ApiError::Fault)?;
    drop(body);
    let Answering { name, .. } = Answering::find(&http, asked.model.as_deref())?;
    let requests = asked.prompts.into_iter().flat_map(|prompt| {
        let request = GenerateRequest {
            logprobs: asked.logprobs,
            ..GenerateRequest::new(prompt, asked.parameters.clone(), principal.asker())
        };
        repeated(request, asked.count)
    });
    let begun = Asked::begin(&http.answers, name, requests.collect(), memory).await?;
    match asked.stream {
        Some(options) => Ok(events(openai::stream_completions(begun, options, asked.count))),
        None => {
            let wants_logprobs = asked.logprobs.is_some();
            Ok(json_text(openai::whole_completions(begun, wants_logprobs, asked.count).await?))
        }
    }
}

impl From<CannotAnswer> for ApiError {
    fn from(why: CannotAnswer) -> ApiError {
        match why {
            CannotAnswer::Failed(failure) => in_its_words(failure).into(),
            CannotAnswer::Ending => ApiError::Ending,
        }
    }
}

fn events(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Tells nginx to send each event at once.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    no_store(headers);
    response
}

fn json_text(text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    no_store(headers);
    response
}
