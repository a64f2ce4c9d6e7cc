//! The bodies of requests: how long they may be, and how much memory they may take.

use super::error::ApiError;
use super::error_shape::Shape;
use super::state::{Http, connection_of, view_of};
use crate::access::{AccessLevel, PageOrigin};
use crate::shares::Reservation;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, Request, header};
use banter_protocol::Fault;
use banter_seam::{Failure, ShareId};
use serde::de::DeserializeOwned;
use std::pin::pin;
use std::time::Duration;

/// A file with conversations must be complete within this time.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(300);

/// The limit of a body's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLimit {
    /// A few words, such as a sign-in or the name of a model. Strangers may send it too.
    Order,
    /// A message or a conversation.
    Message,
    /// A file with conversations.
    Import,
}

impl BodyLimit {
    fn bytes(self, http: &Http) -> usize {
        match self {
            BodyLimit::Order => http.config.max_order_bytes,
            BodyLimit::Message => http.config.max_message_bytes,
            BodyLimit::Import => http.config.max_import_bytes,
        }
    }
}

impl BodyLimit {
    /// A file may take longer than what a person has typed.
    fn timeout(self, http: &Http) -> Duration {
        match self {
            BodyLimit::Order | BodyLimit::Message => http.config.body_timeout,
            BodyLimit::Import => IMPORT_TIMEOUT,
        }
    }
}

/// The content of a body, and the memory that is reserved for it.
pub(super) struct Received<T> {
    pub(super) value: T,
    /// To be held as long as the value is.
    pub(super) memory: Reservation,
}

/// Reads the body of an order, which nobody keeps for long.
pub(super) async fn read_order<T: DeserializeOwned>(
    http: &Http,
    request: Request<Body>,
) -> Result<T, ApiError> {
    Ok(receive_json(http, request, BodyLimit::Order).await?.value)
}

/// Reads a body, which must be declared as JSON: a page of another origin cannot send such a body
/// without the browser asking the server first.
pub(super) async fn receive_json<T: DeserializeOwned>(
    http: &Http,
    request: Request<Body>,
    limit: BodyLimit,
) -> Result<Received<T>, ApiError> {
    let Received { value: body, memory } = receive(http, request, limit).await?;
    let value = serde_json::from_slice(&body)
        .map_err(|error| ApiError::Fault(Fault::BadJson { reason: error.to_string() }))?;
    Ok(Received { value, memory })
}

/// Reads a body that is declared as JSON, and leaves the reading of the JSON to the caller.
pub(super) async fn receive_text(
    http: &Http,
    request: Request<Body>,
    limit: BodyLimit,
) -> Result<Received<String>, ApiError> {
    let Received { value: body, memory } = receive(http, request, limit).await?;
    let value = String::from_utf8(body)
        .map_err(|error| ApiError::Fault(Fault::BadJson { reason: error.to_string() }))?;
    Ok(Received { value, memory })
}

pub(super) async fn receive(
    http: &Http,
    request: Request<Body>,
    limit: BodyLimit,
) -> Result<Received<Vec<u8>>, ApiError> {
    let share = share_of(http, &request);
    let (parts, body) = request.into_parts();
    // Ollama takes bodies of any kind, and some of its clients declare none. A browser says where
    // a request comes from, so this one comes from no page.
    let is_program = !parts.headers.contains_key(header::ORIGIN)
        && !parts.headers.contains_key("sec-fetch-site");
    let may_be_undeclared = is_program && Shape::of(parts.uri.path()) == Shape::Ollama;
    let outcome = match check_headers(&parts.headers, may_be_undeclared) {
        Ok(()) => read(http, share, body, limit).await,
        Err(error) => Err((error, body)),
    };
    outcome.map_err(|(error, rest)| {
        discard(http, Request::from_parts(parts, rest));
        error
    })
}

