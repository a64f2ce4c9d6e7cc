//! Opening an engine: which options fit the model, how much memory it needs, loading, starting.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use banter_kernels::{BlockType, Isa, Pool};

use super::core::{Core, MaskJob, Patience};
use super::draft_model::DraftModel;
use super::embedding::EMBEDDING_PLACES;
use super::inbox::MAX_SIDE_MESSAGES;
use super::machine::Machine;
use super::masks::MaskThread;
use super::memory::MemoryNeeds;
use super::opening::{opening, text_for_chat};
use super::status::Status;
use super::thread::{Phase, StepLoop};
use super::{Engine, EngineConfig, EngineInfo, LoadProgress, OpenError};
use crate::StopFlag;
use crate::kv_cache::BLOCK_TOKENS;
use crate::kv_cache::disk::{Disk, Identity};
use crate::model::{Compute, Model, Runner, RunnerConfig};
use crate::model_file::{ModelFile, ModelSource, Quant};
use crate::sampler::{SampleScratch, TokenRows};
use crate::scheduler::SchedulerLimits;
use crate::text::{Text, TokenId, VocabularyToken};

/// What an engine is started with, apart from the model that computes.
pub(super) struct EngineParts {
    pub info: EngineInfo,
    pub text: Arc<Text>,
    /// As [`Engine::opening`].
    pub opening: Vec<TokenId>,
    pub disk: Option<Disk>,
    pub draft_model: Option<DraftModel>,
}

