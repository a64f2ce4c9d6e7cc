//! The parsers of the engines' bytes, without a connection, for the fuzz targets.

use super::body::BodyReader;
use super::calls::{CallRules, Calls};
use super::chunk::Said;
use super::error::EngineError;
use super::sse::EventError;
use super::words::Words;

/// The events of a body that comes in these parts, and why it could not be read on, if so.
pub fn answer<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Option<String>) {
    let (mut reader, mut calls) = (BodyReader::default(), Calls::new(CallRules::default()));
    let mut said = Vec::new();
    let read = pieces.into_iter().try_for_each(|piece| {
        let pushed = reader.push(piece);
        take(&mut reader, &mut calls, &mut said)?;
        pushed
    });
    let read = read.and_then(|()| {
        let ended = reader.end();
        take(&mut reader, &mut calls, &mut said)?;
        ended
    });
    (said, read.err().map(|error| error.to_string()))
}

fn take(
    reader: &mut BodyReader,
    calls: &mut Calls,
    said: &mut Vec<String>,
) -> Result<(), EventError> {
    while let Some(event) = reader.pop()? {
        let event = Said::read(&event);
        said.push(format!("{event:?}"));
        let Said::Chunk(chunk) = event else { continue };
        let mut steps = Vec::new();
        let taken: Result<Vec<_>, _> =
            chunk.calls.into_iter().map(|piece| calls.take(piece, &mut steps)).collect();
        // Names of calls are random.
        said.push(format!("{taken:?} in {} steps", steps.len()));
    }
    Ok(())
}

/// The words and the error of a refusal with this body.
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
        let bodies: [&[u8]; 7] = [
            b"event: error\ndata: x\n\ndata: {\"choices\": [{\"delta\": {\"content\": \"\xe4\xbd\xa0\"}}]}\n",
            b"{\"error\": \"x\"}{\"choices\": [{\"text\": \"y\"}]}",
            b"<html>hello</html>",
            b"data: \xff\n\ndata: {}\n\n",
            b" \r\n",
            b"\xef\xef\xefdata: {\"choices\": [{\"text\": \"y\"}]}\n\n",
            b"  \n data: {\"choices\": [{\"text\": \"y\"}]}\n\n",
        ];
        for body in bodies {
            let single: Vec<&[u8]> = body.chunks(1).collect();
            assert_eq!(answer([body]), answer(single), "{}", String::from_utf8_lossy(body));
        }
    }

    /// Small random numbers, the same in every run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 33) as usize % bound
        }
    }

    #[test]
    fn broken_bodies_say_the_same_however_they_are_cut() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/engine_answer");
        let seeds = std::fs::read_dir(seeds).expect("the seeds are there");
        let seeds: Vec<Vec<u8>> = seeds
            .map(|seed| std::fs::read(seed.expect("a seed").path()).expect("a file"))
            .collect();
        let pieces: [&[u8]; 8] =
            [b"\n", b"\r", b"\xff", b"\"", b"}", b"data: ", b"\\ud83c", b"event: error\n"];
        let mut random = Random(7);
        for _ in 0..3_000 {
            let mut body = seeds[random.below(seeds.len())][1..].to_vec();
            for _ in 0..random.below(4) {
                let at = random.below(body.len());
                let piece = pieces[random.below(pieces.len())];
                let until = (at + random.below(3)).min(body.len());
                body.splice(at..until, piece.iter().copied());
            }
            let whole = answer([&body[..]]);
            let length = 1 + random.below(9);
            assert_eq!(whole, answer(body.chunks(length)), "{}", String::from_utf8_lossy(&body));
            assert!(refusal(&body).lines().count() <= 1);
        }
    }
}
