//! What the routes of all interfaces for programs have in common.

use super::api::loaded;
use super::error::ApiError;
use super::headers::no_store;
use super::state::Http;
use crate::interfaces::CannotAnswer;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use banter_seam::Backend;
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
                Err(ApiError::OtherModel { asked: name.to_owned(), loaded: shown })
            }
            _ => Ok(Answering { backend, name: shown }),
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

/// A stream of server-sent events.
pub(super) fn events(body: Body) -> Response<Body> {
    pieces(body, "text/event-stream")
}

/// A stream of lines of JSON.
pub(super) fn lines(body: Body) -> Response<Body> {
    pieces(body, "application/x-ndjson")
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
