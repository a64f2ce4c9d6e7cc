//! Traces: the client's span that a request belongs to, and what is told of an answer to whoever
//! records spans.

use std::time::SystemTime;

use crate::Usage;

/// The span of a client from which a request comes, as the header `traceparent` names it
/// (<https://www.w3.org/TR/trace-context/>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The number of the trace; not 0.
    pub trace_id: u128,
    /// The number of the client's span; not 0.
    pub span_id: u64,
    /// Whether the client records its span.
    pub is_sampled: bool,
}

impl TraceParent {
    /// Reads the header. `None` if it is malformed: then a request begins a trace of its own.
    pub fn parse(header: &str) -> Option<TraceParent> {
        const LENGTH: usize = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".len();
        let (version, rest) = header.split_once('-')?;
        // Later versions may have more behind what is known, but no other beginning.
        let is_whole = match hex(version, 2)? {
            0xff => return None,
            0 => header.len() == LENGTH,
            _ => header.len() == LENGTH || header.as_bytes().get(LENGTH) == Some(&b'-'),
        };
        let mut fields = rest.split('-');
        let trace_id = hex(fields.next()?, 32)?;
        let span_id = u64::try_from(hex(fields.next()?, 16)?).ok()?;
        let is_sampled = hex(fields.next()?, 2)? & 1 == 1;
        let is_valid = is_whole && trace_id != 0 && span_id != 0;
        is_valid.then_some(TraceParent { trace_id, span_id, is_sampled })
    }
}

/// How an answer went, without its text.
#[derive(Clone, Debug)]
pub struct AnswerTrace {
    /// The client's span that it belongs to.
    pub parent: Option<TraceParent>,
    /// The number of the answer, as in the log.
    pub id: u64,
    /// The name of the model, if one was loaded.
    pub model: Option<String>,
    /// When it was asked for.
    pub asked: SystemTime,
    /// When its computation began.
    pub begun: Option<SystemTime>,
    /// When its first word came.
    pub first_word: Option<SystemTime>,
    /// When it ended.
    pub ended: SystemTime,
    /// Why it ended, by the name that metrics use.
    pub reason: &'static str,
    /// Whether it ended with an error.
    pub has_failed: bool,
    /// The tokens that were counted.
    pub usage: Usage,
}

/// Whoever records traces. It must not block.
pub trait Tracer: Send + Sync {
    /// An answer has ended.
    fn answered(&self, answer: AnswerTrace);

    /// The program ends: what was not passed on yet is passed on now. It may block for a few seconds.
    fn end(&self) {}
}

/// A number of so many hexadecimal digits, which must be small letters.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_hex = text.len() == digits && text.bytes().all(is_digit);
    is_hex.then(|| u128::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_header_names_a_span() {
        let expected = TraceParent {
            trace_id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
            span_id: 0xb7ad_6b71_6920_3331,
            is_sampled: true,
        };
        assert_eq!(TraceParent::parse(HEADER), Some(expected));
        let later = HEADER.replacen("00", "cc", 1);
        for header in [later.clone(), format!("{later}-what-comes-later")] {
            assert_eq!(TraceParent::parse(&header), Some(expected), "{header}");
        }
        let unsampled = TraceParent::parse(&HEADER.replace("-01", "-02")).expect("a header");
        assert!(!unsampled.is_sampled);
    }

    #[test]
    fn what_is_no_such_header_names_none() {
        let other = |from: &str, to: &str| HEADER.replacen(from, to, 1);
        let wrong = [
            String::new(),
            "-".repeat(HEADER.len()),
            other("00", "ff"),
            other("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            other("b7ad6b7169203331", &"0".repeat(16)),
            other("b7ad", "B7AD"),
            other("b7ad", "+7ad"),
            other("b7ad", "é7a"),
            format!("{HEADER}-01"),
            format!("{HEADER}0"),
            other("00", "cc") + "0",
            HEADER[..HEADER.len() - 1].to_owned(),
        ];
        for header in wrong {
            assert_eq!(TraceParent::parse(&header), None, "{header}");
        }
    }
}
