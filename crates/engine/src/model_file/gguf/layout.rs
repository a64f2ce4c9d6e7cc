//! Which tensors a GGUF file holds, and that they lie where they can.

use banter_kernels::blocks::BlockType;

use super::super::error::Fault;
use super::super::tensors::{MAX_TENSORS, Region, StoredTensor, StoredType};
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

/// What a file says about one tensor, its size proved to be a number.
pub(super) struct Entry {
    name: String,
    kind: BlockType,
    /// Outermost first.
    shape: Vec<u64>,
    bytes: u64,
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
    let kind = block_type(reader.u32(&item)?).map_err(|found| Fault::UnsupportedType {
        tensor: printable(&name),
        found,
        supported: known_types().map(BlockType::name).collect::<Vec<_>>().join(", "),
    })?;
    let bytes = stored_bytes(&name, kind, &shape)?;
    Ok(Entry { offset: reader.u64(&item)?, name, kind, shape, bytes })
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

/// Proves that every tensor lies within the file, aligned, one after the other without gaps.
///
/// Order does not matter. Gaps do: no writer leaves any, so one means that sizes or alignment were
/// misread.
pub(super) fn place(
    entries: Vec<Entry>,
    alignment: u64,
    reader: &Reader<'_>,
    part: usize,
) -> Result<Vec<StoredTensor>, Fault> {
    let data_start = reader.position().next_multiple_of(alignment);
    let data_bytes = (reader.position() + reader.remaining()).saturating_sub(data_start);
    for entry in &entries {
        let fits = entry.offset.checked_add(entry.bytes).is_some_and(|end| end <= data_bytes);
        if !fits {
            let expected = format!("an end within the {data_bytes} bytes of data");
            let found = format!("{} bytes at offset {}", entry.bytes, entry.offset);
            return Err(Fault::tensor(&entry.name, expected, found));
        }
    }
    check_neighbours(&entries, alignment)?;
    let stored = entries.into_iter().map(|entry| StoredTensor {
        name: entry.name,
        kind: StoredType::Blocks(entry.kind),
        shape: entry.shape,
        region: Region { part, offset: data_start + entry.offset },
    });
    Ok(stored.collect())
}

fn check_neighbours(entries: &[Entry], alignment: u64) -> Result<(), Fault> {
    let mut in_order: Vec<&Entry> = entries.iter().collect();
    in_order.sort_by_key(|entry| entry.offset);
    let mut expected = 0;
    for entry in in_order {
        if entry.offset != expected {
            let problem = if entry.offset < expected { "an overlap" } else { "a gap" };
            let found = format!("offset {}, {problem}", entry.offset);
            return Err(Fault::tensor(&entry.name, format!("offset {expected}"), found));
        }
        // Both are within the file, so the sum is far from overflow.
        expected = (entry.offset + entry.bytes).next_multiple_of(alignment);
    }
    Ok(())
}
