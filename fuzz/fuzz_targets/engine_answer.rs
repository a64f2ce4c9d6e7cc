//! Reads bytes as the body of an engine's answer, whole and in pieces, and as a refusal's body.
//!
//! The first byte is the length of the pieces: however a body is cut, it says the same.

#![no_main]

use banter_remote::engine::parsers::{answer, refusal};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&length, body)) = bytes.split_first() else { return };
    let pieces = body.chunks(usize::from(length).max(1));
    assert_eq!(answer([body]), answer(pieces));
    assert!(refusal(body).lines().count() <= 1);
});
