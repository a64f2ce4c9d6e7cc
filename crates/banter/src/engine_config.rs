//! The options of our engine.

use banter_engine::Isa;
use banter_engine::engine::EngineConfig;
use banter_engine::model_file::ModelSource;

use crate::config::{Config, ModelChoice};
use crate::invocation;
use crate::options::OptionError;

/// The engine's configuration by the options, for a model at `source`.
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
        draft_model: draft_model(config)?,
        speculation: options.speculation,
        system_prompt: config.system_prompt.clone(),
        ..EngineConfig::new(source)
    })
}

/// The draft model.
///
/// Errors: it has a name, and no model of that name is installed.
fn draft_model(config: &Config) -> anyhow::Result<Option<ModelSource>> {
    let name = match &config.draft_model {
        None => return Ok(None),
        Some(ModelChoice::Path(path)) => return Ok(Some(ModelSource::Path(path.clone()))),
        Some(ModelChoice::Name { name, .. }) => name,
    };
    match config.store()?.find(name)? {
        Some(installed) => Ok(Some(ModelSource::Path(installed.path))),
        None => {
            let place = config.places.get("draft-model").map_or("--draft-model", String::as_str);
            let command = invocation::pull_command(&name.to_string());
            let message = format!("{place}: {name} is not here yet; pull it with `{command}`");
            Err(OptionError(message).into())
        }
    }
}
