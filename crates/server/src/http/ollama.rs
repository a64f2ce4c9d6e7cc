//! The routes of Ollama's interface.

use super::answering::{Answering, Client, json_text, lines};
use super::api::json;
use super::body::{BodyLimit, Received, receive_text};
use super::error::ApiError;
use super::state::Http;
use crate::interfaces::Asked;
use crate::interfaces::ollama::{Route, in_its_words};
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use banter_protocol::Fault;
use banter_protocol::interfaces::ollama::models::{
    Details, ModelList, ModelReport, Running, ShowReport, ShowRequest, VersionReport,
};
use banter_protocol::interfaces::ollama::{self, read_chat, read_generate};
use banter_seam::GenerateRequest;
use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Instant;

/// `POST /api/chat`
pub(super) async fn chat(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    answer(&http, request, Route::Chat, read_chat).await
}

/// `POST /api/generate`
pub(super) async fn generate(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    answer(&http, request, Route::Generate, read_generate).await
}

async fn answer(
    http: &Http,
    request: Request<Body>,
    route: Route,
    read: impl FnOnce(&str) -> Result<ollama::Request, Fault>,
) -> Result<Response<Body>, ApiError> {
    let begin = Instant::now();
    let client = Client::of(http, &request);
    let Received { value: body, memory } = receive_text(http, request, BodyLimit::Message).await?;
    let asked = read(&body).map_err(ApiError::Fault)?;
    drop(body);
    let Answering { name, .. } = Answering::find_or_load(http, Some(&asked.model)).await?;
    let Some(prompt) = asked.prompt else { return Ok(json_text(route.loaded(&name))) };
    let request = GenerateRequest {
        structure: asked.structure,
        logprobs: asked.logprobs,
        ..client.request(prompt, asked.parameters)
    };
    let begun = Asked::begin_one(&http.answers, name, request, memory).await;
    let begun = begun.map_err(in_its_words)?;
    match asked.is_streamed {
        true => Ok(lines(route.stream(begun, begin))),
        false => Ok(json_text(route.whole(begun, begin).await.map_err(in_its_words)?)),
    }
}

/// `GET /api/tags`
pub(super) async fn tags(State(http): State<Arc<Http>>) -> Result<Response<Body>, ApiError> {
    let answering = Answering::find(&http, None)?;
    let others = Answering::names(&http).await?.into_iter().skip(1).map(not_loaded);
    let models = [report(&answering, None)].into_iter().chain(others).collect();
    Ok(json(StatusCode::OK, &ModelList { models }))
}

/// A model that a request would load, of which nothing but its name is known here.
fn not_loaded(name: String) -> ModelReport {
    ModelReport {
        model: name.clone(),
        modified_at: Timestamp::default().to_string(),
        size: 0,
        digest: hexadecimal(name.as_bytes()),
        details: Details::default(),
        running: None,
        name,
    }
}

/// `GET /api/ps`
pub(super) async fn running(State(http): State<Arc<Http>>) -> Result<Response<Body>, ApiError> {
    let answering = Answering::find(&http, None)?;
    let running = Running {
        expires_at: NEVER.to_owned(),
        size_vram: 0,
        context_length: answering.backend.info().context_tokens.unwrap_or(0),
    };
    let models = vec![report(&answering, Some(running))];
    Ok(json(StatusCode::OK, &ModelList { models }))
}

/// `POST /api/show`
pub(super) async fn show(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let Received { value: body, memory: _memory } =
        receive_text(&http, request, BodyLimit::Message).await?;
    let ShowRequest { model } = ShowRequest::parse(&body).map_err(ApiError::Fault)?;
    let answering = Answering::find(&http, Some(&model))?;
    let info = answering.backend.info();
    let report = ShowReport {
        modified_at: loaded_at(&answering),
        license: info.licence.clone().unwrap_or_default(),
        details: details(&answering),
        model_info: facts(&answering),
        capabilities: vec!["completion", "tools"],
    };
    Ok(json(StatusCode::OK, &report))
}

/// `GET /api/version`
pub(super) async fn version() -> Response<Body> {
    json(StatusCode::OK, &VersionReport { version: ollama::VERSION })
}

/// No model is ever unloaded.
const NEVER: &str = "9999-12-31T00:00:00Z";

fn report(answering: &Answering, running: Option<Running>) -> ModelReport {
    ModelReport {
        name: answering.name.clone(),
        model: answering.name.clone(),
        modified_at: loaded_at(answering),
        size: answering.backend.info().weights_bytes.unwrap_or(0),
        digest: digest(answering),
        details: details(answering),
        running,
    }
}

fn loaded_at(answering: &Answering) -> String {
    // Times before the year -9999 or after 9999 cannot be written; no clock shows them.
    let time = Timestamp::try_from(answering.backend.info().loaded_at).unwrap_or_default();
    time.to_string()
}

/// Stands for what is known of the model.
fn digest(answering: &Answering) -> String {
    let info = answering.backend.info();
    let known = (&info.name, info.parameters, info.weights_bytes, &info.weight_types);
    hexadecimal(format!("{known:?}").as_bytes())
}

/// The hash of some bytes, in digits.
fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn details(answering: &Answering) -> Details {
    let info = answering.backend.info();
    let family = info.family.unwrap_or_default().to_owned();
    Details {
        parent_model: String::new(),
        format: String::new(),
        families: Some(family.clone()).filter(|family| !family.is_empty()).into_iter().collect(),
        family,
        parameter_size: info.parameters.map(spelled).unwrap_or_default(),
        quantization_level: info.weight_types.clone().unwrap_or_default(),
    }
}

/// A number of parameters as people say it: `1.5B`.
fn spelled(parameters: u64) -> String {
    let millions = parameters as f64 / 1e6;
    match millions {
        ..1000.0 => format!("{millions:.1}M"),
        _ => format!("{:.1}B", millions / 1000.0),
    }
}

/// What clients look up by the names of GGUF files.
fn facts(answering: &Answering) -> Map<String, Value> {
    let info = answering.backend.info();
    let mut facts = Map::new();
    if let Some(parameters) = info.parameters {
        facts.insert("general.parameter_count".to_owned(), parameters.into());
    }
    if let Some(family) = info.family {
        facts.insert("general.architecture".to_owned(), family.into());
        if let Some(tokens) = info.context_tokens {
            facts.insert(format!("{family}.context_length"), tokens.into());
        }
    }
    facts
}
