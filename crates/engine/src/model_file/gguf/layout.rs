//! Which tensors a GGUF file lists, and where they lie.

use banter_kernels::blocks::BlockType;

use super::super::error::Fault;
use super::super::stored::{MAX_TENSORS, StoredTensor, StoredType};
use super::super::tensors::Region;
use super::metadata::Metadata;
use super::reader::Reader;
use super::types::{block_type, known_types};
use crate::printable::printable;

/// The longest name a tensor may have; that of the format's reference implementation.
const MAX_NAME_BYTES: usize = 63;
const MAX_DIMENSIONS: u32 = 4;
/// The shortest entry: a name of one letter, one dimension, type and offset.
const MIN_ENTRY_BYTES: u64 = 8 + 1 + 4 + 8 + 4 + 8;
pub(crate) const DEFAULT_ALIGNMENT: u64 = 32;
const MAX_ALIGNMENT: u64 = 1 << 16;
const ALIGNMENT_KEY: &str = "general.alignment";

/// What a file says about one tensor.
pub(super) struct Entry {
    name: String,
    kind: StoredType,
    /// Outermost first.
    shape: Vec<u64>,
    /// Its size, or why none can be computed.
    bytes: Result<u64, Fault>,
    /// From the start of the data.
    offset: u64,
}

/// The count of tensors, as the header states it.
pub(super) fn read_count(reader: &mut Reader<'_>) -> Result<usize, Fault> {
    reader.count("number of tensors", MIN_ENTRY_BYTES, MAX_TENSORS)
}

/// What offsets are a multiple of.
pub(super) fn alignment(metadata: &Metadata) -> Result<u64, Fault> {
    let alignment = metadata.unsigned(ALIGNMENT_KEY)?.unwrap_or(DEFAULT_ALIGNMENT);
    if alignment.is_power_of_two() && (8..=MAX_ALIGNMENT).contains(&alignment) {
        return Ok(alignment);
    }
    let expected = format!("a power of two from 8 to {MAX_ALIGNMENT}");
    Err(Fault::key(ALIGNMENT_KEY, expected, alignment.to_string()))
}

/// Reads the entries of all tensors.
pub(super) fn read_entries(reader: &mut Reader<'_>, count: usize) -> Result<Vec<Entry>, Fault> {
    let mut entries = Vec::with_capacity(count);
    for index in 0..count {
        entries.push(read_entry(reader, index)?);
    }
    Ok(entries)
}

fn read_entry(reader: &mut Reader<'_>, index: usize) -> Result<Entry, Fault> {
    let item = format!("name of tensor {index}");
    let name = reader.string(&item)?;
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        let expected = format!("1 to {MAX_NAME_BYTES} bytes");
        return Err(Fault::malformed(item, expected, format!("{} bytes", name.len())));
    }
    let item = format!("entry of tensor {}", printable(&name));
    let dimensions = reader.u32(&item)?;
    if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
        let expected = format!("1 to {MAX_DIMENSIONS} dimensions");
        return Err(Fault::tensor(&name, expected, dimensions.to_string()));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        shape.push(reader.u64(&item)?);
    }
    shape.reverse(); // The file has the innermost dimension first.
    let kind = block_type(reader.u32(&item)?);
    let bytes = match &kind {
        Ok(kind) => stored_bytes(&name, *kind, &shape),
        Err(found) => Err(unsupported(&name, found)),
    };
    let kind = kind.map_or_else(StoredType::Other, StoredType::Blocks);
    Ok(Entry { offset: reader.u64(&item)?, name, kind, shape, bytes })
}

fn unsupported(name: &str, found: &str) -> Fault {
    Fault::UnsupportedType {
        tensor: printable(name),
        found: found.to_string(),
        supported: known_types().map(BlockType::name).collect::<Vec<_>>().join(", "),
        advice: "take another file of the model, such as its Q4_K_M",
    }
}

/// The size of a tensor, for shapes whose size is a number.
fn stored_bytes(name: &str, kind: BlockType, shape: &[u64]) -> Result<u64, Fault> {
    if shape.contains(&0) {
        return Err(Fault::tensor(name, "no empty dimension", format!("shape {shape:?}")));
    }
    let (depth, outer) = shape.split_last().expect("at least one dimension");
    let row = usize::try_from(*depth).ok().and_then(|depth| kind.row_bytes(depth));
    let Some(row) = row else {
        let expected = format!("rows of whole blocks of {} ({kind})", kind.block_len());
        return Err(Fault::tensor(name, expected, format!("shape {shape:?}")));
    };
    let bytes = outer.iter().try_fold(row as u64, |bytes, &size| bytes.checked_mul(size));
    bytes.ok_or_else(|| {
        Fault::tensor(name, "a size below 2^64 bytes", format!("shape {shape:?} of {kind}"))
    })
}

/// Says where in the file each tensor begins. Whether it ends within the file is checked when the
/// model uses it.
pub(super) fn place(
    entries: Vec<Entry>,
    alignment: u64,
    reader: &Reader<'_>,
    part: usize,
) -> Vec<StoredTensor> {
    let data_start = reader.position().next_multiple_of(alignment);
    let place = |entry: Entry| {
        let Entry { name, kind, shape, bytes, offset } = entry;
        let is_aligned = offset.is_multiple_of(alignment);
        let bytes = bytes.and_then(|bytes| match is_aligned {
            true => Ok(bytes),
            false => {
                let expected = format!("an offset that is a multiple of {alignment}");
                Err(Fault::tensor(&name, expected, offset.to_string()))
            }
        });
        let region = Region { part, offset: data_start.saturating_add(offset) };
        StoredTensor { name, kind, shape, region, bytes, alignment }
    };
    entries.into_iter().map(place).collect()
}
