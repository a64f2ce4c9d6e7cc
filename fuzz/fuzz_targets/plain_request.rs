//! Reads text as a request of the plain language, and as a piece of an answer.

#![no_main]

use banter_protocol::plain::{parse, split_lookalike};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = parse(text);
    if let Some((first, rest)) = split_lookalike(text) {
        assert!(split_lookalike(first).is_none() && split_lookalike(rest).is_none());
    }
});
