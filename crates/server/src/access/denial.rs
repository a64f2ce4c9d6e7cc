//! Why a request is not let in, and what its sender and the operator are told.
//!
//! The text that people read in a browser is in `http/error_page.rs`.

use axum::http::StatusCode;

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// 400: the request names no host, two hosts, or one that cannot be read.
    BadHost,
    /// 421: it names a host that is not ours.
    UnknownHost,
    /// 403: it comes from a page that is neither ours nor allowed.
    ForeignOrigin,
    /// 403: it comes from a page opened from disk, and those are not allowed.
    FilePage,
    /// 400: it has more than one key.
    SeveralKeys,
    /// 401: it needs a key, and has none or a wrong one.
    KeyNeeded,
    /// 403: only administrators may do this, and no page of another origin.
    AdminOnly,
    /// 403: the key is for the conversations of visitors, and for nothing else.
    VisitorsKey,
    /// 429: too many wrong keys from this address.
    TooManyTries,
}

impl Denial {
    /// What the client is told. Nothing in it depends on what this server would accept.
    pub(crate) fn words(self) -> (StatusCode, &'static str, &'static str) {
        let (status, code, message) = match self {
            Denial::BadHost => {
                (StatusCode::BAD_REQUEST, "bad_host", "expected one readable Host header")
            }
            Denial::UnknownHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "unknown_host",
                "this host is not served here: on the machine of the server use localhost; for other names \
                 the operator can start it with --public-url and that address",
            ),
            Denial::ForeignOrigin => (
                StatusCode::FORBIDDEN,
                "forbidden_origin",
                "pages of this origin may not use the server",
            ),
            Denial::FilePage => (
                StatusCode::FORBIDDEN,
                "file_page",
                "pages opened from disk may not use the server; --allow-file-pages allows them",
            ),
            Denial::SeveralKeys => (
                StatusCode::BAD_REQUEST,
                "several_keys",
                "expected one key in the request, found several",
            ),
            Denial::KeyNeeded => (StatusCode::UNAUTHORIZED, "unauthorized", "a key is needed"),
            Denial::AdminOnly => (
                StatusCode::FORBIDDEN,
                "admin_only",
                "only administrators may do this: on the machine of the server, or with an admin key",
            ),
            Denial::VisitorsKey => (
                StatusCode::FORBIDDEN,
                "visitors_key",
                "this key is for the conversations of a site's visitors, in banter.v1 on the WebSocket alone",
            ),
            Denial::TooManyTries => (
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_tries",
                "too many wrong keys; try again in a minute",
            ),
        };
        (status, code, message)
    }

    /// What the log says, with what the operator can do about it.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Denial::BadHost => "the Host header is missing, doubled or unreadable",
            Denial::UnknownHost => {
                "this host is not served; localhost, 127.0.0.1 and [::1] are, and --public-url adds \
                 others (0.0.0.0 is for listening, not for opening)"
            }
            Denial::ForeignOrigin => {
                "pages of this origin may not use the server; --allow-origin allows an origin, and \
                 --public-url names the address of a proxy in front of the server"
            }
            Denial::FilePage => {
                "a page opened from disk (origin null) may not use the server; \
                 --allow-file-pages allows such pages"
            }
            Denial::SeveralKeys => "the request has more than one key",
            Denial::KeyNeeded => "the request has no key, or a wrong one",
            Denial::AdminOnly => "only administrators may do this; --admin-key makes one",
            Denial::VisitorsKey => {
                "the key is for the conversations of visitors, and for nothing else"
            }
            Denial::TooManyTries => "too many wrong keys from one address",
        }
    }
}
