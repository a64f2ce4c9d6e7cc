//! The tensors of packed weights: found by name, checked against the configuration.

use std::collections::HashMap;

use banter_kernels::blocks::{BlockType, dequantise};

use super::super::config::ModelConfig;
use super::super::error::{Fault, ModelFileError};
use super::super::packed::{MIN_GROUP_LEN, PackedTensor, Packing, block_type};
use super::super::tensors::{
    LayerTensor, Place, Region, Shape, StoredTensor, StoredType, TensorInfo, TensorName, Unclaimed,
};
use super::quantisation::Quantisation;

/// Takes every matrix that is packed out of `unclaimed`. Those that are not stay: quantisers leave
/// out what they are told to, most often the head.
///
/// Errors: a part of a packed matrix is missing, of another shape or type than its packing has.
pub(super) fn claim(
    unclaimed: &mut Unclaimed<'_>,
    quantisation: &Quantisation,
    config: &ModelConfig,
) -> Result<HashMap<TensorName, TensorInfo>, ModelFileError> {
    let mut claimed = HashMap::new();
    for name in TensorName::all(config) {
        let spelled = name.hugging_face_name();
        let Some(stem) = spelled.strip_suffix(".weight") else { continue };
        let is_packed = unclaimed.has(&format!("{stem}.qweight"));
        if name.is_vector() || name == TensorName::Embedding || !is_packed {
            continue;
        }
        let mut parts = Parts { unclaimed, stem, quantisation, shape: name.shape(config) };
        claimed.insert(name, parts.claim()?);
        if !has_bias(name) {
            parts.take_empty_bias()?;
        }
    }
    Ok(claimed)
}

/// What is packed in a folder that does not say how: nothing.
///
/// Errors: something is.
pub(super) fn none(
    unclaimed: &Unclaimed<'_>,
    config: &ModelConfig,
) -> Result<HashMap<TensorName, TensorInfo>, ModelFileError> {
    let names = TensorName::all(config).into_iter().map(TensorName::hugging_face_name);
    let packed = names
        .filter_map(|name| Some(format!("{}.qweight", name.strip_suffix(".weight")?)))
        .find(|name| unclaimed.has(name));
    let Some(packed) = packed else { return Ok(HashMap::new()) };
    let expected = "quantization_config in config.json or quantize_config.json, which say how it \
                    is packed";
    let fault = Fault::tensor(&packed, expected, "neither");
    Err(fault.in_file(unclaimed.parts()[0].name()))
}

/// Whether the model adds a bias after this matrix.
fn has_bias(name: TensorName) -> bool {
    use LayerTensor::{K, Q, V};
    matches!(name, TensorName::Layer(_, Q | K | V))
}

/// The tensors of one matrix.
struct Parts<'a, 'b> {
    unclaimed: &'a mut Unclaimed<'b>,
    /// What their names begin with.
    stem: &'a str,
    quantisation: &'a Quantisation,
    shape: Shape,
}

/// One of them, as found.
struct Part {
    kind: StoredType,
    region: Region,
    bytes: u64,
}

impl Parts<'_, '_> {
    fn claim(&mut self) -> Result<TensorInfo, ModelFileError> {
        let Quantisation { packing, group_len, .. } = *self.quantisation;
        let Shape { rows, depth } = self.shape;
        let group_len = group_len.unwrap_or(depth);
        self.check_sizes(group_len)?;
        let groups = depth / group_len;
        let qweight = self.integers("qweight", &packing.code_shape(depth, rows))?;
        let qzeros = self.integers("qzeros", &packing.zero_shape(groups, rows))?;
        let scales = self.scales(&[groups, rows])?;
        let g_idx = self.g_idx()?;
        let bytes = [Some(&qweight), Some(&qzeros), Some(&scales), g_idx.as_ref()];
        let bytes = bytes.into_iter().flatten().map(|part| part.bytes).sum();
        let packed = PackedTensor {
            name: self.stem.to_string(),
            packing,
            group_len,
            qweight: qweight.region,
            qzeros: qzeros.region,
            scale_type: scales.kind,
            scales: scales.region,
            g_idx: g_idx.map(|part| part.region),
            bytes,
        };
        let kind = block_type(packing.bits(), group_len);
        Ok(TensorInfo { kind, stored: kind, rows, depth, place: Place::Packed(Box::new(packed)) })
    }

