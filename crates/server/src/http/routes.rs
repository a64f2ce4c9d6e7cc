//! The table of routes. A path that is not in it does not exist, and every row has an access level.
//!
//! A new route: one row in [`ROUTES`], its handler, and what is said about it in `openapi`.

use super::answering::json_text;
use super::state::Http;
use super::{
    admin, anthropic, api, context, conversations, embed, embeddings, event_stream, files, metrics,
    models, ollama, openai, openapi, responses, session, tokens, upgrade,
};
use crate::access::AccessLevel;
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Response};
use axum::routing::{MethodRouter, delete, get, patch, post};
use std::sync::{Arc, LazyLock};

/// One row of the table.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// Who may use it.
    pub(super) level: AccessLevel,
    handler: fn() -> MethodRouter<Arc<Http>>,
}

const fn row(
    method: Method,
    path: &'static str,
    level: AccessLevel,
    handler: fn() -> MethodRouter<Arc<Http>>,
) -> Route {
    Route { method, path, level, handler }
}

use AccessLevel::{Admin, Probe, Public, Socket, User};

/// Every route except the files of the page, which are public.
pub(super) const ROUTES: &[Route] = &[
    row(Method::GET, "/ws", Socket, || get(upgrade::websocket)),
    #[cfg(any(test, feature = "scripted"))]
    row(Method::GET, "/echo", Public, || get(upgrade::echo)),
    row(Method::GET, "/embed", Public, || get(embed::page)),
    row(Method::GET, "/api/stream", User, || get(event_stream::open)),
    row(Method::POST, "/api/stream/{id}", User, || post(event_stream::send)),
    row(Method::GET, "/openapi.json", Public, || get(description)),
    row(Method::GET, "/health", Probe, || get(api::health)),
    row(Method::GET, "/ready", Probe, || get(api::ready)),
    row(Method::GET, "/metrics", User, || get(metrics::metrics)),
    row(Method::POST, "/tokenize", User, || post(tokens::tokenize)),
    row(Method::POST, "/detokenize", User, || post(tokens::detokenize)),
    row(Method::POST, "/apply-template", User, || post(tokens::apply_template)),
    row(Method::GET, "/api/info", User, || get(api::info)),
    row(Method::POST, "/api/session", Public, || post(session::open)),
    row(Method::DELETE, "/api/session", Public, || delete(session::close)),
    row(Method::POST, "/api/session/link", User, || post(session::link)),
    row(Method::GET, "/api/conversations", User, || get(conversations::list)),
    row(Method::POST, "/api/conversations", User, || post(conversations::create)),
    row(Method::GET, "/api/conversations/export", User, || get(files::export_all)),
    row(Method::POST, "/api/conversations/import", User, || post(files::import_file)),
    row(Method::POST, "/api/conversations/context", User, || post(context::new)),
    row(Method::GET, "/api/conversations/{id}/export", User, || get(files::export)),
    row(Method::POST, "/api/conversations/{id}/context", User, || post(context::existing)),
    row(Method::GET, "/api/conversations/{id}", User, || get(conversations::tree)),
    row(Method::PATCH, "/api/conversations/{id}", User, || patch(conversations::change)),
    row(Method::DELETE, "/api/conversations/{id}", User, || delete(conversations::remove)),
    row(Method::DELETE, "/api/conversations/{id}/messages/{message}", User, || {
        delete(conversations::remove_message)
    }),
    row(Method::GET, "/api/models", User, || get(models::list)),
    row(Method::POST, "/api/models/pull", Admin, || post(models::pull)),
    row(Method::POST, "/api/models/stop", Admin, || post(models::stop)),
    row(Method::POST, "/api/models/switch", Admin, || post(models::switch)),
    row(Method::GET, "/api/admin", Admin, || get(admin::overview)),
    row(Method::POST, "/api/admin/answers/{id}/stop", Admin, || post(admin::stop)),
    row(Method::GET, "/v1/models", User, || get(openai::models)),
    row(Method::GET, "/v1/models/{*name}", User, || get(openai::model)),
    row(Method::POST, "/v1/chat/completions", User, || post(openai::chat)),
    row(Method::POST, "/v1/completions", User, || post(openai::completions)),
    row(Method::POST, "/v1/embeddings", User, || post(embeddings::openai)),
    row(Method::POST, "/v1/responses", User, || post(responses::create)),
    row(Method::GET, "/v1/responses", User, || get(upgrade::responses)),
    row(Method::GET, "/v1/responses/{id}", User, || get(responses::find)),
    row(Method::DELETE, "/v1/responses/{id}", User, || delete(responses::remove)),
    row(Method::GET, "/v1/responses/{id}/input_items", User, || get(responses::input_items)),
    row(Method::POST, "/v1/responses/{id}/cancel", User, || post(responses::cancel)),
    row(Method::POST, "/v1/messages", User, || post(anthropic::messages)),
    row(Method::POST, "/v1/messages/count_tokens", User, || post(anthropic::count)),
    row(Method::POST, "/api/chat", User, || post(ollama::chat)),
    row(Method::POST, "/api/generate", User, || post(ollama::generate)),
    row(Method::POST, "/api/embed", User, || post(embeddings::ollama)),
    row(Method::POST, "/api/embeddings", User, || post(embeddings::ollama_one)),
    row(Method::GET, "/api/tags", User, || get(ollama::tags)),
    row(Method::GET, "/api/ps", User, || get(ollama::running)),
    row(Method::POST, "/api/show", User, || post(ollama::show)),
    row(Method::GET, "/api/version", User, || get(ollama::version)),
];