impl Engine {
    /// Loads a model and starts its thread. Blocks while it loads.
    ///
    /// Errors: a wrong option or model file, or too little memory, which is found before loading.
    pub fn open(
        config: EngineConfig,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Engine, OpenError> {
        let began = Instant::now();
        config.check()?;
        let file = Arc::new(ModelFile::open(&config.source)?.with_quant(config.quant));
        let context_tokens = config.context_for(file.config().trained_context)?;
        let text = Arc::new(text_for_chat(&file, config.chat_template.as_ref())?);
        let opening = opening(&text, config.system_prompt.as_deref())?;
        let limit = context_tokens / 2;
        if opening.len() > limit {
            return Err(OpenError::SystemPromptTooLong { tokens: opening.len(), limit });
        }
        let draft_file = match &config.draft_model {
            Some(source) => Some(open_draft_model(source, &file, context_tokens)?),
            None => None,
        };
        let machine = Machine::here();
        let mut runner_config = runner_config(&config, context_tokens);
        let mut needs = MemoryNeeds::of(&config, &file, &runner_config, &machine);
        if let Some(draft_file) = &draft_file {
            needs.add(&MemoryNeeds::of(&config, draft_file, &runner_config, &machine));
        }
        runner_config.block_count = needs.cache_blocks()?;
        let pool = pool(&config, &file, &machine);
        warn_of_slow_weights(&file, pool.isa());
        let (isa, threads) = (pool.isa().name(), pool.threads());
        // Before the weights are loaded: the folder is likely to be open when they are.
        let disk = match config.kv_disk.clone() {
            Some(disk) => Some(Disk::start(disk, identity(&config, file.clone(), isa))?),
            None => None,
        };
        let model = Model::load(&file, &pool, &mut |fraction| progress(LoadProgress { fraction }))?;
        let runner = Runner::new(model, pool, runner_config)?;
        let draft_model = match &draft_file {
            Some(file) => Some(load_draft_model(file, &config, &runner_config, &machine)?),
            None => None,
        };
        let description = file.description();
        let info = EngineInfo {
            name: description.name.clone(),
            licence: description.licence.clone(),
            description: description.text.clone(),
            parameters: description.parameters,
            weight_types: description.weight_types.clone(),
            weight_bytes: needs.weight_bytes,
            cache_bytes: needs.block_bytes * runner_config.block_count as u64,
            cache_tokens: runner_config.block_count * BLOCK_TOKENS,
            context_tokens,
            trained_context: file.config().trained_context,
            sampling_defaults: file.sampling_defaults().clone(),
            isa,
            threads,
            places: config.max_sequences + config.queue_limit,
            opened_in: began.elapsed(),
        };
        let parts = EngineParts { info, text, opening, disk, draft_model };
        Engine::start(&config, parts, runner).map_err(OpenError::Thread)
    }

    /// Starts the thread.
    ///
    /// Errors: no thread.
    pub(super) fn start(
        config: &EngineConfig,
        parts: EngineParts,
        mut compute: impl Compute + 'static,
    ) -> std::io::Result<Engine> {
        let EngineParts { info, text, opening, disk, mut draft_model } = parts;
        let limits = SchedulerLimits {
            total_blocks: info.cache_tokens / BLOCK_TOKENS,
            max_sequences: config.max_sequences,
            step_tokens: config.step_tokens,
            guessed_rows: config.guessed_rows(),
        };
        let status = Arc::new(Status::new(config.queue_limit, limits.total_blocks, Instant::now()));
        compute.show_life(status.pulse());
        if let Some(draft_model) = &mut draft_model {
            draft_model.show_life(status.pulse());
        }
        let patience = Patience {
            queue: config.queue_timeout,
            step: config.step_timeout,
            gap: config.max_gap,
        };
        let rows = TokenRows::new(text.token_count(), |id| text.has_token(id));
        let (sender, inbox) =
            sync_channel(config.queue_limit + EMBEDDING_PLACES + MAX_SIDE_MESSAGES);
        let stop_all = StopFlag::new();
        let scratch = SampleScratch::new(config.isa.unwrap_or_else(Isa::best));
        let mut core = Core::new(limits, patience, text.clone(), rows, scratch, status.clone());
        if let Some(disk) = disk {
            core.set_disk(disk);
            core.wait_for_folder();
        }
        let step_loop = StepLoop {
            core,
            compute,
            draft_model,
            masks: MaskThread::start(MaskJob::run)?,
            first: None,
            phase: Phase::Arrivals,
            inbox,
            status: status.clone(),
            clock: Box::new(Instant::now),
            stop_all: stop_all.clone(),
            broken_steps: 0,
        };
        let thread =
            std::thread::Builder::new().name("engine".to_owned()).spawn(move || step_loop.run())?;
        let (inbox, thread) = (Some(sender), Some(thread));
        let structures = OnceLock::new();
        Ok(Engine { info, text, opening, structures, status, stop_all, inbox, thread })
    }
}

/// Opens a draft model for a model.
///
/// Errors: it cannot be opened, has other tokens, or was trained on shorter contexts.
pub(super) fn open_draft_model(
    source: &ModelSource,
    model: &ModelFile,
    context_tokens: usize,
) -> Result<ModelFile, OpenError> {
    let draft = ModelFile::open(source)?;
    let (ours, theirs) = (&model.vocabulary().tokens, &draft.vocabulary().tokens);
    // Published files fill the vocabulary up with different numbers of unused tokens.
    let used = |tokens: &[VocabularyToken]| {
        tokens.iter().rposition(|token| token.kind.is_sampled()).map_or(0, |last| last + 1)
    };
    let differs = ours.iter().zip(theirs).position(|(a, b)| a.text != b.text);
    let differs = differs.filter(|id| *id < used(ours) || *id < used(theirs));
    if let Some(id) = differs {
        return Err(OpenError::DraftTokens { id });
    }
    if used(ours) != used(theirs) {
        return Err(OpenError::DraftTokens { id: used(ours).min(used(theirs)) });
    }
    let trained_context = draft.config().trained_context;
    if trained_context < context_tokens {
        return Err(OpenError::DraftContext { trained_context, context_tokens });
    }
    Ok(draft)
}

fn load_draft_model(
    file: &ModelFile,
    config: &EngineConfig,
    runner: &RunnerConfig,
    machine: &Machine,
) -> Result<DraftModel, OpenError> {
    let pool = pool(config, file, machine);
    let model = Model::load(file, &pool, &mut |_| ())?;
    let runner_config = RunnerConfig { max_sampled: config.max_sequences, ..*runner };
    Ok(DraftModel::new(Runner::new(model, pool, runner_config)?))
}

/// The threads that compute a model.
fn pool(config: &EngineConfig, file: &ModelFile, machine: &Machine) -> Pool {
    let threads = config.threads_for(machine.cores(), file.description().parameters);
    Pool::new(config.isa.unwrap_or_else(Isa::best), threads)
}

fn warn_of_slow_weights(file: &ModelFile, isa: Isa) {
    if file.holds(BlockType::Bf16Dot) && !isa.multiplies_bf16() {
        tracing::warn!(
            isa = isa.name(),
            "weights in BF16 pairs (bf16-dot) are slower than BF16 here: no instruction multiplies them"
        );
    }
}

/// Everything that cached keys and values depend on, for those that are kept on disk.
fn identity(config: &EngineConfig, model: Arc<ModelFile>, isa: &str) -> Identity {
    let quant = config.quant.map_or("as stored", Quant::name);
    Identity { model, computed: format!("{} {quant} {isa}", config.kv_type.name()) }
}

/// A runner's configuration; the size of its cache is set later.
pub(super) fn runner_config(config: &EngineConfig, context_tokens: usize) -> RunnerConfig {
    RunnerConfig {
        kv_type: config.kv_type,
        block_count: 0,
        max_rows: config.step_tokens,
        max_sampled: config.max_sequences + config.guessed_rows(),
        context_tokens,
    }
}
