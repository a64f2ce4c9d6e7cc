//! Errors as responses: status, headers and JSON of every error are decided here.

use crate::access::Denial;
use crate::models::{ModelsError, quoted};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use banter_protocol::Fault;
use banter_protocol::http::HttpError;
use banter_protocol::v1::{self, ErrorDetails, V1Error};
use banter_seam::Failure;

/// Why an HTTP request is not answered as it asks.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ApiError {
    /// The access rules do not let it in.
    Denied(Denial),
    /// 400: a WebSocket handshake that breaks the standard.
    BadHandshake(&'static str),
    /// 400: the body ended too early, or its chunks cannot be read.
    BrokenBody,
    /// 404: nothing is at this path.
    NotFound,
    /// 405; with the methods that the path has.
    MethodNotAllowed(String),
    /// 404: a model is asked for that does not answer here.
    OtherModel {
        /// The name in the request.
        asked: String,
        /// The names of those that do.
        there: Vec<String>,
    },
    /// 404: no response of this id is kept. 400 if a request wants to go on from it.
    UnknownResponse {
        /// It was to be gone on from.
        is_previous: bool,
    },
    /// 404: the page for frames is asked for without a key that lets in visitors.
    NoVisitorsKey,
    /// 404: no stream of this id is open.
    UnknownStream,
    /// 408: the body took too long.
    TooSlow,
    /// 409: a link for another device is asked for, and none can reach this server.
    NotReachable,
    /// 413: the body is too long.
    TooLarge,
    /// 415: the body is not declared as JSON. A page of another origin could only send it so.
    NotJson,
    /// 415: the body is compressed.
    EncodedBody,
    /// 426: a request to the WebSocket's path without a handshake, or with one of another version.
    UpgradeRequired,
    /// 501: the engine that computes for this server cannot count tokens.
    NoTokenizer,
    /// 501: the engine that computes for this server makes no embeddings.
    NoEmbeddings,
    /// 501: this server has no models of its own, because another engine computes.
    NoModels,
    /// A pull, a switch or a list of models is not possible.
    Models(ModelsError),
    /// 503: too many connections are open.
    Full,
    /// 503: too many connections from this address are open.
    AddressFull,
    /// 503: the model is still loading.
    Loading,
    /// 503: the engine that computes for this server cannot be reached.
    Unreachable,
    /// 503: the server ends.
    Ending,
    /// The content of the request is wrong, or what it asks for cannot be done.
    Fault(Fault),
    /// Something about conversations cannot be done.
    Conversation(V1Error),
}

/// The code of an error. It is kept with the response, so that a page for people can replace the
/// JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ErrorCode(pub(super) &'static str);

