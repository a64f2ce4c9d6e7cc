//! Finds out which engine and which model are at an address.

use serde_json::{Map, Value, json};
use tracing::warn;

use super::error::EngineError;
use super::http::EngineClient;
use super::interface::Interface;
use super::kind::Kind;
use super::words::Words;
use super::{About, EngineSettings};

/// What was found at an address.
pub(super) struct Found {
    pub(super) client: EngineClient,
    pub(super) about: About,
    /// The model's name in requests.
    pub(super) model: Option<String>,
    /// Whether it lists its models. Then the list can also tell whether it is well.
    pub(super) has_list: bool,
}

/// A model in `GET /v1/models`, as far as it is described.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    id: String,
    owned_by: Option<String>,
    /// vLLM and SGLang say `max_model_len`, gateways `context_length`, llama-server's list has
    /// `meta.n_ctx`.
    context_tokens: Option<usize>,
    /// Whether it is an adapter, which names the model that it belongs to.
    is_adapter: bool,
    parameters: Option<u64>,
    bytes: Option<u64>,
}

/// Finds the engine and its model.
///
/// Errors: it cannot be reached, needs a key, is not an engine, or it is not clear which model to
/// use.
pub(super) async fn find(settings: &EngineSettings) -> Result<Found, EngineError> {
    let (client, listed) = list(settings).await?;
    let has_list = listed.is_ok();
    let kind = match (settings.kind, &listed) {
        (Some(kind), _) => kind,
        (None, Ok(models)) => kind_of(&client, models).await,
        (None, Err(error)) if settings.model.is_none() && has_no_list(error) => {
            return Err(error.clone());
        }
        (None, Err(_)) => by_interface(&client).await.unwrap_or(Kind::OpenAi),
    };
    let mut models = match listed {
        Ok(models) => models,
        // It lists what it has downloaded, and fails if that is nothing.
        Err(_) if kind == Kind::Transformers => Vec::new(),
        Err(error) => match &settings.model {
            Some(model) if has_no_list(&error) => {
                let words = error.words();
                warn!(engine = %settings.address, %error, words, model, "the engine does not list its models");
                Vec::new()
            }
            _ => return Err(error),
        },
    };
    let index = choose(kind, &models, settings.model.as_deref())?;
    let found = index.map(|index| models.swap_remove(index)).unwrap_or_default();
    let name = settings.model.clone().or_else(|| index.map(|_| found.id.clone()));
    let context_tokens = context(&client, kind, name.as_deref()).await;
    let about = About {
        kind,
        model: shown(name.as_deref().unwrap_or(kind.name())),
        context_tokens: context_tokens.or(found.context_tokens),
        parameters: found.parameters,
        weights_bytes: found.bytes,
    };
    Ok(Found { client, about, model: name, has_list })
}

/// A client for the path at which the list of models is, and the list, or why there is none.
///
/// Errors: those for which other paths of the same address would not help.
async fn list(
    settings: &EngineSettings,
) -> Result<(EngineClient, Result<Vec<Model>, EngineError>), EngineError> {
    let mut first = None;
    for interface in Interface::candidates(&settings.address) {
        let client = EngineClient::new(settings, interface)?;
        let url = client.interface.open(&["models"]);
        let path = url.path().to_owned();
        let listed = client.get::<Value>(url).await.and_then(|list| models(&list, &path));
        match listed {
            Ok(models) => return Ok((client, Ok(models))),
            Err(error) if has_no_list(&error) => {
                first.get_or_insert((client, error));
            }
            Err(error @ EngineError::Status { .. }) => return Ok((client, Err(error))),
            Err(error) => return Err(error),
        }
    }
    let (client, error) = first.expect("an address has a candidate");
    Ok((client, Err(error)))
}

/// Whether an engine with this error may work without a list of models. An engine that fails in
/// other ways may only be starting.
fn has_no_list(error: &EngineError) -> bool {
    match error {
        EngineError::Unexpected(_) => true,
        EngineError::Status { status, .. } => matches!(status, 400..=499 | 501),
        _ => false,
    }
}

/// The models of a list. Gateways write it in several forms: below `data` or `models`, or bare;
/// with objects or with names.
fn models(list: &Value, path: &str) -> Result<Vec<Model>, EngineError> {
    let entries = match list {
        Value::Array(entries) => entries,
        _ => match list.get("data").or_else(|| list.get("models")) {
            Some(Value::Array(entries)) => entries,
            Some(Value::Null) => return Ok(Vec::new()),
            _ => {
                let found = Words::of(list).text;
                let what = format!("{path}: expected a list of models, found {found:?}");
                return Err(EngineError::Unexpected(what));
            }
        },
    };
    Ok(entries.iter().filter_map(Model::read).collect())
}

