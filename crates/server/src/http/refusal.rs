//! What is said to those who may not come in: a status and words for programs, a hint for the log.
//! What people read is in `error_page.rs`.

use crate::access::Refusal;
use axum::http::StatusCode;
use banter_protocol::http::HttpError;

impl Refusal {
    /// What programs are told. Nothing in it depends on what this server would accept.
    pub(super) fn words(self) -> (StatusCode, HttpError) {
        let (status, code, message) = match self {
            Refusal::BadHost => {
                (StatusCode::BAD_REQUEST, "bad_host", "the Host header is missing or unreadable")
            }
            Refusal::UnknownHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "unknown_host",
                "this host is not served here; whoever runs the server names it with --public-url",
            ),
            Refusal::ForeignOrigin => {
                (StatusCode::FORBIDDEN, "forbidden_origin", "pages of this origin may not connect")
            }
            Refusal::FilePage => (
                StatusCode::FORBIDDEN,
                "file_page",
                "pages opened from disk may not connect; --allow-file-pages admits them",
            ),
            Refusal::SeveralKeys => (
                StatusCode::BAD_REQUEST,
                "several_keys",
                "expected one key in a request, found more",
            ),
            Refusal::KeyNeeded => (StatusCode::UNAUTHORIZED, "unauthorized", "a key is needed"),
            Refusal::AdminOnly => (
                StatusCode::FORBIDDEN,
                "admin_only",
                "this is for administrators: from this machine, or with --admin-key",
            ),
            Refusal::TooManyTries => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_tries", "too many wrong keys")
            }
        };
        (status, HttpError { code, message })
    }

    /// What the operator can do about it.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Refusal::BadHost => "the Host header is missing or cannot be read",
            Refusal::UnknownHost => "this host is not served; --public-url names further ones",
            Refusal::ForeignOrigin => {
                "pages of this origin may not connect; --allow-origin names those that may, \
                 --public-url the address of a proxy in front of this server"
            }
            Refusal::FilePage => {
                "a page opened from disk (origin null) may not connect; \
                 --allow-file-pages admits it"
            }
            Refusal::SeveralKeys => "a request with more than one key",
            Refusal::KeyNeeded => "a key is needed",
            Refusal::AdminOnly => "an administrator is needed; --admin-key makes one",
            Refusal::TooManyTries => "too many wrong keys from one address",
        }
    }
}
