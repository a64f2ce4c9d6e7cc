//! The body of an answer. Its first bytes decide in which form it is written.
//!
//! The content type does not decide: gateways call a stream of events `application/json`, leave the
//! type out, or answer with one JSON object although a stream was asked for.

use super::json_values::{MAX_OBJECT_BYTES, ObjectReader};
use super::sse::{Event, EventError, EventReader};

/// How many of the first bytes are kept, to show what came instead of an answer.
const BEGINNING_BYTES: usize = 1_024;

/// Reads the events of a body. The bytes may come in any parts.
#[derive(Debug, Default)]
pub struct BodyReader {
    form: Form,
    beginning: Vec<u8>,
}

#[derive(Debug, Default)]
enum Form {
    /// Only white space has come.
    #[default]
    Unknown,
    /// Server-sent events.
    Events(EventReader),
    /// One JSON object, or several.
    Objects(ObjectReader),
    /// A web page.
    Page,
}

impl BodyReader {
    /// Takes the next bytes.
    ///
    /// Errors: an event is too long or not text, or the body has no events. Nothing can be read
    /// after an error.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), EventError> {
        let room = BEGINNING_BYTES - self.beginning.len();
        self.beginning.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let mut bytes = bytes;
        if let Form::Unknown = self.form {
            (self.form, bytes) = Form::of(bytes);
        }
        match &mut self.form {
            Form::Unknown => Ok(()),
            Form::Events(reader) => reader.push(bytes),
            Form::Objects(reader) => {
                reader.push(bytes).map_err(|_| EventError::TooLong(MAX_OBJECT_BYTES))
            }
            Form::Page if self.beginning.len() == BEGINNING_BYTES => Err(EventError::NoEvents),
            Form::Page => Ok(()),
        }
    }

    /// The body has ended.
    ///
    /// Errors: as for [`BodyReader::push`].
    pub fn end(&mut self) -> Result<(), EventError> {
        match &mut self.form {
            Form::Unknown | Form::Page => Err(EventError::NoEvents),
            Form::Objects(_) => Ok(()),
            Form::Events(reader) => {
                reader.end()?;
                if reader.has_fields() { Ok(()) } else { Err(EventError::NoEvents) }
            }
        }
    }

    /// The next complete event.
    ///
    /// Errors: as for [`BodyReader::push`].
    pub fn pop(&mut self) -> Result<Option<Event>, EventError> {
        match &mut self.form {
            Form::Events(reader) => Ok(reader.pop()),
            Form::Objects(reader) => {
                let Some(object) = reader.pop() else { return Ok(None) };
                let data = String::from_utf8(object).map_err(|_| EventError::NotText)?;
                Ok(Some(Event { name: None, data }))
            }
            Form::Unknown | Form::Page => Ok(None),
        }
    }

    /// The first bytes of the body.
    pub(super) fn beginning(&self) -> &[u8] {
        &self.beginning
    }
}

impl Form {
    /// The form of a body, and `bytes` without the white space before it. That is always left out,
    /// so that it does not matter in how many parts it came.
    fn of(bytes: &[u8]) -> (Form, &[u8]) {
        // White space, a byte order mark, and the separator of JSON texts.
        let is_skipped = |byte: &u8| b"\xef\xbb\xbf\x1e \t\r\n".contains(byte);
        let begin = bytes.iter().position(|byte| !is_skipped(byte)).unwrap_or(bytes.len());
        let bytes = &bytes[begin..];
        let form = match bytes.first() {
            None => Form::Unknown,
            Some(b'{' | b'[') => Form::Objects(ObjectReader::default()),
            Some(b'<') => Form::Page,
            Some(_) => Form::Events(EventReader::default()),
        };
        (form, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<String>, EventError> {
        let mut reader = BodyReader::default();
        let mut events = Vec::new();
        for piece in pieces {
            reader.push(piece)?;
            while let Some(event) = reader.pop()? {
                events.push(event.data);
            }
        }
        reader.end()?;
        while let Some(event) = reader.pop()? {
            events.push(event.data);
        }
        Ok(events)
    }

    #[test]
    fn the_first_bytes_decide_how_a_body_is_read() {
        let cases: [(&str, &[&str]); 8] = [
            ("data: {\"a\": 1}\n\ndata: [DONE]\n\n", &["{\"a\": 1}", "[DONE]"]),
            ("\r\n\n: comment\n\ndata:{\"a\": 1}\n\n", &["{\"a\": 1}"]),
            ("\u{feff}data: {\"a\": 1}\n\n", &["{\"a\": 1}"]),
            ("event: x\ndata: y\n\n", &["y"]),
            ("{\"a\": 1}\n{\"b\": 2}\n", &["{\"a\": 1}", "{\"b\": 2}"]),
            ("\n  {\n  \"a\": [1,\n 2]\n}\n", &["{\n  \"a\": [1,\n 2]\n}"]),
            ("[{\"a\": 1},\n{\"b\": 2}]", &["{\"a\": 1}", "{\"b\": 2}"]),
            ("\u{1e}{\"a\": 1}\n\u{1e}{\"b\": 2}\n", &["{\"a\": 1}", "{\"b\": 2}"]),
        ];
        for (body, expected) in cases {
            let expected = Ok(expected.iter().map(|&event| event.to_owned()).collect());
            assert_eq!(read(&[body.as_bytes()]), expected, "{body:?}");
            assert_eq!(read(&body.as_bytes().chunks(1).collect::<Vec<_>>()), expected, "{body:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_told_from_an_answer() {
        for body in ["", "  \n", "<html><title>502 Bad Gateway</title></html>", "upstream error"] {
            assert_eq!(read(&[body.as_bytes()]), Err(EventError::NoEvents), "{body:?}");
            let single = body.as_bytes().chunks(1).collect::<Vec<_>>();
            assert_eq!(read(&single), Err(EventError::NoEvents), "{body:?}");
        }
        let endless = b"<p>hello</p>".repeat(1_000);
        assert_eq!(BodyReader::default().push(&endless), Err(EventError::NoEvents));
    }
}
