//! Reads text as a request of the plain language, and as a piece of an answer.

#![no_main]

use banter_protocol::plain::{Reports, parse, split_lookalike};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = parse(text);
    let reports = Reports { end: true, thinking: true };
    if let Some((first, rest)) = split_lookalike(text, reports) {
        assert!(split_lookalike(first, reports).is_none());
        assert!(split_lookalike(rest, reports).is_none());
    }
});
