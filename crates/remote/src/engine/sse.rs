//! Server-sent events: bytes go in, events come out.

use std::collections::VecDeque;

use super::json_values::JsonScanner;

/// A longer line or event ends the answer. The events of real engines have a few hundred bytes.
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// What kind of event it is; most engines do not say.
    pub name: Option<String>,
    /// What it says.
    pub data: String,
}

/// Reads a stream. The bytes may come in any parts, cut inside a line end or a character.
///
/// It also reads two forms beyond the standard: events without an empty line between them, if each
/// is one JSON value, and lines of bare JSON, which proxies write into a stream.
#[derive(Debug, Default)]
pub struct EventReader {
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// The data lines of the event that has not ended yet.
    data: Option<Vec<u8>>,
    /// Whether those lines are already one whole JSON value.
    is_whole: bool,
    scanner: JsonScanner,
    name: Option<String>,
    /// The last byte was a CR: an LF right after it belongs to the same line end.
    after_cr: bool,
    has_begun: bool,
    has_fields: bool,
    ready: VecDeque<Event>,
}

/// Why a stream of events cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Longer than [`MAX_EVENT_BYTES`], or than an object of JSON may be.
    #[error("an event of more than {0} bytes")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("an event that is not UTF-8")]
    NotText,
    /// The body is something else.
    #[error("no events")]
    NoEvents,
}

impl EventReader {
    /// Takes the next bytes of the stream.
    ///
    /// Errors: an event is too long or not text. Nothing can be read after an error.
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

    /// The stream has ended. An event without its last line end still counts, because some engines
    /// close right after it.
    pub fn end(&mut self) -> Result<(), EventError> {
        self.end_line()?;
        self.end_line()
    }

    /// The next complete event.
    pub fn pop(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// Whether any line was a field of an event.
    pub fn has_fields(&self) -> bool {
        self.has_fields
    }

    fn extend_line(&mut self, bytes: &[u8]) -> Result<(), EventError> {
        let waiting = self.line.len() + self.data.as_ref().map_or(0, Vec::len);
        if waiting + bytes.len() > MAX_EVENT_BYTES {
            return Err(EventError::TooLong(MAX_EVENT_BYTES));
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
            return self.end_event();
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let (field, value) = match colon {
            _ if line[0] == b'{' => (&b"data"[..], &line[..]),
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (&line[..], &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        self.has_fields |= matches!(field, b"" | b"data" | b"event" | b"error" | b"id" | b"retry");
        if self.is_whole && matches!(field, b"data" | b"event" | b"error") {
            self.end_event()?;
        }
        match field {
            b"data" => self.add_data(value),
            b"event" => self.name = Some(String::from_utf8_lossy(value).into_owned()),
            // The standard has no such field, but llama-server has used it.
            b"error" => {
                self.name = Some("error".to_owned());
                self.add_data(value);
            }
            _ => {}
        }
        Ok(())
    }

    fn add_data(&mut self, value: &[u8]) {
        for &byte in value.iter().filter(|byte| !byte.is_ascii_whitespace()) {
            self.is_whole = self.scanner.push(byte);
        }
        match &mut self.data {
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            None => self.data = Some(value.to_vec()),
        }
    }

    fn end_event(&mut self) -> Result<(), EventError> {
        let name = self.name.take();
        (self.is_whole, self.scanner) = (false, JsonScanner::default());
        let Some(data) = self.data.take() else { return Ok(()) };
        let data = String::from_utf8(data).map_err(|_| EventError::NotText)?;
        self.ready.push_back(Event { name, data });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<Event>, EventError> {
        let mut reader = EventReader::default();
        for piece in pieces {
            reader.push(piece)?;
        }
        reader.end()?;
        Ok(std::iter::from_fn(|| reader.pop()).collect())
    }

    fn events(expected: &[(Option<&str>, &str)]) -> Vec<Event> {
        let event = |(name, data): &(Option<&str>, &str)| Event {
            name: name.map(str::to_owned),
            data: (*data).to_owned(),
        };
        expected.iter().map(event).collect()
    }

    const STREAM: &str = ": comment\r\ndata: {\"a\":\"你好\"}\r\n\r\ndata:two\ndata: lines\n\n\
                          id: 7\revent: x\rdata: three\r\rnothing\n\n:\n\ndata\n\ndata: last";
    const EVENTS: [(Option<&str>, &str); 5] = [
        (None, "{\"a\":\"你好\"}"),
        (None, "two\nlines"),
        (Some("x"), "three"),
        (None, ""),
        (None, "last"),
    ];

    #[test]
    fn every_line_end_comment_and_field_is_read() {
        assert_eq!(read(&[STREAM.as_bytes()]), Ok(events(&EVENTS)));
        assert_eq!(read(&[b"\xef\xbb\xbfdata: x\n\n"]), Ok(events(&[(None, "x")])));
    }

    #[test]
    fn the_cuts_between_pieces_change_nothing() {
        let bytes = STREAM.as_bytes();
        for cut in 0..=bytes.len() {
            let (one, other) = bytes.split_at(cut);
            assert_eq!(read(&[one, other]), Ok(events(&EVENTS)), "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single), Ok(events(&EVENTS)));
    }

    #[test]
    fn events_need_no_empty_line_between_them_where_each_is_one_json_value() {
        let stream = "data: {\"a\": \"}\"}\ndata: {\"b\":\ndata: 1}\nevent: error\n\
                      data: {\"c\": 1}\n{\"bare\": 2}\nerror: {\"d\": 1}\ndata: [DONE]\n";
        let expected = events(&[
            (None, "{\"a\": \"}\"}"),
            (None, "{\"b\":\n1}"),
            (Some("error"), "{\"c\": 1}"),
            (None, "{\"bare\": 2}"),
            (Some("error"), "{\"d\": 1}"),
            (None, "[DONE]"),
        ]);
        assert_eq!(read(&[stream.as_bytes()]), Ok(expected.clone()));
        assert_eq!(read(&stream.as_bytes().chunks(1).collect::<Vec<_>>()), Ok(expected));
    }

    #[test]
    fn a_line_without_an_end_is_not_kept() {
        let mut reader = EventReader::default();
        let piece = vec![b'x'; 64 * 1024];
        let read = (0..1_600).try_for_each(|_| reader.push(&piece));
        assert_eq!(read, Err(EventError::TooLong(MAX_EVENT_BYTES)));
        assert!(reader.line.capacity() <= 2 * MAX_EVENT_BYTES);
        let endless = b"data: 0123456789\n".repeat(1 << 17);
        assert_eq!(read_whole(&endless), Err(EventError::TooLong(MAX_EVENT_BYTES)));
    }

    fn read_whole(bytes: &[u8]) -> Result<(), EventError> {
        EventReader::default().push(bytes)
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(read(&[b"data: \xff\xfe\n\n"]), Err(EventError::NotText));
    }
}
