//! How the weights of a folder are packed: `quantization_config` of `config.json`, or
//! `quantize_config.json`, which older quantisers wrote.

use super::super::error::{Fault, ModelFileError};
use super::super::packed::{CodeBits, MIN_GROUP_LEN, Packing, StoredZeros};
use super::folder::Folder;
use super::json::Object;
use crate::printable::printable;

const FILE: &str = "quantize_config.json";
const MAX_BYTES: u64 = 1 << 20;
const OTHER_PACKING: &str =
    "use a folder packed by GPTQ or AWQ, that of the unquantised model, or a GGUF file";

/// How all packed tensors of a folder are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Quantisation {
    pub packing: Packing,
    /// How many inputs share a scale; `None` if all of a row do.
    pub group_len: Option<usize>,
    pub groups: GroupOrder,
}

/// Which inputs are in one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum GroupOrder {
    /// Neighbours, so that no tensor need say which input is in which group.
    Runs,
    /// Any, as a tensor says.
    Any,
}

/// Reads `quantize_config.json`, if there is one.
pub(super) fn read(folder: &Folder) -> Result<Option<Quantisation>, ModelFileError> {
    let Some(file) = folder.read_optional(FILE, MAX_BYTES)? else { return Ok(None) };
    parse(&file.content).map(Some).map_err(|fault| fault.in_file(&file.name))
}

/// Parses `quantize_config.json`. Only tools for GPTQ write it, and early ones gave no
/// `quant_method`.
pub(in super::super) fn parse(bytes: &[u8]) -> Result<Quantisation, Fault> {
    let object = Object::parse(bytes)?;
    of_method(&object, object.string("quant_method")?.unwrap_or("gptq"))
}

/// Reads how a folder is packed from `config.json`; nothing where that does not say it.
pub(super) fn of_config_json(config: &Object) -> Result<Option<Quantisation>, Fault> {
    let packing = config.object("quantization_config")?;
    let method = packing.as_ref().map(|packing| packing.string("quant_method")).transpose()?;
    if let (Some(packing), Some(Some(method))) = (&packing, method) {
        return of_method(packing, method).map(Some);
    }
    // MLX writes the one key, and newer versions the other too, without the name of a method.
    for key in ["quantization", "quantization_config"] {
        let is_mlx = |object: &Object| object.get("bits").is_some();
        if config.object(key)?.as_ref().is_some_and(is_mlx) {
            return Err(Fault::Unsupported {
                feature: format!(
                    "a folder that MLX has quantised (key {key} without quant_method)"
                ),
                advice: OTHER_PACKING.to_string(),
            });
        }
    }
    match packing.filter(|packing| !packing.is_empty()) {
        None => Ok(None),
        Some(packing) => {
            Err(packing.require("quant_method", None::<()>).expect_err("none is there"))
        }
    }
}

fn of_method(object: &Object, method: &str) -> Result<Quantisation, Fault> {
    match method {
        "gptq" => gptq(object),
        "awq" => awq(object),
        other => Err(unsupported(object, "quant_method", other, OTHER_PACKING)),
    }
}

fn gptq(object: &Object) -> Result<Quantisation, Fault> {
    refuse_marlin(object)?;
    refuse_single_modules(object)?;
    if let Some(word) = object.string("pack_dtype")?.filter(|word| !["", "int32"].contains(word)) {
        let advice = "use a folder packed in int32, as usual";
        return Err(unsupported(object, "pack_dtype", word, advice));
    }
    // The key came with the second format, so a file without it has the first.
    let zeros = match format(object, &["checkpoint_format", "format"])? {
        None | Some((_, "gptq")) => StoredZeros::LessOne,
        Some((_, "gptq_v2")) => StoredZeros::AsIs,
        Some((key, other)) => {
            let advice = "use a folder in the format gptq or gptq_v2";
            return Err(unsupported(object, key, other, advice));
        }
    };
    let bits = match required_bits(object)? {
        4 => CodeBits::Four,
        8 => CodeBits::Eight,
        other => return Err(wrong_bits(object, "4 or 8", other)),
    };
    Ok(Quantisation {
        packing: Packing::Gptq { bits, zeros },
        group_len: group_len(object)?,
        groups: match object.bool("desc_act")? {
            Some(true) => GroupOrder::Any,
            Some(false) | None => GroupOrder::Runs,
        },
    })
}

fn awq(object: &Object) -> Result<Quantisation, Fault> {
    let stated = format(object, &["version", "checkpoint_format", "format"])?;
    let (key, version) = object.require("version", stated)?;
    if !version.eq_ignore_ascii_case("gemm") {
        let advice = "use a folder packed in version gemm";
        return Err(unsupported(object, key, version, advice));
    }
    match required_bits(object)? {
        4 => {}
        other => return Err(wrong_bits(object, "4", other)),
    }
    let group_len = group_len(object)?;
    Ok(Quantisation { packing: Packing::Awq, group_len, groups: GroupOrder::Runs })
}

/// The first of these keys that says something: writers call the format by different names, and
/// some leave one empty.
fn format<'a>(
    object: &'a Object,
    keys: &[&'static str],
) -> Result<Option<(&'static str, &'a str)>, Fault> {
    for &key in keys {
        if let Some(format) = object.string(key)?.filter(|format| !format.trim().is_empty()) {
            return Ok(Some((key, format)));
        }
    }
    Ok(None)
}

fn required_bits(object: &Object) -> Result<u64, Fault> {
    Ok(object.require("bits", object.unsigned("bits")?)?.value)
}

fn wrong_bits(object: &Object, expected: &str, found: u64) -> Fault {
    Fault::key(&object.path("bits"), expected, found.to_string())
}

fn group_len(object: &Object) -> Result<Option<usize>, Fault> {
    let stated = object.require("group_size", object.signed("group_size")?)?;
    if stated.value == -1 {
        return Ok(None);
    }
    let len = usize::try_from(stated.value).ok();
    match len.filter(|len| *len > 0 && len.is_multiple_of(MIN_GROUP_LEN)) {
        Some(len) => Ok(Some(len)),
        None => {
            let expected = format!("-1 or a multiple of {MIN_GROUP_LEN}");
            Err(Fault::key(&stated.key, expected, stated.value.to_string()))
        }
    }
}

/// Refuses the layout of words of the Marlin kernels, which run on GPUs only.
fn refuse_marlin(object: &Object) -> Result<(), Fault> {
    if object.bool("is_marlin_format")? != Some(true) {
        return Ok(());
    }
    let advice = "use a folder in the format gptq or gptq_v2";
    Err(unsupported(object, "is_marlin_format", "true", advice))
}

/// Refuses settings of single modules. They would need rules that match the names of modules.
fn refuse_single_modules(object: &Object) -> Result<(), Fault> {
    let modules = object.get("dynamic").and_then(serde_json::Value::as_object);
    if modules.is_none_or(serde_json::Map::is_empty) {
        return Ok(());
    }
    let advice = "use a folder whose modules are all packed in one way";
    Err(unsupported(object, "dynamic", "settings of single modules", advice))
}

fn unsupported(object: &Object, key: &str, found: &str, advice: &str) -> Fault {
    Fault::Unsupported {
        feature: format!("{} with {}", object.path(key), printable(found)),
        advice: advice.to_string(),
    }
}
