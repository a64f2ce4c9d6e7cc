//! Signing in and out.

use super::body::read_order;
use super::error::ApiError;
use super::headers::{empty, no_store};
use super::state::{Http, connection_of, view_of};
use crate::access::{Credential, RateKey, SessionCookie};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use banter_protocol::http::SessionRequest;
use std::sync::Arc;
use tracing::warn;

/// Exchanges a one-time code or a key for a cookie.
pub(super) async fn open(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let (cookie, rate_key) = client_of(&http, &request);
    let body: SessionRequest = read_order(&http, request).await?;
    let credential = match &body {
        SessionRequest::Code(code) => Credential::Code(code),
        SessionRequest::Key(key) => Credential::Key(key),
    };
    let token = http.access.open_session(rate_key, credential)?;
    // A session that could not be written down is valid until the server ends.
    if let Err(error) = http.access.keep_session(&http.store, &token).await {
        warn!(%error, "a session could not be stored");
    }
    Ok(with_cookie(&cookie.keeping(&token)))
}

/// Ends the session and the sockets that were opened with it, and makes the browser forget its
/// cookie. A browser without a session gets the same response.
pub(super) async fn close(State(http): State<Arc<Http>>, request: Request<Body>) -> Response<Body> {
    let connection = connection_of(&request);
    let view = view_of(&connection, request.uri(), request.headers());
    let ended = http.access.close_sessions(&view);
    let cookie = http.access.cookie(&view).forgetting();
    for hash in ended {
        if let Err(error) = http.store.end_session(hash).await {
            warn!(%error, "the end of a session could not be stored");
        }
    }
    with_cookie(&cookie)
}

fn client_of(http: &Http, request: &Request<Body>) -> (SessionCookie, RateKey) {
    let connection = connection_of(request);
    let view = view_of(&connection, request.uri(), request.headers());
    (http.access.cookie(&view), http.access.rate_key(&view))
}

fn with_cookie(cookie: &str) -> Response<Body> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let cookie = HeaderValue::from_str(cookie).expect("a token and a base path are ASCII");
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    no_store(response.headers_mut());
    response
}
