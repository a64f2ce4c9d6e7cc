//! `banter.v1` for clients that no WebSocket reaches: frames come as a stream of events, and are
//! sent one by one.

use super::answering::events;
use super::body::{BodyLimit, Received, receive_text};
use super::conversations::principal;
use super::error::ApiError;
use super::headers::empty;
use super::state::{Http, connection_of, view_of};
use crate::access::{AccessLevel, Identity, PageOrigin};
use crate::interfaces::LONGEST_SILENCE;
use crate::metrics::SocketLanguage;
use crate::v1::{self, Caller, Endings, Frame, NotTaken};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use banter_protocol::v1::{ErrorCode, V1Error};
use std::pin::pin;
use std::sync::Arc;

/// `GET /api/stream`
pub(super) async fn open(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let connection = connection_of(&request);
    let origin = request.extensions().get::<PageOrigin>().expect("set by Routes");
    let view = view_of(&connection, request.uri(), request.headers());
    let Identity { principal, cookie } = http.access.identify(&view, AccessLevel::User, origin);
    let rate_key = http.access.rate_key(&view);
    let sender = http.access.sender(&view);
    let caller = Caller { principal: Some(principal), rate_key, sender };
    let revoked = http.access.revocation(&view, AccessLevel::User).unwrap_or_default();
    let endings = Endings { shutdown: http.tasks.going_away.clone(), revoked };
    let (mut stream, body) = http.sockets.streams.open(
        principal,
        http.config.max_outbound_bytes,
        LONGEST_SILENCE.min(http.config.ping_interval),
    );
    let (v1, cut) = (http.sockets.v1.clone(), http.tasks.cut.clone());
    let timeout = http.config.close_timeout;
    let counted = http.metrics.requests.open_socket(SocketLanguage::V1Stream);
    http.tasks.tracker.spawn(async move {
        let _counted = counted;
        let serving = async {
            let close = v1::serve(&mut stream, v1, caller, endings).await;
            stream.close(close, timeout).await;
        };
        tokio::select! {
            () = pin!(serving) => {}
            () = cut.cancelled() => {}
        }
    });
    let mut response = events(body);
    if let Some(cookie) = cookie {
        let cookie = HeaderValue::from_str(&cookie).expect("a token is ASCII");
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `POST /api/stream/{id}`
pub(super) async fn send(
    State(http): State<Arc<Http>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let principal = principal(&http, &request);
    let Received { value: text, memory } = receive_text(&http, request, BodyLimit::Message).await?;
    let frame = Frame { text, memory };
    match http.sockets.streams.send(&id, principal, frame, http.config.body_timeout).await {
        Ok(()) => Ok(empty(StatusCode::NO_CONTENT)),
        Err(NotTaken::Unknown) => Err(ApiError::UnknownStream),
        Err(NotTaken::Busy) => {
            let reason =
                "the events before this one still wait; read the stream, then send it again";
            Err(V1Error::new(ErrorCode::Busy, reason).into())
        }
    }
}
