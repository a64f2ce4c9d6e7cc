//! Weights: `model.safetensors`, or shards and the index that lists them.
//!
//! Source: the safetensors format description.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use banter_kernels::blocks::BlockType;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::super::bytes::Bytes;
use super::super::error::{Fault, ModelFileError};
use super::super::tensors::{MAX_TENSORS, Region, StoredTensor, StoredType};
use super::folder::Folder;
use super::json::malformed;
use crate::printable::printable;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// The headers of the largest Qwen2.5 take 100 KB.
const MAX_HEADER_BYTES: u64 = 4 << 20;
const MAX_INDEX_BYTES: u64 = 4 << 20;
/// Each shard keeps a file open.
const MAX_SHARDS: usize = 256;
const MAX_DIMENSIONS: usize = 8;
const LENGTH_BYTES: u64 = 8;

/// The tensors of all files.
pub(super) struct Weights {
    pub stored: Vec<StoredTensor>,
    pub parts: Vec<Bytes>,
}

/// Reads the headers of all files.
pub(super) fn read(folder: &Folder) -> Result<Weights, ModelFileError> {
    if folder.has(SINGLE) {
        let part = folder.open_file(SINGLE)?;
        let stored = read_header(&part, 0)?;
        return Ok(Weights { stored, parts: vec![part] });
    }
    if folder.has(INDEX) {
        return read_shards(folder);
    }
    let found = match folder.has("pytorch_model.bin") {
        true => "pytorch_model.bin, which is never read because opening it runs code",
        false => "neither",
    };
    let expected = format!("{SINGLE} or {INDEX}");
    Err(Fault::NotAModel { expected, found: found.to_string() }.in_file(folder.name()))
}

fn read_shards(folder: &Folder) -> Result<Weights, ModelFileError> {
    let file = folder.read(INDEX, MAX_INDEX_BYTES)?;
    let in_index = |fault: Fault| fault.in_file(&file.name);
    let index = parse_index(&file.content).map_err(in_index)?;
    let mut weights = Weights { stored: Vec::new(), parts: Vec::new() };
    let shards: BTreeSet<&String> = index.values().collect();
    for (number, &shard) in shards.iter().enumerate() {
        let part = folder.open_file(shard)?;
        for tensor in read_header(&part, number)? {
            if index.get(&tensor.name) != Some(shard) {
                let place = index.get(&tensor.name).map(String::as_str);
                let expected = format!("the tensor in {}", place.unwrap_or("no shard"));
                let found = format!("it in {shard}");
                return Err(in_index(Fault::tensor(&tensor.name, expected, found)));
            }
            weights.stored.push(tensor);
        }
        weights.parts.push(part);
    }
    let stored = weights.stored.iter().map(|tensor| tensor.name.as_str()).collect::<BTreeSet<_>>();
    match index.iter().find(|(tensor, _)| !stored.contains(tensor.as_str())) {
        None => Ok(weights),
        Some((tensor, shard)) => {
            let expected = format!("the tensor in {shard}");
            Err(in_index(Fault::tensor(tensor, expected, "none")))
        }
    }
}

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

fn read_header(part: &Bytes, number: usize) -> Result<Vec<StoredTensor>, ModelFileError> {
    let read = || {
        let mut length = [0; LENGTH_BYTES as usize];
        part.read_exact_at(0, &mut length)?;
        let length = u64::from_le_bytes(length);
        let available = part.len() - LENGTH_BYTES;
        if length > available.min(MAX_HEADER_BYTES) {
            let expected = format!("at most {}", available.min(MAX_HEADER_BYTES));
            return Err(Fault::malformed("length of the header", expected, length.to_string()));
        }
        let mut header = vec![0; length as usize]; // At most MAX_HEADER_BYTES.
        part.read_exact_at(LENGTH_BYTES, &mut header)?;
        let mut stored = parse_header(&header, available - length)?;
        for tensor in &mut stored {
            tensor.region.part = number;
            tensor.region.offset += LENGTH_BYTES + length;
        }
        Ok(stored)
    };
    read().map_err(|fault: Fault| fault.in_file(part.name()))
}

/// Parses a header that stands before `data_bytes` bytes of data; offsets count from their start.
///
/// Errors: anything but tensors that fill the data one after the other, each as long as its shape
/// and type say.
pub(in super::super) fn parse_header(
    header: &[u8],
    data_bytes: u64,
) -> Result<Vec<StoredTensor>, Fault> {
    let text = std::str::from_utf8(header)
        .map_err(|error| Fault::malformed("header", "UTF-8", error.to_string()))?;
    let entries: Entries<Entry> = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    let mut stored = Vec::with_capacity(entries.0.len());
    for (name, entry) in entries.0 {
        if let Entry::Tensor(tensor) = entry {
            stored.push((check_entry(name, &tensor)?, tensor.data_offsets[1]));
        }
    }
    stored.sort_by_key(|(tensor, end)| (tensor.region.offset, *end));
    let mut expected = 0;
    for (tensor, end) in &stored {
        let offset = tensor.region.offset;
        if offset != expected {
            let problem = if offset < expected { "an overlap" } else { "a gap" };
            let found = format!("offset {offset}, {problem}");
            return Err(Fault::tensor(&tensor.name, format!("offset {expected}"), found));
        }
        expected = *end;
    }
    if expected != data_bytes {
        let found = format!("tensors that end at byte {expected}");
        return Err(Fault::malformed("data", format!("{data_bytes} bytes of tensors"), found));
    }
    Ok(stored.into_iter().map(|(tensor, _)| tensor).collect())
}

fn check_entry(name: String, entry: &TensorEntry) -> Result<StoredTensor, Fault> {
    let kind = match entry.dtype.as_str() {
        "F32" => StoredType::Blocks(BlockType::F32),
        "F16" => StoredType::Blocks(BlockType::F16),
        "BF16" => StoredType::Blocks(BlockType::Bf16),
        "I32" => StoredType::I32,
        other => {
            return Err(Fault::UnsupportedType {
                tensor: printable(&name),
                found: printable(other),
                supported: "F32, F16, BF16".to_string(),
            });
        }
    };
    let [start, end] = entry.data_offsets;
    let bytes =
        entry.shape.iter().try_fold(kind.block_bytes(), |bytes, &size| bytes.checked_mul(size));
    if entry.shape.len() > MAX_DIMENSIONS || bytes.is_none() || end.checked_sub(start) != bytes {
        let shape = &entry.shape[..entry.shape.len().min(MAX_DIMENSIONS)];
        let expected = format!("as many bytes as {} of shape {shape:?}", kind.name());
        let found = format!("those from {start} to {end}");
        return Err(Fault::tensor(&name, expected, found));
    }
    let region = Region { part: 0, offset: start };
    Ok(StoredTensor { name, kind, shape: entry.shape.clone(), region })
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
