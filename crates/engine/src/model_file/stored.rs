//! Tensors as a file lists them, and which of them the model uses.
//!
//! A file may hold anything beside the model: towers for images, scales of caches, buffers of other
//! programs. So a tensor is only checked when it is taken for the model: its type, its size, its
//! place in the file. The rest is passed over, unless it would change what the model computes.

use std::collections::{HashMap, HashSet};

use banter_kernels::blocks::{BlockType, dequantise};

use super::bytes::Bytes;
use super::config::ModelConfig;
use super::error::{Fault, ModelFileError};
use super::leftover;
use super::tensors::{Place, Region, Shape, TensorInfo, TensorName};
use crate::printable::printable;

/// Tensors that a file may list. The models we know have at most 3,500.
pub(super) const MAX_TENSORS: u64 = 1 << 14;

/// What the numbers of a stored tensor are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoredType {
    /// Weights in blocks.
    Blocks(BlockType),
    /// Integers: parts of packed weights.
    Integers(IntegerType),
    /// A type that is not read here, by its name.
    Other(String),
}

/// Little-endian integers of one width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntegerType {
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
}

impl IntegerType {
    const ALL: [IntegerType; 8] = [
        IntegerType::I8,
        IntegerType::I16,
        IntegerType::I32,
        IntegerType::I64,
        IntegerType::U8,
        IntegerType::U16,
        IntegerType::U32,
        IntegerType::U64,
    ];

    /// The type that safetensors files call `name`.
    pub fn named(name: &str) -> Option<IntegerType> {
        IntegerType::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            IntegerType::I8 => "I8",
            IntegerType::I16 => "I16",
            IntegerType::I32 => "I32",
            IntegerType::I64 => "I64",
            IntegerType::U8 => "U8",
            IntegerType::U16 => "U16",
            IntegerType::U32 => "U32",
            IntegerType::U64 => "U64",
        }
    }

    /// The size of one integer.
    pub fn bytes(self) -> usize {
        match self {
            IntegerType::I8 | IntegerType::U8 => 1,
            IntegerType::I16 | IntegerType::U16 => 2,
            IntegerType::I32 | IntegerType::U32 => 4,
            IntegerType::I64 | IntegerType::U64 => 8,
        }
    }

    /// The integers of a tensor; bytes after the last whole one are left out.
    pub fn decode(self, bytes: &[u8]) -> impl Iterator<Item = i128> {
        bytes.chunks_exact(self.bytes()).map(move |bytes| {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            let bits = u64::from_le_bytes(padded);
            match self {
                IntegerType::I8 => i128::from(bits as u8 as i8),
                IntegerType::I16 => i128::from(bits as u16 as i16),
                IntegerType::I32 => i128::from(bits as u32 as i32),
                IntegerType::I64 => i128::from(bits as i64),
                _ => i128::from(bits),
            }
        })
    }
}

impl StoredType {
    pub fn name(&self) -> &str {
        match self {
            StoredType::Blocks(kind) => kind.name(),
            StoredType::Integers(kind) => kind.name(),
            StoredType::Other(name) => name,
        }
    }
}

/// A tensor as a file lists it. Nothing is believed of it yet.
pub(super) struct StoredTensor {
    pub name: String,
    pub kind: StoredType,
    /// Outermost first.
    pub shape: Vec<u64>,
    pub region: Region,
    /// Its size, or why it has none that can be right. Told only if the model uses the tensor.
    pub bytes: Result<u64, Fault>,
    /// What the next tensor's place is a multiple of.
    pub alignment: u64,
}

impl StoredTensor {
    /// The size of a tensor that was taken for the model.
    pub fn size(&self) -> u64 {
        *self.bytes.as_ref().expect("checked when it was taken")
    }

    /// Where it ends in its file; where it begins, if it has no size.
    pub fn end(&self) -> u64 {
        self.region.offset.saturating_add(self.bytes.as_ref().map_or(0, |bytes| *bytes))
    }

    /// A fault of its type.
    pub fn unsupported(&self, supported: &str) -> Fault {
        Fault::UnsupportedType {
            tensor: printable(&self.name),
            found: printable(self.kind.name()),
            supported: supported.to_string(),
            advice: "take another copy of the model, such as the GGUF file of its Q4_K_M",
        }
    }

