//! The shape of errors on the routes of languages that others have defined.

use super::error::ApiError;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use banter_protocol::Fault;
use banter_protocol::interfaces::{anthropic, ollama, openai};
use serde::Serialize;

/// In which words a route tells its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Ours,
    OpenAi {
        /// The field with the text.
        text: &'static str,
    },
    Ollama,
    Anthropic,
}

/// The other paths under `/api` have our own words.
const OLLAMA: [&str; 8] = [
    "/api/chat",
    "/api/embed",
    "/api/embeddings",
    "/api/generate",
    "/api/ps",
    "/api/show",
    "/api/tags",
    "/api/version",
];

impl Shape {
    pub(super) fn of(path: &str) -> Shape {
        match path {
            _ if path.starts_with("/v1/messages") => Shape::Anthropic,
            "/v1/responses" | "/v1/embeddings" => Shape::OpenAi { text: "input" },
            "/v1/completions" => Shape::OpenAi { text: "prompt" },
            _ if path.starts_with("/v1/") => Shape::OpenAi { text: "messages" },
            _ if OLLAMA.contains(&path) => Shape::Ollama,
            _ => Shape::Ours,
        }
    }

    /// The same response; an error is told in these words.
    pub(super) fn give(self, mut response: Response<Body>) -> Response<Body> {
        let Some(error) = response.extensions().get::<ApiError>() else { return response };
        let status = status_of(error, response.status());
        let body = match self {
            Shape::Ours => return response,
            Shape::OpenAi { text } => {
                json(&openai::error::ErrorBody { error: for_openai(error, status, text) })
            }
            Shape::Ollama => json(&ollama::answer::ErrorReport { error: error.said().1 }),
            Shape::Anthropic => {
                json(&anthropic::error::ErrorBody::from(for_anthropic(error, status)))
            }
        };
        response.headers_mut().remove(header::CONTENT_LENGTH);
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        *response.status_mut() = status;
        *response.body_mut() = Body::from(body);
        response
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("errors are plain data")
}

/// An error as an event of OpenAI's WebSocket.
pub(super) fn openai_event(error: &ApiError) -> String {
    let status = status_of(error, error.status());
    json(&openai::error::ErrorEvent {
        kind: "error",
        status: status.as_u16(),
        error: for_openai(error, status, "input"),
    })
}

/// A full queue is the client's business there: its SDKs wait and try again.
fn status_of(error: &ApiError, status: StatusCode) -> StatusCode {
    match error.is_busy() {
        true => StatusCode::TOO_MANY_REQUESTS,
        false => status,
    }
}

/// `text` is the field that has the text of such a request.
fn for_openai(
    error: &ApiError,
    status: StatusCode,
    text: &'static str,
) -> openai::error::ErrorReport {
    use openai::error::{ErrorKind, ErrorReport};
    if let ApiError::Fault(fault) = error {
        let report = ErrorReport::from(fault);
        return match report.is_about_length() {
            true => ErrorReport { param: Some(text.to_owned()), ..report },
            false => report,
        };
    }
    let kind = match status {
        StatusCode::UNAUTHORIZED => ErrorKind::AuthenticationError,
        StatusCode::FORBIDDEN => ErrorKind::PermissionError,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::RateLimitError,
        status if status.is_server_error() => ErrorKind::ServerError,
        _ => ErrorKind::InvalidRequestError,
    };
    let (code, message) = error.said();
    let report = ErrorReport::new(kind, code, message);
    match error {
        ApiError::OtherModel { .. } => ErrorReport { param: Some("model".to_owned()), ..report },
        ApiError::UnknownResponse { is_previous: true } => {
            ErrorReport { param: Some("previous_response_id".to_owned()), ..report }
        }
        _ => report,
    }
}

fn for_anthropic(error: &ApiError, status: StatusCode) -> anthropic::error::ErrorReport {
    use anthropic::error::{ErrorKind, ErrorReport};
    if let ApiError::Fault(Fault::Failure(failure)) = error {
        return ErrorReport::from(failure);
    }
    let kind = match status {
        StatusCode::UNAUTHORIZED => ErrorKind::AuthenticationError,
        StatusCode::FORBIDDEN => ErrorKind::PermissionError,
        StatusCode::NOT_FOUND => ErrorKind::NotFoundError,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorKind::RequestTooLarge,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::RateLimitError,
        StatusCode::SERVICE_UNAVAILABLE => ErrorKind::OverloadedError,
        status if status.is_server_error() => ErrorKind::ApiError,
        _ => ErrorKind::InvalidRequestError,
    };
    ErrorReport { kind, message: error.said().1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Denial;
    use axum::response::IntoResponse;
    use banter_protocol::Fault;
    use banter_seam::Failure;
    use serde_json::{Value, json};

    async fn told(error: ApiError) -> (u16, Value) {
        told_at("/v1/chat/completions", error).await
    }

    async fn told_at(path: &str, error: ApiError) -> (u16, Value) {
        let response = Shape::of(path).give(error.into_response());
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.expect("it is short");
        (status, serde_json::from_slice(&body).expect("it is JSON"))
    }

    fn error(kind: &str, code: &str, param: Option<&str>, message: &str) -> Value {
        json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
    }

    #[tokio::test]
    async fn every_error_has_the_shape_that_the_sdks_know() {
        let wrong = Failure::InvalidParameter {
            field: "n".into(),
            expected: "1 to 16".into(),
            found: "0".into(),
        };
        let busy = Failure::Busy { reason: "full".into(), position: 3, estimate_ms: Some(4_200) };
        let reason = "no".to_owned();
        let cases = [
            (
                wrong.into(),
                400,
                error(
                    "invalid_request_error",
                    "invalid_value",
                    Some("n"),
                    "n: expected 1 to 16, found 0",
                ),
            ),
            (
                Failure::TooLong { tokens: 9, limit: 5 }.into(),
                400,
                error(
                    "invalid_request_error",
                    "context_length_exceeded",
                    Some("messages"),
                    "the prompt has 9 tokens, and this model's maximum context length is 6 tokens, \
                     of which the answer needs at least one",
                ),
            ),
            (busy.into(), 429, error("rate_limit_error", "busy", None, "full")),
            (
                ApiError::Fault(Fault::BadJson { reason }),
                400,
                error("invalid_request_error", "bad_json", None, "not a JSON request: no"),
            ),
            (
                ApiError::OtherModel { asked: "a\nb".into(), there: vec!["real".into()] },
                404,
                error(
                    "invalid_request_error",
                    "model_not_found",
                    Some("model"),
                    "model: expected \"real\", the model that answers here, found \"a\u{fffd}b\"",
                ),
            ),
        ];
        for (wrong, status, expected) in cases {
            assert_eq!(told(wrong).await, (status, expected));
        }
        let kinds = [
            (ApiError::Denied(Denial::KeyNeeded), 401, "authentication_error", "unauthorized"),
            (ApiError::NotFound, 404, "invalid_request_error", "not_found"),
            (ApiError::Loading, 503, "server_error", "loading"),
            (ApiError::Ending, 503, "server_error", "ending"),
        ];
        for (wrong, status, kind, code) in kinds {
            let (told_status, body) = told(wrong).await;
            let error = &body["error"];
            assert_eq!(
                (told_status, &error["type"], &error["code"]),
                (status, &json!(kind), &json!(code))
            );
        }
    }

    #[tokio::test]
    async fn ollama_and_anthropic_have_their_own_shapes() {
        let other = || ApiError::OtherModel { asked: "a".into(), there: vec!["real".into()] };
        let message = "model: expected \"real\", the model that answers here, found \"a\"";
        assert_eq!(told_at("/api/chat", other()).await, (404, json!({"error": message})));
        let shaped =
            json!({"type": "error", "error": {"type": "not_found_error", "message": message}});
        assert_eq!(told_at("/v1/messages", other()).await, (404, shaped));
        let busy = Failure::Busy { reason: "full".into(), position: 3, estimate_ms: None };
        let shaped =
            json!({"type": "error", "error": {"type": "rate_limit_error", "message": "full"}});
        assert_eq!(told_at("/v1/messages", busy.clone().into()).await, (429, shaped));
        assert_eq!(told_at("/api/chat", busy.into()).await, (429, json!({"error": "full"})));
        let (status, body) = told_at("/v1/messages/count_tokens", ApiError::Loading).await;
        assert_eq!((status, &body["error"]["type"]), (503, &json!("overloaded_error")));
    }

    #[test]
    fn other_routes_keep_their_words() {
        let response = Shape::of("/tokenize").give(ApiError::Loading.into_response());
        assert_eq!(response.status(), 503);
    }
}
