//! Parses bytes as `quantize_config.json`.

#![no_main]

use banter_engine::model_file::parsers::quantize_config_json;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = quantize_config_json(bytes);
});
