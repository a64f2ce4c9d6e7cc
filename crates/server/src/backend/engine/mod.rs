//! Our engine, in this process.
//!
//! - `generation`: an answer of it. `counting`: the tokens of texts. `embedding`: their vectors.
//!   `shared`: how long it lives.

mod counting;
mod embedding;
mod generation;
mod shared;
#[cfg(test)]
mod tests;

use super::for_engine::{
    conversation_for_engine, defaults_of, draft_for_engine, for_engine, tenant_for_engine,
};
use super::metrics;
use super::on_the_way::{OnTheWay, Origin, Way};
use super::places::{Line, Places};
use super::waiting_drafts::{WaitingDrafts, origin_of};
use crate::shares::{self, PermitsPerShare};
use banter_engine::engine::{self, Engine, Submit};
use banter_engine::sampler::SamplingParams;
use banter_protocol::plain::{DEFAULT_MAX_TOKENS, PARAMETERS};
use banter_seam::{
    Backend, BackendInfo, Conversation, ConversationNumber, Defaults, DraftRequest, EmbedRequest,
    Embeddings, Failure, Fit, GenerateRequest, Generation, Health, Message, Metric, Tenant,
};
use counting::{failure_beside, fit, numbers, prompt_tokens, spell, without_system};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use generation::EngineGeneration;
use shared::SharedEngine;
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::SystemTime;
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
            family: Some("qwen2"),
            weight_types: Some(loaded.weight_types.clone()),
            loaded_at: SystemTime::now(),
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
        let line = || {
            let counters = self.engine.counters();
            Line { ahead: counters.waiting, estimate_ms: counters.wait_estimate_ms }
        };
        let reservation = match self.places.take(share, line) {
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
        self.count(move |engine| Ok(Some(numbers(engine.text().encode(&text)))))
    }

    fn detokenize(&self, tokens: Vec<u32>) -> BoxFuture<'static, Result<Option<String>, Failure>> {
        self.count(move |engine| spell(engine, &tokens).map(Some))
    }

    fn prompt_tokens(
        &self,
        conversation: Conversation,
    ) -> BoxFuture<'static, Result<Option<Vec<u32>>, Failure>> {
        self.count(move |engine| prompt_tokens(engine, conversation).map(Some))
    }

    fn embed(
        &self,
        request: EmbedRequest,
    ) -> BoxFuture<'static, Result<Option<Embeddings>, Failure>> {
        let embedding = embedding::embed(self.engine.clone(), self.counting.clone(), request);
        embedding.map(|embedded| embedded.map(Some)).boxed()
    }

    fn fit(
        &self,
        messages: Vec<Message>,
        max_tokens: usize,
    ) -> BoxFuture<'static, Result<Option<Fit>, Failure>> {
        self.count(move |engine| fit(engine, messages, max_tokens).map(Some))
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
