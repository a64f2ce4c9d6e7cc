//! Our engine, in this process.

use super::metrics;
use super::on_the_way::{OnTheWay, Origin, Way};
use super::places::Places;
use super::waiting_drafts::{WaitingDrafts, origin_of};
use crate::shares::{self, PermitsPerShare};
use banter_engine::ConversationId;
use banter_engine::engine::{self, Engine, Refusal, Submit};
use banter_engine::kv_cache;
use banter_engine::model_file::SamplingDefaults;
use banter_engine::sampler::SamplingParams;
use banter_engine::text;
use banter_protocol::plain::{DEFAULT_MAX_TOKENS, PARAMETERS};
use banter_seam::{
    Backend, BackendInfo, Continuation, ConversationNumber, Defaults, DraftRequest, EndReason,
    Event, Failure, FinishReason, Finished, Fit, GenerateRequest, Generation, Health, Message,
    Metric, Parameters, Role, Tenant, Timings, Usage,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::future::ready;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice::from_ref;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, error};

/// Messages that are turned into tokens at the same time; more wait. A megabyte keeps a core busy
/// for a while, and the engine needs the cores too.
const ENCODING_THREADS: usize = 2;
/// Texts whose tokens are counted at the same time; more wait. They have permits of their own,
/// because counting is less urgent than the first word of an answer.
const COUNTING_THREADS: usize = 1;

/// The backend of our engine. Dropping it ends the engine.
pub struct EngineBackend {
    engine: SharedEngine,
    info: BackendInfo,
    sampling: SamplingParams,
    places: Places,
    encoding: Arc<Semaphore>,
    /// Permits to wait for one of these.
    encoding_per_share: Arc<PermitsPerShare>,
    counting: Arc<Semaphore>,
    drafts: Arc<WaitingDrafts>,
    on_the_way: Arc<OnTheWay>,
    ended: CancellationToken,
}

impl EngineBackend {
    /// A backend for this engine. `is_demo` says that its model is the one that comes with the
    /// binary.
    pub fn new(engine: Engine, is_demo: bool) -> EngineBackend {
        let loaded = engine.info();
        let sampling = defaults_of(&loaded.sampling_defaults);
        let info = BackendInfo {
            name: loaded.name.clone(),
            is_demo,
            licence: loaded.licence.clone(),
            parameters: Some(loaded.parameters),
            weights_bytes: Some(loaded.weight_bytes),
            context_tokens: Some(loaded.room_tokens()),
            defaults: Defaults {
                max_tokens: DEFAULT_MAX_TOKENS,
                temperature: Some(sampling.temperature),
                top_p: Some(sampling.top_p),
                repetition_penalty: Some(sampling.repetition_penalty),
            },
            engine: None,
            known_parameters: PARAMETERS.to_vec(),
        };
        let ended = CancellationToken::new();
        EngineBackend {
            info,
            sampling,
            places: Places::new(loaded.places),
            encoding: Arc::new(Semaphore::new(ENCODING_THREADS)),
            encoding_per_share: Arc::new(PermitsPerShare::new(1)),
            counting: Arc::new(Semaphore::new(COUNTING_THREADS)),
            drafts: Arc::default(),
            on_the_way: Arc::default(),
            engine: SharedEngine::new(engine, ended.clone().drop_guard()),
            ended,
        }
    }

    /// Counts tokens, one text at a time.
    fn count<T: Send + 'static>(
        &self,
        work: impl FnOnce(&SharedEngine) -> Result<T, Failure> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, Failure>> {
        let (engine, counting) = (self.engine.clone(), self.counting.clone());
        async move {
            let permit = counting.acquire_owned().await.expect("the semaphore is never closed");
            run_with(permit, move || work(&engine)).await
        }
        .boxed()
    }
}

/// Runs work on text outside the async threads. The permit goes back when the work has ended, even
/// if nobody waits for it any more.
async fn run_with<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let work = spawn_blocking(move || {
        let outcome = work();
        drop(permit);
        outcome
    });
    work.await.unwrap_or_else(|error| {
        error!(%error, "a text could not be turned into tokens");
        Err(Failure::Internal { reason: "the text could not be turned into tokens".into() })
    })
}

impl Backend for EngineBackend {
    fn info(&self) -> &BackendInfo {
        &self.info
    }

    fn health(&self) -> Health {
        if self.engine.heartbeat().is_alive { Health::Ready } else { Health::Stalled }
    }

