//! The engine's thread, and the handle by which the outside talks to it.
//!
//! ```text
//!  Engine (handle) ──inbox──► thread: StepLoop ──► Core ──► scheduler, cache, samplers
//!        ▲                                │
//!        └──── events of each Generation ─┘
//! ```
//!
//! Reading order:
//! - [`Engine`] below: the handle; `open`: loading a model and starting the thread; `opening`: its
//!   chat template, and the tokens that all conversations begin with.
//! - `config`: what an engine is opened with. `machine`, `memory`, `forecast`: what the machine
//!   has, and what a model needs.
//! - `request`: what is asked for. `generation`: what comes back.
//! - `inbox`: how requests reach the thread.
//! - `thread`: the loop. `core`: what happens around each forward pass.
//! - `answer`: a sequence's tokens becoming text. `continuation`: an answer that goes on.
//! - `embedding`: a text becoming a vector.
//! - `pace`: how much one step takes.
//! - `masks`: the thread that finds the tokens a structured answer may go on with.
//! - `draft_model`: a smaller model that guesses. `drafts`: messages that are still being typed.
//! - `status`: what the outside may know without asking the thread.
//!
//! Limits: waiting requests ([`EngineConfig::queue_limit`]), running sequences, rows of a step,
//! blocks of the cache, times. Each is documented at its field with what happens there.
//!
//! Absent on purpose: async runtimes, and anything about who asks. Locks are absent inside the
//! thread; it shares with the outside the flag that ends a draft's step and the set of what is to
//! be forgotten, and with the disk's thread the commands to it.

mod answer;
mod config;
mod continuation;
mod core;
mod draft_model;
mod drafts;
mod embedding;
mod forecast;
mod generation;
mod inbox;
mod machine;
mod masks;
mod memory;
mod open;
mod opening;
mod pace;
mod request;
mod status;
mod thread;

#[cfg(all(test, loom))]
mod interleavings;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tests;

use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

pub use config::{
    ChatTemplate, DEFAULT_CONTEXT_TOKENS, EngineConfig, EngineInfo, LoadProgress, OpenError,
};
pub use continuation::{Continuation, ContinuationError};
pub use embedding::{
    EMBEDDING_PLACES, EmbedError, EmbedRequest, EmbedSource, Embedded, EmbeddingJob, Pooling,
};
pub use forecast::Forecast;
pub use generation::{Event, FinishReason, Finished, Generation, Timings, Usage};
pub use machine::{available_memory_bytes, cores};
pub use memory::MemoryError;
pub use request::{
    Draft, GenerateRequest, MAX_STOP_STRING_BYTES, MAX_STOP_STRINGS, PromptSource, Refusal, Submit,
};
pub use status::{Counters, Heartbeat, LONGEST_SILENCE};

use self::answer::NewAnswer;
use self::continuation::AnswerSoFar;
use self::drafts::{NewDraft, common_beginning};
use self::generation::{Delivery, GenerationFacts};
use self::inbox::QueueFull;
use self::status::Status;
use self::thread::Arrival;
use crate::StopFlag;
use crate::origin::{ConversationId, Origin, Tenant};
use crate::sampler::{ParameterError, Sampler};
use crate::structure::{Guide, StructureError, Structures};
use crate::text::{
    Conversation, Message, Prompt, StopStrings, TemplateExtras, Text, TextError, TokenId,
    typed_for_good,
};

/// A loaded model and the thread that computes with it.
///
/// Dropping it stops every answer, waits until their ends are told, and frees everything.
pub struct Engine {
    info: EngineInfo,
    text: Arc<Text>,
    /// The tokens that all conversations with the operator's system message begin with.
    opening: Vec<TokenId>,
    /// Made when a structured answer is first asked for.
    structures: OnceLock<Result<Structures, StructureError>>,
    status: Arc<Status>,
    stop_all: StopFlag,
    inbox: Option<SyncSender<Arrival>>,
    thread: Option<JoinHandle<()>>,
}

/// A request that can run.
struct Prepared {
    facts: GenerationFacts,
    origin: Origin,
    shared_tokens: usize,
    prompt: Vec<TokenId>,
    so_far: AnswerSoFar,
    sampler: Sampler,
    guide: Option<Guide>,
    logprobs: Option<usize>,
}

/// The room that an answer asks for, in tokens.
#[derive(Clone, Copy, Default)]
struct AnswerRoom {
    /// What it has already.
    so_far: usize,
    /// What may be added.
    max_tokens: Option<usize>,
}

