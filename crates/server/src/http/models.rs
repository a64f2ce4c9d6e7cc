//! The routes to the models of this server.

use super::Connection;
use super::api::{json, read_json};
use super::error::ApiError;
use crate::access::{Door, Visit};
use crate::models::{Models, Refused, Wanted};
use crate::shared::Shared;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use banter_protocol::http::{PullOrder, SwitchOrder};
use banter_remote::hub::ModelName;
use std::sync::Arc;

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let connection = request.extensions().get::<Connection>().expect("set by Routes");
    let visit = Visit { peer: connection.peer, uri: request.uri(), headers: request.headers() };
    let may_change = shared.access.admit(&visit, Door::Admin).is_ok();
    let list = blocking(&shared, move |models| models.list(may_change)).await?;
    Ok(json(StatusCode::OK, &list))
}

pub(super) async fn pull(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let order: PullOrder = read_json(&shared, request).await?;
    let name = ModelName::parse_public(&order.name).map_err(Refused::from)?;
    let PullOrder { accept_licence, even_if_too_large, .. } = order;
    let wanted = Wanted { name, accept_licence, even_if_too_large };
    let report = models(&shared)?.pull(wanted)?;
    Ok(json(StatusCode::ACCEPTED, &report))
}

pub(super) async fn stop(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    // Only for being declared as JSON, as everything that changes something.
    let _: serde_json::Value = read_json(&shared, request).await?;
    models(&shared)?.stop_pull();
    Ok(super::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn switch(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let order: SwitchOrder = read_json(&shared, request).await?;
    let report = blocking(&shared, move |models| models.switch(&order.name)).await?;
    Ok(json(StatusCode::ACCEPTED, &report))
}

fn models(shared: &Shared) -> Result<&Arc<Models>, ApiError> {
    shared.models.as_ref().ok_or(ApiError::NoModels)
}

/// Runs work that waits for the disk, a few at a time.
async fn blocking<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce(&Arc<Models>) -> Result<T, Refused> + Send + 'static,
) -> Result<T, ApiError> {
    let models = models(shared)?.clone();
    let _place = shared.tokenizing.acquire().await.expect("the places are never closed");
    let outcome = tokio::task::spawn_blocking(move || work(&models)).await;
    let gone = |_| Refused::Unreadable("the models could not be listed; the log says why".into());
    Ok(outcome.map_err(gone)??)
}
