//! `config.json`: the hyper-parameters, and how weights are packed.

use super::super::config::{ModelConfig, RawConfig, Stated};
use super::super::error::{Fault, ModelFileError};
use super::super::yarn::RawYarn;
use super::folder::Folder;
use super::json::Object;
use super::quantisation::{self, Quantisation};
use crate::printable::printable;

/// Room for lists of labels, which some programs keep here.
const MAX_BYTES: u64 = 16 << 20;

/// What the file says.
pub(in super::super) struct ConfigJson {
    /// `tied_embeddings` is true where `tie` says nothing.
    pub model: ModelConfig,
    pub tie: Tie,
    /// None where it says nothing of it.
    pub quantisation: Option<Quantisation>,
}

/// Whether the embedding is also the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Tie {
    Stated,
    /// As in older exports: it is, unless there is a head.
    Unstated,
}

/// Reads and checks the file.
pub(super) fn read(folder: &Folder) -> Result<ConfigJson, ModelFileError> {
    let file = folder.read("config.json", MAX_BYTES)?;
    parse(&file.content).map_err(|fault| fault.in_file(&file.name))
}

/// Parses and checks the content of `config.json`.
pub(in super::super) fn parse(bytes: &[u8]) -> Result<ConfigJson, Fault> {
    let object = Object::parse(bytes)?;
    check_architecture(&object)?;
    refuse_variations(&object)?;
    let size = |key: &str| object.require(key, object.unsigned(key)?);
    let tied = object.bool("tie_word_embeddings")?;
    let raw = RawConfig {
        layers: size("num_hidden_layers")?,
        hidden: size("hidden_size")?,
        heads: size("num_attention_heads")?,
        kv_heads: size("num_key_value_heads")?,
        head_dim: object.unsigned("head_dim")?,
        feed_forward: size("intermediate_size")?,
        vocabulary_rows: size("vocab_size")?,
        trained_context: size("max_position_embeddings")?,
        rope_base: rope_base(&object)?,
        yarn: yarn(&object)?,
        rms_eps: object.require("rms_norm_eps", object.float("rms_norm_eps")?)?,
        tied_embeddings: tied.unwrap_or(true),
    };
    let tie = if tied.is_some() { Tie::Stated } else { Tie::Unstated };
    let quantisation = quantisation::of_config_json(&object)?;
    Ok(ConfigJson { model: raw.check()?, tie, quantisation })
}

fn check_architecture(object: &Object) -> Result<(), Fault> {
    for (key, expected) in [("model_type", "qwen2"), ("hidden_act", "silu")] {
        let found = object.require(key, object.string(key)?)?;
        if found != expected {
            let found = format!("{}, which this engine does not run", printable(found));
            return Err(Fault::key(key, expected, found));
        }
    }
    // Reward and embedding models have the same type and another head.
    let expected = "Qwen2ForCausalLM";
    let Some(architectures) = object.get("architectures") else { return Ok(()) };
    if architectures.as_array().is_some_and(|names| names.iter().any(|name| name == expected)) {
        return Ok(());
    }
    Err(object.wrong("architectures", expected, architectures))
}

/// The base of the rotary angles: `rope_theta`, in newer files within `rope_parameters`.
fn rope_base(object: &Object) -> Result<Stated<f64>, Fault> {
    let newer = match object.object("rope_parameters")? {
        Some(parameters) => parameters.float("rope_theta")?,
        None => None,
    };
    match newer {
        Some(base) => Ok(base),
        None => object.require("rope_theta", object.float("rope_theta")?),
    }
}

/// The object that says how rotary angles are scaled, if one does, and its key.
fn rope_scaling(object: &Object) -> Result<Option<(&'static str, Object)>, Fault> {
    for key in ["rope_scaling", "rope_parameters"] {
        if let Some(scaling) = object.object(key)?
            && scales(&scaling)?
        {
            return Ok(Some((key, scaling)));
        }
    }
    Ok(None)
}

