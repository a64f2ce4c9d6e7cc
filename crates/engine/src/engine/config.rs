//! What an engine is opened with, and what an open engine says about itself.

use std::num::NonZeroUsize;
use std::time::Duration;

use banter_kernels::{Isa, KvType};

use super::memory::MemoryError;
use crate::kv_cache::DiskConfig;
use crate::model::ModelError;
use crate::model_file::{MIN_CONTEXT_TOKENS, ModelFileError, ModelSource, Quant, SamplingDefaults};
use crate::scheduler::ROWS_FOR_PROMPTS;
use crate::speculation::MAX_GUESSES;

/// What an engine is opened with; start from [`EngineConfig::new`].
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Where the model is read from.
    pub source: ModelSource,
    /// Tokens of prompt and answer together. A longer history loses its oldest turns, a longer
    /// message is refused. Without it the model's, at most [`DEFAULT_CONTEXT_TOKENS`].
    pub context_tokens: Option<usize>,
    /// The system message that conversations of every tenant begin with. It is computed once for
    /// all. Without it, the one that the template writes by itself.
    pub system_prompt: Option<String>,
    /// Makes prompts instead of the model's own chat template.
    pub chat_template: Option<ChatTemplate>,
    /// Converts matrices to other types as they are loaded. Without it they stay as they are
    /// stored.
    pub quant: Option<Quant>,
    /// The type of cached keys and values.
    pub kv_type: KvType,
    /// Memory of the cache. At the limit later requests wait. Without it a quarter of the memory
    /// that is available at start, at least one whole context.
    pub kv_memory_bytes: Option<u64>,
    /// Where conversations are kept on disk, so that they go on quickly after a restart. Without
    /// it, nowhere.
    pub kv_disk: Option<DiskConfig>,
    /// Threads that compute. Without it, as cores and model size suggest.
    pub threads: Option<NonZeroUsize>,
    /// The instruction set. Without it, the best one of this machine.
    pub isa: Option<Isa>,
    /// Requests that wait, one that has just arrived included. At the limit another is answered
    /// with [`Submit::QueueFull`](super::Submit::QueueFull).
    pub queue_limit: usize,
    /// Sequences that run at once. At the limit later ones wait.
    pub max_sequences: usize,
    /// Rows of one step. At the limit prompts go on in the next step.
    pub step_tokens: usize,
    /// A smaller model of the same tokens that guesses what this one will say.
    pub draft_model: Option<ModelSource>,
    /// Whether guesses of the next tokens are tried. They change how fast answers come, never what
    /// they say.
    pub speculation: bool,
    /// How long a request waits. At the limit it ends with
    /// [`FinishReason::QueueTimeout`](super::FinishReason::QueueTimeout).
    pub queue_timeout: Duration,
    /// How long a preempted answer waits until it is computed again. At the limit it ends with
    /// [`FinishReason::StepTimeout`](super::FinishReason::StepTimeout).
    pub step_timeout: Duration,
    /// How long an answer may stand still because of others' prompts. A step has as many rows of
    /// prompts as fit into this and into 0.8 of the time that the answers take alone, and at least
    /// [`MIN_PROMPT_ROWS`](crate::scheduler::MIN_PROMPT_ROWS).
    pub max_gap: Duration,
}

/// A chat template that is not from the model's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatTemplate {
    /// Where it is from; errors name it so.
    pub name: String,
    /// The program, in Jinja.
    pub source: String,
}

/// The longest context unless a longer one is asked for: enough for a conversation, with a cache
/// that fits into a usual machine together with the weights.
pub const DEFAULT_CONTEXT_TOKENS: usize = 8_192;

/// Rows of guesses in a step: enough for two answers with all guesses they may have. Their logits
/// take 20 MB with Qwen2.5's vocabulary.
const GUESSED_ROWS: usize = 2 * (MAX_GUESSES + 1);

/// A further thread is worth its coordination only if it has this many parameters to work on.
const PARAMETERS_PER_THREAD: u64 = 10_000_000;

