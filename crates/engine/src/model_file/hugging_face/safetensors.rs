//! The headers of safetensors files, and the index that says which file holds which tensor.
//!
//! Source: the safetensors format description.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use banter_kernels::blocks::BlockType;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::super::bytes::Bytes;
use super::super::error::{Fault, ModelFileError};
use super::super::foreign;
use super::super::stored::{IntegerType, MAX_TENSORS, StoredTensor, StoredType};
use super::super::tensors::Region;
use super::json::malformed;
use crate::printable::printable;

/// The headers of the largest Qwen2.5 take 100 KB.
const MAX_HEADER_BYTES: u64 = 4 << 20;
/// Each shard keeps a file open.
pub(super) const MAX_SHARDS: usize = 256;
const LENGTH_BYTES: u64 = 8;

/// Parses the index: which shard holds which tensor. Shards are plain names of safetensors files.
pub(in super::super) fn parse_index(bytes: &[u8]) -> Result<BTreeMap<String, String>, Fault> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: Entries<String>,
    }
    let index: Index = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
    let shards: BTreeMap<String, String> = index.weight_map.0.into_iter().collect();
    let names: BTreeSet<&String> = shards.values().collect();
    if names.len() > MAX_SHARDS {
        let expected = format!("at most {MAX_SHARDS} files");
        return Err(Fault::key("weight_map", expected, names.len().to_string()));
    }
    if let Some(name) = names.into_iter().find(|name| !is_shard_name(name)) {
        let expected = "names of .safetensors files in the same folder";
        return Err(Fault::key("weight_map", expected, printable(name)));
    }
    Ok(shards)
}

