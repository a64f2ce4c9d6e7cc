//! Signing in and out.

use super::api::json;
use super::body::read_order;
use super::error::ApiError;
use super::headers::{empty, no_store};
use super::state::{Http, connection_of, view_of};
use crate::access::{CODE_LIFETIME, Credential, Denial, PageOrigin, RateKey, SessionCookie};
use crate::qr::QrCode;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use banter_protocol::http::{DeviceLink, QrImage, SessionRequest};
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

/// Makes a link that signs in one more device like the browser that asks.
pub(super) async fn link(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let page = request.extensions().get::<PageOrigin>().expect("set by Routes");
    // A page of another site would get more than it has.
    if *page != PageOrigin::Own {
        return Err(Denial::ForeignOrigin.into());
    }
    let connection = connection_of(&request);
    let (uri, headers) = (request.uri().clone(), request.headers().clone());
    // Only our own pages send a body that is declared as JSON without being asked first.
    let _: serde_json::Map<String, serde_json::Value> = read_order(&http, request).await?;
    let view = view_of(&connection, &uri, &headers);
    let elsewhere = http.access.address_elsewhere(&view);
    let address = elsewhere.or_else(|| http.config.address_elsewhere.clone());
    let address = address.ok_or(ApiError::NotReachable)?;
    let link = format!("{}/#code={}", address.trim_end_matches('/'), http.access.make_code(&view));
    let qr = QrCode::of(&link).ok_or(ApiError::NotReachable)?;
    let qr = QrImage { width: qr.width(), path: qr.svg_path() };
    Ok(json(StatusCode::OK, &DeviceLink { link, seconds: CODE_LIFETIME.as_secs(), qr }))
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
