//! Server-sent events: bytes in, the data of events out.

use std::collections::VecDeque;

/// A longer line or event ends the answer; the pieces of real engines have a few hundred bytes.
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// Reads a stream that comes in pieces cut anywhere, inside a line end or a character too.
#[derive(Debug, Default)]
pub struct EventReader {
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// The data lines of the event that has not ended yet.
    data: Option<Vec<u8>>,
    /// The last byte was a CR: an LF right after it belongs to the same line end.
    after_cr: bool,
    has_begun: bool,
    ready: VecDeque<String>,
}

/// Why a stream of events cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Longer than [`MAX_EVENT_BYTES`].
    #[error("an event of more than {MAX_EVENT_BYTES} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("an event that is not UTF-8")]
    NotText,
}

impl EventReader {
    /// Takes the next bytes of the stream.
    ///
    /// Errors: an event that is too long, or no text. Nothing can be read after it.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), EventError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
                return self.extend_line(rest);
            };
            self.extend_line(&rest[..end])?;
            self.after_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
            self.end_line()?;
        }
        Ok(())
    }

    /// The stream has ended. An event whose last line end is missing still counts: some engines
    /// close right after their last word.
    pub fn end(&mut self) -> Result<(), EventError> {
        self.end_line()?;
        self.end_line()
    }

    /// The data of the next event that is complete.
    pub fn pop(&mut self) -> Option<String> {
        self.ready.pop_front()
    }

    fn extend_line(&mut self, bytes: &[u8]) -> Result<(), EventError> {
        let waiting = self.line.len() + self.data.as_ref().map_or(0, Vec::len);
        if waiting + bytes.len() > MAX_EVENT_BYTES {
            return Err(EventError::TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), EventError> {
        let mut line = std::mem::take(&mut self.line);
        if !std::mem::replace(&mut self.has_begun, true) && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        if line.is_empty() {
            let Some(data) = self.data.take() else { return Ok(()) };
            self.ready.push_back(String::from_utf8(data).map_err(|_| EventError::NotText)?);
            return Ok(());
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let (field, value) = match colon {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (&line[..], &line[line.len()..]),
        };
        // `error` is no field of the standard; llama-server has used it as one.
        if field == b"data" || field == b"error" {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => self.data = Some(value.to_vec()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<String>, EventError> {
        let mut reader = EventReader::default();
        for piece in pieces {
            reader.push(piece)?;
        }
        reader.end()?;
        Ok(std::iter::from_fn(|| reader.pop()).collect())
    }

    const STREAM: &str = ": comment\r\ndata: {\"a\":\"你好\"}\r\n\r\ndata:two\ndata: lines\n\n\
                          id: 7\revent: x\rdata: three\r\rnothing\n\n:\n\ndata\n\ndata: last";
    const EVENTS: [&str; 5] = ["{\"a\":\"你好\"}", "two\nlines", "three", "", "last"];

    #[test]
    fn every_line_end_comment_and_field_is_read() {
        assert_eq!(read(&[STREAM.as_bytes()]).expect("well formed"), EVENTS);
        assert_eq!(read(&[b"\xef\xbb\xbfdata: x\n\n"]).expect("well formed"), ["x"]);
    }

    #[test]
    fn the_cuts_between_pieces_change_nothing() {
        let bytes = STREAM.as_bytes();
        for cut in 0..=bytes.len() {
            let (one, other) = bytes.split_at(cut);
            assert_eq!(read(&[one, other]).expect("well formed"), EVENTS, "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single).expect("well formed"), EVENTS);
    }

    #[test]
    fn a_line_without_an_end_is_not_kept() {
        let mut reader = EventReader::default();
        let piece = vec![b'x'; 64 * 1024];
        let read = (0..1_600).try_for_each(|_| reader.push(&piece));
        assert_eq!(read, Err(EventError::TooLong));
        assert!(reader.line.capacity() <= 2 * MAX_EVENT_BYTES);
        let endless = b"data: 0123456789\n".repeat(1 << 17);
        assert_eq!(read_whole(&endless), Err(EventError::TooLong));
    }

    fn read_whole(bytes: &[u8]) -> Result<(), EventError> {
        EventReader::default().push(bytes)
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(read(&[b"data: \xff\xfe\n\n"]), Err(EventError::NotText));
    }
}