impl ApiError {
    fn words(&self) -> (StatusCode, &'static str, &'static str) {
        let (status, code, message) = match self {
            ApiError::Denied(denial) => return denial.words(),
            ApiError::BadHandshake(reason) => (StatusCode::BAD_REQUEST, "bad_handshake", *reason),
            ApiError::BrokenBody => (
                StatusCode::BAD_REQUEST,
                "broken_body",
                "the body cannot be read to its end; send it again",
            ),
            ApiError::NotFound => (StatusCode::NOT_FOUND, "not_found", "nothing is at this path"),
            ApiError::MethodNotAllowed(_) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path does not have this method; the Allow header lists those that it has",
            ),
            ApiError::UnknownResponse { is_previous: true } => (
                StatusCode::BAD_REQUEST,
                "previous_response_not_found",
                "previous_response_id: no response of this id is kept",
            ),
            ApiError::UnknownResponse { is_previous: false } => {
                (StatusCode::NOT_FOUND, "response_not_found", "no response of this id is kept")
            }
            ApiError::NoVisitorsKey => (
                StatusCode::NOT_FOUND,
                "no_visitors_key",
                "key: expected one that banter key add --scope embed has made, found none",
            ),
            ApiError::UnknownStream => (
                StatusCode::NOT_FOUND,
                "stream_not_found",
                "no stream of this id is open; open a new one with GET /api/stream",
            ),
            ApiError::NotReachable => (
                StatusCode::CONFLICT,
                "not_reachable",
                "no other device can reach this server; start it with `banter serve --lan`",
            ),
            ApiError::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "too_slow",
                "the body did not arrive in time; send it faster or in parts",
            ),
            ApiError::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "the body is longer than this path takes",
            ),
            ApiError::NotJson => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not_json",
                "expected a body with the Content-Type application/json",
            ),
            ApiError::EncodedBody => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "encoded_body",
                "expected a body without Content-Encoding",
            ),
            ApiError::UpgradeRequired => (
                StatusCode::UPGRADE_REQUIRED,
                "upgrade_required",
                "expected the handshake of a WebSocket, version 13",
            ),
            _ => return self.words_of_server(),
        };
        (status, code, message)
    }

    /// Errors that are not the request's fault.
    fn words_of_server(&self) -> (StatusCode, &'static str, &'static str) {
        let (status, code, message) = match self {
            ApiError::NoTokenizer => (
                StatusCode::NOT_IMPLEMENTED,
                "no_tokenizer",
                "the engine that computes for this server cannot count tokens",
            ),
            ApiError::NoEmbeddings => (
                StatusCode::NOT_IMPLEMENTED,
                "no_embeddings",
                "the engine that computes for this server makes no embeddings",
            ),
            ApiError::NoModels => (
                StatusCode::NOT_IMPLEMENTED,
                "no_models",
                "this server has no models: another engine computes for it, with models of its own",
            ),
            ApiError::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                "full",
                "too many connections are open; try again in a moment",
            ),
            ApiError::AddressFull => (
                StatusCode::SERVICE_UNAVAILABLE,
                "address_full",
                "too many connections from this address are open; close some or try again in a moment",
            ),
            ApiError::Loading => (
                StatusCode::SERVICE_UNAVAILABLE,
                "loading",
                "the model is still loading; try again in a moment",
            ),
            ApiError::Ending => (
                StatusCode::SERVICE_UNAVAILABLE,
                "ending",
                "the server ends; try again in a moment",
            ),
            ApiError::Unreachable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unreachable",
                "the engine that computes for this server cannot be reached; try again in a moment",
            ),
            _ => unreachable!("every other error has been matched before"),
        };
        (status, code, message)
    }

    /// Whether too much is asked at the same time.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, ApiError::Fault(Fault::Failure(Failure::Busy { .. })))
    }

    /// The code, and what people are told.
    pub(super) fn said(&self) -> (&'static str, String) {
        match self {
            ApiError::Fault(fault) => (fault.code(), fault.to_string()),
            ApiError::Models(error) => ("models", error.to_string()),
            ApiError::Conversation(error) => (error.code.name(), error.message.clone()),
            ApiError::OtherModel { asked, there } => {
                let expected = match there.as_slice() {
                    [loaded] => format!("{loaded:?}, the model that answers here"),
                    there => format!("one of {}", there.join(", ")),
                };
                let message = format!("model: expected {expected}, found {}", quoted(asked));
                ("model_not_found", message)
            }
            other => {
                let (_, code, message) = other.words();
                (code, message.to_owned())
            }
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.parts().0
    }

    /// Status, code and JSON.
    fn parts(&self) -> (StatusCode, &'static str, String) {
        let written = |status| {
            let (code, message) = self.said();
            let error = HttpError { code: code.into(), message: message.into() };
            (status, code, error.to_json())
        };
        match self {
            ApiError::Fault(fault) => (status_of(fault), fault.code(), fault.to_json()),
            ApiError::Models(error) => (error.status(), "models", error.to_json()),
            ApiError::Conversation(error) => written(status_of_code(error.code)),
            ApiError::OtherModel { .. } => written(StatusCode::NOT_FOUND),
            other => written(other.words().0),
        }
    }

    /// Adds the headers that belong to the error.
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
            ApiError::Loading | ApiError::Unreachable | ApiError::Ending => {
                add(header::RETRY_AFTER, "2");
            }
            ApiError::Fault(Fault::Failure(Failure::Busy { estimate_ms, .. })) => {
                headers.insert(header::RETRY_AFTER, seconds(estimate_ms).into());
            }
            ApiError::Conversation(error)
                if status_of_code(error.code) == StatusCode::SERVICE_UNAVAILABLE =>
            {
                headers.insert(header::RETRY_AFTER, seconds(error.details.retry_after_ms).into());
            }
            ApiError::MethodNotAllowed(methods) => {
                let methods = HeaderValue::from_str(&methods).expect("methods are ASCII");
                headers.insert(header::ALLOW, methods);
            }
            _ => {}
        }
    }
}