    fn ended(&self) -> Option<CancellationToken> {
        Some(self.ended.clone())
    }

    fn metrics(&self) -> Vec<Metric> {
        metrics::of_engine(&self.engine.counters())
    }

    fn generate(
        &self,
        request: Box<GenerateRequest>,
    ) -> BoxFuture<'static, Result<Box<dyn Generation>, Failure>> {
        let share = request.asker.share;
        let reservation = match self.places.take(share, || self.engine.counters().waiting) {
            Ok(reservation) => reservation,
            Err(failure) => return ready(Err(failure)).boxed(),
        };
        let (tenant, conversation) = (request.asker.tenant, request.conversation);
        let way = self.on_the_way.begin(Origin { tenant, conversation });
        let request = for_engine(*request, &self.sampling);
        let (engine, encoding) = (self.engine.clone(), self.encoding.clone());
        let per_share = self.encoding_per_share.clone();
        async move {
            let _permit_of_share = per_share.take(share).await;
            let permit = encoding.acquire_owned().await.expect("the semaphore is never closed");
            run_with(permit, move || {
                let submitted = submit(&engine, request, reservation);
                arrive(&engine, way);
                submitted
            })
            .await
        }
        .boxed()
    }

    fn can_continue(&self) -> bool {
        true
    }

    fn draft(&self, draft: DraftRequest) {
        // Requests that are turned into tokens are more urgent.
        if self.encoding.available_permits() == 0 || !self.drafts.put(draft) {
            return;
        }
        let (engine, drafts) = (self.engine.clone(), self.drafts.clone());
        let on_the_way = self.on_the_way.clone();
        spawn_blocking(move || {
            while let Some(draft) = take_on_the_way(&drafts, &on_the_way) {
                pass_on(&engine, draft);
            }
        });
    }

    fn forget(&self, tenant: Tenant, conversation: Option<ConversationNumber>) {
        let meant = Origin { tenant, conversation };
        self.drafts.forget(&meant);
        self.on_the_way.forget(&meant);
        forget_in(&self.engine, meant);
    }

    fn tokenize(&self, text: String) -> BoxFuture<'static, Result<Option<Vec<u32>>, Failure>> {
        self.count(move |engine| {
            Ok(Some(engine.text().encode(&text).into_iter().map(|token| token.0).collect()))
        })
    }

    fn fit(
        &self,
        messages: Vec<Message>,
        max_tokens: usize,
    ) -> BoxFuture<'static, Result<Option<Fit>, Failure>> {
        self.count(move |engine| {
            let messages = messages_for_engine(messages);
            let prompt = engine
                .fit(&messages, Some(max_tokens))
                .map_err(|refusal| failure_beside(engine, refusal, without_system(&messages)))?;
            Ok(Some(Fit {
                tokens: prompt.ids.len(),
                context_tokens: engine.info().room_tokens(),
                dropped_messages: prompt.dropped_messages,
            }))
        })
    }
}

/// The next draft, which is on its way from now on.
fn take_on_the_way(
    drafts: &WaitingDrafts,
    on_the_way: &Arc<OnTheWay>,
) -> Option<(DraftRequest, Way)> {
    drafts.take(|draft| on_the_way.begin(origin_of(draft)))
}

/// Gives a draft to the engine.
fn pass_on(engine: &SharedEngine, (draft, way): (DraftRequest, Way)) {
    let draft = draft_for_engine(draft);
    match catch_unwind(AssertUnwindSafe(|| engine.draft(draft))) {
        Ok(Ok(())) => {}
        Ok(Err(refusal)) => debug!(%refusal, "a draft is not computed"),
        Err(_) => error!("a draft could not be turned into tokens"),
    }
    arrive(engine, way);
}

/// Something has reached the engine. If it was forgotten on its way, the engine forgets it now.
fn arrive(engine: &Engine, way: Way) {
    if let Some(forgotten) = way.end() {
        forget_in(engine, forgotten);
    }
}

fn forget_in(engine: &Engine, meant: Origin) {
    let tenant = tenant_for_engine(meant.tenant);
    let told = match meant.conversation {
        Some(conversation) => engine.forget(tenant, conversation_for_engine(conversation)),
        None => engine.forget_tenant(tenant),
    };
    if let Err(refusal) = told {
        error!(%refusal, "a conversation could not be forgotten");
    }
}