/// `GET /openapi.json`
async fn description() -> Response<Body> {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
        let rows = ROUTES.iter().map(|route| (route.method.as_str(), route.path, route.level));
        openapi::document(rows).to_string()
    });
    json_text(DOCUMENT.clone())
}

/// The first part of each path.
pub(super) fn first_parts() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().filter_map(|route| route.path.split('/').nth(1))
}

/// What a method and a path mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A row of the table, or a file of the page.
    Route(AccessLevel),
    /// A row has this path, with another method; the access level is that of the row.
    OtherMethod(AccessLevel),
    /// Nothing.
    Unknown,
}

impl Target {
    /// Finds the row. `is_file` says whether a path is a file of the page.
    pub(super) fn find(method: &Method, path: &str, is_file: impl Fn(&str) -> bool) -> Target {
        // A `HEAD` is answered wherever a `GET` is.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let mut of_path = ROUTES.iter().filter(|route| is_at(route.path, path)).peekable();
        let Some(first) = of_path.peek().map(|route| route.level) else {
            return match (is_file(path), method == Method::GET) {
                (true, true) => Target::Route(Public),
                (true, false) => Target::OtherMethod(Public),
                (false, _) => Target::Unknown,
            };
        };
        match of_path.find(|route| route.method == *method) {
            Some(route) => Target::Route(route.level),
            None => Target::OtherMethod(first),
        }
    }

    /// Who may send the request. An unknown path is public, so nobody learns from a refusal what
    /// exists.
    pub(super) fn level(self) -> AccessLevel {
        match self {
            Target::Route(level) | Target::OtherMethod(level) => level,
            Target::Unknown => Public,
        }
    }
}

/// Whether a path is one of a route's. A part of the route in braces stands for anything, and one
/// with a star for all of the rest.
fn is_at(route: &str, path: &str) -> bool {
    let (mut of_route, mut of_path) = (route.split('/'), path.split('/'));
    loop {
        match (of_route.next(), of_path.next()) {
            (None, None) => return true,
            (Some(rest), Some(part)) if rest.starts_with("{*") => return !part.is_empty(),
            (Some(any), Some(part)) if any.starts_with('{') && !part.is_empty() => {}
            (Some(expected), Some(part)) if expected == part => {}
            _ => return false,
        }
    }
}

/// The path of the route that a path belongs to.
pub(super) fn path_of(path: &str) -> Option<&'static str> {
    ROUTES.iter().map(|route| route.path).find(|route| is_at(route, path))
}

/// The methods of a path, in the form of an `Allow` header.
pub(super) fn methods_of(path: &str) -> String {
    let of_path = ROUTES.iter().filter(|route| is_at(route.path, path));
    let mut methods: Vec<&str> = of_path.map(|route| route.method.as_str()).collect();
    if methods.is_empty() {
        methods.push("GET");
    }
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.join(", ")
}

/// A router with every row of the table.
pub(super) fn router() -> Router<Arc<Http>> {
    let add = |router: Router<_>, route: &Route| router.route(route.path, (route.handler)());
    ROUTES.iter().fold(Router::new(), add)
}