    /// Checks its shape.
    pub fn expect_shape(&self, expected: &[usize]) -> Result<(), Fault> {
        if self.shape.iter().copied().eq(expected.iter().map(|&size| size as u64)) {
            return Ok(());
        }
        const SHOWN: usize = 8;
        let shown = &self.shape[..self.shape.len().min(SHOWN)];
        let found = match self.shape.len() {
            0..=SHOWN => format!("{shown:?}"),
            dimensions => format!("{dimensions} dimensions, first {shown:?}"),
        };
        Err(Fault::tensor(&self.name, format!("shape {expected:?}"), found))
    }
}

/// Where a tensor that the model uses begins and ends.
struct Span {
    name: String,
    part: usize,
    start: u64,
    end: u64,
    alignment: u64,
}

/// The tensors of a file that nothing has asked for yet.
pub(super) struct Unclaimed<'a> {
    tensors: HashMap<String, StoredTensor>,
    /// Names that more than one tensor has.
    repeated: HashSet<String>,
    /// Where all tensors begin, used or not.
    starts: Vec<(usize, u64)>,
    used: Vec<Span>,
    parts: &'a [Bytes],
}

impl Unclaimed<'_> {
    /// All tensors of a model's files.
    pub fn new(stored: Vec<StoredTensor>, parts: &[Bytes]) -> Unclaimed<'_> {
        let mut tensors: HashMap<String, StoredTensor> = HashMap::with_capacity(stored.len());
        let mut repeated = HashSet::new();
        let mut starts = Vec::with_capacity(stored.len());
        for tensor in stored {
            starts.push((tensor.region.part, tensor.region.offset));
            if let Some(first) = tensors.insert(tensor.name.clone(), tensor) {
                repeated.insert(first.name);
            }
        }
        starts.sort_unstable();
        Unclaimed { tensors, repeated, starts, used: Vec::new(), parts }
    }

    /// The parts of the model.
    pub fn parts(&self) -> &[Bytes] {
        self.parts
    }

    /// What errors call the part that holds a tensor.
    pub fn part_name(&self, tensor: &StoredTensor) -> &str {
        self.parts[tensor.region.part].name()
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Takes a tensor out, if it is there, and checks that it lies within its file.
    ///
    /// Errors: its size is not one, its file ends before it does, or it is there twice.
    pub fn take(&mut self, name: &str) -> Result<Option<StoredTensor>, ModelFileError> {
        let Some(mut tensor) = self.tensors.remove(name) else { return Ok(None) };
        let part = &self.parts[tensor.region.part];
        let in_part = |fault: Fault| fault.in_file(part.name());
        if self.repeated.contains(name) {
            return Err(in_part(Fault::tensor(name, "the tensor once", "it twice")));
        }
        let bytes = std::mem::replace(&mut tensor.bytes, Ok(0)).map_err(in_part)?;
        let start = tensor.region.offset;
        let end = start.saturating_add(bytes);
        if end > part.len() {
            tensor.bytes = Ok(bytes);
            let others = self.tensors.values().chain([&tensor]);
            return Err(in_part(ends_early(part, tensor.region.part, others)));
        }
        let (part, alignment) = (tensor.region.part, tensor.alignment);
        self.used.push(Span { name: name.to_string(), part, start, end, alignment });
        tensor.bytes = Ok(bytes);
        Ok(Some(tensor))
    }

    /// Takes a tensor out.
    ///
    /// Errors: it is not there, or as [`Unclaimed::take`].
    pub fn require(&mut self, name: &str) -> Result<StoredTensor, ModelFileError> {
        match self.take(name)? {
            Some(tensor) => Ok(tensor),
            None => Err(missing(name).in_file(self.parts[0].name())),
        }
    }

    /// Finds every tensor the configuration asks for, unless it is in `claimed` already, and checks
    /// its shape and type. Passes over the others.
    ///
    /// Errors: one is missing, of another shape or of a type without meaning for it, two share
    /// bytes, or one is there that the model does not have and that would change the result.
    pub fn claim(
        mut self,
        mut claimed: HashMap<TensorName, TensorInfo>,
        spelling: fn(TensorName) -> String,
        config: &ModelConfig,
    ) -> Result<HashMap<TensorName, TensorInfo>, ModelFileError> {
        for name in TensorName::all(config) {
            if claimed.contains_key(&name) {
                continue;
            }
            let tensor = self.require(&spelling(name))?;
            let info = check_tensor(name, &tensor, config);
            claimed.insert(name, info.map_err(|fault| fault.in_file(self.part_name(&tensor)))?);
        }
        self.take_empty_biases(spelling, config)?;
        self.check_places()?;
        let leftover: Vec<&StoredTensor> = self.tensors.values().collect();
        let wrong = leftover::pass_over(&leftover, spelling, config);
        wrong.map_err(|(tensor, fault)| fault.in_file(self.part_name(tensor)))?;
        Ok(claimed)
    }

    /// Passes over biases that the model does not have: some quantisers write one of zeroes beside
    /// every matrix.
    ///
    /// Errors: one is not zero, so that leaving it out would change the result.
    fn take_empty_biases(
        &mut self,
        spelling: fn(TensorName) -> String,
        config: &ModelConfig,
    ) -> Result<(), ModelFileError> {
        for name in TensorName::all(config) {
            let spelled = spelling(name);
            let Some(stem) = spelled.strip_suffix(".weight") else { continue };
            if name.is_vector() || name == TensorName::Embedding {
                continue;
            }
            let Some(tensor) = self.take(&format!("{stem}.bias"))? else { continue };
            let part = &self.parts[tensor.region.part];
            expect_zeroes(&tensor, part, name.shape(config).rows)
                .map_err(|fault| fault.in_file(part.name()))?;
        }
        Ok(())
    }

    /// Checks that no two tensors of the model share bytes and that nothing lies between two that
    /// are neighbours: no writer leaves gaps, so one means that a size or a place is wrong.
    fn check_places(&self) -> Result<(), ModelFileError> {
        let mut spans: Vec<&Span> = self.used.iter().filter(|span| span.start < span.end).collect();
        spans.sort_by_key(|span| (span.part, span.start, span.end));
        for pair in spans.windows(2) {
            let [before, span] = pair else { unreachable!("windows of two") };
            if before.part != span.part {
                continue;
            }
            let expected = before.end.next_multiple_of(before.alignment);
            let problem = if span.start < before.end {
                "an overlap"
            } else if span.start != expected && !self.starts_between(before, span) {
                "a gap"
            } else {
                continue;
            };
            let expected = format!("byte {expected} of the file, where {} ends", before.name);
            let found = format!("byte {}, {problem}: download the file again", span.start);
            return Err(
                Fault::tensor(&span.name, expected, found).in_file(self.parts[span.part].name())
            );
        }
        Ok(())
    }

    /// Whether a tensor that the model does not use begins between two that it uses.
    fn starts_between(&self, before: &Span, span: &Span) -> bool {
        let next = self.starts.partition_point(|&start| start < (before.part, before.end));
        self.starts[next] < (span.part, span.start)
    }
}