fn submit(
    engine: &SharedEngine,
    request: engine::GenerateRequest,
    reservation: shares::Reservation,
) -> Result<Box<dyn Generation>, Failure> {
    let without_system = without_system(&request.messages);
    match engine.submit(request) {
        Submit::Accepted(generation) => {
            let (moved, _engine) = (Instant::now(), engine.clone());
            Ok(Box::new(EngineGeneration { generation, _engine, _reservation: reservation, moved }))
        }
        Submit::QueueFull { position, estimate_ms } => Err(Failure::Busy {
            reason: "too many answers are waiting; try again later".into(),
            // The engine counts positions from 1, a client the requests ahead of it.
            position: position - 1,
            estimate_ms,
        }),
        Submit::Refused(refusal) => Err(failure_beside(engine, refusal, without_system)),
    }
}

/// The newest message, if the conversation begins with a system message.
fn without_system(messages: &[text::Message]) -> Option<text::Message> {
    let (first, newest) = (messages.first()?, messages.last()?);
    (first.role == text::Role::System && messages.len() > 1).then(|| newest.clone())
}

/// An engine that lives as long as somebody needs it: another model may have replaced it while it
/// still writes an answer. Its end takes a while, because it saves what it keeps, so a thread of
/// its own does that. [`Backend::ended`] tells when it is done.
#[derive(Clone)]
struct SharedEngine(Option<Arc<RunningEngine>>);

/// The fields are dropped in this order, so the guard is dropped when the engine has ended.
struct RunningEngine {
    engine: Engine,
    _ended: DropGuard,
}

impl SharedEngine {
    fn new(engine: Engine, ended: DropGuard) -> SharedEngine {
        SharedEngine(Some(Arc::new(RunningEngine { engine, _ended: ended })))
    }
}

impl Deref for SharedEngine {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.0.as_ref().expect("only drop takes it").engine
    }
}

impl Drop for SharedEngine {
    fn drop(&mut self) {
        if let Some(running) = self.0.take().and_then(Arc::into_inner) {
            // If the system has no thread for it, it ends here.
            let end = std::thread::Builder::new().name("engine-end".to_owned());
            drop(end.spawn(move || drop(running)));
        }
    }
}

struct EngineGeneration {
    generation: engine::Generation,
    _engine: SharedEngine,
    _reservation: shares::Reservation,
    /// When it last made progress, or was submitted.
    moved: Instant,
}

impl Generation for EngineGeneration {
    fn next_event(&mut self) -> BoxFuture<'_, Option<Event>> {
        async {
            let event = match self.generation.next().await? {
                // A new position in the queue is no progress. The engine counts positions from 1.
                engine::Event::Queued { position, estimate_ms } => {
                    return Some(Event::Queued { ahead: position - 1, estimate_ms });
                }
                engine::Event::Prefill { done, total, cached } => {
                    Event::Prefill { done, total, cached }
                }
                engine::Event::Delta { text, tokens } => {
                    let tokens = tokens.into_iter().map(|token| token.0).collect();
                    Event::Delta { text, tokens }
                }
                engine::Event::Finished(finished) => Event::Finished(self.finished(finished)),
            };
            self.moved = Instant::now();
            Some(event)
        }
        .boxed()
    }

    fn stop(&self) {
        self.generation.stop();
    }

    fn dropped_messages(&self) -> usize {
        self.generation.dropped_messages()
    }

    fn seed(&self) -> Option<u64> {
        Some(self.generation.seed())
    }

    fn prompt_tokens(&self) -> Option<usize> {
        Some(self.generation.prompt_tokens())
    }
}

impl EngineGeneration {
    fn finished(&self, finished: engine::Finished) -> Finished {
        let timeout = |while_doing| {
            let seconds = self.moved.elapsed().as_secs();
            FinishReason::Failed(Failure::Timeout { seconds, while_doing })
        };
        let reason = match finished.reason {
            engine::FinishReason::EndToken => FinishReason::Ended(EndReason::End),
            engine::FinishReason::StopString => FinishReason::Ended(EndReason::StopString),
            engine::FinishReason::Length => FinishReason::Ended(EndReason::Length),
            engine::FinishReason::Stopped => FinishReason::Ended(EndReason::Stopped),
            engine::FinishReason::QueueTimeout => timeout(Failure::IN_THE_QUEUE),
            engine::FinishReason::StepTimeout => timeout(Failure::WITHOUT_A_STEP),
            engine::FinishReason::Failed(reason) => {
                // The operator is told what broke, the client only that it broke.
                error!(?reason, "the engine failed");
                FinishReason::Failed(Failure::Internal {
                    reason: "the engine failed; the log has the details".into(),
                })
            }
        };
        let (usage, timings) = (finished.usage, finished.timings);
        let usage = Usage {
            prompt_tokens: Some(usage.prompt_tokens),
            cached_tokens: Some(usage.cached_tokens),
            completion_tokens: Some(usage.completion_tokens),
        };
        let timings = Timings {
            first_token_ms: timings.first_token_ms,
            tokens_per_second: timings.tokens_per_second,
            halt_ms: timings.halt_ms,
        };
        Finished { reason, usage, timings }
    }
}

