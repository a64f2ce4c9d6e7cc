//! Reads a file's metadata from front to back, within limits.

use super::super::bytes::Bytes;
use super::super::error::Fault;

/// The most metadata a file may have: four times what the 152,000 tokens of Qwen2.5 take.
pub(super) const MAX_METADATA_BYTES: u64 = 24 << 20;
/// The longest string. The longest that models have are chat templates of some 20 KiB.
const MAX_STRING_BYTES: u64 = 4 << 20;
const BUFFER_BYTES: u64 = 64 << 10;

/// A position in a file, and the bytes around it.
pub(super) struct Reader<'a> {
    bytes: &'a Bytes,
    position: u64,
    buffer: Vec<u8>,
    buffer_start: u64,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a Bytes) -> Reader<'a> {
        Reader { bytes, position: 0, buffer: Vec::new(), buffer_start: 0 }
    }

    /// Where the next byte comes from.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many bytes are left in the file.
    pub fn remaining(&self) -> u64 {
        self.bytes.len() - self.position
    }

    /// The next `count` bytes; `item` is what errors call them.
    pub fn take(&mut self, count: u64, item: &str) -> Result<&[u8], Fault> {
        let offset = self.position;
        if count > self.remaining() {
            return Err(self.bytes.ends_early(item, offset.saturating_add(count)));
        }
        if count > MAX_METADATA_BYTES - offset {
            let expected = format!("at most {MAX_METADATA_BYTES} bytes");
            return Err(Fault::malformed("metadata", expected, format!("{item} after them")));
        }
        if offset + count > self.buffer_start + self.buffer.len() as u64 {
            self.fill(count)?;
        }
        self.position += count;
        let start = (offset - self.buffer_start) as usize; // Both are within the limit above.
        Ok(&self.buffer[start..start + count as usize])
    }

    fn fill(&mut self, count: u64) -> Result<(), Fault> {
        let len = count.max(BUFFER_BYTES).min(self.remaining());
        self.buffer.resize(len as usize, 0);
        self.buffer_start = self.position;
        self.bytes.read_exact_at(self.position, &mut self.buffer)
    }

    fn array<const N: usize>(&mut self, item: &str) -> Result<[u8; N], Fault> {
        let bytes = self.take(N as u64, item)?;
        Ok(bytes.try_into().expect("as many bytes as were asked for"))
    }

    pub fn u32(&mut self, item: &str) -> Result<u32, Fault> {
        self.array(item).map(u32::from_le_bytes)
    }

    pub fn u64(&mut self, item: &str) -> Result<u64, Fault> {
        self.array(item).map(u64::from_le_bytes)
    }

    /// A count of items. Each item takes at least `minimum_bytes` of the bytes that remain.
    pub fn count(&mut self, item: &str, minimum_bytes: u64, limit: u64) -> Result<usize, Fault> {
        let count = self.u64(item)?;
        if count > limit {
            return Err(Fault::malformed(item, format!("at most {limit}"), count.to_string()));
        }
        if count > self.remaining() / minimum_bytes {
            let end = self.position.saturating_add(count.saturating_mul(minimum_bytes));
            return Err(self.bytes.ends_early(&format!("{item}, {count}"), end));
        }
        Ok(count as usize) // At most `remaining`, and what is allocated for each is bounded.
    }

    /// A string: its length, then UTF-8.
    pub fn string(&mut self, item: &str) -> Result<String, Fault> {
        let offset = self.position;
        let count = self.u64(item)?;
        if count > MAX_STRING_BYTES && count <= self.remaining() {
            let expected = format!("a string of at most {MAX_STRING_BYTES} bytes");
            return Err(Fault::malformed(item, expected, format!("{count} bytes")));
        }
        let bytes = self.take(count, item)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_string()),
            Err(error) => {
                let found = format!("{error} at byte {offset} of the file");
                Err(Fault::malformed(item, "UTF-8", found))
            }
        }
    }
}