impl EngineConfig {
    /// The defaults for a model.
    pub fn new(source: ModelSource) -> EngineConfig {
        EngineConfig {
            source,
            context_tokens: None,
            system_prompt: None,
            chat_template: None,
            quant: None,
            kv_type: KvType::F16,
            kv_memory_bytes: None,
            kv_disk: None,
            threads: None,
            isa: None,
            queue_limit: 64,
            max_sequences: 16,
            step_tokens: 512,
            draft_model: None,
            speculation: true,
            queue_timeout: Duration::from_secs(120),
            step_timeout: Duration::from_secs(60),
            max_gap: Duration::from_millis(200),
        }
    }

    /// Rows of a step that compute guesses.
    pub(super) fn guessed_rows(&self) -> usize {
        if self.speculation { GUESSED_ROWS } else { 0 }
    }

    /// Checks the limits that do not depend on the model.
    pub(super) fn check(&self) -> Result<(), OpenError> {
        let least_step_tokens = self.max_sequences.saturating_add(ROWS_FOR_PROMPTS);
        at_least("queue_limit", self.queue_limit, 1)?;
        at_least("max_sequences", self.max_sequences, 1)?;
        at_least("step_tokens", self.step_tokens, least_step_tokens)
    }

    /// The context for a model trained on `trained_context` tokens.
    ///
    /// Errors: it was asked to be too short, or longer than the training.
    pub(super) fn context_for(&self, trained_context: usize) -> Result<usize, OpenError> {
        let Some(asked) = self.context_tokens else {
            return Ok(trained_context.min(DEFAULT_CONTEXT_TOKENS));
        };
        at_least("context_tokens", asked, MIN_CONTEXT_TOKENS)?;
        if asked > trained_context {
            return Err(OpenError::ContextTooLong { trained_context, asked });
        }
        Ok(asked)
    }

    /// Threads for a model of this size on this many cores.
    pub(super) fn threads_for(&self, cores: NonZeroUsize, parameters: u64) -> NonZeroUsize {
        let useful = usize::try_from(parameters / PARAMETERS_PER_THREAD).unwrap_or(usize::MAX);
        let useful = NonZeroUsize::MIN.saturating_add(useful);
        self.threads.unwrap_or(cores.min(useful))
    }
}

fn at_least(option: &'static str, found: usize, least: usize) -> Result<(), OpenError> {
    if found >= least {
        return Ok(());
    }
    Err(OpenError::TooSmall { option, least, found })
}

/// Why an engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// An option is below its limit.
    #[error("{option}: expected at least {least}, found {found}")]
    TooSmall {
        /// The option.
        option: &'static str,
        /// Its smallest value.
        least: usize,
        /// What was asked for.
        found: usize,
    },
    /// The context is longer than the model was trained for.
    #[error("context: expected at most the {trained_context} tokens of training, found {asked}")]
    ContextTooLong {
        /// Tokens the model was trained for.
        trained_context: usize,
        /// Tokens that were asked for.
        asked: usize,
    },
    /// The draft model has other tokens.
    #[error("draft model: expected the tokens of the model, found another at id {id}")]
    DraftTokens {
        /// The first token that differs.
        id: usize,
    },
    /// The draft model was trained on shorter contexts.
    #[error(
        "draft model: expected one trained on {context_tokens} tokens, found {trained_context}"
    )]
    DraftContext {
        /// Tokens it was trained on.
        trained_context: usize,
        /// Tokens of the context.
        context_tokens: usize,
    },
    /// The system message leaves less than half of the context to the conversation.
    #[error("system prompt: expected at most {limit} tokens, found {tokens}")]
    SystemPromptTooLong {
        /// Its tokens.
        tokens: usize,
        /// Half of the context.
        limit: usize,
    },
    /// The chat template takes no system message, but one was given.
    #[error("system prompt: the chat template takes no system message: {words}")]
    SystemPromptRefused {
        /// The template's own words.
        words: String,
    },
    /// The chat template cannot be used.
    #[error(transparent)]
    ChatTemplate(ModelFileError),
    /// The model file is wrong.
    #[error(transparent)]
    ModelFile(#[from] ModelFileError),
    /// There is too little memory; found before anything was loaded.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The weights could not be loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The engine's thread could not be started.
    #[error("engine thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// How far loading is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadProgress {
    /// The part that is loaded, from 0 to 1.
    pub fraction: f32,
}

