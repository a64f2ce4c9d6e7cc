//! An engine that someone else runs, at an address.

use super::{Backend, BackendInfo, Event, Figures, FinishReason, Finished, Generation, Health};
use crate::access::Owner;
use banter_protocol::Fault;
use banter_protocol::http::{Defaults, TokenizedConversation};
use banter_protocol::plain::{Ask, DEFAULT_MAX_TOKENS, Turn};
use banter_remote::engine::{Answer, EndReason, EngineError, RemoteEngine, Step};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

/// An engine that is busy may miss a question; it is given up after so many.
const MISSED_PROBES: u32 = 2;

/// How often an engine is asked whether it is well.
#[derive(Clone, Copy, Debug)]
pub struct Probing {
    /// Between two questions while it is.
    pub when_well: Duration,
    /// Between two questions while it is not.
    pub when_ill: Duration,
}

impl Default for Probing {
    fn default() -> Self {
        Probing { when_well: Duration::from_secs(5), when_ill: Duration::from_secs(1) }
    }
}

/// See the module.
pub struct RemoteBackend {
    engine: RemoteEngine,
    info: BackendInfo,
    health: Arc<Mutex<Health>>,
    /// Told when an answer could not begin: then the engine is asked at once how it is.
    doubt: Arc<Notify>,
    probing: JoinHandle<()>,
}

impl RemoteBackend {
    /// Puts an engine at an address behind the seam, and asks it from time to time how it is.
    ///
    /// Panics outside an async runtime.
    pub fn new(engine: RemoteEngine, probing: Probing) -> RemoteBackend {
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
        };
        let health = Arc::new(Mutex::new(Health::Ready));
        let doubt = Arc::new(Notify::new());
        let probing = probe(engine.clone(), health.clone(), doubt.clone(), probing);
        RemoteBackend { engine, info, health, doubt, probing: tokio::spawn(probing) }
    }
}

impl Drop for RemoteBackend {
    fn drop(&mut self) {
        self.probing.abort();
    }
}

/// Asks the engine how it is, for ever.
async fn probe(
    engine: RemoteEngine,
    health: Arc<Mutex<Health>>,
    doubt: Arc<Notify>,
    probing: Probing,
) {
    let mut missed = 0;
    loop {
        let pause = if missed == 0 { probing.when_well } else { probing.when_ill };
        // Either is a reason to ask.
        drop(tokio::time::timeout(pause, doubt.notified()).await);
        match engine.probe().await {
            Ok(()) => {
                if missed >= MISSED_PROBES {
                    info!(engine = %engine.address(), "the engine is well again");
                }
                missed = 0;
                set(&health, Health::Ready);
            }
            Err(error) => {
                missed += 1;
                if missed == MISSED_PROBES {
                    warn!(engine = %engine.address(), %error, "the engine is not well");
                }
                if missed >= MISSED_PROBES {
                    set(&health, Health::Unreachable(format!("the engine: {error}")));
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

    fn generate(
        &self,
        ask: Box<Ask>,
        _owner: Owner,
    ) -> BoxFuture<'static, Result<Box<dyn Generation>, Fault>> {
        let (engine, doubt) = (self.engine.clone(), self.doubt.clone());
        async move {
            let answer = engine.ask(&ask).await.map_err(|error| {
                // A request that is refused for what it asks says nothing about the engine.
                if matches!(error, EngineError::Connection(_) | EngineError::Silent(_)) {
                    doubt.notify_one();
                }
                fault_of(&error)
            })?;
            Ok(Box::new(RemoteGeneration(answer)) as Box<dyn Generation>)
        }
        .boxed()
    }

    fn tokenize(&self, text: String) -> BoxFuture<'static, Result<Option<Vec<u32>>, Fault>> {
        let engine = self.engine.clone();
        async move { engine.tokenize(&text).await.map_err(|error| fault_of(&error)) }.boxed()
    }

    fn fit(
        &self,
        turns: Vec<Turn>,
        max_tokens: usize,
    ) -> BoxFuture<'static, Result<Option<TokenizedConversation>, Fault>> {
        let engine = self.engine.clone();
        async move {
            let fit = engine.fit(&turns, max_tokens).await.map_err(|error| fault_of(&error))?;
            let Some(context_tokens) = engine.about().context_tokens else { return Ok(None) };
            Ok(fit.map(|(tokens, dropped_messages)| TokenizedConversation {
                tokens,
                context_tokens,
                dropped_messages,
            }))
        }
        .boxed()
    }
}

struct RemoteGeneration(Answer);

impl Generation for RemoteGeneration {
    fn next(&mut self) -> BoxFuture<'_, Option<Event>> {
        async {
            Some(match self.0.next().await? {
                Step::Piece(piece) => Event::Delta(piece),
                Step::End(end) => {
                    let reason = match end.reason {
                        EndReason::Done => FinishReason::Done,
                        EndReason::Length => FinishReason::Length,
                        EndReason::Stopped => FinishReason::Stopped,
                        EndReason::Failed(error) => FinishReason::Failed(fault_of(&error)),
                    };
                    let usage = end.usage;
                    let figures = Figures {
                        prompt_tokens: usage.prompt_tokens,
                        cached_tokens: usage.cached_tokens,
                        completion_tokens: usage.completion_tokens,
                        first_token_ms: usage.first_token_ms,
                        tokens_per_second: usage.tokens_per_second,
                        halt_ms: usage.halt_ms,
                    };
                    Event::Finished(Finished { reason, figures })
                }
            })
        }
        .boxed()
    }

    fn stop(&self) {
        self.0.stop();
    }

    fn dropped_messages(&self) -> usize {
        self.0.dropped_messages()
    }
}

/// What the client is told. What broke is for the operator, that it broke for the client.
fn fault_of(error: &EngineError) -> Fault {
    let busy = |reason: &str, wait: Option<Duration>| Fault::Busy {
        reason: reason.into(),
        position: 0,
        estimate_ms: wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
    };
    match error {
        EngineError::Parameter { field, expected, found } => Fault::InvalidParameter {
            field: (*field).into(),
            expected: expected.clone(),
            found: found.clone(),
        },
        EngineError::Busy { retry_after, .. } => busy("the engine is busy", *retry_after),
        EngineError::Resting { retry_in } => {
            busy("the engine has failed several times and is left alone", Some(*retry_in))
        }
        EngineError::Silent(patience) => {
            Fault::Timeout { seconds: patience.as_secs(), while_doing: "in the queue" }
        }
        EngineError::TooLong { tokens: Some(tokens), limit: Some(limit) } => {
            Fault::TooLong { tokens: *tokens, limit: *limit }
        }
        EngineError::TooLong { .. } => Fault::InvalidParameter {
            field: "message".into(),
            expected: "a message that fits the engine's context".into(),
            found: "a longer one".into(),
        },
        other => {
            warn!(error = %other, "the engine failed");
            if let Some(words) = other.words() {
                // They may repeat what someone wrote, so they are not for every log.
                debug!(words, "what it said");
            }
            let reason = match other {
                EngineError::Connection(_) => "the connection to the engine failed",
                EngineError::NotAllowed(_) => "the engine refuses the server's key",
                EngineError::Status { .. } | EngineError::Failed(_) => "the engine failed",
                _ => "the engine's answer cannot be read",
            };
            Fault::Internal { reason: reason.into() }
        }
    }
}
