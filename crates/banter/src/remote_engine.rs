//! `banter serve --engine URL`: banter in front of an engine that somebody else runs.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use banter_remote::engine::{EngineError, EnginePatience, EngineSettings, RemoteEngine};
use banter_server::backend::{BackendSlot, HealthChecks, RemoteBackend};
use tracing::{info, warn};

use crate::config::{Config, RemoteOptions};
use crate::options::OptionError;
use crate::ready_line::{self, Loaded, ReadyLine};

/// The pause between two tries to reach an engine that is not there yet.
const PAUSE: Duration = Duration::from_secs(1);

/// Tries to reach the engine until it is there, and then fills the slot. Engine and banter may be
/// started in any order.
///
/// Errors: something is there, but not as the options say: it needs another key, does not have the
/// model, or is not an engine.
pub async fn connect(
    config: &Config,
    options: &RemoteOptions,
    slot: &BackendSlot,
    url: &str,
    started: Instant,
) -> anyhow::Result<()> {
    let (model, engine) = fill(config, options, slot).await?;
    let loaded = Loaded::Elsewhere { engine };
    ready_line::print(&ReadyLine { url, model: &model, loaded, after: started.elapsed() });
    Ok(())
}

/// The same without a word about it. Returns the name of the model and the kind of the engine.
pub async fn fill(
    config: &Config,
    options: &RemoteOptions,
    slot: &BackendSlot,
) -> anyhow::Result<(String, &'static str)> {
    let settings = EngineSettings {
        address: options.address.clone(),
        key: options.key.clone(),
        kind: options.kind,
        model: options.model.clone(),
        patience: EnginePatience {
            headers: config.engine.queue_timeout,
            ..EnginePatience::default()
        },
    };
    let engine = find(config, &settings, slot).await?;
    let about = engine.about();
    info!(
        engine = %engine.address(),
        kind = %about.kind,
        model = about.model,
        context_tokens = about.context_tokens,
        "engine found"
    );
    let (model, kind) = (about.model.clone(), about.kind.name());
    let places = options.queue_limit.unwrap_or_else(|| engine.about().kind.usual_places());
    slot.fill(RemoteBackend::new(engine, HealthChecks::default(), places));
    Ok((model, kind))
}

async fn find(
    config: &Config,
    settings: &EngineSettings,
    slot: &BackendSlot,
) -> anyhow::Result<RemoteEngine> {
    let mut told = None;
    loop {
        let error = match RemoteEngine::find(settings).await {
            Ok(engine) => return Ok(engine),
            Err(error) => error,
        };
        let words = error.words().map_or_else(String::new, |words| format!(" ({words})"));
        if !may_pass(&error) {
            let place = config.places.get("engine").map_or("--engine", String::as_str);
            let advice = advice(&error, settings);
            let message = format!("{place}: {}: {error}{words}{advice}", settings.address);
            return Err(anyhow!(OptionError(message)));
        }
        // Strangers may read this, so it has no address and none of the engine's words.
        slot.set_unreachable(format!("the engine: {}", error.summary()));
        if told.as_ref() != Some(&error) {
            warn!(engine = %settings.address, "waiting for the engine: {error}{words}");
            told = Some(error);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether the engine may still be starting.
fn may_pass(error: &EngineError) -> bool {
    match error {
        EngineError::Connection(_)
        | EngineError::Broken(_)
        | EngineError::Silent(_)
        | EngineError::Busy { .. } => true,
        EngineError::Status { status, .. } => *status >= 500 && *status != 501,
        _ => false,
    }
}

/// Advice for an engine that does not list its models.
fn advice(error: &EngineError, settings: &EngineSettings) -> &'static str {
    let has_no_list = matches!(error, EngineError::Status { .. } | EngineError::Unexpected(_));
    match has_no_list && settings.model.is_none() {
        true => {
            "; if the engine lists no models, name one with --engine-model; if the address is wrong, change --engine"
        }
        false => "",
    }
}
