//! What reads the bytes of engines, without a connection: for the fuzz targets.

use super::body::BodyReader;
use super::chunk::Said;
use super::error::EngineError;
use super::sse::EventError;
use super::words::Words;

/// What the events of an answer say, its body cut into these pieces, and why it could not be read on
/// if it could not.
pub fn answer<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Option<String>) {
    let mut reader = BodyReader::default();
    let mut said = Vec::new();
    let read = pieces.into_iter().try_for_each(|piece| {
        let pushed = reader.push(piece);
        take(&mut reader, &mut said)?;
        pushed
    });
    let read = read.and_then(|()| {
        let ended = reader.end();
        take(&mut reader, &mut said)?;
        ended
    });
    (said, read.err().map(|error| error.to_string()))
}

fn take(reader: &mut BodyReader, said: &mut Vec<String>) -> Result<(), EventError> {
    while let Some(event) = reader.pop()? {
        said.push(format!("{:?}", Said::read(&event)));
    }
    Ok(())
}

/// What an engine says that refuses a request with this body.
pub fn refusal(body: &[u8]) -> String {
    let words = Words::read(body);
    let text = words.text.clone();
    let error = EngineError::of_stream(words);
    format!("{text}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cuts_between_pieces_change_nothing() {
        let bodies: [&[u8]; 5] = [
            b"event: error\ndata: x\n\ndata: {\"choices\": [{\"delta\": {\"content\": \"\xe4\xbd\xa0\"}}]}\n",
            b"{\"error\": \"x\"}{\"choices\": [{\"text\": \"y\"}]}",
            b"<html>hello</html>",
            b"data: \xff\n\ndata: {}\n\n",
            b" \r\n",
        ];
        for body in bodies {
            let single: Vec<&[u8]> = body.chunks(1).collect();
            assert_eq!(answer([body]), answer(single), "{}", String::from_utf8_lossy(body));
        }
    }
}
