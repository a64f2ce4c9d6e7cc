//! What the options mean to our own engine.

use banter_engine::Isa;
use banter_engine::engine::EngineConfig;
use banter_engine::model_file::ModelSource;

use crate::config::Config;
use crate::options::OptionError;

/// What the options mean to the engine, for a model at `source`.
pub fn engine_config(config: &Config, source: ModelSource) -> anyhow::Result<EngineConfig> {
    let options = &config.engine;
    Ok(EngineConfig {
        context_tokens: options.context_tokens,
        quant: options.quant,
        kv_type: options.kv_type,
        kv_memory_bytes: options.kv_memory_bytes,
        kv_disk: options.kv_disk.clone(),
        threads: options.threads,
        isa: options.isa.as_deref().map(Isa::named).transpose().map_err(|error| {
            let place = config.places.get("isa").map_or("--isa", String::as_str);
            OptionError(format!("{place}: {error}"))
        })?,
        queue_limit: options.queue_limit,
        max_sequences: options.max_sequences,
        queue_timeout: options.queue_timeout,
        max_gap: options.max_gap,
        speculation: options.speculation,
        system_prompt: config.system_prompt.clone(),
        ..EngineConfig::new(source)
    })
}
