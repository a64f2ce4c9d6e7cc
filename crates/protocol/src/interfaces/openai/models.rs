//! `GET /v1/models`.

use serde::Serialize;

/// The models of a server.
#[derive(Clone, Debug, Serialize)]
pub struct ModelsReport {
    /// Always `list`.
    pub object: &'static str,
    /// The models.
    pub data: Vec<ModelReport>,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelReport {
    /// Its name.
    pub id: String,
    /// Always `model`.
    pub object: &'static str,
    /// When it was loaded, in seconds since 1970; 0 of one that is not.
    pub created: u64,
    /// Whose it is.
    pub owned_by: &'static str,
    /// Prompt and answer together can have this many tokens, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_model_len: Option<usize>,
}