    /// Whole groups along the inputs, whole words along the outputs.
    fn check_sizes(&self, group_len: usize) -> Result<(), ModelFileError> {
        let Shape { rows, depth } = self.shape;
        let per_word = self.quantisation.packing.bits().per_word();
        // A group as long as a row may be of any length.
        let of = if group_len == depth { MIN_GROUP_LEN } else { group_len };
        let fault = if !depth.is_multiple_of(of) {
            Fault::tensor(self.stem, format!("a multiple of {of} inputs"), depth.to_string())
        } else if !rows.is_multiple_of(per_word) {
            Fault::tensor(self.stem, format!("a multiple of {per_word} outputs"), rows.to_string())
        } else {
            return Ok(());
        };
        Err(fault.in_file(self.unclaimed.parts()[0].name()))
    }

    fn integers(&mut self, ending: &str, shape: &[usize]) -> Result<Part, ModelFileError> {
        let tensor = self.unclaimed.require(&format!("{}.{ending}", self.stem))?;
        self.checked(tensor, shape, "I32", |kind| kind == StoredType::I32)
    }

    fn scales(&mut self, shape: &[usize]) -> Result<Part, ModelFileError> {
        let tensor = self.unclaimed.require(&format!("{}.scales", self.stem))?;
        let is_short = |kind| {
            let kinds = [BlockType::F16, BlockType::Bf16];
            kinds.map(StoredType::Blocks).contains(&kind)
        };
        self.checked(tensor, shape, "F16, BF16", is_short)
    }

    /// GPTQ says which input is in which group, and need not where groups are runs.
    fn g_idx(&mut self) -> Result<Option<Part>, ModelFileError> {
        let name = format!("{}.g_idx", self.stem);
        let is_gptq = matches!(self.quantisation.packing, Packing::Gptq { .. });
        if !is_gptq || (self.quantisation.groups_are_runs && !self.unclaimed.has(&name)) {
            return Ok(None);
        }
        self.integers("g_idx", &[self.shape.depth]).map(Some)
    }

    fn checked(
        &self,
        tensor: StoredTensor,
        shape: &[usize],
        supported: &str,
        is_supported: impl Fn(StoredType) -> bool,
    ) -> Result<Part, ModelFileError> {
        let check = || {
            if !is_supported(tensor.kind) {
                return Err(tensor.unsupported(supported));
            }
            tensor.expect_shape(shape)
        };
        check().map_err(|fault| fault.in_file(self.unclaimed.part_name(&tensor)))?;
        let numbers: u64 = shape.iter().map(|&size| size as u64).product();
        let bytes = numbers * tensor.kind.block_bytes();
        Ok(Part { kind: tensor.kind, region: tensor.region, bytes })
    }

    /// Passes over a bias that the model does not have: some quantisers write one of zeroes beside
    /// every packed matrix.
    ///
    /// Errors: it is not zero, so that leaving it out would change the result.
    fn take_empty_bias(&mut self) -> Result<(), ModelFileError> {
        let Some(tensor) = self.unclaimed.take(&format!("{}.bias", self.stem)) else {
            return Ok(());
        };
        let part = &self.unclaimed.parts()[tensor.region.part];
        let check = || {
            tensor.expect_shape(&[self.shape.rows])?;
            let StoredType::Blocks(kind) = tensor.kind else {
                return Err(tensor.unsupported("F32, F16, BF16"));
            };
            let mut values = vec![0.0; self.shape.rows];
            let mut bytes = vec![0; self.shape.rows * kind.block_bytes()];
            part.read_exact_at(tensor.region.offset, &mut bytes)?;
            dequantise(kind, &bytes, &mut values);
            match values.iter().find(|value| **value != 0.0) {
                None => Ok(()),
                Some(value) => Err(Fault::tensor(&tensor.name, "zeroes", value.to_string())),
            }
        };
        check().map_err(|fault: Fault| fault.in_file(part.name()))
    }
}
