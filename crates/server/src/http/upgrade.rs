//! From a request to a WebSocket, in one of the languages.

use super::error::ApiError;
use super::headers::empty;
use super::response_socket;
use super::state::{Http, connection_of, view_of};
use crate::accept::Admission;
use crate::access::{AccessLevel, Denial, Identity, PageOrigin, Principal, RequestView};
use crate::metrics::SocketLanguage;
use crate::plain::{self, Client, PageKind};
use crate::socket::{Close, Socket};
use crate::v1::{self, Caller, Endings};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use banter_protocol::v1::SUBPROTOCOL;
use banter_seam::ShareId;
use data_encoding::BASE64;
use std::pin::pin;
use std::sync::Arc;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// The query of a socket that belongs to nobody until its `hello`: such a page is not to get a
/// cookie, whatever lets its browser in.
const FOR_VISITORS: &str = "visitor";

/// A client in the language that it has asked for.
enum Speaker {
    Plain(Client),
    V1(Caller),
    /// OpenAI's, on the route of its responses.
    Responses(Principal),
    /// None: what is said is said back.
    #[cfg(any(test, feature = "scripted"))]
    Echo,
}

/// `GET /ws`
pub(super) async fn websocket(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    switch(&http, request, speaker)
}

/// `GET /v1/responses`
pub(super) async fn responses(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    switch(&http, request, |http, view, origin| {
        let Identity { principal, cookie } = http.access.identify(view, AccessLevel::User, origin);
        Ok((Speaker::Responses(principal), cookie))
    })
}

/// `GET /echo`
#[cfg(any(test, feature = "scripted"))]
pub(super) async fn echo(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    switch(&http, request, |_, _, _| Ok((Speaker::Echo, None)))
}

/// Answers a handshake. A task of its own then serves the socket.
fn switch(
    http: &Arc<Http>,
    mut request: Request<Body>,
    speaker: impl FnOnce(
        &Http,
        &RequestView<'_>,
        &PageOrigin,
    ) -> Result<(Speaker, Option<String>), Denial>,
) -> Result<Response<Body>, ApiError> {
    let http = http.clone();
    let accept = check_handshake(&request)?;
    let connection = connection_of(&request);
    let origin = request.extensions().get::<PageOrigin>().expect("set by Routes");
    let view = view_of(&connection, request.uri(), request.headers());
    let (speaker, cookie) = speaker(&http, &view, origin)?;
    let revoked = http.access.revocation(&view, AccessLevel::Socket);
    let address = http.access.rate_key(&view).address();
    let has_room =
        connection.admission == Admission::Welcome && connection.permit.assign_to(address);
    let response = switch_protocols(&accept, cookie, speaker.subprotocol());
    let upgrade = hyper::upgrade::on(&mut request);
    let tasks = http.tasks.clone();
    tasks.tracker.spawn(async move {
        let cut = http.tasks.cut.clone();
        let upgraded = tokio::select! {
            upgraded = upgrade => upgraded,
            () = cut.cancelled() => return,
        };
        let upgraded = match upgraded {
            Ok(upgraded) => upgraded,
            Err(error) => return debug!(%error, "the handshake was not completed"),
        };
        let _open = http.metrics.requests.open_socket(speaker.language());
        let budget = http.sockets.receive_budget.clone();
        let mut socket = Socket::new(upgraded, &http.config, budget, speaker.share());
        let serving = async {
            let close = match has_room {
                true => speaker.serve(&mut socket, &http, revoked).await,
                false => Close::TryAgainLater,
            };
            socket.close(close).await;
        };
        tokio::select! {
            () = pin!(serving) => {}
            () = cut.cancelled() => {}
        }
        // The connection's permit goes back only now, when its socket is closed.
        drop(connection.permit);
    });
    Ok(response)
}

