//! HTTP: the routes, and what every request and response has in common.
//!
//! - `state`: what the handlers have of the rest of the server.
//! - `routes`: the table of routes, each with its access level.
//! - `api`, `admin`, `conversations`, `context`, `files`, `session`, `models`, `metrics`,
//!   `upgrade`: their handlers.
//! - `event_stream`: the handlers of `banter.v1` without a WebSocket.
//! - `openai`, `responses`, `response_socket`, `ollama`, `anthropic`: the handlers of these
//!   interfaces.
//!   `answering`: what they share.
//! - `openapi`: the description of all routes.
//! - `tokens`: the handlers that turn texts into tokens and back. `embeddings`: into vectors.
//! - `body`: the bodies of requests: how long they may be, and how much memory they may take.
//! - `assets`, `encoding`: the files of the page. `embed`: the page for frames of other sites.
//! - `error`, `error_page`, `error_shape`: errors as responses, for programs, for people, and in the
//!   words of other interfaces.
//! - `headers`: the headers of every response. `echo`: a socket for tests of its frames.

mod admin;
mod answering;
mod anthropic;
mod api;
mod assets;
mod body;
mod context;
mod conversations;
#[cfg(any(test, feature = "scripted"))]
mod echo;
mod embed;
mod embeddings;
mod encoding;
mod error;
mod error_page;
mod error_shape;
mod event_stream;
mod files;
mod headers;
mod metrics;
mod models;
mod ollama;
mod openai;
mod openapi;
mod response_socket;
mod responses;
mod routes;
mod session;
mod state;
#[cfg(test)]
mod tests;
mod tokens;
mod upgrade;

use crate::accept::{Admission, Connection, Service};
use crate::access::{Access, AccessLevel, Denial, PageOrigin, RequestView};
use assets::Assets;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use axum::response::IntoResponse;
use banter_seam::ShareId;
use error::ApiError;
use error_page::Reader;
use error_shape::Shape;
use futures_util::StreamExt;
use routes::Target;
use state::view_of;
pub(crate) use state::{Http, Limits, Sockets};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::warn;

/// Whether the server has something of its own at `/name`, or below it.
pub fn is_own_name(name: &str) -> bool {
    let mut first_parts = routes::first_parts().chain(assets::folders());
    assets::is_of_page(name) || first_parts.any(|part| part == name)
}

/// All routes of a server.
#[derive(Clone)]
pub(crate) struct Routes {
    http: Arc<Http>,
    assets: Arc<Assets>,
    router: Router,
}

/// What is known of a request before its handler runs.
struct Prepared {
    page: PageOrigin,
    level: AccessLevel,
    /// Whose quota is told: that of a key that was made by command.
    share: Option<ShareId>,
    /// Cancelled when the key or the session of the request lets in no more.
    revoked: Option<CancellationToken>,
}

impl Service for Routes {
    async fn answer(&self, request: Request<Body>, connection: Connection) -> Response<Body> {
        self.answer_one(request, connection).await
    }
}

impl Routes {
    pub(crate) fn new(http: Arc<Http>) -> Routes {
        let assets = Arc::new(Assets::embedded(&http.config.well_known));
        let files = assets.clone();
        let file = async move |uri: Uri, headers: HeaderMap| files.answer(&uri, &headers);
        let router = routes::router().fallback(file).with_state(http.clone());
        Routes { http, assets, router }
    }

    async fn answer_one(
        &self,
        mut request: Request<Body>,
        connection: Connection,
    ) -> Response<Body> {
        let location = Location::find(&self.http.access, request.uri());
        if let Location::Below(path) = &location {
            *request.uri_mut() = with_path(request.uri(), path);
        }
        let route = self.name_of(request.uri().path());
        let reader = Reader::of(request.method(), request.uri().path(), request.headers());
        let shape = Shape::of(request.uri().path());
        let mut response = match self.prepare(&request, &location, &connection) {
            Ok(prepared) => self.handle(request, prepared, connection).await,
            Err(response) => {
                body::discard(&self.http, request);
                *response
            }
        };
        response = error_page::for_reader(shape.give(response), reader);
        headers::secure(response.headers_mut());
        self.http.metrics.requests.count(route, response.status());
        response
    }

