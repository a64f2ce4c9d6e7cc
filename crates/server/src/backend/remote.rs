//! An engine that somebody else runs, at an address.

use super::places::{Line, Places};
use crate::shares::{PermitsPerShare, Reservation};
use banter_protocol::plain::DEFAULT_MAX_TOKENS;
use banter_remote::engine::{Answer, End, EngineError, RemoteEngine, SilentCut, Step};
use banter_seam::{
    Backend, BackendInfo, Defaults, EmbedRequest, Embeddings, Event, Failure, FinishReason,
    Finished, Fit, GenerateRequest, Generation, Health, Message,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::task::JoinHandle;
use tracing::{info, warn};

/// Health checks that must fail in a row before the engine is reported unreachable. A busy engine
/// may miss one.
const MISSED_CHECKS: u32 = 2;

/// How often an engine is asked whether it is well.
#[derive(Clone, Copy, Debug)]
pub struct HealthChecks {
    /// Between two checks while it is well.
    pub interval: Duration,
    /// Between two checks while it is not well.
    pub interval_while_down: Duration,
}

impl Default for HealthChecks {
    fn default() -> Self {
        HealthChecks {
            interval: Duration::from_secs(5),
            interval_while_down: Duration::from_secs(1),
        }
    }
}

/// The backend in front of such an engine.
pub struct RemoteBackend {
    engine: RemoteEngine,
    info: BackendInfo,
    places: Places,
    /// Permits to wait for an engine that computes one answer at a time.
    per_share: Option<Arc<PermitsPerShare>>,
    health: Arc<Mutex<Health>>,
    /// Notified when an answer could not begin. Then the engine is checked at once.
    doubt: Arc<Notify>,
    checking: JoinHandle<()>,
}

impl RemoteBackend {
    /// A backend for this engine, which gets at most `places` requests at a time. It also checks
    /// from time to time whether the engine is well.
    ///
    /// Panics outside an async runtime.
    pub fn new(engine: RemoteEngine, checks: HealthChecks, places: usize) -> RemoteBackend {
        let about = engine.about();
        let usual = about.kind.defaults();
        let info = BackendInfo {
            name: about.model.clone(),
            is_demo: false,
            licence: None,
            parameters: about.parameters,
            weights_bytes: about.weights_bytes,
            context_tokens: about.context_tokens,
            defaults: Defaults {
                max_tokens: DEFAULT_MAX_TOKENS,
                temperature: usual.map(|usual| usual.temperature),
                top_p: usual.map(|usual| usual.top_p),
                repetition_penalty: usual.map(|usual| usual.repetition_penalty),
            },
            engine: Some(about.kind.name()),
            known_parameters: about.kind.parameters(),
            family: None,
            weight_types: None,
            loaded_at: SystemTime::now(),
        };
        let per_share =
            about.kind.serves_one_at_a_time().then(|| Arc::new(PermitsPerShare::new(1)));
        let health = Arc::new(Mutex::new(Health::Ready));
        let doubt = Arc::new(Notify::new());
        let checking = check(engine.clone(), health.clone(), doubt.clone(), checks);
        let (places, checking) = (Places::new(places), tokio::spawn(checking));
        RemoteBackend { engine, info, places, per_share, health, doubt, checking }
    }

    /// An engine does not tell how long a request would wait.
    fn line(&self) -> Line {
        Line { ahead: self.places.taken(), estimate_ms: None }
    }
}

impl Drop for RemoteBackend {
    fn drop(&mut self) {
        self.checking.abort();
    }
}

/// Checks the engine again and again, without end.
async fn check(
    engine: RemoteEngine,
    health: Arc<Mutex<Health>>,
    doubt: Arc<Notify>,
    checks: HealthChecks,
) {
    let mut missed = 0;
    loop {
        let pause = if missed == 0 { checks.interval } else { checks.interval_while_down };
        // The time has passed, or somebody has a doubt.
        drop(tokio::time::timeout(pause, doubt.notified()).await);
        match engine.probe().await {
            Ok(()) => {
                if missed >= MISSED_CHECKS {
                    info!(engine = %engine.address(), "the engine is well again");
                }
                missed = 0;
                set(&health, Health::Ready);
            }
            Err(error) => {
                missed += 1;
                if missed == MISSED_CHECKS {
                    let words = error.words();
                    warn!(engine = %engine.address(), %error, words, "the engine is not well");
                }
                if missed >= MISSED_CHECKS {
                    // Strangers may read this, so it has no address and none of the engine's words.
                    set(&health, Health::Unreachable(format!("the engine: {}", error.summary())));
                }
            }
        }
    }
}

fn set(health: &Mutex<Health>, now: Health) {
    *health.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = now;
}

impl Backend for RemoteBackend {
    fn info(&self) -> &BackendInfo {
        &self.info
    }

    fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn counts_tokens(&self) -> bool {
        self.engine.counts_tokens()
    }

    fn generate(
        &self,
        request: Box<GenerateRequest>,
    ) -> BoxFuture<'static, Result<Box<dyn Generation>, Failure>> {
        let share = request.asker.share;
        let place = match self.places.take(share, || self.line()) {
            Ok(place) => place,
            Err(failure) => return ready(Err(failure)).boxed(),
        };
        let (engine, doubt) = (self.engine.clone(), self.doubt.clone());
        let per_share = self.per_share.clone();
        async move {
            let permit = match per_share {
                Some(permits) => Some(permits.take(share).await),
                None => None,
            };
            let answer = engine.ask(&request).await.map_err(|error| {
                if is_doubtful(&error) {
                    doubt.notify_one();
                }
                failure_of(&error)
            })?;
            let generation = RemoteGeneration { answer, doubt, _place: place, _permit: permit };
            Ok(Box::new(generation) as Box<dyn Generation>)
        }
        .boxed()
    }

    fn tokenize(&self, text: String) -> BoxFuture<'static, Result<Option<Vec<u32>>, Failure>> {
        let engine = self.engine.clone();
        async move { engine.tokenize(&text).await.map_err(|error| failure_of(&error)) }.boxed()
    }

    fn embed(
        &self,
        request: EmbedRequest,
    ) -> BoxFuture<'static, Result<Option<Embeddings>, Failure>> {
        let share = request.asker.share;
        let place = match self.places.take(share, || self.line()) {
            Ok(place) => place,
            Err(failure) => return ready(Err(failure)).boxed(),
        };
        let (engine, doubt) = (self.engine.clone(), self.doubt.clone());
        let per_share = self.per_share.clone();
        async move {
            let _permit = match per_share {
                Some(permits) => Some(permits.take(share).await),
                None => None,
            };
            let embedded = engine.embed(&request).await;
            drop(place);
            embedded.map(Some).map_err(|error| {
                if is_doubtful(&error) {
                    doubt.notify_one();
                }
                failure_of(&error)
            })
        }
        .boxed()
    }

    fn fit(
        &self,
        messages: Vec<Message>,
        max_tokens: usize,
    ) -> BoxFuture<'static, Result<Option<Fit>, Failure>> {
        let engine = self.engine.clone();
        async move {
            let fit =
                engine.fit(&messages, max_tokens).await.map_err(|error| failure_of(&error))?;
            let Some(context_tokens) = engine.about().context_tokens else { return Ok(None) };
            Ok(fit.map(|(tokens, dropped_messages)| Fit {
                tokens,
                context_tokens,
                dropped_messages,
            }))
        }
        .boxed()
    }
}