impl Model {
    fn read(entry: &Value) -> Option<Model> {
        let object = match entry {
            Value::String(id) => return Some(Model { id: id.clone(), ..Model::default() }),
            Value::Object(object) => object,
            _ => return None,
        };
        let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
        let empty = Map::new();
        let meta = object.get("meta").and_then(Value::as_object).unwrap_or(&empty);
        let context = [(object, "max_model_len"), (meta, "n_ctx"), (object, "context_length")];
        let context = context.iter().find_map(|(object, name)| tokens(object.get(*name)?));
        Some(Model {
            id: text("id").or_else(|| text("name")).or_else(|| text("model"))?,
            owned_by: text("owned_by"),
            context_tokens: context,
            is_adapter: object.get("parent").is_some_and(|parent| !parent.is_null()),
            parameters: meta.get("n_params").and_then(Value::as_u64),
            bytes: meta.get("size").and_then(Value::as_u64),
        })
    }
}

fn tokens(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok().filter(|tokens| *tokens > 0)
}

/// The context of a model by the engine's own interface, which knows best.
async fn context(client: &EngineClient, kind: Kind, model: Option<&str>) -> Option<usize> {
    match kind {
        Kind::LlamaServer => {
            let settings = "/default_generation_settings/n_ctx";
            let mut url = client.interface.own(&["props"]);
            let properties: Option<Value> = client.get(url.clone()).await.ok();
            let context = properties.and_then(|all| tokens(all.pointer(settings)?));
            if context.is_some() {
                return context;
            }
            // In front of several models it answers for one only if that one is named.
            url.query_pairs_mut().append_pair("model", model?);
            let properties: Value = client.get(url).await.ok()?;
            tokens(properties.pointer(settings)?)
        }
        Kind::Ollama => {
            let model = model?;
            let running: Option<Value> =
                client.get(client.interface.own(OLLAMA_RUNNING)).await.ok();
            let loaded = running.and_then(|running| context_of_loaded(&running, model));
            if loaded.is_some() {
                return loaded;
            }
            let url = client.interface.own(&["api", "show"]);
            let shown: Value = client.ask(url, &json!({"model": model})).await.ok()?;
            let parameters = shown.get("parameters")?.as_str()?;
            let line = parameters.lines().find_map(|line| line.trim().strip_prefix("num_ctx"))?;
            line.trim().parse().ok().filter(|tokens| *tokens > 0)
        }
        _ => None,
    }
}

/// The path at which Ollama lists the models that it has loaded.
pub(super) const OLLAMA_RUNNING: &[&str] = &["api", "ps"];

/// The context that a model was loaded with, in Ollama's list of loaded models; `None` if it is not
/// loaded, or if the list does not say it.
pub(super) fn context_of_loaded(running: &Value, model: &str) -> Option<usize> {
    let is_it = |entry: &&Value| {
        let named = |name| entry.get(name).and_then(Value::as_str) == Some(model);
        named("name") || named("model")
    };
    let loaded = running.get("models")?.as_array()?.iter().find(is_it)?;
    tokens(loaded.get("context_length")?)
}

/// The index of the model to use; `None` if the engine accepts any model, or does not list it.
fn choose(
    kind: Kind,
    models: &[Model],
    wanted: Option<&str>,
) -> Result<Option<usize>, EngineError> {
    let there = || models.iter().map(|model| model.id.clone()).collect();
    if let Some(wanted) = wanted {
        let found = models.iter().position(|model| model.id == wanted);
        // `transformers serve` loads the model of a request, and lists only models that it has
        // loaded before. An empty list says nothing about any model.
        return match found {
            None if kind != Kind::Transformers && !models.is_empty() => {
                let what = format!("expected the model {wanted:?} (--engine-model)");
                Err(EngineError::Model { what, there: there() })
            }
            found => Ok(found),
        };
    }
    let mut own = (0..models.len()).filter(|&index| !models[index].is_adapter);
    match (own.next(), own.next()) {
        (Some(only), None) => Ok(Some(only)),
        (None, _) if kind == Kind::Transformers => Ok(None),
        _ => {
            let what = "expected one model, or its name in --engine-model".to_owned();
            Err(EngineError::Model { what, there: there() })
        }
    }
}

async fn kind_of(client: &EngineClient, models: &[Model]) -> Kind {
    let owners = models.iter().filter_map(|model| model.owned_by.as_deref());
    let by_owner = owners.filter_map(Kind::of_owner).next();
    match by_owner {
        Some(kind) => kind,
        None => by_interface(client).await.unwrap_or(Kind::OpenAi),
    }
}