/// The kind of scaling: newer files have another key for it.
fn scaling_kind(scaling: &Object) -> Result<Option<&str>, Fault> {
    match scaling.string("rope_type")? {
        Some(kind) => Ok(Some(kind)),
        None => scaling.string("type"),
    }
}

/// Whether it changes angles.
fn scales(scaling: &Object) -> Result<bool, Fault> {
    let factor = scaling.float("factor")?.map(|stated| stated.value);
    // Of the other kinds some change angles or attention whatever their factor.
    Ok(match scaling_kind(scaling)? {
        Some("default" | "none") => false,
        Some("linear") => factor != Some(1.0),
        Some(_) => true,
        None => factor.is_some_and(|factor| factor != 1.0),
    })
}

fn yarn(object: &Object) -> Result<Option<RawYarn>, Fault> {
    let Some((key, scaling)) = rope_scaling(object)? else { return Ok(None) };
    if scaling_kind(&scaling)? != Some("yarn") {
        return Err(other_scaling(&scaling, key)?);
    }
    if scaling.bool("truncate")? == Some(false) {
        return Err(scaling.wrong("truncate", "true, or no such key", &false.into()));
    }
    let trained = object.unsigned("max_position_embeddings")?;
    let trained = object.require("max_position_embeddings", trained)?;
    let original = scaling.unsigned("original_max_position_embeddings")?;
    let original_context = original.unwrap_or_else(|| trained.clone());
    let factor = match scaling.float("factor")? {
        Some(factor) => factor,
        // Some leave it to be computed.
        None if trained.value > original_context.value => {
            let factor = trained.value as f64 / original_context.value.max(1) as f64;
            Stated::new(&trained.key, factor)
        }
        None => return scaling.require("factor", None),
    };
    Ok(Some(RawYarn {
        magnitude: magnitude(&scaling, factor.value)?,
        factor,
        original_context,
        fast_turns: scaling.float("beta_fast")?,
        slow_turns: scaling.float("beta_slow")?,
    }))
}

/// What rotated values are multiplied by: stated, or the ratio of what two other keys make of the
/// factor.
fn magnitude(scaling: &Object, factor: f64) -> Result<Option<Stated<f64>>, Fault> {
    if let Some(stated) = scaling.float("attention_factor")? {
        return Ok(Some(stated));
    }
    let (Some(scale), Some(all)) = (scaling.float("mscale")?, scaling.float("mscale_all_dim")?)
    else {
        return Ok(None);
    };
    if scale.value == 0.0 || all.value == 0.0 {
        return Ok(None);
    }
    let of = |scale: f64| 0.1 * scale * factor.max(1.0).ln() + 1.0;
    Ok(Some(Stated { key: scale.key, value: of(scale.value) / of(all.value) }))
}

fn other_scaling(scaling: &Object, key: &str) -> Result<Fault, Fault> {
    let kind = scaling_kind(scaling)?.map_or_else(|| "unknown".to_string(), printable);
    let by = scaling.float("factor")?.map(|stated| format!(" by {}", stated.value));
    Ok(Fault::Unsupported {
        feature: format!("rope scaling of type {kind}{} (key {key})", by.unwrap_or_default()),
        advice: format!(
            "only yarn is; or remove {key} from config.json, and stay within the trained context"
        ),
    })
}

/// Refuses what would change the results and is not implemented.
fn refuse_variations(object: &Object) -> Result<(), Fault> {
    let is_sliding = |kind: &serde_json::Value| kind == "sliding_attention";
    let layer_types = object.get("layer_types").and_then(serde_json::Value::as_array);
    if object.bool("use_sliding_window")? == Some(true)
        || layer_types.is_some_and(|kinds| kinds.iter().any(is_sliding))
    {
        return Err(Fault::Unsupported {
            feature: "a sliding attention window (use_sliding_window, layer_types)".to_string(),
            advice: "use a model with full attention, such as any Qwen2.5-Instruct".to_string(),
        });
    }
    Ok(())
}
