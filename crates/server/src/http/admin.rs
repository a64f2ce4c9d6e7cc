//! The routes for administrators: what the server does now, and a stop for each answer.

use super::api::json;
use super::body::read_order;
use super::error::ApiError;
use super::headers::empty;
use super::state::Http;
use crate::answers::{Listed, Urgency, Waiting};
use crate::backend::{Readiness, model_info};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, Response, StatusCode};
use banter_protocol::admin::{AnswerView, Doing, Figure, ServerView};
use banter_seam::Metric;
use std::sync::Arc;

/// `GET /api/admin`
pub(super) async fn overview(State(http): State<Arc<Http>>) -> Response<Body> {
    let backend = match http.slot.readiness() {
        Readiness::Loaded(backend) => Some(backend),
        Readiness::Loading(_) | Readiness::Unreachable(_) => None,
    };
    let metrics = backend.as_ref().map(|backend| backend.metrics()).unwrap_or_default();
    let answers = http.answers.list();
    let view = ServerView {
        version: env!("CARGO_PKG_VERSION").into(),
        running_for: http.begun.elapsed().as_secs(),
        state: http.slot.status(),
        model: backend.map(|backend| model_info(backend.info())),
        answers: answers.into_iter().map(|listed| answer_view(&http, listed)).collect(),
        figures: metrics.into_iter().flat_map(figures).collect(),
    };
    json(StatusCode::OK, &view)
}

/// `POST /api/admin/answers/{id}/stop`
pub(super) async fn stop(
    State(http): State<Arc<Http>>,
    Path(id): Path<u64>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    // The body says nothing, but it must be JSON: a page of another origin cannot send that without
    // the browser asking first.
    let _: serde_json::Value = read_order(&http, request).await?;
    match http.answers.stop(id) {
        true => Ok(empty(StatusCode::NO_CONTENT)),
        false => Err(ApiError::NotFound),
    }
}

fn answer_view(http: &Http, listed: Listed) -> AnswerView {
    let Listed { id, share, urgency, age, is_stopped, glance } = listed;
    let doing = match glance.waiting {
        _ if is_stopped => Doing::Stopping,
        _ if glance.bytes > 0 || glance.tokens > 0 => Doing::Writing,
        Some(Waiting::Prefill { done, total, .. }) => Doing::Reading { done, total },
        Some(Waiting::Queued { ahead, .. }) => Doing::Waiting { ahead: Some(ahead) },
        None => Doing::Waiting { ahead: None },
    };
    AnswerView {
        id,
        key: http.access.made().name_of(share),
        is_waited_for: urgency == Urgency::Now,
        age: age.as_secs_f64(),
        doing,
        prompt_tokens: glance.prompt_tokens,
        tokens: (glance.tokens > 0).then_some(glance.tokens),
        bytes: glance.bytes,
    }
}

fn figures(metric: Metric) -> Vec<Figure> {
    let Metric { name, values, .. } = metric;
    let figure = |(label, value): (Option<banter_seam::Label>, f64)| Figure {
        name: name.into(),
        label: label.map(|label| label.value),
        value,
    };
    values.into_iter().map(figure).collect()
}
