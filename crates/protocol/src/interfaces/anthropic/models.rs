//! `GET /v1/models` for clients of this interface.

use serde::Serialize;

/// The models of a server.
#[derive(Clone, Debug, Serialize)]
pub struct ModelList {
    data: Vec<ModelReport>,
    has_more: bool,
    first_id: Option<String>,
    last_id: Option<String>,
}

impl ModelList {
    /// All models.
    pub fn new(data: Vec<ModelReport>) -> ModelList {
        let id = |model: Option<&ModelReport>| model.map(|model| model.id.clone());
        ModelList { has_more: false, first_id: id(data.first()), last_id: id(data.last()), data }
    }
}

/// A model.
#[derive(Clone, Debug, Serialize)]
pub struct ModelReport {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    display_name: String,
    created_at: String,
    lifecycle: &'static str,
    max_input_tokens: Option<usize>,
}

impl ModelReport {
    /// A model by its name; `created_at` is a time as in RFC 3339.
    pub fn new(name: String, created_at: String, max_input_tokens: Option<usize>) -> ModelReport {
        ModelReport {
            kind: "model",
            display_name: name.clone(),
            id: name,
            created_at,
            lifecycle: "active",
            max_input_tokens,
        }
    }
}
