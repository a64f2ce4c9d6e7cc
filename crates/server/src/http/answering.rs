//! What the routes of all interfaces for programs have in common.

use super::api::loaded;
use super::conversations::principal;
use super::error::ApiError;
use super::headers::no_store;
use super::models::installed;
use super::state::Http;
use crate::access::Principal;
use crate::interfaces::CannotAnswer;
use crate::models::ModelsError;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use banter_seam::{Backend, Failure, GenerateRequest, Parameters, Prompt, TraceParent};
use std::collections::HashSet;
use std::sync::Arc;

/// The backend that answers, and the name by which programs ask for it.
pub(super) struct Answering {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) name: String,
}

impl Answering {
    /// Finds the backend for the model of a name, or any.
    ///
    /// Errors: another model answers, or none.
    pub(super) fn find(http: &Http, name: Option<&str>) -> Result<Answering, ApiError> {
        let backend = loaded(http)?;
        let full = backend.info().name.clone();
        let short = http.models.as_ref().and_then(|models| models.current());
        let is_asked = |known: &str| name.is_none_or(|name| name.eq_ignore_ascii_case(known));
        let answers = is_asked(&full) || short.as_deref().is_some_and(is_asked);
        let shown = short.unwrap_or(full);
        match name {
            Some(name) if !answers => {
                Err(ApiError::OtherModel { asked: name.to_owned(), there: vec![shown] })
            }
            _ => Ok(Answering { backend, name: shown }),
        }
    }
}

impl Answering {
    /// The same for a request that wants an answer: where the operator allows it, an installed
    /// model is loaded first.
    ///
    /// Errors: another model answers, the model cannot be loaded, or too much time has passed.
    pub(super) async fn find_or_load(
        http: &Http,
        name: Option<&str>,
    ) -> Result<Answering, ApiError> {
        match (Answering::find(http, name), name, &http.models) {
            (Err(ApiError::OtherModel { .. }), Some(name), Some(models))
                if http.config.switch_on_request =>
            {
                let loading = models.answer_with(name);
                let loaded = tokio::time::timeout(http.config.queue_timeout, loading).await;
                let loaded = loaded.map_err(|_| Failure::Timeout {
                    seconds: http.config.queue_timeout.as_secs(),
                    while_doing: Failure::WHILE_LOADING,
                })?;
                loaded.map_err(|error| match error {
                    ModelsError::NotHere { name, there } => {
                        ApiError::OtherModel { asked: name, there }
                    }
                    error => error.into(),
                })?;
                Answering::find(http, Some(name))
            }
            (found, ..) => found,
        }
    }

    /// The names of the models that a request may ask for, the one that answers first.
    pub(super) async fn names(http: &Http) -> Result<Vec<String>, ApiError> {
        let answering = Answering::find(http, None)?;
        let mut names = vec![answering.name];
        if http.config.switch_on_request && http.models.is_some() {
            names.extend(installed(http).await?);
            let mut seen = HashSet::new();
            names.retain(|name| seen.insert(name.clone()));
        }
        Ok(names)
    }
}

/// The program that asks for an answer.
#[derive(Clone, Copy)]
pub(super) struct Client {
    pub(super) principal: Principal,
    /// Its span that the request belongs to, if it names one.
    pub(super) trace: Option<TraceParent>,
}

impl Client {
    pub(super) fn of(http: &Http, request: &Request<Body>) -> Client {
        let header = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
        Client { principal: principal(http, request), trace: header.and_then(TraceParent::parse) }
    }

    /// Its request, which is refused rather than answered without one of its parameters.
    pub(super) fn request(
        self,
        prompt: impl Into<Prompt>,
        parameters: Parameters,
    ) -> GenerateRequest {
        GenerateRequest {
            is_exact: true,
            trace: self.trace,
            ..GenerateRequest::new(prompt, parameters, self.principal.asker())
        }
    }
}

impl From<CannotAnswer> for ApiError {
    fn from(why: CannotAnswer) -> ApiError {
        match why {
            CannotAnswer::Failed(failure) => failure.into(),
            CannotAnswer::Ending => ApiError::Ending,
        }
    }
}

const EVENTS: &str = "text/event-stream";
const LINES: &str = "application/x-ndjson";

/// Whether a response is one of these streams.
pub(super) fn is_stream(response: &Response<Body>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind == EVENTS || kind == LINES)
}

/// A stream of server-sent events.
pub(super) fn events(body: Body) -> Response<Body> {
    pieces(body, EVENTS)
}

/// A stream of lines of JSON.
pub(super) fn lines(body: Body) -> Response<Body> {
    pieces(body, LINES)
}

fn pieces(body: Body, kind: &'static str) -> Response<Body> {
    let mut response = of_kind(body, kind);
    // Tells nginx to send each piece at once.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// An object that is written as JSON already.
pub(super) fn json_text(text: String) -> Response<Body> {
    of_kind(Body::from(text), "application/json")
}

fn of_kind(body: Body, kind: &'static str) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    no_store(headers);
    response
}
