//! What is known of the model: `/api/tags`, `/api/ps`, `/api/show` and `/api/version`.

use super::super::fields::split;
use crate::Fault;
use crate::json::{Mistake, Value as Tree, read};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `/api/tags` and `/api/ps`: the models.
#[derive(Clone, Debug, Serialize)]
pub struct ModelList {
    /// The models.
    pub models: Vec<ModelReport>,
}

/// A model in a list.
#[derive(Clone, Debug, Serialize)]
pub struct ModelReport {
    /// Its name.
    pub name: String,
    /// The same.
    pub model: String,
    /// When it was loaded, as in RFC 3339.
    pub modified_at: String,
    /// Bytes of its weights.
    pub size: u64,
    /// Changes when another model has the name; 64 hexadecimal digits.
    pub digest: String,
    /// More about it.
    pub details: Details,
    /// Only of a running model.
    #[serde(flatten)]
    pub running: Option<Running>,
}

/// What is known of a running model.
#[derive(Clone, Debug, Serialize)]
pub struct Running {
    /// When it will be unloaded, as in RFC 3339: far in the future.
    pub expires_at: String,
    /// Bytes of its weights in the memory of an accelerator.
    pub size_vram: u64,
    /// Prompt and answer together can have this many tokens.
    pub context_length: usize,
}

/// What kind of model it is. What is not known is empty.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Details {
    /// The model that it was made from.
    pub parent_model: String,
    /// The format of its file.
    pub format: String,
    /// The family: `qwen2`.
    pub family: String,
    /// The same, as a list.
    pub families: Vec<String>,
    /// How many parameters it has: `1.5B`.
    pub parameter_size: String,
    /// How its weights are stored.
    pub quantization_level: String,
}

/// The request of `/api/show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShowRequest {
    /// The name of the model.
    pub model: String,
}

#[derive(Deserialize)]
struct SentShow {
    model: Option<String>,
    /// What older clients send.
    name: Option<String>,
}

impl ShowRequest {
    /// Reads the body of a request.
    ///
    /// Errors: what is wrong with it, and where.
    pub fn parse(body: &str) -> Result<ShowRequest, Fault> {
        let (fields, _) = split(body, &["model", "name"])?;
        let SentShow { model, name } = read(&fields)?;
        let missing = || Mistake::new("model", "the name of a model", &Tree::Null);
        Ok(ShowRequest { model: model.or(name).ok_or_else(missing)? })
    }
}

/// `/api/show`: all that is known of a model.
#[derive(Clone, Debug, Serialize)]
pub struct ShowReport {
    /// When it was loaded, as in RFC 3339.
    pub modified_at: String,
    /// Its licence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub license: String,
    /// More about it.
    pub details: Details,
    /// Facts by their names in GGUF files.
    pub model_info: Map<String, Value>,
    /// What it can do: `completion`, `tools`, `thinking`.
    pub capabilities: Vec<&'static str>,
}

/// `/api/version`
#[derive(Clone, Debug, Serialize)]
pub struct VersionReport {
    /// The version.
    pub version: &'static str,
}