struct RemoteGeneration {
    answer: Answer,
    doubt: Arc<Notify>,
    _place: Reservation,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Generation for RemoteGeneration {
    fn next_event(&mut self) -> BoxFuture<'_, Option<Event>> {
        async {
            Some(match self.answer.next().await? {
                Step::Alive => Event::Alive,
                Step::Thinking(piece) => Event::Thinking(piece),
                Step::Delta { text, logprobs } => {
                    Event::Delta { text, tokens: Vec::new(), logprobs }
                }
                Step::Call { id, name } => Event::Call { id, name },
                Step::Arguments(piece) => Event::Arguments(piece),
                Step::End(end) => Event::Finished(self.finished(end)),
            })
        }
        .boxed()
    }

    fn stop(&self) {
        self.answer.stop();
    }

    fn dropped_messages(&self) -> usize {
        self.answer.dropped_messages()
    }
}

impl RemoteGeneration {
    fn finished(&self, end: End) -> Finished {
        if let Some(SilentCut { read_tokens, least_tokens }) = end.silent_cut {
            warn!(
                read_tokens,
                least_tokens,
                "the engine has read only a part of the conversation and did not say so; give it a larger \
                 context (Ollama: OLLAMA_CONTEXT_LENGTH, or num_ctx of the model)"
            );
        }
        let reason = match end.reason {
            Ok(reason) => FinishReason::Ended(reason),
            Err(error) => {
                if is_doubtful(&error) {
                    self.doubt.notify_one();
                }
                FinishReason::Failed(failure_of(&error))
            }
        };
        Finished { reason, stop_string: end.stop_string, usage: end.usage, timings: end.timings }
    }
}

