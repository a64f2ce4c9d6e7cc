//! The whole public server: [`run`] serves its listeners until it is told to end.

use crate::accept::{self, Acceptor};
use crate::access::{
    Access, KeyHash, MadeKeys, SessionLimits, Sessions, keep_looking, random_token,
};
use crate::answers::{AnswerLimits, Answers, Keep};
use crate::backend::BackendSlot;
use crate::config::{OnDisconnect, ServerConfig};
use crate::conversations::{Conversations, Settings};
use crate::http::{Http, Limits, Routes, Sockets};
use crate::interfaces::openai::Background;
use crate::metrics::Metrics;
use crate::models::{Library, Models};
use crate::plain::Plain;
use crate::shares::SharedBudget;
use crate::tasks::Tasks;
use crate::v1::{Streams, V1};
use crate::watchdog;
use banter_seam::Tracer;
use banter_store::{Place, Store, StoreConfig};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};
use tracing::warn;

/// How long a server waits at its end for the engine, which still writes to disk. The engine gives
/// that five seconds and then finishes the file that it is writing, so this is longer.
const BACKEND_GRACE: Duration = Duration::from_secs(10);

/// How long a server waits at its end for answers to halt and to be stored.
const ANSWER_GRACE: Duration = Duration::from_secs(10);

/// A server that does not run yet.
pub struct Server {
    config: ServerConfig,
    slot: BackendSlot,
    models: Option<Arc<Models>>,
    sessions: Arc<Sessions>,
    store: Option<Arc<Store>>,
    tracer: Option<Arc<dyn Tracer>>,
}

impl Server {
    /// Makes a server without a backend; see [`Server::slot`].
    pub fn new(config: ServerConfig) -> Server {
        let limits =
            SessionLimits { total: config.max_sessions, per_key: config.max_sessions_per_key };
        let sessions = Arc::new(Sessions::new(limits));
        Server {
            config,
            slot: BackendSlot::default(),
            models: None,
            sessions,
            store: None,
            tracer: None,
        }
    }

    /// Lets administrators pull models and switch between them. `current` is the name of the model
    /// that is loaded or being loaded.
    pub fn with_models(mut self, library: Arc<dyn Library>, current: Option<String>) -> Server {
        self.models = Some(Models::new(library, self.slot.clone(), current));
        self
    }

    /// Keeps conversations in this store. Without one they are kept in memory, and are gone when
    /// the server ends.
    pub fn with_store(mut self, store: Arc<Store>) -> Server {
        self.store = Some(store);
        self
    }

    /// Tells each answer to whoever records traces.
    pub fn with_tracer(mut self, tracer: Arc<dyn Tracer>) -> Server {
        self.tracer = Some(tracer);
        self
    }

    /// The slot that the backend is put into when it has loaded.
    pub fn slot(&self) -> BackendSlot {
        self.slot.clone()
    }

    /// Makes the one-time codes of printed links. It can be used while the server runs.
    pub fn sessions(&self) -> Arc<Sessions> {
        self.sessions.clone()
    }
}

/// Warns at every start of settings that are less safe than the defaults.
fn warn_of_unsafe_settings(config: &ServerConfig) {
    if config.insecure {
        warn!("--insecure: everyone who can reach this server can use it, and no key is needed");
    }
    if config.allow_file_pages {
        let limit = config.max_file_page_answers;
        warn!(
            limit,
            "--allow-file-pages: pages opened from disk can use this server, and so can every \
             website that is open in a browser on this machine, because it can pretend to be such \
             a page"
        );
    }
}

/// Serves until `shutdown` is ready, then says goodbye to every socket, ends what makes the
/// answers, and returns.
///
/// Errors: a listener has no address of its own or has stopped accepting connections, or the store
/// fails.
pub async fn run(
    listeners: Vec<TcpListener>,
    server: Server,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    run_with(accept::serve, listeners, server, shutdown).await
}

/// [`run`] with another function in the place of [`accept::serve`].
async fn run_with<F: Future<Output = ()> + Send + 'static>(
    accept: impl Fn(TcpListener, Arc<Acceptor>, Routes) -> F,
    listeners: Vec<TcpListener>,
    server: Server,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut ports = Vec::new();
    for listener in &listeners {
        ports.push(listener.local_addr()?.port());
    }
    let store = match server.store {
        Some(store) => store,
        None => Arc::new(memory_store(server.config.max_message_bytes)?),
    };
    let config = Arc::new(server.config);
    warn_of_unsafe_settings(&config);
    let access = Arc::new(Access::new(config.access_rules(ports), server.sessions));
    access.restore(&store).await.map_err(io::Error::other)?;
    let keys = access.made().clone();
    let metrics = Metrics::new(server.tracer);
    let running = Running::new(&config, server.slot, store, metrics, keys);
    running.look_after_keys(access.clone());
    running.watch_the_backend();
    let http = running.http(config.clone(), access.clone(), server.models);
    let acceptor = Arc::new(Acceptor::new(config.clone(), running.tasks.clone()));
    let routes = Routes::new(Arc::new(http));
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, acceptor.clone(), routes.clone()));
    }
    let outcome = tokio::select! {
        () = shutdown => Ok(()),
        // A server that accepts no connections must end, so that whoever watches it notices.
        Some(ended) = accepting.join_next() => Err(stopped_accepting(ended)),
    };
    drop(routes);
    end(accepting, running, &access, config.shutdown_grace).await;
    outcome
}

/// A store that is gone when the server ends.
fn memory_store(max_message_bytes: usize) -> io::Result<Store> {
    let mut config = StoreConfig::new(Place::Memory);
    config.limits.text_bytes = max_message_bytes.max(config.limits.text_bytes);
    Store::open(config).map_err(io::Error::other)
}