/// The fault of a part that ends before its tensors do.
pub(super) fn ends_early<'a>(
    part: &Bytes,
    number: usize,
    tensors: impl Iterator<Item = &'a StoredTensor>,
) -> Fault {
    let ends = tensors.filter(|tensor| tensor.region.part == number).map(StoredTensor::end);
    part.ends_early("its tensors", ends.max().unwrap_or(0))
}

/// The fault of a tensor that is not there.
pub(super) fn missing(name: &str) -> Fault {
    Fault::tensor(name, "a tensor of that name", "none")
}

fn check_tensor(
    name: TensorName,
    tensor: &StoredTensor,
    config: &ModelConfig,
) -> Result<TensorInfo, Fault> {
    let Shape { rows, depth } = name.shape(config);
    let StoredType::Blocks(kind) = tensor.kind else {
        return Err(tensor.unsupported("F32, F16, BF16"));
    };
    if name.is_vector() && kind.is_quantised() {
        return Err(tensor.unsupported("F32, F16, BF16 for a vector"));
    }
    if name.is_vector() {
        tensor.expect_shape(&[depth])?;
    } else {
        tensor.expect_shape(&[rows, depth])?;
    }
    Ok(TensorInfo { kind, stored: kind, rows, depth, place: Place::Rows(tensor.region.clone()) })
}

fn expect_zeroes(tensor: &StoredTensor, part: &Bytes, count: usize) -> Result<(), Fault> {
    tensor.expect_shape(&[count])?;
    let StoredType::Blocks(kind) = tensor.kind else {
        return Err(tensor.unsupported("F32, F16, BF16"));
    };
    if kind.is_quantised() {
        return Err(tensor.unsupported("F32, F16, BF16 for a vector"));
    }
    let mut values = vec![0.0; count];
    let mut bytes = vec![0; count * kind.block_bytes()];
    part.read_exact_at(tensor.region.offset, &mut bytes)?;
    dequantise(kind, &bytes, &mut values);
    match values.iter().find(|value| **value != 0.0) {
        None => Ok(()),
        Some(value) => {
            let expected = "zeroes, since a Qwen2 model has no such bias";
            Err(Fault::tensor(&tensor.name, expected, value.to_string()))
        }
    }
}