/// What the client is told. `newest` is the newest message, if a system message is before it.
fn failure_beside(engine: &Engine, refusal: Refusal, newest: Option<text::Message>) -> Failure {
    match (refusal, newest) {
        (Refusal::TooLong { tokens, limit }, Some(newest))
            if engine.fit(from_ref(&newest), None).is_ok() =>
        {
            Failure::TooLongWithSystem { tokens, limit }
        }
        (refusal, _) => failure_of(refusal),
    }
}

fn failure_of(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::TooLong { tokens, limit } => Failure::TooLong { tokens, limit },
        Refusal::InvalidParameter(error) => Failure::InvalidParameter {
            field: error.field.into(),
            expected: error.range,
            found: error.value,
        },
        // No language has this parameter yet.
        Refusal::Structure(error) => Failure::InvalidParameter {
            field: "structure".into(),
            expected: "a form that can be used".into(),
            found: error.to_string(),
        },
        Refusal::Continuation(error) => Failure::InvalidParameter {
            field: "continue".into(),
            expected: "an answer that can go on".into(),
            found: error.to_string(),
        },
        Refusal::Template(reason) => {
            Failure::Internal { reason: format!("chat template: {reason}") }
        }
        Refusal::Conversation(words) => Failure::InvalidParameter {
            field: "history".into(),
            expected: "a conversation that the model's chat template takes".into(),
            found: words,
        },
        Refusal::Closed => Failure::Internal { reason: "the engine has ended".into() },
    }
}

/// The model's own values; a value that it leaves out has no effect. A model without any gets those
/// that Qwen2.5-Instruct is published with, because its GGUF files do not contain them.
fn defaults_of(model: &SamplingDefaults) -> SamplingParams {
    if *model == SamplingDefaults::default() {
        return SamplingParams {
            temperature: 0.7,
            top_p: 0.8,
            top_k: 20,
            repetition_penalty: 1.05,
            ..SamplingParams::default()
        };
    }
    let neutral = SamplingParams::default();
    SamplingParams {
        temperature: model.temperature.unwrap_or(neutral.temperature),
        top_p: model.top_p.unwrap_or(neutral.top_p),
        top_k: model.top_k.unwrap_or(neutral.top_k),
        min_p: model.min_p.unwrap_or(neutral.min_p),
        repetition_penalty: model.repetition_penalty.unwrap_or(neutral.repetition_penalty),
        ..neutral
    }
}

fn for_engine(request: GenerateRequest, defaults: &SamplingParams) -> engine::GenerateRequest {
    let Parameters {
        max_tokens,
        temperature,
        top_p,
        repetition_penalty,
        top_k,
        min_p,
        presence_penalty,
        frequency_penalty,
        seed,
        stop_strings,
    } = request.parameters;
    let sampling = SamplingParams {
        temperature: temperature.unwrap_or(defaults.temperature),
        top_k: top_k.unwrap_or(defaults.top_k),
        top_p: top_p.unwrap_or(defaults.top_p),
        min_p: min_p.unwrap_or(defaults.min_p),
        repetition_penalty: repetition_penalty.unwrap_or(defaults.repetition_penalty),
        presence_penalty: presence_penalty.unwrap_or(defaults.presence_penalty),
        frequency_penalty: frequency_penalty.unwrap_or(defaults.frequency_penalty),
        seed,
    };
    engine::GenerateRequest {
        messages: messages_for_engine(request.messages),
        sampling,
        max_tokens: Some(usize::try_from(max_tokens).unwrap_or(usize::MAX)),
        stop_strings,
        structure: None,
        tenant: tenant_for_engine(request.asker.tenant),
        conversation: request.conversation.map(conversation_for_engine),
        continues: request.continues.map(continuation_for_engine),
    }
}

