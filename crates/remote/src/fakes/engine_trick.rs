//! How the answers of a fake engine go wrong.

use std::time::Duration;

use serde_json::{Value, json};

/// How the next answer goes wrong.
#[derive(Clone, Debug)]
pub enum EngineTrick {
    /// This status, with these header lines and this body.
    Status(u16, &'static str, &'static str),
    /// Never a word.
    Silence,
    /// These bytes as the stream, piece by piece; then the connection is closed.
    Stream(Vec<Vec<u8>>),
    /// The same, but the connection stays open.
    StreamAndHang(Vec<Vec<u8>>),
    /// These bytes as the body, with this content type or none.
    Body(Option<&'static str>, Vec<Vec<u8>>),
    /// An event of this many bytes without a line end.
    Endless(usize),
    /// A correct answer, one byte at a time, with this pause before each.
    Drip(Duration),
}

/// One event of a stream.
pub(super) fn event(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}

impl EngineTrick {
    /// The event of one piece of text.
    pub fn piece(text: &str) -> String {
        event(
            &json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]}),
        )
    }

    /// A stream of these pieces of bytes.
    pub fn stream<T: AsRef<[u8]>>(pieces: impl IntoIterator<Item = T>) -> EngineTrick {
        EngineTrick::Stream(pieces.into_iter().map(|piece| piece.as_ref().to_vec()).collect())
    }

    /// A body of these bytes in one piece, with a content type or none.
    pub fn body(kind: Option<&'static str>, body: impl AsRef<[u8]>) -> EngineTrick {
        EngineTrick::Body(kind, vec![body.as_ref().to_vec()])
    }

    /// A stream of these pieces of bytes that does not end.
    pub fn hang_after<T: AsRef<[u8]>>(pieces: impl IntoIterator<Item = T>) -> EngineTrick {
        EngineTrick::StreamAndHang(
            pieces.into_iter().map(|piece| piece.as_ref().to_vec()).collect(),
        )
    }
}
