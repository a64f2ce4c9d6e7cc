//! The hyper-parameters of the published models.
//!
//! Source: `config.json` of Qwen2.5-Instruct in each size.

use crate::model_file::ModelConfig;

/// The names that [`named_shape`] knows.
pub const SHAPE_NAMES: [&str; 6] =
    ["qwen2.5-0.5b", "qwen2.5-1.5b", "qwen2.5-3b", "qwen2.5-7b", "qwen2.5-14b", "tiny"];

/// Rows of the embedding: models up to 3B use it as the output head too, larger ones have more
/// rows.
const TIED_ROWS: usize = 151_936;
const UNTIED_ROWS: usize = 152_064;

/// The shape of a published model, or for `tiny` the smallest shape that works with every type.
/// `None` if the name is not one of [`SHAPE_NAMES`].
pub fn named_shape(name: &str) -> Option<ModelConfig> {
    let (hidden, layers, heads, kv_heads, feed_forward, vocabulary_rows) = match name {
        "qwen2.5-0.5b" => (896, 24, 14, 2, 4864, TIED_ROWS),
        "qwen2.5-1.5b" => (1536, 28, 12, 2, 8960, TIED_ROWS),
        "qwen2.5-3b" => (2048, 36, 16, 2, 11_008, TIED_ROWS),
        "qwen2.5-7b" => (3584, 28, 28, 4, 18_944, UNTIED_ROWS),
        "qwen2.5-14b" => (5120, 48, 40, 8, 13_824, UNTIED_ROWS),
        "tiny" => (256, 2, 4, 2, 768, 4096),
        _ => return None,
    };
    Some(ModelConfig {
        layers,
        hidden,
        heads,
        kv_heads,
        head_dim: hidden / heads,
        feed_forward,
        vocabulary_rows,
        trained_context: 32_768,
        rope_base: 1e6,
        yarn: None,
        rms_eps: 1e-6,
        tied_embeddings: vocabulary_rows == TIED_ROWS,
    })
}
