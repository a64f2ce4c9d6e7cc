#![allow(missing_docs, dead_code)]
//! Stands in for the runner until it lands; then this file goes.

use crate::StopFlag;
use crate::kv_cache::BlockId;
use crate::model_file::ModelFile;
use crate::text::TokenId;
use banter_kernels::{KvType, Pool};
use std::cell::Cell;
pub struct Plan<'a> {
    pub spans: &'a [Span<'a>],
}
pub struct Span<'a> {
    pub blocks: &'a [BlockId],
    pub first_position: usize,
    pub tokens: &'a [TokenId],
    pub sample: bool,
    pub stop: &'a StopFlag,
}
pub struct Forward {
    pub spans: Vec<SpanOutcome>,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanOutcome {
    Done,
    Stopped { layers_run: usize, layers_after_stop: usize },
}
pub struct Model;
#[derive(Debug, thiserror::Error)]
#[error("the forward pass has not landed yet")]
pub struct ModelError;
impl Model {
    pub fn load(
        _file: &ModelFile,
        _pool: &Pool,
        _progress: &mut dyn FnMut(f32),
    ) -> Result<Model, ModelError> {
        Ok(Model)
    }
    pub fn weight_bytes_needed(_file: &ModelFile) -> u64 {
        0
    }
}
pub struct Runner {
    _not_sync: Cell<u8>,
}
pub struct RunnerConfig {
    pub kv_type: KvType,
    pub block_count: usize,
    pub max_rows: usize,
    pub context_tokens: usize,
}
impl Runner {
    pub fn new(_model: Model, _pool: Pool, _config: RunnerConfig) -> Result<Runner, ModelError> {
        Err(ModelError)
    }
    pub fn forward(&mut self, _plan: &Plan<'_>) -> Forward {
        Forward { spans: vec![] }
    }
    pub fn logits(&mut self, _span: usize) -> Option<&mut [f32]> {
        None
    }
}