/// What an open engine is.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineInfo {
    /// Name of the model.
    pub name: String,
    /// Its licence, as the file spells it.
    pub licence: Option<String>,
    /// A sentence about it.
    pub description: Option<String>,
    /// How many parameters it has.
    pub parameters: u64,
    /// Types of its weight matrices.
    pub weight_types: String,
    /// Memory of the weights.
    pub weight_bytes: u64,
    /// Memory of the cache.
    pub cache_bytes: u64,
    /// Tokens the cache holds.
    pub cache_tokens: usize,
    /// Tokens of prompt and answer together.
    pub context_tokens: usize,
    /// Tokens the model was trained for.
    pub trained_context: usize,
    /// Sampling parameters its makers recommend.
    pub sampling_defaults: SamplingDefaults,
    /// The instruction set in use.
    pub isa: &'static str,
    /// Threads that compute.
    pub threads: usize,
    /// Requests that it takes at once: running and waiting ones.
    pub places: usize,
    /// How long opening took.
    pub opened_in: Duration,
}

impl EngineInfo {
    /// Tokens that prompt and answer of one request may have together: the smaller of context and
    /// cache.
    pub fn room_tokens(&self) -> usize {
        self.context_tokens.min(self.cache_tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> EngineConfig {
        EngineConfig::new(ModelSource::Embedded { name: "none", bytes: &[] })
    }

    #[test]
    fn the_context_is_the_models_within_limits() {
        struct Case {
            asked: Option<usize>,
            trained: usize,
            expected: Result<usize, &'static str>,
        }
        let cases = [
            Case { asked: None, trained: 32_768, expected: Ok(8_192) },
            Case { asked: None, trained: 2_048, expected: Ok(2_048) },
            Case { asked: Some(32_768), trained: 32_768, expected: Ok(32_768) },
            Case {
                asked: Some(32_769),
                trained: 32_768,
                expected: Err(
                    "context: expected at most the 32768 tokens of training, found 32769",
                ),
            },
            Case {
                asked: Some(0),
                trained: 32_768,
                expected: Err("context_tokens: expected at least 32, found 0"),
            },
        ];
        for case in &cases {
            let config = EngineConfig { context_tokens: case.asked, ..config() };
            let found = config.context_for(case.trained).map_err(|error| error.to_string());
            assert_eq!(found, case.expected.map_err(str::to_owned), "{:?}", case.asked);
        }
    }

    #[test]
    fn small_models_use_few_threads_unless_told_otherwise() {
        let cores = NonZeroUsize::new(8).expect("eight is not zero");
        let threads = |parameters| config().threads_for(cores, parameters).get();
        assert_eq!([threads(1_000_000), threads(12_000_000), threads(494_000_000)], [1, 2, 8]);
        let told = EngineConfig { threads: Some(cores), ..config() };
        assert_eq!(told.threads_for(NonZeroUsize::MIN, 0), cores);
    }

    #[test]
    fn limits_that_leave_no_room_are_refused_by_name() {
        struct Case {
            config: EngineConfig,
            message: &'static str,
        }
        let cases = [
            Case {
                config: EngineConfig { queue_limit: 0, ..config() },
                message: "queue_limit: expected at least 1, found 0",
            },
            Case {
                config: EngineConfig { max_sequences: 0, ..config() },
                message: "max_sequences: expected at least 1, found 0",
            },
            Case {
                config: EngineConfig { max_sequences: 100, step_tokens: 100, ..config() },
                message: "step_tokens: expected at least 116, found 100",
            },
        ];
        for case in &cases {
            let error = case.config.check().expect_err(case.message);
            assert_eq!(error.to_string(), case.message);
        }
        assert!(config().check().is_ok());
    }
}
