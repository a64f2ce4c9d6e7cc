//! The engine thread and the handle the outside talks to.
//!
//! Reading order:
//! - [`Engine`] below: opening, submitting, dropping.
//! - `config`: what an engine is opened with; `machine` and `memory`: what the machine can give it.
//! - `forecast`: what a model will need, before anything of it is loaded; `opening`: its words.
//! - `generation`: what is asked, what comes back.
//! - `thread`: the loop; `core`: what happens around each forward pass; `answer`: tokens of one
//!   sequence becoming text; `pace`: how much one step takes.
//! - `masks`: the thread that finds what forms of answers allow.
//! - `draft_model`: a small model that guesses what the large one will say.
//! - `drafts`: messages that are still being typed; `keeping`: what is kept on disk.
//! - `status`: what the outside may know without asking the thread.
//!
//! Limits: requests that wait ([`EngineConfig::queue_limit`]), sequences that run, rows of a step,
//! blocks of the cache, times; each documented at its field with what happens there.
//!
//! Absent on purpose: locks (but for the flag that ends a draft's step, and for what is to be
//! forgotten), async runtimes, anything about who asks.

mod answer;
mod config;
mod core;
mod draft_model;
mod drafts;
mod forecast;
mod generation;
mod keeping;
mod machine;
mod masks;
mod memory;
mod opening;
mod pace;
mod status;
mod thread;

#[cfg(all(test, loom))]
mod interleavings;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tests;

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use banter_kernels::{BlockType, Isa, Pool};

pub use config::{
    ChatTemplate, DEFAULT_CONTEXT_TOKENS, EngineConfig, EngineInfo, LoadProgress, OpenError,
};
pub use forecast::Forecast;
pub use generation::{
    Draft, Event, FinishReason, Finished, GenerateRequest, Generation, MAX_STOP_STRING_BYTES,
    MAX_STOP_STRINGS, Refusal, Submit, Timings, Usage,
};
pub use machine::{available_memory_bytes, cores};
pub use memory::MemoryError;
pub use status::{Counters, GAP_BOUNDS, Heartbeat, LONGEST_SILENCE};

use self::answer::NewAnswer;
use self::core::{Core, Masking, Patience};
use self::draft_model::DraftModel;
use self::drafts::{NewDraft, common_beginning};
use self::generation::{Delivery, GenerationFacts};
use self::machine::Machine;
use self::masks::MaskThread;
use self::memory::MemoryNeeds;
use self::opening::{opening, text_for_chat};
use self::status::{ERRANDS, QueueFull, Status};
use self::thread::{Arrival, Compute, Phase, StepLoop};
use crate::StopFlag;
use crate::kv_cache::BLOCK_TOKENS;
use crate::kv_cache::disk::{Disk, Identity};
use crate::model::{Model, Runner, RunnerConfig};
use crate::model_file::{ModelFile, ModelSource, Quant};
use crate::origin::{ConversationId, Origin, Tenant};
use crate::sampler::{SampleScratch, Sampler, TokenRows};
use crate::scheduler::SchedulerLimits;
use crate::structure::{Guide, StructureError, Structures};
use crate::text::{
    Message, Prompt, StopStrings, Text, TextDecoder, TextError, TokenId, VocabularyToken,
    typed_for_good,
};

/// A loaded model and the thread that computes with it.
///
/// Dropping it stops every answer, waits until their ends are told, and frees everything.
pub struct Engine {
    info: EngineInfo,
    text: Arc<Text>,
    /// What conversations of every tenant begin with.
    opening: Vec<TokenId>,
    /// Made when it is first asked for.
    structures: OnceLock<Result<Structures, StructureError>>,
    status: Arc<Status>,
    stop_all: StopFlag,
    inbox: Option<SyncSender<Arrival>>,
    thread: Option<JoinHandle<()>>,
}

/// What an engine has beside what computes.
struct Beside {
    text: Arc<Text>,
    /// As [`Engine::opening`].
    opening: Vec<TokenId>,
    disk: Option<Disk>,
}

/// A request that can run.
struct Prepared {
    facts: GenerationFacts,
    origin: Origin,
    shared_tokens: usize,
    prompt: Vec<TokenId>,
    sampler: Sampler,
    stop_strings: StopStrings,
    guide: Option<Guide>,
}

