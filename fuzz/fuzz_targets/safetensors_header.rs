//! Parses bytes as the header of a safetensors file; the first eight say where its data start.

#![no_main]

use banter_engine::model_file::parsers::safetensors_header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((data_start, header)) = bytes.split_first_chunk() {
        let _ = safetensors_header(header, u64::from_le_bytes(*data_start));
    }
});
