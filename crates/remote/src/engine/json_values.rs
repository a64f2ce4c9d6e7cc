//! JSON objects one after the other: bytes go in, whole objects come out.
//!
//! Some engines answer with one object, because they do not stream, some with an object per line,
//! some with a list that grows. All of these are objects with harmless characters between them.

use std::collections::VecDeque;

/// A longer object ends the answer. The limit is higher than [`super::sse::MAX_EVENT_BYTES`],
/// because one object may contain a whole answer.
pub const MAX_OBJECT_BYTES: usize = 8 << 20;

/// Finds the end of a JSON object or list without looking at its contents.
#[derive(Debug, Default)]
pub(super) struct JsonScanner {
    depth: usize,
    in_string: bool,
    after_backslash: bool,
}

/// Reads objects from a stream. The bytes may come in any parts.
#[derive(Debug, Default)]
pub(super) struct ObjectReader {
    scanner: JsonScanner,
    /// The object that has not ended yet.
    object: Vec<u8>,
    ready: VecDeque<Vec<u8>>,
}

/// The object is longer than [`MAX_OBJECT_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl JsonScanner {
    /// Takes the next byte, and returns whether an object or list ended with it.
    pub(super) fn push(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.after_backslash => self.after_backslash = false,
                b'\\' => self.after_backslash = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            // A quote outside of all brackets begins no string.
            b'"' => self.in_string = self.depth > 0,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.depth -= 1;
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

impl ObjectReader {
    /// Takes the next bytes of the stream. Bytes between objects are skipped.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.object.is_empty() {
                let Some(start) = rest.iter().position(|&byte| byte == b'{') else { return Ok(()) };
                rest = &rest[start..];
            }
            let end = rest.iter().position(|&byte| self.scanner.push(byte));
            let taken = end.map_or(rest.len(), |end| end + 1);
            if self.object.len() + taken > MAX_OBJECT_BYTES {
                return Err(TooLong);
            }
            self.object.extend_from_slice(&rest[..taken]);
            if end.is_some() {
                self.ready.push_back(std::mem::take(&mut self.object));
            }
            rest = &rest[taken..];
        }
        Ok(())
    }

    /// The next complete object.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        self.ready.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let mut reader = ObjectReader::default();
        for piece in pieces {
            reader.push(piece).expect("short enough");
        }
        assert!(reader.object.is_empty());
        let text = |object| String::from_utf8(object).expect("the test writes text");
        std::iter::from_fn(|| reader.pop().map(text)).collect()
    }

    #[test]
    fn objects_are_found_however_they_are_set_apart_and_cut() {
        let streams = [
            "{\"a\": \"}\\\"{\"}\n{\"b\": [1, {\"你\": \"\\\\\"}]}",
            "[{\"a\": \"}\\\"{\"},\r\n {\"b\": [1, {\"你\": \"\\\\\"}]}]\n",
            "\u{1e}{\"a\": \"}\\\"{\"}\n\u{1e}{\"b\": [1, {\"你\": \"\\\\\"}]}\n",
            "{\"a\": \"}\\\"{\"}{\"b\": [1, {\"你\": \"\\\\\"}]} [DONE]",
        ];
        let expected = ["{\"a\": \"}\\\"{\"}", "{\"b\": [1, {\"你\": \"\\\\\"}]}"];
        for stream in streams {
            let bytes = stream.as_bytes();
            assert_eq!(read(&[bytes]), expected, "{stream}");
            assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), expected, "{stream}");
        }
    }

    #[test]
    fn an_object_without_an_end_is_not_kept() {
        let mut reader = ObjectReader::default();
        reader.push(b"{\"a\": \"").expect("short enough");
        let piece = vec![b'x'; 1 << 20];
        assert_eq!((0..100).try_for_each(|_| reader.push(&piece)), Err(TooLong));
        assert!(reader.object.capacity() <= 2 * MAX_OBJECT_BYTES);
    }
}
