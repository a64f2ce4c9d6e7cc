//! Parses bytes as the index of a sharded model.

#![no_main]

use banter_engine::model_file::parsers::safetensors_index;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = safetensors_index(bytes);
});