/// Whether an error is a reason to check the engine at once. A request that is refused for its
/// content is none.
fn is_doubtful(error: &EngineError) -> bool {
    matches!(error, EngineError::Connection(_) | EngineError::Broken(_) | EngineError::Silent(_))
}

/// What the client is told: the engine's words, shortened and cleaned, but no addresses. The log
/// has everything.
fn failure_of(error: &EngineError) -> Failure {
    let with_words = |reason: &str| match error.words() {
        Some(words) => format!("{reason}: {words}"),
        None => reason.to_owned(),
    };
    let busy = |reason: String, wait: Option<Duration>| Failure::Busy {
        reason,
        position: 0,
        estimate_ms: wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
    };
    let is_clients = matches!(
        error,
        EngineError::Parameter { .. } | EngineError::Resting { .. } | EngineError::TooLong { .. }
    );
    if !is_clients {
        warn!(%error, words = error.words(), "the engine failed");
    }
    let reason = match error {
        EngineError::Parameter { field, expected, found } => {
            let (expected, found) = (expected.clone(), found.clone());
            return Failure::InvalidParameter { field: (*field).into(), expected, found };
        }
        EngineError::Busy { retry_after, .. } => {
            return busy(with_words("the engine is busy"), *retry_after);
        }
        EngineError::Resting { retry_in } => {
            let reason = "the engine has failed several times, so it gets no requests for a while"
                .to_owned();
            return busy(reason, Some(*retry_in));
        }
        EngineError::Silent(patience) => {
            let while_doing = "without a sign of life from the engine (--queue-timeout)";
            return Failure::Timeout { seconds: patience.as_secs(), while_doing };
        }
        EngineError::TooLong { tokens, limit } => return too_long(*tokens, *limit),
        EngineError::Connection(_) | EngineError::Broken(_) => {
            "the connection to the engine failed; the log has the details".to_owned()
        }
        // The engine's words may repeat a part of the key.
        EngineError::NotAllowed { .. } => {
            "the engine refuses the key of this server (--engine-key)".to_owned()
        }
        // Asking again would change nothing.
        EngineError::Status { status: 400 | 413 | 422, .. } => {
            return Failure::InvalidParameter {
                field: "request".into(),
                expected: with_words("one that the engine takes"),
                found: "one that it refuses".into(),
            };
        }
        EngineError::Status { status: status @ 400..=499, .. } => {
            with_words(&format!("the engine refused the request (status {status})"))
        }
        EngineError::Status { status, .. } => {
            with_words(&format!("the engine failed (status {status})"))
        }
        EngineError::Failed(_) => with_words("the engine failed"),
        EngineError::UsedUp => error.to_string(),
        EngineError::Redirect(_) | EngineError::Unexpected(_) | EngineError::Model { .. } => {
            "the engine's answer cannot be read; the log has the details".to_owned()
        }
    };
    Failure::Internal { reason }
}

