//! Parses bytes as `config.json`.

#![no_main]

use banter_engine::model_file::parsers::config_json;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = config_json(bytes);
});
