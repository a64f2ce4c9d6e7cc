//! Writes GGUF files, version 3, from front to back.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use banter_kernels::blocks::BlockType;

use crate::model_file::gguf::{DEFAULT_ALIGNMENT, MAGIC, type_id};

const VERSION: u32 = 3;

/// A tensor's entry in the header.
pub(super) struct TensorEntry {
    pub name: String,
    pub kind: BlockType,
    /// Number of rows; `None` for a vector.
    pub rows: Option<usize>,
    pub depth: usize,
}

impl TensorEntry {
    /// The size of a row in bytes.
    pub fn row_bytes(&self) -> usize {
        self.kind.row_bytes(self.depth).expect("types are chosen to fit the rows")
    }

    /// The size of the tensor in bytes.
    pub fn bytes(&self) -> u64 {
        self.rows.unwrap_or(1) as u64 * self.row_bytes() as u64
    }
}

/// Writes one file. Call it in this order: the keys, the header, then the data of each tensor in
/// the order of the header.
pub(super) struct GgufWriter {
    file: BufWriter<File>,
    position: u64,
    keys: Vec<u8>,
    key_count: u64,
}

impl GgufWriter {
    /// A writer at the start of an empty file.
    pub fn new(file: File) -> GgufWriter {
        GgufWriter { file: BufWriter::new(file), position: 0, keys: Vec::new(), key_count: 0 }
    }

    pub fn u32(&mut self, key: &str, value: u32) {
        self.key(key, 4);
        self.keys.extend(value.to_le_bytes());
    }

    pub fn f32(&mut self, key: &str, value: f32) {
        self.key(key, 6);
        self.keys.extend(value.to_le_bytes());
    }

    pub fn bool(&mut self, key: &str, value: bool) {
        self.key(key, 7);
        self.keys.push(u8::from(value));
    }

    pub fn string(&mut self, key: &str, value: &str) {
        self.key(key, 8);
        push_string(&mut self.keys, value);
    }

    pub fn strings<S: AsRef<str>>(&mut self, key: &str, values: &[S]) {
        self.array(key, 8, values.len());
        for value in values {
            push_string(&mut self.keys, value.as_ref());
        }
    }

    pub fn i32s(&mut self, key: &str, values: &[i32]) {
        self.array(key, 5, values.len());
        for value in values {
            self.keys.extend(value.to_le_bytes());
        }
    }

    fn key(&mut self, key: &str, value_type: u32) {
        push_string(&mut self.keys, key);
        self.keys.extend(value_type.to_le_bytes());
        self.key_count += 1;
    }

    fn array(&mut self, key: &str, element_type: u32, count: usize) {
        self.key(key, 9);
        self.keys.extend(element_type.to_le_bytes());
        self.keys.extend((count as u64).to_le_bytes());
    }

    /// Writes everything before the data: counts, keys and the list of tensors.
    pub fn write_header(&mut self, tensors: &[&TensorEntry]) -> io::Result<()> {
        let mut header = Vec::new();
        header.extend(MAGIC);
        header.extend(VERSION.to_le_bytes());
        header.extend((tensors.len() as u64).to_le_bytes());
        header.extend(self.key_count.to_le_bytes());
        header.append(&mut self.keys);
        let mut offset: u64 = 0;
        for tensor in tensors {
            push_string(&mut header, &tensor.name);
            let dimensions: Vec<usize> = [tensor.depth].into_iter().chain(tensor.rows).collect();
            header.extend((dimensions.len() as u32).to_le_bytes());
            for size in dimensions {
                header.extend((size as u64).to_le_bytes());
            }
            let id = type_id(tensor.kind).expect("types of no GGUF file are not chosen");
            header.extend(id.to_le_bytes());
            header.extend(offset.to_le_bytes());
            offset = (offset + tensor.bytes()).next_multiple_of(DEFAULT_ALIGNMENT);
        }
        self.write_data(&header)
    }

    /// Writes padding up to the start of the next tensor.
    pub fn begin_tensor(&mut self) -> io::Result<()> {
        let padding = self.position.next_multiple_of(DEFAULT_ALIGNMENT) - self.position;
        self.write_data(&[0; DEFAULT_ALIGNMENT as usize][..padding as usize])
    }

    /// Appends bytes of data.
    pub fn write_data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.position += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Writes the last padding and flushes the file.
    pub fn finish(mut self) -> io::Result<()> {
        self.begin_tensor()?;
        self.file.flush()
    }
}

fn push_string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}
