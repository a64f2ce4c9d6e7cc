//! The tensors of packed weights: found by name, checked against the configuration.

use std::collections::HashMap;

use banter_kernels::blocks::BlockType;

use super::super::config::ModelConfig;
use super::super::error::{Fault, ModelFileError};
use super::super::packed::{GroupIndex, MIN_GROUP_LEN, PackedTensor, Packing, block_type};
use super::super::stored::{IntegerType, StoredTensor, StoredType, Unclaimed};
use super::super::tensors::{Place, Shape, TensorInfo, TensorName};
use super::quantisation::{GroupOrder, Quantisation};

/// Takes every packed matrix out of `unclaimed`. Quantisers can leave matrices as floats, most
/// often the head; those stay.
///
/// Errors: a part of a packed matrix is missing, or its shape or type does not fit the packing.
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
    }
    Ok(claimed)
}

/// Checks that nothing is packed, for a folder that does not say how.
///
/// Errors: a matrix is packed.
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

/// The tensors of one matrix.
struct Parts<'a, 'b> {
    unclaimed: &'a mut Unclaimed<'b>,
    /// What their names begin with.
    stem: &'a str,
    quantisation: &'a Quantisation,
    shape: Shape,
}

impl Parts<'_, '_> {
    fn claim(&mut self) -> Result<TensorInfo, ModelFileError> {
        let Quantisation { packing, group_len, .. } = *self.quantisation;
        let Shape { rows, depth } = self.shape;
        let group_len = group_len.unwrap_or(depth);
        self.check_sizes(group_len)?;
        let groups = depth / group_len;
        let qweight = self.words("qweight", &packing.code_shape(depth, rows))?;
        let qzeros = self.words("qzeros", &packing.zero_shape(groups, rows))?;
        let (scales, scale_type) = self.scales(&[groups, rows])?;
        let (g_idx, g_idx_bytes) = self.g_idx()?.unzip();
        let sizes = [&qweight, &qzeros, &scales].map(|tensor| tensor.size());
        let packed = PackedTensor {
            name: self.stem.to_string(),
            packing,
            group_len,
            qweight: qweight.region,
            qzeros: qzeros.region,
            scale_type,
            scales: scales.region,
            g_idx,
            bytes: sizes.into_iter().sum::<u64>() + g_idx_bytes.unwrap_or(0),
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

    /// A table of 32-bit words.
    fn words(&mut self, ending: &str, shape: &[usize]) -> Result<StoredTensor, ModelFileError> {
        let tensor = self.unclaimed.require(&format!("{}.{ending}", self.stem))?;
        match tensor.kind {
            // Words of bits, which have no sign.
            StoredType::Integers(IntegerType::I32 | IntegerType::U32) => {}
            _ => return Err(self.fault_of(&tensor, tensor.unsupported("I32"))),
        }
        self.of_shape(tensor, shape)
    }

    fn scales(&mut self, shape: &[usize]) -> Result<(StoredTensor, BlockType), ModelFileError> {
        let tensor = self.unclaimed.require(&format!("{}.scales", self.stem))?;
        let kind = match tensor.kind {
            StoredType::Blocks(kind @ (BlockType::F16 | BlockType::Bf16)) => kind,
            _ => return Err(self.fault_of(&tensor, tensor.unsupported("F16, BF16"))),
        };
        Ok((self.of_shape(tensor, shape)?, kind))
    }

    /// GPTQ says which input is in which group, and need not where groups are runs. With it comes
    /// its size.
    fn g_idx(&mut self) -> Result<Option<(GroupIndex, u64)>, ModelFileError> {
        let name = format!("{}.g_idx", self.stem);
        let Quantisation { packing, groups, .. } = *self.quantisation;
        let is_needed = groups == GroupOrder::Any;
        if packing == Packing::Awq || (!is_needed && !self.unclaimed.has(&name)) {
            return Ok(None);
        }
        let tensor = self.unclaimed.require(&name)?;
        let StoredType::Integers(kind) = tensor.kind else {
            let fault = tensor.unsupported("integers of 8 to 64 bits");
            return if is_needed { Err(self.fault_of(&tensor, fault)) } else { Ok(None) };
        };
        let tensor = match self.of_shape(tensor, &[self.shape.depth]) {
            Err(_) if !is_needed => return Ok(None),
            tensor => tensor?,
        };
        let bytes = tensor.size();
        Ok(Some((GroupIndex { region: tensor.region, kind, is_spare: !is_needed }, bytes)))
    }

    fn of_shape(
        &self,
        tensor: StoredTensor,
        shape: &[usize],
    ) -> Result<StoredTensor, ModelFileError> {
        match tensor.expect_shape(shape) {
            Ok(()) => Ok(tensor),
            Err(fault) => Err(self.fault_of(&tensor, fault)),
        }
    }

    fn fault_of(&self, tensor: &StoredTensor, fault: Fault) -> ModelFileError {
        fault.in_file(self.unclaimed.part_name(tensor))
    }
}
