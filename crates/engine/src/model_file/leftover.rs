//! Tensors that the model does not use: which are passed over, and which are refused because a
//! model that had them would compute something else.

use std::collections::HashSet;

use super::config::ModelConfig;
use super::error::Fault;
use super::stored::{StoredTensor, StoredType};
use super::tensors::{LayerTensor, TensorName};
use crate::printable::printable;

/// What may stand behind the name of a matrix and changes what it does.
const PARTS: [&str; 4] = ["weight", "qweight", "weight_scale", "weight_scale_inv"];
/// Beginnings of the names of adapters that were not merged into their matrix.
const ADAPTERS: [&str; 2] = ["lora_", "dora_"];
/// Factors of rotary angles in GGUF files.
const ROPE_FACTORS: [&str; 3] =
    ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"];

/// Says in the log which tensors are passed over.
///
/// Errors: the first, by name, of those that would change the result.
pub(super) fn pass_over<'a>(
    leftover: &[&'a StoredTensor],
    spelling: fn(TensorName) -> String,
    config: &ModelConfig,
) -> Result<(), (&'a StoredTensor, Fault)> {
    let known = KnownNames::new(spelling, config);
    let changes_result = |tensor: &&&StoredTensor| known.changes_result(tensor);
    // The least name, so that the same file always gives the same error.
    let wrong = leftover.iter().filter(changes_result).min_by(|a, b| a.name.cmp(&b.name));
    if let Some(tensor) = wrong {
        let expected = format!("only the tensors of a Qwen2 model of {} layers", config.layers);
        return Err((tensor, Fault::tensor(&tensor.name, expected, "one that changes the result")));
    }
    mention(leftover);
    Ok(())
}

/// Says in the log which tensors nobody uses.
fn mention(leftover: &[&StoredTensor]) {
    const MENTIONED: usize = 8;
    if leftover.is_empty() {
        return;
    }
    let mut names: Vec<&str> = leftover.iter().map(|tensor| tensor.name.as_str()).collect();
    names.sort_unstable();
    names.truncate(MENTIONED);
    let tensors = names.into_iter().map(printable).collect::<Vec<_>>().join(", ");
    tracing::warn!(count = leftover.len(), tensors, "passing over tensors that have no use here");
}

/// How the tensors of the model are called in a file.
struct KnownNames {
    /// The matrices, without `.weight`.
    stems: HashSet<String>,
    /// What a layer's names begin with: `model.layers.` or `blk.`.
    layers: String,
    /// The names of a layer's tensors, without the layer.
    of_layer: HashSet<String>,
    layer_count: usize,
}

impl KnownNames {
    fn new(spelling: fn(TensorName) -> String, config: &ModelConfig) -> KnownNames {
        let matrices = TensorName::all(config).into_iter().filter(|name| !name.is_vector());
        let stem = |name| spelling(name).trim_end_matches(".weight").to_string();
        let first = |tensor| spelling(TensorName::Layer(0, tensor));
        let norm = first(LayerTensor::AttentionNorm);
        let layers = norm.split_once("0.").expect("a layer's names have its number").0.to_string();
        let of_layer = LayerTensor::ALL.map(|tensor| first(tensor)[layers.len() + 2..].to_string());
        KnownNames {
            stems: matrices.map(stem).collect(),
            layers,
            of_layer: of_layer.into_iter().collect(),
            layer_count: config.layers,
        }
    }

    /// Whether a model with this tensor would compute something else.
    fn changes_result(&self, tensor: &StoredTensor) -> bool {
        let name = tensor.name.as_str();
        ROPE_FACTORS.contains(&name)
            || self.is_of_known_matrix(name)
            || self.is_of_other_layer(name)
            || self.is_norm_of_layer(tensor)
    }

    fn is_of_known_matrix(&self, name: &str) -> bool {
        let changes = |part: &str| {
            PARTS.contains(&part) || ADAPTERS.iter().any(|adapter| part.starts_with(adapter))
        };
        name.match_indices('.')
            .any(|(dot, _)| self.stems.contains(&name[..dot]) && changes(&name[dot + 1..]))
    }

    /// The rest of a name after the layer's number, and that number.
    fn within_layer<'a>(&self, name: &'a str) -> Option<(usize, &'a str)> {
        let (number, rest) = name.strip_prefix(self.layers.as_str())?.split_once('.')?;
        Some((number.parse().ok()?, rest))
    }

    /// Whether it belongs to a layer beyond those that the configuration counts.
    fn is_of_other_layer(&self, name: &str) -> bool {
        self.within_layer(name)
            .is_some_and(|(layer, rest)| layer >= self.layer_count && self.of_layer.contains(rest))
    }

    /// Whether it is a norm that other architectures have, such as that of queries.
    fn is_norm_of_layer(&self, tensor: &StoredTensor) -> bool {
        let is_weight = matches!(tensor.kind, StoredType::Blocks(_));
        is_weight
            && self
                .within_layer(&tensor.name)
                .is_some_and(|(_, rest)| rest.ends_with(".weight") && rest.contains("norm"))
    }
}