/// The share that a request belongs to: its limits are counted together with others of that share.
pub(super) fn share_of(http: &Http, request: &Request<Body>) -> ShareId {
    let connection = connection_of(request);
    let view = view_of(&connection, request.uri(), request.headers());
    let page = request.extensions().get::<PageOrigin>().expect("set by Routes");
    http.access.identify(&view, AccessLevel::User, page).principal.share()
}

fn check_headers(headers: &HeaderMap, may_be_undeclared: bool) -> Result<(), ApiError> {
    let declared = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = declared.and_then(|kind| kind.split(';').next()).unwrap_or("").trim();
    if !kind.eq_ignore_ascii_case("application/json") && !may_be_undeclared {
        return Err(ApiError::NotJson);
    }
    let is_plain = |coding: &str| coding.is_empty() || coding.eq_ignore_ascii_case("identity");
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let mut codings = codings.map(|line| line.to_str().unwrap_or("unreadable"));
    if codings.any(|line| !line.split(',').map(str::trim).all(is_plain)) {
        return Err(ApiError::EncodedBody);
    }
    Ok(())
}

/// Reads a body to its end. An error returns the rest of the body, too.
async fn read(
    http: &Http,
    share: ShareId,
    mut body: Body,
    limit: BodyLimit,
) -> Result<Received<Vec<u8>>, (ApiError, Body)> {
    let (limit, timeout) = (limit.bytes(http), limit.timeout(http));
    // A body that is announced as too long is refused before it comes.
    if body.size_hint().lower() > limit as u64 {
        return Err((ApiError::TooLarge, body));
    }
    let reading = collect(http, share, &mut body, limit);
    match tokio::time::timeout(timeout, reading).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err((error, body)),
        Err(_) => Err((ApiError::TooSlow, body)),
    }
}

async fn collect(
    http: &Http,
    share: ShareId,
    body: &mut Body,
    limit: usize,
) -> Result<Received<Vec<u8>>, ApiError> {
    let reserve = |bytes| http.limits.body_budget.take(share, bytes).ok_or_else(no_memory);
    let mut joined = Vec::new();
    let mut memory = reserve(0)?;
    while let Some(bytes) = next_bytes(body).await? {
        if joined.len() + bytes.len() > limit {
            return Err(ApiError::TooLarge);
        }
        memory.absorb(reserve(bytes.len())?);
        joined.extend_from_slice(&bytes);
    }
    Ok(Received { value: joined, memory })
}

/// The next bytes of a body; `None` at its end.
async fn next_bytes(body: &mut Body) -> Result<Option<Bytes>, ApiError> {
    let mut body = pin!(body);
    loop {
        let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await;
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(ApiError::BrokenBody),
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}

fn no_memory() -> ApiError {
    let reason = "too many bodies are being received; try again in a moment".into();
    ApiError::from(Failure::Busy { reason, position: 0, estimate_ms: None })
}

/// Reads the rest of a refused request and drops it, up to a limit. A connection that is closed
/// while bytes are unread is reset, and the reset can arrive before the response that says why.
pub(super) fn discard(http: &Http, request: Request<Body>) {
    const DISCARDED_BYTES: usize = 16 * 1024 * 1024;
    const DISCARDING: Duration = Duration::from_secs(1);
    // A client that waits for `100 Continue` sends the body only when somebody begins to read it.
    let waits_to_be_asked = request.headers().contains_key(header::EXPECT);
    let mut rest = request.into_body();
    if rest.is_end_stream() || waits_to_be_asked {
        return;
    }
    let cut = http.tasks.cut.clone();
    http.tasks.tracker.spawn(async move {
        let discarding = async {
            let mut discarded = 0;
            while let Ok(Some(bytes)) = next_bytes(&mut rest).await {
                discarded += bytes.len();
                if discarded > DISCARDED_BYTES {
                    return;
                }
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(DISCARDING, discarding) => {}
            () = cut.cancelled() => {}
        }
    });
}