fn draft_for_engine(draft: DraftRequest) -> engine::Draft {
    engine::Draft {
        messages: messages_for_engine(draft.messages),
        max_tokens: Some(usize::try_from(draft.max_tokens).unwrap_or(usize::MAX)),
        tenant: tenant_for_engine(draft.asker.tenant),
        conversation: draft.conversation.map(conversation_for_engine),
        key: draft.key,
    }
}

fn tenant_for_engine(tenant: Tenant) -> kv_cache::Tenant {
    kv_cache::Tenant(tenant.0)
}

fn conversation_for_engine(conversation: ConversationNumber) -> ConversationId {
    ConversationId(conversation.0)
}

fn continuation_for_engine(continuation: Continuation) -> engine::Continuation {
    let Continuation { tokens, text_bytes } = continuation;
    let tokens = tokens.into_iter().map(text::TokenId).collect();
    engine::Continuation { tokens, text_bytes }
}

fn messages_for_engine(messages: Vec<Message>) -> Vec<text::Message> {
    let message = |message: Message| text::Message {
        role: match message.role {
            Role::System => text::Role::System,
            Role::User => text::Role::User,
            Role::Assistant => text::Role::Assistant,
        },
        content: message.content,
        tokens: message.tokens.map(|tokens| tokens.iter().copied().map(text::TokenId).collect()),
    };
    messages.into_iter().map(message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Principal;
    use banter_engine::engine::EngineConfig;
    use banter_engine::make_model::{ModelSpec, WeightMix, make_model};
    use banter_engine::model_file::{ModelConfig, ModelSource};
    use banter_protocol::plain::{self, ClientMessage};

    #[test]
    fn a_model_that_says_something_is_not_given_other_models_values() {
        let nothing = defaults_of(&SamplingDefaults::default());
        assert_eq!((nothing.temperature, nothing.top_p, nothing.top_k), (0.7, 0.8, 20));
        let greedy = SamplingDefaults { temperature: Some(0.0), ..SamplingDefaults::default() };
        let expected = SamplingParams { temperature: 0.0, ..SamplingParams::default() };
        assert_eq!(defaults_of(&greedy), expected);
    }

    #[test]
    fn a_conversation_that_the_template_refuses_is_the_clients_to_mend() {
        let failure = failure_of(Refusal::Conversation("roles must alternate".into()));
        assert_eq!(failure.code(), "invalid_parameter");
        let expected = "history: expected a conversation that the model's chat template takes, \
                        found roles must alternate";
        assert_eq!(failure.to_string(), expected);
    }

    /// A backend with a small model, whose engine takes this many requests.
    fn backend(places: usize) -> EngineBackend {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tiny.gguf");
        let shape = ModelConfig {
            layers: 1,
            hidden: 32,
            heads: 1,
            kv_heads: 1,
            head_dim: 32,
            feed_forward: 32,
            vocabulary_rows: 320,
            trained_context: 128,
            rope_base: 1e6,
            yarn: None,
            rms_eps: 1e-6,
            tied_embeddings: true,
        };
        let weights = WeightMix::named("f32").expect("a known type");
        let (name, seed) = ("tiny".to_owned(), 1);
        let spec = ModelSpec { name, shape, weights, outliers: false, vocabulary: None, seed };
        make_model(&spec, &path, &mut |_| {}).expect("a model");
        let mut config = EngineConfig::new(ModelSource::Path(path));
        config.max_sequences = 2;
        config.queue_limit = places - 2;
        EngineBackend::new(Engine::open(config, &mut |_| {}).expect("an engine"), false)
    }

    #[tokio::test]
    async fn one_key_with_many_messages_leaves_places_to_another() {
        let backend = backend(16);
        let (alice, bob) = (Principal::of_key("alice's key"), Principal::of_key("bob's key"));
        let ask = async |principal: Principal| {
            let message = plain::parse(r#"{"message": "hello"}"#).expect("a message");
            let ClientMessage::Ask(ask) = message else { panic!("it is no stop") };
            backend.generate(Box::new(ask.into_request(principal.asker()))).await
        };
        // An answer holds its place until its socket is through with it.
        let mut of_alice = Vec::new();
        for _ in 0..12 {
            of_alice.push(ask(alice).await.expect("a place"));
        }
        let refusal = ask(alice).await.expect_err("no further one");
        assert!(refusal.to_string().starts_with("your other messages"), "{refusal}");
        let of_bob = ask(bob).await.expect("a place that she left");
        of_alice.pop();
        assert_eq!(ask(alice).await.expect_err("he leaves less").code(), "busy");
        drop(of_bob);
    }
}
