//! Why a request is not let in, and what its sender and the operator are told.
//!
//! The text that people read in a browser is in `http/error_page.rs`.

use axum::http::StatusCode;
use banter_protocol::http::HttpError;

/// Why someone may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// 400: no host, two, or one that cannot be read.
    BadHost,
    /// 421: a host that is not ours.
    UnknownHost,
    /// 403: a page that is not ours.
    ForeignOrigin,
    /// 403: a page opened from disk, which has not been allowed.
    FilePage,
    /// 400: more than one key.
    SeveralKeys,
    /// 401: a key is needed.
    KeyNeeded,
    /// 403: this is for administrators, or not for pages of other origins.
    AdminOnly,
    /// 429: too many wrong keys from this address.
    TooManyTries,
}

impl Denial {
    /// What programs are told. Nothing in it depends on what this server would accept.
    pub(crate) fn words(self) -> (StatusCode, HttpError) {
        let (status, code, message) = match self {
            Denial::BadHost => {
                (StatusCode::BAD_REQUEST, "bad_host", "the Host header is missing or unreadable")
            }
            Denial::UnknownHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "unknown_host",
                "this host is not served here; whoever runs the server names it with --public-url",
            ),
            Denial::ForeignOrigin => {
                (StatusCode::FORBIDDEN, "forbidden_origin", "pages of this origin may not connect")
            }
            Denial::FilePage => (
                StatusCode::FORBIDDEN,
                "file_page",
                "pages opened from disk may not connect; --allow-file-pages admits them",
            ),
            Denial::SeveralKeys => (
                StatusCode::BAD_REQUEST,
                "several_keys",
                "expected one key in a request, found more",
            ),
            Denial::KeyNeeded => (StatusCode::UNAUTHORIZED, "unauthorized", "a key is needed"),
            Denial::AdminOnly => (
                StatusCode::FORBIDDEN,
                "admin_only",
                "this is for administrators: from this machine, or with --admin-key",
            ),
            Denial::TooManyTries => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_tries", "too many wrong keys")
            }
        };
        (status, HttpError { code, message })
    }

    /// What the operator can do about it.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Denial::BadHost => "the Host header is missing or cannot be read",
            Denial::UnknownHost => "this host is not served; --public-url names further ones",
            Denial::ForeignOrigin => {
                "pages of this origin may not connect; --allow-origin names those that may, \
                 --public-url the address of a proxy in front of this server"
            }
            Denial::FilePage => {
                "a page opened from disk (origin null) may not connect; \
                 --allow-file-pages admits it"
            }
            Denial::SeveralKeys => "a request with more than one key",
            Denial::KeyNeeded => "a key is needed",
            Denial::AdminOnly => "an administrator is needed; --admin-key makes one",
            Denial::TooManyTries => "too many wrong keys from one address",
        }
    }
}
