//! The parsers by themselves, for fuzz targets: bytes in, an error or nothing out.
//!
//! GGUF files need no function here: [`super::ModelFile::open`] takes bytes.

use super::error::Fault;
use super::hugging_face::{parse_config, parse_header, parse_index, parse_quantisation};

/// Parses the header of a safetensors file whose data start at byte `data_start`.
pub fn safetensors_header(header: &[u8], data_start: u64) -> Result<(), Fault> {
    parse_header(header, data_start).map(|_| ())
}

/// Parses the index of a sharded model.
pub fn safetensors_index(bytes: &[u8]) -> Result<(), Fault> {
    parse_index(bytes).map(|_| ())
}

/// Parses and checks `config.json`.
pub fn config_json(bytes: &[u8]) -> Result<(), Fault> {
    parse_config(bytes).map(|_| ())
}

/// Parses and checks `quantize_config.json`.
pub fn quantize_config_json(bytes: &[u8]) -> Result<(), Fault> {
    parse_quantisation(bytes).map(|_| ())
}