/// Of the room for a request, the part that history leaves free for the answer unless less was asked for: with
/// more, histories would lose turns for room that few answers use.
const ANSWER_PART: usize = 4;

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
        let trained_context = file.config().trained_context;
        let context_tokens = config.context_for(trained_context)?;
        let text = Arc::new(text_for_chat(&file, config.chat_template.as_ref())?);
        let opening = opening(&text, config.system_prompt.as_deref())?;
        if opening.len() > context_tokens / 2 {
            let limit = context_tokens / 2;
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
        let description = file.description();
        let threads = config.threads_for(machine.cores(), description.parameters);
        let pool = Pool::new(config.isa.unwrap_or_else(Isa::best), threads);
        let isa = pool.isa().name();
        if file.holds(BlockType::Bf16Dot) && !pool.isa().multiplies_bf16() {
            tracing::warn!(
                isa,
                "weights in BF16 pairs (bf16-dot) are slower than BF16 here: no instruction multiplies them"
            );
        }
        // Before the weights are loaded: the folder is likely to be open when they are.
        let disk = match config.kv_disk.clone() {
            Some(disk) => Some(Disk::start(disk, identity(&config, file.clone(), isa))?),
            None => None,
        };
        let model = Model::load(&file, &pool, &mut |fraction| progress(LoadProgress { fraction }))?;
        let runner = Runner::new(model, pool, runner_config)?;
        let draft_runner = match &draft_file {
            Some(file) => Some(load_draft_model(file, &config, &runner_config, &machine)?),
            None => None,
        };
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
            trained_context,
            sampling_defaults: file.sampling_defaults().clone(),
            isa,
            threads: threads.get(),
            places: config.max_sequences + config.queue_limit,
            opened_in: began.elapsed(),
        };
        let beside = Beside { text, opening, disk };
        Engine::start(&config, info, beside, runner, draft_runner).map_err(OpenError::Thread)
    }

    /// What is loaded.
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// The tokenizer and the chat template of the model.
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// Asks for an answer. Turns the conversation into tokens on the caller's thread, which takes
    /// a while for a very long one; never waits for the engine.
    pub fn submit(&self, request: GenerateRequest) -> Submit {
        let submitted_at = Instant::now();
        let prepared = match self.prepare(request) {
            Ok(prepared) => prepared,
            Err(refusal) => return Submit::Refused(refusal),
        };
        let Some(inbox) = &self.inbox else { return Submit::Refused(Refusal::Closed) };
        let place = match self.status.join_queue() {
            Ok(place) => place,
            Err(QueueFull { position, estimate_ms }) => {
                return Submit::QueueFull { position, estimate_ms };
            }
        };
        let (delivery, generation) = Delivery::new(prepared.facts, &self.stop_all);
        let new = NewAnswer {
            prompt: prepared.prompt,
            max_tokens: prepared.facts.max_tokens,
            origin: prepared.origin,
            shared_tokens: prepared.shared_tokens,
            sampler: prepared.sampler,
            decoder: TextDecoder::default(),
            stop_strings: prepared.stop_strings,
            guide: prepared.guide,
            delivery,
            place,
            submitted_at,
        };
        match self.status.hand_in(|| inbox.try_send(Arrival::Answer(Box::new(new)))) {
            Ok(()) => Submit::Accepted(generation),
            Err(TrySendError::Disconnected(_)) => Submit::Refused(Refusal::Closed),
            Err(TrySendError::Full(_)) => {
                unreachable!("the inbox has a place for everyone in the queue")
            }
        }
    }

    /// Computes what an answer will need while its question is still being typed, as far as nobody waits
    /// for anything else. Never waits.
    ///
    /// Errors: the conversation does not fit, or the template cannot be written out.
    pub fn draft(&self, draft: Draft) -> Result<(), Refusal> {
        let tokens = self.draft_tokens(&draft)?;
        let Some(inbox) = &self.inbox else { return Err(Refusal::Closed) };
        let Some(place) = self.status.join_errands() else { return Ok(()) };
        let shared_tokens = common_beginning(&self.opening, &tokens);
        let (origin, key) = (draft.origin(), draft.key);
        let new = NewDraft { origin, key, shared_tokens, tokens, place };
        inbox.try_send(Arrival::Draft(new)).map_err(|_| Refusal::Closed)
    }

    /// What a conversation begins with whose last message goes on in a way that is not known yet: what two
    /// of its continuations have in common.
    fn draft_tokens(&self, draft: &Draft) -> Result<Vec<TokenId>, Refusal> {
        let typed = draft.messages.last().map_or("", |message| typed_for_good(&message.content));
        let going_on = |more: &str| {
            let mut messages = draft.messages.clone();
            if let Some(last) = messages.last_mut() {
                last.content = [typed, more].concat();
            }
            self.fit_prompt(&messages, draft.max_tokens, Some(draft.origin()))
        };
        let (mut tokens, other) = (going_on(" a")?.ids, going_on(" 1")?.ids);
        tokens.truncate(common_beginning(&tokens, &other));
        Ok(tokens)
    }

    /// Forgets what was computed and remembered for a conversation, in memory and on disk: all that
    /// requests and drafts with its number have left, whatever history they had. What another
    /// conversation of the tenant begins with too stays with that one.
    ///
    /// Never waits. It is done before any later request is taken in, and what is on disk goes as
    /// soon as the folder is open. An answer of it that is being written goes on, and leaves
    /// nothing.
    ///
    /// Errors: the engine is closing.
    pub fn forget(&self, tenant: Tenant, conversation: ConversationId) -> Result<(), Refusal> {
        self.forget_within(Origin { tenant, conversation: Some(conversation) })
    }

    /// Forgets all conversations of a tenant, those without a number too; otherwise as
    /// [`Engine::forget`].
    ///
    /// Errors: the engine is closing.
    pub fn forget_tenant(&self, tenant: Tenant) -> Result<(), Refusal> {
        self.forget_within(tenant.into())
    }

    fn forget_within(&self, meant: Origin) -> Result<(), Refusal> {
        let Some(inbox) = &self.inbox else { return Err(Refusal::Closed) };
        self.status.add_forget(meant);
        // Without a place there is something in the inbox already, and the thread is about to look.
        let Some(place) = self.status.join_errands() else { return Ok(()) };
        inbox.try_send(Arrival::Forget(place)).map_err(|_| Refusal::Closed)
    }

    /// Whether the thread moves.
    pub fn heartbeat(&self) -> Heartbeat {
        let heartbeat = self.status.heartbeat(Instant::now());
        let has_ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        Heartbeat { is_alive: heartbeat.is_alive && !has_ended, ..heartbeat }
    }

    /// How many blocks are kept on disk; none where no folder is open, or not yet: then the log says
    /// when it is.
    pub fn kept_blocks(&self) -> Option<usize> {
        self.status.disk_blocks()
    }

    /// How busy the engine is.
    pub fn counters(&self) -> Counters {
        self.status.counters()
    }

    fn start<C: Compute + Send + 'static>(
        config: &EngineConfig,
        info: EngineInfo,
        beside: Beside,
        compute: C,
        draft_model: Option<C>,
    ) -> std::io::Result<Engine> {
        let limits = SchedulerLimits {
            total_blocks: info.cache_tokens / BLOCK_TOKENS,
            max_sequences: config.max_sequences,
            step_tokens: config.step_tokens,
            guessed_rows: config.guessed_rows(),
        };
        let status = Arc::new(Status::new(config.queue_limit, limits.total_blocks, Instant::now()));
        let patience = Patience {
            queue: config.queue_timeout,
            step: config.step_timeout,
            gap: config.max_gap,
        };
        let Beside { text, opening, disk } = beside;
        let rows = TokenRows::new(text.token_count(), |id| text.has_token(id));
        let (sender, inbox) = sync_channel(config.queue_limit + ERRANDS);
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
            draft_model: draft_model.map(DraftModel::new),
            masks: MaskThread::start(Masking::run)?,
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

    /// Everything that can be done for a request before the thread sees it.
    fn prepare(&self, request: GenerateRequest) -> Result<Prepared, Refusal> {
        request.check_lengths()?;
        let origin = request.origin();
        let sampling = request.sampling.checked()?;
        let guide = match &request.structure {
            Some(structure) => Some(self.structures()?.guide(structure)?),
            None => None,
        };
        let prompt = self.fit_prompt(&request.messages, request.max_tokens, Some(origin))?;
        let prompt_tokens = prompt.ids.len();
        let facts = GenerationFacts {
            dropped_messages: prompt.dropped_messages,
            prompt_tokens,
            max_tokens: request
                .max_tokens
                .unwrap_or(usize::MAX)
                .min(self.info.room_tokens() - prompt_tokens),
            seed: sampling.seed(),
        };
        let sampler = Sampler::new(sampling, &prompt.ids);
        let stop_strings = StopStrings::new(request.stop_strings);
        let prompt = prompt.ids;
        let shared_tokens = common_beginning(&self.opening, &prompt);
        Ok(Prepared { facts, origin, shared_tokens, prompt, sampler, stop_strings, guide })
    }

    fn structures(&self) -> Result<&Structures, StructureError> {
        self.structures
            .get_or_init(|| Structures::new(self.text.clone()))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The prompt of a conversation: its newest part that leaves room for an answer of `max_tokens`,
    /// or of a quarter of [`EngineInfo::room_tokens`] if that is less. A message that leaves less
    /// room than that is still answered.
    ///
    /// It depends on the messages alone, so it tells nobody what others were answered. A request
    /// may have a few tokens more or less: an answer that was given in its conversation keeps its
    /// own.
    ///
    /// Errors: the newest message alone does not fit, or the template cannot be written out.
    pub fn fit(&self, messages: &[Message], max_tokens: Option<usize>) -> Result<Prompt, Refusal> {
        self.fit_prompt(messages, max_tokens, None)
    }

    fn fit_prompt(
        &self,
        messages: &[Message],
        max_tokens: Option<usize>,
        origin: Option<Origin>,
    ) -> Result<Prompt, Refusal> {
        let room = self.info.room_tokens();
        let usual = room / ANSWER_PART;
        let reserve = max_tokens.unwrap_or(usual).min(usual);
        let fit = |reserve| match origin {
            Some(origin) => self.text.fit_for(origin, messages, room, reserve),
            None => self.text.fit(messages, room, reserve),
        };
        let fitted = match fit(reserve) {
            Err(TextError::TooLong { tokens, .. }) if tokens < room => fit(room - tokens),
            fitted => fitted,
        };
        match fitted {
            Ok(prompt) if prompt.ids.is_empty() => {
                Err(Refusal::Template("expected at least one token, found none".to_owned()))
            }
            Ok(prompt) => Ok(prompt),
            Err(TextError::TooLong { tokens, .. }) => {
                Err(Refusal::TooLong { tokens, limit: room - 1 })
            }
            Err(TextError::Refused(words)) => Err(Refusal::Conversation(words)),
            Err(error) => Err(Refusal::Template(error.to_string())),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop_all.raise();
        self.inbox = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the engine's thread had panicked");
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("info", &self.info).finish_non_exhaustive()
    }
}

/// Opens a draft model for a model.
///
/// Errors: it cannot be opened, has other tokens, or was trained on shorter contexts.
fn open_draft_model(
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
) -> Result<Runner, OpenError> {
    let threads = config.threads_for(machine.cores(), file.description().parameters);
    let pool = Pool::new(config.isa.unwrap_or_else(Isa::best), threads);
    let model = Model::load(file, &pool, &mut |_| ())?;
    Ok(Runner::new(model, pool, RunnerConfig { max_sampled: config.max_sequences, ..*runner })?)
}

/// What cached keys and values depend on, for those that are kept on disk.
fn identity(config: &EngineConfig, model: Arc<ModelFile>, isa: &str) -> Identity {
    let quant = config.quant.map_or("as stored", Quant::name);
    Identity { model, computed: format!("{} {quant} {isa}", config.kv_type.name()) }
}

/// A runner's configuration, but for the size of its cache.
fn runner_config(config: &EngineConfig, context_tokens: usize) -> RunnerConfig {
    RunnerConfig {
        kv_type: config.kv_type,
        block_count: 0,
        max_rows: config.step_tokens,
        max_sampled: config.max_sequences + config.guessed_rows(),
        context_tokens,
    }
}