/// What has to be ended when the server ends.
pub(crate) struct Running {
    tasks: Tasks,
    slot: BackendSlot,
    answers: Answers,
    conversations: Conversations,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
}

impl Running {
    pub(crate) fn new(
        config: &ServerConfig,
        slot: BackendSlot,
        store: Arc<Store>,
        metrics: Metrics,
        keys: Arc<MadeKeys>,
    ) -> Running {
        let limits = AnswerLimits {
            queue_timeout: config.queue_timeout,
            step_timeout: config.step_timeout,
            bytes: config.max_answer_bytes,
        };
        let (tasks, metrics) = (Tasks::default(), Arc::new(metrics));
        let answers = Answers::new(slot.clone(), limits, keys.quotas(), metrics.answers.clone());
        let settings = Settings {
            system_prompt: config.system_prompt.clone(),
            keep: match config.on_disconnect {
                OnDisconnect::Finish => Keep::ToTheEnd,
                OnDisconnect::Grace(grace) => Keep::For(grace),
                OnDisconnect::Stop => Keep::WHILE_FOLLOWED,
            },
            title_idle: config.title_idle,
            stores: store.is_durable(),
        };
        let conversations = Conversations::new(store.clone(), keys, answers.clone(), settings);
        Running { tasks, slot, answers, conversations, store, metrics }
    }

    /// Looks for keys that were made or revoked, until the server ends.
    fn look_after_keys(&self, access: Arc<Access>) {
        let (store, ending) = (self.store.clone(), self.tasks.going_away.clone());
        self.tasks.tracker.spawn(async move {
            let revoked = |keys: &[KeyHash]| access.end_sessions_of(keys);
            keep_looking(access.made(), &store, revoked, ending).await;
        });
    }

    /// Looks whether the backend moves, until the server ends.
    fn watch_the_backend(&self) {
        let watching = watchdog::watch(self.slot.clone(), self.tasks.going_away.clone());
        self.tasks.tracker.spawn(watching);
    }

    /// What the routes need.
    pub(crate) fn http(
        &self,
        config: Arc<ServerConfig>,
        access: Arc<Access>,
        models: Option<Arc<Models>>,
    ) -> Http {
        let queue_budget = SharedBudget::new(config.max_total_message_bytes);
        let v1 = V1 {
            conversations: self.conversations.clone(),
            access: access.clone(),
            slot: self.slot.clone(),
            queue_budget: queue_budget.clone(),
            max_message_bytes: config.max_message_bytes,
            close_timeout: config.close_timeout,
            epoch: random_token(),
        };
        let sockets = Sockets {
            plain: Arc::new(Plain::new(config.clone(), self.answers.clone(), queue_budget)),
            v1: Arc::new(v1),
            streams: Streams::default(),
            receive_budget: SharedBudget::new(config.max_total_message_bytes),
        };
        Http {
            limits: Limits::new(&config),
            access,
            slot: self.slot.clone(),
            models,
            answers: self.answers.clone(),
            conversations: self.conversations.clone(),
            store: self.store.clone(),
            sockets,
            background: Background::new(self.tasks.clone()),
            metrics: self.metrics.clone(),
            begun: Instant::now(),
            tasks: self.tasks.clone(),
            config,
        }
    }
}

/// Ends everything that runs: connections first, then answers, then what they have kept.
async fn end(mut accepting: JoinSet<()>, running: Running, access: &Access, grace: Duration) {
    let Running { tasks, slot, answers, conversations, store, metrics: _ } = running;
    tasks.going_away.cancel();
    // The server ends in any case, so how they end does not matter.
    while accepting.join_next().await.is_some() {}
    tasks.tracker.close();
    if tokio::time::timeout(grace, tasks.tracker.wait()).await.is_err() {
        tasks.cut.cancel();
        tasks.tracker.wait().await;
    }
    if tokio::time::timeout(ANSWER_GRACE, answers.shut_down()).await.is_err() {
        warn!("an answer has not ended in time, so its end may not be stored");
    }
    access.made().tell_usage(&store).await;
    if tokio::time::timeout(ANSWER_GRACE, conversations.shut_down()).await.is_err() {
        warn!("a request about a conversation has not ended in time, and is given up");
    }
    drop((answers, conversations, store));
    if tokio::time::timeout(BACKEND_GRACE, slot.end()).await.is_err() {
        warn!(
            seconds = BACKEND_GRACE.as_secs(),
            "the engine has not ended in time, so what it computed last may not be on disk"
        );
    }
}

fn stopped_accepting(ended: Result<(), JoinError>) -> io::Error {
    let how = ended.err().map_or("its loop returned".into(), |error| error.to_string());
    io::Error::other(format!(
        "a listener has stopped accepting connections ({how}); start the server again"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    async fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.expect("a free port")
    }

    #[tokio::test]
    async fn a_server_whose_accept_loop_dies_ends_with_an_error_although_another_one_goes_on() {
        for (panics, expected) in [(true, "panicked"), (false, "returned")] {
            let listeners = vec![listener().await, listener().await];
            let dying = listeners[1].local_addr().expect("an address");
            let accept = |listener: TcpListener, acceptor, routes: Routes| async move {
                if listener.local_addr().expect("an address") != dying {
                    return accept::serve(listener, acceptor, routes).await;
                }
                assert!(!panics, "as a bug would");
            };
            let server = Server::new(ServerConfig::default());
            let ended = run_with(accept, listeners, server, pending()).await;
            let message = ended.expect_err("nobody asked for the end").to_string();
            let says_so = message.starts_with("a listener has stopped accepting connections");
            assert!(says_so && message.contains(expected), "{message}");
        }
    }
}