/// The failure of a conversation that does not fit the engine's context.
fn too_long(tokens: Option<usize>, limit: Option<usize>) -> Failure {
    match (tokens, limit) {
        (Some(tokens), Some(limit)) => Failure::TooLong { tokens, limit },
        _ => Failure::InvalidParameter {
            field: "message".into(),
            expected: "a message that fits the engine's context".into(),
            found: "a longer one".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Principal;
    use banter_protocol::plain::{self, ClientMessage};
    use banter_remote::Address;
    use banter_remote::engine::{EnginePatience, EngineSettings, Kind};
    use banter_remote::fakes::{EngineTrick, FakeEngine};
    use banter_seam::Continuation;
    use serde_json::json;

    type Asked = BoxFuture<'static, Result<Box<dyn Generation>, Failure>>;

    async fn in_front_of(fake: &FakeEngine) -> RemoteBackend {
        let settings = EngineSettings {
            address: Address::parse_base(&fake.url()).expect("an address"),
            key: None,
            kind: None,
            model: None,
            patience: EnginePatience::default(),
        };
        let engine = RemoteEngine::find(&settings).await.expect("the engine is found");
        RemoteBackend::new(engine, HealthChecks::default(), 16)
    }

    /// Asks for an answer that is written without end.
    fn ask(backend: &RemoteBackend, principal: Principal) -> Asked {
        let message = json!({ "message": "slow 1000000" }).to_string();
        let Ok(ClientMessage::Ask(ask)) = plain::parse(&message) else { panic!("it is right") };
        backend.generate(Box::new(ask.into_request(principal.asker())))
    }

    async fn patiently<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(20), future).await.expect("it takes too long")
    }

    #[tokio::test]
    async fn an_answer_of_another_engine_cannot_go_on() {
        let fake = FakeEngine::start(Kind::Vllm);
        let backend = in_front_of(&fake).await;
        assert!(!backend.can_continue());
        let Ok(ClientMessage::Ask(ask)) = plain::parse(r#"{"message": "x"}"#) else { panic!() };
        let mut request = ask.into_request(Principal::OPERATOR.asker());
        request.continues = Some(Continuation { tokens: vec![1], text_bytes: 1 });
        let refusal = patiently(backend.generate(Box::new(request))).await.expect_err("refused");
        let expected = "continue: expected an engine that can go on with an answer, found an \
                        engine that somebody else runs, which begins every answer anew";
        assert_eq!(refusal.to_string(), expected);
        assert_eq!(refusal.code(), "invalid_parameter");
    }

    #[tokio::test]
    async fn a_sign_of_life_is_progress() {
        let fake = FakeEngine::start(Kind::Vllm);
        let backend = in_front_of(&fake).await;
        fake.play([EngineTrick::hang_after([": still here\n\n"])]);
        let mut answer = patiently(ask(&backend, Principal::OPERATOR)).await.expect("it begins");
        assert_eq!(patiently(answer.next_event()).await, Some(Event::Alive));
    }

    #[tokio::test]
    async fn one_key_with_many_messages_leaves_places_to_another() {
        let fake = FakeEngine::start(Kind::Vllm);
        let backend = in_front_of(&fake).await;
        let (alice, bob) = (Principal::of_key("alice's key"), Principal::of_key("bob's key"));
        let mut of_alice = Vec::new();
        for _ in 0..12 {
            of_alice.push(patiently(ask(&backend, alice)).await.expect("a place"));
        }
        let refusal = patiently(ask(&backend, alice)).await.expect_err("no further one");
        let Failure::Busy { reason, position, .. } = refusal else { panic!("{refusal}") };
        assert!(reason.starts_with("your other messages"), "{reason}");
        assert_eq!(position, 12);
        let of_bob = patiently(ask(&backend, bob)).await.expect("a place that she left");
        of_alice.pop();
        let refusal = patiently(ask(&backend, alice)).await.expect_err("he leaves less");
        assert_eq!(refusal.code(), "busy");
        drop(of_bob);
        patiently(ask(&backend, alice)).await.expect("a place that came back");
    }

    #[tokio::test]
    async fn an_engine_for_one_at_a_time_serves_the_next_key_after_one_answer_of_the_first() {
        let fake = FakeEngine::start(Kind::LlamaCppPython);
        let backend = in_front_of(&fake).await;
        let (alice, bob) = (Principal::of_key("alice's key"), Principal::of_key("bob's key"));
        let running = patiently(ask(&backend, alice)).await.expect("the engine is free");
        let mut waiting: Vec<Asked> = (0..5).map(|_| ask(&backend, alice)).collect();
        let mut of_bob = ask(&backend, bob);
        for asked in waiting.iter_mut().chain([&mut of_bob]) {
            assert!(asked.now_or_never().is_none(), "the engine has an answer to write");
        }
        drop(running);
        let of_bob = patiently(of_bob).await.expect("the engine is free");
        for asked in &mut waiting {
            assert!(asked.now_or_never().is_none(), "his answer is written");
        }
        drop(of_bob);
        patiently(waiting.remove(0)).await.expect("the engine is free again");
    }
}