fn is_shard_name(name: &str) -> bool {
    name.ends_with(".safetensors") && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

/// Reads the header of one file, which is part `number` of the model.
pub(super) fn read_header(
    part: &Bytes,
    number: usize,
) -> Result<Vec<StoredTensor>, ModelFileError> {
    let in_part = |fault: Fault| fault.in_file(part.name());
    let (header, data_start) = header_bytes(part).map_err(in_part)?;
    let mut stored = parse_header(&header, data_start).map_err(in_part)?;
    for tensor in &mut stored {
        tensor.region.part = number;
    }
    Ok(stored)
}

/// The header of a file, and where its data start.
fn header_bytes(part: &Bytes) -> Result<(Vec<u8>, u64), Fault> {
    let start = part.start()?;
    let Some(length) = start.first_chunk() else {
        return Err(part.ends_early("the length of the header", LENGTH_BYTES));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES {
        let Some(foreign) = foreign::recognise(&start) else {
            let expected = format!("at most {MAX_HEADER_BYTES}");
            return Err(Fault::malformed("length of the header", expected, length.to_string()));
        };
        let expected = "a safetensors file".to_string();
        return Err(Fault::NotAModel { expected, found: foreign.found(None) });
    }
    let data_start = LENGTH_BYTES + length;
    if data_start > part.len() {
        return Err(part.ends_early("the header", data_start));
    }
    if length == 0 && start.iter().all(|&byte| byte == 0) {
        let expected = "a safetensors file".to_string();
        return Err(Fault::NotAModel { expected, found: foreign::Foreign::Zeros.found(None) });
    }
    let mut header = vec![0; length as usize]; // At most MAX_HEADER_BYTES.
    part.read_exact_at(LENGTH_BYTES, &mut header)?;
    Ok((header, data_start))
}

/// Parses a header after which data start at byte `data_start` of the file.
///
/// Errors: anything but an object of tensors. Sizes and places are told with the tensors.
pub(in super::super) fn parse_header(
    header: &[u8],
    data_start: u64,
) -> Result<Vec<StoredTensor>, Fault> {
    let text = std::str::from_utf8(header)
        .map_err(|error| Fault::malformed("header", "UTF-8", error.to_string()))?;
    let entries: Entries<Entry> = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    let mut stored = Vec::with_capacity(entries.0.len());
    for (name, entry) in entries.0 {
        if let Entry::Tensor(tensor) = entry {
            stored.push(stored_tensor(name, tensor, data_start));
        }
    }
    Ok(stored)
}

fn stored_tensor(name: String, entry: TensorEntry, data_start: u64) -> StoredTensor {
    let TensorEntry { dtype, shape, data_offsets: [start, end] } = entry;
    let kind = match dtype.as_str() {
        "F32" => StoredType::Blocks(BlockType::F32),
        "F16" => StoredType::Blocks(BlockType::F16),
        "BF16" => StoredType::Blocks(BlockType::Bf16),
        _ => match IntegerType::named(&dtype) {
            Some(kind) => StoredType::Integers(kind),
            None => StoredType::Other(dtype),
        },
    };
    let bytes = stored_bytes(&name, &kind, &shape, [start, end]);
    let region = Region { part: 0, offset: data_start.saturating_add(start) };
    StoredTensor { name, kind, shape, region, bytes, alignment: 1 }
}

/// The size of a tensor, for one whose place is as long as its shape and type say.
fn stored_bytes(
    name: &str,
    kind: &StoredType,
    shape: &[u64],
    [start, end]: [u64; 2],
) -> Result<u64, Fault> {
    const SHOWN: usize = 8;
    let stated = end.checked_sub(start);
    let of_number = match kind {
        StoredType::Blocks(kind) => kind.block_bytes(),
        StoredType::Integers(kind) => kind.bytes(),
        // Nothing is known of it, and whoever uses it refuses it.
        StoredType::Other(_) => return Ok(stated.unwrap_or(0)),
    };
    let bytes = shape.iter().try_fold(of_number as u64, |bytes, &size| bytes.checked_mul(size));
    match bytes {
        Some(bytes) if stated == Some(bytes) => Ok(bytes),
        _ => {
            let shown = &shape[..shape.len().min(SHOWN)];
            let expected = format!("as many bytes as {} of shape {shown:?}", kind.name());
            Err(Fault::tensor(name, expected, format!("those from {start} to {end}")))
        }
    }
}

#[derive(Deserialize)]
struct TensorEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// A value of the header: a tensor, or the free text at `__metadata__`.
enum Entry {
    Tensor(TensorEntry),
    Metadata,
}

/// A JSON object without repeated keys and of bounded size.
struct Entries<T>(HashMap<String, T>);

/// What an entry is may depend on its key.
trait FromEntry: Sized {
    fn read<'de, A: MapAccess<'de>>(key: &str, entries: &mut A) -> Result<Self, A::Error>;
}

impl FromEntry for String {
    fn read<'de, A: MapAccess<'de>>(_: &str, entries: &mut A) -> Result<String, A::Error> {
        entries.next_value()
    }
}

impl FromEntry for Entry {
    fn read<'de, A: MapAccess<'de>>(key: &str, entries: &mut A) -> Result<Entry, A::Error> {
        if key == "__metadata__" {
            return entries.next_value::<IgnoredAny>().map(|_| Entry::Metadata);
        }
        entries.next_value().map(Entry::Tensor)
    }
}

impl<'de, T: FromEntry> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entries<T>, D::Error> {
        struct Keys<T>(std::marker::PhantomData<T>);
        impl<'de, T: FromEntry> Visitor<'de> for Keys<T> {
            type Value = Entries<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Entries<T>, A::Error> {
                let mut values = HashMap::new();
                while let Some(key) = entries.next_key::<String>()? {
                    let value = T::read(&key, &mut entries)?;
                    let name = printable(&key);
                    if values.insert(key, value).is_some() {
                        let problem = format!("tensor {name}: expected once, found twice");
                        return Err(A::Error::custom(problem));
                    }
                    if values.len() as u64 > MAX_TENSORS {
                        let problem = format!("expected at most {MAX_TENSORS} tensors, found more");
                        return Err(A::Error::custom(problem));
                    }
                }
                Ok(Entries(values))
            }
        }
        deserializer.deserialize_map(Keys(std::marker::PhantomData))
    }
}
