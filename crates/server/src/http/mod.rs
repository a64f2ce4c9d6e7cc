//! The routes, and what every request and response has in common.
//!
//! A new route: one line in [`Routes::new`], its [`Door`] in [`door`], its handler in `api.rs`.

mod api;
mod assets;
mod error;
mod headers;
mod metrics;
mod models;
mod upgrade;

use crate::access::{Access, Door, Guest, Refusal, Visit};
use crate::shared::Shared;
use assets::Assets;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use error::ApiError;
use hyper::body::Incoming;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tower::ServiceExt;
use tracing::warn;

/// The connection that a request came by.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) peer: IpAddr,
    pub(crate) admission: Admission,
    /// The connection's place, held as long as its socket lives.
    pub(crate) permit: Arc<OwnedSemaphorePermit>,
}

/// Whether there is room for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Welcome,
    /// Only to be told so.
    Full,
}

/// All routes of a server.
#[derive(Clone)]
pub(crate) struct Routes {
    shared: Arc<Shared>,
    router: Router,
}

impl Routes {
    pub(crate) fn new(shared: Arc<Shared>) -> Routes {
        let assets = Arc::new(Assets::embedded());
        let asset = async move |uri: Uri, headers: HeaderMap| assets.answer(&uri, &headers);
        let router = Router::new()
            .route("/ws", get(upgrade::websocket))
            .route("/health", get(api::health))
            .route("/ready", get(api::ready))
            .route("/metrics", get(metrics::metrics))
            .route("/tokenize", post(api::tokenize))
            .route("/api/info", get(api::info))
            .route("/api/session", post(api::session))
            .route("/api/models", get(models::list))
            .route("/api/models/pull", post(models::pull))
            .route("/api/models/stop", post(models::stop))
            .route("/api/models/switch", post(models::switch))
            .fallback(get(asset))
            .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
            .with_state(shared.clone());
        Routes { shared, router }
    }

    /// Answers one request.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        connection: Connection,
    ) -> Response<Body> {
        let mut request = request.map(Body::new);
        let wants_html = error::wants_html(&request);
        let mut response = match self.prepare(&mut request, &connection) {
            Ok(guest) => {
                request.extensions_mut().insert(connection);
                request.extensions_mut().insert(guest.clone());
                let router = self.router.clone();
                let mut response =
                    router.oneshot(request).await.unwrap_or_else(|never| match never {});
                headers::allow_origin(response.headers_mut(), &guest);
                response
            }
            Err(response) => *response,
        };
        if wants_html {
            response = error::as_html(response);
        }
        headers::secure(response.headers_mut());
        response
    }

    /// Finds out who comes and what for; answers at once what never reaches a route.
    fn prepare(
        &self,
        request: &mut Request<Body>,
        connection: &Connection,
    ) -> Result<Guest, Box<Response<Body>>> {
        let answer = |error: ApiError| Box::new(error.into_response());
        let place = Place::find(&self.shared.access, request.uri());
        if let Place::Below(path) = &place {
            *request.uri_mut() = with_path(request.uri(), path);
        }
        let door = door(request.method(), request.uri().path());
        let visit = Visit { peer: connection.peer, uri: request.uri(), headers: request.headers() };
        let guest = self.shared.access.admit(&visit, door).map_err(|refusal| {
            self.log_refusal(refusal, request.headers());
            answer(refusal.into())
        })?;
        if place == Place::WithoutSlash {
            return Err(Box::new(headers::redirect_to_folder(request.uri().path())));
        }
        if request.method() == Method::OPTIONS {
            return Err(Box::new(headers::preflight(&guest)));
        }
        if connection.admission == Admission::Full && request.uri().path() != "/ws" {
            return Err(answer(ApiError::Full));
        }
        Ok(guest)
    }

    fn log_refusal(&self, refusal: Refusal, headers: &HeaderMap) {
        let gate = match refusal {
            Refusal::FilePage => &self.shared.gates.file_page,
            _ => &self.shared.gates.refused,
        };
        let Some(suppressed) = gate.admit() else { return };
        // Debug escapes what could break out of the line; the length is bounded by that of a head.
        let show = |name| headers.get(name).map(shorten);
        let origin = show(header::ORIGIN);
        let host = show(header::HOST);
        let what = refusal.hint();
        warn!(?host, ?origin, suppressed, "refused: {what}");
    }
}

fn shorten(value: &HeaderValue) -> String {
    const SHOWN: usize = 100;
    String::from_utf8_lossy(value.as_bytes()).chars().take(SHOWN).collect()
}

impl Refusal {
    /// What the operator can do about it.
    fn hint(self) -> &'static str {
        match self {
            Refusal::BadHost => "the Host header is missing or cannot be read",
            Refusal::UnknownHost => "this host is not served; --public-url names further ones",
            Refusal::ForeignOrigin => {
                "pages of this origin may not connect; --allow-origin names \
                                       those that may"
            }
            Refusal::FilePage => {
                "a page opened from disk (origin null) may not connect; \
                                  --allow-file-pages admits it"
            }
            Refusal::KeyNeeded => "a key is needed",
            Refusal::AdminOnly => "an administrator is needed; --admin-key makes one",
            Refusal::TooManyTries => "too many wrong keys from one address",
        }
    }
}

/// What a path asks of those who use it. A path that does not exist tells nothing.
fn door(method: &Method, path: &str) -> Door {
    match path {
        "/ws" => Door::Socket,
        // Browsers ask for permission without credentials.
        _ if method == Method::OPTIONS => Door::Open,
        "/tokenize" | "/metrics" | "/api/info" | "/api/models" => Door::Keyed,
        _ if path.starts_with("/api/models/") => Door::Admin,
        _ => Door::Open,
    }
}

/// Where a path lies with respect to the base paths.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Root,
    /// Below a base path; what follows it.
    Below(String),
    /// A base path whose last slash is missing.
    WithoutSlash,
}

impl Place {
    fn find(access: &Access, uri: &Uri) -> Place {
        let rests = access.base_paths().filter_map(|base| uri.path().strip_prefix(base));
        for rest in rests {
            match rest.chars().next() {
                None => return Place::WithoutSlash,
                Some('/') => return Place::Below(rest.to_owned()),
                Some(_) => {}
            }
        }
        Place::Root
    }
}

fn with_path(uri: &Uri, path: &str) -> Uri {
    let path_and_query = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    path_and_query.parse().expect("a part of a path that was one")
}

/// The response to a request whose handler has nothing to say.
fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
