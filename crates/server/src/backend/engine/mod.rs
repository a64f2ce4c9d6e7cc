//! Our engine, in this process.
//!
//! - `generation`: an answer of it. `shared`: how long it lives.

mod generation;
mod shared;

use super::for_engine::{
    conversation_for_engine, defaults_of, draft_for_engine, failure_of, for_engine,
    messages_for_engine, tenant_for_engine,
};
use super::metrics;
use super::on_the_way::{OnTheWay, Origin, Way};
use super::places::Places;
use super::waiting_drafts::{WaitingDrafts, origin_of};
use crate::shares::{self, PermitsPerShare};
use banter_engine::engine::{self, Engine, Refusal, Submit};
use banter_engine::sampler::SamplingParams;
use banter_engine::text::{self, TemplateExtras};
use banter_protocol::plain::{DEFAULT_MAX_TOKENS, PARAMETERS};
use banter_seam::{
    Backend, BackendInfo, ConversationNumber, Defaults, DraftRequest, Failure, Fit,
    GenerateRequest, Generation, Health, Message, Metric, Tenant,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use generation::EngineGeneration;
use shared::SharedEngine;
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice::from_ref;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
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
                .fit(&messages, &TemplateExtras::default(), Some(max_tokens))
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
    let without_system = without_system(request.prompt.messages());
    let with_calls = request.prompt.has_tools();
    match engine.submit(request) {
        Submit::Accepted(generation) => {
            let engine = engine.clone();
            Ok(Box::new(EngineGeneration::new(generation, engine, reservation, with_calls)))
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

/// What the client is told. `newest` is the newest message, if a system message is before it.
fn failure_beside(engine: &Engine, refusal: Refusal, newest: Option<text::Message>) -> Failure {
    match (refusal, newest) {
        (Refusal::TooLong { tokens, limit }, Some(newest))
            if engine.fit(from_ref(&newest), &TemplateExtras::default(), None).is_ok() =>
        {
            Failure::TooLongWithSystem { tokens, limit }
        }
        (refusal, _) => failure_of(refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Principal;
    use banter_engine::engine::EngineConfig;
    use banter_engine::make_model::{ModelSpec, WeightMix, make_model};
    use banter_engine::model_file::{ModelConfig, ModelSource};
    use banter_protocol::plain::{self, ClientMessage};
    use banter_seam::{Continuation, Prompt, Structure};
    use banter_seam::{Event, Logprobs, Usage};

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

    /// The request for an answer to a message, in a conversation.
    fn request(message: &str, seed: u64, conversation: Option<u64>) -> GenerateRequest {
        let fields = serde_json::json!({"message": message, "max_tokens": 40, "seed": seed});
        let Ok(ClientMessage::Ask(ask)) = plain::parse(&fields.to_string()) else {
            panic!("it is right")
        };
        let request = ask.into_request(Principal::of_key("alice's key").asker());
        GenerateRequest { conversation: conversation.map(ConversationNumber), ..request }
    }

    /// All that is told of an answer.
    #[derive(Debug, Default)]
    struct Told {
        text: String,
        tokens: Vec<u32>,
        /// How many tokens and bytes were told with each delta.
        deltas: Vec<(usize, usize)>,
        usage: Usage,
    }

    async fn told(backend: &EngineBackend, request: GenerateRequest) -> Told {
        let mut generation = backend.generate(Box::new(request.clone())).await.expect("a place");
        assert_eq!(generation.seed(), request.parameters.seed);
        let mut told = Told::default();
        while let Some(event) = generation.next_event().await {
            match event {
                Event::Delta { text, tokens, .. } => {
                    told.text.push_str(&text);
                    told.tokens.extend(tokens);
                    told.deltas.push((told.tokens.len(), told.text.len()));
                }
                Event::Finished(finished) => told.usage = finished.usage,
                _ => {}
            }
        }
        assert_eq!(generation.prompt_tokens(), told.usage.prompt_tokens);
        told
    }

    #[tokio::test]
    async fn an_answer_goes_on_as_if_it_had_not_been_cut() {
        let backend = backend(16);
        assert!(backend.can_continue());
        for seed in 0..5 {
            let asked = request("tell me something", seed, None);
            let whole = told(&backend, asked.clone()).await;
            for &(tokens, text_bytes) in whole.deltas.iter().filter(|(tokens, _)| *tokens < 40) {
                let mut more = asked.clone();
                let so_far = whole.tokens[..tokens].to_vec();
                more.continues = Some(Continuation { tokens: so_far, text_bytes });
                more.parameters.max_tokens -= u32::try_from(tokens).expect("at most 40");
                let rest = told(&backend, more).await;
                assert_eq!(rest.text, whole.text[text_bytes..], "{seed} after {tokens} tokens");
                assert_eq!(rest.tokens, whole.tokens[tokens..], "{seed} after {tokens} tokens");
            }
        }
        let mut damaged = request("tell me something", 1, None);
        damaged.continues = Some(Continuation { tokens: vec![u32::MAX], text_bytes: 0 });
        let refusal = backend.generate(Box::new(damaged)).await.expect_err("it is damaged");
        let expected = "continue: expected an answer that can go on, found the id 4294967295 \
                        without a token, at index 0";
        assert_eq!(refusal.to_string(), expected);
    }

    #[tokio::test]
    async fn each_token_is_told_with_what_the_model_found_likely() {
        let backend = backend(16);
        let asked = GenerateRequest { logprobs: Some(3), ..request("tell me something", 1, None) };
        let mut generation = backend.generate(Box::new(asked)).await.expect("a place");
        let (mut shown, mut spelled, mut count) = (String::new(), Vec::new(), 0);
        while let Some(event) = generation.next_event().await {
            let Event::Delta { text, tokens, logprobs } = event else { continue };
            assert_eq!(tokens.len(), logprobs.len());
            shown.push_str(&text);
            count += tokens.len();
            for Logprobs { chosen, top } in logprobs {
                assert!(chosen.logprob <= 0.0 && top.len() == 3, "{chosen:?} {top:?}");
                assert!(top.iter().all(|top| !top.bytes.is_empty()), "{top:?}");
                // Control tokens are named here, and not shown in the text.
                let is_control = chosen.bytes.starts_with(b"<|");
                spelled.extend(chosen.bytes.into_iter().filter(|_| !is_control));
            }
        }
        assert!(count > 0);
        let spelled = String::from_utf8_lossy(&spelled).into_owned();
        assert!(spelled.starts_with(shown.trim_end_matches('\u{fffd}')), "{spelled:?} {shown:?}");
    }

    #[tokio::test]
    async fn an_answer_has_the_structure_that_it_must_have_whatever_it_follows() {
        let backend = backend(16);
        let structure = Structure::Regex("(yes|no), (yes|no)".to_owned());
        let text = "<|im_start|>user\nhi<|im_end|>\n";
        for prompt in [Prompt::Text(text.to_owned()), Prompt::Tokens(vec![72, 105])] {
            let (asked, structure) = (request("hello", 1, None), Some(structure.clone()));
            let asked = GenerateRequest { prompt, structure, ..asked };
            let answer = told(&backend, asked).await.text;
            let words: Vec<&str> = answer.split(", ").collect();
            assert!(
                words.len() == 2 && words.iter().all(|w| ["yes", "no"].contains(w)),
                "{answer}"
            );
        }
    }

    #[tokio::test]
    async fn a_draft_is_computed_ahead_and_forgotten_with_its_conversation() {
        let backend = backend(16);
        let asked = request("what is typed here is long enough for a block", 1, Some(5));
        let draft = |key| DraftRequest {
            messages: asked.prompt.messages().to_vec(),
            max_tokens: 40,
            asker: asked.asker,
            conversation: asked.conversation,
            key,
        };
        for round in 0..3 {
            let before = backend.engine.counters().drafts_computed;
            backend.draft(draft(round));
            while backend.engine.counters().drafts_computed == before {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            if round == 1 {
                backend.forget(asked.asker.tenant, asked.conversation);
            }
            let cached = told(&backend, asked.clone()).await.usage.cached_tokens;
            assert_eq!(cached > Some(0), round != 1, "round {round}: {cached:?}");
            backend.forget(asked.asker.tenant, None);
        }
    }

    #[tokio::test]
    async fn a_request_that_is_forgotten_on_its_way_leaves_nothing() {
        let backend = backend(16);
        let asked = request("what is asked here is long enough for a block", 1, Some(5));
        assert_eq!(told(&backend, asked.clone()).await.usage.cached_tokens, Some(0));
        backend.forget(asked.asker.tenant, asked.conversation);
        let on_its_way = backend.generate(Box::new(asked.clone()));
        backend.forget(asked.asker.tenant, asked.conversation);
        let mut generation = on_its_way.await.expect("a place");
        while generation.next_event().await.is_some() {}
        let usage = told(&backend, asked).await.usage;
        assert_eq!(usage.cached_tokens, Some(0));
    }
}