    /// The path of a route as the table has it, or what else a path is.
    fn name_of(&self, path: &str) -> &'static str {
        match routes::path_of(path) {
            Some(path) => path,
            None if self.assets.has(path) => "page",
            None => "unknown",
        }
    }

    async fn handle(
        &self,
        mut request: Request<Body>,
        prepared: Prepared,
        connection: Connection,
    ) -> Response<Body> {
        let is_told_only = connection.admission != Admission::Welcome;
        let Prepared { page, level, share, revoked } = prepared;
        request.extensions_mut().insert(connection);
        request.extensions_mut().insert(page.clone());
        let router = self.router.clone();
        let mut response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
        headers::allow_origin(response.headers_mut(), &page);
        if let Some(quota) = share.and_then(|share| self.http.access.made().quotas().of(share)) {
            headers::tell_quota(response.headers_mut(), quota.left());
        }
        if let Some(revoked) = revoked {
            response = until(revoked, response);
        }
        if is_told_only && level == AccessLevel::Probe {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }

    /// Finds out who sends a request and what for. A response that needs no handler is the error.
    fn prepare(
        &self,
        request: &Request<Body>,
        location: &Location,
        connection: &Connection,
    ) -> Result<Prepared, Box<Response<Body>>> {
        let answer = |error: ApiError| Box::new(error.into_response());
        let (method, path) = (request.method(), request.uri().path());
        let target = Target::find(method, path, |path| self.assets.has(path));
        let level = level_of(target, method, request.headers());
        let view = view_of(connection, request.uri(), request.headers());
        let admitted = self.http.access.admit(&view, level);
        self.log_proxy(&view);
        let page = admitted.map_err(|denial| {
            self.log_denial(denial, request.headers());
            answer(denial.into())
        })?;
        if *location == Location::WithoutSlash {
            return Err(Box::new(headers::redirect_to_folder(request.uri())));
        }
        if method == Method::OPTIONS {
            return Err(Box::new(headers::preflight(&page)));
        }
        match connection.admission {
            Admission::Welcome => {}
            // Health checks ask whether the process lives, and a WebSocket is told by its close
            // code.
            _ if level == AccessLevel::Probe || path == "/ws" => {}
            Admission::Full => return Err(answer(ApiError::Full)),
            Admission::AddressFull => return Err(answer(ApiError::AddressFull)),
        }
        match target {
            Target::Route(_) => {
                let share = self.http.access.made_key(&view, level).map(|(share, _)| share);
                // A stream of `banter.v1` ends by itself, and says why.
                let ends_itself = path == "/api/stream";
                let revoked = self.http.access.revocation(&view, level).filter(|_| !ends_itself);
                Ok(Prepared { page, level, share, revoked })
            }
            Target::OtherMethod(_) => {
                Err(answer(ApiError::MethodNotAllowed(routes::methods_of(path))))
            }
            Target::Unknown => Err(self.not_found(&page)),
        }
    }

    fn not_found(&self, page: &PageOrigin) -> Box<Response<Body>> {
        let mut response = ApiError::NotFound.into_response();
        headers::allow_origin(response.headers_mut(), page);
        Box::new(response)
    }

    /// Logs once that requests come through a proxy for which there is no `--public-url`.
    fn log_proxy(&self, view: &RequestView<'_>) {
        if self.http.access.came_through_an_unnamed_proxy(view)
            && self.http.limits.unnamed_proxy_logged.is_first()
        {
            warn!(
                "requests come through a proxy or tunnel, but no --public-url names the address that \
                 people open, so their pages may be refused; start with --public-url and that address"
            );
        }
    }

    fn log_denial(&self, denial: Denial, headers: &HeaderMap) {
        let gate = match denial {
            Denial::FilePage => &self.http.limits.file_pages_logged,
            _ => &self.http.limits.refusals_logged,
        };
        let Some(suppressed) = gate.admit() else { return };
        // The debug form escapes line ends and control characters.
        let show = |name| headers.get(name).map(shorten);
        let origin = show(header::ORIGIN);
        let host = show(header::HOST);
        let what = denial.hint();
        warn!(?host, ?origin, suppressed, "refused: {what}");
    }
}

/// A response whose stream ends when the key or the session that asked for it lets in no more.
fn until(revoked: CancellationToken, response: Response<Body>) -> Response<Body> {
    // Other bodies are complete.
    if !answering::is_stream(&response) {
        return response;
    }
    let revoked = revoked.cancelled_owned();
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(revoked)))
}

fn shorten(value: &HeaderValue) -> String {
    const SHOWN: usize = 100;
    String::from_utf8_lossy(value.as_bytes()).chars().take(SHOWN).collect()
}

/// The access level that a request needs.
fn level_of(target: Target, method: &Method, headers: &HeaderMap) -> AccessLevel {
    match target.level() {
        // Its key may come in the first event; until then the socket can do nothing.
        AccessLevel::Socket if upgrade::asks_for_v1(headers) => AccessLevel::Public,
        AccessLevel::Socket => AccessLevel::Socket,
        // Browsers send this question without credentials.
        _ if method == Method::OPTIONS => AccessLevel::Public,
        level => level,
    }
}

/// Where a path is, relative to the base paths.
#[derive(Debug, PartialEq, Eq)]
enum Location {
    Root,
    /// Below a base path; with the rest of the path.
    Below(String),
    /// A base path without the slash at its end.
    WithoutSlash,
}

impl Location {
    fn find(access: &Access, uri: &Uri) -> Location {
        let rests = access.base_paths().filter_map(|base| uri.path().strip_prefix(base));
        for rest in rests {
            match rest.chars().next() {
                None => return Location::WithoutSlash,
                Some('/') => return Location::Below(rest.to_owned()),
                Some(_) => {}
            }
        }
        Location::Root
    }
}

fn with_path(uri: &Uri, path: &str) -> Uri {
    let path_and_query = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    path_and_query.parse().expect("a part of a path that was one")
}