/// How many seconds a client should wait that is told `busy`.
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

impl From<V1Error> for ApiError {
    fn from(error: V1Error) -> ApiError {
        // A wrong value is written with its details, as on every route.
        match (error.code, *error.details) {
            (
                v1::ErrorCode::InvalidParameter,
                ErrorDetails {
                    field: Some(field),
                    expected: Some(expected),
                    found: Some(found),
                    ..
                },
            ) => Failure::InvalidParameter { field, expected, found }.into(),
            (_, details) => ApiError::Conversation(V1Error { details: Box::new(details), ..error }),
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> ApiError {
        ApiError::Fault(failure.into())
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
        response.extensions_mut().insert(self.clone());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.add_headers(headers);
        response
    }
}

fn status_of(fault: &Fault) -> StatusCode {
    let failure = match fault {
        Fault::BadJson { .. } => return StatusCode::BAD_REQUEST,
        Fault::Failure(failure) => failure,
    };
    match failure {
        Failure::InvalidParameter { .. }
        | Failure::TooLong { .. }
        | Failure::TooLongWithSystem { .. } => StatusCode::BAD_REQUEST,
        Failure::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Failure::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
        Failure::Filtered | Failure::Unavailable => StatusCode::BAD_GATEWAY,
        Failure::Internal { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn status_of_code(code: v1::ErrorCode) -> StatusCode {
    use v1::ErrorCode;
    match code {
        ErrorCode::BadJson
        | ErrorCode::UnknownEvent
        | ErrorCode::InvalidParameter
        | ErrorCode::NotAnAnswer
        | ErrorCode::NotAUserMessage
        | ErrorCode::TooLong
        | ErrorCode::HelloFirst
        | ErrorCode::HelloAgain => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::UnknownConversation | ErrorCode::UnknownMessage => StatusCode::NOT_FOUND,
        ErrorCode::AnswerComplete | ErrorCode::AnswerRunning => StatusCode::CONFLICT,
        ErrorCode::Busy | ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::StoreFull => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::Filtered => StatusCode::BAD_GATEWAY,
        ErrorCode::StoreFailed | ErrorCode::Internal | ErrorCode::Unknown => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
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
            let failure = Failure::Busy { reason: "busy".into(), position: 3, estimate_ms };
            let response = ApiError::from(failure).into_response();
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()[header::RETRY_AFTER], expected, "{estimate_ms:?}");
        }
    }

    #[test]
    fn an_error_about_conversations_has_the_details_that_it_would_have_on_any_route() {
        let busy = V1Error::new(v1::ErrorCode::Busy, "busy");
        let response = ApiError::from(busy).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        let wrong = Failure::InvalidParameter {
            field: "title".into(),
            expected: "at most 512 bytes".into(),
            found: "600".into(),
        };
        assert_eq!(ApiError::from(V1Error::from(wrong.clone())), ApiError::from(wrong));
        let unknown = V1Error::from(v1::ErrorCode::UnknownMessage);
        assert_eq!(ApiError::from(unknown.clone()), ApiError::Conversation(unknown));
    }
}