/// History may fill all but a quarter of the room. The rest is reserved for the answer, or less if
/// `max_tokens` is smaller. Few answers use more, and a larger reserve would drop more turns.
const ANSWER_PART: usize = 4;

impl Engine {
    /// What is loaded.
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// The tokenizer and the chat template of the model.
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// Asks for an answer. Turns the conversation into tokens on the caller's thread, which takes a
    /// while for a very long one. Never waits for the engine.
    pub fn submit(&self, request: GenerateRequest) -> Submit {
        let submitted_at = Instant::now();
        let prepared = match self.prepare(request) {
            Ok(prepared) => prepared,
            Err(refusal) => return Submit::Refused(refusal),
        };
        let Some(inbox) = &self.inbox else { return Submit::Refused(Refusal::Closed) };
        let permit = match self.status.inbox().join_queue() {
            Ok(permit) => permit,
            Err(QueueFull { position, estimate_ms }) => {
                return Submit::QueueFull { position, estimate_ms };
            }
        };
        let (delivery, generation) = Delivery::new(prepared.facts, &self.stop_all);
        let new = NewAnswer {
            prompt: prepared.prompt,
            so_far: prepared.so_far,
            max_tokens: prepared.facts.max_tokens,
            origin: prepared.origin,
            shared_tokens: prepared.shared_tokens,
            sampler: prepared.sampler,
            guide: prepared.guide,
            logprobs: prepared.logprobs,
            delivery,
            permit,
            submitted_at,
        };
        match self.status.inbox().send_request(|| inbox.try_send(Arrival::Answer(Box::new(new)))) {
            Ok(()) => Submit::Accepted(generation),
            Err(TrySendError::Disconnected(_)) => Submit::Refused(Refusal::Closed),
            Err(TrySendError::Full(_)) => {
                unreachable!("the inbox has room for every permit of the queue")
            }
        }
    }

    /// Computes what an answer will need while its question is still being typed, whenever nobody
    /// waits for an answer. Never waits.
    ///
    /// Errors: the conversation does not fit, or the template cannot be written out.
    pub fn draft(&self, draft: Draft) -> Result<(), Refusal> {
        let tokens = self.draft_tokens(&draft)?;
        let Some(inbox) = &self.inbox else { return Err(Refusal::Closed) };
        // A newer draft comes with the next keystroke.
        let Some(permit) = self.status.inbox().side_message() else { return Ok(()) };
        let shared_tokens = common_beginning(&self.opening, &tokens);
        let (origin, key) = (draft.origin(), draft.key);
        let new = NewDraft { origin, key, shared_tokens, tokens, permit };
        inbox.try_send(Arrival::Draft(new)).map_err(|_| Refusal::Closed)
    }

    /// The first tokens of a conversation whose last message is not finished: those that two
    /// different ways to go on have in common.
    fn draft_tokens(&self, draft: &Draft) -> Result<Vec<TokenId>, Refusal> {
        let typed = draft.messages.last().map_or("", |message| typed_for_good(&message.content));
        let continued = |more: &str| {
            let mut messages = draft.messages.clone();
            if let Some(last) = messages.last_mut() {
                last.content = [typed, more].concat();
            }
            let room = AnswerRoom { so_far: 0, max_tokens: draft.max_tokens };
            let (extras, origin) = (&TemplateExtras::default(), Some(draft.origin()));
            self.fit_prompt(&Conversation { messages: &messages, extras, origin }, room)
        };
        let (mut tokens, other) = (continued(" a")?.ids, continued(" 1")?.ids);
        tokens.truncate(common_beginning(&tokens, &other));
        Ok(tokens)
    }

    /// Forgets a conversation, in memory and on disk: everything that was computed and remembered
    /// for requests and drafts with its number, whatever history they had. If another conversation
    /// of the tenant begins with the same tokens, those stay with that one.
    ///
    /// Never waits. It is done before any later request is taken in, on disk as soon as the folder
    /// is open. An answer of the conversation that is being written goes on, and leaves nothing.
    ///
    /// Errors: the engine is closing.
    pub fn forget(&self, tenant: Tenant, conversation: ConversationId) -> Result<(), Refusal> {
        self.forget_within(Origin { tenant, conversation: Some(conversation) })
    }