/// Who the client is, in the language that it asks for, and the value of `Set-Cookie` for it.
fn speaker(
    http: &Http,
    view: &RequestView<'_>,
    origin: &PageOrigin,
) -> Result<(Speaker, Option<String>), Denial> {
    let identify = || http.access.identify(view, AccessLevel::Socket, origin);
    if !asks_for_v1(view.headers) {
        let page = match origin {
            PageOrigin::File => PageKind::File,
            PageOrigin::Own | PageOrigin::Allowed(_) => PageKind::Ordinary,
        };
        let Identity { principal, cookie } = identify();
        // There the client says what the model is told, and for visitors the operator does.
        if principal.visits_with().is_some() {
            return Err(Denial::VisitorsKey);
        }
        return Ok((Speaker::Plain(Client { page, principal }), cookie));
    }
    let (rate_key, sender) = (http.access.rate_key(view), http.access.sender(view));
    let nobody = Caller { principal: None, rate_key, sender };
    if view.uri.query() == Some(FOR_VISITORS) {
        return Ok((Speaker::V1(nobody), None));
    }
    match http.access.admit(view, AccessLevel::Socket) {
        // Any website can pretend to be such a page.
        Ok(PageOrigin::File) => Err(Denial::FilePage),
        Ok(_) => {
            let Identity { principal, cookie } = identify();
            let caller = Caller { principal: Some(principal), ..nobody };
            Ok((Speaker::V1(caller), cookie))
        }
        // The key may still come in the first event.
        Err(Denial::KeyNeeded) => Ok((Speaker::V1(nobody), None)),
        Err(denial) => Err(denial),
    }
}

/// Whether a client asks for `banter.v1`.
pub(super) fn asks_for_v1(headers: &HeaderMap) -> bool {
    has_token(headers, header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
}

impl Speaker {
    fn subprotocol(&self) -> Option<&'static str> {
        match self {
            Speaker::Plain(_) | Speaker::Responses(_) => None,
            #[cfg(any(test, feature = "scripted"))]
            Speaker::Echo => None,
            Speaker::V1(_) => Some(SUBPROTOCOL),
        }
    }

    fn language(&self) -> SocketLanguage {
        match self {
            Speaker::Plain(_) => SocketLanguage::Plain,
            Speaker::V1(_) => SocketLanguage::V1,
            Speaker::Responses(_) => SocketLanguage::Responses,
            #[cfg(any(test, feature = "scripted"))]
            Speaker::Echo => SocketLanguage::Plain,
        }
    }

    fn share(&self) -> ShareId {
        match self {
            Speaker::Plain(client) => client.principal.share(),
            Speaker::V1(caller) => caller.share(),
            Speaker::Responses(principal) => principal.share(),
            #[cfg(any(test, feature = "scripted"))]
            Speaker::Echo => ShareId::default(),
        }
    }

    /// Serves the socket until it has to be closed, at the latest with the session or the server,
    /// and returns the reason.
    async fn serve(
        self,
        socket: &mut Socket,
        http: &Arc<Http>,
        revoked: Option<CancellationToken>,
    ) -> Close {
        let shutdown = http.tasks.going_away.clone();
        let revoked = revoked.unwrap_or_default();
        match self {
            Speaker::Plain(client) => {
                let plain = http.sockets.plain.clone();
                leaving(shutdown, revoked, |leaving| plain::serve(socket, plain, client, leaving))
                    .await
            }
            Speaker::Responses(principal) => {
                let http = http.clone();
                leaving(shutdown, revoked, |leaving| {
                    response_socket::serve(socket, http, principal, leaving)
                })
                .await
            }
            #[cfg(any(test, feature = "scripted"))]
            Speaker::Echo => super::echo::serve(socket).await,
            Speaker::V1(caller) => {
                let endings = Endings { shutdown, revoked };
                v1::serve(socket, http.sockets.v1.clone(), caller, endings).await
            }
        }
    }
}

/// Serves a socket whose language does not tell the end of its session from that of the server.
async fn leaving<S: Future<Output = Close>>(
    shutdown: CancellationToken,
    revoked: CancellationToken,
    serve: impl FnOnce(CancellationToken) -> S,
) -> Close {
    let leaving = shutdown.child_token();
    let mut serving = pin!(serve(leaving.clone()));
    tokio::select! {
        close = &mut serving => return close,
        () = revoked.cancelled() => leaving.cancel(),
    }
    serving.await
}

/// The plain language and OpenAI's have no subprotocol. A client that asks for one that is not
/// known, and needs it, closes the connection itself, as the WebSocket standard says.
fn switch_protocols(
    accept: &str,
    cookie: Option<String>,
    subprotocol: Option<&'static str>,
) -> Response<Body> {
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::from_str(accept).expect("base64 is ASCII");
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(subprotocol) = subprotocol {
        let subprotocol = HeaderValue::from_static(subprotocol);
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
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
