//! What a model will need, found from its metadata alone.

use super::machine::Machine;
use super::memory::{MemoryError, MemoryNeeds};
use super::{Engine, EngineConfig, OpenError};
use crate::kv_cache::blocks_for;
use crate::model_file::ModelFile;

/// A model's description, and the memory that an engine with it would take.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// Name of the model.
    pub name: String,
    /// Its licence, as the file spells it.
    pub licence: Option<String>,
    /// How many parameters it has.
    pub parameters: u64,
    /// Types of its weight matrices in the file.
    pub weight_types: String,
    needs: MemoryNeeds,
}

impl Forecast {
    /// Memory for weights, one context of cache and a step, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let MemoryNeeds { weight_bytes, step_bytes, .. } = self.needs;
        weight_bytes.saturating_add(step_bytes).saturating_add(self.context_bytes())
    }

    /// The part of it that the weights take.
    pub fn weight_bytes(&self) -> u64 {
        self.needs.weight_bytes
    }

    /// The part of it that one context of cache takes.
    pub fn context_bytes(&self) -> u64 {
        let blocks = blocks_for(self.needs.context_tokens) as u64;
        self.needs.block_bytes.saturating_mul(blocks)
    }

    /// Tokens of that context.
    pub fn context_tokens(&self) -> usize {
        self.needs.context_tokens
    }

    /// Memory that may be taken right now, if known.
    pub fn available_bytes(&self) -> Option<u64> {
        self.needs.available_bytes
    }

    /// Whether it fits into what is available.
    ///
    /// Errors: too little memory, with the numbers.
    pub fn check(&self) -> Result<(), MemoryError> {
        self.needs.cache_blocks().map(drop)
    }
}

impl Engine {
    /// Reads a model's metadata and says what an engine with this configuration would take.
    ///
    /// The bytes of the weights are not read: they may still be missing in files that have their
    /// full length.
    /// Errors: a wrong option or model file.
    pub fn forecast(config: &EngineConfig) -> Result<Forecast, OpenError> {
        config.check()?;
        let file = ModelFile::open(&config.source)?.with_quant(config.quant);
        let context_tokens = config.context_for(file.config().trained_context)?;
        let runner = super::open::runner_config(config, context_tokens);
        let mut needs = MemoryNeeds::of(config, &file, &runner, &Machine::here());
        if let Some(source) = &config.draft_model {
            let draft = super::open::open_draft_model(source, &file, context_tokens)?;
            needs.add(&MemoryNeeds::of(config, &draft, &runner, &Machine::here()));
        }
        let description = file.description();
        Ok(Forecast {
            name: description.name.clone(),
            licence: description.licence.clone(),
            parameters: description.parameters,
            weight_types: description.weight_types.clone(),
            needs,
        })
    }
}