/// The engines in Python describe their interface. An engine that does not is of an unknown kind.
async fn by_interface(client: &EngineClient) -> Option<Kind> {
    let description: Value = client.get(client.interface.own(&["openapi.json"])).await.ok()?;
    let title = description.pointer("/info/title").and_then(Value::as_str).unwrap_or_default();
    if title.contains("llama.cpp Python") {
        return Some(Kind::LlamaCppPython);
    }
    let paths = description.get("paths")?;
    let has = |path: &str| paths.get(path).is_some();
    (has("/load_model") && has("/v1/responses")).then_some(Kind::Transformers)
}

/// The last part of a path or of `owner/name`: the name that people use for the model.
fn shown(name: &str) -> String {
    let last = name.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or(name);
    let last = last.strip_suffix(".gguf").unwrap_or(last);
    last.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(json: &str) -> Vec<Model> {
        let list = serde_json::from_str(json).expect("JSON");
        models(&list, "/v1/models").expect("a list of models")
    }

    #[test]
    fn one_model_needs_no_name() {
        let one = listed(r#"{"data": [{"id": "a", "owned_by": "vllm", "parent": null}]}"#);
        assert_eq!(choose(Kind::Vllm, &one, None), Ok(Some(0)));
        let adapter = listed(r#"{"data": [{"id": "b", "parent": "a"}, {"id": "a"}]}"#);
        assert_eq!(choose(Kind::Vllm, &adapter, None), Ok(Some(1)));
        assert_eq!(choose(Kind::Vllm, &adapter, Some("b")), Ok(Some(0)));
        assert_eq!(choose(Kind::Transformers, &[], None), Ok(None));
        assert_eq!(choose(Kind::Transformers, &[], Some("/models/a")), Ok(None));
        assert_eq!(choose(Kind::OpenAi, &[], Some("a")), Ok(None));
    }

    #[test]
    fn several_models_need_one_and_are_listed() {
        let two = listed(r#"{"data": [{"id": "a"}, {"id": "b"}]}"#);
        for (wanted, parts) in [(None, ["--engine-model", "a, b"]), (Some("c"), ["\"c\"", "a, b"])]
        {
            let message = choose(Kind::Ollama, &two, wanted).expect_err("none fits").to_string();
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
        let message = choose(Kind::OpenAi, &[], None).expect_err("none is there").to_string();
        assert!(message.ends_with("it has none"), "{message}");
    }

    #[test]
    fn lists_are_read_in_every_form() {
        let lists = [
            r#"{"object": "list", "data": [{"id": "a"}]}"#,
            r#"{"data": [{"id": "a", "owned_by": 7, "max_model_len": "many", "meta": null}]}"#,
            r#"{"data": [null, 7, {}, {"id": "a"}]}"#,
            r#"{"models": [{"name": "a"}]}"#,
            r#"[{"id": "a"}]"#,
            r#"["a"]"#,
        ];
        for list in lists {
            let expected = [Model { id: "a".to_owned(), ..Model::default() }];
            let found = listed(list);
            let found: Vec<Model> =
                found.into_iter().map(|model| Model { owned_by: None, ..model }).collect();
            assert_eq!(found, expected, "{list}");
        }
        assert!(listed(r#"{"object": "list", "data": null}"#).is_empty());
        for list in ["7", "{}", r#"{"data": 7}"#, "\"a\""] {
            let list = serde_json::from_str(list).expect("JSON");
            let error = models(&list, "/v1/models").expect_err("no list").to_string();
            assert!(error.starts_with("/v1/models: "), "{error}");
        }
    }

    #[test]
    fn the_context_is_read_where_engines_write_it() {
        let cases = [
            (r#"[{"id": "a", "max_model_len": 512}]"#, Some(512)),
            (r#"[{"id": "a", "meta": {"n_ctx": 512, "n_ctx_train": 4096}}]"#, Some(512)),
            (r#"[{"id": "a", "context_length": 512}]"#, Some(512)),
            (r#"[{"id": "a", "meta": {"n_ctx": 0}}]"#, None),
            (r#"[{"id": "a", "meta": {"n_ctx_train": 4096}}]"#, None),
        ];
        for (list, expected) in cases {
            assert_eq!(listed(list)[0].context_tokens, expected, "{list}");
        }
    }

    #[test]
    fn a_models_name_is_shown_without_its_folder() {
        assert_eq!(shown("Qwen/Qwen2.5-7B-Instruct"), "Qwen2.5-7B-Instruct");
        assert_eq!(shown("/models/qwen2.5-7b-q4_0.gguf"), "qwen2.5-7b-q4_0");
        assert_eq!(shown("qwen2.5:7b"), "qwen2.5:7b");
    }
}