    /// Forgets all conversations of a tenant, even those without a number; otherwise as
    /// [`Engine::forget`].
    ///
    /// Errors: the engine is closing.
    pub fn forget_tenant(&self, tenant: Tenant) -> Result<(), Refusal> {
        self.forget_within(tenant.into())
    }

    fn forget_within(&self, meant: Origin) -> Result<(), Refusal> {
        let Some(inbox) = &self.inbox else { return Err(Refusal::Closed) };
        self.status.inbox().add_forget(meant);
        // If no slot is free the inbox is not empty, and the thread is about to look into it.
        let Some(permit) = self.status.inbox().side_message() else { return Ok(()) };
        inbox.try_send(Arrival::Forget(permit)).map_err(|_| Refusal::Closed)
    }

    /// Whether the thread moves.
    pub fn heartbeat(&self) -> Heartbeat {
        let heartbeat = self.status.heartbeat(Instant::now());
        let has_ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        Heartbeat { is_alive: heartbeat.is_alive && !has_ended, ..heartbeat }
    }

    /// How many blocks are kept on disk; none if no folder is open. If one is opened later, the log
    /// says so.
    pub fn kept_blocks(&self) -> Option<usize> {
        self.status.disk_blocks()
    }

    /// How busy the engine is.
    pub fn counters(&self) -> Counters {
        self.status.counters()
    }

    /// Does everything for a request that can be done before the thread sees it.
    fn prepare(&self, request: GenerateRequest) -> Result<Prepared, Refusal> {
        request.check_lengths()?;
        let origin = request.origin();
        let biased = request.sampling.logit_bias.iter().map(|(token, _)| *token);
        self.check_tokens("logit_bias", biased)?;
        let sampling = request.sampling.checked()?;
        let mut guide = match &request.structure {
            Some(structure) => Some(self.structures()?.guide(structure)?),
            None => None,
        };
        let stop_strings = StopStrings::new(request.stop_strings);
        let so_far = match request.continues {
            Some(continuation) => AnswerSoFar::resume(continuation, &self.text, stop_strings)?,
            None => AnswerSoFar::begin(stop_strings),
        };
        let room = AnswerRoom { so_far: so_far.tokens.len(), max_tokens: request.max_tokens };
        let prompt = self.prompt_of(&request.prompt, room, origin)?;
        let prompt_tokens = prompt.ids.len() + so_far.tokens.len();
        let facts = GenerationFacts {
            dropped_messages: prompt.dropped_messages,
            prompt_tokens,
            max_tokens: request
                .max_tokens
                .unwrap_or(usize::MAX)
                .min(self.info.room_tokens() - prompt_tokens),
            seed: sampling.seed(),
        };
        let mut sampler = Sampler::new(sampling, &prompt.ids);
        so_far.replay(&mut sampler, guide.as_mut())?;
        let prompt = prompt.ids;
        let shared_tokens = common_beginning(&self.opening, &prompt);
        let logprobs = request.logprobs;
        Ok(Prepared { facts, origin, shared_tokens, prompt, so_far, sampler, guide, logprobs })
    }

    /// Errors: an id in `field` has no token.
    fn check_tokens(
        &self,
        field: &'static str,
        mut ids: impl Iterator<Item = TokenId>,
    ) -> Result<(), ParameterError> {
        let Some(wrong) = ids.find(|id| !self.text.has_token(*id)) else { return Ok(()) };
        let range = format!("ids of tokens of {}", self.info.name);
        Err(ParameterError { field, range, value: wrong.0.to_string() })
    }

    fn prompt_of(
        &self,
        source: &PromptSource,
        answer: AnswerRoom,
        origin: Origin,
    ) -> Result<Prompt, Refusal> {
        let ids = match source {
            PromptSource::Messages { messages, extras, is_whole } => {
                let conversation = Conversation { messages, extras, origin: Some(origin) };
                return match is_whole {
                    true => self.whole_prompt(&conversation, answer),
                    false => self.fit_prompt(&conversation, answer),
                };
            }
            PromptSource::Text(text) => self.text.encode_raw(text),
            PromptSource::Tokens(tokens) => {
                self.check_tokens("prompt", tokens.iter().copied())?;
                tokens.clone()
            }
        };
        if ids.is_empty() {
            let (range, value) = ("at least one token".to_owned(), "none".to_owned());
            return Err(ParameterError { field: "prompt", range, value }.into());
        }
        let room = self.info.room_tokens();
        if ids.len() + answer.so_far + 1 > room {
            return Err(answer.refusal(ids.len(), room - 1));
        }
        Ok(Prompt { ids, dropped_messages: 0 })
    }

