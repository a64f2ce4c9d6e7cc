//! The one place that turns what is wrong into a response.

use crate::access::Denial;
use crate::models::ModelsError;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use banter_protocol::Fault;
use banter_protocol::http::HttpError;

/// What can be wrong with an HTTP request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ApiError {
    /// Whoever sends it may not come in.
    Denied(Denial),
    /// 400: a WebSocket handshake that is none.
    BadHandshake(&'static str),
    /// 400: the body ends in the middle, or its chunks cannot be read.
    BrokenBody,
    /// 404.
    NotFound,
    /// 405; with the methods that there are.
    MethodNotAllowed(String),
    /// 408: the body takes too long.
    TooSlow,
    /// 413: the body is too long.
    TooLarge,
    /// 415: the body is not declared as JSON. A page of another origin can only send it so.
    NotJson,
    /// 415: the body is compressed.
    EncodedBody,
    /// 426: the socket's address without a handshake, or with one of another version.
    UpgradeRequired,
    /// 501: the engine behind this server does not count tokens.
    NoTokenizer,
    /// 501: this server has no models of its own.
    NoModels,
    /// What was asked of the models cannot be done.
    Models(ModelsError),
    /// 503: no room for another connection.
    Full,
    /// 503: no room for another connection from this address.
    AddressFull,
    /// 503: the model is still loading.
    Loading,
    /// 503: the engine behind this server cannot be reached.
    Unreachable,
    /// What the request asks for is wrong or cannot be done.
    Fault(Fault),
}

/// The word that programs decide by, kept with a response for the page that people may get instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ErrorCode(pub(super) &'static str);

impl ApiError {
    fn words(&self) -> (StatusCode, HttpError) {
        let (status, code, message) = match self {
            ApiError::Denied(denial) => return denial.words(),
            ApiError::BadHandshake(reason) => (StatusCode::BAD_REQUEST, "bad_handshake", *reason),
            ApiError::BrokenBody => {
                (StatusCode::BAD_REQUEST, "broken_body", "the body cannot be read to its end")
            }
            ApiError::NotFound => (StatusCode::NOT_FOUND, "not_found", "there is nothing here"),
            ApiError::MethodNotAllowed(_) => {
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
            ApiError::EncodedBody => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "encoded_body",
                "expected a body without Content-Encoding",
            ),
            ApiError::UpgradeRequired => (
                StatusCode::UPGRADE_REQUIRED,
                "upgrade_required",
                "this is a WebSocket, version 13",
            ),
            _ => return self.words_of_server(),
        };
        (status, HttpError { code, message })
    }

    /// What a request cannot help.
    fn words_of_server(&self) -> (StatusCode, HttpError) {
        let (status, code, message) = match self {
            ApiError::NoTokenizer => (
                StatusCode::NOT_IMPLEMENTED,
                "no_tokenizer",
                "the engine behind this server does not count tokens",
            ),
            ApiError::NoModels => (
                StatusCode::NOT_IMPLEMENTED,
                "no_models",
                "another engine computes here, with models of its own",
            ),
            ApiError::Full => (StatusCode::SERVICE_UNAVAILABLE, "full", "too many connections"),
            ApiError::AddressFull => (
                StatusCode::SERVICE_UNAVAILABLE,
                "address_full",
                "too many connections from this address",
            ),
            ApiError::Loading => {
                (StatusCode::SERVICE_UNAVAILABLE, "loading", "the model is loading")
            }
            ApiError::Unreachable => {
                (StatusCode::SERVICE_UNAVAILABLE, "unreachable", "the engine cannot be reached yet")
            }
            _ => unreachable!("written by itself, or by what the request is"),
        };
        (status, HttpError { code, message })
    }

    /// Status, code and JSON.
    fn parts(&self) -> (StatusCode, &'static str, String) {
        match self {
            ApiError::Fault(fault) => (status_of(fault), fault.code(), fault.to_json()),
            ApiError::Models(error) => (error.status(), "models", error.to_json()),
            other => {
                let (status, words) = other.words();
                (status, words.code, words.to_json())
            }
        }
    }

    /// What the client needs to know beside the status.
    fn add_headers(self, headers: &mut HeaderMap) {
        let mut add = |name, value: &'static str| {
            headers.insert(name, HeaderValue::from_static(value));
        };
        match self {
            ApiError::Denied(Denial::KeyNeeded) => add(header::WWW_AUTHENTICATE, "Bearer"),
            ApiError::Denied(Denial::TooManyTries) => add(header::RETRY_AFTER, "60"),
            ApiError::UpgradeRequired => {
                add(header::CONNECTION, "upgrade");
                add(header::SEC_WEBSOCKET_VERSION, "13");
                add(header::UPGRADE, "websocket");
            }
            ApiError::Full | ApiError::AddressFull => {
                add(header::CONNECTION, "close");
                add(header::RETRY_AFTER, "2");
            }
            ApiError::Loading | ApiError::Unreachable => add(header::RETRY_AFTER, "2"),
            ApiError::Fault(Fault::Busy { estimate_ms, .. }) => {
                headers.insert(header::RETRY_AFTER, seconds(estimate_ms).into());
            }
            ApiError::MethodNotAllowed(methods) => {
                let methods = HeaderValue::from_str(&methods).expect("methods are ASCII");
                headers.insert(header::ALLOW, methods);
            }
            _ => {}
        }
    }
}

/// How long a client should wait who is told that there is too much to do.
fn seconds(estimate_ms: Option<u64>) -> u64 {
    const UNKNOWN: u64 = 2;
    const LONGEST: u64 = 600;
    estimate_ms.map_or(UNKNOWN, |estimate| estimate.div_ceil(1000).clamp(1, LONGEST))
}

impl From<Denial> for ApiError {
    fn from(denial: Denial) -> ApiError {
        ApiError::Denied(denial)
    }
}

impl From<ModelsError> for ApiError {
    fn from(error: ModelsError) -> ApiError {
        ApiError::Models(error)
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> ApiError {
        ApiError::Fault(fault)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let (status, code, json) = self.parts();
        let mut response = (status, json).into_response();
        response.extensions_mut().insert(ErrorCode(code));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.add_headers(headers);
        response
    }
}

fn status_of(fault: &Fault) -> StatusCode {
    match fault {
        Fault::BadJson { .. }
        | Fault::InvalidParameter { .. }
        | Fault::TooLong { .. }
        | Fault::TooLongWithSystem { .. } => StatusCode::BAD_REQUEST,
        Fault::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Fault::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
        Fault::Filtered | Fault::Unavailable => StatusCode::BAD_GATEWAY,
        Fault::Internal { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_told_that_there_is_too_much_to_do_is_told_for_how_long() {
        let cases = [
            (None, "2"),
            (Some(0), "1"),
            (Some(1), "1"),
            (Some(1_000), "1"),
            (Some(1_001), "2"),
            (Some(41_300), "42"),
            (Some(u64::MAX), "600"),
        ];
        for (estimate_ms, expected) in cases {
            let fault = Fault::Busy { reason: "busy".into(), position: 3, estimate_ms };
            let response = ApiError::from(fault).into_response();
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()[header::RETRY_AFTER], expected, "{estimate_ms:?}");
        }
    }
}
