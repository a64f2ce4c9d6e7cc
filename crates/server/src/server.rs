//! The whole public server: [`run`] serves its listeners until it is told to end.

use crate::accept;
use crate::access::{Access, SessionLimits, Sessions};
use crate::backend::BackendSlot;
use crate::config::ServerConfig;
use crate::http::Routes;
use crate::models::{Library, Models};
use crate::shared::Shared;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};
use tracing::warn;

/// How long a server waits at its end for the engine, which still writes to disk. The engine gives
/// that five seconds and then finishes the file that it is writing, so this is longer.
const BACKEND_GRACE: Duration = Duration::from_secs(10);

/// A server that does not run yet.
pub struct Server {
    config: ServerConfig,
    slot: BackendSlot,
    models: Option<Arc<Models>>,
    sessions: Arc<Sessions>,
}

impl Server {
    /// Makes a server without a backend; see [`Server::slot`].
    pub fn new(config: ServerConfig) -> Server {
        let limits =
            SessionLimits { total: config.max_sessions, per_key: config.max_sessions_per_key };
        let sessions = Arc::new(Sessions::new(limits));
        Server { config, slot: BackendSlot::default(), models: None, sessions }
    }

    /// Lets administrators pull models and switch between them. `current` is the name of the model
    /// that is loaded or being loaded.
    pub fn with_models(mut self, library: Arc<dyn Library>, current: Option<String>) -> Server {
        self.models = Some(Models::new(library, self.slot.clone(), current));
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
/// Errors: a listener has no address of its own, or a listener has stopped accepting connections.
pub async fn run(
    listeners: Vec<TcpListener>,
    server: Server,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    run_with(accept::serve, listeners, server, shutdown).await
}

/// [`run`] with another function in the place of [`accept::serve`].
async fn run_with<F: Future<Output = ()> + Send + 'static>(
    accept: impl Fn(TcpListener, Arc<Shared>, Routes) -> F,
    listeners: Vec<TcpListener>,
    server: Server,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut ports = Vec::new();
    for listener in &listeners {
        ports.push(listener.local_addr()?.port());
    }
    let access = Access::new(&server.config, ports, server.sessions);
    let shared = Arc::new(Shared::new(server.config, server.slot, server.models, access));
    warn_of_unsafe_settings(&shared.config);
    let routes = Routes::new(shared.clone());
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, shared.clone(), routes.clone()));
    }
    let outcome = tokio::select! {
        () = shutdown => Ok(()),
        // A server that accepts no connections must end, so that whoever watches it notices.
        Some(ended) = accepting.join_next() => Err(stopped_accepting(ended)),
    };
    end(accepting, &shared).await;
    outcome
}

/// Ends everything that runs.
async fn end(mut accepting: JoinSet<()>, shared: &Shared) {
    shared.tasks.going_away.cancel();
    // The server ends in any case, so how they end does not matter.
    while accepting.join_next().await.is_some() {}
    shared.tasks.tracker.close();
    let goodbyes = shared.tasks.tracker.wait();
    if tokio::time::timeout(shared.config.shutdown_grace, goodbyes).await.is_err() {
        shared.tasks.cut.cancel();
        shared.tasks.tracker.wait().await;
    }
    // Their sockets are closed, so they end at once.
    shared.answers.all_ended().await;
    if tokio::time::timeout(BACKEND_GRACE, shared.slot.end()).await.is_err() {
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
            let accept = |listener: TcpListener, shared, routes| async move {
                if listener.local_addr().expect("an address") != dying {
                    return accept::serve(listener, shared, routes).await;
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
