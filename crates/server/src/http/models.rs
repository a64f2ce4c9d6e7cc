//! The routes for the models of this server.

use super::api::json;
use super::body::read_order;
use super::error::ApiError;
use super::headers::empty;
use super::state::{Http, connection_of, view_of};
use crate::access::AccessLevel;
use crate::models::{Models, ModelsError, Wanted, cannot_list};
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use banter_protocol::http::{ModelEntry, ModelState, PullOrder, SwitchOrder};
use banter_remote::hub::ModelName;
use banter_seam::Failure;
use std::sync::Arc;

pub(super) async fn list(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let connection = connection_of(&request);
    let view = view_of(&connection, request.uri(), request.headers());
    let may_change = http.access.admit(&view, AccessLevel::Admin).is_ok();
    let list = blocking(&http, move |models| models.list(may_change)).await?;
    Ok(json(StatusCode::OK, &list))
}

pub(super) async fn pull(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let order: PullOrder = read_order(&http, request).await?;
    let name = ModelName::parse_public(&order.name).map_err(ModelsError::from)?;
    let PullOrder { accept_licence, even_if_too_large, .. } = order;
    let wanted = Wanted { name, accept_licence, even_if_too_large };
    let report = models(&http)?.pull(wanted)?;
    Ok(json(StatusCode::ACCEPTED, &report))
}

pub(super) async fn stop(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    // The body says nothing, but it must be JSON: a page of another origin cannot send that without
    // the browser asking first.
    let _: serde_json::Value = read_order(&http, request).await?;
    models(&http)?.stop_pull();
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn switch(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let order: SwitchOrder = read_order(&http, request).await?;
    let report = blocking(&http, move |models| models.switch(&order.name)).await?;
    Ok(json(StatusCode::ACCEPTED, &report))
}

fn models(http: &Http) -> Result<&Arc<Models>, ApiError> {
    http.models.as_ref().ok_or(ApiError::NoModels)
}

/// The names of the models that are installed.
pub(super) async fn installed(http: &Http) -> Result<Vec<String>, ApiError> {
    let list = blocking(http, |models| models.list(false)).await?;
    let is_here = |entry: &ModelEntry| entry.state == ModelState::Installed;
    Ok(list.models.into_iter().filter(is_here).map(|entry| entry.name).collect())
}

/// Runs work that waits for the disk; only a few such requests run at the same time.
async fn blocking<T: Send + 'static>(
    http: &Http,
    work: impl FnOnce(&Arc<Models>) -> Result<T, ModelsError> + Send + 'static,
) -> Result<T, ApiError> {
    let models = models(http)?.clone();
    let waiting =
        tokio::time::timeout(http.config.body_timeout, http.limits.model_list_permits.acquire());
    let _permit = waiting.await.map_err(|_| {
        let reason = "too many lists of the models are being made; try again in a moment".into();
        ApiError::from(Failure::Busy { reason, position: 0, estimate_ms: None })
    })?;
    let outcome = tokio::task::spawn_blocking(move || work(&models)).await;
    Ok(outcome.map_err(|_| cannot_list())??)
}
