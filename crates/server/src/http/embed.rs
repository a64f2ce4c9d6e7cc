//! The page for frames of other sites: the conversation of a visitor.

use super::error::ApiError;
use super::headers::no_store;
use super::state::Http;
use crate::access::Origin;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, Uri, header};
use axum::response::IntoResponse;
use std::sync::Arc;

/// It reads the rest of its address itself.
const PAGE: &str = include_str!("embed.html");

/// `GET /embed?key=…`: only pages of the key's origins can frame it.
///
/// A wrong key is not counted as a try: only keys that were made by command are looked for here,
/// and those have 128 random bits. An old frame on a busy page would otherwise use up the tries of
/// everybody at its readers' address.
pub(super) async fn page(
    State(http): State<Arc<Http>>,
    uri: Uri,
) -> Result<Response<Body>, ApiError> {
    let made = http.access.key_of_visitors(&uri).ok_or(ApiError::NoVisitorsKey)?;
    let mut response = PAGE.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy_for_frames(made.origins()));
    // A page that is isolated from others can frame only what says so.
    let anywhere = HeaderValue::from_static("cross-origin");
    headers.insert("cross-origin-resource-policy", anywhere);
    no_store(headers);
    Ok(response)
}

/// The script brings its styles as constructed sheets, which need no permission.
fn policy_for_frames(ancestors: &[Origin]) -> HeaderValue {
    let ancestors: Vec<String> = ancestors.iter().map(Origin::to_string).collect();
    let policy = format!(
        "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors {}",
        if ancestors.is_empty() { "'none'".into() } else { ancestors.join(" ") }
    );
    HeaderValue::from_str(&policy).expect("origins are ASCII")
}