    fn structures(&self) -> Result<&Structures, StructureError> {
        self.structures
            .get_or_init(|| Structures::new(self.text.clone()))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The prompt of a conversation: its newest turns that leave room for an answer of
    /// `max_tokens`, or of a quarter of [`EngineInfo::room_tokens`] if that is less. If the newest
    /// message alone leaves less room than that, it is still answered.
    ///
    /// The prompt depends on the messages alone, so it tells nobody what others were answered. A
    /// request may have a few tokens more or less, because an answer that was given in its own
    /// conversation keeps the tokens that made it.
    ///
    /// Errors: the newest message alone does not fit, or the template cannot be written out.
    pub fn fit(
        &self,
        messages: &[Message],
        extras: &TemplateExtras,
        max_tokens: Option<usize>,
    ) -> Result<Prompt, Refusal> {
        let conversation = Conversation { messages, extras, origin: None };
        self.fit_prompt(&conversation, AnswerRoom { so_far: 0, max_tokens })
    }

    /// The tokens of a whole conversation up to where the answer begins, however many they are.
    ///
    /// Errors: the template cannot write it.
    pub fn conversation_tokens(
        &self,
        messages: &[Message],
        extras: &TemplateExtras,
    ) -> Result<Vec<TokenId>, Refusal> {
        let conversation = Conversation { messages, extras, origin: None };
        Ok(self.text.fit_conversation(&conversation, usize::MAX, 0)?.ids)
    }

    fn fit_prompt(
        &self,
        conversation: &Conversation<'_>,
        answer: AnswerRoom,
    ) -> Result<Prompt, Refusal> {
        let room = self.info.room_tokens();
        let least = answer.so_far + 1;
        let fit = |reserve| self.text.fit_conversation(conversation, room, reserve);
        let fit_newest = |reserve| match fit(reserve) {
            Err(TextError::TooLong { tokens, .. }) if tokens + least <= room => fit(room - tokens),
            fitted => fitted,
        };
        let as_at_first = fit_newest(answer.first_reserve(room));
        let fitted = match as_at_first {
            Ok(prompt) if prompt.ids.len() + least > room => fit_newest(answer.more_reserve(room)),
            fitted => fitted,
        };
        match fitted {
            Ok(prompt) if prompt.ids.is_empty() => Err(no_tokens()),
            Ok(prompt) => Ok(prompt),
            Err(TextError::TooLong { tokens, .. }) => Err(answer.refusal(tokens, room - 1)),
            Err(error) => Err(error.into()),
        }
    }

    /// The prompt of a conversation of which nothing may be left out.
    fn whole_prompt(
        &self,
        conversation: &Conversation<'_>,
        answer: AnswerRoom,
    ) -> Result<Prompt, Refusal> {
        let room = self.info.room_tokens();
        let prompt = self.text.fit_conversation(conversation, usize::MAX, 0)?;
        match prompt.ids.len() {
            0 => Err(no_tokens()),
            tokens if tokens + answer.so_far < room => Ok(prompt),
            tokens => Err(answer.refusal(tokens, room - 1)),
        }
    }
}

fn no_tokens() -> Refusal {
    Refusal::Template("expected at least one token, found none".to_owned())
}

impl AnswerRoom {
    /// What a history leaves free for the whole answer when it begins. An answer that goes on with
    /// what remains of its `max_tokens` gets the same.
    fn first_reserve(self, room: usize) -> usize {
        let usual = room / ANSWER_PART;
        self.max_tokens.map_or(usual, |more| more.saturating_add(self.so_far)).min(usual)
    }

    /// What a history leaves free for an answer that has used all of the above and goes on.
    fn more_reserve(self, room: usize) -> usize {
        let usual = room / ANSWER_PART;
        self.max_tokens.unwrap_or(usual).min(usual).saturating_add(self.so_far)
    }

    /// Why there is none beside a prompt of `tokens`, if `limit` would leave room for one more.
    fn refusal(self, tokens: usize, limit: usize) -> Refusal {
        match self.so_far {
            0 => Refusal::TooLong { tokens, limit },
            so_far => ContinuationError::NoRoom { tokens: tokens + so_far, limit }.into(),
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
