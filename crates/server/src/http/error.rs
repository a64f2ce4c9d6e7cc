//! The one place that turns what is wrong into a response.

use crate::access::Refusal;
use crate::models::Refused;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use banter_protocol::Fault;
use banter_protocol::http::HttpError;

/// What can be wrong with an HTTP request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ApiError {
    /// 400: the Host header is missing or unreadable.
    BadHost,
    /// 400: a WebSocket handshake that is none.
    BadHandshake(&'static str),
    /// 401: a key is needed.
    Unauthorized,
    /// 403: a page that may not come in.
    Forbidden,
    /// 403: a page opened from disk.
    FilePage,
    /// 403: something for administrators only.
    AdminOnly,
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 408: the body takes too long.
    TooSlow,
    /// 413: the body is too long.
    TooLarge,
    /// 415: the body is not declared as JSON. A page of another origin can only send it so.
    NotJson,
    /// 421: a host that is not ours.
    UnknownHost,
    /// 426: the socket's address without a handshake, or with one of another version.
    UpgradeRequired,
    /// 429: too many wrong keys.
    TooManyTries,
    /// 501: the engine behind this server does not count tokens.
    NoTokenizer,
    /// 501: this server has no models of its own.
    NoModels,
    /// What was asked of the models cannot be done.
    Models(Refused),
    /// 503: no room for another connection.
    Full,
    /// 503: the model is still loading.
    Loading,
    /// 503: the engine behind this server cannot be reached.
    Unreachable,
    /// What the request asks for is wrong or cannot be done.
    Fault(Fault),
}

impl ApiError {
    fn parts(&self) -> (StatusCode, HttpError) {
        let (status, code, message) = match self {
            ApiError::BadHost => {
                (StatusCode::BAD_REQUEST, "bad_host", "the Host header is missing or unreadable")
            }
            ApiError::BadHandshake(reason) => (StatusCode::BAD_REQUEST, "bad_handshake", *reason),
            ApiError::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "a key is needed"),
            ApiError::Forbidden => {
                (StatusCode::FORBIDDEN, "forbidden_origin", "pages of this origin may not connect")
            }
            ApiError::FilePage => (
                StatusCode::FORBIDDEN,
                "file_page",
                "pages opened from disk may not connect; --allow-file-pages admits them",
            ),
            ApiError::AdminOnly => (
                StatusCode::FORBIDDEN,
                "admin_only",
                "this is for administrators: from this machine, or with --admin-key",
            ),
            ApiError::NotFound => (StatusCode::NOT_FOUND, "not_found", "there is nothing here"),
            ApiError::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "not with this method")
            }
            ApiError::TooSlow => {
                (StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not arrive in time")
            }
            ApiError::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too long")
            }
            ApiError::NotJson => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not_json",
                "the body must be application/json",
            ),
            ApiError::UnknownHost => {
                (StatusCode::MISDIRECTED_REQUEST, "unknown_host", "this host is not served here")
            }
            ApiError::UpgradeRequired => (
                StatusCode::UPGRADE_REQUIRED,
                "upgrade_required",
                "this is a WebSocket, version 13",
            ),
            ApiError::TooManyTries => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_tries", "too many wrong keys")
            }
            ApiError::Full => (StatusCode::SERVICE_UNAVAILABLE, "full", "too many connections"),
            ApiError::Loading => {
                (StatusCode::SERVICE_UNAVAILABLE, "loading", "the model is loading")
            }
            ApiError::NoTokenizer => (
                StatusCode::NOT_IMPLEMENTED,
                "no_tokenizer",
                "the engine behind this server does not count tokens",
            ),
            ApiError::Unreachable => {
                (StatusCode::SERVICE_UNAVAILABLE, "unreachable", "the engine cannot be reached yet")
            }
            ApiError::NoModels => (
                StatusCode::NOT_IMPLEMENTED,
                "no_models",
                "another engine computes here, with models of its own",
            ),
            ApiError::Fault(_) | ApiError::Models(_) => {
                unreachable!("these are written by themselves")
            }
        };
        (status, HttpError { code, message })
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        match refusal {
            Refusal::BadHost => ApiError::BadHost,
            Refusal::UnknownHost => ApiError::UnknownHost,
            Refusal::ForeignOrigin => ApiError::Forbidden,
            Refusal::FilePage => ApiError::FilePage,
            Refusal::KeyNeeded => ApiError::Unauthorized,
            Refusal::AdminOnly => ApiError::AdminOnly,
            Refusal::TooManyTries => ApiError::TooManyTries,
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> ApiError {
        ApiError::Models(refused)
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> ApiError {
        ApiError::Fault(fault)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let (status, json) = match &self {
            ApiError::Fault(fault) => (status_of(fault), fault.to_json()),
            ApiError::Models(refused) => (refused.status(), refused.to_json()),
            other => {
                let (status, words) = other.parts();
                (status, words.to_json())
            }
        };
        let mut response = (status, json).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let extra = match (self, status) {
            (ApiError::Unauthorized, _) => Some((header::WWW_AUTHENTICATE, "Bearer")),
            (ApiError::UpgradeRequired, _) => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
                Some((header::UPGRADE, "websocket"))
            }
            (ApiError::Full, _) => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
                Some((header::RETRY_AFTER, "2"))
            }
            (ApiError::TooManyTries, _) => Some((header::RETRY_AFTER, "60")),
            (_, StatusCode::SERVICE_UNAVAILABLE) => Some((header::RETRY_AFTER, "2")),
            _ => None,
        };
        if let Some((name, value)) = extra {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

fn status_of(fault: &Fault) -> StatusCode {
    match fault {
        Fault::BadJson { .. } | Fault::InvalidParameter { .. } | Fault::TooLong { .. } => {
            StatusCode::BAD_REQUEST
        }
        Fault::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Fault::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
        Fault::Internal { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Whether a person is looking: a browser that goes to an address which is no API.
pub(super) fn wants_html(request: &Request<Body>) -> bool {
    let path = request.uri().path();
    let is_api =
        path.starts_with("/api/") || ["/ws", "/tokenize", "/health", "/ready"].contains(&path);
    let accepts = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    request.method() == Method::GET
        && !is_api
        && accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

/// A small page instead of JSON, when the response is an error.
pub(super) fn as_html(response: Response<Body>) -> Response<Body> {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts
        .headers
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let reason = status.canonical_reason().unwrap_or("Error");
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{status}</title>\
         <h1>{reason}</h1></html>\n"
    );
    Response::from_parts(parts, Body::from(page))
}
