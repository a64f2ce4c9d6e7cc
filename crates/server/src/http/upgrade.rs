//! From a request to a WebSocket.

use super::error::ApiError;
use super::{Admission, Connection, empty};
use crate::access::{AccessLevel, Identity, PageOrigin};
use crate::plain::{Client, PageKind, serve};
use crate::shared::Shared;
use crate::socket::{Close, Socket};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use data_encoding::BASE64;
use std::pin::pin;
use std::sync::Arc;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Answers a handshake. A task of its own then serves the socket.
pub(super) async fn websocket(
    State(shared): State<Arc<Shared>>,
    mut request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let accept = check_handshake(&request)?;
    let connection = Connection::of(&request);
    let origin = request.extensions().get::<PageOrigin>().expect("set by Routes");
    let page = match origin {
        PageOrigin::File => PageKind::File,
        PageOrigin::Own | PageOrigin::Allowed(_) => PageKind::Ordinary,
    };
    let view = connection.view(request.uri(), request.headers());
    let Identity { principal, cookie } = shared.access.identify(&view, AccessLevel::Socket, origin);
    let client = Client { page, principal };
    let session_end = shared.access.end_of_session(&view);
    let address = shared.access.rate_key(&view).address();
    let has_room =
        connection.admission == Admission::Welcome && connection.permit.assign_to(address);
    let upgrade = hyper::upgrade::on(&mut request);
    let tasks = shared.clone();
    tasks.tasks.tracker.spawn(async move {
        let upgraded = tokio::select! {
            upgraded = upgrade => upgraded,
            () = shared.tasks.cut.cancelled() => return,
        };
        let upgraded = match upgraded {
            Ok(upgraded) => upgraded,
            Err(error) => return debug!(%error, "the handshake was not completed"),
        };
        let (receive_budget, share) = (shared.receive_budget.clone(), client.principal.share());
        let socket = Socket::new(upgraded, &shared.config, receive_budget, share);
        if !has_room {
            return socket.close(Close::TryAgainLater).await;
        }
        let cut = shared.tasks.cut.clone();
        let leaving = shared.tasks.going_away.child_token();
        let mut serving = pin!(serve(socket, shared, client, leaving.clone()));
        let serves_to_its_end = async {
            tokio::select! {
                () = &mut serving => return,
                () = end_of(session_end) => leaving.cancel(),
            }
            serving.await;
        };
        tokio::select! {
            () = serves_to_its_end => {}
            () = cut.cancelled() => {}
        }
        // The connection's permit goes back only now, when its socket is closed.
        drop(connection.permit);
    });
    Ok(switch_protocols(&accept, cookie))
}

/// Ready when the session has ended; never for a socket without a session.
async fn end_of(session: Option<CancellationToken>) {
    match session {
        Some(session) => session.cancelled().await,
        None => std::future::pending().await,
    }
}

/// No subprotocol is ever confirmed, because the plain language has none. A client that needs one
/// closes the connection itself, as the WebSocket standard says.
fn switch_protocols(accept: &str, cookie: Option<String>) -> Response<Body> {
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::from_str(accept).expect("base64 is ASCII");
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(cookie) = cookie {
        let cookie = HeaderValue::from_str(&cookie).expect("a token is ASCII");
        headers.insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Checks a handshake by RFC 6455, section 4.2.1, and returns the answer to its key.
fn check_handshake(request: &Request<Body>) -> Result<String, ApiError> {
    let headers = request.headers();
    let bad = |reason| Err(ApiError::BadHandshake(reason));
    if !has_token(headers, header::UPGRADE, "websocket") {
        return Err(ApiError::UpgradeRequired);
    }
    if request.method() != Method::GET {
        return Err(ApiError::MethodNotAllowed("GET".into()));
    }
    if request.version() != Version::HTTP_11 {
        return bad("expected HTTP/1.1");
    }
    if !has_token(headers, header::CONNECTION, "upgrade") {
        return bad("expected the connection option upgrade");
    }
    if only(headers, header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(ApiError::UpgradeRequired);
    }
    let key = only(headers, header::SEC_WEBSOCKET_KEY);
    let Some(key) = key.filter(|key| is_key(key)) else {
        return bad("expected one Sec-WebSocket-Key of 16 bytes in base64");
    };
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_body {
        return bad("expected no body");
    }
    Ok(derive_accept_key(key.as_bytes()))
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().ok().map(str::trim),
        _ => None,
    }
}

fn is_key(key: &str) -> bool {
    BASE64.decode(key.as_bytes()).is_ok_and(|bytes| bytes.len() == 16)
}
