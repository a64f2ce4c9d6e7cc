//! `GET /metrics`: the figures of the server, as OpenMetrics text.

use super::error::ApiError;
use super::state::{Http, connection_of, view_of};
use crate::access::AccessLevel;
use crate::metrics::Asked;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Request, Response, header};
use std::sync::Arc;

const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

pub(super) async fn metrics(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    // Who has which key, and what was done with it, is not for everybody who has one.
    let connection = connection_of(&request);
    let view = view_of(&connection, request.uri(), request.headers());
    let usage = match http.access.admit(&view, AccessLevel::Admin) {
        Ok(_) => http.access.made().usage(),
        Err(_) => Vec::new(),
    };
    let asked = Asked { readiness: http.slot.readiness(), status: http.slot.status(), usage };
    let mut response = Response::new(Body::from(http.metrics.text(&asked)));
    response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
    Ok(response)
}
