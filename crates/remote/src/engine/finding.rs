//! Which engine and which model answer at an address.

use serde::Deserialize;
use serde_json::Value;

use super::error::EngineError;
use super::kind::Kind;
use super::{About, EngineSettings, Line};

/// `GET /v1/models`.
#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    owned_by: Option<String>,
    /// vLLM and SGLang say it.
    max_model_len: Option<usize>,
    /// An adapter names the model it was made for.
    parent: Option<String>,
    meta: Option<Meta>,
}

/// What llama-server tells about a model.
#[derive(Deserialize)]
struct Meta {
    n_params: Option<u64>,
    size: Option<u64>,
}

/// `GET /props` of llama-server.
#[derive(Deserialize)]
struct Properties {
    default_generation_settings: Option<GenerationSettings>,
}

#[derive(Deserialize)]
struct GenerationSettings {
    n_ctx: Option<usize>,
}

/// What is there, and what requests call the model.
pub(super) async fn find(
    line: &Line,
    settings: &EngineSettings,
) -> Result<(About, Option<String>), EngineError> {
    let listed = line.get::<Models>(&["v1", "models"]).await;
    let kind = match (settings.kind, &listed) {
        (Some(kind), _) => kind,
        (None, Ok(models)) => kind_of(line, &models.data).await,
        (None, Err(EngineError::Status { status: 500.., .. })) => {
            by_interface(line).await.unwrap_or(Kind::OpenAi)
        }
        (None, Err(_)) => Kind::OpenAi,
    };
    let mut models = match listed {
        // It lists what it has downloaded, and fails when that is nothing.
        Err(EngineError::Status { .. }) if kind == Kind::Transformers => {
            Models { data: Vec::new() }
        }
        listed => listed?,
    };
    let index = choose(kind, &models.data, settings.model.as_deref())?;
    let found = index.map(|index| models.data.swap_remove(index));
    let name = settings.model.clone().or_else(|| Some(found.as_ref()?.id.clone()));
    let mut context_tokens = found.as_ref().and_then(|model| model.max_model_len);
    if kind == Kind::LlamaServer {
        let properties: Properties = line.get(&["props"]).await?;
        context_tokens = properties.default_generation_settings.and_then(|all| all.n_ctx);
    }
    let meta = found.and_then(|model| model.meta);
    let about = About {
        kind,
        model: shown(name.as_deref().unwrap_or(kind.name())),
        context_tokens: context_tokens.filter(|tokens| *tokens > 0),
        parameters: meta.as_ref().and_then(|meta| meta.n_params),
        weights_bytes: meta.and_then(|meta| meta.size),
    };
    Ok((about, name))
}

/// The index of the model to use; none if the engine takes any, or has one without a name.
fn choose(
    kind: Kind,
    models: &[Model],
    wanted: Option<&str>,
) -> Result<Option<usize>, EngineError> {
    let there = || models.iter().map(|model| model.id.clone()).collect();
    if let Some(wanted) = wanted {
        let found = models.iter().position(|model| model.id == wanted);
        // It loads what it is asked for, and lists what it has loaded once.
        return match found {
            None if kind != Kind::Transformers => {
                let what = format!("expected the model {wanted:?} (--engine-model)");
                Err(EngineError::Model { what, there: there() })
            }
            found => Ok(found),
        };
    }
    let mut own = (0..models.len()).filter(|&index| models[index].parent.is_none());
    match (own.next(), own.next()) {
        (Some(only), None) => Ok(Some(only)),
        (None, _) if kind == Kind::Transformers => Ok(None),
        _ => {
            let what = "expected one model, or its name in --engine-model".to_owned();
            Err(EngineError::Model { what, there: there() })
        }
    }
}

async fn kind_of(line: &Line, models: &[Model]) -> Kind {
    let owners = models.iter().filter_map(|model| model.owned_by.as_deref());
    let by_owner = owners.filter_map(Kind::of_owner).next();
    match by_owner {
        Some(kind) => kind,
        None => by_interface(line).await.unwrap_or(Kind::OpenAi),
    }
}

/// The engines in Python describe themselves. Who does not answer is of no known kind.
async fn by_interface(line: &Line) -> Option<Kind> {
    let description: Value = line.get(&["openapi.json"]).await.ok()?;
    let title = description.pointer("/info/title").and_then(Value::as_str).unwrap_or_default();
    if title.contains("llama.cpp Python") {
        return Some(Kind::LlamaCppPython);
    }
    let paths = description.get("paths")?;
    let has = |path: &str| paths.get(path).is_some();
    (has("/load_model") && has("/v1/responses")).then_some(Kind::Transformers)
}

/// The last part of a path or of `owner/name`: what people call the model.
fn shown(name: &str) -> String {
    let last = name.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or(name);
    let last = last.strip_suffix(".gguf").unwrap_or(last);
    last.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(json: &str) -> Vec<Model> {
        serde_json::from_str::<Models>(json).expect("a list of models").data
    }

    #[test]
    fn one_model_needs_no_name() {
        let one = models(r#"{"data": [{"id": "a", "owned_by": "vllm", "parent": null}]}"#);
        assert_eq!(choose(Kind::Vllm, &one, None), Ok(Some(0)));
        let adapter = models(r#"{"data": [{"id": "b", "parent": "a"}, {"id": "a"}]}"#);
        assert_eq!(choose(Kind::Vllm, &adapter, None), Ok(Some(1)));
        assert_eq!(choose(Kind::Vllm, &adapter, Some("b")), Ok(Some(0)));
        assert_eq!(choose(Kind::Transformers, &[], None), Ok(None));
        assert_eq!(choose(Kind::Transformers, &[], Some("/models/a")), Ok(None));
    }

    #[test]
    fn several_models_need_one_and_are_listed() {
        let two = models(r#"{"data": [{"id": "a"}, {"id": "b"}]}"#);
        for (wanted, parts) in [(None, ["--engine-model", "a, b"]), (Some("c"), ["\"c\"", "a, b"])]
        {
            let message = choose(Kind::Ollama, &two, wanted).expect_err("none fits").to_string();
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
        let message = choose(Kind::OpenAi, &[], None).expect_err("none is there").to_string();
        assert!(message.ends_with("it has none"), "{message}");
    }

    #[test]
    fn a_models_name_is_shown_without_its_folder() {
        assert_eq!(shown("Qwen/Qwen2.5-7B-Instruct"), "Qwen2.5-7B-Instruct");
        assert_eq!(shown("/models/qwen2.5-7b-q4_0.gguf"), "qwen2.5-7b-q4_0");
        assert_eq!(shown("qwen2.5:7b"), "qwen2.5:7b");
    }
}
