//! The headers of every response, and responses that are nothing else.

use crate::access::PageOrigin;
use crate::quotas::Left;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, header};

/// Loads nothing from other servers, allows no inline script or style, and no page may frame ours.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
     style-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self'; media-src 'none'; \
     base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

/// Headers that a page of another origin may read.
const TOLD_TO_PAGES: &str = "retry-after, x-ratelimit-limit-requests, \
     x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, \
     x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";

const SERVER: &str = concat!("banter/", env!("CARGO_PKG_VERSION"));

/// Adds the headers that protect the page. A policy that the response has already is kept.
pub(super) fn secure(headers: &mut HeaderMap) {
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    let fixed = [
        (header::SERVER, SERVER),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // The same address may be answered differently for two origins.
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}

/// The policy of a page whose inline script and style have these hashes. It may connect to any
/// WebSocket, because it is an example that people point at their own server.
pub(super) fn policy_for_inline(scripts: &str, styles: &str) -> HeaderValue {
    let policy = format!(
        "default-src 'none'; script-src {scripts}; style-src {styles}; connect-src 'self' ws: wss:; \
         img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    );
    HeaderValue::from_str(&policy).expect("hashes are ASCII")
}

/// Tells the browser of a page of an allowed origin that the page may read the response.
/// Credentials are not allowed: such pages send a key themselves.
pub(super) fn allow_origin(headers: &mut HeaderMap, page: &PageOrigin) {
    if let PageOrigin::Allowed(origin) = page
        && let Ok(origin) = HeaderValue::from_str(origin)
    {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let told = HeaderValue::from_static(TOLD_TO_PAGES);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, told);
        let anywhere = HeaderValue::from_static("cross-origin");
        headers.insert("cross-origin-resource-policy", anywhere);
    }
}

/// Tells what is left of a key's requests and tokens, in the headers that OpenAI's clients know.
pub(super) fn tell_quota(headers: &mut HeaderMap, left: [Option<Left>; 2]) {
    for (what, left) in ["requests", "tokens"].into_iter().zip(left) {
        let Some(Left { limit, remaining, reset }) = left else { continue };
        let reset = format!("{:.3}s", reset.as_secs_f64());
        let values =
            [("limit", limit.to_string()), ("remaining", remaining.to_string()), ("reset", reset)];
        for (kind, value) in values {
            let name = HeaderName::try_from(format!("x-ratelimit-{kind}-{what}"));
            if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
    }
}

/// The response to a browser's question whether a page may send a request.
pub(super) fn preflight(page: &PageOrigin) -> Response<Body> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers
        .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE, OPTIONS"));
    if matches!(page, PageOrigin::Allowed(_)) {
        let methods = HeaderValue::from_static("GET, POST, PATCH, DELETE");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        // The packages of the interfaces add headers of their own, such as `x-stainless-lang`. The
        // star does not stand for `authorization`.
        let names = HeaderValue::from_static("authorization, content-type, x-api-key, *");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
        // A site on the internet may use a server in a private network, if both agree.
        let private = HeaderName::from_static("access-control-allow-private-network");
        headers.insert(private, HeaderValue::from_static("true"));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    allow_origin(headers, page);
    response
}

/// Redirects `/chat` to `/chat/`, so that the relative addresses in the page work. The query is
/// kept.
pub(super) fn redirect_to_folder(uri: &Uri) -> Response<Body> {
    let mut response = empty(StatusCode::PERMANENT_REDIRECT);
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    // Relative, because a proxy may have removed a part of the path.
    if let Ok(location) = HeaderValue::from_str(&format!("./{last}/{query}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

pub(super) fn no_store(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
